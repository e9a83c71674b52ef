//! What a node answers.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ChangeRefusal, MoveRefusal, ProtocolRange};
use crate::command::{CommandError, Outcome};

/// The answer to one [`Request`](super::Request).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The request's id.
    pub id: u64,
    /// The store's revision: right after a write, at a read, else when the node answered.
    pub revision: u64,
    /// Term of the entry that was applied, or the node's own.
    pub term: u64,
    /// Index of the entry that was applied, or the last one the answering node has applied.
    pub index: u64,
    /// The answer itself.
    pub result: Result<Answer, Refusal>,
}

/// What a request came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The command was applied, or had been. A failed condition is an outcome, too.
    Applied(Outcome),
    /// To a get: the key's numbers, and its value in the tail; `None` if the key is absent.
    Value(Option<super::KeyMeta>),
    /// To a range: its records are in the tail.
    Page {
        /// How many.
        count: u32,
        /// Whether the range goes on after the last of them.
        more: bool,
    },
    /// A [`NodeStatus`](super::NodeStatus) is in the tail, as JSON.
    Status,
    /// The members of the cluster as the asked node knows them.
    Members(Vec<Member>),
    /// The change of the members is complete; the reply's index is its entry's.
    MembersChanged,
    /// Another node leads.
    LeaderMoved {
        /// Which.
        to: u64,
    },
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its id; shown as 16 hex digits.
    pub id: u64,
    /// The operator's name for it.
    pub name: String,
    /// Whether it votes; else it is a learner.
    pub voter: bool,
    /// `host:port` where other members reach it.
    pub peer_address: String,
    /// `host:port` where clients reach it.
    pub client_address: String,
}

/// Where the leader is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leader {
    /// Its id; shown as 16 hex digits.
    pub id: u64,
    /// `host:port` where clients reach it.
    pub client_address: String,
}

/// Why a node did not serve a request. Not a function of the log: another node, or a later moment, may serve it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Refusal {
    /// Another node leads: ask that one.
    #[error("not applied: this node is not the leader{}", Hint(leader.as_ref()))]
    NotLeader {
        /// Where it is; `None` if the node knows of a leader, but not (or no more) where clients reach it.
        leader: Option<Leader>,
    },
    /// The node knows of no leader: there is an election, or no majority of the voters reach each other.
    #[error("not applied: this node knows of no leader (is a majority of the voters up?)")]
    NoLeader,
    /// The node has as much work as it may queue.
    #[error("not applied: the node is busy; try again later")]
    Busy,
    /// The write is certainly not applied, the read not served.
    #[error("not applied: {0}")]
    NotApplied(Reason),
    /// The write may be applied, now or later. In a session, send it again to learn its outcome.
    #[error("outcome unknown: {0}")]
    Unknown(Reason),
    /// The node has not applied the revision that the read asked for.
    #[error("the node is at revision {found} (the read asked for {wanted}): ask another node or try again")]
    RevisionNotReached {
        /// What was asked for.
        wanted: u64,
        /// What the node has.
        found: u64,
    },
    /// The request itself is wrong; it is not applied, and sent again it will not be either.
    #[error("not applied: {0}")]
    BadRequest(BadRequest),
    /// The members stay as they are.
    #[error("the members stay as they are: {0}")]
    MembersUnchanged(ChangeRefusal),
    /// The chosen node does not lead.
    #[error("leadership was not moved: {0}")]
    LeaderNotMoved(MoveRefusal),
}

impl Refusal {
    /// Whether a refused write may be applied nevertheless, now or later.
    #[must_use]
    pub const fn may_be_applied(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }
}

/// What kept a node from serving a request, or from learning its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Reason {
    /// The client's deadline passed.
    #[error("the deadline passed")]
    DeadlinePassed,
    /// The node lost leadership.
    #[error("the node lost leadership")]
    LeadershipLost,
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
    /// The node belongs to no cluster: it is waiting to be let in, or its data folder was wiped. What it holds is
    /// empty, and says nothing about any cluster's state.
    #[error("the node belongs to no cluster, so it has no state to read: ask a member (see kvctl status)")]
    NoCluster,
    /// The node has started and applied nothing yet, not even what it had applied before.
    #[error("the node has applied nothing since it started: ask another, or again when it has a leader")]
    NothingApplied,
    /// The node is handing leadership over. A moment later it says to whom.
    #[error("the node is handing leadership over")]
    HandingOver,
    /// The newest configuration that the node has does not list it: it was removed, or is about to be let in. What it
    /// holds is out of date.
    #[error("the node is no member of its cluster (any more): ask a member (see kvctl status)")]
    NoMember,
}

/// What is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum BadRequest {
    /// The command, its session tag or a key breaks the rules.
    #[error(transparent)]
    Command(CommandError),
    /// The head is no request of the protocol that was agreed on.
    #[error("the frame is no request of protocol {protocol}")]
    Undecodable {
        /// What the node speaks.
        protocol: ProtocolRange,
    },
}

/// Shows where the leader is, if known.
struct Hint<'a>(Option<&'a Leader>);

impl fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(leader) => write!(f, " (that is {:016x} at {})", leader.id, leader.client_address),
            None => f.write_str(" and cannot say where clients reach it"),
        }
    }
}
