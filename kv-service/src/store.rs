//! The state machine: a multi-version ordered map, and the sessions that make commands apply exactly once.
//!
//! * **Revisions.** An empty store is at revision 1. Each command that changes a key moves the store to the next
//!   revision, which becomes the `mod_revision` of every key it changed; deleting what is not there, a condition
//!   that failed, opening a session change no key and leave the revision as it is.
//! * **Sessions.** A command that carries a session tag is applied once, however many copies of it are in the
//!   log; each copy gets the first one's reply. `[Ongaro §6.3]`
//! * **Cluster time** is the greatest time that any applied entry carried. It never goes back.
//! * **State hash.** Kept up to date with each change at a cost that does not grow with the store, and noted at
//!   every [`CHECKPOINT_INTERVAL`]th index: two nodes whose hashes differ at one index have diverged.
//!
//! Invariant (deterministic): state, replies and snapshot bytes are a function of the entries alone; how they were
//! batched does not matter.
//! Invariant (memory of its own): the store copies what it keeps; it never holds on to a block of the log.
//!
//! An entry that is no command gets the reply [`Outcome::Malformed`] and changes nothing. One with a version,
//! kind or flag that this program does not know stops the node: a newer program may apply it, and this one would
//! diverge.

mod execute;
mod hash;
mod keys;
mod query;
mod record;
mod sessions;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;

use kv_client::command::{CommandError, Outcome};
use raft_core::block::{Block, EntryKind, EntryRef};
use raft_core::snapshot::SnapshotView;
use raft_core::state_machine::{ApplyError, StateMachine};
use raft_core::types::LogIndex;

pub use query::{Found, Page};
pub use sessions::MAX_SESSIONS;
pub use snapshot::RestoreError;
use state::State;

/// The hash is noted at indexes that are multiples of this.
pub const CHECKPOINT_INTERVAL: u64 = 256;

/// How many of the newest checkpoints are kept.
pub const CHECKPOINTS_KEPT: usize = 64;

/// What applying one entry came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The outcome; [`Outcome::Done`] for entries that carry no command.
    pub outcome: Outcome,
    /// The store's revision right after the entry, or after the first copy of it.
    pub revision: u64,
}

/// The hash of the state after one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The entry.
    pub index: LogIndex,
    /// The hash; shown as 32 hex digits.
    pub hash: u128,
}

/// Numbers about the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Last entry applied.
    pub applied_index: LogIndex,
    /// The revision.
    pub revision: u64,
    /// Keys.
    pub keys: u64,
    /// Bytes of all keys and values.
    pub bytes: u64,
    /// Open sessions.
    pub sessions: u64,
    /// Cluster time in microseconds.
    pub cluster_time_micros: u64,
}

/// Why the store cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// An entry does not follow the last one applied.
    #[error(
        "apply: entry {found} follows entry {applied} (expected entry {}): a bug of whoever feeds the store",
        applied.next()
    )]
    OutOfOrder {
        /// Last entry applied.
        applied: LogIndex,
        /// The entry that came.
        found: LogIndex,
    },
    /// A newer program may understand the entry.
    #[error("apply: entry {index}: {source}; without it this node cannot follow the others")]
    NewerCommand {
        /// The entry.
        index: LogIndex,
        /// What is unknown.
        source: CommandError,
    },
}

/// The state machine. See the module.
#[derive(Clone, Debug, Default)]
pub struct Store {
    state: State,
    checkpoints: VecDeque<Checkpoint>,
}

impl Store {
    /// An empty store, before the first entry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Numbers about the state. O(1).
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.state.stats()
    }

    /// The hash of the state as it is. O(1).
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint { index: self.state.applied, hash: self.state.hash() }
    }

    /// The hashes noted at aligned indexes since the start or the last restore, ascending by index.
    pub fn checkpoints(&self) -> impl ExactSizeIterator<Item = Checkpoint> {
        self.checkpoints.iter().copied()
    }

    fn apply_entry(&mut self, entry: &EntryRef<'_>) -> Result<Applied, StoreError> {
        let (applied, index) = (self.state.applied, entry.id.index);
        if index != applied.next() {
            return Err(StoreError::OutOfOrder { applied, found: index });
        }
        let reply = match entry.kind {
            EntryKind::Normal => self
                .state
                .apply_command(index, entry.payload)
                .map_err(|source| StoreError::NewerCommand { index, source })?,
            EntryKind::NoOp | EntryKind::Configuration => self.state.reply(Outcome::Done),
        };
        self.state.applied = index;
        if index.0 % CHECKPOINT_INTERVAL == 0 {
            if self.checkpoints.len() == CHECKPOINTS_KEPT {
                self.checkpoints.pop_front();
            }
            self.checkpoints.push_back(self.checkpoint());
        }
        Ok(reply)
    }
}

impl StateMachine for Store {
    type Reply = Applied;

    fn apply(&mut self, batch: &[Block], replies: &mut Vec<Applied>) -> Result<(), ApplyError> {
        for entry in batch.iter().flat_map(Block::entries) {
            replies.push(self.apply_entry(&entry)?);
        }
        Ok(())
    }

    fn freeze(&self) -> Box<dyn SnapshotView> {
        Box::new(snapshot::View(self.state.clone()))
    }

    fn restore(&mut self, reader: &mut dyn io::Read) -> Result<(), ApplyError> {
        self.state = snapshot::read(reader)?;
        self.checkpoints.clear();
        Ok(())
    }
}
