//! What must hold after every step, whatever the network, the disks and the crashes do. `[Raft Figure 3]`
//!
//! * **Election safety**: at most one leader in a term; one vote for each node and term, across restarts.
//! * **Log matching**: an entry's index and term determine its kind, its bytes and the entry before it, and so, by
//!   induction, everything before it. Checked as nodes write.
//! * **Leader append-only**: a leader removes nothing.
//! * **Leader completeness**: a new leader's log holds every entry committed in earlier terms.
//! * **Rival configurations**: what a leader appends has no quorum apart from any other configuration in force on a node
//!   that could still be elected under it.
//! * **Commit on a durable quorum**: when an entry is first called committed, the disks of a quorum of the configuration
//!   in force hold it; a commit index never falls while its process lives, and what is committed never changes.
//! * **Durability oracle** (`promises`): what leaves a node is covered by what its disk would show after a power cut at
//!   that moment; what is applied survives it.
//! * **State machine safety, exactly once** ([`History`]), **linearizable reads** (`clients`), **equal snapshots**.
//!
//! All of it costs O(1) a step, or for each entry written.

mod clients;
mod members;
mod promises;

use promises::check_matches;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smallvec::SmallVec;

use super::history::History;
use super::machine::SimMachine;
use super::node::{Running, SimNode};
use super::violation::Violation;
use super::{SimDriver, place_of};
use crate::block::{Block, EntryKind};
use crate::configuration::Configuration;
use crate::quorum::VoteResult;
use crate::raft::RoleName;
use crate::snapshot::SnapshotInfo;
use crate::storage::{Recovered, VoteFloor, Write};
use crate::term_runs::LogTerms;
use crate::testing::sim_log::LogImage;
use crate::time::Time;
use crate::types::{ClusterId, EntryId, HardState, LogIndex, NodeId, Term, WriteId};

/// See the module.
pub(super) struct Checker {
    leaders: BTreeMap<Term, NodeId>,
    /// Entries seen in any log, by index from 1.
    entries: Vec<SmallVec<[Known; 1]>>,
    views: Vec<View>,
    /// Every committed entry, from index 1.
    committed: Vec<EntryId>,
    /// Last entry that a node of this term first called committed.
    committed_in: BTreeMap<Term, LogIndex>,
    votes: BTreeMap<(NodeId, Term), NodeId>,
    /// Who was asked to campaign at once, by the leader of which term.
    orders: BTreeSet<(NodeId, Term)>,
    snapshots: BTreeMap<LogIndex, SnapshotInfo>,
    history: Arc<Mutex<History>>,
    /// Every configuration ever written.
    configurations: BTreeMap<EntryId, Arc<Configuration>>,
    /// The newest committed configuration, and where it stands.
    agreed: Option<(LogIndex, Arc<Configuration>)>,
    reads: clients::Reads,
    cluster_id: Option<ClusterId>,
    acknowledged_through: LogIndex,
}

/// What goes with an entry's index and term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    term: Term,
    previous: Term,
    kind: EntryKind,
    crc: u32,
}

/// One node as it was last seen.
struct View {
    /// Its log, as its writes make it; nothing is ever compacted here.
    log: LogTerms,
    last_write: WriteId,
    commit: LogIndex,
    applied: EntryId,
    term: Term,
    vote: Option<NodeId>,
    leads: bool,
    configurations: Vec<(LogIndex, Arc<Configuration>)>,
    /// The configuration that was in force until this very step, if it appended another.
    replaced: Option<Arc<Configuration>>,
    /// Starts within the term that it is in.
    starts: u32,
    /// Highest term that it has told others as durable.
    promised: Term,
}

impl Checker {
    pub(super) fn new() -> Self {
        Self {
            leaders: BTreeMap::new(),
            entries: Vec::new(),
            views: Vec::new(),
            committed: Vec::new(),
            committed_in: BTreeMap::new(),
            votes: BTreeMap::new(),
            orders: BTreeSet::new(),
            snapshots: BTreeMap::new(),
            history: Arc::default(),
            configurations: BTreeMap::new(),
            agreed: None,
            reads: clients::Reads::default(),
            cluster_id: None,
            acknowledged_through: LogIndex::ZERO,
        }
    }

    pub(super) fn machine(&self) -> SimMachine {
        SimMachine::new(Arc::clone(&self.history))
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) const fn committed(&self) -> u64 {
        self.committed.len() as u64
    }

    pub(super) fn elections(&self) -> u64 {
        self.leaders.len() as u64
    }

    pub(super) const fn cluster_id(&self) -> Option<ClusterId> {
        self.cluster_id
    }

    pub(super) const fn acknowledged_through(&self) -> LogIndex {
        self.acknowledged_through
    }

    /// Last entry applied anywhere, and the state there.
    pub(super) fn head(&self) -> (LogIndex, u64) {
        self.history().head()
    }

    /// A node has just started, from its own disk.
    pub(super) fn started(&mut self, at: Time, place: usize, node: &SimNode) -> Result<(), Violation> {
        let Some(running) = node.running() else { return Ok(()) };
        let Recovered { mut hard_state, base, last, runs, configurations, floor, .. } =
            node.with_disk(LogImage::recovered);
        // Half of a founding is none; if it had promised anything in term 1, that is found below.
        let is_empty = last == EntryId::ZERO && floor == VoteFloor::LastEntry;
        if is_empty && hard_state.current_term == Term(1) && hard_state.voted_for.is_none() {
            hard_state = HardState::default();
        }
        let before = self.views.get(place);
        let promised = before.map_or(Term(0), |view| view.promised);
        let same_term = before.filter(|view| view.term == hard_state.current_term);
        let starts = same_term.map_or(0, |view| view.starts) + 1;
        if starts == 5 {
            mark!(RestartsWithinTerm);
        }
        let log = LogTerms::new(base, &runs, last.index);
        for (index, members) in configurations {
            let id = EntryId::new(log.term_at(index).unwrap_or_default(), index);
            self.configurations.entry(id).or_insert_with(|| Arc::new(members));
        }
        // Those that have rotted are in its log all the same.
        let written = self.configurations.iter().filter(|(id, _)| log.contains(**id));
        let written = written.map(|(id, members)| (id.index, Arc::clone(members)));
        let configurations = members::recovered(running.driver.raft().snapshot(), written);
        let view = View {
            log,
            last_write: WriteId(0),
            commit: running.driver.raft().commit_index(),
            applied: running.driver.applied(),
            term: hard_state.current_term,
            vote: hard_state.voted_for,
            leads: false,
            configurations,
            replaced: None,
            starts,
            promised,
        };
        if view.term < promised {
            return Err(Violation::TermFell { at, node: node.id, before: promised, after: view.term });
        }
        if place == self.views.len() {
            self.views.push(view);
        } else {
            self.views[place] = view;
        }
        for block in node.with_disk(|image| image.blocks().cloned().collect::<Vec<_>>()) {
            let previous = self.views[place].log.term_at(block.first_index().prev()).unwrap_or_default();
            self.meet_block(at, node.id, &block, previous)?;
        }
        Ok(())
    }

    /// Everything that one node's state can break.
    pub(super) fn check_node(&mut self, at: Time, place: usize, nodes: &[SimNode]) -> Result<(), Violation> {
        let Some(running) = nodes[place].running() else { return Ok(()) };
        let raft = running.driver.raft();
        self.cluster_id = self.cluster_id.or(raft.hard_state().cluster_id);
        self.check_term(at, place, &running.driver)?;
        self.check_written(at, place, running)?;
        self.check_applied(at, place, &nodes[place])?;
        if raft.commit_index() != self.views[place].commit {
            self.check_commit(at, place, nodes)?;
        }
        let leads = raft.role() == RoleName::Leader;
        let led = std::mem::replace(&mut self.views[place].leads, leads);
        if leads && !led {
            self.check_new_leader(at, &running.driver)?;
            self.mark_new_leader(place, nodes);
        } else if led && !leads {
            mark!(LeaderMissesQuorum);
        }
        self.views[place].leads = leads;
        if leads { check_matches(at, place, nodes) } else { Ok(()) }
    }

    /// A power cut has struck in the middle of a step: of what the node came to, nobody may ever see anything but what it
    /// has committed, which others may have been told.
    pub(super) fn check_struck(
        &mut self,
        at: Time,
        place: usize,
        nodes: &[SimNode],
    ) -> Result<(), Violation> {
        let commit = nodes[place].running().map(|running| running.driver.raft().commit_index());
        if commit.is_some_and(|commit| commit > self.views[place].commit) {
            self.check_commit(at, place, nodes)?;
        }
        Ok(())
    }

    fn check_term(&mut self, at: Time, place: usize, driver: &SimDriver) -> Result<(), Violation> {
        let hard_state = driver.raft().hard_state();
        let view = &mut self.views[place];
        let (term, vote) = (hard_state.current_term, hard_state.voted_for);
        if term < view.term || (term == view.term && view.vote.is_some() && vote != view.vote) {
            let (node, before) = (driver.raft().id(), view.term);
            return Err(Violation::TermFell { at, node, before, after: term });
        }
        // Whoever leads a later term than it was seen in leads anew.
        if view.leads && term > view.term {
            mark!(LeaderDeposed);
            view.leads = false;
        }
        if term > view.term {
            view.starts = 0;
        }
        (view.term, view.vote) = (term, vote);
        Ok(())
    }

    /// Takes in what the node has written since it was last looked at, whatever came of the rest of that step.
    pub(super) fn observe_writes(
        &mut self,
        at: Time,
        place: usize,
        running: &Running,
    ) -> Result<(), Violation> {
        let raft = running.driver.raft();
        let led = self.views[place].leads && raft.role() == RoleName::Leader;
        let led = led.then(|| raft.commit_index());
        let after = self.views[place].last_write;
        self.views[place].replaced = None;
        let mut result = Ok(());
        running.log.with_submitted_after(after, |write| {
            if result.is_ok() {
                self.views[place].last_write = write.id;
                result = self.check_write(at, place, raft.id(), write, led);
            }
        });
        result
    }

    /// What the node has written is what it has in memory.
    fn check_written(&mut self, at: Time, place: usize, running: &Running) -> Result<(), Violation> {
        let raft = running.driver.raft();
        if self.views[place].configurations.is_empty() {
            // Its log was reset, or never had one.
            self.views[place].configurations = members::recovered(raft.snapshot(), []);
        }
        let (found, expected) = (raft.last_entry(), self.views[place].log.last());
        if found != expected {
            return Err(Violation::LogNotWritten { at, node: raft.id(), found, expected });
        }
        Ok(())
    }

    fn check_write(
        &mut self,
        at: Time,
        place: usize,
        node: NodeId,
        write: &Write,
        led: Option<LogIndex>,
    ) -> Result<(), Violation> {
        let View { log, term, configurations, .. } = &mut self.views[place];
        if let Some(base) = write.reset {
            mark!(LogResetBySnapshot);
            log.reset(base);
            configurations.clear();
        }
        if let Some(from) = write.truncate_from.filter(|from| *from <= log.last().index) {
            if led.is_some() {
                return Err(Violation::LeaderTruncates { at, node, term: *term, from });
            }
            mark!(EntriesTruncated);
            if log.last().index.since(from) >= 9 {
                mark!(ManyEntriesTruncated);
            }
            if configurations.last().is_some_and(|(index, _)| *index >= from) {
                mark!(ConfigurationTruncated);
            }
            log.truncate(from);
            configurations.retain(|(index, _)| *index < from);
        }
        for block in &write.append {
            let log = &mut self.views[place].log;
            let last = log.last();
            if block.first_index() != last.index.next() || block.runs()[0].term < last.term {
                let found = block.last_id();
                return Err(Violation::LogNotWritten { at, node, found, expected: last });
            }
            log.append(block);
            self.meet_block(at, node, block, last.term)?;
        }
        if !write.fill.is_empty() {
            mark!(HoleMended);
        }
        let new = write.append.iter().chain(&write.fill).flat_map(Block::entries);
        for entry in new.filter(|entry| entry.kind == EntryKind::Configuration) {
            self.check_configuration(at, place, node, &entry, led)?;
        }
        Ok(())
    }

    /// Compares each entry with what goes with its index and term elsewhere.
    fn meet_block(
        &mut self,
        at: Time,
        node: NodeId,
        block: &Block,
        mut previous: Term,
    ) -> Result<(), Violation> {
        for entry in block.entries() {
            let known = Known { term: entry.id.term, previous, kind: entry.kind, crc: entry.crc };
            let place = usize::try_from(entry.id.index.0 - 1).expect("simulated logs are short");
            if self.entries.len() <= place {
                self.entries.resize_with(place + 1, SmallVec::new);
            }
            match self.entries[place].iter().find(|other| other.term == known.term) {
                None => self.entries[place].push(known),
                Some(other) if *other == known => {}
                Some(other) => {
                    let (found, expected) = (format!("{known:?}"), format!("{other:?}"));
                    return Err(Violation::LogsDiffer { at, node, entry: entry.id, found, expected });
                }
            }
            previous = known.term;
        }
        Ok(())
    }

    fn check_new_leader(&mut self, at: Time, driver: &SimDriver) -> Result<(), Violation> {
        let raft = driver.raft();
        let (term, second) = (raft.hard_state().current_term, raft.id());
        match self.leaders.insert(term, second) {
            Some(first) if first != second => return Err(Violation::TwoLeaders { at, term, first, second }),
            _ => {}
        }
        // What was committed in this term or later need not be there yet: votes may have been long under way.
        let earlier = self.committed_in.range(..term).map(|(_, index)| *index).max();
        earlier.map_or(Ok(()), |index| self.check_holds_committed(at, driver, index, "leads"))
    }

    fn mark_new_leader(&self, place: usize, nodes: &[SimNode]) {
        if self.views.iter().filter(|view| view.leads).count() > 1 {
            mark!(TwoLeadersAlive);
        }
        let Some(running) = nodes[place].running() else { return };
        let raft = running.driver.raft();
        let Some(members) = raft.configuration() else { return };
        if !members.quorum().contains(raft.id()) {
            mark!(LeaderOutsideMembers);
        }
        // Before the entry that opened its term.
        let index = raft.last_entry().index.prev();
        let Some(term) = raft.term_at(index).filter(|_| index.0 > self.committed()) else { return };
        let holds = |id: NodeId| {
            nodes.get(place_of(id)).is_some_and(|node| node.disk_holds(EntryId::new(term, index)))
        };
        if members.quorum().vote(|id| Some(holds(id))) == VoteResult::Won {
            mark!(EarlierEntryOnMajority);
        }
    }

    /// What is applied may reach a snapshot: a power cut must not undo it.
    fn check_applied(&mut self, at: Time, place: usize, node: &SimNode) -> Result<(), Violation> {
        let Some(running) = node.running() else { return Ok(()) };
        let applied = running.driver.applied();
        let before = std::mem::replace(&mut self.views[place].applied, applied);
        if applied == before || node.disk_holds(applied) {
            return Ok(());
        }
        let (message, disk) = (format!("nothing, but applies {applied}"), node.describe_disk());
        Err(Violation::NotDurable { at, node: node.id, message, disk })
    }

    /// The node's log is the committed one at `index`, or has forgotten what is there.
    fn check_holds_committed(
        &self,
        at: Time,
        driver: &SimDriver,
        index: LogIndex,
        what: &'static str,
    ) -> Result<(), Violation> {
        let raft = driver.raft();
        let Some(committed) = self.committed_at(index) else { return Ok(()) };
        let found = raft.term_at(index);
        let forgotten = found.is_none() && index <= raft.commit_index();
        if forgotten || found == Some(committed.term) {
            return Ok(());
        }
        Err(Violation::CommittedEntryMissing { at, node: raft.id(), what, committed, found })
    }

    fn committed_at(&self, index: LogIndex) -> Option<EntryId> {
        let place = usize::try_from(index.0.checked_sub(1)?).ok()?;
        self.committed.get(place).copied()
    }

    fn check_commit(&mut self, at: Time, place: usize, nodes: &[SimNode]) -> Result<(), Violation> {
        let Some(running) = nodes[place].running() else { return Ok(()) };
        let raft = running.driver.raft();
        let (node, after) = (raft.id(), raft.commit_index());
        let before = std::mem::replace(&mut self.views[place].commit, after);
        if after < before {
            return Err(Violation::CommitFell { at, node, before, after });
        }
        let known = LogIndex(self.committed());
        self.check_holds_committed(at, &running.driver, after.min(known), "commits")?;
        if after <= known {
            return Ok(());
        }
        for index in (known.next().0..=after.0).map(LogIndex) {
            let Some(term) = raft.term_at(index) else {
                let committed = EntryId::new(Term(0), index);
                let what = "commits what nobody else has";
                return Err(Violation::CommittedEntryMissing { at, node, what, committed, found: None });
            };
            self.committed.push(EntryId::new(term, index));
        }
        let term = raft.hard_state().current_term;
        self.agree(place, after);
        self.committed_in.entry(term).and_modify(|index| *index = after.max(*index)).or_insert(after);
        self.check_quorum(at, place, &running.driver, nodes)?;
        // Leaders of later terms must have it, even if they were elected before it was called committed.
        let drivers = nodes.iter().filter_map(SimNode::running).map(|running| &running.driver);
        let later = |driver: &&SimDriver| {
            driver.raft().role() == RoleName::Leader && driver.raft().hard_state().current_term > term
        };
        drivers.filter(later).try_for_each(|driver| {
            self.check_holds_committed(at, driver, after, "leads a later term than it was committed in")
        })
    }

    /// The disks of a quorum hold what the node has just called committed.
    fn check_quorum(
        &self,
        at: Time,
        place: usize,
        driver: &SimDriver,
        nodes: &[SimNode],
    ) -> Result<(), Violation> {
        let raft = driver.raft();
        let Some(entry) = self.committed_at(raft.commit_index()) else { return Ok(()) };
        let Some(configuration) = raft.configuration() else { return Ok(()) };
        // A leader does not count itself over a hole that it knows of. (What others had acknowledged before it rotted counts.)
        let knows_better = raft.status().first_hole.is_some_and(|hole| hole <= entry.index);
        let holds = |id: NodeId| {
            nodes.get(place_of(id)).is_some_and(|node| node.vouches_for(entry))
                && !(knows_better && id == raft.id() && raft.role() == RoleName::Leader)
        };
        let wins = |members: &Configuration| members.quorum().vote(|id| Some(holds(id))) == VoteResult::Won;
        let quorum = configuration.quorum();
        let before = self.replaced(place, raft.commit_index());
        // A power cut may have kept the newest one from being written.
        let written = self.views[place].configurations.last().map(|(_, members)| members);
        if wins(configuration) || before.iter().chain(written).any(|members| wins(members)) {
            return Ok(());
        }
        let holders = quorum.voters().into_iter().filter(|id| holds(*id)).collect();
        Err(Violation::CommittedTooEarly { at, node: raft.id(), entry, holders })
    }

    /// The newest snapshot equals every other one of its index, and the node is in its term on disk as well.
    pub(super) fn check_snapshot(&mut self, at: Time, node: &SimNode) -> Result<(), Violation> {
        let Some(newest) = node.running().and_then(Running::newest_snapshot) else { return Ok(()) };
        let last = newest.meta.last;
        if node.disk_hard_state().current_term < last.term {
            let (message, disk) =
                (format!("nothing, but publishes a snapshot through {last}"), node.describe_disk());
            return Err(Violation::NotDurable { at, node: node.id, message, disk });
        }
        match self.snapshots.entry(last.index).or_insert_with(|| newest.clone()) {
            other if *other == newest => Ok(()),
            other => {
                let what = if other.meta.configuration == newest.meta.configuration {
                    "state"
                } else {
                    "configuration"
                };
                Err(Violation::SnapshotsDiffer { at, node: node.id, last, what })
            }
        }
    }
}
