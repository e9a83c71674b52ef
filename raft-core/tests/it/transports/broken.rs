//! Transports that are right but for one bug.

use std::io;
use std::sync::Arc;

use raft_core::snapshot::{ChunkSet, ChunkSink, ChunkSource, SnapshotOffer};
use raft_core::testing::transport_suite::TransportHarness;
use raft_core::transport::{SendError, TransferId, Transport, TransportEvent};
use raft_core::types::ClusterId;
use raft_core::{Configuration, Message, NodeId};

use super::WireHarness;
use crate::support::id;
use crate::support::wire::Wire;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    WrongSender,
    DropsBlocks,
    LosesBulk,
    AnyCluster,
    GreetsLate,
    KnowsEverybody,
    NeverFull,
    OneLane,
    Silent,
    EndsTwice,
    NeverFails,
    AlwaysComplete,
    StartsOver,
    SecondWaits,
}

/// A [`Wire`] with a bug between it and its user.
pub(super) struct BrokenTransport {
    wire: Wire,
    bug: Bug,
    /// Something was refused for want of room.
    full: bool,
    /// A transfer is under way.
    busy: bool,
}

impl Transport for BrokenTransport {
    fn send(&mut self, to: NodeId, message: Message) -> Result<(), SendError> {
        let bulk = matches!(message, Message::AppendEntries(_));
        match self.bug {
            Bug::LosesBulk if bulk => return Ok(()),
            Bug::OneLane if self.full => return Err(SendError::Unavailable { to }),
            _ => {}
        }
        let sent = self.wire.send(to, message);
        self.full |= matches!(sent, Err(SendError::Unavailable { .. }));
        match sent {
            Err(SendError::Unavailable { .. }) if self.bug == Bug::NeverFull => Ok(()),
            Err(SendError::UnknownPeer { .. }) if self.bug == Bug::KnowsEverybody => Ok(()),
            sent => sent,
        }
    }

    fn set_configuration(&mut self, configuration: &Arc<Configuration>) {
        self.wire.set_configuration(configuration);
    }

    fn set_cluster(&mut self, cluster_id: ClusterId) {
        self.wire.set_cluster(cluster_id);
    }

    fn send_snapshot(&mut self, to: NodeId, offer: SnapshotOffer, source: Box<dyn ChunkSource>) {
        if self.bug == Bug::SecondWaits && std::mem::replace(&mut self.busy, true) {
            return;
        }
        self.wire.send_snapshot(to, offer, source);
    }

    fn accept_snapshot(&mut self, transfer: TransferId, sink: Box<dyn ChunkSink>) {
        match self.bug {
            Bug::StartsOver => self.wire.accept_snapshot(transfer, Box::new(Forgetful(sink))),
            _ => self.wire.accept_snapshot(transfer, sink),
        }
    }

    fn refuse_snapshot(&mut self, transfer: TransferId) {
        self.wire.refuse_snapshot(transfer);
    }
}

/// A sink whose chunks the transport does not ask for.
struct Forgetful(Box<dyn ChunkSink>);

impl ChunkSink for Forgetful {
    fn have(&mut self) -> io::Result<ChunkSet> {
        self.0.have().map(|_| ChunkSet::default())
    }

    fn write_chunk(&mut self, number: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_chunk(number, bytes)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.finish()
    }
}

pub(super) struct BrokenHarness {
    inner: WireHarness,
    bug: Bug,
    transports: Vec<(u64, BrokenTransport)>,
}

impl BrokenHarness {
    pub(super) fn new(bug: Bug) -> Self {
        Self { inner: WireHarness::default(), bug, transports: Vec::new() }
    }

    /// What the node is told instead of `event`.
    fn distort(&self, event: TransportEvent) -> Vec<TransportEvent> {
        vec![match (self.bug, event) {
            (Bug::WrongSender, TransportEvent::Message { from, message }) => {
                TransportEvent::Message { from: id(1 + from.get() % 3), message }
            }
            (
                Bug::DropsBlocks,
                TransportEvent::Message { from, message: Message::AppendEntries(mut append) },
            ) => {
                append.blocks.pop();
                TransportEvent::Message { from, message: Message::AppendEntries(append) }
            }
            (Bug::EndsTwice, event @ TransportEvent::SnapshotSent { .. }) => {
                return vec![event.clone(), event];
            }
            (Bug::NeverFails, TransportEvent::SnapshotSent { complete: false, .. })
            | (Bug::Silent, TransportEvent::Unreachable { .. }) => return Vec::new(),
            (Bug::AlwaysComplete, TransportEvent::SnapshotReceived { from, offer, .. }) => {
                TransportEvent::SnapshotReceived { from, offer, complete: true }
            }
            (_, event) => event,
        }]
    }
}

impl TransportHarness for BrokenHarness {
    type Transport = BrokenTransport;

    fn start(&mut self, number: u64, cluster_id: Option<ClusterId>) {
        let cluster_id =
            if self.bug == Bug::AnyCluster { cluster_id.and(Some(ClusterId(1))) } else { cluster_id };
        self.inner.start(number, cluster_id);
        let wire = self.inner.transport(number).clone();
        self.transports.push((number, BrokenTransport { wire, bug: self.bug, full: false, busy: false }));
    }

    fn addresses(&self, number: u64) -> [String; 3] {
        self.inner.addresses(number)
    }

    fn transport(&mut self, number: u64) -> &mut BrokenTransport {
        let found = self.transports.iter_mut().find(|(started, _)| *started == number);
        &mut found.expect("it was started").1
    }

    fn run(&mut self) {
        self.inner.run();
    }

    fn events(&mut self, number: u64) -> Vec<TransportEvent> {
        let mut events: Vec<_> =
            self.inner.events(number).into_iter().flat_map(|event| self.distort(event)).collect();
        if self.bug == Bug::GreetsLate {
            events.sort_by_key(|event| matches!(event, TransportEvent::Greeted { .. }));
        }
        if events.iter().any(|event| matches!(event, TransportEvent::SnapshotSent { .. })) {
            self.transports.iter_mut().for_each(|(_, transport)| transport.busy = false);
        }
        events
    }

    fn set_link(&mut self, one: u64, other: u64, whole: bool) {
        self.inner.set_link(one, other, whole);
    }
}
