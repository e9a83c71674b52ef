//! `stop NODE`: one node's process does nothing any more, yet its connections stay open.

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
    process.signal(Signal::STOP)?;
    println!("{} (pid {}) frozen; cargo xtask cont {} lets it go on", args.node, process.pid, args.node);
    Ok(ExitCode::SUCCESS)
}
