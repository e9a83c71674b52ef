//! The simulated network's end at a node: what the driver hands over waits for the world to carry it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::configuration::Configuration;
use crate::message::Message;
use crate::snapshot::{ChunkSink, ChunkSource, SnapshotInfo, SnapshotOffer};
use crate::transport::{SendError, TransferId, Transport};
use crate::types::{ClusterId, NodeId};

/// Something for the world to carry.
pub(super) enum Outgoing {
    Message { to: NodeId, message: Message },
    Snapshot { to: NodeId, offer: SnapshotOffer, source: Box<dyn ChunkSource> },
    Accept { transfer: TransferId, sink: Box<dyn ChunkSink> },
    Refuse { transfer: TransferId },
}

/// A [`Transport`] that keeps everything until the world takes it, right after the flush.
#[derive(Clone, Default)]
pub struct SimTransport(Arc<Mutex<Vec<Outgoing>>>);

impl SimTransport {
    fn push(&self, outgoing: Outgoing) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(outgoing);
    }

    pub(super) fn take(&self) -> Vec<Outgoing> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Transport for SimTransport {
    fn send(&mut self, to: NodeId, message: Message) -> Result<(), SendError> {
        self.push(Outgoing::Message { to, message });
        Ok(())
    }

    fn set_configuration(&mut self, _configuration: &Arc<Configuration>) {}

    fn set_cluster(&mut self, _cluster_id: ClusterId) {}

    fn send_snapshot(&mut self, to: NodeId, offer: SnapshotOffer, source: Box<dyn ChunkSource>) {
        self.push(Outgoing::Snapshot { to, offer, source });
    }

    fn accept_snapshot(&mut self, transfer: TransferId, sink: Box<dyn ChunkSink>) {
        self.push(Outgoing::Accept { transfer, sink });
    }

    fn refuse_snapshot(&mut self, transfer: TransferId) {
        self.push(Outgoing::Refuse { transfer });
    }
}

/// Moves the chunks that the sink lacks. Whether it has the whole file then.
pub(super) fn copy(info: &SnapshotInfo, source: &mut dyn ChunkSource, sink: &mut dyn ChunkSink) -> bool {
    let Ok(have) = sink.have() else { return false };
    let missing = (0..info.chunk_count()).filter(|number| !have.contains(*number));
    let moved = missing.map(|number| sink.write_chunk(number, &source.read_chunk(number)?));
    moved.collect::<std::io::Result<()>>().and_then(|()| sink.finish()).is_ok()
}
