//! A log store in memory whose durability is a decision of the simulated world.
//!
//! The driver submits writes; they queue. The world completes them, one or many at a time, when its simulated disk
//! says so; it answers reads likewise. At a crash it decides what survives of the queue, and opens the next store
//! on the surviving [`LogImage`]. The image is also what a durability oracle compares outgoing acknowledgements
//! with.
//!
//! The queues are as long as the driver lets them grow; the store adds no bound of its own.

mod image;
#[cfg(test)]
mod tests;

pub use image::{LogImage, Part};

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::storage::{LogEvent, LogStore, ReadRequest, Recovered, Sink, StoreError, Write};
use crate::testing::draw::{draw, draw_below};
use crate::types::{LogIndex, WriteId};

/// A handle to a simulated log. Clones share it: the driver holds one, the world another.
#[derive(Clone)]
pub struct SimLog {
    state: Arc<Mutex<State>>,
}

struct State {
    durable: LogImage,
    writes: VecDeque<Write>,
    reads: VecDeque<ReadRequest>,
    /// Nothing becomes durable any more, and nothing more is queued.
    poisoned: bool,
    /// Nothing becomes durable for now.
    full: bool,
    sink: Sink<LogEvent>,
}

/// What survives, at a crash, of the writes that were queued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Survivors {
    /// So many whole writes, oldest first; all if there are fewer.
    pub writes: usize,
    /// And this part of the next one.
    pub part: Part,
}

impl Survivors {
    /// Survivors of a queue of `pending` writes, chosen by `seed`.
    #[must_use]
    pub const fn choose(pending: usize, seed: u64) -> Self {
        let writes = draw_below(seed, 4, 0, pending as u64 + 1) as usize;
        let part = match draw(seed, 4, 1) % 4 {
            0 => Part::Nothing,
            1 => Part::HardState,
            _ => Part::Entries((draw(seed, 4, 2) % 8) as usize),
        };
        Self { writes, part }
    }
}

impl SimLog {
    /// Opens the log that `image` holds. Events go to `sink`, during the calls of the world.
    #[must_use]
    pub fn open(image: LogImage, sink: Sink<LogEvent>) -> (Self, Recovered) {
        let recovered = image.recovered();
        let (writes, reads) = (VecDeque::new(), VecDeque::new());
        let state = State { durable: image, writes, reads, poisoned: false, full: false, sink };
        (Self { state: Arc::new(Mutex::new(state)) }, recovered)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole between two calls, whatever panicked meanwhile.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many writes are not durable yet.
    #[must_use]
    pub fn pending_writes(&self) -> usize {
        self.state().writes.len()
    }

    /// How many reads are not answered yet.
    #[must_use]
    pub fn pending_reads(&self) -> usize {
        self.state().reads.len()
    }

    /// Makes the oldest `count` writes durable, all if there are fewer, and says so once: as one sync does.
    /// Returns the newest of them.
    pub fn complete_writes(&self, count: usize) -> Option<WriteId> {
        let mut state = self.state();
        let count = if state.poisoned || state.full { 0 } else { count.min(state.writes.len()) };
        let done: Vec<_> = state.writes.drain(..count).collect();
        done.iter().for_each(|write| state.durable.apply(write));
        let newest = done.last()?.id;
        let sink = state.sink.clone();
        drop(state);
        sink(LogEvent::Durable(newest));
        Some(newest)
    }

    /// Answers the oldest read; whether there was one.
    pub fn answer_read(&self) -> bool {
        let mut state = self.state();
        let Some(request) = state.reads.pop_front() else { return false };
        let answer = state.durable.read(&request);
        let sink = state.sink.clone();
        drop(state);
        sink(LogEvent::Read { id: request.id, answer });
        true
    }

    /// Does all that there is to do: completes the writes, then answers the reads.
    pub fn run(&self) {
        self.complete_writes(usize::MAX);
        while self.answer_read() {}
    }

    /// Poisons the log, as a failed write or sync does; says so once. Reads go on.
    pub fn fail(&self, reason: StoreError) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.poisoned, true) {
            let sink = state.sink.clone();
            drop(state);
            sink(LogEvent::Failed(reason));
        }
    }

    /// Lets the disk be full, or not any more; says so at each change.
    pub fn set_full(&self, full: bool) {
        let mut state = self.state();
        if std::mem::replace(&mut state.full, full) != full {
            let sink = state.sink.clone();
            drop(state);
            sink(LogEvent::Full(full));
        }
    }

    /// What a crash leaves that spares `survivors` of the queue. This store is dead from now on.
    #[must_use]
    pub fn crash(&self, survivors: Survivors) -> LogImage {
        let mut state = self.state();
        state.poisoned = true;
        state.reads.clear();
        let mut image = state.durable.clone();
        let mut writes = std::mem::take(&mut state.writes).into_iter();
        writes.by_ref().take(survivors.writes).for_each(|write| image.apply(&write));
        if let Some(next) = writes.next() {
            image.apply_part(&next, survivors.part);
        }
        image
    }

    /// Looks at the writes that were submitted after write `after` and are not durable yet, oldest first.
    pub fn with_submitted_after(&self, after: WriteId, look: impl FnMut(&Write)) {
        let state = self.state();
        let newest = state.writes.iter().rev().take_while(|write| write.id > after).count();
        state.writes.range(state.writes.len() - newest..).for_each(look);
    }

    /// Looks at what is durable.
    pub fn with_durable<T>(&self, look: impl FnOnce(&LogImage) -> T) -> T {
        look(&self.state().durable)
    }

    /// Lets a durable payload rot; see [`LogImage::damage`].
    pub fn damage(&self, index: LogIndex) -> bool {
        self.state().durable.damage(index)
    }
}

impl LogStore for SimLog {
    fn submit(&mut self, write: Write) {
        let mut state = self.state();
        if !state.poisoned {
            state.writes.push_back(write);
        }
    }

    fn read(&mut self, request: ReadRequest) {
        self.state().reads.push_back(request);
    }

    fn compact(&mut self, through: LogIndex) {
        self.state().durable.compact(through);
    }
}
