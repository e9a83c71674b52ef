//! Several drivers over simulated stores, and the wire between them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use raft_core::driver::{Applied, Driver, Event, Outcome, Parts, RestoreJob, SnapshotPolicy};
use raft_core::testing::sim_log::{LogImage, SimLog, Survivors};
use raft_core::testing::sim_snapshots::{SimSnapshots, SnapshotImage};
use raft_core::transport::TransportEvent;
use raft_core::types::ClusterId;
use raft_core::{
    Configuration, LogIndex, Message, Options, ProposeError, ReadError, ReadProof, RoleName, StartError,
    Ticket, Time,
};

use super::ledger::Ledger;
use super::wire::{Switchboard, Wire};
use super::{Disk, ELECTION_TIMEOUT, HEARTBEAT, id, options, voters};

type Events = Arc<Mutex<VecDeque<Event<Ledger>>>>;

/// One driver, its stores, and how everything that was asked of it ended.
pub(crate) struct Machine {
    pub(crate) driver: Driver<SimLog, Wire, SimSnapshots, Ledger>,
    pub(crate) log: SimLog,
    pub(crate) snapshots: SimSnapshots,
    wire: Wire,
    events: Events,
    now: Time,
    pub(crate) log_stalls: bool,
    pub(crate) snapshots_stall: bool,
    /// Restore jobs wait in `job` for the test.
    pub(crate) restoring_stalls: bool,
    pub(crate) job: Option<RestoreJob<Ledger>>,
    last_ticket: u64,
    proposals: BTreeMap<Ticket, Result<Applied<usize>, ProposeError>>,
    reads: BTreeMap<Ticket, Result<LogIndex, ReadError>>,
}

impl Machine {
    /// Starts node `number` on these images.
    #[track_caller]
    pub(crate) fn start(number: u64, settings: &Settings, log: LogImage, snapshots: SnapshotImage) -> Self {
        Self::try_start(number, settings, log, snapshots).expect("the options work and the snapshot loads")
    }

    /// [`start`](Self::start), where that can fail.
    pub(crate) fn try_start(
        number: u64,
        settings: &Settings,
        log: LogImage,
        snapshots: SnapshotImage,
    ) -> Result<Self, StartError> {
        let events = Events::default();
        let (log_events, snapshot_events) = (Arc::clone(&events), Arc::clone(&events));
        let (log, recovered) =
            SimLog::open(log, Arc::new(move |event| log_events.lock().unwrap().push_back(Event::Log(event))));
        let (snapshots, damaged) = SimSnapshots::open(
            snapshots,
            Arc::new(move |event| snapshot_events.lock().unwrap().push_back(Event::Snapshot(event))),
        );
        assert_eq!(damaged, []);
        let wire = Wire::default();
        let now = Time::ZERO + Duration::from_secs(1_000);
        let parts = Parts {
            id: id(number),
            options: settings.options.clone(),
            policy: settings.policy.clone(),
            seed: number,
            recovered,
            log: log.clone(),
            transport: wire.clone(),
            snapshots: snapshots.clone(),
            state_machine: Ledger::default(),
        };
        Ok(Self {
            driver: Driver::new(now, parts)?,
            log,
            snapshots,
            wire,
            events,
            now,
            log_stalls: false,
            snapshots_stall: false,
            restoring_stalls: false,
            job: None,
            last_ticket: 0,
            proposals: BTreeMap::new(),
            reads: BTreeMap::new(),
        })
    }

    fn ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }

    /// Proposes a command; nothing follows before the next turn.
    pub(crate) fn proposes(&mut self, command: &str) -> Ticket {
        let ticket = self.ticket();
        self.driver.propose(self.now, ticket, &[command.as_bytes()]);
        ticket
    }

    /// Asks for a read.
    pub(crate) fn is_asked_to_read(&mut self) -> Ticket {
        let ticket = self.ticket();
        self.driver.read(self.now, ticket, ReadProof::Quorum);
        ticket
    }

    /// Founds a cluster.
    pub(crate) fn founds(&mut self, configuration: Configuration) -> Ticket {
        let ticket = self.ticket();
        self.driver.initialize(self.now, ticket, configuration);
        ticket
    }

    /// An event from outside.
    pub(crate) fn takes(&mut self, event: Event<Ledger>) {
        self.driver.handle(self.now, event);
    }

    /// One turn of the loop: takes what the stores have to say, flushes, and collects outcomes. Whether anything
    /// happened.
    pub(crate) fn turns(&mut self) -> bool {
        let events = std::mem::take(&mut *self.events.lock().unwrap());
        let mut busy = !events.is_empty();
        for event in events {
            self.takes(event);
        }
        self.driver.flush(self.now);
        busy |= self.collect_outcomes();
        if self.job.is_none() {
            self.job = self.driver.take_restore_job();
        }
        if !self.restoring_stalls {
            busy |= self.restores();
        }
        busy || self.driver.next_deadline() == Time::ZERO
    }

    fn collect_outcomes(&mut self) -> bool {
        let mut outcomes = Vec::new();
        self.driver.drain_outcomes(&mut outcomes);
        let any = !outcomes.is_empty();
        for outcome in outcomes {
            match outcome {
                Outcome::Proposal { ticket, result } => {
                    assert!(self.proposals.insert(ticket, result).is_none(), "{ticket:?} ended twice");
                }
                Outcome::Transfer { ticket, .. } => panic!("{ticket:?} was not asked for"),
                Outcome::Read { ticket, result } => {
                    assert!(self.reads.insert(ticket, result).is_none(), "{ticket:?} ended twice");
                }
            }
        }
        any
    }

    /// Runs the waiting restore job, if there is one.
    pub(crate) fn restores(&mut self) -> bool {
        let Some(job) = self.job.take() else { return false };
        self.takes(Event::Restored(job.run()));
        true
    }

    /// Turns until nothing is left to do but to hear from others.
    pub(crate) fn settles(&mut self) {
        for _ in 0..10_000 {
            let mut busy = self.turns();
            if !self.log_stalls && self.log.pending_writes() + self.log.pending_reads() > 0 {
                self.log.run();
                busy = true;
            }
            if !self.snapshots_stall {
                busy |= self.snapshots.complete_next();
            }
            if !busy || self.driver.halt().is_some() {
                return;
            }
        }
        panic!("turns without end");
    }

    /// The timer fires, now or as soon as it may.
    pub(crate) fn timer_fires(&mut self) {
        self.now = self.now.max(self.driver.next_deadline());
        self.takes(Event::Tick);
        self.settles();
    }

    /// Nothing can be queued for these peers.
    pub(crate) fn cannot_queue_for(&self, peers: impl IntoIterator<Item = u64>) {
        self.wire.cannot_queue_for(peers);
    }

    /// Messages that it has handed over since last asked.
    pub(crate) fn sent(&self) -> Vec<(u64, Message)> {
        self.wire.take_messages()
    }

    /// Cluster and configuration that the transport was told.
    pub(crate) fn told(&self) -> (Option<ClusterId>, Option<Arc<Configuration>>) {
        self.wire.told()
    }

    /// How a proposal ended, if it did.
    pub(crate) fn outcome(&self, proposal: Ticket) -> Option<Result<usize, ProposeError>> {
        self.proposals.get(&proposal).map(|result| result.clone().map(|applied| applied.reply))
    }

    /// How a read ended, if it did.
    pub(crate) fn read_outcome(&self, read: Ticket) -> Option<Result<LogIndex, ReadError>> {
        self.reads.get(&read).copied()
    }

    pub(crate) fn role(&self) -> RoleName {
        self.driver.raft().role()
    }

    pub(crate) fn applied(&self) -> u64 {
        self.driver.applied().index.0
    }

    /// The commands applied.
    pub(crate) fn commands(&self) -> Vec<String> {
        self.driver.state().expect("the state is here").commands.clone()
    }

    /// Loses power; what its disks hold then.
    pub(crate) fn crashes(&self) -> (LogImage, SnapshotImage) {
        (self.log.crash(Survivors::default()), self.snapshots.crash(false))
    }
}

/// What all drivers of a cluster have in common.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) options: Options,
    pub(crate) policy: SnapshotPolicy,
}

impl Default for Settings {
    fn default() -> Self {
        // No snapshot by itself.
        Self { options: options(), policy: SnapshotPolicy { every_bytes: usize::MAX, alignment: 1 } }
    }
}

/// See the module.
pub(crate) struct Cluster {
    machines: Vec<Machine>,
    settings: Settings,
    switchboard: Switchboard,
    isolated: BTreeSet<u64>,
}

impl Cluster {
    /// Voters `1..=count`; their logs hold the configuration alone.
    pub(crate) fn of(count: u64) -> Self {
        Self::with_settings(count, Settings::default())
    }

    /// A cluster of one that leads.
    pub(crate) fn alone(settings: Settings) -> Self {
        let mut cluster = Self::with_settings(1, settings);
        cluster.elect(1);
        cluster
    }

    pub(crate) fn with_settings(count: u64, settings: Settings) -> Self {
        let configuration = voters(1..=count);
        let start = |number| {
            let disk = Disk::with_log(&configuration, &[1]);
            Machine::start(number, &settings, disk.log, SnapshotImage::default())
        };
        let machines: Vec<Machine> = (1..=count).map(start).collect();
        let mut switchboard = Switchboard::default();
        (1..).zip(&machines).for_each(|(number, machine)| switchboard.join(number, &machine.wire));
        let mut cluster = Self { machines, settings, switchboard, isolated: BTreeSet::new() };
        cluster.time_passes(ELECTION_TIMEOUT);
        cluster
    }

    /// Node `number`.
    pub(crate) fn node(&mut self, number: u64) -> &mut Machine {
        &mut self.machines[usize::try_from(number - 1).expect("a small number")]
    }

    /// All clocks run on; no timer fires.
    pub(crate) fn time_passes(&mut self, duration: Duration) {
        self.machines.iter_mut().for_each(|machine| machine.now = machine.now + duration);
    }

    /// From now on, node `number` neither hears nor is heard.
    pub(crate) fn isolate(&mut self, number: u64) {
        self.isolated.insert(number);
        self.set_links(number, false);
    }

    fn set_links(&mut self, number: u64, whole: bool) {
        for other in 1..=self.machines.len() as u64 {
            self.switchboard.set_link(number, other, whole);
        }
    }

    /// Everybody hears everybody again, and knows that messages may have been lost.
    pub(crate) fn heal(&mut self) {
        for peer in std::mem::take(&mut self.isolated) {
            self.set_links(peer, true);
            for machine in &mut self.machines {
                let unreachable = TransportEvent::Unreachable { peer: id(peer) };
                machine.driver.handle(machine.now, Event::Transport(unreachable));
            }
        }
    }

    /// Carries everything that anybody has to say until all is quiet.
    pub(crate) fn deliver(&mut self) {
        for _ in 0..10_000 {
            self.machines.iter_mut().for_each(Machine::settles);
            if !self.carry() {
                return;
            }
        }
        panic!("the nodes never stop talking");
    }

    fn carry(&mut self) -> bool {
        let events = self.switchboard.carry();
        let carried = !events.is_empty();
        for (to, event) in events {
            self.node(to).takes(Event::Transport(event));
        }
        carried
    }

    /// The others' promises lapse, node `number` times out, campaigns and wins.
    #[track_caller]
    pub(crate) fn elect(&mut self, number: u64) {
        self.time_passes(ELECTION_TIMEOUT);
        self.node(number).timer_fires();
        self.deliver();
        assert_eq!(self.node(number).role(), RoleName::Leader, "node {number} is elected");
    }

    /// Node `leader`'s timer fires `times` times, and everything that follows is delivered.
    pub(crate) fn heartbeats(&mut self, leader: u64, times: usize) {
        for _ in 0..times {
            self.time_passes(HEARTBEAT);
            self.node(leader).timer_fires();
            self.deliver();
        }
    }

    /// Node `number` loses power and starts again.
    pub(crate) fn restart(&mut self, number: u64) {
        let (log, snapshots) = self.node(number).crashes();
        let now = self.node(number).now;
        let settings = self.settings.clone();
        *self.node(number) = Machine::start(number, &settings, log, snapshots);
        self.node(number).now = now;
        let wire = self.node(number).wire.clone();
        self.switchboard.join(number, &wire);
    }
}
