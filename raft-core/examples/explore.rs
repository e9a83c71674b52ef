//! Explores every state of a small cluster; see `raft_core::testing::explore`.

use std::process::ExitCode;
use std::time::Instant;

use raft_core::testing::explore::{Bounds, Counterexample, Report, explore};

const USAGE: &str =
    "usage: explore [--nodes N] [--terms N] [--entries N] [--messages N] [--crashes N] [--changes N] \
[--reads N] [--repeats N]
  [--fast-disks] [--no-heartbeats] [--questions] [--no-symmetry] [--states N] [--quiet] [--mutant NAME|all]
  --nodes N        voters at the start (3)
  --terms N        terms after the first (1)
  --entries N      commands in any one log (1)
  --messages N     messages in flight, at most 6 (4)
  --crashes N      crashes in all (0)
  --changes N      configurations in any one log, after the first (0)
  --reads N        reads in all (0)
  --repeats N      messages that arrive twice, in all (0)
  --fast-disks     writes are durable at once
  --no-heartbeats  leaders send entries only
  --questions      pre-votes travel like other messages
  --no-symmetry    states that differ only in who is who are all looked at
  --logs A,B,C     where to begin: each voter's log, as the terms of its entries (1,1,1); as in 1.2,1,1.3
  --states N       stop after so many
  --quiet          one line at the end
  --mutant NAME    plant a seeded bug; all: each of those that can be found, within its own bounds (feature `mutants`)";

struct Args {
    bounds: Bounds,
    quiet: bool,
    mutant: Option<String>,
}

fn main() -> ExitCode {
    let Some(args) = parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    // A panic is a finding like any other; it is reported with the way to it.
    std::panic::set_hook(Box::new(|_| {}));
    let passed = match &args.mutant {
        None => run(&args.bounds, args.quiet),
        Some(name) => mutants::run(&args.bounds, args.quiet, name),
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(mut words: impl Iterator<Item = String>) -> Option<Args> {
    let mut args = Args { bounds: Bounds::default(), quiet: false, mutant: None };
    let bounds = &mut args.bounds;
    while let Some(word) = words.next() {
        let number = match word.as_str() {
            "--nodes" => &mut bounds.nodes,
            "--terms" => &mut bounds.terms,
            "--entries" => &mut bounds.entries,
            "--messages" => &mut bounds.messages,
            "--crashes" => &mut bounds.crashes,
            "--changes" => &mut bounds.changes,
            "--reads" => &mut bounds.reads,
            "--repeats" => &mut bounds.repeats,
            "--logs" => {
                let log = |log: &str| log.split('.').map(|term| term.parse().ok()).collect::<Option<_>>();
                bounds.logs = words.next()?.split(',').map(log).collect::<Option<_>>()?;
                continue;
            }
            "--states" => {
                bounds.states = words.next()?.parse().ok()?;
                continue;
            }
            "--mutant" => {
                args.mutant = Some(words.next()?);
                continue;
            }
            flag => {
                match flag {
                    "--fast-disks" => bounds.slow_disks = false,
                    "--no-heartbeats" => bounds.heartbeats = false,
                    "--questions" => bounds.questions = true,
                    "--no-symmetry" => bounds.symmetry = false,
                    "--quiet" => args.quiet = true,
                    _ => return None,
                }
                continue;
            }
        };
        *number = words.next()?.parse().ok()?;
    }
    let nodes = bounds.nodes + u8::from(bounds.changes > 0);
    let logs = bounds.logs.is_empty() || bounds.logs.len() == usize::from(bounds.nodes);
    (logs && (1..=5).contains(&nodes) && (1..=6).contains(&bounds.messages)).then_some(args)
}

/// Explores and says how far it came; with the seconds.
fn timed(bounds: &Bounds, quiet: bool) -> (Result<Report, Box<Counterexample>>, Report, f64) {
    let began = Instant::now();
    let mut last = Report::default();
    let result = explore(bounds, |report| {
        last = *report;
        if !quiet {
            let seconds = began.elapsed().as_secs_f64();
            println!("depth {:>3}: {:>10} new states, {seconds:.1} s", report.depth, report.newest);
        }
    });
    (result, last, began.elapsed().as_secs_f64())
}

fn run(bounds: &Bounds, quiet: bool) -> bool {
    let (result, last, seconds) = timed(bounds, quiet);
    let complete = result.as_ref().is_ok_and(|report| report.is_complete);
    let how = if complete { "all" } else { "not all" };
    println!(
        "{} states ({how} within the bounds), {} actions, depth {}, {} states of single nodes, {} messages, {seconds:.1} s",
        last.states, last.actions, last.depth, last.local_states, last.messages
    );
    match result {
        Ok(_) => true,
        Err(counterexample) => {
            println!("{counterexample}");
            false
        }
    }
}

#[cfg(feature = "mutants")]
mod mutants {
    use raft_core::mutants::{Mutant, plant};
    use raft_core::testing::explore::hunt;

    use super::{Bounds, timed};

    /// Whether what was planted was found: within these bounds, or, if it is all, each within its own.
    pub(super) fn run(bounds: &Bounds, quiet: bool, name: &str) -> bool {
        if name == "all" {
            let hunted = Mutant::ALL.iter().filter_map(|mutant| Some((*mutant, hunt(*mutant)?)));
            return hunted.filter(|(mutant, bounds)| !is_found(*mutant, bounds)).count() == 0;
        }
        match name.parse::<Mutant>() {
            Ok(mutant) => {
                println!("{mutant}: {}", mutant.breaks());
                plant(Some(mutant));
                !super::run(bounds, quiet)
            }
            Err(error) => {
                eprintln!("{error}");
                false
            }
        }
    }

    fn is_found(mutant: Mutant, bounds: &Bounds) -> bool {
        plant(Some(mutant));
        let (result, last, seconds) = timed(bounds, true);
        plant(None);
        let found = match &result {
            Ok(_) => "NOT FOUND".to_owned(),
            Err(found) => format!("{} steps: {}", found.steps.len(), found.violation),
        };
        println!("{:<30}{:>9} states{seconds:>7.1} s  {found}", mutant.to_string(), last.states);
        result.is_err()
    }
}

#[cfg(not(feature = "mutants"))]
mod mutants {
    use super::Bounds;

    pub(super) fn run(_bounds: &Bounds, _quiet: bool, _name: &str) -> bool {
        eprintln!("mutants need the feature of that name: --features testing,mutants");
        false
    }
}
