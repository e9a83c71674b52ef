//! `env`: shell lines that make `kvctl` on the command line mean the local cluster.

use std::process::ExitCode;

use anyhow::Result;

use crate::cluster::Location;
use crate::command::quoted;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    location: Location,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let cluster = args.location.cluster()?;
    println!("export KV_ENDPOINTS={}", quoted(&cluster.endpoints()));
    println!("export PATH={}:\"$PATH\"", quoted(&cluster.bin_dir.to_string_lossy()));
    Ok(ExitCode::SUCCESS)
}
