//! Randomness by counter: a draw depends on its seed, stream and number alone, never on how many draws came
//! before.
//!
//! So a fault can be taken out of a failing run without shifting every later choice, which is what makes runs
//! shrink.

use std::time::Duration;

use crate::rng::Rng;

/// Draw number `counter` of `stream` under `seed`.
#[must_use]
pub const fn draw(seed: u64, stream: u64, counter: u64) -> u64 {
    let stream = Rng::new(seed ^ stream.rotate_left(32)).next_u64();
    Rng::new(stream ^ counter).next_u64()
}

/// As [`draw`], scaled to `0..bound`; zero when `bound` is zero.
#[must_use]
pub const fn draw_below(seed: u64, stream: u64, counter: u64, bound: u64) -> u64 {
    ((draw(seed, stream, counter) as u128 * bound as u128) >> 64) as u64
}

/// The draws of one stream, in order.
#[derive(Clone, Debug)]
pub struct Dice {
    seed: u64,
    stream: u64,
    counter: u64,
}

impl Dice {
    /// Stream `stream` under `seed`, from its first draw on.
    #[must_use]
    pub const fn new(seed: u64, stream: u64) -> Self {
        Self { seed, stream, counter: 0 }
    }

    /// The next 64 bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.counter += 1;
        draw(self.seed, self.stream, self.counter)
    }

    /// A number in `0..bound`; zero when `bound` is zero.
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.next_u64() as u128 * bound as u128) >> 64) as u64
    }

    /// A place in a list of `count`.
    pub const fn place(&mut self, count: usize) -> usize {
        self.below(count as u64) as usize
    }

    /// True `permille` times out of a thousand.
    pub const fn chance(&mut self, permille: u64) -> bool {
        self.below(1000) < permille
    }

    /// One of `choices`.
    ///
    /// # Panics
    /// If there are none.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.place(choices.len())]
    }

    /// A duration between `min` and `max` (inclusive), every order of magnitude as likely as every other.
    pub fn span(&mut self, min: Duration, max: Duration) -> Duration {
        let (min, max) = (nanos(min).max(1), nanos(max).max(1));
        let octaves = u64::from((max / min).max(1).ilog2()) + 1;
        let floor = min << self.below(octaves);
        let ceiling = floor.saturating_mul(2).min(max);
        Duration::from_nanos(floor + self.below(ceiling.saturating_sub(floor) + 1))
    }

    /// A duration between `min` and `max` (inclusive), drawn evenly.
    pub fn between(&mut self, min: Duration, max: Duration) -> Duration {
        min + Duration::from_nanos(self.below(nanos(max.saturating_sub(min)) + 1))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn seeds_streams_and_counters_do_not_repeat_each_other() {
        let triples = (0..16)
            .flat_map(|seed| (0..16).flat_map(move |stream| (0..16).map(move |at| (seed, stream, at))));
        let draws: BTreeSet<u64> = triples.map(|(seed, stream, at)| draw(seed, stream, at)).collect();
        assert_eq!(draws.len(), 16 * 16 * 16);
    }

    #[test]
    fn scaled_draws_reach_every_value_below_the_bound_and_no_other() {
        let drawn: BTreeSet<u64> = (0..1000).map(|at| draw_below(1, 2, at, 7)).collect();
        assert_eq!(drawn, (0..7).collect());
        assert_eq!(draw_below(1, 2, 3, 0), 0);
    }
}
