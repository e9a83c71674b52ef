//! The command tree.

use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use kv_client::ReadOptions;

use crate::{bench, export, format, import, leader, member, read, write};

/// Command line of the replicated key-value store
#[derive(Debug, Parser)]
#[command(name = "kvctl", version, after_help = crate::exit::HELP, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Client addresses of nodes, with commas between; one that is up is enough
    #[arg(
        short,
        long,
        global = true,
        env = "KV_ENDPOINTS",
        value_delimiter = ',',
        value_name = "HOST:PORT,..",
        default_value = "127.0.0.1:7101"
    )]
    pub(crate) endpoints: Vec<String>,
    /// Time limit of each request, its retries included (500ms, 5s, 1m)
    #[arg(long, global = true, value_name = "TIME", default_value = "5s",
          value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
    /// How to print [default: a table or text on a terminal, raw bytes on a pipe]
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT")]
    pub(crate) output: Option<format::Format>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the value of a key, or the keys that begin with a prefix
    Get(read::GetArgs),
    /// Set a key
    Put(write::PutArgs),
    /// Delete a key
    Del(write::DelArgs),
    /// Add bytes to the end of a value; a missing key counts as empty
    Append(write::AppendArgs),
    /// Add to a value that is a whole number; a missing key counts as 0
    Incr(write::IncrArgs),
    /// Set a key if it has the expected value
    Cas(write::CasArgs),
    /// Show every node of the cluster, and compare their states
    ///
    /// Exits with 0 if some node leads and states agree, though nodes may be down; with 5 if no node leads or none
    /// answers; with 8 if states differ.
    Status,
    /// Show the members, add, remove, promote and replace them
    #[command(subcommand)]
    Member(member::MemberCommand),
    /// Choose who leads
    #[command(subcommand)]
    Leader(leader::LeaderCommand),
    /// Put the pairs of a file of JSON lines
    Import(import::ImportArgs),
    /// Write all pairs as JSON lines, sorted by the bytes of their keys
    Export(export::ExportArgs),
    /// Measure how many requests the cluster serves, and how fast
    Bench(bench::BenchArgs),
}

/// How recent a read has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Consistency {
    /// Reflects every write acknowledged before
    #[default]
    Linearizable,
    /// What the first endpoint has applied, however old; no other node is asked
    Serializable,
    /// As linearizable, at less cost: rests on the nodes' clocks where kvd runs with --lease-drift, else the same
    Lease,
}

#[derive(Debug, Args)]
pub(crate) struct ReadArgs {
    /// How recent the answer has to be
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    consistency: Consistency,
}

impl ReadArgs {
    pub(crate) fn options(&self) -> ReadOptions {
        let consistency = match self.consistency {
            Consistency::Linearizable => kv_client::protocol::Consistency::Linearizable,
            Consistency::Serializable => kv_client::protocol::Consistency::Serializable,
            Consistency::Lease => kv_client::protocol::Consistency::Lease,
        };
        ReadOptions { consistency, ..ReadOptions::default() }
    }
}
