//! `explore`: builds raft-core's state exploration and runs it.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use crate::command;

#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// Words of its own command line; --help tells them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    arguments: Vec<OsString>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    command::run_example("explore", "testing,mutants", &args.arguments)
}
