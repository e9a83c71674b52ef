//! The four roles and what each of them remembers.

use std::collections::BTreeMap;
use std::fmt;

use crate::progress::Progress;
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
    pub(super) const fn new(leader: Option<NodeId>) -> Self {
        Self { leader, matched: LogIndex::ZERO, acknowledged: LogIndex::ZERO, unanswered: None }
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
}

#[derive(Clone, Debug)]
pub(super) struct Leader {
    /// The no-op that opened the term: from here on, entries commit by counting.
    pub(super) term_start: LogIndex,
    /// One for every other member.
    pub(super) progress: BTreeMap<NodeId, Progress>,
    pub(super) reads: Reads,
    pub(super) uncommitted: Uncommitted,
    pub(super) heartbeat_at: Time,
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
