//! Counters for the operator, readable from any thread.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that one thread changes and any thread reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Its value now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// What the log has done since it was opened. Each counter is exact; together they are no consistent cut.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct LogStats {
    /// Syncs of segments: one per group commit, one for each mark, and two more for each segment that is full.
    pub log_syncs: Counter,
    /// Syncs of the metadata file: two per new term or vote.
    pub metadata_syncs: Counter,
    /// Writes reported durable.
    pub writes: Counter,
    /// Batches made durable.
    pub batches: Counter,
    /// Entries made durable. Divided by `log_syncs`: entries per fdatasync.
    pub entries: Counter,
    /// Bytes written to segments in batches, padding included.
    pub bytes_written: Counter,
    /// How long the newest sync of a segment took, in microseconds.
    pub last_sync_micros: Counter,
    /// How long all of them took together, in microseconds.
    pub total_sync_micros: Counter,
    /// Marks written: at most one each time the log is idle, and one at the end.
    pub marks: Counter,
    /// Segment files taken into use.
    pub segments_created: Counter,
    /// How many of them were not whole when they were needed, so that a write had to wait for zeros.
    pub unprepared_segments: Counter,
    /// How often a segment could not be made ahead. Anything but 0 says that the disk is full or broken: the log
    /// stops once it needs that segment and still cannot make it.
    pub failed_preparations: Counter,
    /// Segment files removed by compaction.
    pub segments_removed: Counter,
    /// Reads answered.
    pub reads: Counter,
    /// Reads answered by "damaged". Anything but 0 wants an operator.
    pub damaged_reads: Counter,
}
