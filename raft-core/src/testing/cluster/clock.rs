//! A node's own clock: how it reads at a moment of true time.
//!
//! Invariant (monotonic): the reading never falls, whatever rates and jumps are set.

use std::time::Duration;

use crate::time::Time;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    /// A moment of true time, and the reading there.
    since: (Time, Time),
    /// Thousandths of true time.
    permille: u32,
}

impl Clock {
    /// A true clock.
    pub(super) const TRUE: Self = Self { since: (Time::ZERO, Time::ZERO), permille: 1000 };

    /// The reading at `at`.
    pub(super) fn read(&self, at: Time) -> Time {
        let passed = at.as_nanos().saturating_sub(self.since.0.as_nanos());
        if self.permille == 1000 {
            return Time::from_nanos(self.since.1.as_nanos() + passed);
        }
        let passed = u128::from(passed) * u128::from(self.permille) / 1000;
        self.since.1 + Duration::from_nanos(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// The first moment at which the clock reads `reading` or more, not before `at`.
    pub(super) fn moment_of(&self, reading: Time, at: Time) -> Time {
        if reading <= self.read(at) {
            return at;
        }
        let ahead = u128::from(reading.as_nanos().saturating_sub(self.since.1.as_nanos()));
        let passed = (ahead * 1000).div_ceil(u128::from(self.permille.max(1)));
        self.since.0 + Duration::from_nanos(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    pub(super) fn set_rate(&mut self, at: Time, permille: u32) {
        *self = Self { since: (at, self.read(at)), permille: permille.max(1) };
    }

    pub(super) fn jump(&mut self, at: Time, by: Duration) {
        self.since = (at, self.read(at) + by);
    }

    /// Jumps forward to `reading`, if it lies ahead.
    pub(super) fn advance_to(&mut self, at: Time, reading: Time) {
        self.since = (at, self.read(at).max(reading));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_clock_never_reads_less_than_before_whatever_is_done_to_it() {
        let mut clock = Clock::TRUE;
        let mut last = Time::ZERO;
        for step in 1..100 {
            let at = Time::ZERO + SECOND * step;
            match step % 3 {
                0 => clock.set_rate(at, 100 * step % 3000),
                1 => clock.jump(at, SECOND / 7),
                _ => clock.advance_to(at, Time::ZERO + SECOND * 30),
            }
            assert!(clock.read(at) >= last);
            last = clock.read(at);
        }
    }

    #[test]
    fn the_moment_of_a_reading_is_when_the_clock_shows_it() {
        for permille in [333, 500, 1000, 1700] {
            let mut clock = Clock::TRUE;
            clock.set_rate(Time::ZERO + SECOND, permille);
            let reading = Time::ZERO + SECOND * 9;
            let moment = clock.moment_of(reading, Time::ZERO);
            assert!(clock.read(moment) >= reading);
            assert!(clock.read(moment - Duration::from_nanos(10)) < reading);
        }
    }
}
