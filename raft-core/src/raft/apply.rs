//! Handing out committed entries, in order, once each, and not faster than they are applied.
//!
//! Invariant (apply-durable): an entry is applied only when it is committed *and* durable here, so that a state is never
//! ahead of the log it came from.

use std::collections::VecDeque;

use super::Raft;
use super::replication::Fetch;
use crate::block::{Block, Blocks};
use crate::effect::Effect;
use crate::error::{Halt, ReadFailureText};
use crate::fingerprint::Mixer;
use crate::storage::ReadFailure;
use crate::types::LogIndex;

/// Where applying stands.
#[derive(Clone, Debug)]
pub(super) struct Applying {
    /// First entry that was not handed out yet.
    next: LogIndex,
    /// Handed out and not yet applied: last index and bytes of each batch.
    under_way: VecDeque<(LogIndex, usize)>,
    bytes: usize,
    fetching: bool,
}

impl Applying {
    /// Everything through `applied` is in the state already.
    pub(super) const fn new(applied: LogIndex) -> Self {
        Self { next: applied.next(), under_way: VecDeque::new(), bytes: 0, fetching: false }
    }

    pub(super) fn mix(&self, mixer: &mut Mixer<'_>) {
        let Self { next, under_way, bytes: _, fetching } = self;
        mixer.index(*next);
        mixer.list(under_way, |mixer, (last, bytes)| {
            mixer.index(*last);
            mixer.count(*bytes);
        });
        mixer.flag(*fetching);
    }

    /// Last entry that was handed out.
    pub(super) const fn handed_out(&self) -> LogIndex {
        self.next.prev()
    }

    pub(super) fn applied(&mut self, through: LogIndex) {
        while let Some((_, bytes)) = self.under_way.pop_front_if(|(last, _)| *last <= through) {
            self.bytes -= bytes;
        }
    }
}

impl Raft {
    /// Hands out what is committed and durable, within the byte bound.
    pub(super) fn emit_applies(&mut self) {
        let readable = if mutant!(ApplyBeforeDurable) { self.terms.last().index } else { self.vouched_for() };
        let through = self.commit_index.min(readable);
        while self.applying.next <= through
            && self.applying.bytes < self.options.max_applying_bytes
            && !self.applying.fetching
        {
            let from = self.applying.next;
            match self.cache.get(from, through, self.options.max_message_bytes) {
                Some(blocks) => self.emit_apply(blocks),
                None => {
                    self.fetch(Fetch::Apply, from, through);
                    self.applying.fetching = true;
                }
            }
        }
    }

    /// Whether the next batch of effects would hand out more.
    pub(crate) fn has_more_to_apply(&self) -> bool {
        self.applying.next <= self.commit_index.min(self.vouched_for()) && !self.applying.fetching
    }

    fn emit_apply(&mut self, blocks: Blocks) {
        let Some(last) = blocks.last().map(Block::last_index) else { return };
        let bytes = blocks.iter().map(Block::encoded_bytes).sum();
        self.applying.next = last.next();
        self.applying.under_way.push_back((last, bytes));
        self.applying.bytes += bytes;
        self.effects.push(Effect::Apply(blocks));
    }

    /// Last entry through which everything is durable and can be read here.
    pub(super) fn vouched_for(&self) -> LogIndex {
        let durable = self.writes.durable_last();
        if mutant!(AckOverHole) {
            return durable;
        }
        self.damage.first_hole(self.terms.last()).map_or(durable, |hole| durable.min(hole.prev()))
    }

    /// What others have can be mended; a node that has nobody to ask stops.
    pub(super) fn on_unreadable(&mut self, from: LogIndex, reason: ReadFailure) {
        let is_other = |member: &crate::configuration::Member| member.id != self.id;
        let others = self.configuration().is_some_and(|members| members.members().iter().any(is_other));
        match reason {
            // It was still in the log when the read began; nobody needs it any more.
            ReadFailure::Damaged { index, .. } if index <= self.terms.base().index => {}
            ReadFailure::Damaged { index, reason } if others => {
                self.damage.found(index);
                self.fall_back_on_snapshot(index);
                self.effects.push(Effect::LogDamaged { index, reason });
                // A follower's next word to its leader is about this.
                self.report_hole();
            }
            reason => self.halt(Halt::LogUnreadable { from, reason: ReadFailureText(reason) }),
        }
    }

    pub(super) fn on_apply_read(&mut self, answer: Result<Vec<Block>, ReadFailure>) {
        self.applying.fetching = false;
        let from = self.applying.next;
        match answer {
            Ok(blocks) if self.are_own(&blocks, from) => self.emit_apply(blocks.into()),
            Ok(_) => {}
            Err(reason) => self.on_unreadable(from, reason),
        }
    }
}
