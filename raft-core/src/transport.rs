//! What the driver needs from a network.

use std::sync::Arc;

use crate::configuration::Configuration;
use crate::message::Message;
use crate::snapshot::{ChunkSink, ChunkSource, SnapshotInfo, SnapshotOffer};
use crate::types::{ClusterId, NodeId};

/// A message could not even be queued; it is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// No address is known for the peer.
    #[error("peer {to}: no address known")]
    UnknownPeer {
        /// The peer.
        to: NodeId,
    },
    /// The peer's bounded queue is full, or nothing is connected.
    #[error("peer {to}: not connected, or its queue is full")]
    Unavailable {
        /// The peer.
        to: NodeId,
    },
}

/// Names one snapshot transfer of a transport, process-local.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransferId(pub u64);

/// What a [`Transport`] reports.
#[derive(Clone, Debug)]
pub enum TransportEvent {
    /// A message from a peer that the handshake accepted. Payload checksums are verified.
    Message {
        /// The sender.
        from: NodeId,
        /// What it says.
        message: Message,
    },
    /// Messages queued for this peer may be lost: its connection broke or could not be made.
    Unreachable {
        /// The peer.
        peer: NodeId,
    },
    /// A member of a cluster greeted this node, which belongs to none yet, by its own id.
    Greeted {
        /// The member's cluster.
        cluster_id: ClusterId,
    },
    /// A leader offers a snapshot; answer with [`Transport::accept_snapshot`] or [`Transport::refuse_snapshot`].
    SnapshotOffered {
        /// The leader.
        from: NodeId,
        /// This transfer.
        transfer: TransferId,
        /// The file.
        offer: SnapshotOffer,
    },
    /// An accepted transfer is over.
    SnapshotReceived {
        /// The leader.
        from: NodeId,
        /// Its offer.
        offer: SnapshotOffer,
        /// Whether the sink holds the whole file and has finished.
        complete: bool,
    },
    /// A transfer to a peer is over.
    SnapshotSent {
        /// The peer.
        to: NodeId,
        /// The file.
        info: SnapshotInfo,
        /// Whether the peer has all of it.
        complete: bool,
    },
}

/// Moves messages and snapshot files between nodes.
///
/// # Contract
/// * **Best effort.** A message may be lost, repeated, delayed or overtaken; never altered, and never delivered under
///   another sender's name or from another cluster.
/// * **Lanes.** Votes, heartbeats and answers do not queue behind entries, nor entries behind snapshots.
/// * **Bounds.** Queues are bounded; what does not fit is dropped and told by [`SendError`] or
///   [`TransportEvent::Unreachable`].
/// * None of the calls blocks. Sources and sinks are called on background threads.
pub trait Transport {
    /// Queues a message.
    ///
    /// # Errors
    /// [`SendError`]: the message is dropped. The driver treats the peer as unreachable.
    fn send(&mut self, to: NodeId, message: Message) -> Result<(), SendError>;

    /// The members to keep connections to, whenever the configuration in force changes; `own` is left out by the
    /// transport itself.
    fn set_configuration(&mut self, configuration: &Arc<Configuration>);

    /// This node belongs to `cluster_id` from now on: introduce it so, and refuse peers of other clusters.
    fn set_cluster(&mut self, cluster_id: ClusterId);

    /// Offers a snapshot and sends what the peer lacks; [`TransportEvent::SnapshotSent`] follows. At most one transfer
    /// to a peer at a time: a second call fails at once in that way.
    fn send_snapshot(&mut self, to: NodeId, offer: SnapshotOffer, source: Box<dyn ChunkSource>);

    /// Receives an offered snapshot into `sink`; [`TransportEvent::SnapshotReceived`] follows.
    fn accept_snapshot(&mut self, transfer: TransferId, sink: Box<dyn ChunkSink>);

    /// Turns an offer down.
    fn refuse_snapshot(&mut self, transfer: TransferId);
}
