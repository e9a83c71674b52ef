//! Effects carried out against the traits: the same code in production, in simulation and in tests.
//!
//! The shell around a driver (the `node` feature, or the simulator) feeds it events and proposals, calls
//! [`Driver::flush`] once per batch, and takes its [`Outcome`]s. The driver owes safety just two duties: writes reach the
//! log in order, and completions are reported as the stores report them. All else it could get wrong costs liveness.
//!
//! Invariant (no-waiting): nothing here blocks. Long work leaves as a [`RestoreJob`] or runs inside the stores.

mod applier;
mod performing;
mod proposals;

use std::collections::VecDeque;
use std::sync::Arc;

pub use applier::{RestoreJob, Restored};

use crate::block::{BlockBuilder, EntryKind};
use crate::configuration::{Configuration, MemberChange};
use crate::effect::Effect;
use crate::error::{Halt, ProposeError, ReadError, StartError, TransferError};
use crate::input::{Input, Ticket};
use crate::message::ReadProof;
use crate::options::Options;
use crate::raft::Raft;
use crate::snapshot::SnapshotMeta;
use crate::state_machine::StateMachine;
use crate::storage::{LogEvent, LogStore, Recovered, SnapshotEvent, SnapshotStore, StoreError};
use crate::time::Time;
use crate::transport::{Transport, TransportEvent};
use crate::types::{ClusterId, EntryId, LogIndex, NodeId};
use applier::Applier;
use proposals::Proposals;

/// When to take snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotPolicy {
    /// Take one after about this many bytes of entries were applied.
    pub every_bytes: usize,
    /// Take it where the index is a multiple of this, so that nodes take the same snapshots. At least 1.
    pub alignment: u64,
}

impl Default for SnapshotPolicy {
    fn default() -> Self {
        Self { every_bytes: 64 << 20, alignment: 1024 }
    }
}

/// What a driver is made of.
#[derive(Debug)]
pub struct Parts<L, T, S, M> {
    /// This node.
    pub id: NodeId,
    /// Consensus options.
    pub options: Options,
    /// When to take snapshots.
    pub policy: SnapshotPolicy,
    /// Feeds the jitter of election timeouts.
    pub seed: u64,
    /// What the log store found when it was opened.
    pub recovered: Recovered,
    /// The log.
    pub log: L,
    /// The network.
    pub transport: T,
    /// Snapshot files.
    pub snapshots: S,
    /// The application, in its initial state.
    pub state_machine: M,
}

/// An event from outside.
#[derive(Debug)]
pub enum Event<M: StateMachine> {
    /// The deadline has passed, or there is unfinished work.
    Tick,
    /// From the log store.
    Log(LogEvent),
    /// From the snapshot store.
    Snapshot(SnapshotEvent),
    /// From the network.
    Transport(TransportEvent),
    /// A [`RestoreJob`] has run.
    Restored(Restored<M>),
}

/// A committed and applied proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied<R> {
    /// Its entry.
    pub id: EntryId,
    /// What the state machine replied.
    pub reply: R,
}

/// How a proposal, a read or a wish ended. Each ends once.
#[derive(Debug)]
pub enum Outcome<R> {
    /// A proposal.
    Proposal {
        /// Its ticket.
        ticket: Ticket,
        /// The reply, or why there is none.
        result: Result<Applied<R>, ProposeError>,
    },
    /// A read: the state may be read now, with everything through the index applied.
    Read {
        /// Its ticket.
        ticket: Ticket,
        /// That index, or why not.
        result: Result<LogIndex, ReadError>,
    },
    /// A wish to hand leadership over. It has begun, not more; see
    /// [`Effect::TransferBegun`].
    Transfer {
        /// Its ticket.
        ticket: Ticket,
        /// To whom, or why not.
        result: Result<NodeId, TransferError>,
    },
}

impl<R> Outcome<R> {
    /// Whose answer it is.
    #[must_use]
    pub const fn ticket(&self) -> Ticket {
        match self {
            Self::Proposal { ticket, .. } | Self::Read { ticket, .. } | Self::Transfer { ticket, .. } => {
                *ticket
            }
        }
    }
}

/// Confirmed reads that may wait for applying at a time.
const MAX_WAITING_READS: usize = 1 << 16;

/// Entries, and bytes of them, for which a driver asks memory at a time.
const GATHERED_ENTRIES: usize = 1 << 10;
const GATHERED_BYTES: usize = 64 << 10;

/// See the module.
#[derive(Debug)]
pub struct Driver<L, T, S, M: StateMachine> {
    raft: Raft,
    log: L,
    transport: T,
    snapshots: S,
    applier: Applier<M>,
    proposals: Proposals,
    /// Proposals of the current batch.
    gathering: BlockBuilder,
    /// Tickets of the proposals that the core has not answered yet, oldest first.
    tickets: VecDeque<Ticket>,
    /// How many of them each batch has.
    submitted: VecDeque<usize>,
    /// Confirmed reads that wait for their index to be applied; indexes ascend.
    reads: VecDeque<(LogIndex, Ticket)>,
    outcomes: Vec<Outcome<M::Reply>>,
    effects: Vec<Effect>,
    batch_bytes: usize,
    max_entry_bytes: usize,
    told_configuration: Option<Arc<Configuration>>,
    told_cluster: Option<ClusterId>,
    snapshot_failure: Option<StoreError>,
    log_damage: Option<StoreError>,
    /// Carrying out an effect has failed at once, which is an input again.
    has_new_input: bool,
    halt: Option<Halt>,
}

impl<L, T, S, M> Driver<L, T, S, M>
where
    L: LogStore,
    T: Transport,
    S: SnapshotStore,
    M: StateMachine,
{
    /// Starts a node from what its stores hold, loading the newest snapshot into the state machine (this may take a
    /// while).
    ///
    /// # Errors
    /// [`StartError`]: options to mend, stores that contradict each other, or a snapshot that this program cannot load.
    pub fn new(now: Time, parts: Parts<L, T, S, M>) -> Result<Self, StartError> {
        let Parts { id, options, policy, seed, recovered, log, transport, snapshots, mut state_machine } =
            parts;
        let mut snapshot = SnapshotMeta::NONE;
        if let Some((meta, mut reader)) = snapshots.reader() {
            let last = meta.last;
            state_machine.restore(&mut *reader).map_err(|source| StartError::Restore { last, source })?;
            snapshot = meta;
        }
        let applied = snapshot.last;
        let (batch_bytes, max_entry_bytes) = (options.max_message_bytes, options.max_entry_bytes);
        Ok(Self {
            raft: Raft::new(id, options, seed, now, recovered, snapshot)?,
            log,
            transport,
            snapshots,
            applier: Applier::new(state_machine, applied, policy),
            proposals: Proposals::default(),
            gathering: BlockBuilder::with_capacity(GATHERED_ENTRIES, GATHERED_BYTES),
            tickets: VecDeque::new(),
            submitted: VecDeque::new(),
            reads: VecDeque::new(),
            outcomes: Vec::new(),
            effects: Vec::new(),
            batch_bytes,
            max_entry_bytes,
            told_configuration: None,
            told_cluster: None,
            snapshot_failure: None,
            log_damage: None,
            has_new_input: false,
            halt: None,
        })
    }

    /// Takes one event.
    pub fn handle(&mut self, now: Time, event: Event<M>) {
        match event {
            Event::Tick => self.raft.step(now, Input::Tick),
            Event::Log(event) => self.on_log(now, event),
            Event::Snapshot(event) => self.on_snapshot(now, event),
            Event::Transport(event) => self.on_transport(now, event),
            Event::Restored(restored) => {
                if let Err(halt) = self.applier.restored(restored) {
                    self.halt.get_or_insert(halt);
                }
            }
        }
    }

    /// Proposes one command, the concatenation of `parts`; its [`Outcome`] carries `ticket`.
    pub fn propose(&mut self, now: Time, ticket: Ticket, parts: &[&[u8]]) {
        let (found, limit) = (parts.iter().map(|part| part.len()).sum(), self.max_entry_bytes);
        if found > limit {
            let result = Err(ProposeError::TooLarge { found, limit });
            return self.outcomes.push(Outcome::Proposal { ticket, result });
        }
        self.gathering.push(EntryKind::Normal, parts);
        self.tickets.push_back(ticket);
        if self.gathering.encoded_bytes() >= self.batch_bytes {
            self.submit_batch(now);
        }
    }

    /// Asks for a linearizable read; its [`Outcome`] carries `ticket`. `now` must have been read after the read arrived: a
    /// lease that was good before proves nothing.
    pub fn read(&mut self, now: Time, ticket: Ticket, proof: ReadProof) {
        self.raft.step(now, Input::Read { ticket, proof });
    }

    /// Founds a cluster; its [`Outcome`] carries `ticket`.
    pub fn initialize(&mut self, now: Time, ticket: Ticket, configuration: Configuration) {
        self.submit_alone(now, ticket);
        self.raft.step(now, Input::Initialize { ticket, configuration });
    }

    /// Changes the members; its [`Outcome`] is that of a proposal, for the first configuration of the change. A joint one is
    /// followed by another by itself.
    pub fn change_members(&mut self, now: Time, ticket: Ticket, changes: Vec<MemberChange>) {
        self.submit_alone(now, ticket);
        self.raft.step(now, Input::ChangeMembers { ticket, changes });
    }

    /// Hands leadership over, to the best successor if `to` is `None`; its [`Outcome`] carries `ticket`.
    pub fn transfer_leadership(&mut self, now: Time, ticket: Ticket, to: Option<NodeId>) {
        self.submit_batch(now);
        self.raft.step(now, Input::TransferLeadership { ticket, to });
    }

    /// Takes a snapshot of the applied state at the next flush, unless one is being taken or nothing was applied since
    /// the last.
    pub const fn trigger_snapshot(&mut self) {
        self.applier.want_snapshot();
    }

    /// Ends a batch: carries out what follows from all that came in since the last flush. Nothing, once there is a
    /// [`halt`](Self::halt).
    pub fn flush(&mut self, now: Time) {
        if self.halt.is_some() {
            return;
        }
        self.submit_batch(now);
        self.applier.grant_budget();
        // Applying can make room for more to apply; sending can fail. Both are inputs again.
        loop {
            let mut effects = std::mem::take(&mut self.effects);
            self.raft.drain(&mut effects);
            // First, because an answer may go to a peer that only the new cluster or configuration makes known.
            let somebody_leaves = self.introduce_members();
            for effect in effects.drain(..) {
                self.perform(now, effect);
            }
            self.effects = effects;
            if somebody_leaves {
                self.tell_members();
            }
            let applied = self.apply(now);
            let more = applied && (self.raft.has_more_to_apply() || self.applier.has_work());
            if self.halt.is_some() || !(more || std::mem::take(&mut self.has_new_input)) {
                break;
            }
        }
        if self.halt.is_none() {
            self.release_reads();
        }
    }

    fn submit_batch(&mut self, now: Time) {
        if self.gathering.is_empty() {
            return;
        }
        let entries = self.gathering.split();
        self.submitted.push_back(entries.entry_count());
        let first = self.tickets.len() - entries.entry_count();
        self.raft.step(now, Input::Propose { ticket: self.tickets[first], entries });
    }

    /// What follows is a batch of its own.
    fn submit_alone(&mut self, now: Time, ticket: Ticket) {
        self.submit_batch(now);
        self.tickets.push_back(ticket);
        self.submitted.push_back(1);
    }

    /// Moves the outcomes since the last call, in the order in which they came about, to `outcomes`.
    pub fn drain_outcomes(&mut self, outcomes: &mut Vec<Outcome<M::Reply>>) {
        outcomes.append(&mut self.outcomes);
    }

    /// Work for a background thread: run it, then hand [`Event::Restored`] back.
    pub fn take_restore_job(&mut self) -> Option<RestoreJob<M>> {
        self.applier.take_job()
    }

    /// Call [`handle`](Self::handle) with [`Event::Tick`] at this time at the latest.
    pub fn next_deadline(&self) -> Time {
        if self.applier.has_work() { Time::ZERO } else { self.raft.next_deadline() }
    }

    /// The applied state; `None` while a snapshot is being loaded.
    pub const fn state(&self) -> Option<&M> {
        self.applier.state()
    }

    /// Last entry applied.
    pub const fn applied(&self) -> EntryId {
        self.applier.applied()
    }

    /// The consensus, for looking at.
    pub const fn raft(&self) -> &Raft {
        &self.raft
    }

    /// The log store, for looking at.
    pub const fn log(&self) -> &L {
        &self.log
    }

    /// The snapshot store, for looking at.
    pub const fn snapshots(&self) -> &S {
        &self.snapshots
    }

    /// The newest snapshot that could not be created or published, if that was not reported yet.
    pub const fn take_snapshot_failure(&mut self) -> Option<StoreError> {
        self.snapshot_failure.take()
    }

    /// The newest entry of the own log that could not be read, if that was not reported yet. The other members send it
    /// again.
    pub const fn take_log_damage(&mut self) -> Option<StoreError> {
        self.log_damage.take()
    }

    /// Why the node must stop. Nothing is applied, acknowledged, promised or answered any more.
    pub const fn halt(&self) -> Option<&Halt> {
        self.halt.as_ref()
    }
}
