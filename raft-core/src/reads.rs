//! Linearizable reads without log entries: the leader proves that it still leads. `[Ongaro §6.4]`
//!
//! Reads of one loop turn share a round. A round is a number that every message of the leader carries and every answer
//! echoes; a quorum of echoes at or above it, in this term, proves that no later leader existed when the round began.
//! At most one round is under way, so that its number of messages does not grow with the number of reads.
//!
//! Invariant (read-after-own-commit): no read gets its index before an entry of the leader's own term is committed; until
//! then it is parked, because the leader may not know yet what is committed.

use std::collections::VecDeque;

use crate::fingerprint::Mixer;
use crate::input::Ticket;
use crate::types::{LogIndex, NodeId};

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// This node's application.
    Local(Ticket),
    /// A follower, for its own readers.
    Follower {
        /// The follower.
        id: NodeId,
        /// Its name for them.
        request: u64,
    },
}

impl Reader {
    fn mix(self, mixer: &mut Mixer<'_>) {
        match self {
            Self::Local(Ticket(ticket)) => {
                mixer.add(0);
                mixer.add(ticket);
            }
            Self::Follower { id, request } => {
                mixer.add(1);
                mixer.node(id);
                mixer.request(request);
            }
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reads {
    parked: Vec<Reader>,
    waiting: VecDeque<Waiting>,
    /// The newest round that has begun.
    round: u64,
    /// The newest round that a quorum has answered.
    confirmed: u64,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    reader: Reader,
    round: u64,
    index: LogIndex,
}

impl Reads {
    /// The number that messages carry now.
    pub(crate) const fn round(&self) -> u64 {
        self.round
    }

    /// Whether a read waits for a quorum.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.parked.len() + self.waiting.len()
    }

    /// Takes a read; `commit_index` is `None` until an entry of the own term is committed.
    pub(crate) fn push(&mut self, reader: Reader, commit_index: Option<LogIndex>) {
        match commit_index {
            Some(index) => self.waiting.push_back(Waiting { reader, round: self.round + 1, index }),
            None => self.parked.push(reader),
        }
    }

    /// An entry of the own term is committed: parked reads get their index.
    pub(crate) fn unpark(&mut self, commit_index: LogIndex) {
        for reader in std::mem::take(&mut self.parked) {
            self.push(reader, Some(commit_index));
        }
    }

    /// Begins a round if reads wait for one and none is under way.
    pub(crate) fn begin_round(&mut self) -> bool {
        let wanted = self.waiting.back().is_some_and(|read| read.round > self.round);
        let begins = wanted && self.confirmed == self.round;
        self.round += u64::from(begins);
        begins
    }

    /// A quorum has answered `round`: gives back the reads that this proves, in order.
    pub(crate) fn confirm(&mut self, round: u64) -> impl Iterator<Item = (Reader, LogIndex)> {
        self.confirmed = self.confirmed.max(round.min(self.round));
        let proven = self.waiting.partition_point(|read| read.round <= self.confirmed);
        self.waiting.drain(..proven).map(|read| (read.reader, read.index))
    }

    pub(crate) fn mix(&self, mixer: &mut Mixer<'_>) {
        let Self { parked, waiting, round, confirmed } = self;
        mixer.list(parked, |mixer, reader| reader.mix(mixer));
        mixer.list(waiting, |mixer, read| {
            let Waiting { reader, round, index } = read;
            reader.mix(mixer);
            mixer.add(*round);
            mixer.index(*index);
        });
        mixer.add(*round);
        mixer.add(*confirmed);
    }

    /// All reads, proven or not, for refusing them.
    pub(crate) fn into_readers(self) -> impl Iterator<Item = Reader> {
        self.parked.into_iter().chain(self.waiting.into_iter().map(|read| read.reader))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn read(number: u64) -> Reader {
        Reader::Local(Ticket(number))
    }

    fn confirmed(reads: &mut Reads, round: u64) -> Vec<(u64, u64)> {
        let number = |reader| match reader {
            Reader::Local(Ticket(number)) => number,
            Reader::Follower { request, .. } => request,
        };
        reads.confirm(round).map(|(reader, index)| (number(reader), index.0)).collect()
    }

    #[test]
    fn a_read_is_proven_only_by_a_round_that_began_after_it() {
        let mut reads = Reads::default();
        reads.push(read(1), Some(LogIndex(5)));
        assert!(reads.begin_round());
        reads.push(read(2), Some(LogIndex(6)));
        assert!(!reads.begin_round(), "one round at a time");
        assert_eq!(confirmed(&mut reads, 1), [(1, 5)]);
        assert!(reads.begin_round());
        assert_eq!(confirmed(&mut reads, 1), []);
        assert_eq!(confirmed(&mut reads, 2), [(2, 6)]);
        assert!(!reads.begin_round());
    }

    #[test]
    fn an_answer_to_a_round_that_never_began_proves_nothing() {
        let mut reads = Reads::default();
        reads.push(read(1), Some(LogIndex(5)));
        assert_eq!(confirmed(&mut reads, 99), []);
        assert!(reads.begin_round());
        assert_eq!(confirmed(&mut reads, 1), [(1, 5)]);
    }

    #[test]
    fn a_parked_read_gets_the_commit_index_of_the_own_term() {
        let mut reads = Reads::default();
        reads.push(read(1), None);
        assert!(!reads.begin_round());
        reads.unpark(LogIndex(8));
        assert!(reads.begin_round());
        assert_eq!(confirmed(&mut reads, 1), [(1, 8)]);
    }
}
