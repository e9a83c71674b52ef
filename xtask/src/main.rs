//! `cargo xtask`: everything one does with this workspace, by one command each.
//!
//! `commands/` has one file a subcommand; `cluster/` knows the local cluster (its state file, its processes, what
//! `kvctl` says about it); `tidy/` has the house rules; `command.rs`, `process.rs`, `ports.rs`, `machine.rs` and
//! `workspace.rs` wrap cargo, `/proc` and signals.
//!
//! Commands that run are printed on stderr, with `$` before them; results go to stdout. Exit status: 0 done,
//! 1 not, 2 wrong usage, 3 no leader (`cluster-status`).

mod cluster;
mod command;
mod commands;
mod machine;
mod ports;
mod process;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{
    bench, cluster_down, cluster_status, cluster_up, cont, env, explore, kill, lint, restart, sim, stop, test,
};

/// Builds, checks, measures and runs this workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a local cluster of real processes, wait until it serves, and show it.
    ClusterUp(cluster_up::Args),
    /// Stop the local cluster; its data stays, unless --wipe.
    ClusterDown(cluster_down::Args),
    /// Show the local cluster; exit status 3 if it has no leader.
    ClusterStatus(cluster_status::Args),
    /// Print shell lines that set KV_ENDPOINTS and PATH: eval "$(cargo xtask env)".
    Env(env::Args),
    /// Kill one node (SIGKILL).
    Kill(kill::Args),
    /// Start one node again, with the same command line; a running one is stopped first.
    Restart(restart::Args),
    /// Freeze one node (SIGSTOP).
    Stop(stop::Args),
    /// Let a frozen node go on (SIGCONT).
    Cont(cont::Args),
    /// Run every test of the workspace.
    Test(test::Args),
    /// Run rustfmt, clippy, rustdoc, the feature checks and tidy.
    Lint,
    /// Check the house rules that no other tool checks.
    Tidy(commands::tidy::Args),
    /// Run the simulator: consensus under random faults, every rule checked at every step.
    Sim(sim::Args),
    /// Look at every state of a small cluster: consensus under all that can happen, breadth first.
    Explore(explore::Args),
    /// Measure puts and linearizable gets against the running local cluster.
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::ClusterUp(args) => cluster_up::run(&args),
        Command::ClusterDown(args) => cluster_down::run(&args),
        Command::ClusterStatus(args) => cluster_status::run(&args),
        Command::Env(args) => env::run(&args),
        Command::Kill(args) => kill::run(&args),
        Command::Restart(args) => restart::run(&args),
        Command::Stop(args) => stop::run(&args),
        Command::Cont(args) => cont::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Lint => lint::run(),
        Command::Tidy(args) => commands::tidy::run(&args),
        Command::Sim(args) => sim::run(&args),
        Command::Explore(args) => explore::run(&args),
        Command::Bench(args) => bench::run(&args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
