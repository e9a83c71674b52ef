//! What the operator chooses: command line, environment variables, defaults. Checked before anything is touched.
//!
//! A flag wins over its variable, the variable over the default. The same command line, but for name, folder and
//! addresses, starts every node of a cluster.

mod address;
mod size;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use raft_core::driver::SnapshotPolicy;
use raft_core::{Lease, Options, OptionsError};
use raft_log::LogOptions;

pub use address::{Address, AddressError};
pub use size::{ByteSize, ByteSizeError};

use crate::server::LARGEST_FRAME;

/// `kvd`: a node of the replicated key-value store.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "kvd",
    version,
    about = "A node of the replicated key-value store",
    propagate_version = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `kvd` can do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run a node until it gets SIGTERM or SIGINT; a second one ends it at once.
    Run(Box<RunArgs>),
    /// Let one survivor go on alone after a majority is lost for ever: shows what that costs, and asks
    ///
    /// On a node that does not run. The other members are asked first: if one says that the cluster is alive, nothing is
    /// done. Writes that only the lost members had are gone then. Exit codes: 0 done, 1 cannot be
    /// done, 2 usage, 4 not confirmed and nothing changed.
    Recover(RecoverArgs),
}

/// The command line of `kvd recover`.
#[derive(Clone, Debug, Args)]
pub struct RecoverArgs {
    /// Data folder of the survivor.
    #[arg(long, env = "KV_DIR", value_name = "DIR")]
    pub dir: PathBuf,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
    /// Go on though another member answers and says that the cluster is alive, or has left this node out. What only the
    /// others have is given up, and the others, if they do run, go on as the old cluster
    #[arg(long)]
    pub others_are_lost: bool,
}

/// The command line of `kvd run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Name of the node, unique in its cluster; a label, not its identity.
    #[arg(long, env = "KV_NAME")]
    pub name: String,
    /// Data folder. It holds the node's identity: one folder, one node, for ever.
    #[arg(long, env = "KV_DIR", value_name = "DIR")]
    pub dir: PathBuf,
    /// Where to listen for clients.
    #[arg(long, env = "KV_CLIENT", value_name = "HOST:PORT")]
    pub client: Address,
    /// Where to listen for other nodes.
    #[arg(long, env = "KV_PEER", value_name = "HOST:PORT")]
    pub peer: Address,
    /// Peer addresses of all first members, this node's own among them; the same on each of them.
    #[arg(long, env = "KV_JOIN", value_name = "HOST:PORT,…", required = true, value_delimiter = ',')]
    pub join: Vec<Address>,
    /// Found no cluster, whoever is listed: wait to be let in with kvctl member add or replace. --join names members then,
    /// and may leave this node out.
    #[arg(long, env = "KV_JOIN_EXISTING")]
    pub join_existing: bool,
    /// Where clients reach this node [default: --client].
    #[arg(long, env = "KV_ADVERTISE_CLIENT", value_name = "HOST:PORT")]
    pub advertise_client: Option<Address>,
    /// Where other nodes reach this node [default: --peer].
    #[arg(long, env = "KV_ADVERTISE_PEER", value_name = "HOST:PORT")]
    pub advertise_peer: Option<Address>,
    /// Shortest time without a leader before this node campaigns; the same on all members.
    #[arg(long, env = "KV_ELECTION_TIMEOUT", value_name = "TIME", default_value = "500ms",
          value_parser = humantime::parse_duration)]
    pub election_timeout: Duration,
    /// A leader is heard from at least this often; at most half of the election timeout.
    #[arg(long, env = "KV_HEARTBEAT", value_name = "TIME", default_value = "100ms",
          value_parser = humantime::parse_duration)]
    pub heartbeat: Duration,
    /// Let the leader answer reads that ask for it (kvctl get --consistency lease) without asking a quorum, as long as no
    /// member's clock runs faster than any other's by more than so many thousandths (10 is ample for clocks in good
    /// order). A clock that is worse makes such reads stale, silently; so does a member with a shorter --election-timeout
    /// than the leader's, so turn this off on all members before you change that. The same on all members [default:
    /// always ask]
    #[arg(long, env = "KV_LEASE_DRIFT", value_name = "PERMILLE")]
    pub lease_drift: Option<u32>,
    /// How long a request may wait if its client does not say.
    #[arg(long, env = "KV_REQUEST_TIMEOUT", value_name = "TIME", default_value = "10s",
          value_parser = humantime::parse_duration)]
    pub request_timeout: Duration,
    /// How many clients may be connected at a time.
    #[arg(long, env = "KV_MAX_CLIENTS", value_name = "COUNT", default_value_t = 1024)]
    pub max_clients: u32,
    /// Memory for the requests of all clients together; one that finds none waits.
    #[arg(long, env = "KV_REQUEST_MEMORY", value_name = "SIZE", default_value = "256MiB")]
    pub request_memory: ByteSize,
    /// Take a snapshot after about so many bytes of entries.
    #[arg(long, env = "KV_SNAPSHOT_BYTES", value_name = "SIZE", default_value = "64MiB")]
    pub snapshot_bytes: ByteSize,
    /// Take it where the index is a multiple of this; the same on all members.
    #[arg(long, env = "KV_SNAPSHOT_EVERY", value_name = "ENTRIES", default_value_t = 1024)]
    pub snapshot_every: u64,
    /// At least so many entries before the newest snapshot stay in the log, for members a little behind.
    #[arg(long, env = "KV_LOG_RETAIN", value_name = "ENTRIES", default_value_t = 8192)]
    pub log_retain: u64,
    /// Size of one log file.
    #[arg(long, env = "KV_LOG_SEGMENT", value_name = "SIZE", default_value = "64MiB")]
    pub log_segment: ByteSize,
    /// What to log: a level, or targets with levels as in `info,raft_net=debug`.
    #[arg(long, env = "KV_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,
    /// How to log.
    #[arg(long, env = "KV_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value_t = LogFormat::Human)]
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// A checked command line.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of the node.
    pub name: String,
    /// Data folder.
    pub dir: PathBuf,
    /// Where to listen for clients.
    pub client_listen: Address,
    /// Where to listen for other nodes.
    pub peer_listen: Address,
    /// Where clients reach this node.
    pub client_address: Address,
    /// Where other nodes reach this node.
    pub peer_address: Address,
    /// Peer addresses of all first members, ascending, each once, this node's own among them; without its own if it is to
    /// found no cluster.
    pub join: Vec<Address>,
    /// How long a request may wait if its client does not say.
    pub request_timeout: Duration,
    /// How many clients may be connected at a time.
    pub max_clients: u32,
    /// Memory for the requests of all clients together, in bytes.
    pub request_memory: usize,
    /// Consensus options.
    pub raft: Options,
    /// When to take snapshots.
    pub snapshots: SnapshotPolicy,
    /// Options of the log.
    pub log: LogOptions,
}

/// A command line that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A node without a name.
    #[error("--name is empty (expected a name that no other node of the cluster has)")]
    EmptyName,
    /// Nobody can connect to an address that means "any".
    #[error(
        "{advertised} would be told to others as this node's address, but {address} only says where to listen: \
         add --advertise-{port} with an address that others can reach"
    )]
    Unreachable {
        /// What others would be told: "the client address" or "the peer address".
        advertised: &'static str,
        /// Which flag is missing: "client" or "peer".
        port: &'static str,
        /// The address.
        address: Address,
    },
    /// The list leaves this node out.
    #[error(
        "--join lists {} (expected this node's own peer address, {own}, among them): give every node the same list \
         of all first members. One that is to be let into a cluster is started with --join-existing",
        list(.join)
    )]
    NotInJoinList {
        /// The list.
        join: Vec<Address>,
        /// This node's peer address.
        own: Address,
    },
    /// Nobody else is listed.
    #[error(
        "--join lists {own} alone, which is this node (expected a member too, as --join-existing was given)"
    )]
    NobodyToJoin {
        /// This node's peer address.
        own: Address,
    },
    /// An address twice.
    #[error("--join lists {address} twice (expected each first member once)")]
    JoinedTwice {
        /// The address.
        address: Address,
    },
    /// Numbers that do not fit each other.
    #[error(transparent)]
    Raft(#[from] OptionsError),
    /// A limit of zero.
    #[error("{flag} is 0 (expected at least 1)")]
    Zero {
        /// The flag.
        flag: &'static str,
    },
    /// Memory that the longest request would never find.
    #[error("--request-memory is {found} (expected at least {least} B, the longest request)")]
    RequestMemory {
        /// What was given.
        found: ByteSize,
        /// The least, in bytes.
        least: usize,
    },
}

fn list(addresses: &[Address]) -> String {
    addresses.iter().map(Address::as_str).collect::<Vec<_>>().join(", ")
}

impl TryFrom<RunArgs> for Config {
    type Error = ConfigError;

    fn try_from(args: RunArgs) -> Result<Self, ConfigError> {
        if args.name.is_empty() {
            return Err(ConfigError::EmptyName);
        }
        let client_address = advertised("client", &args.client, args.advertise_client)?;
        let peer_address = advertised("peer", &args.peer, args.advertise_peer)?;
        let join = join_list(args.join, &peer_address, args.join_existing)?;
        let positive = [
            ("--snapshot-every", args.snapshot_every == 0),
            ("--log-segment", args.log_segment.bytes() == 0),
            ("--request-timeout", args.request_timeout.is_zero()),
            ("--max-clients", args.max_clients == 0),
        ];
        if let Some(&(flag, _)) = positive.iter().find(|(_, zero)| *zero) {
            return Err(ConfigError::Zero { flag });
        }
        let raft = Options {
            election_timeout: args.election_timeout,
            heartbeat_interval: args.heartbeat,
            lease: args.lease_drift.map(|max_drift_permille| Lease { max_drift_permille }),
            retained_entries: args.log_retain,
            ..Options::default()
        };
        raft.validate()?;
        let request_memory = usize::try_from(args.request_memory.bytes()).unwrap_or(usize::MAX);
        if request_memory < LARGEST_FRAME {
            let (found, least) = (args.request_memory, LARGEST_FRAME);
            return Err(ConfigError::RequestMemory { found, least });
        }
        let every_bytes = usize::try_from(args.snapshot_bytes.bytes()).unwrap_or(usize::MAX);
        Ok(Self {
            name: args.name,
            dir: args.dir,
            client_listen: args.client,
            peer_listen: args.peer,
            client_address,
            peer_address,
            join,
            request_timeout: args.request_timeout,
            max_clients: args.max_clients,
            request_memory,
            raft,
            snapshots: SnapshotPolicy { every_bytes, alignment: args.snapshot_every },
            log: LogOptions { segment_bytes: args.log_segment.bytes(), ..LogOptions::default() },
        })
    }
}

/// What others are told about the port that listens on `listen`.
fn advertised(
    port: &'static str,
    listen: &Address,
    advertise: Option<Address>,
) -> Result<Address, ConfigError> {
    let address = advertise.unwrap_or_else(|| listen.clone());
    if address.is_unspecified() {
        let advertised = if port == "client" { "the client address" } else { "the peer address" };
        return Err(ConfigError::Unreachable { advertised, port, address });
    }
    Ok(address)
}

fn join_list(mut join: Vec<Address>, own: &Address, is_existing: bool) -> Result<Vec<Address>, ConfigError> {
    join.sort();
    if let Some(pair) = join.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(ConfigError::JoinedTwice { address: pair[0].clone() });
    }
    if is_existing {
        join.retain(|address| address != own);
        return if join.is_empty() { Err(ConfigError::NobodyToJoin { own: own.clone() }) } else { Ok(join) };
    }
    if !join.contains(own) {
        return Err(ConfigError::NotInJoinList { join, own: own.clone() });
    }
    Ok(join)
}
