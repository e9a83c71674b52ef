//! Majority arithmetic: pure functions over sorted sets of voters, no Raft state.
//!
//! A joint configuration needs a majority of both sets; an empty set agrees to everything, so that the simple case is
//! the joint one with nothing outgoing. `[Raft §6]`

use smallvec::SmallVec;

use crate::types::NodeId;

/// Where a vote stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VoteResult {
    /// A quorum granted.
    Won,
    /// So many refused that no quorum can grant any more.
    Lost,
    /// Neither yet.
    Pending,
}

/// The voters that count, in one majority or two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Quorum {
    /// Voters of the configuration (of the new one, while joint), ascending.
    pub incoming: Vec<NodeId>,
    /// Voters of the old configuration while joint, ascending; else empty.
    pub outgoing: Vec<NodeId>,
}

impl Quorum {
    /// Whether `id` is a voter in either set.
    #[must_use]
    pub fn contains(&self, id: NodeId) -> bool {
        self.incoming.binary_search(&id).is_ok() || self.outgoing.binary_search(&id).is_ok()
    }

    /// Every voter once, ascending.
    #[must_use]
    pub fn voters(&self) -> Vec<NodeId> {
        let mut all: Vec<_> = self.incoming.iter().chain(&self.outgoing).copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The highest value that a quorum has reached, where `value(voter)` says how far one voter is.
    ///
    /// With match indexes: what is stored on a quorum. With send times: since when a quorum follows. The default
    /// value (zero) if there are no voters at all.
    pub fn reached<T: Ord + Copy + Default>(&self, mut value: impl FnMut(NodeId) -> T) -> T {
        let outgoing = if mutant!(JointCommitsByNew) { &[] } else { self.outgoing.as_slice() };
        let mut majority = |voters: &[NodeId]| {
            if voters.is_empty() {
                return None;
            }
            let mut values = SmallVec::<[T; 9]>::new();
            for &voter in voters {
                values.push(value(voter));
            }
            values.sort_unstable();
            // With n values ascending, n/2 + 1 of them are at or above the one at (n-1)/2.
            let enough = (values.len() - 1) / 2 + usize::from(mutant!(CommitMinority));
            values.get(enough).copied()
        };
        match (majority(&self.incoming), majority(outgoing)) {
            (Some(incoming), Some(outgoing)) => incoming.min(outgoing),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => T::default(),
        }
    }

    /// The state of a vote in which `answer(voter)` is what one voter said, if it did.
    pub fn vote(&self, mut answer: impl FnMut(NodeId) -> Option<bool>) -> VoteResult {
        let outgoing = if mutant!(JointElectsByNew) { &[] } else { self.outgoing.as_slice() };
        let mut majority = |voters: &[NodeId]| {
            let (mut granted, mut open) = (0, 0);
            for &voter in voters {
                match answer(voter) {
                    Some(true) => granted += 1,
                    Some(false) => {}
                    None => open += 1,
                }
            }
            let needed = voters.len() / 2 + 1;
            match (voters.is_empty() || granted >= needed, granted + open >= needed) {
                (true, _) => VoteResult::Won,
                (false, true) => VoteResult::Pending,
                (false, false) => VoteResult::Lost,
            }
        };
        if self.incoming.is_empty() && self.outgoing.is_empty() {
            return VoteResult::Lost;
        }
        match (majority(&self.incoming), majority(outgoing)) {
            (VoteResult::Won, VoteResult::Won) => VoteResult::Won,
            (VoteResult::Lost, _) | (_, VoteResult::Lost) => VoteResult::Lost,
            (VoteResult::Pending, _) | (_, VoteResult::Pending) => VoteResult::Pending,
        }
    }
}

#[cfg(test)]
mod tests;
