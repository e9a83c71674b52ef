//! `cont NODE`: what `stop` froze goes on.

use std::process::ExitCode;

use anyhow::{Result, bail};
use rustix::process::Signal;

use crate::cluster::Location;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The node, as in n2
    node: String,
    #[command(flatten)]
    location: Location,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let cluster = args.location.cluster()?;
    let Some(process) = cluster.node(&args.node)?.running() else { bail!("{} does not run", args.node) };
    process.signal(Signal::CONT)?;
    println!("{} (pid {}) goes on", args.node, process.pid);
    Ok(ExitCode::SUCCESS)
}
