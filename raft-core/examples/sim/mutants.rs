//! Seeded bugs: how soon the simulator notices each.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use raft_core::mutants::{Mutant, plant};
use raft_core::testing::world::{Plan, run_seed};

use crate::args::Args;

/// Seeds after which a mutant counts as not noticed, and the time.
const MOST_SEEDS: u64 = 4_000;
const MOST_TIME: Duration = Duration::from_secs(60);

/// How a mutant fared.
struct Fate {
    mutant: Mutant,
    /// The violation's name, and the seed that showed it.
    caught: Option<(&'static str, u64)>,
    seeds: u64,
    time: Duration,
}

/// Plants the bug of this name on this thread. False if there is none.
pub(crate) fn plant_named(name: Option<&str>) -> bool {
    let Some(name) = name else { return true };
    let Ok(mutant) = name.parse() else {
        eprintln!("no mutant is called {name:?}; there are:");
        Mutant::ALL.iter().for_each(|mutant| eprintln!("  {mutant}: {}", mutant.breaks()));
        return false;
    };
    plant(Some(mutant));
    true
}

/// Runs every mutant until it is noticed; prints a table.
pub(crate) fn run_all(args: &Args) -> ExitCode {
    let (next, fates) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..args.jobs {
            scope.spawn(|| {
                while let Some(&mutant) = Mutant::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let fate = hunt(args, mutant);
                    fates.lock().expect("no thread panics while it holds it").push(fate);
                }
            });
        }
    });
    let mut fates = fates.into_inner().expect("no thread panics while it holds it");
    fates.sort_by_key(|fate| Mutant::ALL.iter().position(|mutant| *mutant == fate.mutant));
    print(&fates);
    if fates.iter().all(|fate| fate.caught.is_some()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn hunt(args: &Args, mutant: Mutant) -> Fate {
    plant(Some(mutant));
    let (began, first) = (Instant::now(), args.seeds.as_ref().map_or(0, |seeds| seeds.start));
    let mut fate = Fate { mutant, caught: None, seeds: 0, time: Duration::ZERO };
    for seed in first..first + MOST_SEEDS {
        fate.seeds += 1;
        if let Err(violation) = run_seed(seed, &Plan::draw(seed)) {
            fate.caught = Some((violation.name(), seed));
            break;
        }
        if began.elapsed() > MOST_TIME {
            break;
        }
    }
    fate.time = began.elapsed();
    plant(None);
    fate
}

fn print(fates: &[Fate]) {
    println!("| mutant | what it does | noticed by | seed | seeds | seconds |");
    println!("|---|---|---|---|---|---|");
    for Fate { mutant, caught, seeds, time } in fates {
        let seconds = time.as_secs_f64();
        let (by, seed) = caught.map_or(("**nobody**", String::new()), |(by, seed)| (by, seed.to_string()));
        println!("| {mutant} | {} | {by} | {seed} | {seeds} | {seconds:.2} |", mutant.breaks());
    }
    let caught = fates.iter().filter(|fate| fate.caught.is_some()).count();
    println!("\n{caught} of {} noticed.", fates.len());
}
