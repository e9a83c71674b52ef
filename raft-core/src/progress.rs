//! What a leader knows about one peer: how far it matches, what to send next, what is on its way.
//!
//! Invariant (progress): `match_index < next_index`, but while the peer mends a hole in its log. `match_index` only rises
//! within a term, and only by an acknowledgement of that term; in `Replicate`, `next_index` runs ahead of it by what is in
//! flight.

use std::collections::VecDeque;

use crate::fingerprint::{Mixer, Moment};
use crate::time::Time;
use crate::types::{LogIndex, NodeId};

/// All peers, ascending by id. They are few and asked for in every step: a search through a list beats a tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peers(Vec<(NodeId, Progress)>);

impl Peers {
    pub(crate) fn get(&self, id: NodeId) -> Option<&Progress> {
        self.iter().find(|(peer, _)| *peer == id).map(|(_, progress)| progress)
    }

    pub(crate) fn get_mut(&mut self, id: NodeId) -> Option<&mut Progress> {
        self.iter_mut().find(|(peer, _)| *peer == id).map(|(_, progress)| progress)
    }

    pub(crate) fn get_or_insert_with(&mut self, id: NodeId, new: impl FnOnce() -> Progress) -> &mut Progress {
        let at = self.0.binary_search_by_key(&id, |(peer, _)| *peer).unwrap_or_else(|at| {
            self.0.insert(at, (id, new()));
            at
        });
        &mut self.0[at].1
    }

    pub(crate) fn retain(&mut self, mut stays: impl FnMut(NodeId) -> bool) {
        self.0.retain(|(peer, _)| stays(*peer));
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = NodeId> {
        self.iter().map(|(peer, _)| peer)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (NodeId, &Progress)> {
        self.0.iter().map(|(peer, progress)| (*peer, progress))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (NodeId, &mut Progress)> {
        self.0.iter_mut().map(|(peer, progress)| (*peer, progress))
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    /// `matchIndex` of `[Raft Figure 2]`.
    pub(crate) match_index: LogIndex,
    /// `nextIndex` of `[Raft Figure 2]`.
    pub(crate) next_index: LogIndex,
    pub(crate) state: ProgressState,
    /// When the peer was last heard from.
    pub(crate) heard_at: Time,
    /// Newest read round it has answered.
    pub(crate) read_seq: u64,
    /// When the newest message was sent that it has answered, by the leader's clock.
    pub(crate) answered_at: Time,
    /// A learner's way to becoming a voter.
    pub(crate) catch_up: Option<CatchUp>,
    /// It denies having what it has acknowledged: a disk that lies, or a folder put back from an old copy.
    pub(crate) lost_acknowledged: bool,
    /// It has lost entries of its log, and would decline to lead.
    pub(crate) has_hole: bool,
    /// A read of the log for this peer is under way.
    pub(crate) fetching: Option<u64>,
}

/// One round of catching up: when the peer has what the log held as the round began, a short round shows that it keeps
/// pace. `[Ongaro §4.2.1]`
#[derive(Clone, Copy, Debug)]
pub(crate) struct CatchUp {
    pub(crate) target: LogIndex,
    pub(crate) began: Time,
}

/// How the peer is fed.
#[derive(Clone, Debug)]
pub(crate) enum ProgressState {
    /// Where the logs meet is unknown: one message at a time, the next after an answer or at `retry_at`.
    Probe {
        /// `None`: may send now.
        retry_at: Option<Time>,
    },
    /// The logs meet: messages follow each other without waiting, up to the window.
    Replicate(Inflights),
    /// The peer is behind the log and gets a snapshot; entries follow once it acknowledges, or after `retry_at`.
    Snapshot {
        /// Give up waiting then.
        retry_at: Time,
    },
}

impl Progress {
    /// A new leader's first guess. `[Raft §5.3]`
    pub(crate) const fn new(next_index: LogIndex, now: Time) -> Self {
        Self {
            match_index: LogIndex::ZERO,
            next_index,
            state: ProgressState::Probe { retry_at: None },
            heard_at: now,
            read_seq: 0,
            answered_at: Time::ZERO,
            catch_up: None,
            lost_acknowledged: false,
            has_hole: false,
            fetching: None,
        }
    }

    pub(crate) fn mix(&self, mixer: &mut Mixer<'_>, moment: Moment) {
        let Self {
            match_index,
            next_index,
            state,
            heard_at,
            read_seq,
            answered_at,
            catch_up,
            lost_acknowledged,
            has_hole,
            fetching,
        } = self;
        mixer.index(*match_index);
        mixer.index(*next_index);
        state.mix(mixer, moment);
        mixer.flag(moment.is_recent(*heard_at));
        mixer.add(*read_seq);
        mixer.flag(moment.now < *answered_at + moment.lease);
        mixer.option(*catch_up, |mixer, CatchUp { target, began }| {
            mixer.index(target);
            mixer.flag(moment.now <= began + moment.election_timeout);
        });
        mixer.flag(*lost_acknowledged);
        mixer.flag(*has_hole);
        mixer.flag(fetching.is_some());
    }

    /// Whether everything that was sent is acknowledged.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(&self.state, ProgressState::Replicate(inflights) if inflights.sent.is_empty())
    }

    /// Starts over from what is known to match.
    pub(crate) fn probe(&mut self) {
        self.next_index = self.match_index.next();
        self.state = ProgressState::Probe { retry_at: None };
        self.fetching = None;
    }

    /// Whether an AppendEntries may go now.
    pub(crate) fn may_send(&self, now: Time, max_messages: usize, max_bytes: usize) -> bool {
        match &self.state {
            ProgressState::Probe { retry_at } => retry_at.is_none_or(|at| at <= now),
            ProgressState::Replicate(inflights) => !inflights.is_full(max_messages, max_bytes),
            ProgressState::Snapshot { .. } => false,
        }
    }

    /// Takes note of an acknowledgement through `match_index`. Whether it is news.
    pub(crate) fn matched(&mut self, match_index: LogIndex) -> bool {
        let news = match_index > self.match_index;
        self.lost_acknowledged &= match_index < self.match_index;
        self.match_index = self.match_index.max(match_index);
        self.next_index = self.next_index.max(self.match_index.next());
        match &mut self.state {
            ProgressState::Replicate(inflights) => inflights.free_through(self.match_index),
            ProgressState::Probe { .. } => {
                self.next_index = self.match_index.next();
                self.state = ProgressState::Replicate(Inflights::default());
            }
            // Any acknowledgement that is news shows that entries can follow; how the peer got there does not matter.
            ProgressState::Snapshot { .. } if news => {
                self.next_index = self.match_index.next();
                self.state = ProgressState::Replicate(Inflights::default());
            }
            ProgressState::Snapshot { .. } => {}
        }
        news
    }
}

impl ProgressState {
    fn mix(&self, mixer: &mut Mixer<'_>, moment: Moment) {
        match self {
            Self::Probe { retry_at } => {
                mixer.add(0);
                mixer.flag(retry_at.is_none_or(|at| moment.is_past(at)));
            }
            Self::Replicate(Inflights { sent, bytes: _ }) => {
                mixer.add(1);
                mixer.list(sent, |mixer, Inflight { last, bytes, sent_at }| {
                    mixer.index(*last);
                    mixer.count(*bytes);
                    mixer.flag(moment.is_recent(*sent_at));
                });
            }
            Self::Snapshot { retry_at } => {
                mixer.add(2);
                mixer.flag(moment.is_past(*retry_at));
                // A transfer is under way, and its end will set the time.
                mixer.flag(*retry_at == Time::MAX);
            }
        }
    }
}

/// Messages on their way to a peer, oldest first: a window by count and by bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inflights {
    sent: VecDeque<Inflight>,
    bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Inflight {
    last: LogIndex,
    bytes: usize,
    sent_at: Time,
}

impl Inflights {
    pub(crate) fn add(&mut self, last: LogIndex, bytes: usize, sent_at: Time) {
        self.bytes += bytes;
        self.sent.push_back(Inflight { last, bytes, sent_at });
    }

    fn free_through(&mut self, index: LogIndex) {
        while let Some(message) =
            self.sent.pop_front_if(|message| message.last <= index && !mutant!(WindowNeverFreed))
        {
            self.bytes -= message.bytes;
        }
    }

    fn is_full(&self, max_messages: usize, max_bytes: usize) -> bool {
        self.sent.len() >= max_messages || (self.bytes >= max_bytes && !self.sent.is_empty())
    }

    /// When the oldest unanswered message was sent.
    pub(crate) fn oldest_sent_at(&self) -> Option<Time> {
        self.sent.front().map(|message| message.sent_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replicating() -> Progress {
        let mut progress = Progress::new(LogIndex(11), Time::ZERO);
        progress.matched(LogIndex(10));
        progress
    }

    fn send(progress: &mut Progress, last: u64, bytes: usize) {
        let ProgressState::Replicate(inflights) = &mut progress.state else { panic!("not replicating") };
        inflights.add(LogIndex(last), bytes, Time::ZERO);
        progress.next_index = LogIndex(last + 1);
    }

    #[test]
    fn the_window_fills_by_messages_or_bytes_and_an_acknowledgement_frees_all_it_covers() {
        let mut progress = replicating();
        assert!(progress.may_send(Time::ZERO, 2, 100));
        send(&mut progress, 12, 10);
        send(&mut progress, 14, 10);
        assert!(!progress.may_send(Time::ZERO, 2, 100), "two messages");
        assert!(!progress.may_send(Time::ZERO, 9, 20), "twenty bytes");
        assert!(progress.matched(LogIndex(13)));
        assert!(progress.may_send(Time::ZERO, 2, 20));
        assert!(progress.matched(LogIndex(14)));
        assert_eq!(progress.next_index, LogIndex(15));
    }

    #[test]
    fn one_message_above_the_byte_limit_is_allowed_when_nothing_is_in_flight() {
        let mut progress = replicating();
        assert!(progress.may_send(Time::ZERO, 2, 1));
        send(&mut progress, 11, 1_000);
        assert!(!progress.may_send(Time::ZERO, 2, 1));
    }

    #[test]
    fn an_old_acknowledgement_moves_nothing_back() {
        let mut progress = replicating();
        send(&mut progress, 12, 10);
        assert!(!progress.matched(LogIndex(4)));
        assert_eq!((progress.match_index, progress.next_index), (LogIndex(10), LogIndex(13)));
    }

    #[test]
    fn starting_over_forgets_what_was_in_flight() {
        let mut progress = replicating();
        send(&mut progress, 12, 10);
        progress.probe();
        assert_eq!(progress.next_index, LogIndex(11));
        progress.matched(LogIndex(10));
        assert!(progress.may_send(Time::ZERO, 1, 1), "the window is empty again");
    }
}
