//! Randomness by counter: a draw depends on its seed, stream and number alone, never on how many draws came
//! before.
//!
//! So a fault can be taken out of a failing run without shifting every later choice, which is what makes runs
//! shrink.

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
