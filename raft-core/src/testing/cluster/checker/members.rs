//! Changes of the members: one at a time, each quorum meeting every quorum of the configuration before. `[Raft §6]`

use std::sync::Arc;

use super::{Checker, Violation};
use crate::block::EntryRef;
use crate::configuration::Configuration;
use crate::quorum::{Quorum, VoteResult};
use crate::snapshot::SnapshotMeta;
use crate::testing::cluster::{node_id, observe};
use crate::time::Time;
use crate::types::{LogIndex, NodeId};

/// The configurations that a node starts with, ascending.
pub(super) fn recovered(
    snapshot: &SnapshotMeta,
    in_log: impl IntoIterator<Item = (LogIndex, Arc<Configuration>)>,
) -> Vec<(LogIndex, Arc<Configuration>)> {
    let covered = snapshot.configuration.clone().map(|members| (snapshot.configuration_index, members));
    let later = in_log.into_iter().filter(|(index, _)| *index > snapshot.configuration_index);
    covered.into_iter().chain(later).collect()
}

impl Checker {
    /// A node has written a configuration. `committed`: it leads, so that it is its own, and has committed so far.
    pub(super) fn check_configuration(
        &mut self,
        at: Time,
        place: usize,
        node: NodeId,
        entry: &EntryRef<'_>,
        committed: Option<LogIndex>,
    ) -> Result<(), Violation> {
        let Ok(configuration) = Configuration::decode(entry.payload) else { return Ok(()) };
        let index = entry.id.index;
        let known = self.configurations.entry(entry.id).or_insert_with(|| Arc::new(configuration.clone()));
        let shared = Arc::clone(known);
        let known = &mut self.views[place].configurations;
        let after = known.partition_point(|(earlier, _)| *earlier < index);
        let before = after.checked_sub(1).map(|at| known[at].clone());
        if known.get(after).is_none_or(|(same, _)| *same != index) {
            known.insert(after, (index, shared));
        }
        self.views[place].replaced = before.as_ref().map(|(_, members)| Arc::clone(members));
        let Some(((earlier, before), committed)) = before.zip(committed) else { return Ok(()) };
        observe::members_change(node, &before, &configuration);
        let reason = if earlier > committed {
            format!("the one at {earlier} is not committed")
        } else if !overlap(before.quorum(), configuration.quorum()) {
            format!("{:?} and {:?} have quorums apart", before.quorum(), configuration.quorum())
        } else if let Some((rival, members)) = self.rival(place, committed, &configuration) {
            format!(
                "{:?}, in force on n{rival}, and {:?} have quorums apart",
                members,
                configuration.quorum()
            )
        } else {
            return Ok(());
        };
        Err(Violation::MembersApart { at, node, entry: entry.id, reason })
    }

    /// A node whose log holds all that is committed, so that it may be elected, under a configuration that has a quorum apart
    /// from the one that the leader at `place`, who has committed through `committed`, appends. A leader that is deposed,
    /// and does not know what is committed by now, finds nobody to agree.
    fn rival(&self, place: usize, committed: LogIndex, next: &Configuration) -> Option<(usize, Quorum)> {
        let index = committed.max(LogIndex(self.committed()));
        let term = self.views[place].log.term_at(index)?;
        if self.committed_at(index).is_some_and(|committed| committed.term != term) {
            return None;
        }
        let others = self.views.iter().enumerate().filter(|(other, _)| *other != place);
        let electable = others.filter(|(_, view)| view.log.term_at(index) == Some(term));
        let in_force = electable.filter_map(|(other, view)| Some((other, &view.configurations.last()?.1)));
        let mut quorums = in_force.map(|(other, members)| (other, members.quorum()));
        quorums
            .find(|(_, quorum)| !overlap(quorum, next.quorum()))
            .map(|(other, quorum)| (other, quorum.clone()))
    }

    /// The configuration under which a leader committed through `index`, if it has appended another since, within one
    /// step.
    pub(super) fn replaced(&self, place: usize, index: LogIndex) -> Option<Arc<Configuration>> {
        let view = &self.views[place];
        let is_later = view.configurations.last().is_some_and(|(set_at, _)| *set_at > index);
        view.replaced.clone().filter(|_| is_later)
    }

    /// Everything in a node's log through `index` is committed.
    pub(super) fn agree(&mut self, place: usize, index: LogIndex) {
        let known = &self.views[place].configurations;
        let newest = known.iter().rev().find(|(set_at, _)| *set_at <= index);
        let before = self.agreed.as_ref().map_or(LogIndex::ZERO, |(set_at, _)| *set_at);
        if let Some((set_at, members)) = newest.filter(|(set_at, _)| *set_at > before) {
            self.agreed = Some((*set_at, Arc::clone(members)));
        }
    }

    /// Whether the node has ever believed, as far as its log goes, to be the only voter.
    pub(in crate::testing::cluster) fn is_lonely(&self, place: usize) -> bool {
        let id = node_id(place);
        let alone = |members: &Configuration| members.quorum().voters() == [id];
        self.views[place].configurations.iter().any(|(_, members)| alone(members))
    }

    /// The configurations in the node's log, ascending.
    pub(in crate::testing::cluster) fn configurations_of(
        &self,
        place: usize,
    ) -> impl DoubleEndedIterator<Item = &Configuration> {
        self.views[place].configurations.iter().map(|(_, members)| &**members)
    }

    /// The newest committed configuration.
    pub(in crate::testing::cluster) fn agreed(&self) -> Option<&Arc<Configuration>> {
        self.agreed.as_ref().map(|(_, members)| members)
    }

    /// The newest committed configuration, and all in any log that may still be committed.
    pub(in crate::testing::cluster) fn in_play(&self) -> impl Iterator<Item = &Arc<Configuration>> {
        let committed = LogIndex(self.committed());
        let all = self.views.iter().flat_map(|view| &view.configurations);
        let later = all.filter(move |(index, _)| *index > committed).map(|(_, members)| members);
        self.agreed().into_iter().chain(later)
    }
}

/// Whether no quorum of one can do without every quorum of the other.
fn overlap(before: &Quorum, after: &Quorum) -> bool {
    let mut voters = before.voters();
    voters.extend(after.voters());
    voters.sort_unstable();
    voters.dedup();
    let wins = |quorum: &Quorum, side: u32, wanted: bool| {
        let on_side = |id| voters.binary_search(&id).is_ok_and(|at| (side >> at & 1 == 1) == wanted);
        quorum.vote(|id| Some(on_side(id))) == VoteResult::Won
    };
    (0..1u32 << voters.len()).all(|side| !(wins(before, side, true) && wins(after, side, false)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quorum(incoming: &[u64], outgoing: &[u64]) -> Quorum {
        let ids = |ids: &[u64]| ids.iter().filter_map(|id| NodeId::new(*id)).collect();
        Quorum { incoming: ids(incoming), outgoing: ids(outgoing) }
    }

    #[test]
    fn one_voter_more_or_less_overlaps_and_two_do_not_unless_joint() {
        let three = quorum(&[1, 2, 3], &[]);
        assert!(overlap(&three, &quorum(&[1, 2, 3, 4], &[])));
        assert!(overlap(&three, &quorum(&[1, 2], &[])));
        assert!(!overlap(&three, &quorum(&[1, 2, 3, 4, 5], &[])));
        assert!(overlap(&three, &quorum(&[1, 2, 3, 4, 5], &[1, 2, 3])));
        assert!(overlap(&quorum(&[4, 5, 6], &[1, 2, 3]), &quorum(&[4, 5, 6], &[])));
    }
}
