//! What a run can find broken.

use std::time::Duration;

use crate::input::Ticket;
use crate::time::Time;
use crate::types::{EntryId, LogIndex, NodeId, Term};

/// A broken promise. Times are true time since the start of the run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// Two leaders in one term.
    #[error("{at:?}: node {second} leads term {term}, which node {first} leads")]
    TwoLeaders {
        /// When.
        at: Time,
        /// The term.
        term: Term,
        /// Who led first.
        first: NodeId,
        /// Who else.
        second: NodeId,
    },
    /// One node votes for two candidates in one term.
    #[error("{at:?}: node {node} votes for {second} in term {term}, in which it has voted for {first}")]
    TwoVotes {
        /// When.
        at: Time,
        /// The voter.
        node: NodeId,
        /// The term.
        term: Term,
        /// Whom it voted for first.
        first: NodeId,
        /// And now.
        second: NodeId,
    },
    /// A term fell, or a vote changed within a term.
    #[error("{at:?}: node {node} is in term {after}, and was in term {before} (or its vote there changed)")]
    TermFell {
        /// When.
        at: Time,
        /// The node.
        node: NodeId,
        /// Before.
        before: Term,
        /// After.
        after: Term,
    },
    /// One entry, two histories.
    #[error("{at:?}: in node {node}'s log entry {entry} is {found}, elsewhere {expected}")]
    LogsDiffer {
        /// When.
        at: Time,
        /// The node.
        node: NodeId,
        /// The entry.
        entry: EntryId,
        /// What it is here: the term before it, its kind, its checksum.
        found: String,
        /// And elsewhere.
        expected: String,
    },
    /// A leader removed entries of its log.
    #[error("{at:?}: node {node} leads term {term} and removes its entries from index {from} on")]
    LeaderTruncates {
        /// When.
        at: Time,
        /// The leader.
        node: NodeId,
        /// Its term.
        term: Term,
        /// First entry that is gone.
        from: LogIndex,
    },
    /// A node's log is not what its writes made of it.
    #[error("{at:?}: node {node}'s log ends at {found}, but what it wrote ends at {expected}")]
    LogNotWritten {
        /// When.
        at: Time,
        /// The node.
        node: NodeId,
        /// In memory.
        found: EntryId,
        /// As written.
        expected: EntryId,
    },
    /// A node's log lacks a committed entry, or has another one there.
    #[error("{at:?}: node {node} {what} with term {found:?} at committed entry {committed}")]
    CommittedEntryMissing {
        /// When.
        at: Time,
        /// The node.
        node: NodeId,
        /// What it does meanwhile.
        what: &'static str,
        /// The entry.
        committed: EntryId,
        /// Its term here.
        found: Option<Term>,
    },
    /// An entry was called committed while it was on too few disks.
    #[error("{at:?}: node {node} commits {entry}, which only the disks of {holders:?} hold")]
    CommittedTooEarly {
        /// When.
        at: Time,
        /// Who says so.
        node: NodeId,
        /// The entry.
        entry: EntryId,
        /// Voters whose disks hold it.
        holders: Vec<NodeId>,
    },
    /// A commit index fell.
    #[error("{at:?}: node {node}'s commit index fell from {before} to {after}")]
    CommitFell {
        /// When.
        at: Time,
        /// The node.
        node: NodeId,
        /// Before.
        before: LogIndex,
        /// After.
        after: LogIndex,
    },
    /// A message promises what a power cut would undo.
    #[error("{at:?}: node {node} sends {message}, but its disk holds {disk}")]
    NotDurable {
        /// When.
        at: Time,
        /// The node.
        node: NodeId,
        /// What it sends.
        message: String,
        /// What its disk holds.
        disk: String,
    },
    /// A client was told something untrue.
    #[error("{at:?}: node {node} answers {ticket:?} with {answer}, but {truth}")]
    ClientMisled {
        /// When.
        at: Time,
        /// The node.
        node: NodeId,
        /// Which proposal or read.
        ticket: Ticket,
        /// What it was told.
        answer: String,
        /// What is true.
        truth: String,
    },
    /// Two snapshots of the same index differ.
    #[error(
        "{at:?}: the {what} in node {node}'s snapshot at {last} is not the one in a snapshot taken elsewhere"
    )]
    SnapshotsDiffer {
        /// When.
        at: Time,
        /// The node.
        node: NodeId,
        /// Last entry that they include.
        last: EntryId,
        /// What differs.
        what: &'static str,
    },
    /// Two configurations in a row could decide without each other.
    #[error("{at:?}: leader {node} appends configuration {entry}, but {reason}")]
    MembersApart {
        /// When.
        at: Time,
        /// The leader.
        node: NodeId,
        /// The entry.
        entry: EntryId,
        /// What is wrong with it.
        reason: String,
    },
    /// A node stopped itself.
    #[error("{at:?}: node {node} halts: {halt}")]
    Halted {
        /// When.
        at: Time,
        /// The node.
        node: NodeId,
        /// Its words.
        halt: String,
    },
    /// A node refuses to start on what its own disks hold.
    #[error("{at:?}: node {node} cannot start: {reason}")]
    CannotStart {
        /// When.
        at: Time,
        /// The node.
        node: NodeId,
        /// Its words.
        reason: String,
    },
    /// The code under test has found its own state wrong.
    #[error("panic: {message}")]
    Panicked {
        /// Its words.
        message: String,
    },
    /// The cluster did not come back after it was healed.
    #[error("{at:?}: {healthy_for:?} after {who} healed, {what}")]
    NotRecovered {
        /// When.
        at: Time,
        /// Who could have gone on.
        who: String,
        /// How long everything had been fine.
        healthy_for: Duration,
        /// What is missing.
        what: String,
    },
}

impl Violation {
    /// Whether `other` breaks the same promise, whoever breaks it and when.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// The variant's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::TwoLeaders { .. } => "TwoLeaders",
            Self::TwoVotes { .. } => "TwoVotes",
            Self::TermFell { .. } => "TermFell",
            Self::LogsDiffer { .. } => "LogsDiffer",
            Self::LeaderTruncates { .. } => "LeaderTruncates",
            Self::LogNotWritten { .. } => "LogNotWritten",
            Self::CommittedEntryMissing { .. } => "CommittedEntryMissing",
            Self::CommittedTooEarly { .. } => "CommittedTooEarly",
            Self::CommitFell { .. } => "CommitFell",
            Self::NotDurable { .. } => "NotDurable",
            Self::ClientMisled { .. } => "ClientMisled",
            Self::SnapshotsDiffer { .. } => "SnapshotsDiffer",
            Self::MembersApart { .. } => "MembersApart",
            Self::Halted { .. } => "Halted",
            Self::CannotStart { .. } => "CannotStart",
            Self::Panicked { .. } => "Panicked",
            Self::NotRecovered { .. } => "NotRecovered",
        }
    }
}
