//! `kvd`: a node of the replicated key-value store.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use kv_service::config::{Cli, Command, Config, RecoverArgs, RunArgs};
use kv_service::recover::{Outlook, Prospect, Survivor};
use kv_service::{daemon, logging};
use tracing::Level;

/// A bug: what is in memory can no longer be trusted, and nothing may be promised on top of it.
const EXIT_BUG: i32 = 101;
/// The operator did not agree.
const EXIT_NOT_CONFIRMED: u8 = 4;

fn main() -> ExitCode {
    end_on_panic();
    match Cli::parse().command {
        Command::Run(args) => run(*args),
        Command::Recover(args) => recover(&args).unwrap_or_else(|error| {
            eprintln!("kvd: {error}");
            ExitCode::FAILURE
        }),
    }
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

fn recover(args: &RecoverArgs) -> Result<ExitCode, Box<dyn Error>> {
    let survivor = Survivor::examine(&args.dir)?;
    println!("{}", Prospect(&survivor));
    if !args.others_are_lost {
        survivor.ask_others()?;
    }
    if !args.yes && !is_confirmed()? {
        println!("Not confirmed: nothing was changed.");
        return Ok(EXIT_NOT_CONFIRMED.into());
    }
    println!("{}", Outlook(&survivor.go_on()?));
    Ok(ExitCode::SUCCESS)
}

fn is_confirmed() -> io::Result<bool> {
    print!("Go on? Type yes: ");
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
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
