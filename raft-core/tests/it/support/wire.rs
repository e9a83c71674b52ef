//! A transport in memory, and the switchboard that carries what nodes hand to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use raft_core::snapshot::{ChunkSink, ChunkSource, SnapshotInfo, SnapshotOffer};
use raft_core::transport::{SendError, TransferId, Transport, TransportEvent};
use raft_core::types::ClusterId;
use raft_core::{Configuration, Message, NodeId};

use super::id;

/// Messages that one node can queue for one peer and lane.
const QUEUE: usize = 4096;

/// What a node handed to its transport.
#[derive(Default)]
struct Handed {
    messages: Vec<(u64, Message)>,
    snapshots: Vec<(u64, SnapshotOffer, Box<dyn ChunkSource>)>,
    accepted: Vec<(TransferId, Box<dyn ChunkSink>)>,
    refused: Vec<TransferId>,
    cluster: Option<ClusterId>,
    configuration: Option<Arc<Configuration>>,
    /// Peers that introduced themselves, so that they can be answered.
    introduced: BTreeSet<u64>,
    /// Peers to which nothing can be queued.
    unavailable: BTreeSet<u64>,
}

/// A transport that keeps everything until the switchboard carries it.
#[derive(Clone, Default)]
pub(crate) struct Wire(Arc<Mutex<Handed>>);

impl Wire {
    fn handed(&self) -> MutexGuard<'_, Handed> {
        self.0.lock().unwrap()
    }

    /// Nothing can be queued for these peers.
    pub(crate) fn cannot_queue_for(&self, peers: impl IntoIterator<Item = u64>) {
        self.handed().unavailable = peers.into_iter().collect();
    }

    /// Messages handed over since last asked.
    pub(crate) fn take_messages(&self) -> Vec<(u64, Message)> {
        std::mem::take(&mut self.handed().messages)
    }

    /// Cluster and configuration that it was told.
    pub(crate) fn told(&self) -> (Option<ClusterId>, Option<Arc<Configuration>>) {
        let handed = self.handed();
        (handed.cluster, handed.configuration.clone())
    }
}

impl Handed {
    fn knows(&self, peer: u64) -> bool {
        let member = |members: &Arc<Configuration>| members.member(id(peer)).is_some();
        self.configuration.as_ref().is_some_and(member)
            || (self.cluster.is_some() && self.introduced.contains(&peer))
    }
}

/// Entries are bulk; nothing else is.
const fn is_bulk(message: &Message) -> bool {
    matches!(message, Message::AppendEntries(_))
}

impl Transport for Wire {
    fn send(&mut self, to: NodeId, message: Message) -> Result<(), SendError> {
        let mut handed = self.handed();
        let same =
            |(peer, queued): &&(u64, Message)| *peer == to.get() && is_bulk(queued) == is_bulk(&message);
        if !handed.knows(to.get()) {
            return Err(SendError::UnknownPeer { to });
        }
        if handed.unavailable.contains(&to.get()) || handed.messages.iter().filter(same).count() >= QUEUE {
            return Err(SendError::Unavailable { to });
        }
        handed.messages.push((to.get(), message));
        Ok(())
    }

    fn set_configuration(&mut self, configuration: &Arc<Configuration>) {
        self.handed().configuration = Some(Arc::clone(configuration));
    }

    fn set_cluster(&mut self, cluster_id: ClusterId) {
        self.handed().cluster = Some(cluster_id);
    }

    fn send_snapshot(&mut self, to: NodeId, offer: SnapshotOffer, source: Box<dyn ChunkSource>) {
        self.handed().snapshots.push((to.get(), offer, source));
    }

    fn accept_snapshot(&mut self, transfer: TransferId, sink: Box<dyn ChunkSink>) {
        self.handed().accepted.push((transfer, sink));
    }

    fn refuse_snapshot(&mut self, transfer: TransferId) {
        self.handed().refused.push(transfer);
    }
}

/// A transfer under way.
struct Transfer {
    from: u64,
    to: u64,
    offer: SnapshotOffer,
    source: Box<dyn ChunkSource>,
}

/// Joins the wires of nodes; nothing moves but when it carries.
#[derive(Default)]
pub(crate) struct Switchboard {
    wires: BTreeMap<u64, Wire>,
    cut: BTreeSet<(u64, u64)>,
    /// Cut links whose senders have been told that something was lost.
    reported: BTreeSet<(u64, u64)>,
    transfers: BTreeMap<TransferId, Transfer>,
    last_transfer: u64,
    events: Vec<(u64, TransportEvent)>,
}

impl Switchboard {
    /// Node `number` takes part from now on, in the place of an earlier one if there was one.
    pub(crate) fn join(&mut self, number: u64, wire: &Wire) {
        self.wires.insert(number, wire.clone());
    }

    /// From now on nothing moves between these two, in either direction; or everything again.
    pub(crate) fn set_link(&mut self, one: u64, other: u64, whole: bool) {
        for link in [(one, other), (other, one)] {
            if whole {
                self.cut.remove(&link);
                self.reported.remove(&link);
            } else {
                self.cut.insert(link);
            }
        }
    }

    /// Moves what was handed over. What each node is told of it, in order.
    pub(crate) fn carry(&mut self) -> Vec<(u64, TransportEvent)> {
        for from in self.wires.keys().copied().collect::<Vec<_>>() {
            let mut handed = self.wires[&from].handed();
            let messages = std::mem::take(&mut handed.messages);
            let snapshots = std::mem::take(&mut handed.snapshots);
            let accepted = std::mem::take(&mut handed.accepted);
            let refused = std::mem::take(&mut handed.refused);
            drop(handed);
            messages.into_iter().for_each(|(to, message)| self.deliver(from, to, message));
            snapshots.into_iter().for_each(|(to, offer, source)| self.offer(from, to, offer, source));
            accepted.into_iter().for_each(|(transfer, sink)| self.accept(transfer, sink));
            refused.into_iter().for_each(|transfer| self.refuse(transfer));
        }
        std::mem::take(&mut self.events)
    }

    fn deliver(&mut self, from: u64, to: u64, message: Message) {
        if !self.meet(from, to) {
            if self.reported.insert((from, to)) {
                self.events.push((from, TransportEvent::Unreachable { peer: id(to) }));
            }
            return;
        }
        self.events.push((to, TransportEvent::Message { from: id(from), message }));
    }

    /// Whether node `from` gets through to node `to`; introduces them to each other if so.
    fn meet(&mut self, from: u64, to: u64) -> bool {
        let (Some(sender), Some(receiver)) = (self.wires.get(&from), self.wires.get(&to)) else {
            return false;
        };
        if self.cut.contains(&(from, to)) {
            return false;
        }
        let cluster = sender.handed().cluster;
        let mut receiver = receiver.handed();
        match (cluster, receiver.cluster) {
            (Some(cluster_id), None) => {
                self.events.push((to, TransportEvent::Greeted { cluster_id }));
            }
            (sender, receiver) if sender != receiver => return false,
            _ => {}
        }
        receiver.introduced.insert(from);
        true
    }

    fn offer(&mut self, from: u64, to: u64, offer: SnapshotOffer, source: Box<dyn ChunkSource>) {
        let busy = self.transfers.values().any(|other| (other.from, other.to) == (from, to));
        let known = self.wires[&from].handed().knows(to);
        if busy || !known || !self.meet(from, to) {
            return self.sent(from, to, offer.info, false);
        }
        self.last_transfer += 1;
        let transfer = TransferId(self.last_transfer);
        let offered = TransportEvent::SnapshotOffered { from: id(from), transfer, offer: offer.clone() };
        self.transfers.insert(transfer, Transfer { from, to, offer, source });
        self.events.push((to, offered));
    }

    fn accept(&mut self, transfer: TransferId, mut sink: Box<dyn ChunkSink>) {
        let Transfer { from, to, offer, mut source } =
            self.transfers.remove(&transfer).expect("it was offered");
        let broken = self.cut.contains(&(from, to));
        let complete = !broken && copy(&offer.info, &mut *source, &mut *sink).is_ok();
        drop(sink);
        let info = offer.info.clone();
        self.events.push((to, TransportEvent::SnapshotReceived { from: id(from), offer, complete }));
        self.sent(from, to, info, complete);
    }

    fn refuse(&mut self, transfer: TransferId) {
        let Transfer { from, to, offer, .. } = self.transfers.remove(&transfer).expect("it was offered");
        self.sent(from, to, offer.info, false);
    }

    fn sent(&mut self, from: u64, to: u64, info: SnapshotInfo, complete: bool) {
        self.events.push((from, TransportEvent::SnapshotSent { to: id(to), info, complete }));
    }
}

fn copy(info: &SnapshotInfo, source: &mut dyn ChunkSource, sink: &mut dyn ChunkSink) -> std::io::Result<()> {
    let have = sink.have()?;
    for number in (0..info.chunk_count()).filter(|number| !have.contains(*number)) {
        sink.write_chunk(number, &source.read_chunk(number)?)?;
    }
    sink.finish()
}
