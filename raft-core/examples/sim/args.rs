//! The command line.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Parser;
use raft_core::testing::world::Plan;

/// Runs simulated clusters under random faults, with every safety rule checked at every step.
///
/// A seed is a run: the same seed does the same in every process. Exit status: 0 nothing found (with --mutants: every bug
/// noticed), 1 otherwise, 2 wrong usage, 3 a run could not be repeated: it is another one than it was.
#[derive(Clone, Debug, Parser)]
#[command(name = "sim", bin_name = "cargo xtask sim")]
pub(crate) struct Args {
    /// Run these seeds; END is not one of them. With --mutants: the seeds that each bug may take
    #[arg(long, value_name = "FIRST..END", default_value = "0..2000")]
    pub(crate) seeds: Seeds,

    /// Run one seed and say what it did
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "shrink", "mutants"])]
    pub(crate) seed: Option<u64>,

    /// Make the failing run of one seed short
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "mutants"])]
    pub(crate) shrink: Option<u64>,

    /// Plant each seeded bug in turn, until it is noticed: a table in Markdown
    #[arg(long)]
    pub(crate) mutants: bool,

    /// Plant one seeded bug
    #[arg(long, value_name = "NAME", conflicts_with = "mutants")]
    pub(crate) mutant: Option<String>,

    /// With --mutants: these alone
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',', requires = "mutants")]
    pub(crate) only: Vec<String>,

    /// With --mutants: write the table here
    #[arg(long, value_name = "FILE", requires = "mutants")]
    pub(crate) table: Option<PathBuf>,

    /// With --seed or --shrink: the trace hash that the run had. It is an error if it has another one now
    #[arg(long, value_name = "HASH", conflicts_with_all = ["seeds", "mutants"])]
    pub(crate) trace: Option<Trace>,

    /// With --seed or --shrink: draw the run, or the last 400 steps of it, as an HTML page
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seeds", "mutants"])]
    pub(crate) chart: Option<PathBuf>,

    /// Small clusters and short runs, whose failures are easily understood
    #[arg(long, conflicts_with = "mutants")]
    pub(crate) small: bool,

    /// Say how the runs were distributed, and which marks were reached
    #[arg(long, conflicts_with_all = ["seed", "shrink", "mutants"])]
    pub(crate) report: bool,

    /// Fail if a mark was not reached
    #[arg(long, conflicts_with_all = ["seed", "shrink", "mutants"])]
    pub(crate) require_marks: bool,

    /// Threads [default: one for each core]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
}

/// Seeds `first..end`, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seeds(pub(crate) Range<u64>);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, end) = text.split_once("..").ok_or("expected FIRST..END, as in 0..2000")?;
        let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text:?}: {error}"));
        let range = number(first)?..number(end)?;
        if range.is_empty() { Err("expected END above FIRST".to_owned()) } else { Ok(Self(range)) }
    }
}

/// A trace hash, in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trace(pub(crate) u64);

impl FromStr for Trace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = u64::from_str_radix(text, 16);
        number.map(Self).map_err(|error| format!("expected 16 hexadecimal digits: {error}"))
    }
}

impl Args {
    pub(crate) fn jobs(&self) -> usize {
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        self.jobs.unwrap_or_else(cores).get()
    }

    pub(crate) fn plan(&self, seed: u64) -> Plan {
        let plan = Plan::draw(seed);
        if self.small { plan.small() } else { plan }
    }

    /// The command that brings a run back, and notices if it is not the same.
    pub(crate) fn replay_command(&self, seed: u64, trace: u64) -> String {
        let small = if self.small { " --small" } else { "" };
        let mutant = self.mutant.as_ref().map_or_else(String::new, |name| format!(" --mutant {name}"));
        format!("cargo xtask sim --seed {seed}{small}{mutant} --trace {trace:016x}")
    }
}
