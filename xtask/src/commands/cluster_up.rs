//! `cluster-up`: a local cluster of real processes that serves, or the reason why it does not.
//!
//! Idempotent: nodes that run stay as they are, missing ones are started.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::cluster::{
    Cluster, ClusterStatus, Failure, Goal, LOOK_LIMIT, Launch, Location, Lock, PEER_PORT_OFFSET, render,
};
use crate::command;
use crate::workspace;

const DEFAULT_NODES: u16 = 3;
const DEFAULT_BASE_PORT: u16 = 7101;
const MOST_NODES: u16 = 9;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many nodes [default: 3, or those that the cluster already has]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_NODES)))]
    nodes: Option<u16>,
    /// Client port of n1, n2 has the next one; peer ports lie 100 higher [default: 7101]
    #[arg(long, value_name = "PORT",
          value_parser = clap::value_parser!(u16).range(1..=i64::from(u16::MAX - PEER_PORT_OFFSET - MOST_NODES)))]
    base_port: Option<u16>,
    #[command(flatten)]
    location: Location,
    /// Build and run without optimisation
    #[arg(long)]
    debug: bool,
    /// Use the kvd and kvctl in this folder and build nothing
    #[arg(long, value_name = "DIR", hide = true)]
    bin_dir: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let lock = args.location.lock()?;
    let mut cluster = plan(args, &lock)?;
    if let Some(status) = serving(&cluster) {
        println!("The cluster is already up and serves.\n");
        present(&cluster, &status, &args.location);
        return Ok(ExitCode::SUCCESS);
    }
    cluster.bin_dir = programs(args)?;
    let mut launch = Launch::new(&mut cluster, &lock);
    match bring_up(&mut launch, &lock) {
        Ok(status) => {
            println!();
            present(&cluster, &status, &args.location);
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => {
            launch.abort(&failure)?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// The cluster that the folder has, or the one that is asked for.
fn plan(args: &Args, lock: &Lock) -> Result<Cluster> {
    let nodes = args.nodes.unwrap_or(DEFAULT_NODES);
    let base_port = args.base_port.unwrap_or(DEFAULT_BASE_PORT);
    let asked = Cluster::plan(lock.dir(), nodes, base_port, Path::new(""));
    let Some(present) = Cluster::load(lock.dir())? else { return Ok(asked) };
    let indifferent = args.nodes.is_none() && args.base_port.is_none();
    if indifferent || present.endpoints() == asked.endpoints() {
        return Ok(present);
    }
    if present.served || present.any_running() {
        bail!(
            "{} has a cluster at {}: omit --nodes and --base-port to start that one, give another --dir, or remove \
             it and its data with cargo xtask cluster-down --wipe{}",
            command::shown(lock.dir()),
            present.endpoints(),
            args.location.flag()
        );
    }
    // It never served: what its folders hold was promised to nobody, and names the old ports.
    for node in &present.nodes {
        node.remove_folder()?;
    }
    Ok(asked)
}

/// The cluster's state, if it serves already.
fn serving(cluster: &Cluster) -> Option<ClusterStatus> {
    let running = cluster.nodes.iter().all(|node| node.is_running());
    if !cluster.served || !running {
        return None;
    }
    let status = cluster.kvctl().status(LOOK_LIMIT).ok()?;
    Goal::Leader.missing(cluster, &status).is_none().then_some(status)
}

/// Builds kvd and kvctl; gives the folder they are in.
fn programs(args: &Args) -> Result<PathBuf> {
    if let Some(bin_dir) = &args.bin_dir {
        return Ok(std::path::absolute(bin_dir)?);
    }
    let mut build = command::cargo(["build"]);
    if !args.debug {
        build.arg("--release");
    }
    build.args(["-p", "kv-service", "--bin", "kvd", "-p", "kv-client", "--bin", "kvctl"]);
    command::run(&mut build)?;
    let profile = if args.debug { "debug" } else { "release" };
    Ok(workspace::metadata(workspace::root())?.target_directory.join(profile))
}

/// Starts what is missing, waits for a leader and tries the cluster out.
fn bring_up(launch: &mut Launch<'_>, lock: &Lock) -> Result<ClusterStatus, Failure> {
    let begin = Instant::now();
    for position in 0..launch.cluster().nodes.len() {
        let node = &launch.cluster().nodes[position];
        if node.is_running() {
            eprintln!("{} runs already", node.name);
        } else {
            launch.start(position)?;
        }
    }
    eprintln!("waiting until every node answers and one leads");
    launch.wait(Goal::Leader)?;
    eprintln!("they do, after {:.2} s", begin.elapsed().as_secs_f64());
    let cluster = launch.cluster();
    try_out(cluster)?;
    cluster.served = true;
    cluster.save(lock)?;
    Ok(cluster.kvctl().status(LOOK_LIMIT)?)
}

/// Writes a key, reads it back and deletes it.
fn try_out(cluster: &Cluster) -> Result<()> {
    let kvctl = cluster.kvctl();
    let key = "xtask/cluster-up";
    let value = std::process::id().to_string();
    let begin = Instant::now();
    kvctl.run(&["put", key, &value])?;
    let found = kvctl.run(&["get", key])?;
    if found.trim_end() != value {
        bail!("key {key}: found {:?}, expected {value:?}", found.trim_end());
    }
    kvctl.run(&["del", key])?;
    eprintln!("a key written, read back and deleted in {:.0} ms", begin.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

/// The table, and what to type next.
fn present(cluster: &Cluster, status: &ClusterStatus, location: &Location) {
    let flag = location.flag();
    let leads = |address: &str| status.leader().is_some_and(|leader| leader.client_address == address);
    let leader = cluster.nodes.iter().find(|node| leads(&node.client_address)).unwrap_or(&cluster.nodes[0]);
    let name = &leader.name;
    println!("{}\n\nNext:", render(cluster, Some(status)));
    let lines = [
        (format!("eval \"$(cargo xtask env{flag})\""), "KV_ENDPOINTS and PATH for this shell"),
        ("kvctl put hello world".to_owned(), "replicated and on the disks of a majority"),
        ("kvctl get hello".to_owned(), "linearizable"),
        ("kvctl status".to_owned(), "every node's own account"),
        (format!("cargo xtask kill {name}{flag}"), "SIGKILL the leader: another takes over"),
        (format!("cargo xtask restart {name}{flag}"), "it catches up"),
        (format!("cargo xtask cluster-down{flag}"), "the data stays; --wipe removes it"),
    ];
    let width = lines.iter().map(|(line, _)| line.len()).max().unwrap_or(0);
    for (line, what) in lines {
        println!("  {line:<width$}  # {what}");
    }
}
