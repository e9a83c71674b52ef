//! What must hold after every event, whatever the network, the disks and the crashes do. `[Raft Figure 3]`
//!
//! * **Election safety**: at most one leader in a term.
//! * **Log matching**: two logs with an entry of the same index and term are equal up to it. Checked by induction: an
//!   entry's identity determines that of the one before it.
//! * **Leader completeness**: a new leader's log holds every committed entry.
//! * **Commit on a durable quorum**: when an entry is first called committed, a majority of *disks* hold it.
//! * **State machine safety**: every node applies the same entry at an index (checked inside [`SimMachine`]).
//! * **Durability oracle**: a vote, a candidacy or an acknowledgement that leaves a node is covered by what its disk
//!   would show after a power cut at that moment.
//! * **Clients**: an acknowledged proposal is applied once, at the index it was told; one that was called not applied
//!   never is; a linearizable read sees every entry committed before it began.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use super::machine::{AppliedEntry, Canon};
use super::node::SimNode;
use super::{SimDriver, SimMachine, index_of, node_id};
use crate::driver::Applied;
use crate::error::{ProposeError, ReadError};
use crate::input::Ticket;
use crate::message::{AppendOutcome, Message};
use crate::raft::RoleName;
use crate::time::Time;
use crate::types::{ClusterId, EntryId, LogIndex, NodeId, Term};

/// A broken promise. The simulated time is in nanoseconds since the start of the run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// Two leaders in one term.
    #[error("{at:?}: node {second} leads term {term}, which node {first} leads")]
    TwoLeaders {
        /// When.
        at: Time,
        /// The term.
        term: Term,
        /// Who led first.
        first: NodeId,
        /// Who else.
        second: NodeId,
    },
    /// One entry, two histories.
    #[error("{at:?}: in node {node}'s log entry {entry} follows term {found}, elsewhere term {expected}")]
    LogsDiffer {
        /// When.
        at: Time,
        /// The node.
        node: NodeId,
        /// The entry.
        entry: EntryId,
        /// Term of the entry before it here.
        found: Term,
        /// And elsewhere.
        expected: Term,
    },
    /// A node's log lacks a committed entry, or has another one there.
    #[error("{at:?}: node {node} ({what}) has term {found:?} at committed entry {committed}")]
    CommittedEntryMissing {
        /// When.
        at: Time,
        /// The node.
        node: NodeId,
        /// Leads, or commits.
        what: &'static str,
        /// The entry.
        committed: EntryId,
        /// Its term here.
        found: Option<Term>,
    },
    /// An entry was called committed while it was on too few disks.
    #[error("{at:?}: node {node} commits {entry}, which only {holders} of {nodes} disks hold")]
    CommittedTooEarly {
        /// When.
        at: Time,
        /// Who says so.
        node: NodeId,
        /// The entry.
        entry: EntryId,
        /// Disks that hold it.
        holders: usize,
        /// Disks in all.
        nodes: usize,
    },
    /// A commit index or applied index fell.
    #[error("{at:?}: node {node}'s commit index fell from {before} to {after}")]
    CommitFell {
        /// When.
        at: Time,
        /// The node.
        node: NodeId,
        /// Before.
        before: LogIndex,
        /// After.
        after: LogIndex,
    },
    /// A message promises what a power cut would undo.
    #[error("{at:?}: node {node} sends {message}, but its disk holds {disk}")]
    NotDurable {
        /// When.
        at: Time,
        /// The node.
        node: NodeId,
        /// What it sends.
        message: String,
        /// What its disk holds.
        disk: String,
    },
    /// A client was told something untrue.
    #[error("{at:?}: node {node} answers proposal or read {ticket:?} with {answer}, but {truth}")]
    ClientMisled {
        /// When.
        at: Time,
        /// The node.
        node: NodeId,
        /// Which proposal or read.
        ticket: Ticket,
        /// What it was told.
        answer: String,
        /// What is true.
        truth: String,
    },
    /// A node stopped itself.
    #[error("{at:?}: node {node} halts: {halt}")]
    Halted {
        /// When.
        at: Time,
        /// The node.
        node: NodeId,
        /// Its words.
        halt: String,
    },
    /// The cluster did not come back after everything was healed.
    #[error("{at:?}: {healthy_for:?} after all faults ended, {what}")]
    NotRecovered {
        /// When.
        at: Time,
        /// How long everything had been fine.
        healthy_for: Duration,
        /// What is missing.
        what: String,
    },
}

/// See the module.
pub struct Checker {
    leaders: BTreeMap<Term, NodeId>,
    /// For each entry seen in any log: the term of the entry before it.
    previous: BTreeMap<EntryId, Term>,
    /// Per node: terms of its log as last seen, from index 1.
    seen: Vec<BTreeMap<LogIndex, Term>>,
    commits: Vec<LogIndex>,
    /// Identity of each committed entry, from index 1, and the term of the node that first called it committed.
    committed: Vec<(EntryId, Term)>,
    canon: Canon,
    cluster_id: Option<ClusterId>,
    proposed: BTreeSet<Ticket>,
    refused: BTreeSet<u64>,
    acknowledged_through: LogIndex,
    reads: BTreeMap<Ticket, LogIndex>,
}

impl Checker {
    pub(super) fn new(nodes: usize) -> Self {
        Self {
            leaders: BTreeMap::new(),
            previous: BTreeMap::new(),
            seen: vec![BTreeMap::new(); nodes],
            commits: vec![LogIndex::ZERO; nodes],
            committed: Vec::new(),
            canon: Canon::default(),
            cluster_id: None,
            proposed: BTreeSet::new(),
            refused: BTreeSet::new(),
            acknowledged_through: LogIndex::ZERO,
            reads: BTreeMap::new(),
        }
    }

    pub(super) fn machine(&self) -> SimMachine {
        SimMachine::new(Arc::clone(&self.canon))
    }

    fn canon(&self) -> MutexGuard<'_, Vec<AppliedEntry>> {
        self.canon.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn committed(&self) -> u64 {
        self.committed.len() as u64
    }

    pub(super) fn elections(&self) -> u64 {
        self.leaders.len() as u64
    }

    pub(super) const fn cluster_id(&self) -> Option<ClusterId> {
        self.cluster_id
    }

    pub(super) fn crashed(&mut self, node: usize) {
        self.commits[node] = LogIndex::ZERO;
    }

    /// Everything that one node's state can break.
    pub(super) fn check_node(
        &mut self,
        at: Time,
        node: usize,
        driver: &SimDriver,
        nodes: &[SimNode],
    ) -> Result<(), Violation> {
        self.cluster_id = self.cluster_id.or(driver.raft().hard_state().cluster_id);
        self.check_log(at, node, driver)?;
        self.check_commit(at, node, driver, nodes)?;
        self.check_leader(at, driver)
    }

    fn check_leader(&mut self, at: Time, driver: &SimDriver) -> Result<(), Violation> {
        let raft = driver.raft();
        if raft.role() != RoleName::Leader {
            return Ok(());
        }
        let (term, second) = (raft.hard_state().current_term, raft.id());
        match self.leaders.get(&term) {
            Some(&first) if first != second => return Err(Violation::TwoLeaders { at, term, first, second }),
            Some(_) => return Ok(()),
            None => self.leaders.insert(term, second),
        };
        let base = raft.status().base.index;
        // What was committed in this term or later need not be there: votes may have been long under way.
        let earlier =
            self.committed.iter().filter(|(id, committed_in)| id.index > base && *committed_in < term);
        for &(committed, _) in earlier {
            let found = raft.term_at(committed.index);
            if found != Some(committed.term) {
                let what = "leads";
                return Err(Violation::CommittedEntryMissing { at, node: second, what, committed, found });
            }
        }
        Ok(())
    }

    /// Walks back from the end of the log to where it is as it was last seen.
    fn check_log(&mut self, at: Time, node: usize, driver: &SimDriver) -> Result<(), Violation> {
        let raft = driver.raft();
        let status = raft.status();
        let seen = &mut self.seen[node];
        drop(seen.split_off(&status.last.index.next()));
        let mut index = status.last.index;
        while index > status.base.index {
            let term = raft.term_at(index).unwrap_or_default();
            let previous = raft.term_at(index.prev()).unwrap_or_default();
            let known = seen.get(&index) == Some(&term) && seen.get(&index.prev()) == Some(&previous);
            if known {
                break;
            }
            let entry = EntryId::new(term, index);
            let expected = *self.previous.entry(entry).or_insert(previous);
            if expected != previous {
                let (node, found) = (raft.id(), previous);
                return Err(Violation::LogsDiffer { at, node, entry, found, expected });
            }
            seen.insert(index, term);
            index = index.prev();
        }
        seen.insert(status.base.index, status.base.term);
        Ok(())
    }

    fn check_commit(
        &mut self,
        at: Time,
        node: usize,
        driver: &SimDriver,
        nodes: &[SimNode],
    ) -> Result<(), Violation> {
        let raft = driver.raft();
        let (before, after) = (self.commits[node], raft.commit_index());
        if after < before {
            return Err(Violation::CommitFell { at, node: raft.id(), before, after });
        }
        self.commits[node] = after;
        let base = raft.status().base.index;
        for index in (before.max(base).next().0..=after.0).map(LogIndex) {
            let found = raft.term_at(index);
            let entry = EntryId::new(found.unwrap_or_default(), index);
            let known = usize::try_from(index.0 - 1).ok().and_then(|at| self.committed.get(at)).copied();
            if let Some((committed, _)) = known {
                if committed != entry {
                    let what = "commits";
                    return Err(Violation::CommittedEntryMissing {
                        at,
                        node: raft.id(),
                        what,
                        committed,
                        found,
                    });
                }
                continue;
            }
            let holders = nodes.iter().filter(|node| node.disk_holds(entry)).count();
            if holders <= nodes.len() / 2 {
                let (node, nodes) = (raft.id(), nodes.len());
                return Err(Violation::CommittedTooEarly { at, node, entry, holders, nodes });
            }
            self.committed.push((entry, raft.hard_state().current_term));
        }
        Ok(())
    }

    /// The durability oracle.
    pub(super) fn check_sent(
        &self,
        at: Time,
        sender: &SimNode,
        to: NodeId,
        message: &Message,
    ) -> Result<(), Violation> {
        let disk = sender.disk_hard_state();
        let covered = match message {
            Message::RequestVote(request) if !request.pre => {
                disk.current_term == request.term && disk.voted_for == Some(sender.id)
            }
            Message::RequestVoteResponse(response) if response.granted && !response.pre => {
                disk.current_term == response.term && disk.voted_for == Some(to)
            }
            Message::AppendEntriesResponse(response) => match response.outcome {
                AppendOutcome::Matched { match_index } => {
                    disk.current_term == response.term && sender.disk_holds_as_in_memory(match_index)
                }
                AppendOutcome::Conflict { .. } => true,
            },
            Message::AppendEntries(request) => disk.current_term == request.term,
            _ => true,
        };
        if covered {
            return Ok(());
        }
        let (message, disk) = (format!("{message:?}"), sender.describe_disk());
        Err(Violation::NotDurable { at, node: sender.id, message, disk })
    }

    pub(super) fn proposed(&mut self, ticket: Ticket) {
        self.proposed.insert(ticket);
    }

    pub(super) fn proposal_ended(
        &mut self,
        at: Time,
        node: NodeId,
        ticket: Ticket,
        result: Result<Applied<u64>, ProposeError>,
    ) -> Result<(), Violation> {
        if ticket == Ticket(0) {
            return Ok(());
        }
        let misled = |truth: String| {
            Err(Violation::ClientMisled { at, node, ticket, answer: format!("{result:?}"), truth })
        };
        if !self.proposed.remove(&ticket) {
            return misled("it had been answered before".to_owned());
        }
        let applied_at: Vec<_> = {
            let canon = self.canon();
            canon
                .iter()
                .filter(|entry| entry.token == ticket.0)
                .map(|entry| (entry.id, entry.state))
                .collect()
        };
        match result {
            Ok(Applied { id, reply }) if applied_at == [(id, reply)] => {
                self.acknowledged_through = self.acknowledged_through.max(id.index);
                Ok(())
            }
            Ok(_) => misled(format!("it was applied at {applied_at:?}")),
            Err(ProposeError::Unknown) => Ok(()),
            Err(_) if applied_at.is_empty() => {
                self.refused.insert(ticket.0);
                Ok(())
            }
            Err(_) => misled(format!("it was applied at {applied_at:?}")),
        }
    }

    pub(super) fn read_begun(&mut self, ticket: Ticket) {
        self.reads.insert(ticket, LogIndex(self.committed()));
    }

    pub(super) fn read_ended(
        &mut self,
        at: Time,
        node: NodeId,
        ticket: Ticket,
        result: Result<LogIndex, ReadError>,
    ) -> Result<(), Violation> {
        let Some(floor) = self.reads.remove(&ticket) else {
            let truth = "it had been answered before".to_owned();
            return Err(Violation::ClientMisled { at, node, ticket, answer: format!("{result:?}"), truth });
        };
        match result {
            Ok(index) if index < floor => {
                let truth = format!("entry {floor} was committed before it began");
                Err(Violation::ClientMisled { at, node, ticket, answer: format!("index {index}"), truth })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn check_recovery(
        &self,
        at: Time,
        nodes: &[SimNode],
        healthy_for: Duration,
    ) -> Result<(), Violation> {
        let not_recovered = |what: String| Err(Violation::NotRecovered { at, healthy_for, what });
        let canon = self.canon();
        if let Some(entry) = canon.iter().find(|entry| self.refused.contains(&entry.token)) {
            let (ticket, answer) = (Ticket(entry.token), "not applied".to_owned());
            let truth = format!("it was applied at {}", entry.id);
            return Err(Violation::ClientMisled { at, node: node_id(0), ticket, answer, truth });
        }
        let Some(leader) = nodes.iter().find_map(|node| node.driver()?.raft().leader_id()) else {
            return not_recovered("there is no leader".to_owned());
        };
        let Some(leader) = nodes[index_of(leader)].driver() else {
            return not_recovered(format!("node {leader}, taken for the leader, is down"));
        };
        let (head, _) = leader.state().map(SimMachine::state).unwrap_or_default();
        for node in nodes {
            let applied = node.driver().and_then(|driver| driver.state()).map(SimMachine::state);
            // The newest entries may still be on their way.
            let (index, _) = applied.unwrap_or_default();
            if head.since(index) > 100 {
                return not_recovered(format!("node {} has applied {index} of {head} entries", node.id));
            }
        }
        if head < self.acknowledged_through {
            return not_recovered(format!(
                "{head} entries are applied, {} acknowledged",
                self.acknowledged_through
            ));
        }
        Ok(())
    }
}
