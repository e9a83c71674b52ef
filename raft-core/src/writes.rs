//! What this node has asked its disk to keep, and what of it is durable.
//!
//! One write is open at a time and takes in all that a batch of inputs changes; [`Writes::take`] closes it. The queue of
//! closed writes then says what may be vouched for.
//!
//! Invariant (durable-prefix): every entry at or before [`Writes::durable_last`] is on disk exactly as in memory: a
//! pending truncation lowers it at once, and only a completion raises it.
//! Invariant (term-before-entries): a write's term is never below that of its entries, because the store makes the hard
//! state durable first.

use std::collections::VecDeque;

use crate::block::Block;
use crate::fingerprint::{Mixer, Moment};
use crate::storage::Write;
use crate::time::Time;
use crate::types::{EntryId, HardState, LogIndex, WriteId};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Writes {
    open: Option<Write>,
    /// Entries behind this one are on disk otherwise than in memory until the open write is durable.
    open_cut: Option<LogIndex>,
    last_closed: WriteId,
    pending: VecDeque<Pending>,
    completed: WriteId,
    hard_state: HardState,
    hard_state_write: WriteId,
    durable_last: LogIndex,
}

/// What one closed write does to the durable state.
#[derive(Clone, Debug)]
struct Pending {
    id: WriteId,
    submitted_at: Time,
    hard_state: Option<HardState>,
    /// As `open_cut`, for this write.
    cut: Option<LogIndex>,
    /// Last entry once it is durable, if it touches the log.
    last: Option<LogIndex>,
}

impl Writes {
    /// Nothing pending: all of `hard_state` and the log through `last` is durable.
    pub(crate) const fn new(hard_state: HardState, last: LogIndex) -> Self {
        Self {
            open: None,
            open_cut: None,
            last_closed: WriteId(0),
            pending: VecDeque::new(),
            completed: WriteId(0),
            hard_state,
            hard_state_write: WriteId(0),
            durable_last: last,
        }
    }

    fn open(&mut self) -> &mut Write {
        let id = self.last_closed.next();
        self.open.get_or_insert_with(|| Write { id, ..Write::default() })
    }

    /// Remembers a term, vote or cluster.
    pub(crate) fn set_hard_state(&mut self, hard_state: HardState) {
        let open = self.open();
        open.hard_state = Some(hard_state);
        self.hard_state_write = open.id;
    }

    /// Appends a block behind what is there.
    pub(crate) fn append(&mut self, block: Block) {
        self.open().append.push(block);
    }

    /// Replaces damaged entries that are in the log by identity.
    pub(crate) fn fill(&mut self, block: Block) {
        self.open().fill.push(block);
    }

    /// The write that the next change goes into.
    pub(crate) const fn open_id(&self) -> WriteId {
        self.last_closed.next()
    }

    /// Forgets `from` and what follows.
    pub(crate) fn truncate(&mut self, from: LogIndex) {
        let open = self.open();
        // A fill replaces entries that are there.
        open.fill =
            open.fill.drain(..).filter_map(|block| kept(&block, block.first_index(), from.prev())).collect();
        while let Some(block) = open.append.pop() {
            if block.last_index() < from {
                open.append.push(block);
                return;
            }
            if block.first_index() < from {
                open.append.push(block.slice(block.first_index(), from.prev()));
                return;
            }
        }
        // A log that is reset in this same write has nothing on disk to cut.
        if open.reset.is_none() {
            open.truncate_from = Some(open.truncate_from.map_or(from, |earlier| earlier.min(from)));
        }
        self.cut(from.prev());
    }

    /// The log forgets what lies at or before `through`.
    pub(crate) fn compact(&mut self, through: LogIndex) {
        if let Some(open) = &mut self.open {
            open.fill = open
                .fill
                .drain(..)
                .filter_map(|block| kept(&block, through.next(), block.last_index()))
                .collect();
        }
    }

    /// Forgets the whole log; it starts again after `base`.
    pub(crate) fn reset(&mut self, base: EntryId) {
        let open = self.open();
        open.append.clear();
        open.fill.clear();
        open.truncate_from = None;
        open.reset = Some(base);
        self.cut(LogIndex::ZERO);
    }

    fn cut(&mut self, keeps: LogIndex) {
        self.open_cut = Some(self.open_cut.map_or(keeps, |cut| cut.min(keeps)));
        self.durable_last = self.durable_last.min(keeps);
    }

    /// Closes the open write, now; `last` is the last entry of the log in memory.
    pub(crate) fn take(&mut self, last: LogIndex, now: Time) -> Option<Write> {
        // Nearly always there is none, and a write is large to move.
        self.open.as_ref()?;
        let write = self.open.take()?;
        let touches_log = write.reset.is_some() || write.truncate_from.is_some() || !write.append.is_empty();
        self.pending.push_back(Pending {
            id: write.id,
            submitted_at: now,
            hard_state: write.hard_state,
            cut: self.open_cut.take(),
            last: touches_log.then_some(last),
        });
        self.last_closed = write.id;
        Some(write)
    }

    /// Takes note that `id` and all before it are durable. Whether that is news.
    pub(crate) fn complete(&mut self, id: WriteId) -> bool {
        if id <= self.completed || id > self.last_closed {
            return false;
        }
        self.completed = id;
        while let Some(write) = self.pending.pop_front_if(|write| write.id <= id) {
            self.hard_state = write.hard_state.unwrap_or(self.hard_state);
            self.durable_last = write.last.unwrap_or(self.durable_last);
        }
        let cuts = self.pending.iter().filter_map(|write| write.cut).chain(self.open_cut);
        if !mutant!(LateCompletionCounts) {
            self.durable_last = cuts.fold(self.durable_last, LogIndex::min);
        }
        true
    }

    /// How many writes ago `id` was: 0 is the one that is open, or would be.
    pub(crate) const fn age(&self, id: WriteId) -> u64 {
        self.open_id().0.saturating_sub(id.0)
    }

    pub(crate) fn mix(&self, mixer: &mut Mixer<'_>, moment: Moment) {
        let Self {
            open,
            open_cut,
            last_closed: _,
            pending,
            completed,
            hard_state,
            hard_state_write,
            durable_last,
        } = self;
        mixer.option(open.as_ref(), mix_write);
        mixer.option(*open_cut, Mixer::index);
        mixer.list(pending, |mixer, pending| {
            let Pending { id, submitted_at, hard_state, cut, last } = pending;
            mixer.add(self.age(*id));
            mixer.flag(moment.is_recent(*submitted_at));
            mixer.option(*hard_state, Mixer::hard_state);
            mixer.option(*cut, Mixer::index);
            mixer.option(*last, Mixer::index);
        });
        mixer.add(self.age(*completed));
        mixer.hard_state(*hard_state);
        // Once it is durable, when it was does not matter.
        mixer.add(if self.is_durable(*hard_state_write) { u64::MAX } else { self.age(*hard_state_write) });
        mixer.index(*durable_last);
    }

    /// Term, vote and cluster as a restart would find them.
    pub(crate) const fn durable_hard_state(&self) -> HardState {
        self.hard_state
    }

    /// Last entry that is durable and as in memory.
    pub(crate) const fn durable_last(&self) -> LogIndex {
        self.durable_last
    }

    /// The write that carries the newest hard state.
    pub(crate) const fn hard_state_write(&self) -> WriteId {
        self.hard_state_write
    }

    /// When the oldest write that is not durable was handed out.
    pub(crate) fn oldest_pending(&self) -> Option<Time> {
        self.pending.front().map(|write| write.submitted_at)
    }

    /// Whether `id` and all before it are durable.
    pub(crate) fn is_durable(&self, id: WriteId) -> bool {
        id <= self.completed
    }
}

/// What of `block` lies from `from` through `through`.
fn kept(block: &Block, from: LogIndex, through: LogIndex) -> Option<Block> {
    let (first, last) = (block.first_index().max(from), block.last_index().min(through));
    (first <= last).then(|| block.slice(first, last))
}

fn mix_write(mixer: &mut Mixer<'_>, write: &Write) {
    let Write { id: _, hard_state, reset, truncate_from, append, fill } = write;
    mixer.option(*hard_state, Mixer::hard_state);
    mixer.option(*reset, Mixer::entry);
    mixer.option(*truncate_from, Mixer::index);
    mixer.list(append, |mixer, block| block.mix(mixer));
    mixer.list(fill, |mixer, block| block.mix(mixer));
}

#[cfg(test)]
mod tests;
