//! What can go wrong with a start, a proposal, a read, or the node itself.

use crate::configuration::{ChangeError, ConfigurationError};
use crate::options::OptionsError;
use crate::state_machine::ApplyError;
use crate::storage::{ReadFailure, StoreError};
use crate::types::{ClusterId, EntryId, LogIndex, NodeId, Term};

/// Why a node cannot start. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The options cannot work.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The log and the newest snapshot do not meet: entries between them, or the log itself, are lost.
    #[error(
        "start: the newest snapshot ends at entry {snapshot}, the log holds {base} (exclusive) to {last} and has \
         {} there (expected the snapshot's last entry inside the log; are both from the same folder and moment?)",
        term_text(*.found)
    )]
    SnapshotNotInLog {
        /// Last entry of the snapshot.
        snapshot: EntryId,
        /// The entry before the log's first.
        base: EntryId,
        /// The log's last entry.
        last: EntryId,
        /// The log's term at the snapshot's last index.
        found: Option<Term>,
    },
    /// The stored term is older than an entry of that very log: the node forgot its term, and its vote with it.
    #[error(
        "start: the stored term is {current_term}, but entry {entry} is of a later one (expected term {} or later): the \
         term and vote were lost, and voting again could elect two leaders; replace this node by a fresh one",
        entry.term
    )]
    TermLost {
        /// The stored term.
        current_term: Term,
        /// The latest entry.
        entry: EntryId,
    },
    /// The log is damaged, and as far as it can be read there is no other voter that has what is missing.
    #[error(
        "start: the entry at index {index} is damaged, and by what can be read of the log this node is the only voter, so \
         nobody could send it again (if voters were let in later, replace this node by a fresh one from any of them; if \
         not, put back exactly this folder as it last was, or found a new cluster from an export)"
    )]
    NobodyToMend {
        /// First entry that is damaged or missing.
        index: LogIndex,
    },
    /// The newest snapshot cannot be loaded.
    #[error("snapshot {last} cannot be loaded into the state machine")]
    Restore {
        /// Last entry of the snapshot.
        last: EntryId,
        /// The state machine's words.
        #[source]
        source: ApplyError,
    },
}

fn term_text(term: Option<Term>) -> String {
    term.map_or_else(|| "no entry".to_owned(), |term| format!("term {term}"))
}

/// Why a proposal has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProposeError {
    /// Not applied: this node is handing its leadership over. Try again a little later, there or here.
    #[error("propose: leadership is being handed over to node {to}")]
    HandingOver {
        /// To whom.
        to: NodeId,
    },
    /// Not applied: the members cannot be changed so, or not now.
    #[error("change of members: {0}")]
    Change(#[source] ChangeError),
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
    /// Not applied: the command, or the first configuration, is too long. Split or shorten it, or raise
    /// [`Options::max_entry_bytes`](crate::Options::max_entry_bytes) on every node, and the transport's bound with it.
    #[error("propose: an entry of {found} bytes (expected at most {limit})")]
    TooLarge {
        /// Its length.
        found: usize,
        /// The longest one allowed.
        limit: usize,
    },
    /// Not applied: there was nothing to apply.
    #[error("propose: no entries (expected at least one)")]
    Empty,
    /// Not applied: an entry among them is not a command. Members change by
    /// [`Input::ChangeMembers`](crate::Input::ChangeMembers), which checks what a bare entry would not.
    #[error("propose: entries that are not commands (expected EntryKind::Normal alone)")]
    NotCommands,
    /// Not applied: the node belongs to a cluster already.
    #[error("initialize: the node belongs to a cluster already ({}; its log ends at entry {last})", cluster_text(*.cluster_id))]
    AlreadyInitialized {
        /// The cluster.
        cluster_id: Option<ClusterId>,
        /// Last entry of its log.
        last: EntryId,
    },
    /// Not applied: a first configuration in which this node could not lead.
    #[error(
        "initialize: the configuration {} (expected this node, {id}, among plain voters and learners)",
        if *.joint { "is a joint one" } else { "does not list this node as a voter" }
    )]
    CannotFound {
        /// This node.
        id: NodeId,
        /// Whether the configuration is joint; else it lacks this node.
        joint: bool,
    },
}

fn cluster_text(cluster_id: Option<ClusterId>) -> String {
    cluster_id.map_or_else(|| "without an id".to_owned(), |id| id.to_string())
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
    /// The leader did not confirm in time that it still leads. Try again.
    #[error("read: no answer from the leader (node {leader}) within an election timeout")]
    Unconfirmed {
        /// Who was asked.
        leader: NodeId,
    },
    /// Too many reads wait, for a quorum or for applying. Try again a little later.
    #[error("read: busy ({waiting} reads wait)")]
    Busy {
        /// Reads that wait.
        waiting: usize,
    },
    /// This node is shutting down. Ask another one.
    #[error("read: the node is stopping")]
    Stopped,
}

/// Why leadership was not handed over. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// This node does not lead. Ask `leader`.
    #[error("transfer: not the leader (leader: {})", leader_text(*.leader))]
    NotLeader {
        /// Who leads, as far as this node knows.
        leader: Option<NodeId>,
    },
    /// The chosen node cannot lead: it is no voter.
    #[error("transfer: node {to} is no voter of the configuration in force")]
    NotVoter {
        /// The chosen node.
        to: NodeId,
    },
    /// The chosen node leads already: this one.
    #[error("transfer: this node, {id}, leads already")]
    LeadsAlready {
        /// This node.
        id: NodeId,
    },
    /// There is no other voter that was heard from lately.
    #[error("transfer: no other voter was heard from within an election timeout")]
    Nobody,
    /// One transfer at a time.
    #[error("transfer: leadership is being handed over to node {to} already")]
    InProgress {
        /// To whom.
        to: NodeId,
    },
}

pub(crate) fn leader_text(leader: Option<NodeId>) -> String {
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
