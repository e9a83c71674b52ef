//! A node's ends of log, network and snapshot store: the simulated stores, behind a fuse that can cut them all off in the
//! middle of a flush, as a power cut does.

use std::io::Read;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::configuration::Configuration;
use crate::message::Message;
use crate::snapshot::{ChunkSink, ChunkSource, SnapshotInfo, SnapshotMeta, SnapshotOffer, SnapshotView};
use crate::storage::{LogStore, ReadRequest, SnapshotStore, Write};
use crate::testing::sim_log::SimLog;
use crate::testing::sim_snapshots::SimSnapshots;
use crate::transport::{SendError, TransferId, Transport};
use crate::types::{ClusterId, LogIndex, NodeId};

/// Lets so many effects through and no more, once it is armed.
#[derive(Clone, Debug)]
pub(super) struct Fuse(Arc<AtomicU32>);

impl Fuse {
    const WHOLE: u32 = u32::MAX;

    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicU32::new(Self::WHOLE)))
    }

    pub(super) fn arm(&self, effects: u32) {
        self.0.store(effects, Ordering::Relaxed);
    }

    /// Whether no more effects get through.
    pub(super) fn is_burnt(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// Whether one more effect gets through.
    fn admits(&self) -> bool {
        match self.0.load(Ordering::Relaxed) {
            Self::WHOLE => true,
            0 => false,
            left => {
                self.0.store(left - 1, Ordering::Relaxed);
                true
            }
        }
    }
}

/// The log.
pub(super) struct NodeLog {
    pub(super) log: SimLog,
    pub(super) fuse: Fuse,
}

impl LogStore for NodeLog {
    fn submit(&mut self, write: Write) {
        if self.fuse.admits() {
            self.log.submit(write);
        }
    }

    fn read(&mut self, request: ReadRequest) {
        if self.fuse.admits() {
            self.log.read(request);
        }
    }

    fn compact(&mut self, through: LogIndex) {
        if self.fuse.admits() {
            self.log.compact(through);
        }
    }
}

/// The snapshot store.
pub(super) struct NodeSnapshots {
    pub(super) snapshots: SimSnapshots,
    pub(super) fuse: Fuse,
}

impl SnapshotStore for NodeSnapshots {
    fn latest(&self) -> Option<SnapshotInfo> {
        self.snapshots.latest()
    }

    fn create(&mut self, meta: SnapshotMeta, view: Box<dyn SnapshotView>) {
        if self.fuse.admits() {
            self.snapshots.create(meta, view);
        }
    }

    fn source(&self) -> Option<(SnapshotInfo, Box<dyn ChunkSource>)> {
        self.snapshots.source()
    }

    fn sink(&mut self, offer: &SnapshotOffer) -> Box<dyn ChunkSink> {
        self.snapshots.sink(offer)
    }

    fn publish(&mut self, info: SnapshotInfo) {
        if self.fuse.admits() {
            self.snapshots.publish(info);
        }
    }

    fn reader(&self) -> Option<(SnapshotMeta, Box<dyn Read + Send>)> {
        self.snapshots.reader()
    }
}

/// Something for the world to carry.
pub(super) enum Outgoing {
    Message { to: NodeId, message: Message },
    Snapshot { to: NodeId, offer: SnapshotOffer, source: Box<dyn ChunkSource> },
    Accept { transfer: TransferId, sink: Box<dyn ChunkSink> },
    Refuse { transfer: TransferId },
}

/// The network: keeps everything until the cluster takes it, right after the flush.
#[derive(Clone)]
pub(super) struct NodeTransport {
    outgoing: Arc<Mutex<Vec<Outgoing>>>,
    fuse: Fuse,
}

impl NodeTransport {
    pub(super) fn new(fuse: Fuse) -> Self {
        Self { outgoing: Arc::default(), fuse }
    }

    fn push(&self, outgoing: Outgoing) {
        if self.fuse.admits() {
            self.outgoing.lock().unwrap_or_else(PoisonError::into_inner).push(outgoing);
        }
    }

    /// Moves what is there to the end of `taken`.
    pub(super) fn take_into(&self, taken: &mut Vec<Outgoing>) {
        taken.append(&mut self.outgoing.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Transport for NodeTransport {
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
