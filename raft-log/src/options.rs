//! What an operator may choose.

use crate::page::{PAGE, page_multiple};
use crate::segment::FIRST_BATCH;
use crate::tail::RESERVED_PAGES;

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
    /// Larger: fewer pauses to prepare the next file. Smaller: compaction frees space sooner, opening reads less.
    pub segment_bytes: u64,
    /// A group commit takes queued writes until it holds this many bytes of entries; the write that crosses the
    /// line is taken whole. Default 4 MiB. Also bounds the memory in which a group is framed, oversized writes
    /// aside.
    pub group_bytes: usize,
    /// What opening reads. Default [`Verify::Tail`].
    pub verify: Verify,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, group_bytes: 4 << 20, verify: Verify::Tail }
    }
}

impl LogOptions {
    /// Bytes of a segment that must hold a batch of `batch_bytes` (whole pages): its header page comes before, and
    /// behind it the reserved pages stay free.
    pub(crate) fn capacity_for(&self, batch_bytes: u64) -> u64 {
        page_multiple(self.segment_bytes).max(FIRST_BATCH + batch_bytes + RESERVED_PAGES * PAGE as u64)
    }
}
