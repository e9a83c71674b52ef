//! The snapshot lane: one connection for each transfer, from a leader that dialed.
//!
//! ```text
//! sender    Offer ──────────────► Chunk* ─────► Done ─────────────►
//! receiver  ──────► Have | Refuse ─────► Credit* ───► Finished { complete }
//! ```
//! The receiver grants credit for a few chunks and one more for each chunk it has written, so that neither side
//! holds more than the window. While its disk works (checking what it has, syncing the whole) it says `Working`.
//! There is no limit on the whole, only on silence: a transfer that moves may take as long as it takes.
//!
//! Invariant (one-last-word): each `send_snapshot` is answered by one [`TransportEvent::SnapshotSent`], and each
//! `accept_snapshot` by one [`TransportEvent::SnapshotReceived`], after its sink was dropped; unless the transport
//! itself is dropped.

mod receive;
mod send;

pub(crate) use receive::receive_snapshot;
pub(crate) use send::send_snapshot;

use std::collections::BTreeMap;
use std::io;

use raft_core::snapshot::{ChunkSink, SnapshotOffer};
use raft_core::transport::{TransferId, TransportEvent};
use raft_core::types::NodeId;
use tokio::sync::oneshot;

use crate::transport::codec::{CodecError, SnapshotMessage};
use crate::transport::error::ConnectionError;
use crate::transport::framed_stream::FramedStream;
use crate::transport::tether::{Leash, Tether, tether};

/// Why a transfer ended before its time.
#[derive(Debug, thiserror::Error)]
enum TransferError {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error("cannot read chunk {number} of the snapshot to send: {source}")]
    Source { number: u64, source: io::Error },
    #[error("cannot {doing} the snapshot being received: {source}")]
    Sink { doing: &'static str, source: io::Error },
    #[error("the receiver refused the offer")]
    Refused,
    #[error("the receiver gave up; its own messages say why")]
    GivenUp,
}

impl From<CodecError> for TransferError {
    fn from(error: CodecError) -> Self {
        Self::Connection(error.into())
    }
}

/// What the node says to an offer: the sink for it, or no.
type Decision = Option<Box<dyn ChunkSink>>;

/// Transfers under way.
#[derive(Default)]
pub(crate) struct Transfers {
    sending: BTreeMap<NodeId, (TransferId, Tether)>,
    /// Offers that the node has not answered. It answers each.
    offered: BTreeMap<TransferId, Offered>,
    last_id: u64,
}

struct Offered {
    from: NodeId,
    offer: SnapshotOffer,
    decision: oneshot::Sender<Decision>,
}

impl Transfers {
    fn next_id(&mut self) -> TransferId {
        self.last_id += 1;
        TransferId(self.last_id)
    }

    /// Registers a transfer to `to`; `None` if there is one already.
    pub(crate) fn begin_sending(&mut self, to: NodeId) -> Option<(TransferId, Leash)> {
        if self.sending.contains_key(&to) {
            return None;
        }
        let (id, (tether, leash)) = (self.next_id(), tether());
        self.sending.insert(to, (id, tether));
        Some((id, leash))
    }

    fn end_sending(&mut self, to: NodeId, id: TransferId) {
        if self.sending.get(&to).is_some_and(|(sending, _)| *sending == id) {
            self.sending.remove(&to);
        }
    }

    /// Ends the transfer to `to`, if any.
    pub(crate) fn cancel(&mut self, to: NodeId) {
        self.sending.remove(&to);
    }

    fn offered(&mut self, from: NodeId, offer: &SnapshotOffer) -> (TransferId, oneshot::Receiver<Decision>) {
        let (decision, decided) = oneshot::channel();
        let id = self.next_id();
        self.offered.insert(id, Offered { from, offer: offer.clone(), decision });
        (id, decided)
    }

    /// The node answers an offer. If the sender has gone meanwhile, an accepted transfer is over: the event says
    /// so.
    pub(crate) fn decide(&mut self, id: TransferId, decision: Decision) -> Option<TransportEvent> {
        let Offered { from, offer, decision: waiting } = self.offered.remove(&id)?;
        match waiting.send(decision) {
            Ok(()) | Err(None) => None,
            Err(Some(_sink)) => Some(TransportEvent::SnapshotReceived { from, offer, complete: false }),
        }
    }
}

async fn say(stream: &mut FramedStream, message: &SnapshotMessage) -> Result<(), TransferError> {
    stream.push(|encoder, out| encoder.snapshot(message, out))?;
    stream.flush().await?;
    Ok(())
}

const fn unexpected(expected: &'static str) -> TransferError {
    TransferError::Connection(ConnectionError::Unexpected { found: "snapshot message", expected })
}
