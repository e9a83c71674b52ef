//! `kvctl`: the command line of the replicated key-value store.
//!
//! `cli` is the command tree; each group of commands has a file; `exit` turns errors into messages and exit codes.

mod bench;
mod cli;
mod exit;
mod export;
mod format;
mod import;
mod jsonl;
mod progress;
mod read;
mod status;
mod value;
mod write;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use kv_client::{Client, Options};

use crate::cli::{Cli, Command, Global};

/// A session that is not closed expires: closing it is not worth a longer wait.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => exit::report(&error),
    }
}

/// One thread: it serves more requests than a cluster on the same machine could.
fn run(cli: Cli) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let done = runtime.block_on(dispatch(cli));
    // After an interrupt a read of standard input may be under way, which nothing but input ends.
    runtime.shutdown_background();
    done
}

async fn dispatch(Cli { global, command }: Cli) -> Result<ExitCode> {
    let client = connect(&global)?;
    let done = tokio::select! {
        done = perform(&client, &global, command) => done,
        interrupted = tokio::signal::ctrl_c() => match interrupted {
            Ok(()) => Err(exit::Interrupted.into()),
            Err(error) => Err(error).context("cannot watch for interrupts"),
        },
    };
    close(&client, global.timeout).await;
    done
}

async fn perform(client: &Client, global: &Global, command: Command) -> Result<ExitCode> {
    match command {
        Command::Get(args) => read::get(client, global.output, args).await?,
        Command::Put(args) => write::put(client, global.output, args).await?,
        Command::Del(args) => write::del(client, global.output, args).await?,
        Command::Append(args) => write::append(client, global.output, args).await?,
        Command::Incr(args) => write::incr(client, global.output, args).await?,
        Command::Cas(args) => write::cas(client, global.output, args).await?,
        Command::Status => return status::status(client, global).await,
        Command::Import(args) => import::import(client, args).await?,
        Command::Export(args) => export::export(client, global, args).await?,
        Command::Bench(args) => bench::bench(global, args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A client of the cluster that the command line names.
fn connect(global: &Global) -> Result<Client> {
    let options = Options { deadline: global.timeout, ..Options::default() };
    Ok(Client::new(&global.endpoints, options)?)
}

/// Closes the client's session, if it has one.
async fn close(client: &Client, timeout: Duration) {
    if let Err(error) = client.clone().with_deadline(CLOSE_WITHIN.min(timeout)).close().await {
        eprintln!("warning: the session stays open until it expires: {error}");
    }
}
