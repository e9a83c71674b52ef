//! `cluster-down`: stops the local cluster, the leader last, so that no election is held on the way.

use std::process::ExitCode;

use anyhow::Result;
use rustix::process::Signal;

use crate::cluster::{Cluster, LOOK_LIMIT, Location, Lock, STOP_LIMIT};
use crate::command::shown;
use crate::process::Ending;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    location: Location,
    /// Remove the nodes' data folders, logs and the cluster's file as well
    #[arg(long)]
    wipe: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if !args.location.path()?.exists() {
        println!("No cluster in {}.", shown(&args.location.path()?));
        return Ok(ExitCode::SUCCESS);
    }
    let lock = args.location.lock()?;
    let Some(mut cluster) = Cluster::load(lock.dir())? else {
        println!("No cluster in {}.", shown(lock.dir()));
        return Ok(ExitCode::SUCCESS);
    };
    stop(&mut cluster, &lock)?;
    let dir = shown(lock.dir());
    if args.wipe {
        lock.wipe(&cluster)?;
        println!("The cluster is down, its data in {dir} removed.");
    } else {
        println!("The cluster is down; its data stays in {dir}.");
    }
    Ok(ExitCode::SUCCESS)
}

/// Followers first, all at once; then the leader.
fn stop(cluster: &mut Cluster, lock: &Lock) -> Result<()> {
    let leader = leader(cluster);
    let running: Vec<_> =
        (0..cluster.nodes.len()).filter(|&position| cluster.nodes[position].is_running()).collect();
    let (last, first): (Vec<_>, Vec<_>) = running.into_iter().partition(|&position| Some(position) == leader);
    for batch in [first, last] {
        for &position in &batch {
            if let Some(process) = cluster.nodes[position].process {
                process.signal(Signal::TERM)?;
            }
        }
        for position in batch {
            let node = &mut cluster.nodes[position];
            let Some(process) = node.process.take() else { continue };
            let killed = process.end(STOP_LIMIT)? == Ending::Killed;
            let how = if killed { "did not stop in time and was killed" } else { "stopped" };
            eprintln!("{} (pid {}) {how}", node.name, process.pid);
            cluster.save(lock)?;
        }
    }
    Ok(())
}

/// Where in the cluster the leader is; `None` if there is none or nobody can be asked.
fn leader(cluster: &Cluster) -> Option<usize> {
    if !cluster.any_running() {
        return None;
    }
    let status = cluster.kvctl().status(LOOK_LIMIT).ok()?;
    let address = &status.leader()?.client_address;
    cluster.nodes.iter().position(|node| node.client_address == *address)
}
