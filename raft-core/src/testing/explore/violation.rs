//! What exploration can find broken.

use std::any::Any;

use crate::types::{EntryId, LogIndex, NodeId, Term};

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// Two leaders in one term. `[Raft Figure 3, Election Safety]`
    #[error("node {} leads term {term}, which node {} leads or led", second.get(), first.get())]
    TwoLeaders {
        /// The term.
        term: Term,
        /// Who led first.
        first: NodeId,
        /// Who else.
        second: NodeId,
    },
    /// Two logs agree on an entry and not on what is there or before it. `[Raft Figure 3, Log Matching]`
    #[error(
        "the logs of nodes {} and {} agree on entry {agreed}, but not on entry {index}",
        first.get(),
        second.get()
    )]
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
    #[error("node {} {what} without the committed entry {committed}: {}", node.get(), instead(*found))]
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
    #[error("node {} commits entry {index}, which only the disks of {} hold", node.get(), numbers(holders))]
    CommittedTooEarly {
        /// Who says so.
        node: NodeId,
        /// The entry.
        index: LogIndex,
        /// Whose disks hold it.
        holders: Vec<NodeId>,
    },
    /// A commit index fell.
    #[error("the commit index of node {} fell from {before} to {after}", node.get())]
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
        "node {} applies entry {entry} after entry {applied}, before it is committed, or before it is durable",
        node.get()
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
        "node {} tells node {} {message:?}, but its disk holds term {term}, {}, and {entries} entries",
        node.get(),
        to.get(),
        vote(*voted_for)
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
        "node {} serves a read at index {index}, but entry {floor} was committed before the read began",
        node.get()
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
    #[error("node {} halts: {halt}", node.get())]
    Halted {
        /// The node.
        node: NodeId,
        /// Its words.
        halt: String,
    },
    /// A node refuses to start on what its own disk holds.
    #[error("node {} cannot start: {reason}", node.get())]
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

fn instead(found: Option<Term>) -> String {
    found.map_or_else(|| "its log is shorter".to_owned(), |term| format!("its own there is of term {term}"))
}

fn vote(voted_for: Option<NodeId>) -> String {
    voted_for.map_or_else(|| "no vote".to_owned(), |candidate| format!("a vote for node {}", candidate.get()))
}

fn numbers(nodes: &[NodeId]) -> String {
    let numbers: Vec<String> = nodes.iter().map(|node| node.get().to_string()).collect();
    match numbers.as_slice() {
        [] => "nobody".to_owned(),
        [one] => format!("node {one}"),
        _ => format!("nodes {}", numbers.join(", ")),
    }
}
