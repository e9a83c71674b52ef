//! The bounded queue in front of one outgoing connection.
//!
//! Invariant (lane-bound): messages waiting and messages being written together stay within [`LaneBounds`], but
//! for a single message that exceeds the byte bound alone: it is taken when nothing else is there, or it would
//! never leave.

use std::mem;
use std::sync::{Mutex, MutexGuard};

use raft_core::block::Block;
use raft_core::message::Message;
use tokio::sync::Notify;

/// How much one lane to one peer may hold. What does not fit is dropped, and the sender told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneBounds {
    /// Most messages.
    pub messages: usize,
    /// Most bytes.
    pub bytes: usize,
}

/// Bytes that a message takes beside its blocks, near enough.
const MESSAGE_BYTES: usize = 64;

/// Messages on their way to one connection: many producers, one writer.
#[derive(Debug)]
pub(crate) struct LaneQueue {
    bounds: LaneBounds,
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct State {
    open: bool,
    messages: Vec<Message>,
    waiting: Load,
    writing: Load,
}

#[derive(Clone, Copy, Debug, Default)]
struct Load {
    messages: usize,
    bytes: usize,
}

/// The queue is closed, or has no room; the message was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rejected;

impl LaneQueue {
    /// An empty, open queue.
    pub(crate) fn new(bounds: LaneBounds) -> Self {
        let state = Mutex::new(State { open: true, ..State::default() });
        Self { bounds, state, filled: Notify::new() }
    }

    /// Appends a message.
    pub(crate) fn push(&self, message: Message) -> Result<(), Rejected> {
        let mut state = self.state();
        let length = encoded_len(&message);
        let (messages, bytes) =
            (state.waiting.messages + state.writing.messages, state.waiting.bytes + state.writing.bytes);
        let fits = messages < self.bounds.messages && (messages == 0 || bytes + length <= self.bounds.bytes);
        if !state.open || !fits {
            return Err(Rejected);
        }
        state.waiting.messages += 1;
        state.waiting.bytes += length;
        state.messages.push(message);
        if state.messages.len() == 1 {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Waits for messages and moves all of them to `batch`, which is empty. Cancel-safe.
    pub(crate) async fn take(&self, batch: &mut Vec<Message>) {
        while !self.try_take(batch) {
            self.filled.notified().await;
        }
    }

    fn try_take(&self, batch: &mut Vec<Message>) -> bool {
        let mut state = self.state();
        if state.messages.is_empty() {
            return false;
        }
        mem::swap(&mut state.messages, batch);
        state.writing = mem::take(&mut state.waiting);
        true
    }

    /// What was taken has been handed to the kernel: its room is free again.
    pub(crate) fn written(&self) {
        self.state().writing = Load::default();
    }

    /// Takes messages again.
    pub(crate) fn open(&self) {
        self.state().open = true;
    }

    /// Drops what waits, gives up what was taken, and rejects every message until opened. The answer is how many
    /// messages that costs; `None` if the queue was closed already.
    pub(crate) fn close(&self) -> Option<usize> {
        let was = mem::take(&mut *self.state());
        was.open.then_some(was.waiting.messages + was.writing.messages)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the lock")
    }
}

fn encoded_len(message: &Message) -> usize {
    let blocks = match message {
        Message::AppendEntries(message) => message.blocks.iter().map(Block::encoded_bytes).sum(),
        _ => 0,
    };
    MESSAGE_BYTES + blocks
}

#[cfg(test)]
mod tests {
    use raft_core::block::{BlockBuilder, EntryKind};
    use raft_core::message::{AppendEntries, TimeoutNow};
    use raft_core::time::Time;
    use raft_core::types::{EntryId, LogIndex, Term};

    use super::*;

    fn small(term: u64) -> Message {
        Message::TimeoutNow(TimeoutNow { term: Term(term) })
    }

    fn large(payload_bytes: usize) -> Message {
        let mut builder = BlockBuilder::new();
        builder.push(EntryKind::Normal, &[&vec![0; payload_bytes]]);
        let blocks = vec![builder.finish(LogIndex(1), Term(1)).unwrap()];
        let (prev_entry, leader_commit) = (EntryId::ZERO, LogIndex::ZERO);
        Message::AppendEntries(AppendEntries {
            term: Term(1),
            prev_entry,
            blocks: blocks.into(),
            leader_commit,
            read_seq: 0,
            sent_at: Time::ZERO,
        })
    }

    #[tokio::test]
    async fn messages_being_written_count_towards_the_bound_until_they_are_written() {
        let queue = LaneQueue::new(LaneBounds { messages: 2, bytes: 1 << 20 });
        queue.push(small(1)).unwrap();
        queue.push(small(2)).unwrap();
        assert_eq!(queue.push(small(3)), Err(Rejected));
        let mut batch = Vec::new();
        queue.take(&mut batch).await;
        assert_eq!(batch, [small(1), small(2)]);
        assert_eq!(queue.push(small(3)), Err(Rejected));
        queue.written();
        queue.push(small(3)).unwrap();
    }

    #[test]
    fn bytes_are_bounded_but_a_single_message_over_the_bound_passes_alone() {
        let queue = LaneQueue::new(LaneBounds { messages: 100, bytes: 4096 });
        queue.push(large(1000)).unwrap();
        queue.push(large(1000)).unwrap();
        assert_eq!(queue.push(large(4000)), Err(Rejected));
        assert_eq!(queue.close(), Some(2));
        queue.open();
        queue.push(large(5000)).unwrap();
        assert_eq!(queue.push(small(1)), Err(Rejected));
    }

    #[tokio::test]
    async fn a_closed_queue_rejects_and_an_opened_one_starts_empty() {
        let queue = LaneQueue::new(LaneBounds { messages: 8, bytes: 4096 });
        queue.push(small(1)).unwrap();
        queue.take(&mut Vec::new()).await;
        queue.push(small(2)).unwrap();
        assert_eq!(queue.close(), Some(2));
        assert_eq!(queue.push(small(3)), Err(Rejected));
        assert_eq!(queue.close(), None);
        queue.open();
        queue.push(small(4)).unwrap();
        let mut batch = Vec::new();
        queue.take(&mut batch).await;
        assert_eq!(batch, [small(4)]);
    }
}
