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
    #[error("{}: {} leads term {term}, which {} leads", when(*at), name(*second), name(*first))]
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
    #[error("{}: {} votes for {} in term {term}, in which it has voted for {}", when(*at), name(*node), name(*second), name(*first))]
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
    #[error("{}: {} is in term {after}, and was in term {before} (or its vote there changed)", when(*at), name(*node))]
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
    #[error("{}: in {}'s log entry {entry} is {found}, elsewhere {expected}", when(*at), name(*node))]
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
    #[error("{}: {} leads term {term} and removes its entries from index {from} on", when(*at), name(*node))]
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
    #[error("{}: {}'s log ends at {found}, but what it wrote ends at {expected}", when(*at), name(*node))]
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
    #[error("{}: {} {what} without the committed entry {committed}: {}", when(*at), name(*node), instead(*found))]
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
    #[error("{}: {} commits {entry}, which only the disks of [{}] hold", when(*at), name(*node), names(holders))]
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
    #[error("{}: {}'s commit index fell from {before} to {after}", when(*at), name(*node))]
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
    #[error("{}: {} sends {message}, but its disk holds {disk}", when(*at), name(*node))]
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
    #[error("{}: {} answers request {}: {answer}; but {truth}", when(*at), name(*node), ticket.0)]
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
    #[error("{}: the {what} in {}'s snapshot at {last} is not the one in a snapshot taken elsewhere", when(*at), name(*node))]
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
    #[error("{}: leader {} appends configuration {entry}, but {reason}", when(*at), name(*node))]
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
    #[error("{}: {} halts: {halt}", when(*at), name(*node))]
    Halted {
        /// When.
        at: Time,
        /// The node.
        node: NodeId,
        /// Its words.
        halt: String,
    },
    /// A node refuses to start on what its own disks hold.
    #[error("{}: {} cannot start: {reason}", when(*at), name(*node))]
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
    /// A leader believes something of a peer's log that is not so.
    #[error(
        "{}: {}, which leads, believes that {} has entry {entry}, but the disk there holds {disk}",
        when(*at),
        name(*node),
        name(*peer)
    )]
    MatchedInVain {
        /// When.
        at: Time,
        /// The leader.
        node: NodeId,
        /// Of whom it believes that.
        peer: NodeId,
        /// The entry.
        entry: EntryId,
        /// What the peer's disk holds.
        disk: String,
    },
    /// A node asks voters not to mind their leader, and no leader wants that.
    #[error(
        "{}: {} campaigns for term {term} as if its leader had asked for that, which the leader of the term before has not",
        when(*at),
        name(*node)
    )]
    Unbidden {
        /// When.
        at: Time,
        /// The candidate.
        node: NodeId,
        /// Its term.
        term: Term,
    },
    /// A leader whom a quorum heard did not stay.
    #[error(
        "{}: {} led term {term} and nothing was wrong but that {} did not hear it for a while, and yet it does not lead any \
         more: {what}",
        when(*at), name(*leader), name(*missing)
    )]
    Disturbed {
        /// When.
        at: Time,
        /// Who led.
        leader: NodeId,
        /// The term.
        term: Term,
        /// Who missed the leader.
        missing: NodeId,
        /// The state of all nodes.
        what: String,
    },
    /// The cluster did not come back after it was healed.
    #[error("{}: {healthy_for:?} after {who} healed, {what}", when(*at))]
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

    /// Whether only the whole run shows it, which knows when all is healed; no replay of what happened does.
    #[must_use]
    pub const fn needs_the_world(&self) -> bool {
        matches!(self, Self::NotRecovered { .. } | Self::Disturbed { .. })
    }

    /// What was promised, for somebody who sees it broken.
    #[must_use]
    pub const fn promise(&self) -> &'static str {
        match self {
            Self::TwoLeaders { .. } => {
                "A term has one leader at most: each needs the votes of a majority. [Raft §5.2]"
            }
            Self::TwoVotes { .. } | Self::TermFell { .. } => {
                "A node never goes back to an earlier term and votes once in each, whatever crashes in between: term and \
                 vote are durable before anybody hears of them. [Raft Figure 2]"
            }
            Self::LogsDiffer { .. } => {
                "Two entries of equal index and term are equal, and so is everything before them. [Raft §5.3]"
            }
            Self::LeaderTruncates { .. } => "A leader only appends to its log. [Raft Figure 3]",
            Self::LogNotWritten { .. } => "What a node has in its log it has handed to its disk.",
            Self::CommittedEntryMissing { .. } => {
                "A committed entry is in the log of every later leader, and never changes. [Raft §5.4]"
            }
            Self::CommittedTooEarly { .. } => {
                "An entry is committed only once a majority would still have it after a power cut. [Raft §5.3]"
            }
            Self::CommitFell { .. } => "What is known to be committed stays so.",
            Self::NotDurable { .. } => {
                "Nothing leaves a node that a power cut at that moment would make untrue. [Raft Figure 2]"
            }
            Self::ClientMisled { .. } => {
                "What clients are told is true, and a read sees all that was committed before it."
            }
            Self::SnapshotsDiffer { .. } => "Equal entries lead to equal states.",
            Self::MembersApart { .. } => {
                "Members change one configuration at a time, and each decides only together with the one before. [Raft §6]"
            }
            Self::Halted { .. } => "A node stops only if its disk fails.",
            Self::CannotStart { .. } => "What a power cut leaves can be started from.",
            Self::Panicked { .. } => "No input makes the code find its own state wrong.",
            Self::MatchedInVain { .. } => {
                "A leader counts on a peer's copy only if the peer has told it, in this term, that it is durable. [Raft §5.3]"
            }
            Self::Unbidden { .. } => {
                "Only whom its leader asks to campaigns while the others hear that leader: reads by lease rest on it. [Ongaro \
                 §3.10, §6.4.1]"
            }
            Self::Disturbed { .. } => {
                "Who misses a leader that others hear does not disturb it. [Ongaro §4.2.3, §9.6]"
            }
            Self::NotRecovered { .. } => "A quorum that is healed serves again within a bound.",
        }
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
            Self::MatchedInVain { .. } => "MatchedInVain",
            Self::Unbidden { .. } => "Unbidden",
            Self::Disturbed { .. } => "Disturbed",
            Self::NotRecovered { .. } => "NotRecovered",
        }
    }
}

fn when(at: Time) -> String {
    format!("at {:.3} ms", at.as_nanos() as f64 / 1e6)
}

/// Nodes are named after their ids, which are small here.
pub(crate) fn name(id: NodeId) -> String {
    format!("n{}", id.get())
}

fn names(ids: &[NodeId]) -> String {
    ids.iter().map(|id| name(*id)).collect::<Vec<_>>().join(" ")
}

fn instead(found: Option<Term>) -> String {
    found.map_or_else(|| "its log is shorter".to_owned(), |term| format!("its own there is of term {term}"))
}
