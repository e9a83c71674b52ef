//! All that a node's consensus wants done.
//!
//! Invariant (safe-when-emitted): every effect may be carried out the moment it is emitted, in order. Whatever depends
//! on durability is held back inside the core until [`Input::Durable`](crate::Input::Durable) says so.

use crate::block::Blocks;
use crate::error::{Halt, ProposeError, ReadError, TransferError};
use crate::input::Ticket;
use crate::message::Message;
use crate::snapshot::{SnapshotInfo, SnapshotOffer};
use crate::storage::{ReadRequest, StoreError, Write};
use crate::transport::TransferId;
use crate::types::{EntryId, LogIndex, NodeId, Term};

/// One thing to do.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Submit to the log store, in order.
    Write(Write),
    /// Send.
    Send {
        /// The receiver.
        to: NodeId,
        /// What to say.
        message: Message,
    },
    /// Read entries back; answer with [`Input::LogRead`](crate::Input::LogRead).
    Read(ReadRequest),
    /// Apply these committed entries, which follow the ones before; answer with
    /// [`Input::Applied`](crate::Input::Applied).
    Apply(Blocks),
    /// Replace the state by the newest published snapshot's, which ends at this entry.
    Restore(EntryId),
    /// The log may forget entries through this index (inclusive).
    Compact {
        /// Last one to forget.
        through: LogIndex,
    },
    /// A proposed batch has its place in the log (it is appended, not committed), or not.
    Proposed {
        /// The batch.
        ticket: Ticket,
        /// Identity of its first entry; the others follow it.
        outcome: Result<EntryId, ProposeError>,
    },
    /// The read may be served once everything through the index is applied.
    ReadReady {
        /// The read.
        ticket: Ticket,
        /// That index.
        outcome: Result<LogIndex, ReadError>,
    },
    /// Leadership is being handed over, or is not. It changes when the other node wins its election; if that does not
    /// happen within an election timeout, this node goes on leading, unless it must leave: then it steps down.
    TransferBegun {
        /// The wish.
        ticket: Ticket,
        /// To whom.
        outcome: Result<NodeId, TransferError>,
    },
    /// The peer needs entries that the log has forgotten: send the newest snapshot.
    SendSnapshot {
        /// The peer.
        to: NodeId,
        /// The leader's term, for the offer.
        term: Term,
    },
    /// Receive the offered snapshot.
    AcceptSnapshot {
        /// The transfer.
        transfer: TransferId,
        /// What will come.
        offer: SnapshotOffer,
    },
    /// Turn the offered snapshot down.
    RefuseSnapshot {
        /// The transfer.
        transfer: TransferId,
    },
    /// Make the received snapshot the newest one; answer with
    /// [`Input::SnapshotPublished`](crate::Input::SnapshotPublished).
    PublishSnapshot(SnapshotInfo),
    /// Tell the operator: an entry of the own log cannot be read. The other members send it again.
    LogDamaged {
        /// The entry.
        index: LogIndex,
        /// Where, what was found, what was expected.
        reason: StoreError,
    },
    /// Stop the node.
    Halt(Halt),
}
