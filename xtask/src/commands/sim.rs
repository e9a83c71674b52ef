//! `sim`: builds raft-core's simulator and runs it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::command;
use crate::workspace;

/// Seeds when none are named: what every change must pass.
const SEEDS: &str = "0..2000";

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Run these seeds, FIRST..END without END [default: 0..2000]
    #[arg(long, value_name = "FIRST..END", conflicts_with_all = ["seed", "shrink", "mutants"])]
    seeds: Option<String>,
    /// Run one seed and say what it did
    #[arg(long, value_name = "N", conflicts_with_all = ["shrink", "mutants"])]
    seed: Option<u64>,
    /// Make the failing run of one seed short
    #[arg(long, value_name = "N", conflicts_with = "mutants")]
    shrink: Option<u64>,
    /// With --seed or --shrink: draw a failing run as an HTML page
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,
    /// Small clusters and short runs, whose failures are easily understood
    #[arg(long)]
    small: bool,
    /// Say how the runs were distributed, and which marks were reached
    #[arg(long)]
    report: bool,
    /// Fail if a mark was not reached
    #[arg(long)]
    require_marks: bool,
    /// Threads [default: one for each core]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Plant a seeded bug
    #[arg(long, value_name = "NAME")]
    mutant: Option<String>,
    /// Plant each seeded bug in turn, until it is noticed: a table in Markdown
    #[arg(long)]
    mutants: bool,
}

impl Args {
    /// The usual seeds, all of which pass and between them reach every mark.
    pub(crate) fn slice() -> Self {
        Self { report: true, require_marks: true, ..Self::default() }
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mutated = args.mutants || args.mutant.is_some();
    let features = if mutated { "testing,mutants" } else { "testing" };
    let build = ["build", "--release", "-p", "raft-core", "--example", "sim", "--features", features];
    command::run(&mut command::cargo(build))?;
    let metadata = workspace::metadata(workspace::root())?;
    let program = metadata.target_directory.join("release/examples/sim");
    let mut sim = std::process::Command::new(&program);
    sim.args(arguments(args)?);
    command::echo(&sim);
    let status = sim.status().with_context(|| format!("cannot start {}", program.display()))?;
    match status.code() {
        Some(0) => Ok(ExitCode::SUCCESS),
        Some(_) => Ok(ExitCode::FAILURE),
        None => bail!("the simulator was killed: {status}"),
    }
}

/// The simulator's own command line.
fn arguments(args: &Args) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            words.extend([name.to_owned(), value]);
        }
    };
    let one = args.seed.is_some() || args.shrink.is_some() || args.mutants;
    option("--seeds", args.seeds.clone().or_else(|| (!one).then(|| SEEDS.to_owned())));
    option("--seed", args.seed.map(|seed| seed.to_string()));
    option("--shrink", args.shrink.map(|seed| seed.to_string()));
    option("--mutant", args.mutant.clone());
    let chart = args.chart.as_deref().map(std::path::absolute).transpose().context("--chart")?;
    option("--chart", chart.map(|path| path.display().to_string()));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    option("--jobs", Some(args.jobs.unwrap_or(cores).to_string()));
    let flags = [
        ("--small", args.small),
        ("--report", args.report),
        ("--require-marks", args.require_marks),
        ("--mutants", args.mutants),
    ];
    words.extend(flags.into_iter().filter(|(_, set)| *set).map(|(name, _)| name.to_owned()));
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_seeds_the_usual_ones_run_on_all_cores() {
        let words = arguments(&Args { jobs: Some(2), ..Args::default() }).unwrap();
        assert_eq!(words, ["--seeds", SEEDS, "--jobs", "2"]);
    }

    #[test]
    fn one_seed_is_run_alone() {
        let args = Args { seed: Some(7), small: true, jobs: Some(1), ..Args::default() };
        assert_eq!(arguments(&args).unwrap(), ["--seed", "7", "--jobs", "1", "--small"]);
    }
}
