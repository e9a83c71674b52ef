//! A state of the whole cluster, in a few numbers.

/// Places for nodes.
pub(super) const NODES: usize = 5;
/// Places for messages in flight.
pub(super) const MESSAGES: usize = 6;

/// No message, or no node.
const NONE: u32 = u32::MAX;

/// Numbers of local states, of messages in flight and of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    nodes: [u32; NODES],
    /// Ascending, each once: which of two equal messages arrives makes no difference, and arriving twice is an action.
    messages: [u32; MESSAGES],
    pub(super) history: u32,
}

impl State {
    pub(super) fn new(nodes: &[u32], history: u32) -> Self {
        let mut state = Self { nodes: [NONE; NODES], messages: [NONE; MESSAGES], history };
        state.nodes[..nodes.len()].copy_from_slice(nodes);
        state
    }

    pub(super) fn nodes(&self) -> &[u32] {
        let count = self.nodes.iter().take_while(|node| **node != NONE).count();
        &self.nodes[..count]
    }

    pub(super) fn set_node(&mut self, slot: usize, node: u32) {
        self.nodes[slot] = node;
    }

    pub(super) fn messages(&self) -> &[u32] {
        let count = self.messages.iter().take_while(|message| **message != NONE).count();
        &self.messages[..count]
    }

    pub(super) fn remove_message(&mut self, place: usize) {
        self.messages.copy_within(place + 1.., place);
        self.messages[MESSAGES - 1] = NONE;
    }

    /// Sends a message, unless `limit` of them are in flight: then it says so.
    pub(super) fn add_message(&mut self, message: u32, limit: usize) -> bool {
        let in_flight = self.messages();
        let Err(place) = in_flight.binary_search(&message) else { return true };
        let fits = in_flight.len() < limit.min(MESSAGES);
        if fits {
            self.messages.copy_within(place..MESSAGES - 1, place + 1);
            self.messages[place] = message;
        }
        fits
    }
}
