//! All that can happen to a node's consensus.

use crate::block::{Block, BlockBuilder};
use crate::configuration::{Configuration, MemberChange};
use crate::message::{Message, ReadProof};
use crate::snapshot::{SnapshotInfo, SnapshotMeta, SnapshotOffer};
use crate::storage::ReadFailure;
use crate::transport::TransferId;
use crate::types::{ClusterId, LogIndex, NodeId, WriteId};

/// The caller's name for a proposal or read; comes back with its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// One event, given to [`Raft::step`](crate::Raft::step).
#[derive(Clone, Debug)]
pub enum Input {
    /// Time has passed [`Raft::next_deadline`](crate::Raft::next_deadline).
    Tick,
    /// A peer said something.
    Message {
        /// The peer, as its connection's handshake proved.
        from: NodeId,
        /// What it said.
        message: Message,
    },
    /// The application proposes entries; answered by [`Effect::Proposed`](crate::Effect::Proposed).
    Propose {
        /// Names the batch.
        ticket: Ticket,
        /// One or more entries.
        entries: BlockBuilder,
    },
    /// The application asks up to where it must have applied before a linearizable read; answered by
    /// [`Effect::ReadReady`](crate::Effect::ReadReady).
    Read {
        /// Names the read.
        ticket: Ticket,
        /// How a leader proves that it still leads.
        proof: ReadProof,
    },
    /// Change the members; answered like a proposal of one entry, the first configuration of the change.
    ChangeMembers {
        /// Names the change.
        ticket: Ticket,
        /// What is wished.
        changes: Vec<MemberChange>,
    },
    /// Hand leadership over; answered by [`Effect::TransferBegun`](crate::Effect::TransferBegun).
    TransferLeadership {
        /// Names the wish.
        ticket: Ticket,
        /// To whom; `None`: to whoever is closest behind.
        to: Option<NodeId>,
    },
    /// Found a cluster with this first configuration; answered like a proposal.
    Initialize {
        /// Names it.
        ticket: Ticket,
        /// The members.
        configuration: Configuration,
    },
    /// A member of this cluster greeted this node by its own id.
    Greeted(ClusterId),
    /// All writes up to this one are durable.
    Durable(WriteId),
    /// The log's disk is full, or is not any more. Writes wait meanwhile; none is lost.
    DiskFull(bool),
    /// Answer to an [`Effect::Read`](crate::Effect::Read).
    LogRead {
        /// The request's id.
        id: u64,
        /// Entries, checksums verified, or why not.
        answer: Result<Vec<Block>, ReadFailure>,
    },
    /// The state machine has applied everything through this index.
    Applied(LogIndex),
    /// Messages to this peer may have been lost.
    Unreachable(NodeId),
    /// This node has published a snapshot of its own state.
    SnapshotCreated(SnapshotMeta),
    /// A peer that calls itself leader offers a snapshot.
    SnapshotOffered {
        /// The peer.
        from: NodeId,
        /// The transfer to accept or refuse.
        transfer: TransferId,
        /// Its offer.
        offer: SnapshotOffer,
    },
    /// An accepted transfer is over.
    SnapshotReceived {
        /// Who sent it.
        from: NodeId,
        /// What was sent.
        offer: SnapshotOffer,
        /// Whether all of it is here, verified and durable, though not published.
        complete: bool,
    },
    /// A received snapshot is published; `None`: publishing failed and nothing changed.
    SnapshotPublished(Option<SnapshotInfo>),
    /// A transfer to a peer is over.
    SnapshotSent {
        /// The peer.
        to: NodeId,
        /// Whether it has all of it.
        complete: bool,
    },
}
