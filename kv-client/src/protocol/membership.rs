//! What an operator asks of a cluster: other members, another leader; and why it may be refused.

use serde::{Deserialize, Serialize};

/// One wish of a [`Body::ChangeMembers`](super::Body::ChangeMembers).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberChange {
    /// The node becomes a member, or, if it is one, is known by this name, these addresses and this role from now on.
    Put(WishedMember),
    /// The node is no member any more.
    Remove {
        /// Its id.
        id: u64,
    },
}

/// A member as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WishedMember {
    /// Its id.
    pub id: u64,
    /// The operator's name for it; no other member has it.
    pub name: String,
    /// `host:port` where other members reach it.
    pub peer_address: String,
    /// `host:port` where clients reach it.
    pub client_address: String,
    /// The newest cluster version that its program speaks.
    pub newest_version: u32,
    /// What it should count for.
    pub role: WishedRole,
}

/// What a member should count for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WishedRole {
    /// Votes, whether it has caught up or not.
    Voter,
    /// Receives the log and does not vote.
    Learner,
    /// A learner that the leader makes a voter once it has caught up.
    Promotable,
}

/// Why the members stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ChangeRefusal {
    /// One change at a time.
    #[error("another change is in progress (entry {index} is not committed): wait for it, then try again")]
    InProgress {
        /// The entry that the change before stands in.
        index: u64,
    },
    /// The leader has not committed an entry of its own term.
    #[error("the leader is too new to know which members are agreed on: try again")]
    TooEarly,
    /// The members are as wished already.
    #[error("the members are as wished already")]
    Unchanged,
    /// Nobody of that id.
    #[error("node {id:016x} is no member")]
    UnknownMember {
        /// The id.
        id: u64,
    },
    /// An id that no node can have.
    #[error("0 is no node's id")]
    NoId,
    /// One member wished twice.
    #[error("node {id:016x} is named twice in one change")]
    NamedTwice {
        /// The id.
        id: u64,
    },
    /// A voter cannot become a learner that is about to become a voter.
    #[error("node {id:016x} votes already")]
    VotesAlready {
        /// The id.
        id: u64,
    },
    /// Nobody would be left to vote.
    #[error("no voter would be left")]
    NoVoter,
    /// Another member has the name, or a text cannot be one.
    #[error("another member has that name, or a name or address is empty or longer than 65535 bytes")]
    BadText,
    /// The program of the new member is too old.
    #[error(
        "node {id:016x} speaks cluster version {found} at most, the cluster {needed}: upgrade its program first"
    )]
    TooOld {
        /// The id.
        id: u64,
        /// Its newest version.
        found: u32,
        /// The cluster's.
        needed: u32,
    },
    /// Of the voters that there would be, too few can be reached: the change itself, and all writes, would wait for one
    /// that cannot. A forced change is not held up by this.
    #[error(
        "{needed} of the {voters} voters there would be have to answer, but only {reachable} do ({} silent): writes \
         would wait, and so would the change itself, until enough of them are back",
        .silent.join(", ")
    )]
    QuorumAtRisk {
        /// How many voters there would be.
        voters: u32,
        /// How many of them are needed.
        needed: u32,
        /// How many of them the leader has heard from within an election timeout, itself included.
        reachable: u32,
        /// The names of the others.
        silent: Vec<String>,
    },
    /// More members than a cluster can be led with.
    #[error("{found} members, with those that leave, are too many (expected at most {limit})")]
    TooManyMembers {
        /// How many there would be.
        found: u64,
        /// How many there can be.
        limit: u64,
    },
    /// Names and addresses are too long, all members' together.
    #[error("the members' names and addresses take {found} bytes (expected at most {limit}): shorten them")]
    TooLarge {
        /// How long the list would be.
        found: u64,
        /// How long it can be.
        limit: u64,
    },
}

/// Why leadership is not where it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum MoveRefusal {
    /// The chosen node leads.
    #[error("node {id:016x} leads already")]
    LeadsAlready {
        /// The node.
        id: u64,
    },
    /// The chosen node cannot lead.
    #[error("node {id:016x} is no voter: promote it first")]
    NotVoter {
        /// The node.
        id: u64,
    },
    /// Nobody else is there to take over now.
    #[error("no other voter was heard from within an election timeout")]
    Nobody,
    /// One move at a time.
    #[error("leadership is on its way to node {to:016x} already")]
    InProgress {
        /// Whither.
        to: u64,
    },
    /// The chosen node did not win within an election timeout.
    #[error(
        "node {to:016x} did not take over in time: see whether it is up and has caught up, then try again"
    )]
    NotTaken {
        /// The chosen node.
        to: u64,
    },
    /// There is one voter, and it leads.
    #[error("there is no other voter: add one, or promote a learner, first")]
    OnlyVoter,
}
