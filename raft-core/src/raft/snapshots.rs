//! Snapshots as consensus sees them: what the log may forget, and what replaces a log that is too far behind.
//! `[Raft §7]`
//!
//! Invariant (publish-before-reset): the log is reset only after the snapshot that covers it is published. A crash between
//! the two finds the snapshot and a log without its last entry, which opening then resets (see
//! [`Recovered`](crate::storage::Recovered)).

use std::sync::Arc;

use super::Raft;
use super::apply::Applying;
use super::replication::Fetch;
use super::role::{Echo, Role};
use crate::cache::Cache;
use crate::configurations::Configurations;
use crate::effect::Effect;
use crate::fingerprint::Mixer;
use crate::snapshot::{SnapshotInfo, SnapshotMeta, SnapshotOffer};
use crate::transport::TransferId;
use crate::types::{LogIndex, NodeId, Term};

/// A snapshot on its way in; one at a time.
#[derive(Clone, Debug)]
pub(super) enum Installing {
    /// Its chunks arrive.
    Receiving(SnapshotInfo),
    /// It is complete, but a crash could still make this node forget the term of the leader that sent it.
    Received(SnapshotInfo, Term),
    /// The store makes it the newest one.
    Publishing,
}

impl Installing {
    pub(super) fn mix(&self, mixer: &mut Mixer<'_>) {
        match self {
            Self::Receiving(info) => {
                mixer.add(1);
                info.mix(mixer);
            }
            Self::Received(info, term) => {
                mixer.add(2);
                info.mix(mixer);
                mixer.term(*term);
            }
            Self::Publishing => mixer.add(3),
        }
    }
}

impl Raft {
    /// A snapshot of the own state is durable: the log may forget what it covers, but for a tail that spares slow peers
    /// a snapshot.
    pub(super) fn on_snapshot_created(&mut self, meta: SnapshotMeta) {
        if meta.last.index > self.snapshot.last.index {
            self.snapshot = meta;
            self.compact();
        }
    }

    pub(super) fn compact(&mut self) {
        let covered = self.snapshot.last.index;
        let unneeded = LogIndex(covered.0.saturating_sub(self.options.retained_entries));
        // A damaged entry that the snapshot covers is of no use to anybody, nor is what lies before it.
        let unneeded = self.damage.last_hole_through(covered).map_or(unneeded, |hole| unneeded.max(hole));
        // A received snapshot can be ahead of applying: what was not handed out yet may have to be read back.
        // And where a truncation is on its way to the disk, what is there is another log than this: it must not be taken for
        // covered.
        let through = unneeded.min(self.applying.handed_out()).min(self.writes.durable_last());
        if through > self.terms.base().index {
            self.terms.compact(through);
            self.damage.covered(through);
            self.writes.compact(through);
            self.effects.push(Effect::Compact { through });
        }
        self.configurations.compact(covered);
    }

    pub(super) fn on_snapshot_offered(&mut self, from: NodeId, transfer: TransferId, offer: SnapshotOffer) {
        let current = (self.hard_state.current_term..Term::LIMIT).contains(&offer.term)
            && self.hard_state.cluster_id.is_some()
            && self.follow(from, offer.term);
        let last = offer.info.meta.last;
        let behind = self.lacks(last.index);
        if current && behind && self.installing.is_none() {
            self.installing = Some(Installing::Receiving(offer.info.clone()));
            return self.effects.push(Effect::AcceptSnapshot { transfer, offer });
        }
        self.effects.push(Effect::RefuseSnapshot { transfer });
        if !current || behind {
            return;
        }
        match self.terms.term_at(last.index) {
            Some(term) if term != last.term => self.contradicted(from, last),
            _ => self.acknowledge_committed(),
        }
    }

    /// Whether a snapshot that ends at `index` would bring something.
    fn lacks(&self, index: LogIndex) -> bool {
        index > self.commit_index
            || self.damage.first_hole(self.terms.last()).is_some_and(|hole| hole <= index)
    }

    pub(super) fn on_snapshot_received(&mut self, _from: NodeId, offer: SnapshotOffer, complete: bool) {
        match &self.installing {
            Some(Installing::Receiving(info)) if *info == offer.info => {
                let wanted = complete && self.lacks(offer.info.meta.last.index);
                self.installing = wanted.then_some(Installing::Received(offer.info, offer.term));
                self.publish_when_durable();
            }
            _ => {}
        }
    }

    pub(super) fn publish_when_durable(&mut self) {
        match &self.installing {
            Some(Installing::Received(info, term))
                if self.durable().0.current_term >= *term || mutant!(PublishBeforeTermDurable) =>
            {
                self.effects.push(Effect::PublishSnapshot(info.clone()));
                self.installing = Some(Installing::Publishing);
            }
            _ => {}
        }
    }

    pub(super) fn on_snapshot_published(&mut self, info: Option<SnapshotInfo>) {
        self.installing = None;
        let Some(SnapshotInfo { meta, .. }) = info else { return };
        if meta.last.index <= self.snapshot.last.index {
            return;
        }
        if self.terms.contains(meta.last) {
            // `[Raft Figure 13, 6]`: an entry with the snapshot's last index and term: retain what follows it. What the
            // snapshot covers is committed.
            self.commit_index = self.commit_index.max(meta.last.index);
            if self.damage.first_hole(self.terms.last()).is_some_and(|hole| hole <= meta.last.index) {
                self.skip_damage(&meta);
            }
            self.snapshot = meta;
            self.compact();
        } else {
            self.restart_from(meta);
        }
        self.acknowledge_committed();
    }

    /// The snapshot covers damaged entries: if they were still to be applied, it is. What follows it stays: it may have been
    /// acknowledged.
    fn skip_damage(&mut self, meta: &SnapshotMeta) {
        let last = meta.last;
        self.damage.covered(last.index);
        if last.index > self.applying.handed_out() {
            self.applying = Applying::new(last.index);
            self.fetches.retain(|_, fetch| *fetch != Fetch::Apply);
            self.effects.push(Effect::Restore(last));
        }
        if let Some(configuration) = &meta.configuration {
            // Its entry may be among the damaged ones.
            self.configurations.insert(meta.configuration_index, Arc::clone(configuration));
        }
    }

    /// A damaged entry was found that the newest snapshot covers: if it was still to be applied, the snapshot is.
    pub(super) fn fall_back_on_snapshot(&mut self, damaged: LogIndex) {
        let meta = self.snapshot.clone();
        if damaged <= meta.last.index && damaged > self.applying.handed_out() {
            self.skip_damage(&meta);
        }
        self.compact();
    }

    /// `[Raft Figure 13, 7 and 8]`: "Discard the entire log. Reset state machine using snapshot contents (and load
    /// snapshot's cluster configuration)".
    fn restart_from(&mut self, meta: SnapshotMeta) {
        if meta.last.index <= self.commit_index {
            // Committed entries, some of them behind the base by now: the snapshot brings nothing.
            return;
        }
        if !matches!(self.role, Role::Follower(_)) {
            self.become_follower(self.hard_state.current_term, None);
        }
        self.terms.reset(meta.last);
        self.cache = Cache::default();
        self.writes.reset(meta.last);
        self.damage.covered(LogIndex(u64::MAX));
        self.configurations = Configurations::new(&meta);
        self.commit_index = meta.last.index;
        self.applying = Applying::new(meta.last.index);
        if !mutant!(ReadBackUnchecked) {
            self.fetches.clear();
        }
        if !mutant!(RestoreForgotten) {
            self.effects.push(Effect::Restore(meta.last));
        }
        self.snapshot = meta;
    }

    /// What is committed is in every later leader's log (`[Raft §5.4]`, Leader Completeness): the logs match that far.
    fn acknowledge_committed(&mut self) {
        if let Role::Follower(follower) = &mut self.role {
            follower.matched = follower.matched.max(self.commit_index);
            follower.unanswered.get_or_insert(Echo::NONE);
        }
    }
}
