//! The four roles and what each of them remembers.

use std::fmt;

use crate::forwarded::Forwarded;
use crate::progress::Peers;
use crate::reads::Reads;
use crate::time::Time;
use crate::types::{LogIndex, NodeId};
use crate::uncommitted::Uncommitted;
use crate::votes::Votes;

/// `[Raft §5.1]`, with the pre-candidate of `[Ongaro §9.6]`.
#[derive(Clone, Debug)]
pub(super) enum Role {
    Follower(Follower),
    PreCandidate(PreCandidate),
    Candidate(Candidate),
    Leader(Box<Leader>),
}

#[derive(Clone, Debug)]
pub(super) struct Follower {
    /// The leader of the current term, once heard from.
    pub(super) leader: Option<NodeId>,
    /// Last entry known to be in this term's leader's log: commits go no further.
    pub(super) matched: LogIndex,
    /// Highest match this term's leader was told.
    pub(super) acknowledged: LogIndex,
    /// The newest append that waits for its answer.
    pub(super) unanswered: Option<Echo>,
    /// Reads that wait for the leader's word.
    pub(super) forwarded: Forwarded,
}

/// What an answer gives back of its request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Echo {
    pub(super) read_seq: u64,
    pub(super) sent_at: Time,
}

impl Echo {
    /// Of nothing.
    pub(super) const NONE: Self = Self { read_seq: 0, sent_at: Time::ZERO };
}

impl Follower {
    pub(super) fn new(leader: Option<NodeId>) -> Self {
        let (matched, acknowledged) = (LogIndex::ZERO, LogIndex::ZERO);
        Self { leader, matched, acknowledged, unanswered: None, forwarded: Forwarded::default() }
    }
}

#[derive(Clone, Debug)]
pub(super) struct PreCandidate {
    pub(super) votes: Votes,
    /// What it learned as a follower of this term: asking does not leave the term, so it still holds.
    pub(super) follower: Follower,
}

#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// The own vote is among them only once it is durable.
    pub(super) votes: Votes,
    /// The leader of the term before asked for this campaign.
    pub(super) forced: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Leader {
    /// The no-op that opened the term: from here on, entries commit by counting.
    pub(super) term_start: LogIndex,
    /// One for every other member.
    pub(super) progress: Peers,
    pub(super) reads: Reads,
    pub(super) uncommitted: Uncommitted,
    pub(super) heartbeat_at: Time,
    pub(super) transfer: Option<Transfer>,
    /// No reads by lease in this term any more (or at all): somebody was asked to campaign without waiting for it to end.
    pub(super) lease_is_off: bool,
}

/// Leadership on its way to another node. `[Ongaro §3.10]`
#[derive(Clone, Copy, Debug)]
pub(super) struct Transfer {
    pub(super) to: NodeId,
    /// Not achieved by then, it is given up.
    pub(super) until: Time,
    /// Whether the successor was asked to campaign since the last heartbeat.
    pub(super) asked: bool,
}

/// A role's name, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RoleName {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks whether it would be elected.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Follower => "follower",
            Self::PreCandidate => "pre-candidate",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
        })
    }
}

impl Role {
    pub(super) const fn name(&self) -> RoleName {
        match self {
            Self::Follower(_) => RoleName::Follower,
            Self::PreCandidate(_) => RoleName::PreCandidate,
            Self::Candidate(_) => RoleName::Candidate,
            Self::Leader(_) => RoleName::Leader,
        }
    }
}
