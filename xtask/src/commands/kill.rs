//! `kill NODE`: a crash of one node's process, without warning.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::cluster::Location;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The node, as in n2
    node: String,
    #[command(flatten)]
    location: Location,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let (lock, mut cluster) = args.location.change()?;
    let position = cluster.position(&args.node)?;
    let Some(process) = cluster.nodes[position].running() else { bail!("{} does not run", args.node) };
    process.kill()?;
    cluster.nodes[position].process = None;
    cluster.save(&lock)?;
    println!("{} (pid {}) killed", args.node, process.pid);
    Ok(ExitCode::SUCCESS)
}
