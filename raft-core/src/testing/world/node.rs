//! One simulated node: a driver while it runs, and what its disks hold while it does not.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::network::{Outgoing, SimTransport};
use super::{Plan, SimDriver, SimMachine};
use crate::driver::{Driver, Event, Outcome, Parts};
use crate::storage::Write;
use crate::testing::draw::draw;
use crate::testing::sim_log::{LogImage, SimLog, Survivors};
use crate::testing::sim_snapshots::{SimSnapshots, SnapshotImage};
use crate::time::Time;
use crate::types::{EntryId, HardState, LogIndex, NodeId};

/// See the module.
pub(super) struct SimNode {
    pub(super) id: NodeId,
    /// Counts starts: what was scheduled for an earlier one is void.
    pub(super) incarnation: u64,
    /// When the next timer is due.
    pub(super) timer: Option<Time>,
    running: Option<Running>,
    log_image: LogImage,
    snapshot_image: SnapshotImage,
}

struct Running {
    driver: SimDriver,
    log: SimLog,
    snapshots: SimSnapshots,
    transport: SimTransport,
    events: Events,
    disk_busy: bool,
    snapshots_busy: bool,
}

type Events = Arc<Mutex<VecDeque<Event<SimMachine>>>>;

impl SimNode {
    pub(super) fn new(id: NodeId) -> Self {
        let (log_image, snapshot_image) = (LogImage::default(), SnapshotImage::default());
        Self { id, incarnation: 0, timer: None, running: None, log_image, snapshot_image }
    }

    /// Starts on what the disks hold.
    pub(super) fn start(&mut self, now: Time, seed: u64, plan: &Plan, machine: SimMachine) {
        let events = Events::default();
        let push = |events: &Events| {
            let events = Arc::clone(events);
            move |event| events.lock().unwrap_or_else(PoisonError::into_inner).push_back(event)
        };
        let (push_log, push_snapshot) = (push(&events), push(&events));
        let snapshot_image = std::mem::take(&mut self.snapshot_image);
        let floor = snapshot_image.latest().map_or(EntryId::ZERO, |file| file.info.meta.last);
        let sink = Arc::new(move |event| push_snapshot(Event::Snapshot(event)));
        let (snapshots, _) = SimSnapshots::open(snapshot_image, sink);
        // As a log store opens with a floor: what does not reach the snapshot starts again after it.
        let mut image = std::mem::take(&mut self.log_image);
        if image.base().index < floor.index && image.term_at(floor.index) != Some(floor.term) {
            image.apply(&Write { reset: Some(floor), ..Write::default() });
        }
        let (log, recovered) = SimLog::open(image, Arc::new(move |event| push_log(Event::Log(event))));
        let transport = SimTransport::default();
        let parts = Parts {
            id: self.id,
            options: plan.options.clone(),
            policy: plan.policy.clone(),
            seed,
            recovered,
            log: log.clone(),
            transport: transport.clone(),
            snapshots: snapshots.clone(),
            state_machine: machine,
        };
        let driver = Driver::new(now, parts).expect("the plan's options work and snapshots load");
        self.incarnation += 1;
        self.timer = None;
        let (disk_busy, snapshots_busy) = (false, false);
        self.running = Some(Running { driver, log, snapshots, transport, events, disk_busy, snapshots_busy });
    }

    /// Power cut: of what was not durable, `choice` decides what survives.
    pub(super) fn crash(&mut self, choice: u64) {
        let Some(Running { driver, log, snapshots, .. }) = self.running.take() else { return };
        drop(driver);
        self.log_image = log.crash(Survivors::choose(log.pending_writes(), choice));
        self.snapshot_image = snapshots.crash(draw(choice, 0, 0).is_multiple_of(2));
    }

    pub(super) const fn is_alive_as(&self, incarnation: u64) -> bool {
        self.running.is_some() && self.incarnation == incarnation
    }

    pub(super) fn driver(&self) -> Option<&SimDriver> {
        self.running.as_ref().map(|running| &running.driver)
    }

    pub(super) fn driver_mut(&mut self) -> Option<&mut SimDriver> {
        self.running.as_mut().map(|running| &mut running.driver)
    }

    /// Hands the stores' events over and flushes, loading snapshots at once.
    pub(super) fn flush(&mut self, now: Time) {
        let Some(running) = &mut self.running else { return };
        loop {
            let events = std::mem::take(&mut *running.events.lock().unwrap_or_else(PoisonError::into_inner));
            for event in events {
                running.driver.handle(now, event);
            }
            running.driver.flush(now);
            let Some(job) = running.driver.take_restore_job() else { return };
            running.driver.handle(now, Event::Restored(job.run()));
        }
    }

    pub(super) fn take_outgoing(&mut self) -> Vec<Outgoing> {
        self.running.as_mut().map_or_else(Vec::new, |running| running.transport.take())
    }

    pub(super) fn take_outcomes(&mut self) -> Vec<Outcome<u64>> {
        self.running.as_mut().map_or_else(Vec::new, |running| running.driver.take_outcomes())
    }

    /// Starts a sync, unless one is under way or there is nothing to do; how many writes it will cover.
    pub(super) fn begin_disk(&mut self) -> Option<usize> {
        let running = self.running.as_mut()?;
        let writes = running.log.pending_writes();
        if running.disk_busy || (writes == 0 && running.log.pending_reads() == 0) {
            return None;
        }
        running.disk_busy = true;
        Some(writes)
    }

    pub(super) fn disk_done(&mut self, writes: usize) {
        let Some(running) = &mut self.running else { return };
        running.disk_busy = false;
        running.log.complete_writes(writes);
        while running.log.answer_read() {}
    }

    /// Starts a snapshot job, unless one is under way or there is none.
    pub(super) fn begin_snapshots(&mut self) -> bool {
        let Some(running) = &mut self.running else { return false };
        let begins = !running.snapshots_busy && running.snapshots.pending() > 0;
        running.snapshots_busy |= begins;
        begins
    }

    pub(super) fn snapshots_done(&mut self) {
        let Some(running) = &mut self.running else { return };
        running.snapshots_busy = false;
        running.snapshots.complete_next();
    }

    fn with_disk<T>(&self, look: impl FnOnce(&LogImage) -> T) -> T {
        match &self.running {
            Some(running) => running.log.with_durable(look),
            None => look(&self.log_image),
        }
    }

    fn snapshot_on_disk(&self) -> LogIndex {
        let last =
            |image: &SnapshotImage| image.latest().map_or(LogIndex::ZERO, |file| file.info.meta.last.index);
        match &self.running {
            Some(running) => running.snapshots.with_image(last),
            None => last(&self.snapshot_image),
        }
    }

    /// Whether a power cut now would leave `entry`, in the log or covered by a snapshot.
    pub(super) fn disk_holds(&self, entry: EntryId) -> bool {
        let covered = entry.index <= self.snapshot_on_disk();
        covered || self.with_disk(|image| image.term_at(entry.index) == Some(entry.term))
    }

    /// Whether the disk's log is the one in memory through `index`.
    pub(super) fn disk_holds_as_in_memory(&self, index: LogIndex) -> bool {
        let Some(driver) = self.driver() else { return false };
        let base = driver.raft().status().base.index;
        index <= base
            || driver.raft().term_at(index).is_some_and(|term| self.disk_holds(EntryId::new(term, index)))
    }

    pub(super) fn disk_hard_state(&self) -> HardState {
        self.with_disk(|image| image.hard_state)
    }

    pub(super) fn describe_disk(&self) -> String {
        let snapshot = self.snapshot_on_disk();
        self.with_disk(|image| {
            let HardState { current_term, voted_for, .. } = image.hard_state;
            format!(
                "term {current_term}, vote {voted_for:?}, log through {}, snapshot through {snapshot}",
                image.last()
            )
        })
    }
}
