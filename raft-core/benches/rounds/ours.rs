//! This crate: three drivers over a log in memory.

use std::cell::{Cell, RefCell};
use std::io::Read;
use std::rc::Rc;
use std::sync::Arc;

use raft_core::configuration::{Configuration, Member, MemberRole};
use raft_core::driver::{Driver, Event, Outcome, Parts, SnapshotPolicy};
use raft_core::snapshot::{ChunkSink, ChunkSource, SnapshotInfo, SnapshotMeta, SnapshotOffer, SnapshotView};
use raft_core::state_machine::{ApplyError, StateMachine};
use raft_core::storage::{LogEvent, LogStore, ReadRequest, Recovered, SnapshotStore, Write};
use raft_core::transport::{SendError, TransferId, Transport, TransportEvent};
use raft_core::types::ClusterId;
use raft_core::{Block, EntryKind, LogIndex, Message, NodeId, Options, Ticket, Time, WriteId};

use super::{Cluster, command};

/// A log that keeps everything in memory, where it is durable at once.
#[derive(Default)]
struct MemoryLog {
    blocks: Vec<Block>,
    durable: Rc<Cell<Option<WriteId>>>,
}

impl LogStore for MemoryLog {
    fn submit(&mut self, write: Write) {
        assert!(write.truncate_from.is_none() && write.reset.is_none(), "nothing goes wrong here");
        self.blocks.extend(write.append);
        self.durable.set(Some(write.id));
    }

    fn read(&mut self, request: ReadRequest) {
        unreachable!("everything that is wanted is in the cache: {request:?}");
    }

    fn compact(&mut self, _through: LogIndex) {}
}

/// Messages on their way to one node, with their senders.
type Inbox = Rc<RefCell<Vec<(NodeId, Message)>>>;

/// One node's way to the others.
struct Network {
    from: NodeId,
    inboxes: [Inbox; 3],
}

impl Transport for Network {
    fn send(&mut self, to: NodeId, message: Message) -> Result<(), SendError> {
        let to = usize::try_from(to.get() - 1).expect("three nodes");
        self.inboxes[to].borrow_mut().push((self.from, message));
        Ok(())
    }

    fn set_configuration(&mut self, _configuration: &Arc<Configuration>) {}
    fn set_cluster(&mut self, _cluster_id: ClusterId) {}
    fn send_snapshot(&mut self, _to: NodeId, _offer: SnapshotOffer, _source: Box<dyn ChunkSource>) {}
    fn accept_snapshot(&mut self, _transfer: TransferId, _sink: Box<dyn ChunkSink>) {}
    fn refuse_snapshot(&mut self, _transfer: TransferId) {}
}

struct NoSnapshots;

impl SnapshotStore for NoSnapshots {
    fn latest(&self) -> Option<SnapshotInfo> {
        None
    }

    fn create(&mut self, meta: SnapshotMeta, _view: Box<dyn SnapshotView>) {
        unreachable!("no snapshot is wanted: {meta:?}");
    }

    fn source(&self) -> Option<(SnapshotInfo, Box<dyn ChunkSource>)> {
        None
    }

    fn sink(&mut self, offer: &SnapshotOffer) -> Box<dyn ChunkSink> {
        unreachable!("no snapshot is offered: {offer:?}");
    }

    fn publish(&mut self, info: SnapshotInfo) {
        unreachable!("no snapshot is received: {info:?}");
    }

    fn reader(&self) -> Option<(SnapshotMeta, Box<dyn Read + Send>)> {
        None
    }
}

/// Counts commands.
#[derive(Default)]
struct Counter(usize);

impl StateMachine for Counter {
    type Reply = usize;

    fn apply(&mut self, batch: &[Block], replies: &mut Vec<usize>) -> Result<(), ApplyError> {
        for entry in batch.iter().flat_map(Block::entries) {
            self.0 += usize::from(entry.kind == EntryKind::Normal);
            replies.push(self.0);
        }
        Ok(())
    }

    fn freeze(&self) -> Box<dyn SnapshotView> {
        unreachable!("no snapshot is wanted")
    }

    fn restore(&mut self, _reader: &mut dyn Read) -> Result<(), ApplyError> {
        Ok(())
    }
}

struct Node {
    driver: Driver<MemoryLog, Network, NoSnapshots, Counter>,
    durable: Rc<Cell<Option<WriteId>>>,
    inbox: Inbox,
    /// What this turn takes.
    arrived: Vec<(NodeId, Message)>,
    /// Something was asked of the driver since its last turn.
    has_news: bool,
}

pub(crate) struct Ours {
    nodes: Vec<Node>,
    outcomes: Vec<Outcome<usize>>,
    now: Time,
    proposed: usize,
    answered: usize,
}

const LEADER: usize = 0;

fn id(at: usize) -> NodeId {
    NodeId::new(at as u64 + 1).expect("counted from 1")
}

impl Node {
    fn new(at: usize, inboxes: &[Inbox; 3]) -> Self {
        let log = MemoryLog::default();
        let durable = Rc::clone(&log.durable);
        let parts = Parts {
            id: id(at),
            options: Options { max_uncommitted_bytes: 1 << 30, ..Options::default() },
            policy: SnapshotPolicy { every_bytes: usize::MAX, alignment: 1 },
            seed: at as u64,
            recovered: Recovered::default(),
            log,
            transport: Network { from: id(at), inboxes: inboxes.clone() },
            snapshots: NoSnapshots,
            state_machine: Counter::default(),
        };
        let driver = Driver::new(Time::ZERO, parts).expect("the default options work");
        Self { driver, durable, inbox: Rc::clone(&inboxes[at]), arrived: Vec::new(), has_news: true }
    }

    /// Takes what has arrived, and what the log has done meanwhile.
    fn turn(&mut self, now: Time) {
        std::mem::swap(&mut self.arrived, &mut *self.inbox.borrow_mut());
        if self.arrived.is_empty() && !std::mem::take(&mut self.has_news) {
            return;
        }
        for (from, message) in self.arrived.drain(..) {
            self.driver.handle(now, Event::Transport(TransportEvent::Message { from, message }));
        }
        self.driver.flush(now);
        if let Some(id) = self.durable.take() {
            self.driver.handle(now, Event::Log(LogEvent::Durable(id)));
            self.driver.flush(now);
        }
    }
}

impl Ours {
    /// Carries every message that there is.
    fn deliver(&mut self) {
        loop {
            for node in &mut self.nodes {
                node.turn(self.now);
            }
            self.nodes[LEADER].driver.drain_outcomes(&mut self.outcomes);
            for outcome in self.outcomes.drain(..) {
                self.answered += usize::from(matches!(outcome, Outcome::Proposal { result: Ok(_), .. }));
            }
            if self.nodes.iter().all(|node| node.inbox.borrow().is_empty()) {
                return;
            }
        }
    }
}

impl Cluster for Ours {
    fn new() -> Self {
        let inboxes = [Inbox::default(), Inbox::default(), Inbox::default()];
        let nodes = (0..3).map(|at| Node::new(at, &inboxes)).collect();
        let mut cluster = Self { nodes, outcomes: Vec::new(), now: Time::ZERO, proposed: 0, answered: 0 };
        let member = |at: usize| Member {
            id: id(at),
            role: MemberRole::Voter,
            newest_version: 1,
            name: format!("n{at}"),
            peer_address: String::new(),
            client_address: String::new(),
        };
        let configuration =
            Configuration::new(1, (0..3).map(member).collect()).expect("a sound configuration");
        for follower in 1..3 {
            let cluster_id = configuration.cluster_id();
            let greeting = Event::Transport(TransportEvent::Greeted { cluster_id });
            cluster.nodes[follower].driver.handle(Time::ZERO, greeting);
        }
        cluster.nodes[LEADER].driver.initialize(Time::ZERO, Ticket(0), configuration);
        cluster.nodes[LEADER].driver.handle(Time::ZERO, Event::Tick);
        cluster.deliver();
        assert_eq!(cluster.answered, 1, "the configuration is committed");
        cluster
    }

    fn round(&mut self, batch: usize) {
        for _ in 0..batch {
            self.proposed += 1;
            let command = command(self.proposed);
            let driver = &mut self.nodes[LEADER].driver;
            driver.propose(self.now, Ticket(self.proposed as u64), &[&command]);
        }
        self.nodes[LEADER].has_news = true;
        self.deliver();
        assert_eq!(self.answered, self.proposed + 1, "the leader has applied the batch");
    }

    fn finish(&mut self) -> [usize; 3] {
        self.now = self.nodes[LEADER].driver.next_deadline();
        self.nodes[LEADER].driver.handle(self.now, Event::Tick);
        self.nodes[LEADER].has_news = true;
        self.deliver();
        [0, 1, 2].map(|at| self.nodes[at].driver.state().map_or(0, |counter| counter.0))
    }
}
