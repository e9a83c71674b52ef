//! `kvd run`: stores, network, consensus, clients, put together and taken down again.
//!
//! Order of a start: ports are bound before anything in the data folder is created or changed; then the folder is
//! locked, checked against the peers, opened and checked against the command line; only then threads and tasks
//! start. So whatever prevents a start leaves the folder as it was.
//!
//! One current-thread runtime carries sockets, consensus and apply; the stores have threads of their own.

mod error;
mod peers;
mod signals;

use std::convert::Infallible;
use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use raft_core::RoleName;
use raft_core::driver::Parts;
use raft_core::node::{self, NodeHandle, NodeTask};
use raft_core::types::{ClusterId, NodeId};
use raft_net::connector::{Connector, TcpConnector, TcpListener};
use raft_net::{Local, NetTransport};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

pub use crate::data_folder::FolderError;
pub use error::{RunError, StartError};

use crate::bootstrap::{Note, join_cluster};
use crate::clock::{self, ClusterClock};
use crate::config::{Address, Config};
use crate::data_folder::{DataFolder, Opened, Started};
use crate::server::{self, Budget, Server, Service};
use crate::standing;
use crate::store::Store;
use signals::Signals;

/// How long clients may wait for answers under way when the node is asked to stop.
const DRAIN_PATIENCE: Duration = Duration::from_secs(2);
/// How long they may take to read the last answers.
const FAREWELL_PATIENCE: Duration = Duration::from_millis(500);
/// How long work in the background may go on after that.
const BACKGROUND_PATIENCE: Duration = Duration::from_secs(1);

/// Runs a node until it gets SIGTERM or SIGINT; a second one ends the process without waiting for anything.
///
/// # Errors
/// [`RunError`]: it could not start, or had to stop.
pub fn run(config: Config) -> Result<(), RunError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(StartError::Runtime)?;
    let result = runtime.block_on(async {
        let signals = Signals::new().map_err(StartError::Signals)?;
        raise_file_limit();
        let ports = Ports::bind(&config).await?;
        let daemon = Daemon::start(config, ports).await?;
        daemon.serve(signals).await
    });
    runtime.shutdown_timeout(BACKGROUND_PATIENCE);
    result
}

/// Takes as many open files as this process may have: each client is one.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, current = limit.current, "cannot raise the limit of open files");
    }
}

/// The ports, bound.
struct Ports {
    client: TcpListener,
    peer: TcpListener,
}

impl Ports {
    async fn bind(config: &Config) -> Result<Self, StartError> {
        let bind = |port: &'static str, address: &Address| {
            let address = address.clone();
            async move {
                let bound = TcpListener::bind(address.as_str()).await;
                bound.map_err(|source| StartError::Listen { port, address, source })
            }
        };
        Ok(Self {
            client: bind("client", &config.client_listen).await?,
            peer: bind("peer", &config.peer_listen).await?,
        })
    }
}

/// A node that runs.
struct Daemon {
    node: NodeHandle<Store>,
    task: NodeTask,
    server: Server,
    clients: TcpListener,
    stopping: watch::Sender<bool>,
    duties: Duties,
    /// Released when all else has ended.
    _folder: DataFolder,
}

/// What a node needs for all it does beside serving.
struct Duties {
    local: Local,
    clock: ClusterClock,
    note: Note,
    election_timeout: Duration,
}

impl Daemon {
    async fn start(config: Config, ports: Ports) -> Result<Self, StartError> {
        let folder = DataFolder::lock(&config.dir)?;
        let connector: Arc<dyn Connector> = Arc::new(TcpConnector);
        let ancestors = folder.ancestors()?;
        if let Some((node_id, cluster_id)) = DataFolder::identify(&config.dir)? {
            let local = local(&config, node_id, cluster_id);
            peers::refuse_other_cluster(&config.dir, &local, &ancestors, &connector).await?;
        }
        let (sinks, events) = node::channels();
        let opened = folder.open(&config.log, &sinks)?;
        refuse_other_member(&config, &opened)?;
        let local = local(&config, opened.node_id, opened.cluster_id());
        announce(&config, &opened, &local);
        let (node_id, election_timeout) = (opened.node_id, config.raft.election_timeout);
        let Started { recovered, log, log_stats, snapshots } = opened.start().map_err(StartError::Threads)?;
        let transport_options =
            raft_net::Options { jitter_seed: rand::random(), ..raft_net::Options::default() };
        let listener = Box::new(ports.peer);
        let transport =
            NetTransport::start(local.clone(), transport_options, connector, listener, sinks.transport);
        let parts = Parts {
            id: node_id,
            options: config.raft,
            policy: config.snapshots,
            seed: rand::random(),
            recovered,
            log,
            transport,
            snapshots,
            state_machine: Store::new(),
        };
        let (node, task) = node::start(parts, events)?;

        let (stopping, stop) = watch::channel(false);
        let (note, noted) = watch::channel(None);
        let clock = ClusterClock::default();
        let service = Service::new(server::Parts {
            node: node.clone(),
            local: local.clone(),
            log: log_stats,
            ancestors,
            note: noted,
            clock: clock.clone(),
            request_timeout: config.request_timeout,
            max_clients: config.max_clients,
            budget: Budget::new(config.request_memory),
            election_timeout,
            stopping: stop.clone(),
        });
        let duties = Duties { local, clock, note, election_timeout };
        let server = Server::new(service, stop);
        Ok(Self { node, task, server, clients: ports.client, stopping, duties, _folder: folder })
    }

    /// Serves until a signal or a failure.
    async fn serve(mut self, mut signals: Signals) -> Result<(), RunError> {
        let patience = self.duties.election_timeout;
        let attendance = attend(self.node.clone(), self.duties);
        let signal = tokio::select! {
            ended = &mut self.task => return Err(RunError::of(ended)),
            signal = signals.next() => signal,
            never = self.server.accept(&mut self.clients) => match never {},
            never = attendance => match never {},
        };
        if let Err(error) = signals::end_at_the_next() {
            tracing::warn!(%error, "a second signal will not end the node any sooner");
        }
        tracing::info!("{signal}: stopping; a second signal ends the node at once");
        tokio::select! {
            () = hand_over(&self.node, patience) => {}
            never = self.server.accept(&mut self.clients) => match never {},
        }
        drop(self.clients);
        // Nobody is left to be told if the server has no clients.
        self.stopping.send_replace(true);
        self.server.drain(DRAIN_PATIENCE).await;
        self.node.shutdown().await;
        let ended = self.task.await;
        self.server.drain(FAREWELL_PATIENCE).await;
        match ended {
            Ok(Ok(())) => {
                tracing::info!("stopped");
                Ok(())
            }
            failed => Err(RunError::of(failed)),
        }
    }
}

/// What a node does beside serving.
fn attend(node: NodeHandle<Store>, duties: Duties) -> impl Future<Output = Infallible> {
    let Duties { local, clock, note, election_timeout } = duties;
    let belong = {
        let node = node.clone();
        async move {
            if local.cluster_id.is_none() {
                join_cluster(local.clone(), Arc::new(TcpConnector), node.clone(), &note).await;
            }
            standing::keep(node, local, note, election_timeout).await;
        }
    };
    async move {
        tokio::join!(belong, clock::keep(clock, node));
        pending().await
    }
}

/// A leader that stops lets another one lead first, so that nobody has to miss it for an election timeout.
async fn hand_over(node: &NodeHandle<Store>, patience: Duration) {
    if node.observe().borrow().role != RoleName::Leader {
        return;
    }
    let began = Instant::now();
    match timeout(patience, node.transfer_leadership(None)).await {
        Ok(Ok(to)) => tracing::info!(%to, took = ?began.elapsed(), "leadership handed over"),
        Ok(Err(error)) => {
            tracing::info!(%error, "leadership not handed over: the others will elect a leader")
        }
        Err(_elapsed) => {
            tracing::warn!("nobody took leadership over in time: the others will elect a leader")
        }
    }
}

fn local(config: &Config, node_id: NodeId, cluster_id: Option<ClusterId>) -> Local {
    Local {
        node_id,
        name: config.name.clone(),
        peer_address: config.peer_address.to_string(),
        client_address: config.client_address.to_string(),
        cluster_id,
        join: config.join.iter().map(ToString::to_string).collect(),
    }
}

/// A member keeps its name; and a folder that was mixed up with another member's is found out.
fn refuse_other_member(config: &Config, opened: &Opened) -> Result<(), StartError> {
    let Some(configuration) = opened.configuration() else { return Ok(()) };
    let Some(member) = configuration.member(opened.node_id) else { return Ok(()) };
    if member.name != config.name {
        return Err(StartError::OtherMember {
            dir: config.dir.clone(),
            id: opened.node_id,
            found: member.name.clone(),
            expected: config.name.clone(),
        });
    }
    let told = [&member.peer_address, &member.client_address];
    let own = [config.peer_address.as_str(), config.client_address.as_str()];
    if told != own {
        tracing::warn!(
            "the cluster knows this node at {} (peers) and {} (clients), not at {} and {}: others may not reach it",
            told[0],
            told[1],
            own[0],
            own[1]
        );
    }
    Ok(())
}

fn announce(config: &Config, opened: &Opened, local: &Local) {
    opened.findings.trace();
    let state = opened.recovered.hard_state;
    let cluster_id =
        local.cluster_id.map_or_else(|| "none yet".to_owned(), |cluster_id| cluster_id.to_string());
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        name = %local.name,
        node_id = %local.node_id,
        %cluster_id,
        client = %config.client_listen,
        peer = %config.peer_listen,
        dir = %config.dir.display(),
        fresh = opened.is_fresh,
        term = %state.current_term,
        last_entry = %opened.recovered.last,
        recovered = %opened.findings,
        "node starts"
    );
}
