//! What can go wrong with a proposal, a read, or the node itself.

use crate::configuration::ConfigurationError;
use crate::storage::{ReadFailure, StoreError};
use crate::types::{EntryId, LogIndex, NodeId, Term};

/// Why a proposal has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProposeError {
    /// Not applied: this node does not lead. Ask `leader`, or any other node while there is none.
    #[error("propose: not the leader (leader: {})", leader_text(*.leader))]
    NotLeader {
        /// Who leads, as far as this node knows.
        leader: Option<NodeId>,
    },
    /// Not applied: too much is waiting to be committed. Try again a little later.
    #[error("propose: busy ({uncommitted} bytes uncommitted, at most {limit})")]
    Busy {
        /// Bytes of entries that wait.
        uncommitted: usize,
        /// Where new ones are turned away.
        limit: usize,
    },
    /// Not applied, and never will be: a later leader's entry was committed in its place, or before it. Propose it again.
    #[error("propose: not applied (entry {id} lost its place to a later leader's)")]
    NotApplied {
        /// Where the entry had stood.
        id: EntryId,
    },
    /// It may or may not have been applied: this node lost track of it.
    #[error("propose: outcome unknown")]
    Unknown,
    /// Not applied: this node is shutting down. Ask another one.
    #[error("propose: the node is stopping")]
    Stopped,
    /// Not applied: the node is a member of a cluster already.
    #[error("initialize: the node has a log already (its last entry is {last})")]
    AlreadyInitialized {
        /// Last entry of its log.
        last: EntryId,
    },
}

/// Why a linearizable read cannot be served here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// This node does not lead, or ceased to before a quorum confirmed the read. Ask `leader`.
    #[error("read: not the leader (leader: {})", leader_text(*.leader))]
    NotLeader {
        /// Who leads, as far as this node knows.
        leader: Option<NodeId>,
    },
    /// Too many reads wait for a quorum. Try again a little later.
    #[error("read: busy ({waiting} reads wait for a quorum)")]
    Busy {
        /// Reads that wait.
        waiting: usize,
    },
    /// This node is shutting down. Ask another one.
    #[error("read: the node is stopping")]
    Stopped,
}

fn leader_text(leader: Option<NodeId>) -> String {
    leader.map_or_else(|| "unknown".to_owned(), |id| id.to_string())
}

/// Why a node must stop: going on could contradict what it or others have promised.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Halt {
    /// A leader contradicts a committed entry. One of the two logs is not what it was.
    #[error(
        "committed entry {committed} is contradicted by leader {leader} of term {term}: its log has term {found} there"
    )]
    CommittedEntryContradicted {
        /// Who says so.
        leader: NodeId,
        /// Its term.
        term: Term,
        /// The entry here.
        committed: EntryId,
        /// Its term there.
        found: Term,
    },
    /// An entry with a configuration that this program cannot read.
    #[error("configuration entry {id} cannot be read; run a program that is at least as new as the leader's")]
    Configuration {
        /// The entry.
        id: EntryId,
        /// What is wrong with it.
        #[source]
        source: ConfigurationError,
    },
    /// A committed entry cannot be read back from this node's own log.
    #[error("entries from index {from} on cannot be read back: {reason}")]
    LogUnreadable {
        /// First entry wanted.
        from: LogIndex,
        /// The log's answer.
        reason: ReadFailureText,
    },
    /// The log store failed; what is durable is no longer known.
    #[error("log store failed: {0}")]
    LogFailed(#[source] StoreError),
    /// The state machine broke its contract: replies can no longer be matched with proposals.
    #[error("state machine gave {found} replies for a batch of {expected} entries that ends at {id}")]
    RepliesMiscounted {
        /// Last entry of the batch.
        id: EntryId,
        /// Replies there.
        found: usize,
        /// Entries in the batch.
        expected: usize,
    },
    /// The state machine cannot follow the log.
    #[error("state machine failed at entry {id}: {reason}")]
    StateMachineFailed {
        /// Last entry of the batch.
        id: EntryId,
        /// Its own words.
        reason: StoreError,
    },
}

/// [`ReadFailure`] as a text.
#[derive(Clone, Debug)]
pub struct ReadFailureText(pub ReadFailure);

impl std::fmt::Display for ReadFailureText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            ReadFailure::Compacted { first } => write!(f, "the log starts at index {first}"),
            ReadFailure::Damaged { index, reason } => write!(f, "index {index} is damaged: {reason}"),
        }
    }
}
