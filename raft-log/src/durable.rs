//! The durable log, as the writer publishes it and readers see it.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use raft_core::LogIndex;
use raft_core::fs::Fs;

use crate::index::{Change, Index, Position};
use crate::segment::{FIRST_BATCH, Segment};

/// Shared by the writer, which changes it after each sync, and by readers, which hold the lock for a lookup only.
pub(crate) struct Durable<F: Fs>(RwLock<State<F>>);

struct State<F: Fs> {
    index: Index,
    /// Ascending and contiguous; the last one is written to.
    segments: VecDeque<Arc<Segment<F>>>,
}

/// Where an entry is.
pub(crate) enum Found<F: Fs> {
    /// In this batch.
    At(Arc<Segment<F>>, Position),
    /// The log starts later.
    Compacted { first: LogIndex },
    /// The log ends before, as far as it is durable.
    Nothing,
}

impl<F: Fs> Durable<F> {
    pub(crate) const fn new(index: Index, segments: VecDeque<Arc<Segment<F>>>) -> Self {
        Self(RwLock::new(State { index, segments }))
    }

    pub(crate) fn find(&self, index: LogIndex) -> Found<F> {
        let state = self.state();
        if index <= state.index.base() {
            return Found::Compacted { first: state.index.base().next() };
        }
        let Some(position) = state.index.find(index) else { return Found::Nothing };
        let oldest = state.segments.front().expect("a log has a segment").sequence;
        let segment = &state.segments[(position.segment - oldest) as usize];
        Found::At(segment.clone(), position)
    }

    pub(crate) fn publish(&self, changes: impl Iterator<Item = Change>) {
        let mut state = self.state_mut();
        changes.for_each(|change| state.index.apply(change));
    }

    pub(crate) fn add_segment(&self, segment: Arc<Segment<F>>) {
        self.state_mut().segments.push_back(segment);
    }

    /// The oldest segment, if no entry after `through` is in it.
    ///
    /// The segment after it must hold a batch: that one's base is all that will tell where the log starts.
    pub(crate) fn oldest_without_entries_after(&self, through: LogIndex) -> Option<Arc<Segment<F>>> {
        let state = self.state();
        let (oldest, next) = (state.segments.front()?, state.segments.get(1)?);
        let unneeded = state.index.last_in_oldest(oldest.sequence).is_none_or(|last| last <= through);
        (unneeded && next.durable_end() > FIRST_BATCH).then(|| oldest.clone())
    }

    /// Forgets the oldest segment; the answer is the entry before the first one now.
    pub(crate) fn forget_oldest(&self) -> LogIndex {
        let state = &mut *self.state_mut();
        let oldest = state.segments.pop_front().expect("a log has a segment");
        state.index.forget_oldest(oldest.sequence)
    }

    /// A panic under the lock would need a broken invariant of the index; what a reader then finds is checked
    /// against the checksums of the batch anyway.
    fn state(&self) -> RwLockReadGuard<'_, State<F>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State<F>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
