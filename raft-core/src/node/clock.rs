//! The one place where the library reads a clock.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::time::Time;

/// `CLOCK_BOOTTIME`: goes on while the machine sleeps, so that no lease or promise outlives a suspend.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock(());

impl Clock {
    /// The clock.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }

    /// Reads it.
    #[must_use]
    pub fn now(self) -> Time {
        let now = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(now.tv_nsec).unwrap_or(0);
        Time::ZERO + Duration::new(seconds, nanos)
    }
}
