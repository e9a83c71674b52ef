//! Entries of the own log that cannot be read: rot in what may have been acknowledged.
//!
//! Invariant (no-ack-over-hole): while an entry is damaged, acknowledging and applying stop before it, and this node neither
//! campaigns nor takes leadership over. Its vote goes only to who has everything that it may ever have acknowledged: the
//! *floor*. If that is not known, it votes for nobody. The others mend it by sending the entries again (a *fill*).

use std::collections::{BTreeSet, VecDeque};

use crate::block::Block;
use crate::fingerprint::Mixer;
use crate::storage::VoteFloor;
use crate::types::{EntryId, LogIndex, WriteId};

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Damage {
    holes: BTreeSet<LogIndex>,
    floor: VoteFloor,
    /// Fills on their way to the disk: the entries behind which a write closes the holes.
    filling: VecDeque<(WriteId, LogIndex, LogIndex)>,
}

impl Damage {
    pub(crate) fn new(holes: impl IntoIterator<Item = LogIndex>, floor: VoteFloor) -> Self {
        Self { holes: holes.into_iter().collect(), floor, filling: VecDeque::new() }
    }

    /// The first entry that cannot be read, or is missing behind `last`, the end of the log. Who does not know what is missing
    /// says that something may be.
    pub(crate) fn first_hole(&self, last: EntryId) -> Option<LogIndex> {
        let missing = self.floor_above(last) != Some(last);
        self.holes.first().copied().or_else(|| missing.then(|| last.index.next()))
    }

    /// Whether the log, which ends at `last`, is all that it ever was.
    pub(crate) fn is_whole(&self, last: EntryId) -> bool {
        self.holes.is_empty() && self.floor_above(last) == Some(last)
    }

    /// The entry that a candidate's last one must not be behind; `None`: it is not known.
    pub(crate) fn floor_above(&self, last: EntryId) -> Option<EntryId> {
        match self.floor {
            VoteFloor::LastEntry => Some(last),
            VoteFloor::Entry(floor) => Some(last.max(floor)),
            VoteFloor::Unknown => None,
        }
    }

    /// The last damaged entry at or before `index`.
    pub(crate) fn last_hole_through(&self, index: LogIndex) -> Option<LogIndex> {
        self.holes.range(..=index).next_back().copied()
    }

    /// A read found an entry damaged.
    pub(crate) fn found(&mut self, index: LogIndex) {
        self.holes.insert(index);
    }

    /// The parts of `block`, whose entries are in the log, that mend something; they are on their way in write `id`.
    pub(crate) fn fill(&mut self, block: &Block, id: WriteId) -> Vec<Block> {
        let mut fills = Vec::new();
        let mut from = block.first_index();
        while let Some(first) = self.open_hole(from).filter(|hole| *hole <= block.last_index()) {
            let open =
                self.holes.range(first..=block.last_index()).filter(|hole| !self.is_being_filled(**hole));
            let adjacent = open.zip(first.0..);
            let last = adjacent.take_while(|(hole, index)| hole.0 == *index).last();
            let last = last.map_or(first, |(hole, _)| *hole);
            fills.push(block.slice(first, last));
            self.filling.push_back((id, first, last));
            from = last.next();
        }
        fills
    }

    /// The first damaged entry from `from` on that nothing on its way to the disk mends.
    fn open_hole(&self, from: LogIndex) -> Option<LogIndex> {
        self.holes.range(from..).copied().find(|hole| !self.is_being_filled(*hole))
    }

    fn is_being_filled(&self, hole: LogIndex) -> bool {
        self.filling.iter().any(|(_, first, last)| (*first..=*last).contains(&hole))
    }

    /// Whether a fill is on its way to the disk.
    pub(crate) fn is_filling(&self) -> bool {
        !self.filling.is_empty()
    }

    /// All writes that `is_durable` are on the disk. Whether that mended something.
    pub(crate) fn filled(&mut self, is_durable: impl Fn(WriteId) -> bool) -> bool {
        let before = self.holes.len();
        while let Some((_, first, last)) = self.filling.pop_front_if(|(id, ..)| is_durable(*id)) {
            self.holes.retain(|hole| !(first..=last).contains(hole));
        }
        self.holes.len() < before
    }

    pub(crate) fn mix(&self, mixer: &mut Mixer<'_>, age: impl Fn(WriteId) -> u64) {
        let Self { holes, floor, filling } = self;
        mixer.list(holes, |mixer, hole| mixer.index(*hole));
        mixer.add(match floor {
            VoteFloor::LastEntry => 0,
            VoteFloor::Entry(_) => 1,
            VoteFloor::Unknown => 2,
        });
        if let VoteFloor::Entry(floor) = floor {
            mixer.entry(*floor);
        }
        mixer.list(filling, |mixer, (id, first, last)| {
            mixer.add(age(*id));
            mixer.index(*first);
            mixer.index(*last);
        });
    }

    /// `from` and what follows is no longer in the log; its fills, if any are under way, mend nothing.
    pub(crate) fn truncate(&mut self, from: LogIndex) {
        drop(self.holes.split_off(&from));
        self.filling.retain(|(_, first, _)| *first < from);
    }

    /// Everything through `index` is covered by a snapshot.
    pub(crate) fn covered(&mut self, index: LogIndex) {
        self.holes = self.holes.split_off(&index.next());
    }
}
