//! The command line.

use std::ops::Range;
use std::path::PathBuf;

use raft_core::testing::world::Plan;

pub(crate) const USAGE: &str =
    "usage: sim --seeds FIRST..END [--jobs N] [--report] | --seed N | --shrink N | --mutants
  --seeds FIRST..END  run these seeds; END is not one of them
  --jobs N            on so many threads (default: 1)
  --report            say how the runs were distributed, and which marks were reached
  --require-marks     fail if a mark was not reached
  --seed N            run one seed and say what it did
  --shrink N          make the failing run of one seed short
  --chart FILE        with --seed or --shrink: draw a failing run as an HTML page
  --small             with small clusters and short runs, whose failures are easily understood
  --mutant NAME       with a seeded bug (a program built with the feature `mutants`)
  --mutants           with each of them in turn, until it is noticed: a table in Markdown";

/// What to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    #[default]
    Seeds,
    Seed,
    Shrink,
    Mutants,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Args {
    pub(crate) mode: Mode,
    pub(crate) seeds: Option<Range<u64>>,
    pub(crate) report: bool,
    pub(crate) require_marks: bool,
    pub(crate) small: bool,
    pub(crate) jobs: usize,
    pub(crate) chart: Option<PathBuf>,
    pub(crate) mutant: Option<String>,
}

impl Args {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let mut args = Self { jobs: 1, ..Self::default() };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--seeds" => {
                    let range = words.next()?;
                    let (first, end) = range.split_once("..")?;
                    args.seeds = Some(first.parse().ok()?..end.parse().ok()?);
                }
                "--seed" | "--shrink" => {
                    args.mode = if word == "--seed" { Mode::Seed } else { Mode::Shrink };
                    let seed: u64 = words.next()?.parse().ok()?;
                    args.seeds = Some(seed..seed.checked_add(1)?);
                }
                "--jobs" => args.jobs = words.next()?.parse().ok().filter(|jobs| *jobs > 0)?,
                "--chart" => args.chart = Some(words.next()?.into()),
                "--mutant" => args.mutant = Some(words.next()?),
                "--mutants" => args.mode = Mode::Mutants,
                "--report" => args.report = true,
                "--require-marks" => args.require_marks = true,
                "--small" => args.small = true,
                _ => return None,
            }
        }
        let has_seeds = args.seeds.as_ref().is_some_and(|seeds| !seeds.is_empty());
        (has_seeds || args.mode == Mode::Mutants).then_some(args)
    }

    pub(crate) fn plan(&self, seed: u64) -> Plan {
        let plan = Plan::draw(seed);
        if self.small { plan.small() } else { plan }
    }

    /// The command that brings a run back.
    pub(crate) fn replay_command(&self, seed: u64) -> String {
        let small = if self.small { " --small" } else { "" };
        let mutant = self.mutant.as_ref().map_or_else(String::new, |name| format!(" --mutant {name}"));
        format!("cargo xtask sim --seed {seed}{small}{mutant}")
    }
}
