//! What opening found and did, for the operator.

use std::path::PathBuf;

use raft_core::storage::Recovered;
use raft_core::{EntryId, NodeId};

use crate::batch::BatchFault;

/// What a log knows after opening.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The node that this folder was created for.
    pub node_id: NodeId,
    /// What the core starts with.
    pub recovered: Recovered,
    /// What happened on the way.
    pub report: RecoveryReport,
}

/// How the files were found, and what was mended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// Segment files.
    pub segments: usize,
    /// Batches in them.
    pub batches: u64,
    /// Sequence number of the newest batch that was known to be durable.
    pub watermark: u64,
    /// What was cut off, after a crash during a write.
    pub torn_tail: Option<TornTail>,
    /// Whether a copy of term and vote was torn or rotten, and was written again from the other one.
    pub metadata_repaired: bool,
    /// The log did not contain the newest snapshot's last entry, and was made to start after it.
    pub reset_to: Option<EntryId>,
    /// Files removed that a crash left unfinished or unused.
    pub removed: Vec<PathBuf>,
}

/// Bytes at the end of the log that were never acknowledged.
///
/// Rot in the batches of the last moment before a crash, [`LogOptions::idle_mark`](crate::LogOptions::idle_mark) long,
/// looks the same: nothing on disk tells yet that they had been acknowledged. Their entries come back from the leader;
/// if this node was alone, they are lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment file.
    pub path: PathBuf,
    /// Where the log ends now, in bytes.
    pub offset: u64,
    /// Pages behind it that were not empty. They are now.
    pub pages: usize,
    /// Last entry of the log.
    pub after: EntryId,
    /// Why the first batch behind it is none.
    pub fault: BatchFault,
}
