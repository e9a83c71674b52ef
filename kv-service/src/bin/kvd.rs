//! `kvd`: a node of the replicated key-value store.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use kv_service::config::{Cli, Command, Config, RunArgs};
use kv_service::{daemon, logging};
use tracing::Level;

/// A bug: what is in memory can no longer be trusted, and nothing may be promised on top of it.
const EXIT_BUG: i32 = 101;

fn main() -> ExitCode {
    end_on_panic();
    let Cli { command: Command::Run(args) } = Cli::parse();
    run(args)
}

fn run(args: RunArgs) -> ExitCode {
    if let Err(error) = logging::start(&args.log, args.log_format) {
        usage(&format!("--log: {error}"));
    }
    let config = Config::try_from(args).unwrap_or_else(|error| usage(&error.to_string()));
    match daemon::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match tracing::enabled!(Level::ERROR) {
                true => tracing::error!("{error}"),
                false => eprintln!("kvd: {error}"),
            }
            ExitCode::FAILURE
        }
    }
}

/// Ends the process as clap does for a wrong command line.
fn usage(message: &str) -> ! {
    Cli::command().error(clap::error::ErrorKind::ValueValidation, message).exit()
}

/// A task or thread that panics must not leave the rest of the node limping.
fn end_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::exit(EXIT_BUG);
    }));
}
