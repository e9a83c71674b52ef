//! One simulated node: a driver while it runs, its clock, and what its disks hold when it does not.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::action::Loss;
use super::clock::Clock;
use super::machine::{self, SimMachine};
use super::seams::{Fuse, NodeLog, NodeSnapshots, NodeTransport, Outgoing};
use super::violation::name;
use super::{Command, Setup, SimDriver, trace};
use crate::configuration::MemberChange;
use crate::driver::{Driver, Event, Outcome, Parts, RestoreJob};
use crate::error::StartError;
use crate::input::Ticket;
use crate::message::ReadProof;
use crate::storage::{SnapshotStore, Write};
use crate::testing::hash::TraceHash;
use crate::testing::sim_log::{LogImage, SimLog};
use crate::testing::sim_snapshots::{SimSnapshots, SnapshotImage};
use crate::time::Time;
use crate::types::{EntryId, HardState, LogIndex, NodeId};

/// See the module.
pub(super) struct SimNode {
    pub(super) id: NodeId,
    pub(super) clock: Clock,
    /// Counts starts: what was under way for an earlier one is void.
    pub(super) incarnation: u64,
    /// Its folder was wiped: it never comes back. What the disks held is kept for the checker.
    pub(super) gone: bool,
    /// Whether entries have rotted that it cannot know of yet.
    pub(super) latent_damage: bool,
    running: Option<Running>,
    log_image: LogImage,
    snapshot_image: SnapshotImage,
}

/// What a node that runs consists of.
pub(super) struct Running {
    pub(super) driver: SimDriver,
    pub(super) log: SimLog,
    pub(super) snapshots: SimSnapshots,
    pub(super) restoring: Option<RestoreJob<SimMachine>>,
    /// The process stands still, and this waits for it.
    pub(super) paused: Option<Vec<Waiting>>,
    /// What a crash that is about to strike spares.
    pub(super) doomed: Option<Loss>,
    pub(super) disk_failed: bool,
    /// What was asked of this process and not answered yet.
    pub(super) owed: BTreeSet<Ticket>,
    transport: NodeTransport,
    fuse: Fuse,
    events: Events,
}

/// An input on its way into a node.
pub(super) enum Waiting {
    Event(Event<SimMachine>),
    Propose(Ticket, Command),
    Read(Ticket, ReadProof),
    ChangeMembers(Ticket, Vec<MemberChange>),
    TransferLeadership(Ticket, Option<NodeId>),
}

impl Waiting {
    /// Of what has to be answered.
    const fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::Event(_) => None,
            Self::Propose(ticket, _)
            | Self::Read(ticket, _)
            | Self::ChangeMembers(ticket, _)
            | Self::TransferLeadership(ticket, _) => Some(*ticket),
        }
    }
}

type Events = Arc<Mutex<VecDeque<Event<SimMachine>>>>;

impl SimNode {
    pub(super) const fn new(id: NodeId, log_image: LogImage, snapshot_image: SnapshotImage) -> Self {
        Self {
            id,
            clock: Clock::TRUE,
            incarnation: 0,
            gone: false,
            latent_damage: false,
            running: None,
            log_image,
            snapshot_image,
        }
    }

    /// Starts on what the disks hold.
    pub(super) fn start(
        &mut self,
        at: Time,
        seed: u64,
        setup: &Setup,
        state_machine: SimMachine,
    ) -> Result<(), StartError> {
        let events = Events::default();
        let (push_log, push_snapshot) = (Arc::clone(&events), Arc::clone(&events));
        let snapshot_image = std::mem::take(&mut self.snapshot_image);
        let floor = snapshot_image.latest().map_or(EntryId::ZERO, |file| file.info.meta.last);
        let sink = Arc::new(move |event| lock(&push_snapshot).push_back(Event::Snapshot(event)));
        let (snapshots, _) = SimSnapshots::open(snapshot_image, sink);
        let mut image = std::mem::take(&mut self.log_image);
        if image.base().index < floor.index && image.term_at(floor.index) != Some(floor.term) {
            // As a log store opens with a floor: what does not reach the snapshot starts again after it.
            image.apply(&Write { reset: Some(floor), ..Write::default() });
        }
        let sink = Arc::new(move |event| lock(&push_log).push_back(Event::Log(event)));
        let (log, recovered) = SimLog::open(image, sink);
        let fuse = Fuse::new();
        let transport = NodeTransport::new(fuse.clone());
        let parts = Parts {
            id: self.id,
            options: setup.options.clone(),
            policy: setup.policy.clone(),
            seed,
            recovered,
            log: NodeLog { log: log.clone(), fuse: fuse.clone() },
            transport: transport.clone(),
            snapshots: NodeSnapshots { snapshots: snapshots.clone(), fuse: fuse.clone() },
            state_machine,
        };
        let driver = Driver::new(self.clock.read(at), parts)?;
        self.incarnation += 1;
        self.latent_damage = false;
        self.running = Some(Running {
            driver,
            log,
            snapshots,
            restoring: None,
            paused: None,
            doomed: None,
            disk_failed: false,
            owed: BTreeSet::new(),
            transport,
            fuse,
            events,
        });
        Ok(())
    }

    /// Power cut.
    pub(super) fn crash(&mut self, loss: Loss) {
        let Some(Running { driver, log, snapshots, .. }) = self.running.take() else { return };
        drop(driver);
        self.log_image = log.crash(loss.log);
        self.snapshot_image = snapshots.crash(loss.snapshot);
    }

    pub(super) const fn running(&self) -> Option<&Running> {
        self.running.as_ref()
    }

    pub(super) const fn running_mut(&mut self) -> Option<&mut Running> {
        self.running.as_mut()
    }

    pub(super) fn with_disk<T>(&self, look: impl FnOnce(&LogImage) -> T) -> T {
        match &self.running {
            Some(running) => running.log.with_durable(look),
            None => look(&self.log_image),
        }
    }

    pub(super) fn with_snapshots<T>(&self, look: impl FnOnce(&SnapshotImage) -> T) -> T {
        match &self.running {
            Some(running) => running.snapshots.with_image(look),
            None => look(&self.snapshot_image),
        }
    }

    /// Lets an entry rot. Whether it could.
    pub(super) fn damage(&mut self, index: LogIndex) -> bool {
        match &self.running {
            Some(running) => {
                let damaged = running.log.damage(index);
                self.latent_damage |= damaged;
                damaged
            }
            None => self.log_image.damage(index),
        }
    }

    /// Loses the end of the log, as no power cut may. Whether there was any; the node must be down.
    pub(super) fn lose_tail(&mut self, count: u64, known: bool) -> bool {
        self.log_image.lose_tail(count, known)
    }

    /// The first entry on disk behind `after` that has rotted or was lost.
    pub(super) fn first_damaged(&self, after: LogIndex) -> Option<LogIndex> {
        self.with_disk(|image| image.first_damaged(after))
    }

    pub(super) fn snapshot_on_disk(&self) -> LogIndex {
        self.with_snapshots(|image| image.latest().map_or(LogIndex::ZERO, |file| file.info.meta.last.index))
    }

    /// Whether a power cut now would leave `entry`, in the log or covered by a snapshot.
    pub(super) fn disk_holds(&self, entry: EntryId) -> bool {
        self.with_disk(|image| image.term_at(entry.index) == Some(entry.term))
            || entry.index <= self.snapshot_on_disk()
    }

    /// The same, or what its vote keeps up: it goes to nobody who lacks what was lost.
    pub(super) fn vouches_for(&self, entry: EntryId) -> bool {
        self.disk_holds(entry) || self.with_disk(|image| image.has_lost(entry))
    }

    /// Of the log in memory; of a node that is down, on its disk.
    pub(super) fn last_entry(&self) -> EntryId {
        self.running()
            .map_or_else(|| self.with_disk(LogImage::last), |running| running.driver.raft().last_entry())
    }

    pub(super) fn disk_hard_state(&self) -> HardState {
        self.with_disk(|image| image.hard_state)
    }

    pub(super) fn describe_disk(&self) -> String {
        let snapshot = self.snapshot_on_disk();
        self.with_disk(|image| {
            let HardState { current_term, voted_for, .. } = image.hard_state;
            let vote = voted_for.map_or_else(|| "nobody".to_owned(), name);
            let last = image.last();
            let snapshot = match snapshot {
                LogIndex::ZERO => String::new(),
                last => format!(", snapshot to {last}"),
            };
            format!("term {current_term}, vote for {vote}, log to {last}{snapshot}")
        })
    }
}

impl Running {
    /// Takes one input, or lets it wait if the process stands still. Whether it was taken.
    pub(super) fn step(&mut self, now: Time, input: Waiting, trace: &mut TraceHash) -> bool {
        if let Some(waiting) = &mut self.paused {
            waiting.push(input);
            return false;
        }
        trace::input(trace, now, &input);
        self.owed.extend(input.ticket());
        match input {
            Waiting::Event(event) => self.driver.handle(now, event),
            Waiting::Propose(ticket, command) => {
                let (head, padding) = machine::encode(ticket.0, command);
                self.driver.propose(now, ticket, &[&head, padding]);
            }
            Waiting::Read(ticket, proof) => self.driver.read(now, ticket, proof),
            Waiting::ChangeMembers(ticket, changes) => self.driver.change_members(now, ticket, changes),
            Waiting::TransferLeadership(ticket, to) => self.driver.transfer_leadership(now, ticket, to),
        }
        true
    }

    /// Hands the stores' events over and flushes. How many events there were.
    pub(super) fn flush(&mut self, now: Time, trace: &mut TraceHash) -> u64 {
        let mut count = 0;
        loop {
            let event = lock(&self.events).pop_front();
            let Some(event) = event else { break };
            trace::event(trace, &event);
            self.driver.handle(now, event);
            count += 1;
        }
        self.driver.flush(now);
        if self.restoring.is_none() {
            self.restoring = self.driver.take_restore_job();
        }
        count
    }

    /// Lets an event wait for the next flush.
    pub(super) fn post(&self, event: Event<SimMachine>) {
        lock(&self.events).push_back(event);
    }

    pub(super) fn take_outgoing(&self, taken: &mut Vec<Outgoing>) {
        self.transport.take_into(taken);
    }

    pub(super) fn take_outcomes(&mut self) -> Vec<Outcome<u64>> {
        let mut outcomes = Vec::new();
        self.driver.drain_outcomes(&mut outcomes);
        outcomes
    }

    /// Lets the node do so many more effects and then crash.
    pub(super) fn doom(&mut self, effects: u32, loss: Loss) {
        self.fuse.arm(effects);
        self.doomed = Some(loss);
    }

    /// What the crash spares that has struck in the middle of the last flush, if one has.
    pub(super) fn struck(&self) -> Option<Loss> {
        self.doomed.filter(|_| self.fuse.is_burnt())
    }

    /// Last entry of the newest published snapshot.
    pub(super) fn newest_snapshot(&self) -> Option<crate::snapshot::SnapshotInfo> {
        SnapshotStore::latest(&self.snapshots)
    }
}

/// The queue is whole between two calls, whatever panicked meanwhile.
fn lock(events: &Events) -> MutexGuard<'_, VecDeque<Event<SimMachine>>> {
    events.lock().unwrap_or_else(PoisonError::into_inner)
}
