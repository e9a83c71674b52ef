//! A simulated cluster: production's [`Raft`](crate::Raft) and [`Driver`] over simulated networks, disks and clocks.
//!
//! It takes one [`Action`] at a time and checks everything after it. It decides nothing itself: what happens next, and
//! when, is up to whoever drives it: a random [`World`](super::world::World), a replayed list of actions, an exhaustive
//! search.

mod action;
mod checker;
mod clock;
mod history;
mod machine;
mod messages;
mod node;
mod observe;
mod perform;
mod seams;
mod settle;
mod trace;
mod transfers;
mod violation;

pub use action::{Action, Command, Delivery, Loss, TransferStep, Wish};
pub use machine::{MAX_PADDING, SimMachine};
pub use messages::{MessageKind, content, digest, summary};
pub use transfers::TransferPhase;
pub use violation::Violation;

use crate::block::{BlockBuilder, EntryKind};
use crate::configuration::{Configuration, Member, MemberRole};
use crate::driver::{Driver, SnapshotPolicy};
use crate::error::{ProposeError, ReadError};
use crate::input::Ticket;
use crate::message::Message;
use crate::options::Options;
use crate::quorum::VoteResult;
use crate::raft::RoleName;
use crate::storage::Write;
use crate::testing::hash::TraceHash;
use crate::testing::sim_log::LogImage;
use crate::time::Time;
use crate::types::{EntryId, HardState, LogIndex, NodeId, Term};
use checker::Checker;
use node::SimNode;
use seams::{NodeLog, NodeSnapshots, NodeTransport, Outgoing};
use transfers::Transfers;

/// The driver that is simulated.
type SimDriver = Driver<NodeLog, NodeTransport, NodeSnapshots, SimMachine>;

/// Tickets from here on are an operator's.
const OPERATOR: Ticket = Ticket(1 << 63);

/// What a cluster is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Voters.
    pub voters: usize,
    /// Members that do not vote.
    pub learners: usize,
    /// Whether every log starts with the configuration; otherwise one node has to found the cluster.
    pub founded: bool,
    /// The nodes' options.
    pub options: Options,
    /// When they take snapshots.
    pub policy: SnapshotPolicy,
    /// Seeds the jitter of each node's first election timeouts.
    pub seed: u64,
}

/// A message that a node has sent.
#[derive(Clone)]
pub struct Sent {
    /// Place of the sender.
    pub from: usize,
    /// Place of the receiver.
    pub to: usize,
    /// [`digest`] of the message.
    pub digest: u64,
    /// What it says.
    pub message: Message,
}

/// How a client's request ended.
pub struct Ended {
    /// Which one.
    pub ticket: Ticket,
    /// Whether it was done.
    pub answer: Answer,
}

/// What a client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done, with this reply.
    Done(u64),
    /// Not here; perhaps there.
    Elsewhere(Option<NodeId>),
    /// Not done; try again later.
    Refused,
    /// Nobody knows.
    Unknown,
}

impl From<ProposeError> for Answer {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::NotLeader { leader } => Self::Elsewhere(leader),
            ProposeError::Unknown => Self::Unknown,
            _ => Self::Refused,
        }
    }
}

impl From<ReadError> for Answer {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotLeader { leader } => Self::Elsewhere(leader),
            _ => Self::Refused,
        }
    }
}

/// Counts of what happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Inputs stepped.
    pub events: u64,
    /// Nodes crashed.
    pub crashes: u64,
    /// Snapshots that a follower took over from a leader.
    pub installs: u64,
    /// Proposals acknowledged to the client.
    pub acknowledged: u64,
    /// Linearizable reads confirmed.
    pub reads: u64,
    /// Changes of the members agreed on.
    pub configurations: u64,
}

/// See the module.
pub struct Cluster {
    setup: Setup,
    founder: Configuration,
    /// True time.
    now: Time,
    nodes: Vec<SimNode>,
    transfers: Transfers,
    checker: Checker,
    sent: Vec<Sent>,
    offered: Vec<(usize, usize)>,
    ended: Vec<Ended>,
    outgoing: Vec<Outgoing>,
    last_ticket: u64,
    tally: Tally,
    trace: TraceHash,
}

impl Cluster {
    /// A cluster whose nodes have just started.
    ///
    /// # Errors
    /// A [`Violation`] of the very first state.
    pub fn new(setup: Setup) -> Result<Self, Violation> {
        let founder = founder(setup.voters, setup.learners);
        let image = if setup.founded { founded_image(&founder) } else { LogImage::default() };
        let members = founder.members().iter();
        let nodes =
            members.map(|member| SimNode::new(member.id, image.clone(), Default::default())).collect();
        let mut cluster = Self {
            founder,
            now: Time::ZERO,
            nodes,
            transfers: Transfers::default(),
            checker: Checker::new(),
            sent: Vec::new(),
            offered: Vec::new(),
            ended: Vec::new(),
            outgoing: Vec::new(),
            last_ticket: 0,
            tally: Tally::default(),
            trace: TraceHash::default(),
            setup,
        };
        for node in 0..cluster.nodes.len() {
            let seed = cluster.setup.seed;
            cluster.perform(Time::ZERO, &Action::Restart { node, seed })?;
        }
        Ok(cluster)
    }

    /// What it is made of.
    #[must_use]
    pub const fn setup(&self) -> &Setup {
        &self.setup
    }

    /// How many nodes there are.
    #[must_use]
    pub const fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The configuration that the cluster starts with.
    #[must_use]
    pub const fn founder(&self) -> &Configuration {
        &self.founder
    }

    /// Messages sent since the last call, in order.
    pub fn take_sent(&mut self, taken: &mut Vec<Sent>) {
        taken.append(&mut self.sent);
    }

    /// Links on which a snapshot transfer has begun since the last call.
    pub fn take_offered(&mut self) -> Vec<(usize, usize)> {
        std::mem::take(&mut self.offered)
    }

    /// Requests that have ended since the last call.
    pub fn take_ended(&mut self, taken: &mut Vec<Ended>) {
        taken.append(&mut self.ended);
    }

    /// The ticket of the newest proposal or read.
    #[must_use]
    pub const fn last_ticket(&self) -> Ticket {
        Ticket(self.last_ticket)
    }

    /// Counts so far.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// Terms that had a leader.
    #[must_use]
    pub fn elections(&self) -> u64 {
        self.checker.elections()
    }

    /// Entries committed.
    #[must_use]
    pub const fn committed(&self) -> u64 {
        self.checker.committed()
    }

    /// Hash over everything that happened: equal for equal actions and programs.
    #[must_use]
    pub const fn trace_hash(&self) -> u64 {
        self.trace.value()
    }

    /// How the node at `place` stands.
    #[must_use]
    pub fn node(&self, place: usize) -> NodeView<'_> {
        NodeView { node: &self.nodes[place], now: self.now }
    }

    /// The places of the members of the newest committed configuration.
    #[must_use]
    pub fn members(&self) -> Vec<usize> {
        let members = self.checker.agreed().map_or(&self.founder, |agreed| agreed);
        members.members().iter().map(|member| place_of(member.id)).collect()
    }

    /// Whether the node, however far its log goes, may take itself for the only voter: nobody can mend it then.
    #[must_use]
    pub fn is_lonely(&self, place: usize) -> bool {
        self.checker.is_lonely(place)
    }

    /// Whether the newest committed configuration is a joint one.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        self.checker.agreed().is_some_and(|members| members.is_joint())
    }

    /// Whether somebody leads who has no vote himself.
    #[must_use]
    pub fn is_led_from_outside(&self) -> bool {
        let rafts = self.nodes.iter().filter_map(SimNode::running).map(|running| running.driver.raft());
        rafts
            .filter(|raft| raft.role() == RoleName::Leader)
            .any(|raft| raft.configuration().is_none_or(|members| !members.quorum().contains(raft.id())))
    }

    /// Learners that may become voters any moment.
    #[must_use]
    pub fn promotable(&self) -> Vec<usize> {
        let all = self.checker.in_play().flat_map(|members| members.members());
        let promotable = all.filter(|member| member.role == MemberRole::Promotable);
        promotable.map(|member| place_of(member.id)).collect()
    }

    /// Whether the nodes that `is_in` says are in are a quorum of every configuration that is, or may yet be, in force.
    #[must_use]
    pub fn is_quorum(&self, is_in: impl Fn(usize) -> bool) -> bool {
        let wins = |members: &Configuration| {
            members.quorum().vote(|id| Some(is_in(place_of(id)))) == VoteResult::Won
        };
        let mut in_play = self.checker.in_play().peekable();
        if in_play.peek().is_none() { wins(&self.founder) } else { in_play.all(|members| wins(members)) }
    }

    /// Whether one of those who are in has all that is needed to be elected by them: a log that is not behind those of a quorum
    /// of its configuration, and a vote in it, or in the one before.
    #[must_use]
    pub fn could_elect(&self, is_in: impl Fn(usize) -> bool) -> bool {
        let last = |place: usize| self.nodes[place].last_entry();
        let follows = |id: NodeId, own: EntryId| is_in(place_of(id)) && last(place_of(id)) <= own;
        let is_electable = |place: usize| {
            let (id, own) = (node_id(place), last(place));
            let mut known = self.checker.configurations_of(place).rev();
            let latest = known.next();
            let votes = latest.into_iter().chain(known.next()).any(|members| members.quorum().contains(id));
            let wins = |members: &Configuration| {
                members.quorum().vote(|id| Some(follows(id, own))) == VoteResult::Won
            };
            votes && latest.is_some_and(wins)
        };
        self.checker.agreed().is_none()
            || (0..self.nodes.len()).filter(|place| is_in(*place)).any(is_electable)
    }

    /// What the transfer on a link waits for, if there is one.
    #[must_use]
    pub fn transfer(&self, from: usize, to: usize) -> Option<TransferPhase> {
        self.transfers.phase(from, to)
    }

    /// Requests that members which are still running have not answered. (Whoever was removed meanwhile may never learn what
    /// became of its last proposals.)
    #[must_use]
    pub fn owed(&self) -> usize {
        let members = self.members();
        let running = members.iter().filter_map(|member| self.nodes[*member].running());
        running.map(|running| running.owed.len()).sum()
    }

    /// Last entry applied anywhere and the state there, and the last entry that a client knows to be applied.
    #[must_use]
    pub fn head(&self) -> (LogIndex, u64, LogIndex) {
        let (index, state) = self.checker.head();
        (index, state, self.checker.acknowledged_through())
    }
}

/// One node, for looking at.
#[derive(Clone, Copy)]
pub struct NodeView<'a> {
    node: &'a SimNode,
    now: Time,
}

impl<'a> NodeView<'a> {
    /// Tickets of requests that were not answered since this process started.
    #[must_use]
    pub fn owed(&self) -> Vec<Ticket> {
        self.node.running().map_or_else(Vec::new, |running| running.owed.iter().copied().collect())
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> NodeId {
        self.node.id
    }

    /// Counts its starts.
    #[must_use]
    pub const fn incarnation(&self) -> u64 {
        self.node.incarnation
    }

    /// Its consensus, while it runs.
    #[must_use]
    pub fn raft(&self) -> Option<&'a crate::Raft> {
        self.node.running().map(|running| running.driver.raft())
    }

    /// Whether its folder was wiped.
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        self.node.gone
    }

    /// The first entry on its disk that has rotted.
    #[must_use]
    pub fn first_damaged(&self) -> Option<LogIndex> {
        self.node.first_damaged(LogIndex::ZERO)
    }

    /// Whether it runs.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.node.running().is_some()
    }

    /// Whether it runs and does not stand still.
    #[must_use]
    pub fn is_awake(&self) -> bool {
        self.node.running().is_some_and(|running| running.paused.is_none())
    }

    /// Whether it takes itself for the leader.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.raft().is_some_and(|raft| raft.role() == RoleName::Leader)
    }

    /// The moment of true time at which its timer is due, if it runs.
    #[must_use]
    pub fn timer(&self) -> Option<Time> {
        let running = self.node.running()?;
        Some(self.node.clock.moment_of(running.driver.next_deadline(), self.now))
    }

    /// Writes that are not durable, and reads that are not answered.
    #[must_use]
    pub fn disk_queue(&self) -> (usize, usize) {
        let running = self.node.running();
        running.map_or((0, 0), |running| (running.log.pending_writes(), running.log.pending_reads()))
    }

    /// Jobs of the snapshot store, and whether a snapshot is being loaded.
    #[must_use]
    pub fn snapshot_queue(&self) -> (usize, bool) {
        let running = self.node.running();
        running.map_or((0, false), |running| (running.snapshots.pending(), running.restoring.is_some()))
    }

    /// Last entry applied and the state there, unless it is down or loads a snapshot.
    #[must_use]
    pub fn applied(&self) -> Option<(LogIndex, u64)> {
        Some(self.node.running()?.driver.state()?.state())
    }

    /// Term, vote and last entry on its disk.
    #[must_use]
    pub fn disk(&self) -> (HardState, EntryId) {
        self.node.with_disk(|image| (image.hard_state, image.last()))
    }

    /// What its disk holds, in words.
    #[must_use]
    pub fn describe_disk(&self) -> String {
        self.node.describe_disk()
    }
}

/// The id of the node at `place`.
#[must_use]
pub fn node_id(place: usize) -> NodeId {
    NodeId::new(place as u64 + 1).expect("counted from 1")
}

/// The place of the node with this id.
#[must_use]
pub fn place_of(id: NodeId) -> usize {
    usize::try_from(id.get() - 1).expect("ids are small here")
}

fn founder(voters: usize, learners: usize) -> Configuration {
    let role = |place| if place < voters { MemberRole::Voter } else { MemberRole::Learner };
    let members = (0..voters + learners).map(|place| member(place, role(place)));
    Configuration::new(1, members.collect()).expect("distinct ids and names, and at least one voter")
}

/// The node at `place` as a member.
fn member(place: usize, role: MemberRole) -> Member {
    Member {
        id: node_id(place),
        role,
        newest_version: 1,
        name: format!("n{}", place + 1),
        peer_address: String::new(),
        client_address: String::new(),
    }
}

/// A log that begins with `configuration`, as its founder writes it.
fn founded_image(configuration: &Configuration) -> LogImage {
    let mut payload = Vec::new();
    configuration.encode(&mut payload);
    let mut entries = BlockBuilder::new();
    entries.push(EntryKind::Configuration, &[&payload]);
    let hard_state =
        HardState { cluster_id: Some(configuration.cluster_id()), current_term: Term(1), voted_for: None };
    let block = entries.finish(LogIndex(1), Term(1)).expect("one entry");
    let mut image = LogImage::default();
    image.apply(&Write { hard_state: Some(hard_state), append: vec![block].into(), ..Write::default() });
    image
}
