//! [`NetTransport`]: the transport that raft-core's driver talks to.

use std::fmt;
use std::sync::Arc;

use raft_core::configuration::Configuration;
use raft_core::message::Message;
use raft_core::snapshot::{ChunkSink, ChunkSource, SnapshotOffer};
use raft_core::transport::{SendError, TransferId, Transport, TransportEvent};
use raft_core::types::{ClusterId, NodeId};
use tokio::sync::mpsc;

use crate::transport::connector::{Connector, Listener};
use crate::transport::handshake::Local;
use crate::transport::incoming::accept_callers;
use crate::transport::options::Options;
use crate::transport::shared::Shared;
use crate::transport::snapshot_transfer::send_snapshot;
use crate::transport::statistics::Statistics;
use crate::transport::tether::{Tether, spawn_tethered};

/// Connections to all peers, and from them. Its tasks run on the runtime it was started on, a current-thread one
/// as well, and end when it is dropped.
///
/// Events go to a bounded channel. While it is full, nothing is read from peers: their queues fill up, and *their*
/// sends fail. So the node that reads the channel must not wait for the network in between.
///
/// Two nodes in one process, over a network in memory:
///
/// ```
/// # use std::sync::Arc;
/// # use raft_core::configuration::{Configuration, Member, MemberRole};
/// # use raft_core::message::{Message, TimeoutNow};
/// # use raft_core::transport::{Transport, TransportEvent};
/// # use raft_core::types::{ClusterId, NodeId, Term};
/// use raft_net::connector::MemoryNetwork;
/// use raft_net::{Local, NetTransport, Options};
/// # fn member(local: &Local) -> Member {
/// #     let Local { node_id: id, name, peer_address, client_address, .. } = local.clone();
/// #     Member { id, role: MemberRole::Voter, newest_version: 1, name, peer_address, client_address }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let network = MemoryNetwork::new();
/// let local = |id, name: &str| Local {
///     node_id: NodeId::new(id).expect("not zero"),
///     name: name.to_owned(),
///     peer_address: format!("{name}:7400"),
///     client_address: format!("{name}:7401"),
///     cluster_id: Some(ClusterId(1)),
///     join: Vec::new(),
/// };
/// let (ann, bob) = (local(1, "ann"), local(2, "bob"));
/// let configuration = Configuration::new(1, vec![member(&ann), member(&bob)]).expect("two voters");
///
/// let start = |local: &Local| {
///     let (sender, events) = tokio::sync::mpsc::channel(1024);
///     let listener = Box::new(network.listen(&local.peer_address));
///     let connector = Arc::new(network.clone());
///     (NetTransport::start(local.clone(), Options::default(), connector, listener, sender), events)
/// };
/// let (mut from_ann, _events) = start(&ann);
/// let (_at_bob, mut events) = start(&bob);
/// from_ann.set_configuration(&Arc::new(configuration));
///
/// let message = Message::TimeoutNow(TimeoutNow { term: Term(7) });
/// from_ann.send(bob.node_id, message.clone()).expect("there is room in the queue");
/// let event = events.recv().await;
/// assert!(matches!(event, Some(TransportEvent::Message { from, message: got })
///     if from == ann.node_id && got == message));
/// # }
/// ```
pub struct NetTransport {
    shared: Arc<Shared>,
    _accepting: Tether,
}

impl NetTransport {
    /// Starts to answer callers on `listener`, and, once a cluster and a configuration are known, to connect to
    /// the members. Greetings are answered from the start.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start(
        local: Local,
        options: Options,
        connector: Arc<dyn Connector>,
        listener: Box<dyn Listener>,
        events: mpsc::Sender<TransportEvent>,
    ) -> Self {
        let shared = Shared::new(local, options, connector, events);
        let accepting = spawn_tethered(&shared.runtime, accept_callers(Arc::clone(&shared), listener));
        Self { shared, _accepting: accepting }
    }

    /// Counters of this transport.
    #[must_use]
    pub fn statistics(&self) -> Arc<Statistics> {
        Arc::clone(&self.shared.statistics)
    }

    fn decide(&self, transfer: TransferId, decision: Option<Box<dyn ChunkSink>>) {
        let event = self.shared.state().transfers.decide(transfer, decision);
        if let Some(event) = event {
            self.shared.report_soon(event);
        }
    }
}

impl Transport for NetTransport {
    fn send(&mut self, to: NodeId, message: Message) -> Result<(), SendError> {
        let sent = self.shared.state().send(to, message);
        if sent.is_err() {
            self.shared.statistics.messages_dropped.add(1);
        }
        sent
    }

    fn set_configuration(&mut self, configuration: &Arc<Configuration>) {
        self.shared.set_configuration(configuration);
    }

    fn set_cluster(&mut self, cluster_id: ClusterId) {
        self.shared.set_cluster(cluster_id);
    }

    fn send_snapshot(&mut self, to: NodeId, offer: SnapshotOffer, source: Box<dyn ChunkSource>) {
        let mut state = self.shared.state();
        let address = state.address_of(to);
        let started = address.and_then(|address| Some((address, state.transfers.begin_sending(to)?)));
        drop(state);
        match started {
            Some((address, transfer)) => {
                let shared = Arc::clone(&self.shared);
                let sending = send_snapshot(shared, transfer, (to, address), offer, source);
                self.shared.runtime.spawn(sending);
            }
            None => {
                let event = TransportEvent::SnapshotSent { to, info: offer.info, complete: false };
                self.shared.report_soon(event);
            }
        }
    }

    fn accept_snapshot(&mut self, transfer: TransferId, sink: Box<dyn ChunkSink>) {
        self.decide(transfer, Some(sink));
    }

    fn refuse_snapshot(&mut self, transfer: TransferId) {
        self.decide(transfer, None);
    }
}

impl Drop for NetTransport {
    fn drop(&mut self) {
        self.shared.shut_down();
    }
}

impl fmt::Debug for NetTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetTransport").field("statistics", &self.shared.statistics).finish_non_exhaustive()
    }
}
