//! `test`: every test of the workspace and a slice of the simulation, with one count at the end.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::command;
use crate::commands::sim;
use crate::workspace;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Test this crate only; may be repeated
    #[arg(short, long = "package", value_name = "CRATE")]
    packages: Vec<String>,
    /// Further arguments of cargo test, as in: cargo xtask test -- --test it some_name
    #[arg(last = true)]
    arguments: Vec<String>,
}

impl Args {
    /// The simulation is raft-core's; whoever asks for certain tests does not ask for it.
    fn covers_simulation(&self) -> bool {
        let core = self.packages.is_empty() || self.packages.iter().any(|package| package == "raft-core");
        core && self.arguments.is_empty()
    }
}

/// What the test binaries counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
    ignored: u64,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let begin = Instant::now();
    // Programs and tests in one go, under the profile of the tests: what follows finds everything built, also the
    // programs of crates that have no tests themselves.
    let mut build = command::cargo(["build", "--profile", "test", "--all-features"]);
    build.args(selection(&with_programs(&args.packages))).args(["--bins", "--tests", "--examples"]);
    command::run(&mut build)?;
    let built = Instant::now();

    let bin_dir = workspace::metadata(workspace::root())?.target_directory.join("debug");
    let mut test = command::cargo(["test", "--all-features", "--no-fail-fast"]);
    test.args(selection(&args.packages)).args(&args.arguments);
    test.env("KVD", bin_dir.join("kvd")).env("KVCTL", bin_dir.join("kvctl"));
    let (count, success) = counted(&mut test)?;
    let tested = Instant::now();
    let simulated = !args.covers_simulation() || sim::run(&sim::Args::slice())? == ExitCode::SUCCESS;
    eprintln!(
        "built in {:.0} s, tested in {:.0} s, simulated in {:.0} s",
        (built - begin).as_secs_f64(),
        (tested - built).as_secs_f64(),
        tested.elapsed().as_secs_f64()
    );
    if !simulated {
        println!("simulation failed: see above");
    }
    println!("{count}");
    Ok(if success && simulated { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Tests of the service and of the client spawn the programs of both.
fn with_programs(packages: &[String]) -> Vec<String> {
    const PROGRAMS: [&str; 2] = ["kv-service", "kv-client"];
    let mut packages = packages.to_vec();
    if packages.iter().any(|package| PROGRAMS.contains(&package.as_str())) {
        packages.extend(PROGRAMS.map(str::to_owned));
    }
    packages
}

fn selection(packages: &[String]) -> Vec<&str> {
    if packages.is_empty() {
        return vec!["--workspace"];
    }
    packages.iter().flat_map(|package| ["-p", package]).collect()
}

/// Runs `cargo test`, passes its output through and adds up what it says.
/// Also says whether its exit status was 0.
fn counted(test: &mut Command) -> Result<(Count, bool)> {
    command::echo(test);
    let mut child = test.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let output = child.stdout.take().context("cargo test has no output")?;
    let mut count = Count::default();
    for line in BufReader::new(output).lines() {
        let line = line.context("output of cargo test")?;
        println!("{line}");
        count.add(&line);
    }
    Ok((count, child.wait()?.success()))
}

impl Count {
    /// Takes in a line like `test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; …`; others count nothing.
    fn add(&mut self, line: &str) {
        let Some((_, result)) = line.split_once("test result: ") else { return };
        let Some((_, numbers)) = result.split_once(". ") else { return };
        for part in numbers.split("; ") {
            match part.split_once(' ').map(|(number, what)| (number.parse::<u64>(), what)) {
                Some((Ok(number), "passed")) => self.passed += number,
                Some((Ok(number), "failed")) => self.failed += number,
                Some((Ok(number), "ignored")) => self.ignored += number,
                _ => {}
            }
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.ignored > 0 { write!(f, ", {} skipped", self.ignored) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_test_binaries_add_up_and_other_lines_do_not_count() {
        let mut count = Count::default();
        for line in [
            "running 5 tests",
            "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test a::b ... ok",
            "test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s",
        ] {
            count.add(line);
        }
        assert_eq!(count, Count { passed: 7, failed: 3, ignored: 1 });
        assert_eq!(count.to_string(), "7 passed, 3 failed, 1 skipped");
        assert_eq!(Count::default().to_string(), "0 passed, 0 failed");
    }

    #[test]
    fn the_simulation_runs_unless_something_else_is_asked_for() {
        let args = |packages: &[&str], arguments: &[&str]| Args {
            packages: packages.iter().map(|&package| package.to_owned()).collect(),
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        };
        assert!(args(&[], &[]).covers_simulation());
        assert!(args(&["raft-log", "raft-core"], &[]).covers_simulation());
        assert!(!args(&["raft-log"], &[]).covers_simulation());
        assert!(!args(&[], &["some_name"]).covers_simulation());
    }

    #[test]
    fn named_crates_replace_the_whole_workspace() {
        assert_eq!(selection(&[]), ["--workspace"]);
        assert_eq!(selection(&["raft-core".to_owned()]), ["-p", "raft-core"]);
        assert_eq!(with_programs(&["raft-core".to_owned()]), ["raft-core"]);
        assert_eq!(with_programs(&["kv-service".to_owned()]), ["kv-service", "kv-service", "kv-client"]);
    }
}
