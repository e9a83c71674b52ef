//! What an operator may choose.

use std::time::Duration;

use crate::page::{PAGE, page_multiple};
use crate::segment::FIRST_BATCH;
use crate::tail::RESERVED_PAGES;

const IDLE_MARK: Duration = Duration::from_millis(20);

/// How much of the log opening reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// All headers, and the payloads of the tail segment. Rot in older payloads is found when they are read.
    #[default]
    Tail,
    /// Everything: rot anywhere is found at once, for a pass over all files.
    All,
}

/// Sizes, and how thoroughly to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// Bytes of a segment file, rounded up to whole pages. A batch that needs more gets a segment of its own size.
    /// Default 64 MiB.
    ///
    /// Once one is half full, the next one is made ahead. Smaller: compaction frees space sooner, opening reads
    /// less. Larger: fewer files.
    pub segment_bytes: u64,
    /// A group commit takes queued writes until it holds this many bytes of entries; the write that crosses the
    /// line is taken whole. Default 4 MiB. Also bounds the memory in which a group is framed, oversized writes
    /// aside.
    pub group_bytes: usize,
    /// What opening reads. Default [`Verify::Tail`].
    pub verify: Verify,
    /// A [`LogThread`](crate::LogThread) that has had nothing to do for so long [marks](crate::SegmentedLog::mark)
    /// the log: once, until something else is written. Default 20 ms; [`Duration::MAX`]: only when it closes.
    ///
    /// Until then rot in the newest batches looks like a torn tail to the opening after a crash. Shorter than the
    /// pauses between writes, it doubles the syncs.
    pub idle_mark: Duration,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, group_bytes: 4 << 20, verify: Verify::Tail, idle_mark: IDLE_MARK }
    }
}

impl LogOptions {
    /// Bytes of a segment that must hold a batch of `batch_bytes` (whole pages): its header page comes before, and
    /// behind it the reserved pages stay free.
    pub(crate) fn capacity_for(&self, batch_bytes: u64) -> u64 {
        page_multiple(self.segment_bytes).max(FIRST_BATCH + batch_bytes + RESERVED_PAGES * PAGE as u64)
    }
}
