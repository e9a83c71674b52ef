//! What has happened for good, and the checks that need it: leaders, commits, and how much of the bounds is used up.

use std::sync::Arc;

use super::disk::Tag;
use super::node::Node;
use super::violation::Violation;
use crate::block::EntryKind;
use crate::configuration::Configuration;
use crate::fingerprint::{Mixer, Naming};
use crate::raft::RoleName;
use crate::types::{EntryId, LogIndex, NodeId, Term};

/// A node as the checks see it.
#[derive(Debug)]
pub(super) struct View {
    pub(super) id: NodeId,
    pub(super) is_up: bool,
    pub(super) term: Term,
    pub(super) leads: bool,
    /// It waits for answers to a pre-vote.
    pub(super) asks: bool,
    /// It knows whom to ask for reads.
    pub(super) can_read: bool,
    /// The log in memory.
    pub(super) log: Vec<Tag>,
    /// The log on its disk.
    pub(super) disk: Vec<Tag>,
    pub(super) commit: LogIndex,
    pub(super) configuration: Option<Arc<Configuration>>,
    pub(super) pending: usize,
    /// Its election timer should have fired.
    pub(super) is_overdue: bool,
}

impl View {
    pub(super) fn new(node: &Node) -> Self {
        let raft = node.raft();
        Self {
            id: node.id,
            is_up: raft.is_some(),
            term: raft.map_or(Term(0), |raft| raft.hard_state().current_term),
            leads: raft.is_some_and(|raft| raft.role() == RoleName::Leader),
            asks: raft.is_some_and(|raft| raft.role() == RoleName::PreCandidate),
            can_read: raft.is_some_and(|raft| raft.leader_id().is_some()),
            log: node.log(),
            disk: node.disk.tags(),
            commit: raft.map_or(LogIndex::ZERO, |raft| raft.commit_index()),
            configuration: raft.and_then(|raft| raft.configuration().cloned()),
            pending: node.pending(),
            is_overdue: node.is_overdue(),
        }
    }

    fn holds(&self, tag: Tag, place: usize) -> bool {
        self.log.get(place) == Some(&tag)
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    leaders: Vec<(Term, NodeId)>,
    /// Each with the term of the leader that committed it.
    committed: Vec<(Tag, Term)>,
    pub(super) crashes: u8,
    pub(super) reads: u8,
    pub(super) repeats: u8,
}

/// By whom a node counts, and since which entry of its log.
#[derive(Clone, Copy)]
pub(super) struct Ballot<'a> {
    configuration: Option<&'a Configuration>,
    set_at: usize,
}

impl<'a> Ballot<'a> {
    pub(super) fn of(view: &'a View) -> Self {
        let entry = view.log.iter().rposition(|tag| tag.kind == EntryKind::Configuration);
        Self { configuration: view.configuration.as_deref(), set_at: entry.map_or(0, |place| place + 1) }
    }
}

impl History {
    /// What was committed by anybody.
    pub(super) fn committed(&self) -> LogIndex {
        LogIndex(self.committed.len() as u64)
    }

    /// Checks what became of one node among the `others`, and takes note of it. If the node commits something, it does by the
    /// majorities that were in force before; behind their own entry, once that is committed, by those that follow it.
    pub(super) fn witness<'a>(
        &mut self,
        [before, after]: [&View; 2],
        in_force: [Ballot<'_>; 2],
        others: impl Iterator<Item = &'a View> + Clone,
    ) -> Result<(), Violation> {
        if after.log != before.log {
            others.clone().try_for_each(|other| check_matching(after, other))?;
        }
        if after.leads && !(before.leads && before.term == after.term) {
            self.elected(after)?;
        }
        if before.is_up && after.is_up && after.commit < before.commit {
            let (node, before, after) = (after.id, before.commit, after.commit);
            return Err(Violation::CommitFell { node, before, after });
        }
        if after.is_up && (after.commit > before.commit || after.log != before.log) {
            self.commits(after, in_force, others)?;
        }
        Ok(())
    }

    /// `[Raft Figure 3]`: Election Safety, Leader Completeness.
    fn elected(&mut self, leader: &View) -> Result<(), Violation> {
        let (term, second) = (leader.term, leader.id);
        match self.leaders.iter().find(|(led, _)| *led == term) {
            Some(&(_, first)) if first != second => {
                return Err(Violation::TwoLeaders { term, first, second });
            }
            Some(_) => {}
            None => self.leaders.push((term, second)),
        }
        self.check_complete(leader)
    }

    fn check_complete(&self, leader: &View) -> Result<(), Violation> {
        for (place, (tag, committed_in)) in self.committed.iter().enumerate() {
            if *committed_in < leader.term && !leader.holds(*tag, place) {
                return Err(missing(leader, "leads a later term", *tag, place));
            }
        }
        Ok(())
    }

    fn commits<'a>(
        &mut self,
        node: &View,
        [before, next]: [Ballot<'_>; 2],
        mut others: impl Iterator<Item = &'a View> + Clone,
    ) -> Result<(), Violation> {
        let commit = usize::try_from(node.commit.0).expect("explored logs are short");
        for (place, (tag, _)) in self.committed.iter().enumerate().take(commit) {
            if !node.holds(*tag, place) {
                return Err(missing(node, "has committed that far", *tag, place));
            }
        }
        if commit <= self.committed.len() {
            return Ok(());
        }
        let seam = if before.set_at < next.set_at { before.set_at.min(commit) } else { commit };
        check_quorum(node, seam, before, others.clone())?;
        check_quorum(node, commit, next, others.clone())?;
        let new = node.log.iter().skip(self.committed.len()).take(commit - self.committed.len());
        self.committed.extend(new.map(|tag| (*tag, node.term)));
        let later = |other: &&View| other.leads && other.term > node.term;
        others.by_ref().filter(later).try_for_each(|leader| self.check_complete(leader))
    }

    pub(super) fn fingerprint_as(&self, naming: &dyn Naming) -> u128 {
        let Self { leaders, committed, crashes, reads, repeats } = self;
        let mut mixer = Mixer::new(naming);
        mixer.set(leaders, |mixer, (term, leader)| {
            mixer.term(*term);
            mixer.node(*leader);
        });
        mixer.list(committed, |mixer, (tag, term)| {
            mixer.term(tag.term);
            mixer.add(tag.kind as u64);
            mixer.term(*term);
        });
        [crashes, reads, repeats].into_iter().for_each(|count| mixer.add(u64::from(*count)));
        mixer.finish()
    }
}

fn missing(node: &View, what: &'static str, tag: Tag, place: usize) -> Violation {
    let committed = EntryId::new(tag.term, LogIndex(place as u64 + 1));
    Violation::CommittedEntryMissing {
        node: node.id,
        what,
        committed,
        found: node.log.get(place).map(|tag| tag.term),
    }
}

/// If two logs have an entry of the same index and term, they are equal up to there.
fn check_matching(node: &View, other: &View) -> Result<(), Violation> {
    let both = node.log.iter().zip(&other.log).enumerate();
    let agreed = both.clone().rev().find(|(_, (own, its))| own.term == its.term).map(|(place, _)| place);
    let Some(agreed) = agreed else { return Ok(()) };
    match both.take(agreed + 1).find(|(_, (own, its))| own != its) {
        None => Ok(()),
        Some((place, _)) => Err(Violation::LogsDiffer {
            first: node.id,
            second: other.id,
            agreed: EntryId::new(node.log[agreed].term, LogIndex(agreed as u64 + 1)),
            index: LogIndex(place as u64 + 1),
        }),
    }
}

/// The disks of a quorum hold the first `length` entries, which the leader calls committed; those of a joint configuration,
/// both quorums'.
fn check_quorum<'a>(
    leader: &View,
    length: usize,
    ballot: Ballot<'_>,
    others: impl Iterator<Item = &'a View> + Clone,
) -> Result<(), Violation> {
    let disk_of = |id: NodeId| {
        let own = (leader.id == id).then_some(leader);
        own.or_else(|| others.clone().find(|other| other.id == id)).map(|view| &view.disk)
    };
    let holds = |id: NodeId| disk_of(id).is_some_and(|disk| disk.get(..length) == leader.log.get(..length));
    let in_force = ballot.configuration.filter(|_| leader.leads && length <= leader.log.len());
    let quorum = in_force.map(|configuration| configuration.quorum().clone()).unwrap_or_default();
    let majority = |voters: &[NodeId]| {
        voters.is_empty() || voters.iter().filter(|id| holds(**id)).count() * 2 > voters.len()
    };
    if !quorum.incoming.is_empty() && majority(&quorum.incoming) && majority(&quorum.outgoing) {
        return Ok(());
    }
    let holders = quorum.voters().into_iter().filter(|id| holds(*id)).collect();
    Err(Violation::CommittedTooEarly { node: leader.id, index: LogIndex(length as u64), holders })
}
