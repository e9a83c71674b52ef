//! The apply queue: batches go into the state machine in order; loading a snapshot takes the state away for a while.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;

use super::SnapshotPolicy;
use crate::block::{Block, Blocks};
use crate::error::Halt;
use crate::snapshot::SnapshotView;
use crate::state_machine::StateMachine;
use crate::types::{EntryId, LogIndex};

/// Entries applied per flush, in bytes, so that a long replay does not keep heartbeats waiting.
const BYTES_PER_FLUSH: usize = 4 << 20;

/// See the module.
pub(super) struct Applier<M: StateMachine> {
    /// Away while a snapshot is loaded into it.
    state: Option<M>,
    queue: VecDeque<Job>,
    applied: EntryId,
    replies: Vec<M::Reply>,
    /// Last entry of the newest published snapshot: a state that is not past it needs no other one.
    covered: LogIndex,
    policy: SnapshotPolicy,
    bytes_since_snapshot: usize,
    /// Bytes that this flush may still apply.
    budget: usize,
    /// Asked for by hand, or by the policy at its next aligned index.
    wanted: bool,
    /// Last entry of the snapshot that is being written.
    creating: Option<LogIndex>,
}

enum Job {
    Apply(Blocks),
    Restore(EntryId, Option<Box<dyn io::Read + Send>>),
}

/// Loads a snapshot into the state machine: for a background thread.
pub struct RestoreJob<M> {
    state: M,
    at: EntryId,
    reader: Option<Box<dyn io::Read + Send>>,
}

/// What came of a [`RestoreJob`].
pub struct Restored<M> {
    state: M,
    at: EntryId,
    result: Result<(), Arc<dyn std::error::Error + Send + Sync>>,
}

impl<M: StateMachine> RestoreJob<M> {
    /// Does the work; may take long.
    #[must_use]
    pub fn run(self) -> Restored<M> {
        let Self { mut state, at, reader } = self;
        let result = match reader {
            Some(mut reader) => state.restore(&mut *reader),
            None => {
                Err(io::Error::new(io::ErrorKind::NotFound, "the published snapshot is not the newest one")
                    .into())
            }
        };
        Restored { state, at, result: result.map_err(Arc::from) }
    }
}

impl<M> fmt::Debug for RestoreJob<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestoreJob").field("at", &self.at).finish_non_exhaustive()
    }
}

impl<M> fmt::Debug for Restored<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restored").field("at", &self.at).field("result", &self.result).finish_non_exhaustive()
    }
}

impl<M: StateMachine> fmt::Debug for Applier<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Applier").field("applied", &self.applied).finish_non_exhaustive()
    }
}

impl<M: StateMachine> Applier<M> {
    pub(super) const fn new(state: M, applied: EntryId, policy: SnapshotPolicy) -> Self {
        Self {
            state: Some(state),
            queue: VecDeque::new(),
            applied,
            replies: Vec::new(),
            covered: applied.index,
            policy,
            bytes_since_snapshot: 0,
            budget: 0,
            wanted: false,
            creating: None,
        }
    }

    pub(super) fn push(&mut self, blocks: Blocks) {
        self.queue.push_back(Job::Apply(blocks));
    }

    /// The state is to be replaced. What was queued before it is covered by the snapshot.
    pub(super) fn push_restore(&mut self, at: EntryId, reader: Option<Box<dyn io::Read + Send>>) {
        self.queue.clear();
        self.queue.push_back(Job::Restore(at, reader));
    }

    /// The newest published snapshot ends at `index`.
    pub(super) const fn covered_through(&mut self, index: LogIndex) {
        self.covered = index;
    }

    /// A flush begins.
    pub(super) const fn grant_budget(&mut self) {
        self.budget = BYTES_PER_FLUSH;
    }

    /// Applies what the budget allows; `on_replies` gets blocks and takes the replies to their entries. The index through
    /// which everything is applied, if that is news.
    pub(super) fn run(
        &mut self,
        mut on_replies: impl FnMut(&[Block], &mut Vec<M::Reply>),
    ) -> Result<Option<LogIndex>, Halt> {
        let before = self.applied;
        while self.has_work() && self.budget > 0 && !self.is_snapshot_due() {
            let boundary = self.boundary();
            let Some(state) = &mut self.state else { break };
            let Some(Job::Apply(blocks)) = self.queue.pop_front_if(|job| matches!(job, Job::Apply(_))) else {
                break;
            };
            let (now, later) = match blocks.last() {
                Some(block) if block.last_index() > boundary => split(blocks, boundary),
                _ => (blocks, Blocks::new()),
            };
            if !later.is_empty() {
                self.queue.push_front(Job::Apply(later));
            }
            let Some(last) = now.last().map(Block::last_id) else { continue };
            let bytes = now.iter().map(Block::encoded_bytes).sum();
            state
                .apply(&now, &mut self.replies)
                .map_err(|reason| Halt::StateMachineFailed { id: last, reason: Arc::from(reason) })?;
            let expected: usize = now.iter().map(Block::entry_count).sum();
            let found = self.replies.len();
            if found != expected {
                return Err(Halt::RepliesMiscounted { id: last, found, expected });
            }
            on_replies(&now, &mut self.replies);
            self.applied = last;
            self.bytes_since_snapshot += bytes;
            self.budget = self.budget.saturating_sub(bytes);
        }
        Ok((self.applied != before).then_some(self.applied.index))
    }

    /// Last index that may be applied before a snapshot that the policy wants.
    fn boundary(&self) -> LogIndex {
        if self.bytes_since_snapshot < self.policy.every_bytes || self.creating.is_some() {
            return LogIndex(u64::MAX);
        }
        let alignment = self.policy.alignment.max(1);
        LogIndex((self.applied.index.0 / alignment + 1) * alignment)
    }

    fn is_snapshot_due(&self) -> bool {
        let by_policy = self.bytes_since_snapshot >= self.policy.every_bytes
            && self.applied.index.0.is_multiple_of(self.policy.alignment.max(1));
        self.could_snapshot() && (by_policy || self.wanted)
    }

    /// A received snapshot may be ahead of what is applied.
    const fn could_snapshot(&self) -> bool {
        self.creating.is_none() && self.state.is_some() && self.applied.index.0 > self.covered.0
    }

    /// Nothing, if nothing was applied since the newest snapshot, written or being written; else as soon as it can be.
    pub(super) const fn want_snapshot(&mut self) {
        let taken = match self.creating {
            Some(last) => last,
            None => self.covered,
        };
        self.wanted |= self.state.is_some() && self.applied.index.0 > taken.0;
    }

    /// Freezes the state, if a snapshot is due.
    pub(super) fn freeze_if_due(&mut self) -> Option<(EntryId, Box<dyn SnapshotView>)> {
        if !self.is_snapshot_due() {
            return None;
        }
        let view = self.state.as_ref()?.freeze();
        self.creating = Some(self.applied.index);
        self.wanted = false;
        self.bytes_since_snapshot = 0;
        Some((self.applied, view))
    }

    /// The store is done with the last snapshot, successfully or not.
    pub(super) const fn snapshot_done(&mut self) {
        self.creating = None;
    }

    pub(super) fn take_job(&mut self) -> Option<RestoreJob<M>> {
        let state = self.state.take()?;
        match self.queue.pop_front_if(|job| matches!(job, Job::Restore(..))) {
            Some(Job::Restore(at, reader)) => Some(RestoreJob { state, at, reader }),
            _ => {
                self.state = Some(state);
                None
            }
        }
    }

    pub(super) fn restored(&mut self, restored: Restored<M>) -> Result<(), Halt> {
        let Restored { state, at, result } = restored;
        result.map_err(|reason| Halt::StateMachineFailed { id: at, reason })?;
        self.state = Some(state);
        self.applied = at;
        self.bytes_since_snapshot = 0;
        Ok(())
    }

    /// Whether a flush could do more right now.
    pub(super) fn has_work(&self) -> bool {
        self.state.is_some() && matches!(self.queue.front(), Some(Job::Apply(_)))
    }

    pub(super) const fn state(&self) -> Option<&M> {
        self.state.as_ref()
    }

    pub(super) const fn applied(&self) -> EntryId {
        self.applied
    }
}

/// The entries through `boundary`, and those behind it.
fn split(blocks: Blocks, boundary: LogIndex) -> (Blocks, Blocks) {
    let (mut now, mut later) = (Blocks::new(), Blocks::new());
    for block in blocks {
        if block.last_index() <= boundary {
            now.push(block);
        } else if block.first_index() > boundary {
            later.push(block);
        } else {
            now.push(block.slice(block.first_index(), boundary));
            later.push(block.slice(boundary.next(), block.last_index()));
        }
    }
    (now, later)
}
