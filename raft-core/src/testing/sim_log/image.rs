//! What a simulated log holds on its medium: a value that survives crashes.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::block::{Block, BlockError, EntryKind, EntryRef, TermRun};
use crate::configuration::Configuration;
use crate::storage::{ReadFailure, ReadRequest, Recovered, VoteFloor, Write};
use crate::types::{EntryId, HardState, LogIndex, Term};

/// Hard state and entries. Cheap to clone: blocks share their bytes.
///
/// Invariant (contiguous): the first block starts after `base`, each other one after the block before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogImage {
    /// Term, vote and cluster.
    pub hard_state: HardState,
    base: EntryId,
    blocks: VecDeque<Block>,
    /// Entries whose payload is damaged.
    rotten: BTreeSet<LogIndex>,
    lost: Option<LostTail>,
}

/// Entries that damage has swallowed at the end, until later ones make up for them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LostTail {
    /// The last of them, if the log still knows which that was.
    floor: Option<EntryId>,
    /// The log does not know these any more; whoever judges it does.
    entries: BTreeSet<EntryId>,
}

/// Which part of a write survived a crash that struck while it was under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// Nothing.
    #[default]
    Nothing,
    /// Its hard state only.
    HardState,
    /// All but its entries after the first so many.
    Entries(usize),
}

impl LogImage {
    /// The entry before the first one.
    #[must_use]
    pub const fn base(&self) -> EntryId {
        self.base
    }

    /// The last entry; [`base`](Self::base) if there is none.
    #[must_use]
    pub fn last(&self) -> EntryId {
        self.blocks.back().map_or(self.base, Block::last_id)
    }

    /// The blocks, first to last.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter()
    }

    /// Term of the entry at `index`, `base` included; `None` if it is not there.
    #[must_use]
    pub fn term_at(&self, index: LogIndex) -> Option<Term> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        let runs = self.block_of(index)?.runs();
        Some(runs[runs.partition_point(|run| run.first <= index) - 1].term)
    }

    /// Carries out a whole write.
    ///
    /// # Panics
    /// If it truncates at or before the base, or leaves a gap: whoever made the write broke the contract.
    pub fn apply(&mut self, write: &Write) {
        self.apply_part(write, Part::Entries(usize::MAX));
    }

    /// Carries out a part of a write.
    ///
    /// # Panics
    /// As [`apply`](Self::apply).
    pub fn apply_part(&mut self, write: &Write, part: Part) {
        let Part::Entries(mut left) = part else {
            let survives = write.hard_state.filter(|_| part == Part::HardState);
            self.hard_state = survives.unwrap_or(self.hard_state);
            return;
        };
        self.hard_state = write.hard_state.unwrap_or(self.hard_state);
        if let Some(base) = write.reset {
            (self.base, self.blocks, self.rotten) = (base, VecDeque::new(), BTreeSet::new());
            self.make_up_for_lost();
        }
        if let Some(from) = write.truncate_from {
            self.truncate_from(from);
        }
        for block in &write.append {
            let count = block.entry_count().min(left);
            if count == 0 {
                return;
            }
            self.append(block.slice(block.first_index(), block.first_index().plus(count as u64).prev()));
            left -= count;
        }
        for entry in write.fill.iter().flat_map(Block::entries) {
            self.fill(entry);
        }
    }

    /// A last entry that is no earlier than the last one lost makes up for all that was.
    fn make_up_for_lost(&mut self) {
        let last = self.last();
        if self.lost.take_if(|lost| lost.floor.is_some_and(|floor| last >= floor)).is_some() {
            mark!(TailMadeGood);
        }
    }

    /// Loses the last `count` entries, as far as there are any behind the base; `known`: the log still knows what the
    /// last of them was. Whether there was any.
    pub fn lose_tail(&mut self, count: u64, known: bool) -> bool {
        let last = self.last();
        let from = LogIndex(last.index.0.saturating_sub(count)).max(self.base.index).next();
        if from > last.index {
            return false;
        }
        let before = self.lost.take();
        let floor = match &before {
            Some(lost) => lost.floor.map(|floor| floor.max(last)),
            None => Some(last),
        };
        let mut entries = before.map_or_else(BTreeSet::new, |lost| lost.entries);
        let all = self.blocks.iter().flat_map(Block::entries);
        entries.extend(all.map(|entry| entry.id).filter(|id| id.index >= from));
        self.truncate_from(from);
        self.lost = Some(LostTail { floor: floor.filter(|_| known), entries });
        true
    }

    /// Whether this entry was lost, and nothing has made up for it: no vote goes to anybody who lacks it.
    #[must_use]
    pub fn has_lost(&self, entry: EntryId) -> bool {
        self.lost.as_ref().is_some_and(|lost| lost.entries.contains(&entry))
    }

    fn floor(&self) -> VoteFloor {
        match &self.lost {
            None => VoteFloor::LastEntry,
            Some(LostTail { floor: Some(floor), .. }) => VoteFloor::Entry(*floor),
            Some(LostTail { floor: None, .. }) => VoteFloor::Unknown,
        }
    }

    fn truncate_from(&mut self, from: LogIndex) {
        assert!(from > self.base.index, "truncate from {from}, but the log starts after {}", self.base);
        drop(self.rotten.split_off(&from));
        while self.last().index >= from {
            let block = self.blocks.pop_back().expect("the last entry lies after the base");
            if block.first_index() < from {
                self.blocks.push_back(block.slice(block.first_index(), from.prev()));
            }
        }
    }

    fn append(&mut self, block: Block) {
        let last = self.last();
        assert_eq!(block.first_index(), last.index.next(), "appended entries leave a gap after {last}");
        self.blocks.push_back(block);
        self.make_up_for_lost();
    }

    /// Drops the entries through `through` (inclusive), as far as there are any.
    pub fn compact(&mut self, through: LogIndex) {
        let through = through.min(self.last().index);
        let Some(term) = self.term_at(through) else { return };
        while let Some(block) = self.blocks.pop_front() {
            if block.last_index() > through {
                let from = block.first_index().max(through.next());
                self.blocks.push_front(block.slice(from, block.last_index()));
                break;
            }
        }
        self.base = EntryId::new(term, through);
        self.rotten = self.rotten.split_off(&through.next());
    }

    /// Answers a read with the entries that are there: none if `from` lies after the last one.
    ///
    /// # Errors
    /// [`ReadFailure`], as its variants say.
    pub fn read(&self, request: &ReadRequest) -> Result<Vec<Block>, ReadFailure> {
        if request.from <= self.base.index {
            return Err(ReadFailure::Compacted { first: self.base.index.next() });
        }
        let (mut answer, mut left) = (Vec::new(), request.max_bytes);
        let start = self.blocks.partition_point(|block| block.last_index() < request.from);
        for block in self.blocks.range(start..) {
            let from = block.first_index().max(request.from);
            let through = block.last_index().min(request.through);
            if from > through {
                break;
            }
            let mut slice = block.slice(from, through);
            if slice.encoded_bytes() > left {
                if !answer.is_empty() {
                    break;
                }
                slice = cut_to(&slice, left);
            }
            slice.verify().map_err(damaged)?;
            let stops_here = slice.last_index() < through;
            left = left.saturating_sub(slice.encoded_bytes());
            answer.push(slice);
            if stops_here {
                break;
            }
        }
        Ok(answer)
    }

    /// What a node that starts on this image knows.
    ///
    /// # Panics
    /// If a configuration entry cannot be decoded.
    #[must_use]
    pub fn recovered(&self) -> Recovered {
        let mut runs: Vec<TermRun> = Vec::new();
        for run in self.blocks.iter().flat_map(Block::runs) {
            if runs.last().is_none_or(|last| last.term != run.term) {
                runs.push(*run);
            }
        }
        let entries = self.blocks.iter().flat_map(Block::entries);
        let readable = entries.filter(|entry| !self.rotten.contains(&entry.id.index));
        let configurations = readable.filter(|entry| entry.kind == EntryKind::Configuration).map(|entry| {
            let decoded = Configuration::decode(entry.payload);
            (entry.id.index, decoded.expect("it was encoded when it was appended"))
        });
        Recovered {
            hard_state: self.hard_state,
            base: self.base,
            last: self.last(),
            configurations: configurations.collect(),
            runs,
            damaged: self.rotten.iter().copied().collect(),
            floor: self.floor(),
        }
    }

    /// Lets the payload of the entry at `index` rot: flips its first bit. Whether there was such an entry with a
    /// payload.
    pub fn damage(&mut self, index: LogIndex) -> bool {
        if self.rotten.contains(&index) || !self.edit(index, |payload| payload[0] ^= 1) {
            return false;
        }
        self.rotten.insert(index)
    }

    /// The first entry behind `after` whose payload is damaged, or that was lost.
    #[must_use]
    pub fn first_damaged(&self, after: LogIndex) -> Option<LogIndex> {
        let lost = self.lost.as_ref().map(|_| self.last().index.max(after).next());
        self.rotten.range(after.next()..).next().copied().or(lost)
    }

    /// Replaces a damaged entry by the same one.
    fn fill(&mut self, entry: EntryRef<'_>) {
        let index = entry.id.index;
        if self.rotten.contains(&index) && self.term_at(index) == Some(entry.id.term) {
            self.edit(index, |payload| payload.copy_from_slice(entry.payload));
            self.rotten.remove(&index);
        }
    }

    /// Changes the payload of the entry at `index` in place, if there is one that is not empty.
    fn edit(&mut self, index: LogIndex, edit: impl FnOnce(&mut [u8])) -> bool {
        let Some(block) = self.block_of(index) else { return false };
        let before = block.entries().take_while(|entry| entry.id.index < index);
        let start: usize = before.map(|entry| entry.payload.len()).sum();
        let length =
            block.entries().find(|entry| entry.id.index == index).map_or(0, |entry| entry.payload.len());
        if length == 0 {
            return false;
        }
        let mut payload = block.payload().to_vec();
        edit(&mut payload[start..start + length]);
        let edited = Block::from_parts(block.header(), block.table().clone(), payload.into());
        let at = self.blocks.partition_point(|block| block.last_index() < index);
        self.blocks[at] = edited.expect("the same lengths as before");
        true
    }

    fn block_of(&self, index: LogIndex) -> Option<&Block> {
        let at = self.blocks.partition_point(|block| block.last_index() < index);
        self.blocks.get(at).filter(|block| block.first_index() <= index)
    }
}

/// As many first entries of `block` as fit `max_bytes`, at least one.
fn cut_to(block: &Block, max_bytes: usize) -> Block {
    let first = block.first_index();
    let head = |entries: u64| block.slice(first, first.plus(entries).prev());
    let (mut fits, mut exceeds) = (1, block.entry_count() as u64 + 1);
    while exceeds - fits > 1 {
        let middle = fits.midpoint(exceeds);
        let bound = if head(middle).encoded_bytes() <= max_bytes { &mut fits } else { &mut exceeds };
        *bound = middle;
    }
    head(fits)
}

fn damaged(error: BlockError) -> ReadFailure {
    let index = match &error {
        BlockError::PayloadChecksum { id, .. } => id.index,
        other => unreachable!("verify reports nothing but checksums: {other}"),
    };
    ReadFailure::Damaged { index, reason: Arc::new(error) }
}
