//! `restart NODE`: the same node again, over the same data folder, by the same command line.

use std::process::ExitCode;

use anyhow::Result;

use crate::cluster::{Failure, Goal, Launch, Location, STOP_LIMIT, render};

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
    if let Some(process) = cluster.nodes[position].running() {
        process.end(STOP_LIMIT)?;
        eprintln!("{} (pid {}) stopped", args.node, process.pid);
    }
    let mut launch = Launch::new(&mut cluster, &lock);
    let outcome: Result<_, Failure> =
        launch.start(position).and_then(|()| launch.wait(Goal::Answer(position)));
    match outcome {
        Ok(status) => {
            println!("{}", render(&cluster, Some(&status)));
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => {
            launch.abort(&failure)?;
            Ok(ExitCode::FAILURE)
        }
    }
}
