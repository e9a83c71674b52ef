//! The next segment, in the making: zeros take a disk long enough to be felt, so they are written ahead of need.
//!
//! A [`Preparer`] works piece by piece, each piece synced, so that the log's own syncs wait for one piece at most.
//! It begins when the segment being written to is half full. A log that comes to its end before finishes what is
//! left itself, and makes the whole segment if nothing was begun.
//!
//! Invariant (unnamed spare): until the log takes it, a spare has an unfinished name, which every opening removes.
//! Names are given, and the folder is synced, by the log alone. So an error of a spare costs the spare and no more:
//! it is discarded, and the log tries again when it needs one. *That* error is the log's own.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use raft_core::NodeId;
use raft_core::fs::Fs;

use crate::error::IoFailure;
use crate::folder::{Folder, Unfinished};
use crate::page::PAGE;
use crate::segment::Segment;
use crate::stats::LogStats;

/// Zeros are written in pieces of this size, and synced after each while nobody waits for them.
const PIECE_BYTES: usize = 1 << 20;

/// A segment without batches, whole up to `filled`.
pub(crate) struct Spare<F: Fs> {
    sequence: u64,
    capacity: u64,
    filled: u64,
    header: [u8; PAGE],
    file: Unfinished<F>,
}

impl<F: Fs> Spare<F> {
    pub(crate) fn begin(
        folder: &Folder<F>,
        node_id: NodeId,
        sequence: u64,
        capacity: u64,
    ) -> Result<Self, IoFailure> {
        let file = folder.begin(folder.segment_path(sequence))?;
        let header = Segment::<F>::header(node_id, sequence, capacity);
        Ok(Self { sequence, capacity, filled: 0, header, file })
    }

    const fn is_whole(&self) -> bool {
        self.filled == self.capacity
    }

    /// Writes one piece more, durably.
    fn fill_piece(&mut self) -> Result<(), IoFailure> {
        self.fill(self.capacity.min(self.filled + PIECE_BYTES as u64))
    }

    /// Writes what is missing before `end`, in pieces, with one sync.
    fn fill(&mut self, end: u64) -> Result<(), IoFailure> {
        let mut piece = vec![0; PIECE_BYTES.min((end - self.filled) as usize)];
        for start in (self.filled..end).step_by(PIECE_BYTES) {
            let length = (end - start).min(PIECE_BYTES as u64) as usize;
            if start == 0 {
                piece[..PAGE].copy_from_slice(&self.header);
            }
            self.file.write(&piece[..length], start)?;
            piece[..PAGE].fill(0);
        }
        self.file.sync()?;
        self.filled = end;
        Ok(())
    }

    /// Writes what is missing and gives it its name.
    pub(crate) fn publish(mut self, folder: &Folder<F>) -> Result<Segment<F>, IoFailure> {
        if !self.is_whole() {
            self.fill(self.capacity)?;
        }
        let path = self.file.path.clone();
        let file = folder.publish(self.file)?;
        Ok(Segment::new(self.sequence, path, self.capacity, file))
    }
}

/// Makes the next segment ahead of need. Clones are of one preparer.
pub(crate) struct Preparer<F: Fs>(Arc<Shared<F>>);

struct Shared<F: Fs> {
    folder: Folder<F>,
    node_id: NodeId,
    stats: Arc<LogStats>,
    state: Mutex<State<F>>,
    changed: Condvar,
    /// Nothing is left behind in the folder while somebody else has it.
    _lock: Arc<F::Lock>,
}

struct State<F: Fs> {
    /// Sequence number and length of the segment to make.
    wanted: Option<(u64, u64)>,
    spare: Option<Spare<F>>,
    closed: bool,
}

impl<F: Fs> Clone for Preparer<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F: Fs> Preparer<F> {
    pub(crate) fn new(folder: Folder<F>, node_id: NodeId, stats: Arc<LogStats>, lock: Arc<F::Lock>) -> Self {
        let state = Mutex::new(State { wanted: None, spare: None, closed: false });
        Self(Arc::new(Shared { folder, node_id, stats, state, changed: Condvar::new(), _lock: lock }))
    }

    /// Asks for a segment: once for each.
    pub(crate) fn want(&self, sequence: u64, capacity: u64) {
        self.state().wanted = Some((sequence, capacity));
        self.0.changed.notify_all();
    }

    /// Writes a piece of what is wanted; `false` if nothing is left to do.
    pub(crate) fn step(&self) -> bool {
        let state = &mut *self.state();
        match self.advance(state) {
            Ok(more) => more,
            Err(error) => {
                tracing::warn!(%error, "the next segment cannot be made ahead; the log will try again itself");
                self.0.stats.failed_preparations.add(1);
                if let Some(Err(error)) = state.spare.take().map(|spare| self.discard(spare)) {
                    tracing::warn!(%error, "what was made of a segment stays; the next opening removes it");
                }
                false
            }
        }
    }

    fn advance(&self, state: &mut State<F>) -> Result<bool, IoFailure> {
        if state.closed {
            return Ok(false);
        }
        if let Some((sequence, capacity)) = state.wanted.take() {
            state.spare = Some(Spare::begin(&self.0.folder, self.0.node_id, sequence, capacity)?);
        }
        match &mut state.spare {
            Some(spare) if !spare.is_whole() => {
                spare.fill_piece()?;
                Ok(!spare.is_whole())
            }
            _ => Ok(false),
        }
    }

    /// The segment `sequence`, with at least this capacity, made as far as it is not there yet. Its name is durable.
    pub(crate) fn take(&self, sequence: u64, capacity: u64) -> Result<Segment<F>, IoFailure> {
        // Held to the end: two must not make the same file. A preparer in the middle of a piece finishes that first.
        let mut state = self.state();
        state.wanted = None;
        let spare = match state.spare.take() {
            Some(spare) if spare.capacity >= capacity => spare,
            unfit => {
                unfit.map_or(Ok(()), |spare| self.discard(spare))?;
                Spare::begin(&self.0.folder, self.0.node_id, sequence, capacity)?
            }
        };
        self.0.stats.unprepared_segments.add(u64::from(!spare.is_whole()));
        spare.publish(&self.0.folder)
    }

    /// Waits until something is wanted; `false` once the log is closed.
    pub(crate) fn wait(&self) -> bool {
        let idle = |state: &mut State<F>| state.wanted.is_none() && !state.closed;
        let state = self.0.changed.wait_while(self.state(), idle);
        !state.unwrap_or_else(PoisonError::into_inner).closed
    }

    /// The log is closed: nothing is made any more.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.0.changed.notify_all();
    }

    fn discard(&self, spare: Spare<F>) -> Result<(), IoFailure> {
        self.0.folder.remove(&spare.file.temporary)
    }

    /// A panic in the middle of a piece leaves the spare where it was before that piece.
    fn state(&self) -> MutexGuard<'_, State<F>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
