//! The requests of one connection that wait for their answer, and when each has waited long enough.
//!
//! One timer serves them all: [`Waiting::wake_at`] is never later than the earliest deadline, but may be earlier,
//! because an answered request leaves it as it is. So an answer costs one look-up, and the requests are looked
//! through only when the timer fires: about once per deadline's length, not once per request.

use std::collections::HashMap;

use kv_client::protocol::{Query, Refusal};
use raft_core::types::LogIndex;
use tokio::time::Instant;

use super::budget::Share;

/// Names one request of a connection. Never used twice, unlike the ids that clients choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ticket(u64);

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// The client's name for it.
    pub(crate) id: u64,
    /// When to answer at the latest.
    pub(crate) deadline: Instant,
    /// What to answer then.
    pub(crate) then: Refusal,
}

/// A read that waits for the store to reach a revision.
#[derive(Debug)]
pub(crate) struct Lagging {
    /// The memory that it takes.
    pub(crate) share: Share,
    /// The request.
    pub(crate) ticket: Ticket,
    /// The revision it waits for.
    pub(crate) min_revision: u64,
    /// What it looks up.
    pub(crate) query: Query,
    /// The last entry that was applied when it looked.
    pub(crate) seen: LogIndex,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    requests: HashMap<Ticket, Request>,
    last_ticket: u64,
    wake_at: Option<Instant>,
}

impl Waiting {
    /// Adds a request.
    pub(crate) fn add(&mut self, request: Request) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.wake_at = Some(self.wake_at.map_or(request.deadline, |wake_at| wake_at.min(request.deadline)));
        self.requests.insert(ticket, request);
        ticket
    }

    /// Takes a request that is being answered; `None` if it has been answered already.
    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<Request> {
        self.requests.remove(&ticket)
    }

    /// Whether the request still waits.
    pub(crate) fn contains(&self, ticket: Ticket) -> bool {
        self.requests.contains_key(&ticket)
    }

    /// The request, while it waits.
    pub(crate) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut Request> {
        self.requests.get_mut(&ticket)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.requests.len()
    }

    /// When to call [`expire`](Self::expire); `None`: never, as it stands.
    pub(crate) const fn wake_at(&self) -> Option<Instant> {
        self.wake_at
    }

    /// Takes the requests whose deadline is not after `now`.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Request> {
        if self.wake_at.is_none_or(|wake_at| now < wake_at) {
            return Vec::new();
        }
        let expired = self.requests.extract_if(|_, request| request.deadline <= now);
        let expired = expired.map(|(_, request)| request).collect();
        self.wake_at = self.requests.values().map(|request| request.deadline).min();
        expired
    }

    /// Forgets all requests: nobody is there for their answers.
    pub(crate) fn clear(&mut self) {
        self.requests.clear();
        self.wake_at = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn request(id: u64, deadline: Instant) -> Request {
        Request { id, deadline, then: Refusal::Busy }
    }

    fn ids(requests: Vec<Request>) -> Vec<u64> {
        let mut ids: Vec<_> = requests.into_iter().map(|request| request.id).collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn requests_expire_at_their_deadlines_whatever_their_order() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut waiting = Waiting::default();
        assert_eq!(waiting.wake_at(), None);
        for (id, deadline) in [(1, at(30)), (2, at(10)), (3, at(20)), (4, at(10))] {
            waiting.add(request(id, deadline));
        }
        assert_eq!(waiting.wake_at(), Some(at(10)));
        assert_eq!(ids(waiting.expire(at(9))), [0; 0]);
        assert_eq!(ids(waiting.expire(at(10))), [2, 4]);
        assert_eq!(waiting.wake_at(), Some(at(20)));
        assert_eq!(ids(waiting.expire(at(99))), [1, 3]);
        assert_eq!((waiting.wake_at(), waiting.len()), (None, 0));
    }

    #[test]
    fn an_answered_request_does_not_expire_and_an_expired_one_is_not_answered() {
        let now = Instant::now();
        let mut waiting = Waiting::default();
        let (first, second) = (waiting.add(request(7, now)), waiting.add(request(7, now)));
        assert_eq!(waiting.remove(first), Some(request(7, now)));
        assert_eq!(waiting.remove(first), None);
        assert_eq!(ids(waiting.expire(now)), [7]);
        assert_eq!(waiting.remove(second), None);
    }

    #[test]
    fn the_timer_is_never_later_than_a_deadline() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut waiting = Waiting::default();
        let early = waiting.add(request(1, at(5)));
        waiting.add(request(2, at(50)));
        waiting.remove(early);
        assert!(waiting.wake_at() <= Some(at(50)));
        assert_eq!(ids(waiting.expire(at(5))), [0; 0]);
        assert_eq!(waiting.wake_at(), Some(at(50)));
        waiting.add(request(3, at(20)));
        assert_eq!(waiting.wake_at(), Some(at(20)));
    }
}
