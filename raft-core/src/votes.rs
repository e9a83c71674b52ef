//! The answers to one campaign.

use crate::fingerprint::Mixer;
use crate::quorum::{Quorum, VoteResult};
use crate::types::NodeId;

/// Who answered what. A grant stands: the voter has promised it to nobody else. A refusal may turn into a grant, because
/// a voter that still heard from a leader when it was asked first may be asked again by a repeated message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Votes(Vec<(NodeId, bool)>);

impl Votes {
    pub(crate) fn record(&mut self, voter: NodeId, granted: bool) {
        match self.0.iter_mut().find(|(id, _)| *id == voter) {
            Some((_, earlier)) => *earlier |= granted,
            None => self.0.push((voter, granted)),
        }
    }

    fn answer(&self, voter: NodeId) -> Option<bool> {
        self.0.iter().find(|(id, _)| *id == voter).map(|(_, granted)| *granted)
    }

    pub(crate) fn mix(&self, mixer: &mut Mixer<'_>) {
        mixer.set(&self.0, |mixer, (voter, granted)| {
            mixer.node(*voter);
            mixer.flag(*granted);
        });
    }

    /// Only voters of `quorum` count; others may have answered.
    pub(crate) fn result(&self, quorum: &Quorum) -> VoteResult {
        quorum.vote(|voter| self.answer(voter))
    }
}
