//! Runs the simulator over a range of seeds: `sim A..B`, or over one: `sim N`.

use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;

use raft_core::testing::world::{Plan, Report, run_seed};

fn main() -> ExitCode {
    let Some(seeds) = std::env::args().nth(1).as_deref().and_then(parse) else {
        eprintln!("usage: sim FIRST..END | sim SEED");
        return ExitCode::from(2);
    };
    let plan = Plan::default();
    let started = Instant::now();
    let (mut total, mut failed) = (Report::default(), 0);
    for seed in seeds.clone() {
        match run_seed(seed, &plan) {
            Ok(report) => add(&mut total, &report),
            Err(violation) => {
                failed += 1;
                println!("seed {seed}: {violation}\n  replay: sim {seed}");
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{} seeds, {failed} failed, {seconds:.1} s", seeds.end - seeds.start);
    println!("{total:?}");
    println!("{:.0} events/s", total.events as f64 / seconds);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(text: &str) -> Option<Range<u64>> {
    if let Some((first, end)) = text.split_once("..") {
        return Some(first.parse().ok()?..end.parse().ok()?);
    }
    let seed: u64 = text.parse().ok()?;
    Some(seed..seed + 1)
}

const fn add(total: &mut Report, report: &Report) {
    total.events += report.events;
    total.elections += report.elections;
    total.crashes += report.crashes;
    total.committed += report.committed;
    total.acknowledged += report.acknowledged;
    total.reads += report.reads;
    total.installs += report.installs;
    total.trace_hash ^= report.trace_hash;
}
