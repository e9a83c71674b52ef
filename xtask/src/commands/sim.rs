//! `sim`: builds raft-core's simulator and runs it.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use crate::command;

#[derive(Debug, Default, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// The simulator's own arguments: `cargo xtask sim --help` builds it and shows them. Without any it runs what every
    /// change must pass.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    arguments: Vec<OsString>,
}

impl Args {
    /// The usual seeds, all of which pass and between them reach every mark.
    pub(crate) fn slice() -> Self {
        Self { arguments: ["--report", "--require-marks"].map(OsString::from).to_vec() }
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let slice = Args::slice();
    let args = if args.arguments.is_empty() { &slice } else { args };
    command::run_example("sim", features(args), &args.arguments)
}

/// Seeded bugs are compiled in only where one is asked for.
fn features(args: &Args) -> &'static str {
    let plants = |argument: &OsString| argument.to_string_lossy().starts_with("--mutant");
    if args.arguments.iter().any(plants) { "testing,mutants" } else { "testing" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeded_bugs_are_compiled_in_only_when_one_is_to_be_planted() {
        let args = |words: &[&str]| Args { arguments: words.iter().map(OsString::from).collect() };
        assert_eq!(features(&args(&["--seeds", "0..10"])), "testing");
        assert_eq!(features(&args(&["--seed", "7", "--mutant", "vote-twice"])), "testing,mutants");
        assert_eq!(features(&args(&["--mutants"])), "testing,mutants");
        assert_eq!(features(&args(&["--mutant=vote-twice"])), "testing,mutants");
    }
}
