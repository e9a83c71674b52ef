//! What nodes say to each other: one struct per remote call of `[Raft Figure 2]`, requests and answers alike one-way.
//!
//! The sender is not in the message: the connection's handshake vouches for it. Messages never gain fields (postcard
//! is positional); a new need is a new variant, gated by the protocol version of the connection.

use crate::block::{Block, Blocks};
use crate::fingerprint::Mixer;
use crate::time::Time;
use crate::types::{EntryId, LogIndex, Term};

/// A message from one node's consensus to another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A candidate, or one that would like to be, asks for a vote.
    RequestVote(RequestVote),
    /// Its answer.
    RequestVoteResponse(RequestVoteResponse),
    /// A leader sends entries.
    AppendEntries(AppendEntries),
    /// Its answer.
    AppendEntriesResponse(AppendEntriesResponse),
    /// A leader shows that it lives.
    Heartbeat(Heartbeat),
    /// Its answer.
    HeartbeatResponse(HeartbeatResponse),
    /// A leader asks its successor to campaign at once. `[Ongaro §3.10]`
    TimeoutNow(TimeoutNow),
    /// A follower asks its leader up to where it must have applied to serve its readers. `[Ongaro §6.4]`
    ReadIndex(ReadIndex),
    /// Its answer.
    ReadIndexResponse(ReadIndexResponse),
}

impl Message {
    /// The sender's term (for a pre-vote: the term it would campaign in).
    #[must_use]
    pub const fn term(&self) -> Term {
        match self {
            Self::RequestVote(message) => message.term,
            Self::RequestVoteResponse(message) => message.term,
            Self::AppendEntries(message) => message.term,
            Self::AppendEntriesResponse(message) => message.term,
            Self::Heartbeat(message) => message.term,
            Self::HeartbeatResponse(message) => message.term,
            Self::TimeoutNow(message) => message.term,
            Self::ReadIndex(message) => message.term,
            Self::ReadIndexResponse(message) => message.term,
        }
    }
}

impl Message {
    /// When its sender's clock said what does not count.
    pub(crate) fn mix(&self, mixer: &mut Mixer<'_>) {
        mixer.term(self.term());
        match self {
            Self::RequestVote(RequestVote { term: _, last_entry, pre, forced }) => {
                mixer.add(0);
                mixer.entry(*last_entry);
                mixer.flag(*pre);
                mixer.flag(*forced);
            }
            Self::RequestVoteResponse(RequestVoteResponse { term: _, granted, pre }) => {
                mixer.add(1);
                mixer.flag(*granted);
                mixer.flag(*pre);
            }
            Self::AppendEntries(append) => {
                mixer.add(2);
                append.mix(mixer);
            }
            Self::AppendEntriesResponse(response) => {
                mixer.add(3);
                response.mix(mixer);
            }
            Self::Heartbeat(Heartbeat { term: _, leader_commit, read_seq, sent_at: _ }) => {
                mixer.add(4);
                mixer.index(*leader_commit);
                mixer.add(*read_seq);
            }
            Self::HeartbeatResponse(HeartbeatResponse { term: _, read_seq, sent_at: _ }) => {
                mixer.add(5);
                mixer.add(*read_seq);
            }
            Self::TimeoutNow(TimeoutNow { term: _ }) => mixer.add(6),
            Self::ReadIndex(ReadIndex { term: _, request, proof }) => {
                mixer.add(7);
                mixer.request(*request);
                mixer.add(*proof as u64);
            }
            Self::ReadIndexResponse(ReadIndexResponse { term: _, request, index }) => {
                mixer.add(8);
                mixer.request(*request);
                mixer.option(*index, Mixer::index);
            }
        }
    }
}

impl AppendEntries {
    fn mix(&self, mixer: &mut Mixer<'_>) {
        let Self { term: _, prev_entry, blocks, leader_commit, read_seq, sent_at: _ } = self;
        mixer.entry(*prev_entry);
        mixer.list(blocks, |mixer, block| block.mix(mixer));
        mixer.index(*leader_commit);
        mixer.add(*read_seq);
    }
}

impl AppendEntriesResponse {
    fn mix(&self, mixer: &mut Mixer<'_>) {
        let Self { term: _, outcome, hole, read_seq, sent_at: _ } = self;
        match outcome {
            AppendOutcome::Matched { match_index } => {
                mixer.add(0);
                mixer.index(*match_index);
            }
            AppendOutcome::Conflict { prev_index, hint } => {
                mixer.add(1);
                mixer.index(*prev_index);
                mixer.entry(*hint);
            }
        }
        mixer.option(*hole, Mixer::index);
        mixer.add(*read_seq);
    }
}

/// `[Raft Figure 2, RequestVote RPC]`, and with `pre` the PreVote of `[Ongaro §9.6]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RequestVote {
    /// The candidate's term; for a pre-vote the term after its own, which it has not entered.
    pub term: Term,
    /// Its last log entry (`lastLogIndex`, `lastLogTerm`).
    pub last_entry: EntryId,
    /// Only a question: would you vote for me? Nobody's term or vote changes.
    pub pre: bool,
    /// The leader itself asked for this election: voters must not hold it off because they hear from a leader.
    pub forced: bool,
}

/// Answer to [`RequestVote`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RequestVoteResponse {
    /// The voter's current term; for a granted pre-vote the term that was asked for.
    pub term: Term,
    /// Whether the (pre-)vote is given.
    pub granted: bool,
    /// Answers a pre-vote.
    pub pre: bool,
}

/// `[Raft Figure 2, AppendEntries RPC]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendEntries {
    /// The leader's term.
    pub term: Term,
    /// The entry before the first one sent (`prevLogIndex`, `prevLogTerm`).
    pub prev_entry: EntryId,
    /// Entries: contiguous blocks from `prev_entry.index + 1` on; none to probe where the logs meet.
    pub blocks: Blocks,
    /// The leader's `commitIndex`, not cut to what is sent here.
    pub leader_commit: LogIndex,
    /// Newest read that waits for a quorum to answer (0: none in this term).
    pub read_seq: u64,
    /// The leader's clock as it sent this; comes back in the answer.
    pub sent_at: Time,
}

impl AppendEntries {
    /// Whether the entries follow `prev_entry` and each other, in index and term, and none is of a later term than the
    /// message. Checked on receipt: no honest leader sends anything else.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        let mut previous = self.prev_entry;
        for block in &self.blocks {
            if block.first_index() != previous.index.next() || block.runs()[0].term < previous.term {
                return false;
            }
            previous = block.last_id();
        }
        previous.term <= self.term
    }

    /// Index of the last entry sent, or of the one before them if there is none.
    #[must_use]
    pub fn last_index(&self) -> LogIndex {
        self.blocks.last().map_or(self.prev_entry.index, Block::last_index)
    }
}

/// Answer to [`AppendEntries`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AppendEntriesResponse {
    /// The follower's current term.
    pub term: Term,
    /// Whether the logs met.
    pub outcome: AppendOutcome,
    /// First damaged entry of the follower's log: it holds nothing from there on, and asks for a repair.
    pub hole: Option<LogIndex>,
    /// Echo of the newest request's `read_seq`.
    pub read_seq: u64,
    /// Echo of the newest request's `sent_at`.
    pub sent_at: Time,
}

/// What a follower found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum AppendOutcome {
    /// The follower's log equals the leader's through `match_index`, durably.
    Matched {
        /// Highest such index that the follower vouches for.
        match_index: LogIndex,
    },
    /// The entry before the ones sent is not in the follower's log.
    Conflict {
        /// `prev_entry.index` of the refused request.
        prev_index: LogIndex,
        /// The follower's last entry that is no later than the refused one in index *and* term. The leader goes back
        /// to its own last entry no later than this one, so that one round skips a whole term. `[Raft §5.3]`
        hint: EntryId,
    },
}

/// An AppendEntries without a log position: proves that the leader lives, spreads the commit index, confirms reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Heartbeat {
    /// The leader's term.
    pub term: Term,
    /// The leader's `commitIndex`; a follower commits no further than it is known to match this leader.
    pub leader_commit: LogIndex,
    /// As in [`AppendEntries`].
    pub read_seq: u64,
    /// As in [`AppendEntries`].
    pub sent_at: Time,
}

/// Answer to [`Heartbeat`]. It says nothing about the log, hence waits for no disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct HeartbeatResponse {
    /// The follower's current term.
    pub term: Term,
    /// Echo.
    pub read_seq: u64,
    /// Echo.
    pub sent_at: Time,
}

/// `[Ongaro §3.10]`: campaign at once, without asking first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TimeoutNow {
    /// The leader's term.
    pub term: Term,
}

/// How a leader proves that it still leads when it serves a linearizable read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ReadProof {
    /// By asking a quorum. `[Ongaro §6.4]`
    #[default]
    Quorum,
    /// By its lease, if it has one ([`Options::lease`](crate::Options::lease)); else by asking a quorum.
    /// `[Ongaro §6.4.1]`
    Lease,
}

/// Reads that arrived at a follower, all of one loop turn at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ReadIndex {
    /// The follower's term: a leader of another one does not answer.
    pub term: Term,
    /// The follower's name for these reads; never used twice, restarts included.
    pub request: u64,
    /// How the leader may prove that it still leads.
    pub proof: ReadProof,
}

/// Answer to [`ReadIndex`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ReadIndexResponse {
    /// The leader's term.
    pub term: Term,
    /// Echo.
    pub request: u64,
    /// What must be applied; `None`: the leader cannot take the read now, or ceased to lead.
    pub index: Option<LogIndex>,
}
