//! Reads that a follower passes on to its leader: the leader says up to where to apply, the follower serves them.
//! `[Ongaro §6.4]`
//!
//! Reads of one loop turn travel as one request. A lost request or answer is not repeated: after an election timeout its
//! reads are refused, and whoever asked asks again.
//!
//! Invariant (request-once): a request's name is never used twice, not even by another life of this node: the late answer
//! to an older request would let newer reads miss what was committed in between. Names start at random.

use std::collections::VecDeque;
use std::time::Duration;

use crate::fingerprint::{Mixer, Moment};
use crate::input::Ticket;
use crate::message::ReadProof;
use crate::time::Time;

/// See the module. Bounded by the caller, see [`len`](Self::len).
#[derive(Clone, Debug, Default)]
pub(crate) struct Forwarded {
    /// Of this turn, not sent yet.
    gathered: Vec<Ticket>,
    /// What all of them accept.
    proof: ReadProof,
    /// On their way, oldest first.
    sent: VecDeque<Sent>,
}

#[derive(Clone, Debug)]
struct Sent {
    request: u64,
    at: Time,
    tickets: Vec<Ticket>,
}

impl Forwarded {
    /// Reads that wait.
    pub(crate) fn len(&self) -> usize {
        self.gathered.len() + self.sent.iter().map(|sent| sent.tickets.len()).sum::<usize>()
    }

    /// Takes a read. Of mixed proofs the stronger one is asked for.
    pub(crate) fn gather(&mut self, ticket: Ticket, proof: ReadProof) {
        if self.gathered.is_empty() || proof == ReadProof::Quorum {
            self.proof = proof;
        }
        self.gathered.push(ticket);
    }

    /// Makes one request of what was gathered, if anything was.
    pub(crate) fn send(&mut self, request: u64, at: Time) -> Option<ReadProof> {
        if self.gathered.is_empty() {
            return None;
        }
        let tickets = std::mem::take(&mut self.gathered);
        self.sent.push_back(Sent { request, at, tickets });
        Some(self.proof)
    }

    /// The reads of `request`, which is answered.
    pub(crate) fn answered(&mut self, request: u64) -> Vec<Ticket> {
        let at = self.sent.iter().position(|sent| sent.request == request);
        at.and_then(|at| self.sent.remove(at)).map_or_else(Vec::new, |sent| sent.tickets)
    }

    /// When the oldest request was sent.
    pub(crate) fn oldest(&self) -> Option<Time> {
        self.sent.front().map(|sent| sent.at)
    }

    /// The reads of requests that were sent `timeout` ago or earlier.
    pub(crate) fn expire(&mut self, now: Time, timeout: Duration) -> Vec<Ticket> {
        let expired = self.sent.partition_point(|sent| sent.at + timeout <= now);
        self.sent.drain(..expired).flat_map(|sent| sent.tickets).collect()
    }

    pub(crate) fn mix(&self, mixer: &mut Mixer<'_>, moment: Moment) {
        let Self { gathered, proof, sent } = self;
        mixer.list(gathered, |mixer, ticket| mixer.add(ticket.0));
        // Without reads to send it is what is left of the ones before.
        mixer.add(if gathered.is_empty() { 0 } else { *proof as u64 });
        mixer.list(sent, |mixer, sent| {
            let Sent { request, at, tickets } = sent;
            mixer.request(*request);
            mixer.flag(moment.is_recent(*at));
            mixer.list(tickets, |mixer, ticket| mixer.add(ticket.0));
        });
    }

    /// All reads, for refusing them.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Ticket> {
        let Self { gathered, sent, .. } = std::mem::take(self);
        sent.into_iter().flat_map(|sent| sent.tickets).chain(gathered)
    }
}
