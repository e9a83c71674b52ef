//! What exploration can find broken.

use std::any::Any;

use crate::types::{EntryId, LogIndex, NodeId, Term};

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// Two leaders in one term. `[Raft Figure 3, Election Safety]`
    #[error("node {second} leads term {term}, which node {first} leads or led")]
    TwoLeaders {
        /// The term.
        term: Term,
        /// Who led first.
        first: NodeId,
        /// Who else.
        second: NodeId,
    },
    /// Two logs agree on an entry and not on what is there or before it. `[Raft Figure 3, Log Matching]`
    #[error("the logs of nodes {first} and {second} agree on entry {agreed}, but not on entry {index}")]
    LogsDiffer {
        /// One of them.
        first: NodeId,
        /// The other.
        second: NodeId,
        /// The last entry that both have.
        agreed: EntryId,
        /// Where they differ nevertheless.
        index: LogIndex,
    },
    /// A node's log lacks a committed entry, or has another one there. `[Raft Figure 3, Leader Completeness]`
    #[error("node {node} {what} with term {found:?} at committed entry {committed}")]
    CommittedEntryMissing {
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
    #[error("node {node} commits entry {index}, which only the disks of nodes {holders:?} hold")]
    CommittedTooEarly {
        /// Who says so.
        node: NodeId,
        /// The entry.
        index: LogIndex,
        /// Whose disks hold it.
        holders: Vec<NodeId>,
    },
    /// A commit index fell.
    #[error("node {node}'s commit index fell from {before} to {after}")]
    CommitFell {
        /// The node.
        node: NodeId,
        /// Before.
        before: LogIndex,
        /// After.
        after: LogIndex,
    },
    /// An entry was applied twice, too early, or without being in the log. `[Raft Figure 3, State Machine Safety]`
    #[error(
        "node {node} applies entry {entry} after entry {applied}, before it is committed, or before it is durable"
    )]
    AppliedOutOfTurn {
        /// The node.
        node: NodeId,
        /// The entry.
        entry: EntryId,
        /// The last one before.
        applied: LogIndex,
    },
    /// A message promises what a crash would undo.
    #[error(
        "node {node} tells node {to} {message:?}, but its disk holds term {term}, a vote for {voted_for:?} and {entries} \
         entries"
    )]
    NotDurable {
        /// The node.
        node: NodeId,
        /// To whom.
        to: NodeId,
        /// What it says.
        message: String,
        /// The term on its disk.
        term: Term,
        /// The vote on its disk.
        voted_for: Option<NodeId>,
        /// Entries on its disk.
        entries: usize,
    },
    /// A read that missed what was committed before it began.
    #[error(
        "node {node} serves a read at index {index}, but entry {floor} was committed before the read began"
    )]
    StaleRead {
        /// The node.
        node: NodeId,
        /// What the reader sees.
        index: LogIndex,
        /// What it should see.
        floor: LogIndex,
    },
    /// A node stopped itself.
    #[error("node {node} halts: {halt}")]
    Halted {
        /// The node.
        node: NodeId,
        /// Its words.
        halt: String,
    },
    /// A node refuses to start on what its own disk holds.
    #[error("node {node} cannot start: {reason}")]
    CannotStart {
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
}

impl Violation {
    /// What a panic said.
    pub(super) fn panicked(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let message = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word");
        Self::Panicked { message: message.to_owned() }
    }
}
