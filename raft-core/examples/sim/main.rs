//! Runs the simulator: many seeds, one seed, one failing seed made short, or seeded bugs. `cargo xtask sim` calls it.

mod again;
mod args;
#[cfg(feature = "mutants")]
mod mutants;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser as _;
use raft_core::marks::{self, Mark};
use raft_core::testing::cluster::Violation;
use raft_core::testing::world::{Report, trace_seed};

use args::Args;

/// Exit status when a run could not be repeated.
const NOT_THE_SAME: u8 = 3;

fn main() -> ExitCode {
    let args = Args::parse();
    if !plant(&args) {
        return ExitCode::from(2);
    }
    // A panic is a finding like any other; it is reported with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    let passed = match (args.seed, args.shrink) {
        _ if args.mutants => return all_mutants(&args),
        (Some(seed), _) => again::look(&args, seed),
        (None, Some(seed)) => again::shorten(&args, seed),
        (None, None) => Ok(run_many(&args, args.seeds.0.clone())),
    };
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ERROR: NOT THE SAME RUN: {error}");
            ExitCode::from(NOT_THE_SAME)
        }
    }
}

#[cfg(feature = "mutants")]
use mutants::run_all as all_mutants;

#[cfg(feature = "mutants")]
fn plant(args: &Args) -> bool {
    mutants::plant_named(args.mutant.as_deref())
}

#[cfg(not(feature = "mutants"))]
fn plant(args: &Args) -> bool {
    let wanted = args.mutant.is_some() || args.mutants;
    if wanted {
        eprintln!("this program was built without the feature `mutants`");
    }
    !wanted
}

#[cfg(not(feature = "mutants"))]
fn all_mutants(_args: &Args) -> ExitCode {
    ExitCode::from(2)
}

/// What all threads share.
struct Batch {
    next: AtomicU64,
    results: Mutex<Results>,
}

#[derive(Default)]
struct Results {
    reports: Vec<Report>,
    /// With the trace hash at the end.
    failures: BTreeMap<u64, (Violation, u64)>,
    marks: BTreeMap<Mark, u64>,
}

fn run_many(args: &Args, seeds: Range<u64>) -> bool {
    let began = Instant::now();
    let batch = Batch { next: AtomicU64::new(seeds.start), results: Mutex::default() };
    std::thread::scope(|scope| {
        for _ in 0..args.jobs() {
            scope.spawn(|| work(args, &batch, seeds.end));
        }
    });
    let elapsed = began.elapsed();
    let Results { reports, failures, marks } =
        batch.results.into_inner().expect("no thread panics while it holds it");
    for (seed, (violation, trace)) in &failures {
        println!("seed {seed}: {}: {violation}\n  {}", violation.name(), args.replay_command(*seed, *trace));
    }
    if args.report {
        print!("{}{}", describe(&reports, elapsed, args.jobs()), describe_marks(&marks));
    }
    let missed: Vec<_> = Mark::ALL.iter().filter(|mark| !marks.contains_key(mark)).collect();
    for mark in &missed {
        println!("not reached: {mark:?}: {}", mark.what());
    }
    let marks = format!("{} of {} marks reached", Mark::ALL.len() - missed.len(), Mark::ALL.len());
    let (count, seconds) = (seeds.end - seeds.start, elapsed.as_secs_f64());
    println!("{count} seeds, {} failed, {marks}, {seconds:.1} s", failures.len());
    let judged = enough_are_judged(&reports) || !args.report;
    failures.is_empty() && judged && (missed.is_empty() || !args.require_marks)
}

/// Whether all but one run in a hundred had a quorum to heal. Says how many had none.
fn enough_are_judged(reports: &[Report]) -> bool {
    let unjudged = reports.iter().filter(|report| !report.judged).count();
    let enough = unjudged * 100 <= reports.len();
    if unjudged > 0 {
        let verdict = if enough { "" } else { ": more than 1 in 100" };
        println!("{unjudged} not judged: no quorum was left to heal{verdict}");
    }
    enough
}

fn work(args: &Args, batch: &Batch, end: u64) {
    plant(args);
    loop {
        let seed = batch.next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            break;
        }
        let (result, trace) = trace_seed(seed, &args.plan(seed));
        let mut results = batch.results.lock().expect("no thread panics while it holds it");
        match result {
            Ok(report) => results.reports.push(report),
            Err(violation) => {
                results.failures.insert(seed, (violation, trace));
            }
        }
    }
    let mut results = batch.results.lock().expect("no thread panics while it holds it");
    for (mark, count) in marks::take().into_iter().filter(|(_, count)| *count > 0) {
        *results.marks.entry(mark).or_default() += count;
    }
}

fn describe_marks(marks: &BTreeMap<Mark, u64>) -> String {
    let line = |(mark, count): (&Mark, &u64)| format!("{count:>10}  {mark:?}: {}\n", mark.what());
    marks.iter().map(line).collect()
}

type Figure = (&'static str, fn(&Report) -> u64);

const FIGURES: [Figure; 11] = [
    ("events", |report| report.events),
    ("elections", |report| report.elections),
    ("crashes", |report| report.crashes),
    ("configurations", |report| report.configurations),
    ("snapshots installed", |report| report.installs),
    ("entries committed", |report| report.committed),
    ("proposals acknowledged", |report| report.acknowledged),
    ("reads confirmed", |report| report.reads),
    ("simulated ms", |report| millis(report.simulated)),
    ("recovery, election timeouts/1000", |report| report.recovered_in),
    ("nodes", |report| report.nodes),
];

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The distribution of each figure over the seeds, and the speed.
fn describe(reports: &[Report], elapsed: Duration, jobs: usize) -> String {
    let mut text = format!("{:<34}{:>10}{:>10}{:>10}{:>10}\n", "per seed", "least", "median", "p95", "most");
    for (name, figure) in FIGURES {
        let mut values: Vec<u64> = reports.iter().map(figure).collect();
        values.sort_unstable();
        let at = |percent: usize| values.get(values.len().saturating_sub(1) * percent / 100).copied();
        let [least, median, p95, most] = [0, 50, 95, 100].map(|percent| at(percent).unwrap_or_default());
        _ = writeln!(text, "{name:<34}{least:>10}{median:>10}{p95:>10}{most:>10}");
    }
    let events: u64 = reports.iter().map(|report| report.events).sum();
    let simulated: Duration = reports.iter().map(|report| report.simulated).sum();
    let seconds = elapsed.as_secs_f64();
    _ = writeln!(text, "{events} events, {:.0} a second and core", events as f64 / seconds / jobs as f64);
    _ = writeln!(text, "{:.1} hours simulated", simulated.as_secs_f64() / 3600.0);
    text
}
