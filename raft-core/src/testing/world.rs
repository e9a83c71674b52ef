//! A random run of a simulated [`Cluster`]: what happens next, and when, is drawn from a seed.
//!
//! Event-driven: a heap of things that will happen, ordered by simulated time. Everything that could go either way is a
//! draw by counter from the seed (see [`super::draw`]), so a seed is a run. Three phases: faults; then a random quorum is
//! healed while all others stay broken, and must serve again within a bound; then everything is healed, and all nodes
//! must come to the same state.

mod clients;
mod focus;
mod nemesis;
mod network;
mod operator;
mod peace;
mod phases;
mod plan;
mod queue;
mod recording;

use std::time::Duration;

pub use focus::Focus;
pub use nemesis::{Fault, FaultPlan};
pub(super) use phases::guarded;
pub use plan::{ClientsPlan, DiskPlan, NetworkPlan, Plan, Range};
pub use recording::{Recorded, Recording, Step, record_faults, record_seed, run_seed, trace_seed};

use crate::input::Ticket;
use crate::testing::cluster::{
    Action, Cluster, Delivery, Ended, Sent, TransferPhase, TransferStep, Violation,
};
use crate::testing::draw::Dice;
use crate::time::Time;
use clients::{Client, Next, Request};
use network::{Fate, MAX_NODES, Network};
use queue::{Happening, Parcels, Queue};

/// What a run amounted to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Inputs stepped.
    pub events: u64,
    /// Terms that had a leader.
    pub elections: u64,
    /// Nodes crashed.
    pub crashes: u64,
    /// Entries committed.
    pub committed: u64,
    /// Proposals acknowledged to the client.
    pub acknowledged: u64,
    /// Linearizable reads confirmed.
    pub reads: u64,
    /// Changes of the members agreed on.
    pub configurations: u64,
    /// Snapshots that a follower took over from a leader.
    pub installs: u64,
    /// Nodes, those that joined later included.
    pub nodes: u64,
    /// Simulated time.
    pub simulated: Duration,
    /// Whether there was a quorum to heal, so that it had to serve, and everybody had to come to the same state.
    pub judged: bool,
    /// Time until the healed quorum served, in thousandths of an election timeout; 0 if the run was not judged.
    pub recovered_in: u64,
    /// Hash over everything that happened: equal for equal seeds and programs.
    pub trace_hash: u64,
}

/// What the world remembers of a node.
struct Desk {
    dice: Dice,
    incarnation: u32,
    timer: Option<Time>,
    syncing: bool,
    reading: bool,
    snapshotting: bool,
    restoring: bool,
    restarting: bool,
    /// When it is down next, it is back at once.
    reboots: bool,
    stalled_until: Time,
    /// Its disk begins nothing new.
    stuck: bool,
    full: bool,
    /// It is to stay down.
    abandoned: bool,
}

const DESK_STREAM: u64 = 3 << 32;
const WORLD_STREAM: u64 = 2;

/// See the module.
pub struct World {
    seed: u64,
    plan: Plan,
    cluster: Cluster,
    now: Time,
    queue: Queue,
    parcels: Parcels,
    network: Network,
    clients: Vec<Client>,
    /// Which client waits for a ticket.
    tickets: Vec<u16>,
    /// Nodes that clients try.
    endpoints: Vec<usize>,
    desks: Vec<Desk>,
    dice: Dice,
    partitions: u32,
    calm_until: Time,
    /// An operator waits for a leader.
    asks_for_change: bool,
    /// No client begins anything new.
    closing: bool,
    sent: Vec<Sent>,
    ended: Vec<Ended>,
    recording: Option<Recording>,
}

impl World {
    /// The run of `seed` under `plan`, about to begin.
    ///
    /// # Errors
    /// A [`Violation`] of the very first state.
    pub fn new(seed: u64, plan: Plan) -> Result<Self, Violation> {
        let cluster = Cluster::new(plan.setup.clone())?;
        let count = cluster.node_count();
        let desk = |node: usize| Desk::new(Dice::new(seed, DESK_STREAM + node as u64));
        let mut world = Self {
            seed,
            now: Time::ZERO,
            queue: Queue::default(),
            parcels: Parcels::default(),
            network: Network::new(seed, MAX_NODES),
            clients: (1..=plan.clients.count).map(|number| Client::new(seed, number)).collect(),
            tickets: Vec::new(),
            endpoints: (0..count).collect(),
            desks: (0..count).map(desk).collect(),
            dice: Dice::new(seed, WORLD_STREAM),
            partitions: 0,
            calm_until: Time::ZERO,
            asks_for_change: false,
            closing: false,
            sent: Vec::new(),
            ended: Vec::new(),
            recording: None,
            cluster,
            plan,
        };
        world.begin();
        Ok(world)
    }

    fn begin(&mut self) {
        (0..self.cluster.node_count()).for_each(|node| self.attend(node));
        self.schedule_in(Duration::ZERO, Happening::Initialize);
        for client in 0..self.plan.clients.count {
            self.think(client);
        }
        for fault in 0..self.plan.faults.len() {
            let every = self.plan.faults[fault].every;
            let wait = self.dice.between(every.min, every.max);
            self.schedule_in(wait, Happening::Onset { fault: fault as u8 });
        }
    }

    /// Writes down from now on what happens.
    pub fn record(&mut self) {
        self.recording = Some(Recording::default());
    }

    /// What was written down.
    pub fn take_recording(&mut self) -> Recording {
        let mut recording = self.recording.take().unwrap_or_default();
        recording.break_off(self.cluster.trace_hash());
        recording
    }

    /// The cluster, for looking at.
    #[must_use]
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The plan.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    fn schedule_in(&mut self, wait: Duration, what: Happening) {
        self.queue.push(self.now + wait, what);
    }

    /// Lets an action happen now.
    fn act(&mut self, action: &Action) -> Result<(), Violation> {
        if let Some(recording) = &mut self.recording {
            recording.begin(self.now, action.clone());
        }
        self.cluster.perform(self.now, action)?;
        self.acted(action.node().unwrap_or(self.desks.len()));
        Ok(())
    }

    fn deliver(&mut self, sent: Sent) -> Result<(), Violation> {
        let to = sent.to;
        if let Some(recording) = &mut self.recording {
            recording.begin(self.now, Action::Deliver(Delivery::of(&sent)));
        }
        self.cluster.deliver(self.now, sent)?;
        self.acted(to);
        Ok(())
    }

    /// After an action at `node`.
    fn acted(&mut self, node: usize) {
        if let Some(recording) = &mut self.recording {
            recording.end(self.cluster.trace_hash());
        }
        self.follow_up(node);
    }

    fn happen(&mut self, at: Time, what: Happening) -> Result<(), Violation> {
        match what {
            Happening::Deliver { parcel } => {
                self.parcels.take(parcel).map_or(Ok(()), |parcel| self.deliver(parcel))
            }
            Happening::Timer { node, incarnation } => self.timer(at, usize::from(node), incarnation),
            Happening::Sync { node, incarnation, writes } => {
                let Some(node) = self.process(node, incarnation) else { return Ok(()) };
                self.desks[node].syncing = false;
                self.act(&Action::Sync { node, writes: writes as usize })
            }
            Happening::AnswerReads { node, incarnation } => {
                let Some(node) = self.process(node, incarnation) else { return Ok(()) };
                self.desks[node].reading = false;
                self.act(&Action::AnswerReads { node })
            }
            Happening::Snapshot { node, incarnation } => {
                let Some(node) = self.process(node, incarnation) else { return Ok(()) };
                let desk = &mut self.desks[node];
                desk.snapshotting = false;
                let fails = desk.dice.chance(self.plan.disk.snapshot_fails_permille);
                self.act(&Action::Snapshot { node, fails })
            }
            Happening::Restore { node, incarnation } => {
                let Some(node) = self.process(node, incarnation) else { return Ok(()) };
                self.desks[node].restoring = false;
                self.act(&Action::Restore { node })
            }
            Happening::Transfer { from, to } => self.transfer(usize::from(from), usize::from(to)),
            Happening::Unreachable { node, peer } => {
                self.act(&Action::Unreachable { node: usize::from(node), peer: usize::from(peer) })
            }
            Happening::Initialize => self.initialize(),
            Happening::Client { client } => self.request(client),
            Happening::Impatient { client, attempt } => {
                let next = self.clients[usize::from(client)].impatient(attempt, &self.endpoints);
                self.go_on(client, next);
                Ok(())
            }
            Happening::Onset { fault } => self.onset(fault),
            Happening::Restart { node, incarnation } => self.restart(usize::from(node), incarnation),
            Happening::Resume { node, incarnation } => {
                let Some(node) = self.process(node, incarnation) else { return Ok(()) };
                self.act(&Action::Resume { node })
            }
            Happening::DiskRoom { node, incarnation } => {
                let Some(node) = self.process(node, incarnation) else { return Ok(()) };
                self.disk_room(node)
            }
            Happening::Join => self.join(),
            Happening::AskForChange => {
                self.asks_for_change = false;
                self.ask_for_change()
            }
            Happening::Reconnect { partition } => {
                if partition == self.partitions {
                    self.network.heal();
                }
                Ok(())
            }
        }
    }

    /// The node, if it still is the process that something was scheduled for.
    fn process(&self, node: u8, incarnation: u32) -> Option<usize> {
        let node = usize::from(node);
        (self.desks[node].incarnation == incarnation && self.cluster.node(node).is_up()).then_some(node)
    }

    fn timer(&mut self, at: Time, node: usize, incarnation: u32) -> Result<(), Violation> {
        let desk = &mut self.desks[node];
        if desk.incarnation != incarnation || desk.timer != Some(at) {
            return Ok(());
        }
        desk.timer = None;
        let view = self.cluster.node(node);
        if view.is_awake() && view.timer().is_some_and(|due| due <= at) {
            return self.act(&Action::Tick { node });
        }
        self.attend(node);
        Ok(())
    }

    fn restart(&mut self, node: usize, incarnation: u32) -> Result<(), Violation> {
        if self.desks[node].incarnation != incarnation || self.cluster.node(node).is_up() {
            return Ok(());
        }
        let seed = self.desks[node].dice.next_u64();
        self.act(&Action::Restart { node, seed })
    }

    fn disk_room(&mut self, node: usize) -> Result<(), Violation> {
        self.desks[node].full = false;
        self.act(&Action::DiskFull { node, full: false })
    }

    /// The operator founds the cluster, again if the founder has lost it before it was durable.
    fn initialize(&mut self) -> Result<(), Violation> {
        if self.plan.setup.founded {
            return Ok(());
        }
        self.schedule_in(self.plan.election_timeout() * 2, Happening::Initialize);
        let founder = self.cluster.node(0);
        if founder.raft().is_some_and(|raft| raft.hard_state().cluster_id.is_none()) && founder.is_awake() {
            self.act(&Action::Initialize { node: 0 })?;
            if self.dice.chance(500) {
                return self.crash(0);
            }
        }
        Ok(())
    }

    fn transfer(&mut self, from: usize, to: usize) -> Result<(), Violation> {
        let Some(phase) = self.cluster.transfer(from, to) else { return Ok(()) };
        let lossy = self.plan.network.loss_permille * 3;
        let broken = self.network.is_cut(from, to) || self.desks[to].dice.chance(lossy);
        let step = match phase {
            TransferPhase::Ended => TransferStep::Report,
            _ if broken => TransferStep::Break,
            TransferPhase::Offered => TransferStep::Offer,
            TransferPhase::Accepted => TransferStep::Chunks(1 + self.desks[to].dice.below(4)),
        };
        self.act(&Action::Transfer { from, to, step })?;
        // With the report it is over; what has begun since has its own schedule.
        if step != TransferStep::Report && self.cluster.transfer(from, to).is_some() {
            self.schedule_transfer(from, to);
        }
        Ok(())
    }

    fn schedule_transfer(&mut self, from: usize, to: usize) {
        let Range { min, max } = self.plan.network.delay;
        let wait = self.desks[to].dice.between(min, max);
        self.schedule_in(wait, Happening::Transfer { from: from as u8, to: to as u8 });
    }

    /// What follows from something that happened at `node`: messages travel, clients hear, disks turn.
    fn follow_up(&mut self, node: usize) {
        self.cluster.take_sent(&mut self.sent);
        let mut sent = std::mem::take(&mut self.sent);
        sent.drain(..).for_each(|message| self.send(message));
        self.sent = sent;
        self.cluster.take_ended(&mut self.ended);
        let mut ended = std::mem::take(&mut self.ended);
        ended.drain(..).for_each(|one| self.answer(&one));
        self.ended = ended;
        for (from, to) in self.cluster.take_offered() {
            self.schedule_transfer(from, to);
        }
        self.attend(node);
    }

    fn send(&mut self, sent: Sent) {
        let Sent { from, to, .. } = sent;
        match self.network.fate(&self.plan.network, self.now, from, to) {
            Fate::Lost { reported } => {
                if reported {
                    let wait = self.plan.network.delay.max;
                    self.schedule_in(wait, Happening::Unreachable { node: from as u8, peer: to as u8 });
                }
            }
            Fate::Arrives { at, again } => {
                if let Some(again) = again {
                    let parcel = self.parcels.put(sent.clone());
                    self.queue.push(again, Happening::Deliver { parcel });
                }
                let parcel = self.parcels.put(sent);
                self.queue.push(at, Happening::Deliver { parcel });
            }
        }
    }

    /// Schedules what the node waits for.
    fn attend(&mut self, node: usize) {
        if node == self.desks.len() {
            let seed = self.seed;
            self.desks.push(Desk::new(Dice::new(seed, DESK_STREAM + node as u64)));
            self.endpoints.push(node);
        }
        let view = self.cluster.node(node);
        let desk = &mut self.desks[node];
        let incarnation = u32::try_from(view.incarnation()).expect("few restarts");
        if desk.incarnation != incarnation {
            desk.begin(incarnation);
        }
        let number = node as u8;
        if !view.is_up() {
            if !desk.restarting && !desk.abandoned && !view.is_gone() {
                desk.restarting = true;
                let timeout = self.plan.setup.options.election_timeout;
                let longest = if std::mem::take(&mut desk.reboots) { timeout / 4 } else { timeout * 10 };
                let wait = desk.dice.span(timeout / 100, longest);
                self.queue.push(self.now + wait, Happening::Restart { node: number, incarnation });
            }
            return;
        }
        let (writes, reads) = view.disk_queue();
        let begin = self.now.max(desk.stalled_until);
        if writes > 0 && !desk.syncing && !desk.full && !desk.stuck {
            desk.syncing = true;
            let wait = desk.sync_time(&self.plan.disk);
            let writes = u32::try_from(writes).unwrap_or(u32::MAX);
            self.queue.push(begin + wait, Happening::Sync { node: number, incarnation, writes });
        }
        if reads > 0 && !desk.reading {
            desk.reading = true;
            let wait = desk.sync_time(&self.plan.disk);
            self.queue.push(begin + wait, Happening::AnswerReads { node: number, incarnation });
        }
        let (jobs, restoring) = view.snapshot_queue();
        if jobs > 0 && !desk.snapshotting {
            desk.snapshotting = true;
            let wait = desk.sync_time(&self.plan.disk) * 4;
            self.queue.push(begin + wait, Happening::Snapshot { node: number, incarnation });
        }
        if restoring && !desk.restoring {
            desk.restoring = true;
            let wait = desk.sync_time(&self.plan.disk) * 4;
            self.queue.push(begin + wait, Happening::Restore { node: number, incarnation });
        }
        if view.is_awake()
            && let Some(due) = view.timer().map(|due| due.max(self.now))
            && desk.timer.is_none_or(|at| due < at)
        {
            desk.timer = Some(due);
            self.queue.push(due, Happening::Timer { node: number, incarnation });
        }
    }

    fn think(&mut self, client: u16) {
        let Range { min, max } = self.plan.clients.think;
        let wait = self.clients[usize::from(client)].dice.between(min, max);
        self.schedule_in(wait, Happening::Client { client });
    }

    /// A client asks.
    fn request(&mut self, number: u16) -> Result<(), Violation> {
        let client = &mut self.clients[usize::from(number)];
        if self.closing && client.request.is_none() {
            return Ok(());
        }
        let request = client.request(&self.plan.clients);
        let node = client.target;
        let (action, tracked) = match request {
            Request::Read { lease } => (Action::Read { node, lease }, true),
            Request::Propose(command) => (Action::Propose { node, command }, command.client > 0),
        };
        let up = self.cluster.node(node).is_up();
        let ticket = Ticket(self.cluster.last_ticket().0 + 1);
        let client = &mut self.clients[usize::from(number)];
        client.sent((up && tracked).then_some(ticket));
        let attempt = client.attempt;
        if !tracked {
            self.think(number);
        } else if up {
            let place = usize::try_from(ticket.0).expect("few tickets");
            self.tickets.resize(place + 1, u16::MAX);
            self.tickets[place] = number;
            let patience = self.plan.clients.patience;
            self.schedule_in(patience, Happening::Impatient { client: number, attempt });
        } else {
            client.look_elsewhere(&self.endpoints);
            self.go_on(number, Next::Retry);
        }
        self.act(&action)
    }

    fn answer(&mut self, ended: &Ended) {
        let place = usize::try_from(ended.ticket.0).expect("few tickets");
        let Some(&number) = self.tickets.get(place).filter(|number| **number != u16::MAX) else { return };
        let client = &mut self.clients[usize::from(number)];
        if client.is_waiting_for(ended.ticket) {
            let next = client.answered(ended.answer, &self.endpoints);
            self.go_on(number, next);
        }
    }

    fn go_on(&mut self, client: u16, next: Next) {
        match next {
            Next::Nothing => {}
            Next::Think => self.think(client),
            Next::Retry => {
                let timeout = self.plan.election_timeout();
                let wait = self.clients[usize::from(client)].dice.between(timeout / 50, timeout / 5);
                self.schedule_in(wait, Happening::Client { client });
            }
        }
    }
}

impl Desk {
    const fn new(dice: Dice) -> Self {
        Self {
            dice,
            incarnation: 0,
            timer: None,
            syncing: false,
            reading: false,
            snapshotting: false,
            restoring: false,
            restarting: false,
            reboots: false,
            stalled_until: Time::ZERO,
            stuck: false,
            full: false,
            abandoned: false,
        }
    }

    /// A new process.
    const fn begin(&mut self, incarnation: u32) {
        self.incarnation = incarnation;
        self.timer = None;
        (self.syncing, self.reading, self.snapshotting, self.restoring) = (false, false, false, false);
        (self.restarting, self.full) = (false, false);
    }

    fn sync_time(&mut self, plan: &DiskPlan) -> Duration {
        if plan.late_permille > 0 && self.dice.chance(plan.late_permille) {
            return self.dice.span(plan.sync.max, plan.late);
        }
        self.dice.between(plan.sync.min, plan.sync.max)
    }
}
