//! The tokio node: the handle's calls from end to end, and how they end when the node does.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc as blocking};
use std::time::Duration;

use raft_core::configuration::MemberRole;
use raft_core::driver::{Parts, SnapshotPolicy};
use raft_core::error::{Halt, ProposeError, ReadError};
use raft_core::node::{Command, Consistency, NodeHandle, NodeTask, Sinks, channels, start};
use raft_core::snapshot::{ChunkSink, ChunkSource, SnapshotInfo, SnapshotMeta, SnapshotOffer, SnapshotView};
use raft_core::state_machine::{ApplyError, StateMachine};
use raft_core::storage::{LogStore, ReadRequest, SnapshotStore, Write};
use raft_core::testing::sim_log::{LogImage, SimLog};
use raft_core::testing::sim_snapshots::{SimSnapshots, SnapshotImage};
use raft_core::transport::{SendError, TransferId, Transport, TransportEvent};
use raft_core::types::ClusterId;
use raft_core::{Block, Configuration, LogIndex, Message, NodeId, Options, RoleName, Term};
use tokio::sync::mpsc;

use crate::support::ledger::{Ledger, POISON};
use crate::support::{id, offer, put, remove, voters};

/// Waits with wide slack: what has not happened by then never will.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it takes too long")
}

/// A log without a thread: it does at once what it is asked, unless it is stuck.
#[derive(Clone)]
struct PromptLog {
    log: SimLog,
    stuck: Arc<AtomicBool>,
}

impl PromptLog {
    fn run(&self) {
        if !self.stuck.load(Ordering::Relaxed) {
            self.log.run();
        }
    }
}

impl LogStore for PromptLog {
    fn submit(&mut self, write: Write) {
        self.log.submit(write);
        self.run();
    }

    fn read(&mut self, request: ReadRequest) {
        self.log.read(request);
        self.run();
    }

    fn compact(&mut self, through: LogIndex) {
        self.log.compact(through);
    }
}

/// A snapshot store without a thread.
#[derive(Clone)]
struct PromptSnapshots(SimSnapshots);

impl SnapshotStore for PromptSnapshots {
    fn latest(&self) -> Option<SnapshotInfo> {
        self.0.latest()
    }

    fn create(&mut self, meta: SnapshotMeta, view: Box<dyn SnapshotView>) {
        self.0.create(meta, view);
        self.0.run();
    }

    fn source(&self) -> Option<(SnapshotInfo, Box<dyn ChunkSource>)> {
        self.0.source()
    }

    fn sink(&mut self, offer: &SnapshotOffer) -> Box<dyn ChunkSink> {
        self.0.sink(offer)
    }

    fn publish(&mut self, info: SnapshotInfo) {
        self.0.publish(info);
        self.0.run();
    }

    fn reader(&self) -> Option<(SnapshotMeta, Box<dyn Read + Send>)> {
        self.0.reader()
    }
}

/// Where each node's transport events go.
type Hub = Arc<Mutex<BTreeMap<NodeId, mpsc::Sender<TransportEvent>>>>;

/// Messages go straight to the other nodes; accepted snapshots to the test.
struct HubTransport {
    own: NodeId,
    hub: Hub,
    accepted: mpsc::UnboundedSender<Box<dyn ChunkSink>>,
}

impl Transport for HubTransport {
    fn send(&mut self, to: NodeId, message: Message) -> Result<(), SendError> {
        let hub = self.hub.lock().unwrap();
        let peer = hub.get(&to).ok_or(SendError::UnknownPeer { to })?;
        let event = TransportEvent::Message { from: self.own, message };
        peer.try_send(event).map_err(|_| SendError::Unavailable { to })
    }

    fn set_configuration(&mut self, _configuration: &Arc<Configuration>) {}

    fn set_cluster(&mut self, _cluster_id: ClusterId) {}

    fn send_snapshot(&mut self, _to: NodeId, _offer: SnapshotOffer, _source: Box<dyn ChunkSource>) {
        panic!("no test lets a node fall that far behind");
    }

    fn accept_snapshot(&mut self, _transfer: TransferId, sink: Box<dyn ChunkSink>) {
        self.accepted.send(sink).unwrap();
    }

    fn refuse_snapshot(&mut self, _transfer: TransferId) {}
}

/// A running node and the ends that the test holds.
struct Running<M: StateMachine = Ledger> {
    handle: NodeHandle<M>,
    task: NodeTask,
    sinks: Sinks,
    log: PromptLog,
    snapshots: SimSnapshots,
    accepted: mpsc::UnboundedReceiver<Box<dyn ChunkSink>>,
}

impl<M: StateMachine> Running<M> {
    fn start(number: u64, hub: &Hub, log: LogImage, snapshots: SnapshotImage, state_machine: M) -> Self {
        let (sinks, events) = channels();
        let (log, recovered) = SimLog::open(log, sinks.log.clone());
        let log = PromptLog { log, stuck: Arc::new(AtomicBool::new(false)) };
        let (snapshots, _) = SimSnapshots::open(snapshots, sinks.snapshots.clone());
        hub.lock().unwrap().insert(id(number), sinks.transport.clone());
        let (accepted_sender, accepted) = mpsc::unbounded_channel();
        let transport = HubTransport { own: id(number), hub: Arc::clone(hub), accepted: accepted_sender };
        let parts = Parts {
            id: id(number),
            options: Options { election_timeout: Duration::from_millis(200), ..crate::support::options() },
            policy: SnapshotPolicy { every_bytes: usize::MAX, alignment: 1 },
            seed: number,
            recovered,
            log: log.clone(),
            transport,
            snapshots: PromptSnapshots(snapshots.clone()),
            state_machine,
        };
        let (handle, task) = start(parts, events).unwrap();
        Self { handle, task, sinks, log, snapshots, accepted }
    }

    fn disk_sticks(&self) {
        self.log.stuck.store(true, Ordering::Relaxed);
    }

    fn disk_recovers(&self) {
        self.log.stuck.store(false, Ordering::Relaxed);
        self.log.run();
    }

    async fn becomes(&self, role: RoleName) {
        soon(self.handle.observe().wait_for(|observed| observed.role == role)).await.unwrap();
    }
}

fn blank(number: u64) -> Running {
    Running::start(number, &Hub::default(), LogImage::default(), SnapshotImage::default(), Ledger::default())
}

/// A cluster of one that leads.
async fn alone() -> Running {
    let node = blank(1);
    soon(node.handle.initialize(voters([1]))).await.unwrap();
    node
}

async fn propose(handle: &NodeHandle<Ledger>, command: &str) -> Result<usize, ProposeError> {
    let command = bytes::Bytes::copy_from_slice(command.as_bytes());
    soon(handle.propose(command)).await.map(|applied| applied.reply)
}

fn commands(ledger: &Ledger) -> Vec<String> {
    ledger.commands.clone()
}

#[tokio::test]
async fn a_cluster_of_one_takes_commands_and_answers_reads() {
    let node = alone().await;
    let handle = &node.handle;
    assert_eq!(propose(handle, "a").await, Ok(1));
    assert_eq!(propose(handle, "b").await, Ok(2));
    for consistency in [Consistency::Linearizable, Consistency::Serializable] {
        assert_eq!(soon(handle.read(consistency, commands)).await.unwrap(), ["a", "b"]);
    }
    let index = soon(handle.read_index()).await.unwrap();
    assert_eq!(index, LogIndex(4), "configuration, no-op, a, b");
    soon(handle.wait_applied(index)).await.unwrap();
    let status = soon(handle.status()).await.unwrap();
    assert_eq!(
        (status.raft.role, status.raft.commit_index, status.applied.index),
        (RoleName::Leader, index, index)
    );
    let again = soon(handle.initialize(voters([1]))).await;
    assert!(matches!(again, Err(ProposeError::AlreadyInitialized { .. })));
}

#[tokio::test]
async fn observers_see_cluster_configuration_role_and_leader() {
    let node = blank(1);
    let mut observed = node.handle.observe();
    let before = observed.borrow_and_update().clone();
    assert_eq!(
        (before.role, before.term, before.leader, before.configuration),
        (RoleName::Follower, Term(0), None, None)
    );
    soon(node.handle.initialize(voters([1]))).await.unwrap();
    let leading = soon(observed.wait_for(|observed| observed.own_term_committed)).await.unwrap().clone();
    assert_eq!((leading.role, leading.term, leading.leader), (RoleName::Leader, Term(2), Some(id(1))));
    assert_eq!(leading.cluster_id, Some(voters([1]).cluster_id()));
    assert_eq!(leading.configuration.as_deref(), Some(&voters([1])));
}

#[tokio::test]
async fn a_batch_keeps_its_order_and_each_command_gets_its_own_reply() {
    let node = alone().await;
    let batch = (0..500).map(|n| Command { head: b"head-".as_slice().into(), body: n.to_string().into() });
    let replies = soon(node.handle.propose_batch(batch.collect())).await;
    let replies: Vec<_> = replies.into_iter().map(|reply| reply.unwrap().reply).collect();
    assert_eq!(replies, (1..=500).collect::<Vec<_>>());
    let commands = soon(node.handle.read(Consistency::Linearizable, commands)).await.unwrap();
    assert_eq!((commands.len(), commands[499].as_str()), (500, "head-499"));
    let blocks = node.log.log.with_durable(|log| log.blocks().count());
    assert!(blocks < 100, "{blocks} blocks: commands that wait together travel together");
}

#[tokio::test]
async fn waiting_for_an_index_ends_when_it_is_applied_and_not_before() {
    let node = alone().await;
    node.disk_sticks();
    let (done, outcome) = tokio::sync::oneshot::channel();
    let command = bytes::Bytes::from_static(b"x");
    soon(node.handle.submit(command.into(), |result| drop(done.send(result)))).await;
    // The first answer may come in the very turn that takes the command, before anything follows from it.
    soon(node.handle.status()).await.unwrap();
    let status = soon(node.handle.status()).await.unwrap();
    assert_eq!((status.raft.last.index, status.applied.index), (LogIndex(3), LogIndex(2)));
    let mut waiting = Box::pin(node.handle.wait_applied(LogIndex(3)));
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("it is not even durable"),
        _ = node.handle.status() => {}
    }
    node.disk_recovers();
    soon(waiting).await.unwrap();
    assert_eq!(soon(outcome).await.unwrap().unwrap().reply, 1);
}

#[tokio::test]
async fn shutdown_answers_everybody_who_waits() {
    let node = alone().await;
    node.disk_sticks();
    let (done, pending) = tokio::sync::oneshot::channel();
    let command = bytes::Bytes::from_static(b"x");
    soon(node.handle.submit(command.into(), |result| drop(done.send(result)))).await;
    let observed = node.handle.observe();
    soon(node.handle.shutdown()).await;
    assert_eq!(soon(pending).await.unwrap().unwrap_err(), ProposeError::Unknown, "it may yet be applied");
    soon(node.task).await.unwrap().unwrap();
    assert_eq!(propose(&node.handle, "late").await, Err(ProposeError::Stopped), "it never will be");
    let late = soon(node.handle.propose_batch(vec![Command::default(), Command::default()])).await;
    assert!(late.iter().all(|result| matches!(result, Err(ProposeError::Stopped))));
    for consistency in [Consistency::Linearizable, Consistency::Serializable] {
        assert_eq!(soon(node.handle.read(consistency, commands)).await, Err(ReadError::Stopped));
    }
    assert_eq!(soon(node.handle.read_index()).await, Err(ReadError::Stopped));
    assert_eq!(soon(node.handle.wait_applied(LogIndex(99))).await, Err(ReadError::Stopped));
    assert_eq!(soon(node.handle.initialize(voters([1]))).await, Err(ProposeError::Stopped));
    assert_eq!(soon(node.handle.status()).await, None);
    assert!(observed.has_changed().is_err(), "observers see that it has ended");
    soon(node.handle.shutdown()).await;
    soon(node.handle.trigger_snapshot()).await;
}

#[tokio::test]
async fn a_read_that_waits_for_a_quorum_is_refused_at_shutdown() {
    let hub = Hub::default();
    let node = Running::start(1, &hub, LogImage::default(), SnapshotImage::default(), Ledger::default());
    let (sender, _never_read) = mpsc::channel(1_000);
    hub.lock().unwrap().insert(id(2), sender);
    let founding = voters([1, 2]);
    let handle = node.handle.clone();
    let initialized = tokio::spawn(async move { handle.initialize(founding).await });
    node.becomes(RoleName::PreCandidate).await;
    let vote = |pre, term| TransportEvent::Message {
        from: id(2),
        message: if pre {
            crate::support::pre_vote_answer(term, true)
        } else {
            crate::support::vote(term, true)
        },
    };
    node.sinks.transport.send(vote(true, 2)).await.unwrap();
    node.sinks.transport.send(vote(false, 2)).await.unwrap();
    node.becomes(RoleName::Leader).await;
    let (done, read) = tokio::sync::oneshot::channel();
    let look =
        |result: Result<(&Ledger, _), ReadError>| drop(done.send(result.map(|(state, _)| commands(state))));
    soon(node.handle.submit_read(Consistency::Linearizable, look)).await;
    soon(node.handle.shutdown()).await;
    assert_eq!(soon(read).await.unwrap(), Err(ReadError::Stopped));
    assert_eq!(soon(initialized).await.unwrap(), Err(ProposeError::Unknown));
}

#[tokio::test]
async fn a_command_that_cannot_be_applied_ends_the_node_with_the_reason() {
    let node = alone().await;
    assert_eq!(propose(&node.handle, "fine").await, Ok(1));
    assert_eq!(propose(&node.handle, POISON).await, Err(ProposeError::Unknown));
    let halt = soon(node.task).await.unwrap().unwrap_err();
    assert!(matches!(halt, Halt::StateMachineFailed { .. }), "{halt}");
    assert_eq!(propose(&node.handle, "late").await, Err(ProposeError::Stopped));
    assert_eq!(soon(node.handle.read(Consistency::Serializable, commands)).await, Err(ReadError::Stopped));
}

#[tokio::test]
async fn a_failed_log_ends_the_node_with_the_reason() {
    let node = alone().await;
    node.log.log.fail(Arc::new(std::io::Error::other("fdatasync: EIO")));
    let halt = soon(node.task).await.unwrap().unwrap_err();
    assert_eq!(halt.to_string(), "log store failed: fdatasync: EIO");
}

#[tokio::test]
async fn a_node_starts_again_from_its_snapshot_and_log() {
    let node = alone().await;
    for command in ["a", "b"] {
        propose(&node.handle, command).await.unwrap();
    }
    soon(node.handle.trigger_snapshot()).await;
    propose(&node.handle, "c").await.unwrap();
    soon(node.handle.shutdown()).await;
    soon(node.task).await.unwrap().unwrap();
    let snapshots = node.snapshots.crash(false);
    assert_eq!(snapshots.files().len(), 1);
    let log = node.log.log.with_durable(LogImage::clone);
    let node = Running::start(1, &Hub::default(), log, snapshots, Ledger::default());
    assert_eq!(soon(node.handle.read(Consistency::Serializable, commands)).await.unwrap()[..2], ["a", "b"]);
    node.becomes(RoleName::Leader).await;
    assert_eq!(propose(&node.handle, "d").await, Ok(4));
    assert_eq!(
        soon(node.handle.read(Consistency::Linearizable, commands)).await.unwrap(),
        ["a", "b", "c", "d"]
    );
}

/// A joint configuration that was left in memory only comes back in a crash: the change is not complete.
#[tokio::test]
async fn a_change_of_several_members_ends_when_the_configuration_that_follows_is_committed() {
    let node = alone().await;
    let mut observed = node.handle.observe();
    soon(node.handle.change_members(vec![put(2, MemberRole::Learner)])).await.unwrap();
    assert!(observed.borrow_and_update().configuration_committed);
    node.disk_sticks();
    let handle = node.handle.clone();
    let changes = vec![remove(2), put(3, MemberRole::Learner)];
    let change = tokio::spawn(async move { handle.change_members(changes).await });
    let begun =
        soon(observed.wait_for(|seen| seen.configuration_index == LogIndex(4))).await.unwrap().clone();
    assert!(!begun.configuration_committed && begun.configuration.unwrap().is_joint());
    node.log.log.run();
    let left = soon(observed.wait_for(|seen| seen.configuration_index == LogIndex(5))).await.unwrap().clone();
    assert!(!left.configuration_committed);
    for _ in 0..10 {
        soon(node.handle.status()).await.unwrap();
    }
    assert!(!change.is_finished());
    node.disk_recovers();
    let id = soon(change).await.unwrap().unwrap();
    assert_eq!((id.index, observed.borrow().configuration_committed), (LogIndex(4), true));
}

/// Proposes at whoever leads until somebody takes it.
async fn propose_somewhere(nodes: &[Running], command: &str) -> usize {
    loop {
        for node in nodes {
            if let Ok(reply) = propose(&node.handle, command).await {
                return reply;
            }
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn three_nodes_replicate_and_survive_the_loss_of_their_leader() {
    let hub = Hub::default();
    let start = |number| {
        Running::start(number, &hub, LogImage::default(), SnapshotImage::default(), Ledger::default())
    };
    let mut nodes: Vec<Running> = (1..=3).map(start).collect();
    let founding = voters(1..=3);
    let founder = nodes[0].handle.clone();
    let configuration = founding.clone();
    let initialized = tokio::spawn(async move { founder.initialize(configuration).await });
    for node in &nodes[1..] {
        let greeted = TransportEvent::Greeted { cluster_id: founding.cluster_id() };
        node.sinks.transport.send(greeted).await.unwrap();
    }
    soon(initialized).await.unwrap().unwrap();
    assert_eq!(soon(propose_somewhere(&nodes, "a")).await, 1);
    let leads = |node: &Running| node.handle.observe().borrow().role == RoleName::Leader;
    let leader = nodes.iter().position(leads).unwrap_or_default();
    let stopped = nodes.remove(leader);
    soon(stopped.handle.shutdown()).await;
    soon(stopped.task).await.unwrap().unwrap();
    assert_eq!(soon(propose_somewhere(&nodes, "b")).await, 2);
    for node in &nodes {
        let last = soon(node.handle.status()).await.unwrap().raft.last.index;
        soon(node.handle.wait_applied(last)).await.unwrap();
        assert_eq!(soon(node.handle.read(Consistency::Serializable, commands)).await.unwrap(), ["a", "b"]);
    }
}

/// A ledger that loads a snapshot only when it is told to.
struct SlowToLoad {
    ledger: Ledger,
    go: Mutex<blocking::Receiver<()>>,
}

impl StateMachine for SlowToLoad {
    type Reply = usize;

    fn apply(&mut self, batch: &[Block], replies: &mut Vec<usize>) -> Result<(), ApplyError> {
        self.ledger.apply(batch, replies)
    }

    fn freeze(&self) -> Box<dyn SnapshotView> {
        self.ledger.freeze()
    }

    fn restore(&mut self, reader: &mut dyn Read) -> Result<(), ApplyError> {
        self.go.lock().unwrap().recv()?;
        self.ledger.restore(reader)
    }
}

/// While a snapshot is loaded the loop goes on; who wants to read meanwhile waits for the state to come back.
#[tokio::test]
async fn a_read_during_the_loading_of_a_snapshot_gets_the_loaded_state() {
    let elsewhere = alone().await;
    for command in ["a", "b"] {
        propose(&elsewhere.handle, command).await.unwrap();
    }
    soon(elsewhere.handle.trigger_snapshot()).await;
    soon(elsewhere.handle.status()).await.unwrap();
    let (info, mut source) = elsewhere.snapshots.source().unwrap();

    let (load, go) = blocking::channel();
    let slow = SlowToLoad { ledger: Ledger::default(), go: Mutex::new(go) };
    let mut node = Running::start(7, &Hub::default(), LogImage::default(), SnapshotImage::default(), slow);
    let cluster_id = voters([1]).cluster_id();
    node.sinks.transport.send(TransportEvent::Greeted { cluster_id }).await.unwrap();
    let offer = SnapshotOffer { info: info.clone(), ..offer(2, info.meta.clone()) };
    let offered =
        TransportEvent::SnapshotOffered { from: id(1), transfer: TransferId(1), offer: offer.clone() };
    node.sinks.transport.send(offered).await.unwrap();
    let mut sink = soon(node.accepted.recv()).await.unwrap();
    sink.have().unwrap();
    for number in 0..info.chunk_count() {
        sink.write_chunk(number, &source.read_chunk(number).unwrap()).unwrap();
    }
    sink.finish().unwrap();
    let received = TransportEvent::SnapshotReceived { from: id(1), offer, complete: true };
    node.sinks.transport.send(received).await.unwrap();
    let installed = async { while node.handle.status().await.unwrap().raft.snapshot != info.meta.last {} };
    soon(installed).await;

    let (done, read) = tokio::sync::oneshot::channel();
    let look = |state: Result<(&SlowToLoad, _), ReadError>| {
        drop(done.send(state.map(|(state, _)| state.ledger.commands.clone())));
    };
    soon(node.handle.submit_read(Consistency::Serializable, look)).await;
    let status = soon(node.handle.status()).await.unwrap();
    assert_eq!(
        (status.raft.commit_index, status.applied.index),
        (LogIndex(4), LogIndex(0)),
        "consensus goes on"
    );
    load.send(()).unwrap();
    assert_eq!(soon(read).await.unwrap().unwrap(), ["a", "b"]);
    soon(node.handle.wait_applied(LogIndex(4))).await.unwrap();
}
