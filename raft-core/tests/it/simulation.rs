//! Three nodes under lost, repeated and reordered messages, partitions, crashes and unsynced writes, with every safety
//! property checked after every event. Longer runs: `cargo run --release -p raft-core --features testing --example sim`.

use raft_core::testing::world::{Plan, Violation, World, run_seed};

/// Enough for a few hundred elections and crashes, in a few seconds.
const SEEDS: std::ops::Range<u64> = 0..60;

#[test]
fn no_seed_violates_a_safety_property_and_every_cluster_recovers() {
    let plan = Plan::default();
    let (mut elections, mut crashes, mut installs, mut reads) = (0, 0, 0, 0);
    for seed in SEEDS {
        let report = run_seed(seed, &plan)
            .unwrap_or_else(|violation| panic!("{violation}\nreplay: cargo run --release -p raft-core --features testing --example sim {seed}"));
        elections += report.elections;
        crashes += report.crashes;
        installs += report.installs;
        reads += report.reads;
    }
    // A run in which nothing happened would prove nothing.
    assert!(elections > 200 && crashes > 300 && installs > 100 && reads > 10_000);
}

#[test]
fn a_seed_is_a_run() {
    for seed in 1_000..1_005 {
        let [first, second] = [(), ()].map(|()| World::new(seed, Plan::default()).run().unwrap());
        assert_eq!(first, second);
        let other = run_seed(seed + 1, &Plan::default()).unwrap();
        assert_ne!(first.trace_hash, other.trace_hash);
    }
}

#[test]
fn a_cluster_of_one_commits_through_its_own_disk_alone() {
    let plan = Plan { nodes: 1, ..Plan::default() };
    let report = run_seed(1, &plan).unwrap();
    assert!(report.acknowledged > 100 && report.reads > 50 && report.crashes > 2, "{report:?}");
}

#[test]
fn five_nodes_survive_the_same() {
    let plan = Plan { nodes: 5, ..Plan::default() };
    for seed in 0..10 {
        let outcome = run_seed(seed, &plan);
        assert!(!matches!(outcome, Err(Violation::TwoLeaders { .. })), "{outcome:?}");
        outcome.unwrap();
    }
}
