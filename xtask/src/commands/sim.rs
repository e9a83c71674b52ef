//! `sim`: builds raft-core's simulator and runs it.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::command;
use crate::workspace;

#[derive(Debug, Default, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// The simulator's own arguments: `cargo xtask sim --help` builds it and shows them. Without any it runs what every
    /// change must pass.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    arguments: Vec<OsString>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let build = ["build", "--release", "-p", "raft-core", "--example", "sim", "--features", features(args)];
    command::run(&mut command::cargo(build))?;
    let metadata = workspace::metadata(workspace::root())?;
    let program = metadata.target_directory.join("release/examples/sim");
    let mut sim = std::process::Command::new(&program);
    sim.args(&args.arguments);
    command::echo(&sim);
    let status = sim.status().with_context(|| format!("cannot start {}", program.display()))?;
    let code = status.code().with_context(|| format!("the simulator was killed: {status}"))?;
    Ok(u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from))
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
