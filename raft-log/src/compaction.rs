//! Prefix compaction: whole segments, oldest first.
//!
//! Invariant (no gap): a segment is removed only after the removal of the one before it is durable, so that after
//! any crash the segments are still contiguous and a gap can only mean a loss.

use raft_core::LogIndex;
use raft_core::fs::Fs;

use crate::error::IoFailure;
use crate::writer::Writer;

impl<F: Fs> Writer<F> {
    /// Removes the segments of which no entry after `through` is in the log. The one being written to always
    /// stays.
    pub(crate) fn compact(&mut self, through: LogIndex) -> Result<(), IoFailure> {
        while let Some(segment) = self.durable.oldest_without_entries_after(through) {
            self.folder.remove(&segment.path)?;
            self.folder.sync()?;
            let base = self.durable.forget_oldest();
            self.forget_through(base);
            self.stats.segments_removed.add(1);
        }
        Ok(())
    }
}
