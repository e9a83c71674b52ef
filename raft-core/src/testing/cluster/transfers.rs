//! Snapshot transfers under way, one for each link at most.

use std::collections::BTreeMap;

use crate::snapshot::{ChunkSink, ChunkSource, SnapshotInfo, SnapshotOffer};
use crate::transport::TransferId;

/// One transfer.
pub(super) struct Transfer {
    pub(super) id: TransferId,
    pub(super) offer: SnapshotOffer,
    pub(super) source: Box<dyn ChunkSource>,
    pub(super) state: TransferState,
    /// No chunk was moved yet.
    pub(super) fresh: bool,
    /// The sender's process is the one that began it.
    pub(super) sender: u64,
}

/// How far it is.
pub(super) enum TransferState {
    /// The offer is on its way.
    Offered,
    /// The receiver decides within its present flush.
    Deciding,
    /// Chunks flow.
    Accepted(Box<dyn ChunkSink>),
    /// The receiver is done with it; the sender does not know yet.
    Ended { complete: bool },
}

/// What a transfer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferPhase {
    /// The offer to arrive.
    Offered,
    /// Chunks.
    Accepted,
    /// The sender to learn how it ended.
    Ended,
}

/// Transfers by link: places of sender and receiver.
#[derive(Default)]
pub(super) struct Transfers {
    pub(super) by_link: BTreeMap<(usize, usize), Transfer>,
    last_id: u64,
}

impl Transfers {
    pub(super) const fn next_id(&mut self) -> TransferId {
        self.last_id += 1;
        TransferId(self.last_id)
    }

    pub(super) fn phase(&self, from: usize, to: usize) -> Option<TransferPhase> {
        Some(match self.by_link.get(&(from, to))?.state {
            TransferState::Offered | TransferState::Deciding => TransferPhase::Offered,
            TransferState::Accepted(_) => TransferPhase::Accepted,
            TransferState::Ended { .. } => TransferPhase::Ended,
        })
    }

    pub(super) fn link_of(&self, id: TransferId) -> Option<(usize, usize)> {
        self.by_link.iter().find(|(_, transfer)| transfer.id == id).map(|(link, _)| *link)
    }
}

/// Moves up to `limit` of the chunks that the sink lacks. Whether it has the whole file then; `None` if it cannot.
pub(super) fn copy(
    info: &SnapshotInfo,
    source: &mut dyn ChunkSource,
    sink: &mut dyn ChunkSink,
    limit: u64,
    fresh: bool,
) -> Option<bool> {
    let have = sink.have().ok()?;
    if (1..info.chunk_count()).any(|number| have.contains(number)) && fresh {
        mark!(TransferResumed);
    }
    let mut missing = (0..info.chunk_count()).filter(|number| !have.contains(*number));
    for number in missing.by_ref().take(usize::try_from(limit).unwrap_or(usize::MAX)) {
        let chunk = source.read_chunk(number).ok()?;
        sink.write_chunk(number, &chunk).ok()?;
    }
    if missing.next().is_some() {
        return Some(false);
    }
    sink.finish().ok()?;
    Some(true)
}
