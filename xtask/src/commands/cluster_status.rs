//! `cluster-status`: the table of the local cluster.

use std::process::ExitCode;

use anyhow::Result;

use crate::cluster::{LOOK_LIMIT, Location, render};

/// Exit status when nobody leads.
const NO_LEADER: u8 = 3;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    location: Location,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let cluster = args.location.cluster()?;
    let status = if cluster.any_running() { Some(cluster.kvctl().status(LOOK_LIMIT)?) } else { None };
    println!("{}", render(&cluster, status.as_ref()));
    if status.is_some_and(|status| status.leader().is_some()) {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("no leader");
    Ok(ExitCode::from(NO_LEADER))
}
