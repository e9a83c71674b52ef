//! Sessions: what makes a command apply once, however many copies of it are in the log. `[Ongaro §6.3]`
//!
//! A client may have up to [`SESSION_WINDOW`] requests in flight. Each names its session, its own sequence and the
//! lowest sequence whose reply the client still waits for. The store keeps the replies from that sequence on.
//!
//! Invariant (apply once): a sequence below `lowest` is never applied; one with a reply is never applied again;
//! a reply is forgotten only when `lowest` passes it.
//! Invariant (bounded): every kept reply lies in `lowest..lowest + SESSION_WINDOW`, because each tag keeps to
//! the window ([`SessionTag::check`]) and `lowest` never goes back; and there are at most [`MAX_SESSIONS`]
//! sessions: one more takes the place of the one that was idle longest, by cluster time. So sessions whose clients
//! ended without closing them keep nobody from writing; and a client whose session is gone is told so, never
//! answered as if its request were new.

use imbl::OrdMap;
#[cfg(doc)]
use kv_client::command::SESSION_WINDOW;
use kv_client::command::{Outcome, SessionTag};

use super::Applied;
use super::hash::HashSum;
use super::record;

/// How many sessions may be open. It bounds what sessions may cost: 10,000 of them, each with a whole window of
/// unacknowledged replies, take some 600 MB.
pub const MAX_SESSIONS: u64 = 10_000;

/// One session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// Lowest sequence whose reply the client still waits for.
    pub(super) lowest: u64,
    /// Cluster time of its last request, or of its opening, in microseconds.
    pub(super) last_active: u64,
    /// Replies from `lowest` on, by sequence.
    pub(super) replies: OrdMap<u64, Applied>,
}

/// What to do with a request.
pub(super) enum Admission {
    /// Apply it, then [`Sessions::remember`] the reply.
    New,
    /// It was applied before and came to this.
    Applied(Applied),
    /// Do not apply it.
    Refused(Outcome),
}

/// All open sessions by id. Cloning costs O(1).
///
/// Invariant (sum): `sum` is that of the records of all sessions and replies.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions {
    map: OrdMap<u64, Session>,
    sum: HashSum,
}

impl Sessions {
    /// Opens session `id`, the index of the entry that asks for it. O(1), but O(sessions) when there are as many
    /// as there may be.
    pub(super) fn open(&mut self, id: u64, now: u64) -> Outcome {
        if self.len() >= MAX_SESSIONS
            && let Some(idlest) = self.idlest()
        {
            self.close(idlest);
        }
        self.insert(id, 0, now);
        Outcome::SessionOpened { session: id }
    }

    /// The session whose last request is longest ago; of several the oldest.
    fn idlest(&self) -> Option<u64> {
        let idlest = self.map.iter().min_by_key(|(id, session)| (session.last_active, **id));
        idlest.map(|(&id, _)| id)
    }

    /// Closes session `id` and forgets its replies.
    pub(super) fn close(&mut self, id: u64) -> Outcome {
        let Some(session) = self.map.remove(&id) else {
            return Outcome::SessionUnknown { session: id };
        };
        self.sum.remove(&record::session(id, session.lowest, session.last_active));
        for (&sequence, applied) in &session.replies {
            self.sum.remove(&record::reply(id, sequence, applied));
        }
        Outcome::Done
    }

    /// Decides about the request that `tag` names, and forgets the replies that its client no longer waits for.
    pub(super) fn admit(&mut self, tag: SessionTag, now: u64) -> Admission {
        let id = tag.session;
        let Some(session) = self.map.get_mut(&id) else {
            return Admission::Refused(Outcome::SessionUnknown { session: id });
        };
        if tag.sequence < session.lowest {
            return Admission::Refused(Outcome::SequenceStale { lowest: session.lowest });
        }
        self.sum.remove(&record::session(id, session.lowest, session.last_active));
        session.lowest = session.lowest.max(tag.lowest_unacknowledged);
        session.last_active = now;
        self.sum.add(&record::session(id, session.lowest, session.last_active));
        while let Some(&(sequence, applied)) = session.replies.get_min()
            && sequence < session.lowest
        {
            self.sum.remove(&record::reply(id, sequence, &applied));
            session.replies.remove(&sequence);
        }
        session.replies.get(&tag.sequence).map_or(Admission::New, |applied| Admission::Applied(*applied))
    }

    /// Keeps the reply to a request that was admitted as new; unless the request closed its own session.
    pub(super) fn remember(&mut self, tag: SessionTag, applied: Applied) {
        if let Some(session) = self.map.get_mut(&tag.session) {
            self.sum.add(&record::reply(tag.session, tag.sequence, &applied));
            session.replies.insert(tag.sequence, applied);
        }
    }

    /// Adds a session whose id comes after all others; else `None`.
    pub(super) fn push(&mut self, id: u64, lowest: u64, last_active: u64) -> Option<()> {
        if self.map.get_max().is_some_and(|&(last, _)| last >= id) {
            return None;
        }
        self.insert(id, lowest, last_active);
        Some(())
    }

    /// Adds a reply to the last session, after all its others; else `None`.
    pub(super) fn push_reply(&mut self, id: u64, sequence: u64, applied: Applied) -> Option<()> {
        let last = self.map.get_max()?.0;
        let session = self.map.get_mut(&id).filter(|_| last == id)?;
        if session.replies.get_max().is_some_and(|&(last, _)| last >= sequence) {
            return None;
        }
        self.sum.add(&record::reply(id, sequence, &applied));
        session.replies.insert(sequence, applied);
        Some(())
    }

    fn insert(&mut self, id: u64, lowest: u64, last_active: u64) {
        self.sum.add(&record::session(id, lowest, last_active));
        self.map.insert(id, Session { lowest, last_active, replies: OrdMap::new() });
    }

    /// All sessions, ascending by id.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Session)> {
        self.map.iter().map(|(&id, session)| (id, session))
    }

    /// How many are open.
    pub(super) fn len(&self) -> u64 {
        self.map.len() as u64
    }

    /// The sum over all sessions and replies.
    pub(super) const fn sum(&self) -> HashSum {
        self.sum
    }
}
