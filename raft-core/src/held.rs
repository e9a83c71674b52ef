//! Messages that wait for the disk: vote requests and grants announce a term and a vote, and must not be heard before a
//! crash could no longer undo them. `[Raft Figure 2, "Updated on stable storage before responding to RPCs"]`

use crate::fingerprint::Mixer;
use crate::message::Message;
use crate::types::{NodeId, Term, WriteId};

/// Held messages, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held(Vec<HeldMessage>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct HeldMessage {
    until: WriteId,
    term: Term,
    to: NodeId,
    message: Message,
}

impl Held {
    /// Keeps `message` until write `until` is durable. `term` is the current one. What waits already is not kept again,
    /// however often it is asked for.
    pub(crate) fn push(&mut self, until: WriteId, term: Term, to: NodeId, message: Message) {
        let held = HeldMessage { until, term, to, message };
        if !self.0.contains(&held) {
            self.0.push(held);
        }
    }

    pub(crate) fn mix(&self, mixer: &mut Mixer<'_>, age: impl Fn(WriteId) -> u64) {
        mixer.set(&self.0, |mixer, held| {
            let HeldMessage { until, term, to, message } = held;
            mixer.add(age(*until));
            mixer.term(*term);
            mixer.node(*to);
            message.mix(mixer);
        });
    }

    /// The messages that may go, now that `durable(until)` holds. Those of a past term are dropped: what they announce
    /// is no longer true.
    pub(crate) fn release(
        &mut self,
        term: Term,
        durable: impl Fn(WriteId) -> bool,
    ) -> Vec<(NodeId, Message)> {
        self.0.retain(|held| held.term == term);
        let mut released = Vec::new();
        while self.0.first().is_some_and(|held| durable(held.until)) {
            let held = self.0.remove(0);
            released.push((held.to, held.message));
        }
        released
    }
}
