//! Seeded bugs: how soon the simulator notices each, and how short a way exploration knows to its harm.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use raft_core::mutants::{Mutant, UnknownMutant, plant};
use raft_core::testing::explore::{explore, hunt};
use raft_core::testing::world::{Plan, run_seed};

use crate::args::Args;

/// Time after which a mutant counts as not noticed.
const MOST_TIME: Duration = Duration::from_secs(300);

const INTRODUCTION: &str = "\
# Seeded bugs, and what notices them

Made by `cargo xtask sim --mutants --table docs/mutants.md`, which fails if a bug is noticed by nobody.

Each bug of `raft_core::mutants` is planted alone; seeds run from 0 on until a checker of the simulator fires. *Noticed by*
names the violation (`raft_core::testing::cluster::Violation`), *seeds* how many it took, *seconds* how long, on one core
of the machine that made this table. *Steps* is the length of the shortest way to harm, where exhaustive search within
small bounds (`raft_core::testing::explore`) finds one: of the others most need what exploration leaves out (leases,
snapshots, rot, time to wait).

";

/// How a mutant fared.
struct Fate {
    mutant: Mutant,
    /// The violation's name.
    caught: Option<&'static str>,
    seeds: u64,
    time: Duration,
    /// Length of the shortest counterexample, if exploration has bounds for it.
    steps: Option<usize>,
}

impl Fate {
    const fn is_noticed(&self) -> bool {
        self.caught.is_some() || self.steps.is_some()
    }

    /// Who noticed it.
    fn by(&self) -> &'static str {
        self.caught.unwrap_or(if self.is_noticed() { "exploration alone" } else { "**nobody**" })
    }
}

/// Plants the bug of this name on this thread. False if there is none.
pub(crate) fn plant_named(name: Option<&str>) -> bool {
    let Some(name) = name else { return true };
    match name.parse() {
        Ok(mutant) => plant(Some(mutant)),
        Err(error) => return list(&error),
    }
    true
}

/// Says which there are; false.
fn list(error: &UnknownMutant) -> bool {
    eprintln!("{error}; there are:");
    Mutant::ALL.iter().for_each(|mutant| eprintln!("  {mutant}: {}", mutant.breaks()));
    false
}

/// Runs every mutant until it is noticed; prints a table, or writes it to a file.
pub(crate) fn run_all(args: &Args) -> ExitCode {
    let chosen: Result<Vec<Mutant>, _> = args.only.iter().map(|name| name.parse()).collect();
    let chosen = match chosen {
        Ok(none) if none.is_empty() => Mutant::ALL.to_vec(),
        Ok(some) => some,
        Err(error) => {
            list(&error);
            return ExitCode::from(2);
        }
    };
    let fates = hunt_all(args, &chosen);
    let table = format!("{INTRODUCTION}{}", describe(&fates));
    match &args.table {
        None => print!("{table}"),
        Some(path) => {
            if let Err(error) = std::fs::write(path, table) {
                eprintln!("{}: {error}", path.display());
                return ExitCode::FAILURE;
            }
        }
    }
    if fates.iter().all(Fate::is_noticed) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn hunt_all(args: &Args, chosen: &[Mutant]) -> Vec<Fate> {
    let (next, fates) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..args.jobs() {
            scope.spawn(|| {
                while let Some(&mutant) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let fate = hunt_down(args, mutant);
                    eprintln!("{mutant}: {} after {} seeds", fate.by(), fate.seeds);
                    fates.lock().expect("no thread panics while it holds it").push(fate);
                }
            });
        }
    });
    let mut fates = fates.into_inner().expect("no thread panics while it holds it");
    fates.sort_by_key(|fate| chosen.iter().position(|mutant| *mutant == fate.mutant));
    fates
}

fn hunt_down(args: &Args, mutant: Mutant) -> Fate {
    plant(Some(mutant));
    let began = Instant::now();
    let mut fate = Fate { mutant, caught: None, seeds: 0, time: Duration::ZERO, steps: None };
    for seed in args.seeds.0.clone() {
        fate.seeds += 1;
        fate.caught = run_seed(seed, &Plan::draw(seed)).err().map(|violation| violation.name());
        if fate.caught.is_some() || began.elapsed() > MOST_TIME {
            break;
        }
    }
    fate.time = began.elapsed();
    fate.steps = hunt(mutant).and_then(|bounds| explore(&bounds, |_| {}).err()).map(|way| way.steps.len());
    plant(None);
    fate
}

fn describe(fates: &[Fate]) -> String {
    let mut text = String::from("| mutant | what it breaks | noticed by | seeds | seconds | steps |\n");
    text.push_str("|---|---|---|---:|---:|---:|\n");
    for fate @ Fate { mutant, seeds, time, steps, .. } in fates {
        let (by, seconds) = (fate.by(), time.as_secs_f64());
        let steps = steps.map_or_else(String::new, |steps| steps.to_string());
        let what = mutant.breaks();
        _ = writeln!(text, "| {mutant} | {what} | {by} | {seeds} | {seconds:.2} | {steps} |");
    }
    let noticed = fates.iter().filter(|fate| fate.is_noticed()).count();
    let explored = fates.iter().filter(|fate| fate.steps.is_some()).count();
    let simulated = fates.iter().filter(|fate| fate.caught.is_some());
    let mut seeds: Vec<u64> = simulated.map(|fate| fate.seeds).collect();
    seeds.sort_unstable();
    let at = |percent: usize| {
        seeds.get(seeds.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default()
    };
    let (all, median, p95) = (fates.len(), at(50), at(95));
    _ = writeln!(
        text,
        "\n{noticed} of {all} noticed, {} by the simulator; seeds: median {median}, 95 of 100 within {p95}. Exploration finds {explored}.",
        seeds.len()
    );
    text
}
