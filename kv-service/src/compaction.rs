//! What the log may forget: only what the *older* of the two snapshots that are kept covers, too. If the newest
//! one rots, the older one and the log behind it still make a whole node.
//!
//! Consensus asks for a compaction whenever a newer snapshot is durable, up to some entry that this one covers.
//! Each request is passed on when the next one comes: by then there is a newer snapshot, and the one that covers
//! it is the older of the two.

use std::mem;

use raft_core::storage::{LogStore, ReadRequest, Write};
use raft_core::types::LogIndex;

/// A log that is compacted one snapshot later than asked. What was asked for before a restart is forgotten, so
/// that the first snapshot after it frees nothing.
#[derive(Debug)]
pub(crate) struct OneSnapshotLater<L> {
    log: L,
    asked: LogIndex,
}

impl<L> OneSnapshotLater<L> {
    pub(crate) const fn new(log: L) -> Self {
        Self { log, asked: LogIndex::ZERO }
    }
}

impl<L: LogStore> LogStore for OneSnapshotLater<L> {
    fn submit(&mut self, write: Write) {
        self.log.submit(write);
    }

    fn read(&mut self, request: ReadRequest) {
        self.log.read(request);
    }

    fn compact(&mut self, through: LogIndex) {
        let covered_twice = mem::replace(&mut self.asked, through);
        if covered_twice > LogIndex::ZERO {
            self.log.compact(covered_twice);
        }
    }
}
