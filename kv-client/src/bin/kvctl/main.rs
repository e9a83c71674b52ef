//! `kvctl`: the command line of the replicated key-value store.
//!
//! `cli` is the command tree; each group of commands has a file; `exit` turns errors into messages and exit codes.

mod bench;
mod cli;
mod clients;
mod exit;
mod export;
mod format;
mod import;
mod jsonl;
mod leader;
mod member;
mod progress;
mod read;
mod signals;
mod status;
mod value;
mod write;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use kv_client::Client;

use crate::cli::{Cli, Command, Global};
use crate::clients::Clients;
use crate::signals::Signals;

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

/// Performs the command, until its end or a signal; closes the sessions either way.
async fn dispatch(Cli { global, command }: Cli) -> Result<ExitCode> {
    let mut signals = Signals::new().context("cannot watch for signals")?;
    let clients = Clients::new(&global);
    let client = clients.connect()?;
    let done = tokio::select! {
        done = perform(&client, &clients, &global, command) => done,
        signal = signals.next() => Err(signal.into()),
    };
    clients.close().await;
    done
}

async fn perform(
    client: &Client,
    clients: &Clients<'_>,
    global: &Global,
    command: Command,
) -> Result<ExitCode> {
    match command {
        Command::Get(args) => read::get(client, global.output, args).await?,
        Command::Put(args) => write::put(client, global.output, args).await?,
        Command::Del(args) => write::del(client, global.output, args).await?,
        Command::Append(args) => write::append(client, global.output, args).await?,
        Command::Incr(args) => write::incr(client, global.output, args).await?,
        Command::Cas(args) => write::cas(client, global.output, args).await?,
        Command::Status => return status::status(client, global).await,
        Command::Member(command) => return member::member(client, global, command).await,
        Command::Leader(command) => leader::leader(client, global, command).await?,
        Command::Import(args) => import::import(client, args).await?,
        Command::Export(args) => export::export(client, global, args).await?,
        Command::Bench(args) => bench::bench(clients, global, args).await?,
    }
    Ok(ExitCode::SUCCESS)
}
