//! Clusters under lost, repeated and reordered messages, partitions, crashes, pauses, failing disks and changes of members,
//! with every safety property checked after every step. More seeds: `cargo xtask sim`.

use std::process::Command;

use raft_core::testing::cluster::{Action, Delivery, MessageKind};
use raft_core::testing::replay::{replay, retrace};
use raft_core::testing::world::{Plan, Recorded, Step, record_seed, run_seed};

/// A few seconds in a debug build; the batch that every change must pass is larger and runs optimised.
const SEEDS: std::ops::Range<u64> = 0..100;

/// Set in the process that a test starts from itself: print the trace hash of this seed.
const PRINT_TRACE_OF: &str = "SIMULATION_PRINT_TRACE_OF";

fn short(seed: u64) -> Plan {
    let mut plan = Plan::draw(seed);
    plan.events /= 4;
    plan
}

#[test]
fn no_seed_violates_a_safety_property_and_every_cluster_recovers() {
    let (mut elections, mut crashes, mut installs, mut reads, mut changes) = (0, 0, 0, 0, 0);
    for seed in SEEDS {
        let report =
            run_seed(seed, &short(seed)).unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        elections += report.elections;
        crashes += report.crashes;
        installs += report.installs;
        reads += report.reads;
        changes += report.configurations;
    }
    // A run in which nothing happened would prove nothing.
    assert!(elections > 1_000 && crashes > 1_000, "{elections} elections, {crashes} crashes");
    assert!(installs > 100 && reads > 5_000, "{installs} snapshots installed, {reads} reads");
    assert!(changes > 100, "{changes} changes of members");
}

/// One for each kind of check; the whole catalogue: `cargo xtask sim --mutants`.
#[cfg(feature = "mutants")]
#[test]
fn seeded_bugs_are_noticed() {
    use raft_core::mutants::{Mutant, plant};

    let bugs = [
        (Mutant::VoteForgottenAtRestart, "TermFell"),
        (Mutant::AckBeforeDurable, "NotDurable"),
        (Mutant::CommitMinority, "CommittedTooEarly"),
        (Mutant::ReadBeforeApplied, "ClientMisled"),
    ];
    for (mutant, expected) in bugs {
        plant(Some(mutant));
        let noticed = SEEDS.take(20).find_map(|seed| run_seed(seed, &short(seed)).err());
        plant(None);
        assert_eq!(noticed.map(|violation| violation.name()), Some(expected), "{mutant}");
    }
}

#[test]
fn a_seed_is_a_run() {
    for seed in 1_000..1_010 {
        let [first, second] = [(), ()].map(|()| run_seed(seed, &short(seed)).unwrap());
        assert_eq!(first, second);
        let other = run_seed(seed + 1, &short(seed + 1)).unwrap();
        assert_ne!(first.trace_hash, other.trace_hash);
    }
}

#[test]
fn a_seed_is_the_same_run_in_another_process() {
    const SEED: u64 = 1_017;
    let trace = run_seed(SEED, &short(SEED)).unwrap().trace_hash;
    if std::env::var(PRINT_TRACE_OF).is_ok_and(|seed| seed == SEED.to_string()) {
        println!("trace={trace}");
        return;
    }
    let name = "simulation::a_seed_is_the_same_run_in_another_process";
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args([name, "--exact", "--nocapture"]).env(PRINT_TRACE_OF, SEED.to_string());
    let output = String::from_utf8(again.output().unwrap().stdout).unwrap();
    assert!(output.contains(&format!("trace={trace}")), "{output}");
}

#[test]
fn a_recorded_run_replays_to_the_last_message() {
    for seed in 1_020..1_024 {
        let plan = short(seed);
        let Recorded { outcome, recording } = record_seed(seed, &plan);
        let report = outcome.unwrap();
        assert_eq!(report, run_seed(seed, &plan).unwrap(), "to record it changes nothing");
        assert_eq!(report.trace_hash, recording.trace_hash());
        assert_eq!(retrace(&plan.setup, &recording, |_, _| {}), Ok(None));
    }
}

/// Heartbeats of one leader differ in their round and clock alone: which of them arrives matters all the same.
#[test]
fn a_replay_in_which_another_message_arrives_is_noticed() {
    let (seed, plan) = (1_020, short(1_020));
    let mut recording = record_seed(seed, &plan).recording;
    let delivery = |at: &usize| match recording.steps[*at].action {
        Action::Deliver(delivery) => Some(delivery),
        _ => None,
    };
    // Whoever is down gets nothing.
    let happened = replay(&plan.setup, &recording.steps).happened;
    let arrives = |at: &usize| happened[*at] && delivery(at).is_some();
    let all: Vec<usize> = (0..recording.steps.len()).filter(arrives).collect();
    let looks_alike = |early: Delivery, late: Delivery| {
        early.kind == MessageKind::Heartbeat && early.content == late.content && early.digest != late.digest
    };
    let (at, early) = all
        .windows(200)
        .find_map(|near| {
            let (late, earlier) = near.split_last()?;
            let early = earlier.iter().find(|early| {
                let (early, late) = (delivery(early).unwrap(), delivery(late).unwrap());
                (early.from, early.to) == (late.from, late.to) && looks_alike(early, late)
            });
            Some((*late, delivery(early?)?))
        })
        .unwrap();
    recording.steps[at].action = Action::Deliver(early);
    let diverged = retrace(&plan.setup, &recording, |_, _| {}).unwrap_err();
    assert_eq!(diverged.step, at + 1, "{diverged}");
}

#[test]
fn what_a_replay_skips_changes_nothing() {
    let (seed, plan) = (1_021, short(1_021));
    let recording = record_seed(seed, &plan).recording;
    let happened = replay(&plan.setup, &recording.steps).happened;
    let steps = recording.steps.iter().zip(&happened).filter(|(_, happened)| **happened);
    let steps: Vec<Step> = steps.map(|(step, _)| step.clone()).collect();
    assert!(steps.len() < recording.steps.len());
    assert_eq!(replay(&plan.setup, &steps).traces.last(), Some(&recording.trace_hash()));
}

/// A healthy cluster that is disturbed breaks no promise that a replay could see.
#[cfg(feature = "mutants")]
#[test]
fn what_only_the_whole_run_shows_is_known_for_it() {
    use raft_core::mutants::{Mutant, plant};

    plant(Some(Mutant::QuestionDisturbs));
    let disturbed = (0..20).find_map(|seed| {
        let (plan, Recorded { outcome, recording }) = (short(seed), record_seed(seed, &short(seed)));
        let violation = outcome.err()?;
        Some((violation, retrace(&plan.setup, &recording, |_, _| {})))
    });
    plant(None);
    let (violation, replayed) = disturbed.unwrap();
    assert!(violation.needs_the_world(), "{violation}");
    assert_eq!(replayed, Ok(None));
}
