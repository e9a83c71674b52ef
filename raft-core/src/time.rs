//! Time as a parameter: the core never reads a clock.
//!
//! The shell that owns the clock (`node`: `CLOCK_BOOTTIME`; the simulator: a drifting counter) turns a reading into a
//! [`Time`] and hands it to [`Raft::step`](crate::Raft::step). Only differences between two readings of the same
//! process mean anything.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A reading of a monotonic clock: nanoseconds since an origin chosen by the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Time(u64);

impl Time {
    /// Later than every other reading: never.
    pub const MAX: Self = Self(u64::MAX);

    /// The origin.
    pub const ZERO: Self = Self(0);

    /// A reading `nanos` nanoseconds after the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time passed since `earlier`; zero if `earlier` lies ahead.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    /// Saturates at the end of the range (584 years after the origin).
    fn add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl Sub<Duration> for Time {
    type Output = Self;

    /// Saturates at the origin.
    fn sub(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(nanos))
    }
}
