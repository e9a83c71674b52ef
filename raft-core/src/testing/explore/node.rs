//! One node: the real [`Raft`], a disk that takes its time, and a clock that only this exploration winds.
//!
//! A node's clock stands still but for two strides. A short one lets a leader's next heartbeat come due; a long one lets
//! everything lapse that waits for time to pass. Since no number of short strides makes a long one, what time means to a
//! node is a handful of yes and no, all of them in its fingerprint.

use std::collections::VecDeque;
use std::time::Duration;

use super::disk::{Disk, Tag};
use super::oracle;
use super::violation::Violation;
use crate::block::{Block, BlockBuilder, EntryKind};
use crate::configuration::MemberChange;
use crate::effect::Effect;
use crate::fingerprint::{Mixer, Naming};
use crate::input::{Input, Ticket};
use crate::message::{Message, ReadProof};
use crate::options::Options;
use crate::raft::{Raft, RoleName};
use crate::snapshot::SnapshotMeta;
use crate::storage::Write;
use crate::time::Time;
use crate::types::{LogIndex, NodeId};

const ELECTION_TIMEOUT: Duration = Duration::from_secs(3600);
const HEARTBEAT: Duration = Duration::from_nanos(1);

/// A message on its way.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    pub(super) from: NodeId,
    pub(super) to: NodeId,
    pub(super) message: Message,
}

/// What can happen to one node.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stimulus<'a> {
    /// A message arrives.
    Deliver(&'a Envelope),
    /// A long time passes, unless one has that the timer was late for; and the timer fires.
    Timeout,
    /// A long time passes, and the timer is late.
    Overdue,
    /// A short time passes, and its timer fires.
    Heartbeat,
    /// The disk completes the oldest write.
    Sync,
    /// The power fails. So many writes of the queue are on the disk already, and of the next one its term and vote if
    /// `part`.
    Crash { keeps: usize, part: bool },
    /// It starts again.
    Restart,
    /// Somebody proposes a command.
    Propose,
    /// Somebody wants to read; this is committed already.
    Read { floor: LogIndex },
    /// Somebody wants other members.
    Change(&'a [MemberChange]),
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) id: NodeId,
    raft: Option<Raft>,
    clock: Time,
    pub(super) disk: Disk,
    /// Writes that are not complete, oldest first.
    queue: VecDeque<Write>,
    applied: LogIndex,
    /// How often it has started.
    life: u64,
    /// The disk is as fast as a thought.
    syncs_at_once: bool,
}

impl Node {
    /// A node that finds `disk` at its first start.
    ///
    /// # Errors
    /// It does not start on it.
    pub(super) fn start(id: NodeId, disk: Disk, syncs_at_once: bool) -> Result<Self, Violation> {
        let (queue, applied) = (VecDeque::new(), LogIndex::ZERO);
        let mut node =
            Self { id, raft: None, clock: Time::ZERO, disk, queue, applied, life: 0, syncs_at_once };
        node.restart()?;
        Ok(node)
    }

    /// What becomes of the node, and what it says.
    ///
    /// # Errors
    /// What happens breaks a promise that this node alone can break.
    pub(super) fn react(&self, stimulus: Stimulus<'_>) -> Result<(Self, Vec<Envelope>), Violation> {
        let mut node = self.clone();
        let mut sent = Vec::new();
        match stimulus {
            Stimulus::Deliver(envelope) => node.deliver(envelope, &mut sent)?,
            Stimulus::Timeout => {
                // Where no write is under way, it makes no difference what time has passed beyond.
                if node.queue.is_empty() || !node.is_overdue() {
                    node.clock = node.clock + ELECTION_TIMEOUT * 2;
                }
                node.step(Input::Tick, &mut sent)?;
            }
            Stimulus::Overdue => node.clock = node.clock + ELECTION_TIMEOUT * 2,
            Stimulus::Heartbeat => {
                node.clock = node.clock + HEARTBEAT;
                node.step(Input::Tick, &mut sent)?;
            }
            Stimulus::Sync => node.sync(&mut sent)?,
            Stimulus::Crash { keeps, part } => node.crash(keeps, part),
            Stimulus::Restart => node.restart()?,
            Stimulus::Propose => {
                let mut entries = BlockBuilder::new();
                entries.push(EntryKind::Normal, &[]);
                node.step(Input::Propose { ticket: Ticket(0), entries }, &mut sent)?;
            }
            Stimulus::Read { floor } => {
                let (ticket, proof) = (Ticket(floor.0), ReadProof::Quorum);
                node.step(Input::Read { ticket, proof }, &mut sent)?;
            }
            Stimulus::Change(changes) => {
                let (ticket, changes) = (Ticket(0), changes.to_vec());
                node.step(Input::ChangeMembers { ticket, changes }, &mut sent)?;
            }
        }
        Ok((node, sent))
    }

    /// A request for a vote arrives when no promise to a leader binds the node any more: promises keep a cluster calm, and
    /// leases true; neither is looked at here.
    fn deliver(&mut self, envelope: &Envelope, sent: &mut Vec<Envelope>) -> Result<(), Violation> {
        let leads = self.raft.as_ref().is_some_and(|raft| raft.role() == RoleName::Leader);
        if matches!(envelope.message, Message::RequestVote(_)) && !leads {
            self.clock = self.clock + ELECTION_TIMEOUT * 2;
        }
        let (from, message) = (envelope.from, envelope.message.clone());
        self.step(Input::Message { from, message }, sent)
    }

    fn sync(&mut self, sent: &mut Vec<Envelope>) -> Result<(), Violation> {
        let Some(write) = self.queue.pop_front() else { return Ok(()) };
        self.disk.perform(&write);
        self.step(Input::Durable(write.id), sent)
    }

    fn crash(&mut self, keeps: usize, part: bool) {
        self.raft = None;
        self.applied = LogIndex::ZERO;
        let queue = std::mem::take(&mut self.queue);
        for write in queue.iter().take(keeps) {
            self.disk.perform(write);
        }
        if let Some(write) = queue.get(keeps).filter(|_| part) {
            self.disk.perform_hard_state(write);
        }
    }

    fn restart(&mut self) -> Result<(), Violation> {
        let (id, node) = (self.id, self.id);
        let options = Options {
            election_timeout: ELECTION_TIMEOUT,
            heartbeat_interval: HEARTBEAT,
            ..Options::default()
        };
        let recovered = self.disk.recovered();
        let raft = Raft::new(id, options, self.life, self.clock, recovered, SnapshotMeta::NONE);
        self.raft = Some(raft.map_err(|reason| Violation::CannotStart { node, reason: reason.to_string() })?);
        self.life += 1;
        Ok(())
    }

    fn step(&mut self, input: Input, sent: &mut Vec<Envelope>) -> Result<(), Violation> {
        let Some(mut raft) = self.raft.take() else { return Ok(()) };
        raft.step(self.clock, input);
        loop {
            let mut effects = Vec::new();
            raft.drain(&mut effects);
            if effects.is_empty() {
                break;
            }
            for effect in effects {
                self.perform(&mut raft, effect, sent)?;
            }
        }
        self.raft = Some(raft);
        Ok(())
    }

    fn perform(
        &mut self,
        raft: &mut Raft,
        effect: Effect,
        sent: &mut Vec<Envelope>,
    ) -> Result<(), Violation> {
        let node = self.id;
        match effect {
            Effect::Write(write) if self.syncs_at_once => {
                self.disk.perform(&write);
                raft.step(self.clock, Input::Durable(write.id));
            }
            Effect::Write(write) => self.queue.push_back(write),
            Effect::Send { to, message } => {
                oracle::check(node, to, &message, &self.disk, &self.log())?;
                sent.push(Envelope { from: node, to, message });
            }
            Effect::Read(request) => {
                let answer = Ok(self.disk.read(request.from, request.through));
                raft.step(self.clock, Input::LogRead { id: request.id, answer });
            }
            Effect::Apply(blocks) => {
                self.apply(raft, &blocks)?;
                raft.step(self.clock, Input::Applied(self.applied));
            }
            Effect::ReadReady { ticket: Ticket(floor), outcome: Ok(index) } if index < LogIndex(floor) => {
                return Err(Violation::StaleRead { node, index, floor: LogIndex(floor) });
            }
            Effect::Halt(halt) => return Err(Violation::Halted { node, halt: halt.to_string() }),
            // Answers to callers. Of snapshots, transfers and damage there is nothing here.
            _ => {}
        }
        Ok(())
    }

    fn apply(&mut self, raft: &Raft, blocks: &[Block]) -> Result<(), Violation> {
        for entry in blocks.iter().flat_map(Block::entries) {
            let in_turn = entry.id.index == self.applied.next() && entry.id.index <= raft.commit_index();
            let on_disk = self.disk.read(entry.id.index, entry.id.index);
            if !in_turn || on_disk.first().map(Block::last_id) != Some(entry.id) {
                return Err(Violation::AppliedOutOfTurn {
                    node: self.id,
                    entry: entry.id,
                    applied: self.applied,
                });
            }
            self.applied = entry.id.index;
        }
        Ok(())
    }

    /// The log in memory: what the disk will hold when the queue is through.
    pub(super) fn log(&self) -> Vec<Tag> {
        let mut disk = self.disk.clone();
        self.queue.iter().for_each(|write| disk.perform(write));
        disk.tags()
    }

    pub(super) fn raft(&self) -> Option<&Raft> {
        self.raft.as_ref()
    }

    /// Whether its election timer should have fired.
    pub(super) fn is_overdue(&self) -> bool {
        let waits = self.raft.as_ref().filter(|raft| raft.role() != RoleName::Leader);
        waits.is_some_and(|raft| raft.next_deadline() <= self.clock)
    }

    /// Writes that are not complete.
    pub(super) fn pending(&self) -> usize {
        self.queue.len()
    }

    /// Whether a crash can tear the write of that place in the queue.
    pub(super) fn can_tear(&self, place: usize) -> bool {
        let torn = |write: &Write| {
            write.hard_state.is_some() && (!write.append.is_empty() || write.truncate_from.is_some())
        };
        self.queue.get(place).is_some_and(torn)
    }

    pub(super) fn fingerprint_as(&self, naming: &dyn Naming) -> u128 {
        let Self { id, raft, clock: _, disk, queue, applied, life, syncs_at_once: _ } = self;
        let mut mixer = Mixer::new(naming);
        mixer.node(*id);
        // No time has passed since the core's last step, but where a timer is late.
        mixer.flag(self.is_overdue());
        mixer.option(raft.as_ref(), |mixer, raft| {
            let print = raft.fingerprint_as(naming);
            mixer.add(print as u64);
            mixer.add((print >> 64) as u64);
        });
        disk.mix(&mut mixer);
        mixer.list(queue, |mixer, write| {
            let Write { id: _, hard_state, reset: _, truncate_from, append, fill: _ } = write;
            mixer.option(*hard_state, Mixer::hard_state);
            mixer.option(*truncate_from, Mixer::index);
            mixer.list(append, |mixer, block| block.mix(mixer));
        });
        mixer.index(*applied);
        mixer.add(*life);
        mixer.finish()
    }
}

impl Envelope {
    pub(super) fn fingerprint_as(&self, naming: &dyn Naming) -> u128 {
        let Self { from, to, message } = self;
        let mut mixer = Mixer::new(naming);
        mixer.node(*from);
        mixer.node(*to);
        message.mix(&mut mixer);
        mixer.finish()
    }
}
