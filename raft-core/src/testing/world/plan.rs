//! What a simulated run is like: how long, how bad, how busy.

use std::time::Duration;

use crate::driver::SnapshotPolicy;
use crate::options::Options;

/// A span of durations, both ends inclusive, drawn from evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Shortest.
    pub min: Duration,
    /// Longest.
    pub max: Duration,
}

impl Range {
    /// From `min` to `max` microseconds.
    #[must_use]
    pub const fn micros(min: u64, max: u64) -> Self {
        Self { min: Duration::from_micros(min), max: Duration::from_micros(max) }
    }

    /// The duration that `draw` stands for.
    #[must_use]
    pub fn pick(self, draw: u64) -> Duration {
        let spread = self.max.saturating_sub(self.min).as_nanos() + 1;
        let nanos = (u128::from(draw) * spread) >> 64;
        self.min + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// See each field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Voters.
    pub nodes: usize,
    /// Simulated time with faults.
    pub faulty_for: Duration,
    /// Simulated time without, at the end.
    pub healthy_for: Duration,
    /// Messages lost, of a thousand.
    pub loss_permille: u64,
    /// Messages delivered twice, of a thousand.
    pub duplicate_permille: u64,
    /// How long a message takes; different draws reorder messages.
    pub delay: Range,
    /// How long a sync takes.
    pub disk: Range,
    /// Time between crashes.
    pub crash_every: Range,
    /// Time until a crashed node starts again.
    pub down_for: Range,
    /// Time between attempts to cut a node off.
    pub isolate_every: Range,
    /// Time until it is connected again.
    pub isolated_for: Range,
    /// Time between batches of proposals.
    pub propose_every: Range,
    /// Time between reads.
    pub read_every: Range,
    /// The nodes' options.
    pub options: Options,
    /// When the nodes take snapshots.
    pub policy: SnapshotPolicy,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            nodes: 3,
            faulty_for: Duration::from_secs(20),
            healthy_for: Duration::from_secs(10),
            loss_permille: 50,
            duplicate_permille: 20,
            delay: Range::micros(100, 30_000),
            disk: Range::micros(100, 20_000),
            crash_every: Range::micros(200_000, 4_000_000),
            down_for: Range::micros(1_000, 3_000_000),
            isolate_every: Range::micros(500_000, 6_000_000),
            isolated_for: Range::micros(10_000, 3_000_000),
            propose_every: Range::micros(1_000, 60_000),
            read_every: Range::micros(1_000, 100_000),
            // Small limits, so that windows fill, caches run out and logs are compacted all the time.
            options: Options {
                max_message_bytes: 300,
                max_inflight_messages: 4,
                max_inflight_bytes: 900,
                max_uncommitted_bytes: 4_000,
                cache_bytes: 600,
                max_applying_bytes: 500,
                retained_entries: 20,
                ..Options::default()
            },
            policy: SnapshotPolicy { every_bytes: 2_000, alignment: 16 },
        }
    }
}
