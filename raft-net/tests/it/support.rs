//! Nodes, a network with faults, a peer spoken by hand, and what was traced.

pub(crate) mod files;
mod raw;
mod traces;
mod wires;

pub(crate) use raw::Raw;
pub(crate) use traces::Traces;
pub(crate) use wires::Wires;

use std::sync::Arc;
use std::time::Duration;

use raft_core::block::{BlockBuilder, EntryKind};
use raft_core::configuration::{Configuration, Member, MemberRole};
use raft_core::message::{AppendEntries, Heartbeat, Message};
use raft_core::time::Time;
use raft_core::transport::{Transport, TransportEvent};
use raft_core::types::{ClusterId, EntryId, LogIndex, NodeId, Term};
use raft_net::frame::FrameLimits;
use raft_net::{Local, NetTransport, Options};
use tokio::sync::mpsc;
use tokio::time::timeout;

pub(crate) const CLUSTER: ClusterId = ClusterId(0xc1);
pub(crate) const LIMITS: FrameLimits = FrameLimits { head_bytes: 1 << 20, tail_bytes: 1 << 20 };

/// Longer than anything takes; in paused time it passes at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn id(bits: u64) -> NodeId {
    NodeId::new(bits).unwrap()
}

/// Node `bits`, named `n{bits}`, at `n{bits}:1`, of the cluster.
pub(crate) fn local(bits: u64) -> Local {
    Local {
        node_id: id(bits),
        name: format!("n{bits}"),
        peer_address: format!("n{bits}:1"),
        client_address: format!("n{bits}:2"),
        cluster_id: Some(CLUSTER),
        join: Vec::new(),
    }
}

pub(crate) fn options() -> Options {
    Options { limits: LIMITS, ..Options::default() }
}

pub(crate) fn member(local: &Local) -> Member {
    Member {
        id: local.node_id,
        role: MemberRole::Voter,
        newest_version: 1,
        name: local.name.clone(),
        peer_address: local.peer_address.clone(),
        client_address: local.client_address.clone(),
    }
}

pub(crate) fn configuration(members: &[Local]) -> Arc<Configuration> {
    Arc::new(Configuration::new(1, members.iter().map(member).collect()).unwrap())
}

/// A control message that can be told from others by `number`.
pub(crate) fn heartbeat(number: u64) -> Message {
    let (term, leader_commit, sent_at) = (Term(1), LogIndex(0), Time::ZERO);
    Message::Heartbeat(Heartbeat { term, leader_commit, read_seq: number, sent_at })
}

/// A message of the append lane with one entry.
pub(crate) fn append(number: u64, payload: &[u8]) -> Message {
    let mut builder = BlockBuilder::new();
    builder.push(EntryKind::Normal, &[payload]);
    Message::AppendEntries(AppendEntries {
        term: Term(1),
        prev_entry: EntryId::new(Term(1), LogIndex(6)),
        blocks: vec![builder.finish(LogIndex(7), Term(1)).unwrap()].into(),
        leader_commit: LogIndex(0),
        read_seq: number,
        sent_at: Time::ZERO,
    })
}

/// A transport, and what it told its node.
pub(crate) struct Node {
    pub transport: NetTransport,
    pub events: mpsc::Receiver<TransportEvent>,
}

impl Node {
    /// Starts `local` on `wires`, listening at its peer address.
    pub(crate) fn start(wires: &Wires, local: Local, options: Options) -> Self {
        Self::start_with_events(wires, local, options, 1024)
    }

    /// The same with room for `capacity` events.
    pub(crate) fn start_with_events(wires: &Wires, local: Local, options: Options, capacity: usize) -> Self {
        let (sender, events) = mpsc::channel(capacity);
        let listener = Box::new(wires.network.listen(&local.peer_address));
        let transport = NetTransport::start(local, options, Arc::new(wires.clone()), listener, sender);
        Self { transport, events }
    }

    /// Members of one cluster that know one another.
    pub(crate) fn start_cluster<const N: usize>(wires: &Wires) -> [Self; N] {
        let locals: [Local; N] = std::array::from_fn(|number| local(number as u64 + 1));
        let configuration = configuration(&locals);
        locals.map(|local| {
            let mut node = Self::start(wires, local, options());
            node.transport.set_configuration(&configuration);
            node
        })
    }

    pub(crate) fn send(&mut self, to: u64, message: Message) {
        self.transport.send(id(to), message).unwrap();
    }

    /// The next event, which must come.
    pub(crate) async fn event(&mut self) -> TransportEvent {
        timeout(PATIENCE, self.events.recv()).await.expect("an event in time").expect("a running transport")
    }

    /// The next event that is `wanted`; those before it are skipped.
    pub(crate) async fn event_where<T>(&mut self, wanted: impl Fn(TransportEvent) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(self.event().await) {
                return found;
            }
        }
    }

    /// The next message and its sender; other events are skipped.
    pub(crate) async fn message(&mut self) -> (u64, Message) {
        self.event_where(|event| match event {
            TransportEvent::Message { from, message } => Some((from.get(), message)),
            _ => None,
        })
        .await
    }

    /// Waits until `peer` is reported unreachable.
    pub(crate) async fn unreachable(&mut self, peer: u64) {
        self.event_where(|event| match event {
            TransportEvent::Unreachable { peer: found } if found == id(peer) => Some(()),
            _ => None,
        })
        .await;
    }

    /// Sends to `to` until `receiver` gets one: however long it takes to connect.
    pub(crate) async fn reach(&mut self, to: u64, receiver: &mut Self, message: Message) {
        let arrived = async {
            loop {
                let _sent_or_not_connected = self.transport.send(id(to), message.clone());
                let pause = Duration::from_millis(20);
                if let Ok((_, found)) = timeout(pause, receiver.message()).await
                    && found == message
                {
                    return;
                }
            }
        };
        timeout(PATIENCE, arrived).await.expect("a connection in time");
    }
}
