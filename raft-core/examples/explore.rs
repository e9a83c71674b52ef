//! Explores every state of a small cluster; see `raft_core::testing::explore`.

use std::process::ExitCode;
use std::time::Instant;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, value_parser};
use raft_core::testing::explore::{Bounds, Counterexample, Report, explore};

/// Looks at everything that can happen to a small cluster, breadth first, over the real consensus core; prints the shortest
/// way to break a promise, if there is one. Exit status: 0 nothing found (with --mutant: found), 1 the contrary.
#[derive(Parser)]
#[command(name = "explore", bin_name = "cargo xtask explore")]
struct Args {
    #[command(flatten)]
    bounds: Wishes,
    /// One line at the end
    #[arg(long)]
    quiet: bool,
    /// That line as a row of the table in docs/evidence.md
    #[arg(long, conflicts_with = "mutants")]
    row: bool,
    /// Plant a seeded bug; it should be found (feature `mutants`)
    #[arg(long, value_name = "NAME")]
    mutant: Option<String>,
    /// Plant each seeded bug that can be found in turn, each within its own bounds: a table in Markdown (feature `mutants`)
    #[arg(long, conflicts_with_all = ["mutant", "Wishes"])]
    mutants: bool,
}

/// The bounds, as words of a command line.
#[derive(clap::Args)]
struct Wishes {
    /// Voters at the start; with --changes one more node waits to join, and there are 4 at most
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u8).range(1..=5))]
    nodes: u8,
    /// Terms after the first
    #[arg(long, value_name = "N", default_value_t = 1)]
    terms: u8,
    /// Commands in any one log
    #[arg(long, value_name = "N", default_value_t = 1)]
    entries: u8,
    /// Messages in flight
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = value_parser!(u8).range(1..=6))]
    messages: u8,
    /// Crashes in all
    #[arg(long, value_name = "N", default_value_t = 0)]
    crashes: u8,
    /// Configurations in any one log, after the first
    #[arg(long, value_name = "N", default_value_t = 0)]
    changes: u8,
    /// Reads in all
    #[arg(long, value_name = "N", default_value_t = 0)]
    reads: u8,
    /// Messages that arrive twice, in all
    #[arg(long, value_name = "N", default_value_t = 0)]
    repeats: u8,
    /// Writes are durable at once
    #[arg(long)]
    fast_disks: bool,
    /// Timers may be overdue when something else happens, and fire even if a write has only just begun
    #[arg(long)]
    late_timers: bool,
    /// Leaders send entries only
    #[arg(long)]
    no_heartbeats: bool,
    /// Pre-votes travel like other messages
    #[arg(long)]
    questions: bool,
    /// States that differ only in who is who are all looked at
    #[arg(long)]
    no_symmetry: bool,
    /// Where to begin: the log of each voter, as the terms of its entries, as in 1.2,1,1.3
    #[arg(long, value_name = "LOG,…", value_delimiter = ',', value_parser = log)]
    logs: Vec<Log>,
    /// Stop after so many states
    #[arg(long, value_name = "N", default_value_t = u64::MAX, hide_default_value = true)]
    states: u64,
}

/// What to print of a search.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Show {
    /// Every level, and what it came to.
    All,
    /// What it came to.
    Last,
    /// The same as a row of a table.
    Row,
}

/// The terms of a log's entries.
#[derive(Clone)]
struct Log(Vec<u64>);

fn log(terms: &str) -> Result<Log, std::num::ParseIntError> {
    terms.split('.').map(str::parse).collect::<Result<_, _>>().map(Log)
}

impl Wishes {
    fn bounds(self) -> Result<Bounds, &'static str> {
        if self.changes > 0 && self.nodes > 4 {
            return Err("--changes: one node more than 4 voters is too many; take --nodes 4 at most");
        }
        if !self.logs.is_empty() && self.logs.len() != usize::from(self.nodes) {
            return Err("--logs: one for each of the voters (--nodes)");
        }
        Ok(Bounds {
            nodes: self.nodes,
            terms: self.terms,
            entries: self.entries,
            messages: self.messages,
            crashes: self.crashes,
            changes: self.changes,
            reads: self.reads,
            repeats: self.repeats,
            slow_disks: !self.fast_disks,
            late_timers: self.late_timers,
            heartbeats: !self.no_heartbeats,
            questions: self.questions,
            symmetry: !self.no_symmetry,
            logs: self.logs.into_iter().map(|Log(terms)| terms).collect(),
            states: self.states,
        })
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    // A panic is a finding like any other; it is reported with the way to it.
    std::panic::set_hook(Box::new(|_| {}));
    if args.mutants {
        return exit_status(mutants::table());
    }
    let bounds = args.bounds.bounds();
    let bounds =
        bounds.unwrap_or_else(|wrong| Args::command().error(ErrorKind::ValueValidation, wrong).exit());
    let show = match () {
        () if args.row => Show::Row,
        () if args.quiet => Show::Last,
        () => Show::All,
    };
    exit_status(match &args.mutant {
        None => run(&bounds, show),
        Some(name) => mutants::run(&bounds, show, name),
    })
}

fn exit_status(is_well: bool) -> ExitCode {
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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

fn run(bounds: &Bounds, show: Show) -> bool {
    let (result, last, seconds) = timed(bounds, show != Show::All);
    let complete = result.as_ref().is_ok_and(|report| report.is_complete);
    if show == Show::Row {
        println!("{}", row(&last, seconds, complete));
    } else {
        let how = if complete { "all" } else { "not all" };
        println!(
            "{} states ({how} within the bounds), {} actions, depth {}, {} states of single nodes, {} messages, {seconds:.1} s",
            last.states, last.actions, last.depth, last.local_states, last.messages
        );
    }
    match result {
        Ok(_) => true,
        Err(counterexample) => {
            println!("{counterexample}");
            false
        }
    }
}

/// A row of a table in Markdown. The bounds are those of the command line, but for the limit: it is the count then.
fn row(last: &Report, seconds: f64, complete: bool) -> String {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut bounds = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--row" | "--quiet" => {}
            "--states" => drop(words.next()),
            other => bounds.push(other),
        }
    }
    let complete = if complete { "yes" } else { "no" };
    format!(
        "| `{}` | {} | {} | {seconds:.0} | {complete} |",
        bounds.join(" "),
        grouped(last.states),
        last.depth
    )
}

/// A number with a comma before every three digits.
fn grouped(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", grouped(number / 1000), number % 1000),
    }
}

#[cfg(feature = "mutants")]
mod mutants {
    use raft_core::mutants::{Mutant, plant};
    use raft_core::testing::explore::hunt;

    use super::{Bounds, Show, timed};

    /// Whether `name`, planted, was found within these bounds.
    pub(super) fn run(bounds: &Bounds, show: Show, name: &str) -> bool {
        match name.parse::<Mutant>() {
            Ok(mutant) => {
                println!("{mutant}: {}", mutant.breaks());
                plant(Some(mutant));
                !super::run(bounds, show)
            }
            Err(error) => {
                eprintln!("{error}");
                false
            }
        }
    }

    /// Whether each of those that can be found was.
    pub(super) fn table() -> bool {
        println!("| mutant | steps | states | seconds | what is broken |\n|---|--:|--:|--:|---|");
        let hunted = Mutant::ALL.iter().filter_map(|mutant| Some((*mutant, hunt(*mutant)?)));
        hunted.filter(|(mutant, bounds)| !is_found(*mutant, bounds)).count() == 0
    }

    fn is_found(mutant: Mutant, bounds: &Bounds) -> bool {
        plant(Some(mutant));
        let (result, last, seconds) = timed(bounds, true);
        plant(None);
        let (steps, what) = match &result {
            Ok(_) => (String::new(), "**not found**".to_owned()),
            Err(found) => (found.steps.len().to_string(), found.violation.to_string()),
        };
        println!("| {mutant} | {steps} | {} | {seconds:.1} | {what} |", last.states);
        result.is_err()
    }
}

#[cfg(not(feature = "mutants"))]
mod mutants {
    use super::{Bounds, Show};

    pub(super) fn run(_bounds: &Bounds, _show: Show, _name: &str) -> bool {
        table()
    }

    pub(super) fn table() -> bool {
        eprintln!("error: built without seeded bugs; build with --features mutants");
        false
    }
}
