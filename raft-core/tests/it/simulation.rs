//! Clusters under lost, repeated and reordered messages, partitions, crashes and unsynced writes, with every safety
//! property checked after every event. Longer runs: `cargo xtask sim`.

use raft_core::testing::world::{Plan, run_seed};

const SEEDS: std::ops::Range<u64> = 0..60;

#[test]
fn no_seed_violates_a_safety_property_and_every_cluster_recovers() {
    for seed in SEEDS {
        run_seed(seed, &Plan::draw(seed)).unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
    }
}

#[test]
fn a_seed_is_a_run() {
    for seed in 1_000..1_005 {
        let [first, second] = [(), ()].map(|()| run_seed(seed, &Plan::draw(seed)).unwrap());
        assert_eq!(first, second);
        let other = run_seed(seed + 1, &Plan::draw(seed + 1)).unwrap();
        assert_ne!(first.trace_hash, other.trace_hash);
    }
}
