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
    let started = Instant::now();
    let mut failed = 0;
    let mut reports: Vec<Report> = Vec::new();
    for seed in seeds.clone() {
        match run_seed(seed, &Plan::draw(seed)) {
            Ok(report) => reports.push(report),
            Err(violation) => {
                failed += 1;
                println!("seed {seed}: {violation}\n  replay: sim {seed}");
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{} seeds, {failed} failed, {seconds:.1} s", seeds.end - seeds.start);
    let total: u64 = reports.iter().map(|r| r.events).sum();
    println!("{:.0} events/s", total as f64 / seconds);
    for (name, get) in [
        ("events", (|r| r.events) as fn(&Report) -> u64),
        ("elections", |r| r.elections),
        ("crashes", |r| r.crashes),
        ("committed", |r| r.committed),
        ("acknowledged", |r| r.acknowledged),
        ("reads", |r| r.reads),
        ("installs", |r| r.installs),
        ("simulated ms", |r| r.simulated.as_millis() as u64),
        ("recovered", |r| r.recovered_in),
    ] {
        let mut values: Vec<u64> = reports.iter().map(get).collect();
        values.sort_unstable();
        let at = |p: usize| values.get(values.len().saturating_sub(1) * p / 100).copied().unwrap_or(0);
        println!("{name:>14} min {} median {} p95 {} max {}", at(0), at(50), at(95), at(100));
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(text: &str) -> Option<Range<u64>> {
    if let Some((first, end)) = text.split_once("..") {
        return Some(first.parse().ok()?..end.parse().ok()?);
    }
    let seed: u64 = text.parse().ok()?;
    Some(seed..seed + 1)
}
