//! A simulated cluster: production's [`Raft`](crate::Raft) and [`Driver`] over simulated networks, disks and clocks.
//!
//! Event-driven: a heap of things that will happen, ordered by simulated time. Everything that could go either way is a
//! draw by counter from the seed (see [`super::draw`]), so a seed is a run. After every event the [`Checker`] compares
//! what the nodes say, and what their disks hold, with what the protocol promises; a [`Violation`] ends the run.

mod checker;
mod machine;
mod network;
mod node;
mod plan;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

pub use checker::{Checker, Violation};
pub use machine::SimMachine;
pub use network::SimTransport;
pub use plan::{Plan, Range};

use crate::configuration::{Configuration, Member, MemberRole};
use crate::driver::{Driver, Event, Outcome};
use crate::input::Ticket;
use crate::message::{Message, ReadProof};
use crate::raft::RoleName;
use crate::snapshot::{ChunkSource, SnapshotOffer};
use crate::testing::draw::draw;
use crate::time::Time;
use crate::transport::{TransferId, TransportEvent};
use crate::types::NodeId;
use network::Outgoing;
use node::SimNode;

/// The driver that is simulated.
pub type SimDriver = Driver<super::SimLog, SimTransport, super::SimSnapshots, SimMachine>;

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
    /// Snapshots that a follower took over from a leader.
    pub installs: u64,
    /// Hash over everything that happened: equal for equal seeds and programs.
    pub trace_hash: u64,
}

/// See the module.
pub struct World {
    seed: u64,
    plan: Plan,
    now: Time,
    queue: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
    draws: [u64; STREAMS],
    nodes: Vec<SimNode>,
    checker: Checker,
    transfers: BTreeMap<TransferId, Transfer>,
    last_ticket: u64,
    /// The node that is cut off from all others, if one is.
    isolated: Option<usize>,
    faults: bool,
    report: Report,
}

/// One stream of draws per thing that can vary.
#[derive(Clone, Copy)]
enum Stream {
    Network,
    Disk,
    Client,
    Crash,
    Seeds,
}

const STREAMS: usize = 5;

struct Transfer {
    from: usize,
    to: usize,
    offer: SnapshotOffer,
    source: Box<dyn ChunkSource>,
}

/// Something that will happen; ordered by time, then by when it was scheduled.
struct Scheduled {
    at: Time,
    number: u64,
    what: Happening,
}

/// Events for a node carry its incarnation: what was on its way to a crashed one is void.
enum Happening {
    Deliver { to: usize, from: NodeId, message: Message },
    Offer { transfer: TransferId },
    Timer { node: usize, incarnation: u64 },
    Disk { node: usize, incarnation: u64, writes: usize },
    Snapshots { node: usize, incarnation: u64 },
    Propose,
    Read,
    Crash,
    Restart { node: usize },
    Isolate,
    Reconnect,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl World {
    /// A cluster of `plan.nodes` fresh nodes, the first of which founds it.
    #[must_use]
    pub fn new(seed: u64, plan: Plan) -> Self {
        let mut world = Self {
            seed,
            now: Time::ZERO,
            queue: BinaryHeap::new(),
            scheduled: 0,
            draws: [0; STREAMS],
            nodes: Vec::new(),
            checker: Checker::new(plan.nodes),
            transfers: BTreeMap::new(),
            last_ticket: 0,
            isolated: None,
            faults: true,
            report: Report::default(),
            plan,
        };
        for at in 0..world.plan.nodes {
            world.nodes.push(SimNode::new(node_id(at)));
            world.start(at);
        }
        let members = (0..world.plan.nodes).map(|at| Member {
            id: node_id(at),
            role: MemberRole::Voter,
            newest_version: 1,
            name: format!("n{at}"),
            peer_address: String::new(),
            client_address: String::new(),
        });
        let founder = Configuration::new(1, members.collect()).expect("distinct ids and names");
        let now = world.now;
        if let Some(driver) = world.nodes[0].driver_mut() {
            driver.initialize(now, Ticket(0), founder);
        }
        world.schedule_in(world.plan.propose_every, Happening::Propose);
        world.schedule_in(world.plan.read_every, Happening::Read);
        world.schedule_in(world.plan.crash_every, Happening::Crash);
        world.schedule_in(world.plan.isolate_every, Happening::Isolate);
        world
    }

    /// Runs the plan: a time with faults, then a time without, at the end of which every node must have caught up.
    ///
    /// # Errors
    /// The first [`Violation`], with the seed that brings it back.
    pub fn run(mut self) -> Result<Report, Violation> {
        self.settle(0)?;
        self.run_until(Time::ZERO + self.plan.faulty_for)?;
        self.heal();
        self.run_until(self.now + self.plan.healthy_for)?;
        self.check_recovery()?;
        self.report.committed = self.checker.committed();
        self.report.elections = self.checker.elections();
        Ok(self.report)
    }

    fn run_until(&mut self, end: Time) -> Result<(), Violation> {
        while self.queue.peek().is_some_and(|Reverse(next)| next.at <= end) {
            let Some(Reverse(next)) = self.queue.pop() else { break };
            self.now = next.at;
            self.happen(next.what)?;
        }
        self.now = end;
        Ok(())
    }

    fn happen(&mut self, what: Happening) -> Result<(), Violation> {
        match what {
            Happening::Deliver { to, from, message } => self.deliver(to, from, message),
            Happening::Offer { transfer } => self.offer(transfer),
            Happening::Timer { node, incarnation } => self.timer(node, incarnation),
            Happening::Disk { node, incarnation, writes } => self.disk(node, incarnation, writes),
            Happening::Snapshots { node, incarnation } => self.snapshots(node, incarnation),
            Happening::Propose => self.propose(),
            Happening::Read => self.read(),
            Happening::Crash => self.crash(),
            Happening::Restart { node } => {
                self.start(node);
                self.settle(node)
            }
            Happening::Isolate => {
                self.isolate();
                Ok(())
            }
            Happening::Reconnect => {
                self.isolated = None;
                Ok(())
            }
        }
    }

    fn deliver(&mut self, to: usize, from: NodeId, message: Message) -> Result<(), Violation> {
        let now = self.now;
        let cluster = self.checker.cluster_id();
        let Some(driver) = self.nodes[to].driver_mut() else { return Ok(()) };
        // What the handshake does: a member greets a node that belongs to no cluster before it says anything else.
        if let (None, Some(cluster_id)) = (driver.raft().hard_state().cluster_id, cluster) {
            driver.handle(now, Event::Transport(TransportEvent::Greeted { cluster_id }));
        }
        driver.handle(now, Event::Transport(TransportEvent::Message { from, message }));
        self.settle(to)
    }

    fn timer(&mut self, node: usize, incarnation: u64) -> Result<(), Violation> {
        let now = self.now;
        if !self.nodes[node].is_alive_as(incarnation) {
            return Ok(());
        }
        self.nodes[node].timer = None;
        if let Some(driver) = self.nodes[node].driver_mut() {
            driver.handle(now, Event::Tick);
        }
        self.settle(node)
    }

    fn disk(&mut self, node: usize, incarnation: u64, writes: usize) -> Result<(), Violation> {
        if !self.nodes[node].is_alive_as(incarnation) {
            return Ok(());
        }
        self.nodes[node].disk_done(writes);
        self.settle(node)
    }

    fn snapshots(&mut self, node: usize, incarnation: u64) -> Result<(), Violation> {
        if !self.nodes[node].is_alive_as(incarnation) {
            return Ok(());
        }
        self.nodes[node].snapshots_done();
        self.settle(node)
    }

    /// A leader's offer arrives: the receiver decides.
    fn offer(&mut self, transfer: TransferId) -> Result<(), Violation> {
        let now = self.now;
        let Some(Transfer { from, to, offer, .. }) = self.transfers.get(&transfer) else { return Ok(()) };
        let (from, to, offer) = (node_id(*from), *to, offer.clone());
        let Some(driver) = self.nodes[to].driver_mut() else {
            return self.end_transfer(transfer, false, false);
        };
        driver.handle(now, Event::Transport(TransportEvent::SnapshotOffered { from, transfer, offer }));
        self.settle(to)
    }

    /// Everything that follows from an event at `node`: flush, send, schedule, check.
    fn settle(&mut self, node: usize) -> Result<(), Violation> {
        self.report.events += 1;
        let now = self.now;
        self.nodes[node].flush(now);
        self.trace(node);
        let Some(driver) = self.nodes[node].driver() else { return Ok(()) };
        if let Some(halt) = driver.halt() {
            return Err(Violation::Halted { node: node_id(node), at: now, halt: halt.to_string() });
        }
        self.checker.check_node(now, node, driver, &self.nodes)?;
        for outgoing in self.nodes[node].take_outgoing() {
            self.carry(node, outgoing)?;
        }
        for outcome in self.nodes[node].take_outcomes() {
            self.conclude(node, outcome)?;
        }
        self.schedule_node(node);
        Ok(())
    }

    fn carry(&mut self, node: usize, outgoing: Outgoing) -> Result<(), Violation> {
        match outgoing {
            Outgoing::Message { to, message } => {
                self.checker.check_sent(self.now, &self.nodes[node], to, &message)?;
                self.send(node, to, message);
                Ok(())
            }
            Outgoing::Snapshot { to, offer, source } => {
                let transfer = TransferId(self.scheduled);
                let to = index_of(to);
                self.transfers.insert(transfer, Transfer { from: node, to, offer, source });
                if self.chance(self.plan.loss_permille) {
                    return self.end_transfer(transfer, false, false);
                }
                self.schedule_in(self.plan.delay, Happening::Offer { transfer });
                Ok(())
            }
            Outgoing::Refuse { transfer } => self.end_transfer(transfer, false, false),
            Outgoing::Accept { transfer, mut sink } => {
                let breaks = self.chance(self.plan.loss_permille);
                let Some(Transfer { offer, source, .. }) = self.transfers.get_mut(&transfer) else {
                    return Ok(());
                };
                let complete = !breaks && network::copy(&offer.info, source.as_mut(), sink.as_mut());
                self.report.installs += u64::from(complete);
                self.end_transfer(transfer, complete, true)
            }
        }
    }

    fn send(&mut self, from: usize, to: NodeId, message: Message) {
        let to = index_of(to);
        let cut = self.isolated.is_some_and(|alone| alone == from || alone == to);
        if self.chance(self.plan.loss_permille) || cut {
            return;
        }
        let from = node_id(from);
        if self.chance(self.plan.duplicate_permille) {
            self.schedule_in(self.plan.delay, Happening::Deliver { to, from, message: message.clone() });
        }
        self.schedule_in(self.plan.delay, Happening::Deliver { to, from, message });
    }

    /// Tells both sides how a transfer ended.
    fn end_transfer(
        &mut self,
        transfer: TransferId,
        complete: bool,
        accepted: bool,
    ) -> Result<(), Violation> {
        let now = self.now;
        let Some(Transfer { from, to, offer, .. }) = self.transfers.remove(&transfer) else { return Ok(()) };
        if let Some(driver) = self.nodes[to].driver_mut().filter(|_| accepted) {
            let (from, offer) = (node_id(from), offer.clone());
            driver.handle(now, Event::Transport(TransportEvent::SnapshotReceived { from, offer, complete }));
        }
        if let Some(driver) = self.nodes[from].driver_mut() {
            let (to, info) = (node_id(to), offer.info);
            driver.handle(now, Event::Transport(TransportEvent::SnapshotSent { to, info, complete }));
        }
        self.settle(to)?;
        self.settle(from)
    }

    fn conclude(&mut self, node: usize, outcome: Outcome<u64>) -> Result<(), Violation> {
        match outcome {
            Outcome::Proposal { ticket, result } => {
                self.report.acknowledged += u64::from(result.is_ok() && ticket != Ticket(0));
                self.checker.proposal_ended(self.now, node_id(node), ticket, result)
            }
            Outcome::Transfer { .. } => Ok(()),
            Outcome::Read { ticket, result } => {
                self.report.reads += u64::from(result.is_ok());
                self.checker.read_ended(self.now, node_id(node), ticket, result)
            }
        }
    }

    fn propose(&mut self) -> Result<(), Violation> {
        self.schedule_in(self.plan.propose_every, Happening::Propose);
        let node = self.pick_client_target();
        let count = 1 + self.draw(Stream::Client) % 3;
        let now = self.now;
        for _ in 0..count {
            self.last_ticket += 1;
            let ticket = Ticket(self.last_ticket);
            if let Some(driver) = self.nodes[node].driver_mut() {
                driver.propose(now, ticket, &[&ticket.0.to_le_bytes()]);
                self.checker.proposed(ticket);
            }
        }
        self.settle(node)
    }

    fn read(&mut self) -> Result<(), Violation> {
        self.schedule_in(self.plan.read_every, Happening::Read);
        let node = self.pick_client_target();
        let now = self.now;
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        if let Some(driver) = self.nodes[node].driver_mut() {
            self.checker.read_begun(ticket);
            driver.read(now, ticket, ReadProof::default());
        }
        self.settle(node)
    }

    /// Mostly a node that takes itself for the leader (there may be two), else any.
    fn pick_client_target(&mut self) -> usize {
        let leads =
            |node: &SimNode| node.driver().is_some_and(|driver| driver.raft().role() == RoleName::Leader);
        let leaders: Vec<usize> = (0..self.nodes.len()).filter(|&at| leads(&self.nodes[at])).collect();
        let draw = self.draw(Stream::Client);
        let count =
            if leaders.is_empty() || draw.is_multiple_of(16) { self.nodes.len() } else { leaders.len() };
        let pick = usize::try_from((draw >> 8) % count as u64).unwrap_or(0);
        if count == self.nodes.len() { pick } else { leaders[pick] }
    }

    fn crash(&mut self) -> Result<(), Violation> {
        if !self.faults {
            return Ok(());
        }
        self.schedule_in(self.plan.crash_every, Happening::Crash);
        let draw = self.draw(Stream::Crash);
        let node = usize::try_from(draw % self.nodes.len() as u64).unwrap_or(0);
        if self.nodes[node].driver().is_some() {
            self.report.crashes += 1;
            self.nodes[node].crash(draw);
            self.checker.crashed(node);
            self.schedule_in(self.plan.down_for, Happening::Restart { node });
        }
        Ok(())
    }

    /// Cuts a node off, mostly the leader: it must not serve reads, nor commit, while the others elect another one.
    fn isolate(&mut self) {
        if !self.faults {
            return;
        }
        self.schedule_in(self.plan.isolate_every, Happening::Isolate);
        if self.isolated.is_none() {
            self.isolated = Some(self.pick_client_target());
            self.schedule_in(self.plan.isolated_for, Happening::Reconnect);
        }
    }

    fn start(&mut self, node: usize) {
        let now = self.now;
        let seed = self.draw(Stream::Seeds);
        let machine = self.checker.machine();
        self.nodes[node].start(now, seed, &self.plan, machine);
    }

    /// The network and the disks behave from now on, and every node runs.
    fn heal(&mut self) {
        self.faults = false;
        self.isolated = None;
        self.plan.loss_permille = 0;
        self.plan.duplicate_permille = 0;
    }

    /// After a healthy time all nodes must have applied the same, and more than before.
    fn check_recovery(&self) -> Result<(), Violation> {
        self.checker.check_recovery(self.now, &self.nodes, self.plan.healthy_for)
    }

    fn schedule_node(&mut self, node: usize) {
        let incarnation = self.nodes[node].incarnation;
        if let Some(writes) = self.nodes[node].begin_disk() {
            self.schedule_in(self.plan.disk, Happening::Disk { node, incarnation, writes });
        }
        if self.nodes[node].begin_snapshots() {
            self.schedule_in(self.plan.disk, Happening::Snapshots { node, incarnation });
        }
        let Some(driver) = self.nodes[node].driver() else { return };
        let deadline = driver.next_deadline().max(self.now);
        if self.nodes[node].timer.is_none_or(|at| deadline < at) {
            self.nodes[node].timer = Some(deadline);
            self.schedule(deadline, Happening::Timer { node, incarnation });
        }
    }

    fn schedule_in(&mut self, range: Range, what: Happening) {
        let stream = match &what {
            Happening::Deliver { .. } | Happening::Offer { .. } => Stream::Network,
            Happening::Disk { .. } | Happening::Snapshots { .. } => Stream::Disk,
            Happening::Propose | Happening::Read => Stream::Client,
            Happening::Timer { .. }
            | Happening::Crash
            | Happening::Restart { .. }
            | Happening::Isolate
            | Happening::Reconnect => Stream::Crash,
        };
        let delay = range.pick(self.draw(stream));
        self.schedule(self.now + delay, what);
    }

    fn schedule(&mut self, at: Time, what: Happening) {
        self.scheduled += 1;
        self.queue.push(Reverse(Scheduled { at, number: self.scheduled, what }));
    }

    fn draw(&mut self, stream: Stream) -> u64 {
        let counter = &mut self.draws[stream as usize];
        *counter += 1;
        draw(self.seed, stream as u64, *counter)
    }

    fn chance(&mut self, permille: u64) -> bool {
        self.draw(Stream::Network) % 1000 < permille
    }

    /// Mixes what the node has come to into the trace hash.
    fn trace(&mut self, node: usize) {
        let Some(driver) = self.nodes[node].driver() else { return };
        let raft = driver.raft();
        let last = raft.last_entry();
        let facts = [
            self.now.as_nanos(),
            node as u64,
            raft.hard_state().current_term.0,
            raft.commit_index().0,
            last.index.0,
            last.term.0,
            driver.applied().index.0,
        ];
        for fact in facts {
            self.report.trace_hash = draw(self.report.trace_hash, 0, fact);
        }
    }
}

fn node_id(at: usize) -> NodeId {
    NodeId::new(at as u64 + 1).expect("counted from 1")
}

fn index_of(id: NodeId) -> usize {
    usize::try_from(id.get() - 1).expect("ids are small here")
}

/// One run of `plan` under `seed`.
///
/// # Errors
/// As [`World::run`].
pub fn run_seed(seed: u64, plan: &Plan) -> Result<Report, Violation> {
    World::new(seed, plan.clone()).run()
}
