//! Where the answers of one connection gather until its task writes them.
//!
//! Answers come from the node's task, many in one turn: each is encoded where it arises, into one buffer, and the
//! first one wakes the connection. So a turn of the node costs a connection one wake-up and one system call.
//!
//! Invariant (bounded-outbox): an answer is either small and its request was counted when it was taken, or it is
//! refused with `Busy` while more than [`FULL`] bytes wait for a client that does not read.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes};
use kv_client::protocol::{Answer, Refusal, Reply, encode_head};
use raft_core::types::LogIndex;
use raft_net::frame::WriteBuffer;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::limits::REPLY_LIMITS;
use super::waiting::{Lagging, Request, Ticket, Waiting};

/// Bytes that may wait to be written before looked-up values are refused.
const FULL: usize = 4 << 20;

/// What a request came to, but for its id.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    /// As in [`Reply`].
    pub(crate) revision: u64,
    /// As in [`Reply`].
    pub(crate) term: u64,
    /// As in [`Reply`].
    pub(crate) index: u64,
    /// As in [`Reply`].
    pub(crate) result: Result<Answer, Refusal>,
    /// The tail of the frame.
    pub(crate) tail: Bytes,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Debug)]
struct State {
    waiting: Waiting,
    lagging: Vec<Lagging>,
    frames: WriteBuffer,
    /// An answer did not fit a frame: the connection cannot go on.
    broken: bool,
}

/// How things stand with a connection's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// Requests that wait for their answer.
    pub(crate) waiting: usize,
    /// The least that any read had seen that was set aside; `None`: there is no such read.
    pub(crate) lagging: Option<LogIndex>,
    /// Whether the client does not read what is there for it.
    pub(crate) full: bool,
    /// When to call [`Outbox::expire`]; `None`: nothing waits.
    pub(crate) wake_at: Option<Instant>,
}

/// What a look-up is worth at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// Do it.
    Wanted,
    /// The client does not read what is there for it already.
    Full,
    /// Its deadline has passed.
    Over,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        let frames = WriteBuffer::new(REPLY_LIMITS);
        let state = State { waiting: Waiting::default(), lagging: Vec::new(), frames, broken: false };
        Self { state: Mutex::new(state), filled: Notify::new() }
    }

    /// A panic under the lock ends the process before anyone can look.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a request; its answer comes by [`answer`](Self::answer).
    pub(crate) fn add(&self, request: Request) -> Ticket {
        self.state().waiting.add(request)
    }

    /// How things stand.
    pub(crate) fn view(&self) -> View {
        let state = self.state();
        View {
            waiting: state.waiting.len(),
            lagging: state.lagging.iter().map(|read| read.seen).min(),
            full: state.is_full(),
            wake_at: state.waiting.wake_at(),
        }
    }

    /// Whether a look-up for `ticket` is worth doing.
    pub(crate) fn demand(&self, ticket: Ticket) -> Demand {
        let state = self.state();
        match state.waiting.contains(ticket) {
            false => Demand::Over,
            true if state.is_full() => Demand::Full,
            true => Demand::Wanted,
        }
    }

    /// Answers a request, unless its deadline has passed.
    pub(crate) fn answer(&self, ticket: Ticket, answered: Answered) {
        let mut state = self.state();
        if let Some(request) = state.waiting.remove(ticket) {
            state.push(request.id, answered);
            drop(state);
            self.filled.notify_one();
        }
    }

    /// Sets a read aside until more is applied. `then` is what to answer if its deadline passes before.
    pub(crate) fn set_aside(&self, lagging: Lagging, then: Refusal) {
        let mut state = self.state();
        if let Some(request) = state.waiting.get_mut(lagging.ticket) {
            request.then = then;
            state.lagging.push(lagging);
            drop(state);
            self.filled.notify_one();
        }
    }

    /// Takes the reads that were set aside.
    pub(crate) fn take_lagging(&self) -> Vec<Lagging> {
        std::mem::take(&mut self.state().lagging)
    }

    /// Answers the requests whose deadline has passed; `answered` adds the numbers of the reply.
    pub(crate) fn expire(&self, now: Instant, answered: impl Fn(Refusal) -> Answered) {
        let mut state = self.state();
        for request in state.waiting.expire(now) {
            state.push(request.id, answered(request.then));
        }
        let State { waiting, lagging, .. } = &mut *state;
        lagging.retain(|read| waiting.contains(read.ticket));
    }

    /// Answers something that never waited.
    pub(crate) fn answer_now(&self, id: u64, answered: Answered) {
        self.state().push(id, answered);
    }

    /// Moves what is to be written into `out`, which has been written whole. False if the connection cannot go on.
    pub(crate) fn take_frames(&self, out: &mut WriteBuffer) -> bool {
        let mut state = self.state();
        debug_assert!(!out.has_remaining(), "what was taken before is written first");
        std::mem::swap(&mut state.frames, out);
        !state.broken
    }

    /// Waits until there may be something to take or to look at.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// The connection is over: answers go nowhere from now on.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.waiting.clear();
        state.lagging.clear();
    }
}

impl State {
    fn is_full(&self) -> bool {
        self.frames.remaining() > FULL
    }

    fn push(&mut self, id: u64, answered: Answered) {
        let Answered { revision, term, index, result, tail } = answered;
        let head = encode_head(&Reply { id, revision, term, index, result });
        if let Err(error) = self.frames.push(&head, [&tail]) {
            tracing::error!(%error, "an answer exceeds the limits of the protocol; closing the connection");
            self.broken = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kv_client::protocol::Reason;

    use super::super::budget::Budget;
    use super::*;

    fn answered(tail: usize) -> Answered {
        let result = Ok(Answer::Value(None));
        Answered { revision: 1, term: 1, index: 1, result, tail: vec![0; tail].into() }
    }

    fn request(id: u64, millis: u64) -> Request {
        let deadline = Instant::now() + Duration::from_millis(millis);
        Request { id, deadline, then: Refusal::Unknown(Reason::DeadlinePassed) }
    }

    fn taken(outbox: &Outbox) -> usize {
        let mut out = WriteBuffer::new(REPLY_LIMITS);
        assert!(outbox.take_frames(&mut out));
        out.remaining()
    }

    #[test]
    fn a_request_is_answered_once_by_its_outcome_or_by_its_deadline() {
        let outbox = Outbox::new();
        let (first, second) = (outbox.add(request(1, 60_000)), outbox.add(request(2, 0)));
        outbox.answer(first, answered(0));
        assert!(taken(&outbox) > 0);
        outbox.expire(Instant::now(), |then| Answered { result: Err(then), ..answered(0) });
        assert!(taken(&outbox) > 0);
        for ticket in [first, second] {
            outbox.answer(ticket, answered(0));
            assert_eq!(outbox.demand(ticket), Demand::Over);
        }
        assert_eq!((taken(&outbox), outbox.view().waiting), (0, 0));
    }

    #[test]
    fn values_are_refused_while_a_client_does_not_read() {
        let outbox = Outbox::new();
        let tickets = [1, 2, 3].map(|id| outbox.add(request(id, 60_000)));
        for ticket in &tickets[..2] {
            assert_eq!(outbox.demand(*ticket), Demand::Wanted);
            outbox.answer(*ticket, answered(FULL / 2 + 1));
        }
        assert_eq!(outbox.demand(tickets[2]), Demand::Full);
        assert!(taken(&outbox) > FULL);
        assert_eq!(outbox.demand(tickets[2]), Demand::Wanted);
    }

    #[test]
    fn an_answer_that_no_frame_can_carry_breaks_the_connection_and_not_the_node() {
        let outbox = Outbox::new();
        outbox.answer_now(1, answered(REPLY_LIMITS.tail_bytes as usize + 1));
        assert!(!outbox.take_frames(&mut WriteBuffer::new(REPLY_LIMITS)));
    }

    #[test]
    fn a_read_that_was_set_aside_and_expires_says_what_it_waited_for() {
        let outbox = Outbox::new();
        let ticket = outbox.add(request(1, 0));
        let query = kv_client::protocol::Query::Get { key: b"k".to_vec() };
        let then = Refusal::RevisionNotReached { wanted: 9, found: 4 };
        let share = Budget::new(0).try_take(1).unwrap();
        let lagging = Lagging { share, ticket, min_revision: 9, query, seen: LogIndex(3) };
        outbox.set_aside(lagging, then.clone());
        assert_eq!(outbox.view().lagging, Some(LogIndex(3)));
        outbox.expire(Instant::now(), |said| {
            assert_eq!(said, then);
            answered(0)
        });
        assert_eq!(outbox.view().lagging, None);
        assert!(taken(&outbox) > 0);
    }
}
