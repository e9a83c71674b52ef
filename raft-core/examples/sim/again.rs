//! One seed once more, to look at it: what it did, how it is drawn, how it is made short.
//!
//! Each time the run is recorded, replayed from the record, and compared: with itself step by step, and at its end with the
//! trace hash of the run that this one repeats, if that is known.

use std::time::Instant;

use raft_core::testing::chart::draw;
use raft_core::testing::cluster::{Setup, Violation};
use raft_core::testing::replay::{Diverged, retrace};
use raft_core::testing::shrink::{Shrunk, length, search, shrink};
use raft_core::testing::world::{Plan, Recorded, Recording, record_seed};

use crate::args::{Args, Trace};
use crate::describe;

/// Steps that a shrinker may replay: some tens of seconds.
const SHRINK_BUDGET: u64 = 10_000_000;

/// A run of so many actions is short enough.
const SHORT: usize = 40;

/// Short random runs to try instead.
const SEARCH_ATTEMPTS: u64 = 100_000;

/// A run could not be repeated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTheSame {
    #[error(
        "seed {seed} has trace {found:016x} (expected {expected:016x}, says --trace): was it this program, and this plan?"
    )]
    Run { seed: u64, found: u64, expected: u64 },
    #[error("the replay of the record went another way, at {0}; the simulator is at fault")]
    Replay(#[from] Diverged),
    #[error(
        "the replay of the record ended with {found:?} (the run with {expected:?}); the simulator is at fault"
    )]
    End { found: Option<Box<Violation>>, expected: Option<Box<Violation>> },
}

/// Says what the seed did. Whether it passed.
pub(crate) fn look(args: &Args, seed: u64) -> Result<bool, NotTheSame> {
    let began = Instant::now();
    let (plan, Recorded { outcome, recording }) = record(args, seed)?;
    let (trace, elapsed) = (recording.trace_hash(), began.elapsed());
    let violation = match &outcome {
        Ok(report) => {
            print!("{}", describe(&[*report], elapsed, 1));
            println!("seed {seed}: passed, trace {trace:016x}");
            None
        }
        Err(violation) => {
            let command = args.replay_command(seed, trace);
            println!("seed {seed}: {}: {violation}\n  {command}", violation.name());
            Some(violation)
        }
    };
    compare(&plan.setup, &recording, violation)?;
    chart(args, seed, &plan.setup, &recording, violation)?;
    Ok(violation.is_none())
}

/// Makes the failing run of a seed short. Whether there is nothing to make short.
pub(crate) fn shorten(args: &Args, seed: u64) -> Result<bool, NotTheSame> {
    let began = Instant::now();
    let (plan, Recorded { outcome, recording }) = record(args, seed)?;
    let Err(violation) = outcome else {
        println!("seed {seed}: passed; there is nothing to make short");
        return Ok(true);
    };
    println!("seed {seed}: {}: {violation}", violation.name());
    compare(&plan.setup, &recording, Some(&violation))?;
    let before = recording.steps.len();
    let mut shrunk = shrink(&plan.setup, recording, &violation, SHRINK_BUDGET)?;
    if length(shrunk.as_ref()) > SHORT {
        let other = search(seed, &violation, SHORT, SEARCH_ATTEMPTS)?;
        if length(other.as_ref()) < length(shrunk.as_ref()) {
            println!("  a short random run leads to the same violation sooner:");
            shrunk = other;
        }
    }
    let Some(Shrunk { setup, recording, violation, replays }) = shrunk else {
        println!("  not to be made short: it shows only in the whole run");
        return Ok(false);
    };
    for step in &recording.steps {
        println!("{:>14} ns  {}", step.at.as_nanos(), step.action);
    }
    println!("{}: {violation}", violation.name());
    chart(args, seed, &setup, &recording, Some(&violation))?;
    let seconds = began.elapsed().as_secs_f64();
    println!("{} of {before} actions, {replays} replays, {seconds:.1} s", recording.steps.len());
    Ok(false)
}

/// Runs the seed.
fn record(args: &Args, seed: u64) -> Result<(Plan, Recorded), NotTheSame> {
    let plan = args.plan(seed);
    let recorded = record_seed(seed, &plan);
    let found = recorded.recording.trace_hash();
    match args.trace {
        Some(Trace(expected)) if expected != found => Err(NotTheSame::Run { seed, found, expected }),
        _ => Ok((plan, recorded)),
    }
}

/// Makes sure that the record is the run: the same states, and the same end, unless it is one that no replay can see.
fn compare(setup: &Setup, recording: &Recording, end: Option<&Violation>) -> Result<(), NotTheSame> {
    let found = retrace(setup, recording, |_, _| {})?;
    let expected = end.filter(|violation| !violation.needs_the_world());
    if found.as_ref() == expected {
        return Ok(());
    }
    Err(NotTheSame::End { found: found.map(Box::new), expected: expected.cloned().map(Box::new) })
}

/// Draws a run, if that is wanted.
fn chart(
    args: &Args,
    seed: u64,
    setup: &Setup,
    recording: &Recording,
    violation: Option<&Violation>,
) -> Result<(), NotTheSame> {
    let Some(path) = &args.chart else { return Ok(()) };
    let end = violation.map_or("it passed", Violation::name);
    let page = draw(&format!("Simulation of seed {seed}: {end}"), setup, recording, violation)?;
    match std::fs::write(path, page) {
        Ok(()) => println!("drawn in {}", path.display()),
        Err(error) => eprintln!("{}: {error}", path.display()),
    }
    Ok(())
}
