//! Plants each seeded bug in turn and runs the simulator until it notices. `cargo xtask sim --mutant NAME|all` calls it.
//!
//! A bug counts as caught by a seed that passes without it. The limit is seeds and seconds for each bug; one that lives on is
//! a hole in the simulator, and the program fails.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use raft_core::mutants::{Mutant, plant};
use raft_core::testing::world::{Plan, run_seed};

const USAGE: &str = "usage: mutants NAME|all [--seeds N] [--seconds N] [--jobs N] [--table FILE]
  --seeds N     give up on a bug after so many seeds (default: 2000)
  --seconds N   or after so many seconds (default: 60)
  --jobs N      bugs at a time, one thread each (default: 1)
  --table FILE  write what came of it as a Markdown table";

struct Args {
    mutants: Vec<Mutant>,
    seeds: u64,
    limit: Duration,
    jobs: usize,
    table: Option<PathBuf>,
}

/// How long a bug lived.
#[derive(Clone, Copy)]
struct Verdict {
    mutant: Mutant,
    /// What noticed it; `None`: nothing did.
    checker: Option<&'static str>,
    seeds: u64,
    spent: Duration,
}

fn main() -> ExitCode {
    let args = match parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(what) => {
            eprintln!("error: {what}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    // A panic is a way of noticing, too.
    std::panic::set_hook(Box::new(|_| {}));
    let verdicts = hunt(&args);
    let alive = verdicts.iter().filter(|verdict| verdict.checker.is_none()).count();
    println!("{} bugs, {} caught, {alive} alive", verdicts.len(), verdicts.len() - alive);
    if let Some(path) = &args.table
        && let Err(error) = std::fs::write(path, table(&verdicts))
    {
        eprintln!("error: write the table to {}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    if alive == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Args, String> {
    let mut args =
        Args { mutants: Vec::new(), seeds: 2_000, limit: Duration::from_secs(60), jobs: 1, table: None };
    while let Some(word) = words.next() {
        let mut number = || -> Result<u64, String> {
            let value = words.next().ok_or_else(|| format!("{word} wants a number"))?;
            value.parse().map_err(|_| format!("{word} {value}: expected a number"))
        };
        match word.as_str() {
            "--seeds" => args.seeds = number()?,
            "--seconds" => args.limit = Duration::from_secs(number()?),
            "--jobs" => args.jobs = usize::try_from(number()?.max(1)).map_err(|error| error.to_string())?,
            "--table" => args.table = Some(words.next().ok_or("--table wants a file")?.into()),
            "all" => args.mutants.extend(Mutant::ALL),
            name => args.mutants.push(name.parse().map_err(|error| format!("{error}"))?),
        }
    }
    if args.mutants.is_empty() { Err("which bug?".to_owned()) } else { Ok(args) }
}

/// Every bug's verdict, in the order of the catalogue.
fn hunt(args: &Args) -> Vec<Verdict> {
    let (next, verdicts) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..args.jobs {
            scope.spawn(|| {
                while let Some(&mutant) = args.mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdict = hunt_one(mutant, args);
                    println!("{}", line(&verdict));
                    verdicts.lock().expect("no thread panics while it holds it").push(verdict);
                }
            });
        }
    });
    let mut verdicts = verdicts.into_inner().expect("no thread panics while it holds it");
    verdicts.sort_by_key(|verdict| Mutant::ALL.iter().position(|mutant| *mutant == verdict.mutant));
    verdicts
}

fn hunt_one(mutant: Mutant, args: &Args) -> Verdict {
    let mut spent = Duration::ZERO;
    for seed in 0..args.seeds {
        let plan = Plan::draw(seed);
        let began = Instant::now();
        plant(Some(mutant));
        let result = run_seed(seed, &plan);
        plant(None);
        spent += began.elapsed();
        if let Err(violation) = result
            && run_seed(seed, &plan).is_ok()
        {
            return Verdict { mutant, checker: Some(violation.name()), seeds: seed + 1, spent };
        }
        if spent > args.limit {
            return Verdict { mutant, checker: None, seeds: seed + 1, spent };
        }
    }
    Verdict { mutant, checker: None, seeds: args.seeds, spent }
}

fn line(verdict: &Verdict) -> String {
    let Verdict { mutant, checker, seeds, spent } = verdict;
    let checker = checker.unwrap_or("ALIVE");
    format!("{:<32}{checker:<24}{seeds:>8}{:>10.2}", mutant.to_string(), spent.as_secs_f64())
}

fn table(verdicts: &[Verdict]) -> String {
    let mut text = String::from(
        "# Seeded bugs\n\nEach is planted alone, and the simulator runs seeds from 0 on until it notices. Made by\n\
         `cargo xtask sim --mutant all --table docs/mutants.md`; see `raft-core/src/mutants.rs`.\n\n\
         | bug | what it does | noticed by | seeds | seconds |\n|---|---|---|---:|---:|\n",
    );
    for Verdict { mutant, checker, seeds, spent } in verdicts {
        let (breaks, checker) = (mutant.breaks(), checker.unwrap_or("**nothing**"));
        _ = writeln!(text, "| {mutant} | {breaks} | {checker} | {seeds} | {:.2} |", spent.as_secs_f64());
    }
    text
}
