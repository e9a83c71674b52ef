//! A peer's disk and snapshots: what they hold back, and what a power cut leaves.

use raft_core::snapshot::SnapshotOffer;
use raft_core::storage::{ReadRequest, Recovered, Write};
use raft_core::transport::TransferId;
use raft_core::{Block, Effect, Input, Raft, WriteId};

use super::{Peer, boot};
use crate::support::{ELECTION_TIMEOUT, id, offer};

impl Peer {
    /// Writes wait from now on.
    pub(crate) fn disk_stalls(&mut self) {
        self.disk_stalls = true;
    }

    /// The oldest waiting write becomes durable.
    pub(crate) fn disk_completes_one(&mut self) {
        let write = self.pending_writes.pop_front().expect("a write waits");
        self.disk.log.apply(&write);
        self.step(Input::Durable(write.id));
    }

    /// All waiting writes become durable, and further ones at once.
    pub(crate) fn disk_recovers(&mut self) {
        self.disk_stalls = false;
        if let Some(newest) = self.carry_out_writes() {
            self.step(Input::Durable(newest));
        }
    }

    pub(super) fn carry_out_writes(&mut self) -> Option<WriteId> {
        let mut newest = None;
        for write in self.pending_writes.drain(..) {
            self.disk.log.apply(&write);
            newest = Some(write.id);
        }
        newest
    }

    /// Writes that wait.
    pub(crate) fn pending_writes(&self) -> Vec<Write> {
        self.pending_writes.iter().cloned().collect()
    }

    /// Reads of the log wait from now on.
    pub(crate) fn reads_stall(&mut self) {
        self.reads_stall = true;
    }

    /// Reads of the log that wait.
    pub(crate) fn pending_reads(&self) -> Vec<ReadRequest> {
        self.pending_reads.iter().copied().collect()
    }

    /// The oldest waiting read is answered with what the disk held all along, or with `answer`.
    pub(crate) fn read_is_answered(&mut self, answer: Option<Vec<Block>>) {
        let request = self.pending_reads.pop_front().expect("a read waits");
        let answer = answer.map_or_else(|| self.disk.log.read(&request), Ok);
        self.step(Input::LogRead { id: request.id, answer });
    }

    /// Handed-out entries stay unapplied from now on.
    pub(crate) fn applying_stalls(&mut self) {
        self.applying_stalls = true;
    }

    /// Everything handed out is applied, and further entries at once.
    pub(crate) fn applying_recovers(&mut self) {
        self.applying_stalls = false;
        self.step(Input::Applied(self.last_applied()));
    }

    /// Loses power and starts again: what was not durable is gone, and so is what it had to say.
    pub(crate) fn restarts(&mut self) {
        let floor = self.disk.snapshot.last;
        // As a log store opens with a floor: a log that does not reach the snapshot starts again after it.
        if self.disk.log.base().index < floor.index && self.disk.log.term_at(floor.index) != Some(floor.term)
        {
            self.disk.log.apply(&Write { reset: Some(floor), ..Write::default() });
        }
        let (now, seed) = (self.now, self.seed + 1);
        let disk = self.disk.clone();
        *self = Self::start(self.number, self.options.clone(), disk);
        self.now = now;
        self.seed = seed;
        self.raft = boot(self.number, &self.options, seed, now, &self.disk);
    }

    /// Starts on what its log store claims to have found.
    pub(crate) fn boots_from(&mut self, recovered: Recovered) {
        let snapshot = self.disk.snapshot.clone();
        self.raft =
            Raft::new(id(self.number), self.options.clone(), self.seed, self.now, recovered, snapshot)
                .expect("the stores agree");
        self.time_passes(ELECTION_TIMEOUT);
    }

    /// Publishes a snapshot of all it has applied.
    pub(crate) fn takes_snapshot(&mut self) {
        let last = *self.applied.last().expect("something was applied");
        let meta = self.raft.snapshot_meta(last);
        self.disk.snapshot = meta.clone();
        self.step(Input::SnapshotCreated(meta));
    }

    /// Its newest snapshot, as it would offer it.
    pub(crate) fn offers(&self) -> SnapshotOffer {
        offer(self.term(), self.disk.snapshot.clone())
    }

    /// Is offered a snapshot by node `from`; whether it wants it.
    pub(crate) fn accepts(&mut self, from: u64, offer: &SnapshotOffer) -> bool {
        let transfer = TransferId(self.next_ticket().0);
        let from = id(from);
        let seen = self.effects.len();
        self.step(Input::SnapshotOffered { from, transfer, offer: offer.clone() });
        let answers = self.effects[seen..].iter().filter_map(|effect| match effect {
            Effect::AcceptSnapshot { transfer: to, .. } => Some((*to, true)),
            Effect::RefuseSnapshot { transfer: to } => Some((*to, false)),
            _ => None,
        });
        let answers: Vec<_> = answers.collect();
        assert!(matches!(answers[..], [(to, _)] if to == transfer), "one answer: {answers:?}");
        answers[0].1
    }

    /// The accepted transfer ends.
    pub(crate) fn transfer_ends(&mut self, from: u64, offer: &SnapshotOffer, complete: bool) {
        self.step(Input::SnapshotReceived { from: id(from), offer: offer.clone(), complete });
    }

    /// Accepts an offered snapshot and receives all of it.
    #[track_caller]
    pub(crate) fn installs(&mut self, from: u64, offer: &SnapshotOffer) {
        assert!(self.accepts(from, offer), "the offer is turned down");
        self.transfer_ends(from, offer, true);
    }

    /// Publishing takes until [`publishing_ends`](Self::publishing_ends).
    pub(crate) fn publishing_stalls(&mut self) {
        self.publishing_stalls = true;
    }

    /// Whether a received snapshot is being published.
    pub(crate) fn is_publishing(&self) -> bool {
        self.publishing.is_some()
    }

    /// The received snapshot is published, or cannot be.
    pub(crate) fn publishing_ends(&mut self, well: bool) {
        let info = self.publishing.take().expect("a snapshot is being published");
        if well {
            self.disk.snapshot = info.meta.clone();
        }
        self.step(Input::SnapshotPublished(well.then_some(info)));
    }

    /// The peers that it wants to send its snapshot to, since last asked.
    pub(crate) fn wants_to_send_snapshots_to(&mut self) -> Vec<u64> {
        let wants = self.effects().into_iter().filter_map(|effect| match effect {
            Effect::SendSnapshot { to, .. } => Some(to.get()),
            _ => None,
        });
        wants.collect()
    }
}
