//! Runs the simulator: many seeds, one seed, or one failing seed made short. `cargo xtask sim` calls it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use raft_core::testing::cluster::Violation;
use raft_core::testing::shrink::{Shrunk, shrink};
use raft_core::testing::world::{Plan, Report, World, run_seed};

const USAGE: &str = "usage: sim --seeds FIRST..END [--jobs N] [--report] | --seed N | --shrink N
  --seeds FIRST..END  run these seeds; END is not one of them
  --jobs N            on so many threads (default: 1)
  --report            say how the runs were distributed
  --seed N            run one seed and say what it did
  --shrink N          make the failing run of one seed short
  --chart FILE        with --seed or --shrink: draw a failing run as an HTML page
  --small             with small clusters and short runs, whose failures are easily understood";

/// Steps that a shrinker may replay: some tens of seconds.
const SHRINK_BUDGET: u64 = 20_000_000;

#[derive(Default)]
struct Args {
    seeds: Option<Range<u64>>,
    shrink: bool,
    report: bool,
    small: bool,
    jobs: usize,
    chart: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Some(args) = parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let Some(seeds) = args.seeds.clone() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    // A panic is a finding like any other; it is reported with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    let passed = match seeds.end - seeds.start {
        1 if args.shrink => shorten(&args, seeds.start),
        1 => run_one(&args, seeds.start),
        _ => run_many(&args, seeds),
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(mut words: impl Iterator<Item = String>) -> Option<Args> {
    let mut args = Args { jobs: 1, ..Args::default() };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seeds" => {
                let range = words.next()?;
                let (first, end) = range.split_once("..")?;
                args.seeds = Some(first.parse().ok()?..end.parse().ok()?).filter(|range| !range.is_empty());
            }
            "--seed" | "--shrink" => {
                args.shrink = word == "--shrink";
                let seed: u64 = words.next()?.parse().ok()?;
                args.seeds = Some(seed..seed + 1);
            }
            "--jobs" => args.jobs = words.next()?.parse().ok().filter(|jobs| *jobs > 0)?,
            "--chart" => args.chart = Some(words.next()?.into()),
            "--report" => args.report = true,
            "--small" => args.small = true,
            _ => return None,
        }
    }
    Some(args)
}

fn plan(args: &Args, seed: u64) -> Plan {
    let plan = Plan::draw(seed);
    if args.small { plan.small() } else { plan }
}

fn replay_command(args: &Args, seed: u64) -> String {
    let small = if args.small { " --small" } else { "" };
    format!("cargo xtask sim --seed {seed}{small}")
}

/// What all threads share.
struct Batch {
    next: AtomicU64,
    results: Mutex<Results>,
}

#[derive(Default)]
struct Results {
    reports: Vec<Report>,
    failures: BTreeMap<u64, Violation>,
}

fn run_many(args: &Args, seeds: Range<u64>) -> bool {
    let began = Instant::now();
    let batch = Batch { next: AtomicU64::new(seeds.start), results: Mutex::default() };
    std::thread::scope(|scope| {
        for _ in 0..args.jobs {
            scope.spawn(|| work(args, &batch, seeds.end));
        }
    });
    let elapsed = began.elapsed();
    let Results { reports, failures } =
        batch.results.into_inner().expect("no thread panics while it holds it");
    for (seed, violation) in &failures {
        println!("seed {seed}: {}: {violation}\n  {}", violation.name(), replay_command(args, *seed));
    }
    if args.report {
        print!("{}", describe(&reports, elapsed, args.jobs));
    }
    println!("{} seeds, {} failed, {:.1} s", seeds.end - seeds.start, failures.len(), elapsed.as_secs_f64());
    failures.is_empty()
}

fn work(args: &Args, batch: &Batch, end: u64) {
    loop {
        let seed = batch.next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return;
        }
        let result = run_seed(seed, &plan(args, seed));
        let mut results = batch.results.lock().expect("no thread panics while it holds it");
        match result {
            Ok(report) => results.reports.push(report),
            Err(violation) => {
                results.failures.insert(seed, violation);
            }
        }
    }
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

fn run_one(args: &Args, seed: u64) -> bool {
    let began = Instant::now();
    match run_seed(seed, &plan(args, seed)) {
        Ok(report) => {
            print!("{}", describe(&[report], began.elapsed(), 1));
            println!("seed {seed}: passed, trace {:016x}", report.trace_hash);
            true
        }
        Err(violation) => {
            println!("seed {seed}: {}: {violation}\n  {}", violation.name(), replay_command(args, seed));
            false
        }
    }
}

fn shorten(args: &Args, seed: u64) -> bool {
    let began = Instant::now();
    let (plan, mut steps) = (plan(args, seed), Vec::new());
    let Err(violation) = World::run_recorded(seed, &plan, &mut steps) else {
        println!("seed {seed}: passed; there is nothing to make short");
        return true;
    };
    println!("seed {seed}: {}: {violation}", violation.name());
    let before = steps.len();
    let Some(Shrunk { steps, violation, replays }) = shrink(&plan.setup, steps, &violation, SHRINK_BUDGET)
    else {
        println!("  not to be made short: it shows only in the whole run");
        return false;
    };
    for step in &steps {
        println!("{:>14} ns  {}", step.at.as_nanos(), step.action);
    }
    println!("{}: {violation}", violation.name());
    let seconds = began.elapsed().as_secs_f64();
    println!("{} of {before} actions, {replays} replays, {seconds:.1} s", steps.len());
    false
}
