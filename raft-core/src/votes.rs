//! The answers to one campaign.

use crate::quorum::{Quorum, VoteResult};
use crate::types::NodeId;

/// Who answered what; the first answer of a voter counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Votes(Vec<(NodeId, bool)>);

impl Votes {
    pub(crate) fn record(&mut self, voter: NodeId, granted: bool) {
        if self.answer(voter).is_none() {
            self.0.push((voter, granted));
        }
    }

    fn answer(&self, voter: NodeId) -> Option<bool> {
        self.0.iter().find(|(id, _)| *id == voter).map(|(_, granted)| *granted)
    }

    /// Only voters of `quorum` count; others may have answered.
    pub(crate) fn result(&self, quorum: &Quorum) -> VoteResult {
        quorum.vote(|voter| self.answer(voter))
    }
}
