//! How long to wait before the next attempt to connect.

use std::time::Duration;

use raft_core::rng::Rng;

/// Bounds of the pause between two attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffBounds {
    /// Pause after the first failure, before jitter.
    pub shortest: Duration,
    /// Pause after many failures, before jitter.
    pub longest: Duration,
}

/// Doubling pauses with jitter: each lies between half of its nominal length and the whole, so that the peers of a
/// restarted node do not come back all at the same moment.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    bounds: BackoffBounds,
    next: Duration,
    rng: Rng,
}

impl Backoff {
    pub(crate) const fn new(bounds: BackoffBounds, rng: Rng) -> Self {
        Self { bounds, next: bounds.shortest, rng }
    }

    /// The pause before the next attempt; the one after it is twice as long, up to the longest.
    pub(crate) fn pause(&mut self) -> Duration {
        let nominal = self.next.min(self.bounds.longest);
        self.next = nominal.saturating_mul(2);
        let half = nominal / 2;
        let jitter = self.rng.below(u64::try_from(half.as_nanos()).unwrap_or(u64::MAX));
        half + Duration::from_nanos(jitter)
    }

    /// An attempt succeeded: start from the shortest pause again.
    pub(crate) const fn reset(&mut self) {
        self.next = self.bounds.shortest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_with_jitter_and_start_over_after_a_success() {
        let millis = Duration::from_millis;
        let bounds = BackoffBounds { shortest: millis(50), longest: millis(1000) };
        let mut backoff = Backoff::new(bounds, Rng::new(1));
        for nominal in [50, 100, 200, 400, 800, 1000, 1000] {
            let pause = backoff.pause();
            assert!(millis(nominal / 2) <= pause && pause < millis(nominal), "{pause:?} of {nominal} ms");
        }
        backoff.reset();
        assert!(backoff.pause() < millis(50));
        let pauses = |seed| {
            let mut backoff = Backoff::new(bounds, Rng::new(seed));
            [backoff.pause(), backoff.pause(), backoff.pause()]
        };
        assert_eq!(pauses(7), pauses(7));
        assert_ne!(pauses(7), pauses(8));
    }
}
