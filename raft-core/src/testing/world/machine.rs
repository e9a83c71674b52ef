//! The simulated application: remembers nothing but a hash of all it applied, and tells the world each entry.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::block::{Block, EntryKind, EntryRef};
use crate::snapshot::SnapshotView;
use crate::state_machine::{ApplyError, StateMachine};
use crate::testing::draw::draw;
use crate::types::{EntryId, LogIndex};

/// What the first node to apply an entry applied: all others must apply the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AppliedEntry {
    pub(super) id: EntryId,
    pub(super) kind: EntryKind,
    pub(super) crc: u32,
    /// The ticket in a normal entry's payload; 0 for others.
    pub(super) token: u64,
    /// Hash of the state after it.
    pub(super) state: u64,
}

/// Everything applied so far, by index from 1; shared by all machines of a world.
pub(super) type Canon = Arc<Mutex<Vec<AppliedEntry>>>;

/// Two nodes applied different entries at one index, or one node applied out of order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("applied {found:?}, but elsewhere, or in order, {expected:?}")]
pub(super) struct Diverged {
    found: AppliedEntry,
    expected: Option<AppliedEntry>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct SimMachine {
    applied: LogIndex,
    state: u64,
    canon: Canon,
}

impl SimMachine {
    pub(super) const fn new(canon: Canon) -> Self {
        Self { applied: LogIndex::ZERO, state: 0, canon }
    }

    /// Last entry applied, and the hash of all so far.
    pub(super) const fn state(&self) -> (LogIndex, u64) {
        (self.applied, self.state)
    }

    fn apply_entry(&mut self, entry: &EntryRef<'_>) -> Result<u64, Diverged> {
        let token = entry.payload.first_chunk().filter(|_| entry.kind == EntryKind::Normal);
        let token = token.map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let state = draw(self.state, entry.id.term.0, u64::from(entry.crc));
        let found = AppliedEntry { id: entry.id, kind: entry.kind, crc: entry.crc, token, state };
        let mut canon = self.canon.lock().unwrap_or_else(PoisonError::into_inner);
        let at = usize::try_from(self.applied.0).expect("simulated logs are short");
        if at == canon.len() && entry.id.index == self.applied.next() {
            canon.push(found);
        }
        let expected = canon.get(at).copied();
        if expected != Some(found) {
            return Err(Diverged { found, expected });
        }
        self.applied = entry.id.index;
        self.state = state;
        Ok(state)
    }
}

impl StateMachine for SimMachine {
    type Reply = u64;

    fn apply(&mut self, batch: &[Block], replies: &mut Vec<u64>) -> Result<(), ApplyError> {
        for entry in batch.iter().flat_map(Block::entries) {
            replies.push(self.apply_entry(&entry)?);
        }
        Ok(())
    }

    fn freeze(&self) -> Box<dyn SnapshotView> {
        Box::new(Frozen { applied: self.applied, state: self.state })
    }

    fn restore(&mut self, reader: &mut dyn io::Read) -> Result<(), ApplyError> {
        let mut bytes = [0; 16];
        reader.read_exact(&mut bytes)?;
        let (applied, state) = bytes.split_at(8);
        self.applied = LogIndex(u64::from_le_bytes(*applied.first_chunk().expect("8 bytes")));
        self.state = u64::from_le_bytes(*state.first_chunk().expect("8 bytes"));
        Ok(())
    }
}

struct Frozen {
    applied: LogIndex,
    state: u64,
}

impl SnapshotView for Frozen {
    fn write_to(&self, out: &mut dyn io::Write) -> io::Result<()> {
        out.write_all(&self.applied.0.to_le_bytes())?;
        out.write_all(&self.state.to_le_bytes())
    }
}
