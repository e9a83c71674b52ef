//! Clients over streams in memory, in a time that passes by itself while everybody waits.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kv_client::command::MAX_KEY_BYTES;
use kv_client::protocol::{
    Body, ClientHello, Consistency, PREAMBLE, ProtocolRange, Query, RangeQuery, Refusal, Reply, Request,
    decode_head, encode_head,
};
use raft_core::block::Block;
use raft_core::configuration::{Configuration, Member, MemberRole};
use raft_core::driver::SnapshotPolicy;
use raft_core::message::Message;
use raft_core::node::{self, NodeHandle};
use raft_core::snapshot::{ChunkSink, ChunkSource, SnapshotInfo, SnapshotMeta, SnapshotOffer, SnapshotView};
use raft_core::storage::{LogEvent, LogStore, ReadRequest, Recovered, Sink, SnapshotStore, Write};
use raft_core::transport::{SendError, TransferId, Transport};
use raft_core::{ClusterId, LogIndex, NodeId, Options};
use raft_log::LogStats;
use raft_net::Local;
use raft_net::frame::{FrameDecoder, HEADER_BYTES, WriteBuffer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::limits::{FRAME_TIMEOUT, HELLO_TIMEOUT, REPLY_LIMITS, REQUEST_LIMITS, STALL_TIMEOUT};
use super::*;
use crate::clock::ClusterClock;
use crate::store::Store;

/// Bytes that a stream holds while nobody reads them.
const STREAM_BYTES: usize = 4096;

/// Time that is lost between two tasks.
const SLACK: Duration = Duration::from_secs(2);

/// A log that forgets everything at once and says that it is durable.
struct NoLog(Sink<LogEvent>);

impl LogStore for NoLog {
    fn submit(&mut self, write: Write) {
        (self.0)(LogEvent::Durable(write.id));
    }

    fn read(&mut self, request: ReadRequest) {
        let answer: Vec<Block> = Vec::new();
        (self.0)(LogEvent::Read { id: request.id, answer: Ok(answer) });
    }

    fn compact(&mut self, _through: LogIndex) {}
}

/// A store without snapshots, a network without peers.
struct Nothing;

impl SnapshotStore for Nothing {
    fn latest(&self) -> Option<SnapshotInfo> {
        None
    }

    fn create(&mut self, _meta: SnapshotMeta, _view: Box<dyn SnapshotView>) {}

    fn source(&self) -> Option<(SnapshotInfo, Box<dyn ChunkSource>)> {
        None
    }

    fn sink(&mut self, _offer: &SnapshotOffer) -> Box<dyn ChunkSink> {
        unreachable!("nobody offers a snapshot")
    }

    fn publish(&mut self, _info: SnapshotInfo) {}

    fn reader(&self) -> Option<(SnapshotMeta, Box<dyn Read + Send>)> {
        None
    }
}

impl Transport for Nothing {
    fn send(&mut self, to: NodeId, _message: Message) -> Result<(), SendError> {
        Err(SendError::UnknownPeer { to })
    }

    fn set_configuration(&mut self, _configuration: &Arc<Configuration>) {}

    fn set_cluster(&mut self, _cluster_id: ClusterId) {}

    fn send_snapshot(&mut self, _to: NodeId, _offer: SnapshotOffer, _source: Box<dyn ChunkSource>) {}

    fn accept_snapshot(&mut self, _transfer: TransferId, _sink: Box<dyn ChunkSink>) {}

    fn refuse_snapshot(&mut self, _transfer: TransferId) {}
}

/// A node that is a cluster by itself.
struct Node {
    service: Arc<Service>,
    stopping: watch::Sender<bool>,
}

impl Node {
    async fn start() -> Self {
        let (sinks, events) = node::channels();
        let id = NodeId::new(1).expect("1 is not 0");
        let parts = raft_core::driver::Parts {
            id,
            options: Options::default(),
            policy: SnapshotPolicy::default(),
            seed: 1,
            recovered: Recovered::default(),
            log: NoLog(sinks.log),
            transport: Nothing,
            snapshots: Nothing,
            state_machine: Store::new(),
        };
        let (node, _task) = node::start(parts, events).expect("the options work");
        found(&node, id).await;
        let (stopping, stop) = watch::channel(false);
        let (_, note) = watch::channel(None);
        let local = Local {
            node_id: id,
            name: "n1".to_owned(),
            peer_address: String::new(),
            client_address: String::new(),
            cluster_id: None,
            join: Vec::new(),
        };
        let service = Service::new(Parts {
            node,
            local,
            log: Arc::new(LogStats::default()),
            ancestors: Vec::new(),
            note,
            clock: ClusterClock::default(),
            request_timeout: Duration::from_secs(10),
            max_clients: 1,
            budget: Budget::new(0),
            election_timeout: Duration::from_millis(500),
            stopping: stop,
        });
        Self { service: Arc::new(service), stopping }
    }

    /// A client's end of a stream, and how the node's end will end.
    fn dial(&self) -> (DuplexStream, JoinHandle<Result<(), ConnectionError>>) {
        let (client, server) = duplex(STREAM_BYTES);
        let serving =
            serve(Box::new(server), Room::Free, Arc::clone(&self.service), self.stopping.subscribe());
        (client, tokio::spawn(serving))
    }

    /// The same, introduced.
    async fn connect(&self) -> (DuplexStream, JoinHandle<Result<(), ConnectionError>>) {
        let (mut client, served) = self.dial();
        let hello = encode_head(&ClientHello { protocol: ProtocolRange::OURS, credentials: None });
        client.write_all(&PREAMBLE).await.expect("the node reads");
        client.write_all(&frame(&hello)).await.expect("the node reads");
        let mut preamble = [0; PREAMBLE.len()];
        client.read_exact(&mut preamble).await.expect("the node writes");
        assert_eq!(preamble, PREAMBLE);
        next_frame(&mut client).await;
        (client, served)
    }
}

async fn found(node: &NodeHandle<Store>, id: NodeId) {
    let member = Member {
        id,
        role: MemberRole::Voter,
        newest_version: 1,
        name: "n1".to_owned(),
        peer_address: String::new(),
        client_address: String::new(),
    };
    let configuration = Configuration::new(1, vec![member]).expect("one voter");
    node.initialize(configuration).await.expect("nothing is there yet");
}

fn frame(head: &[u8]) -> Vec<u8> {
    let mut out = WriteBuffer::new(REPLY_LIMITS);
    let none: [&Bytes; 0] = [];
    out.push(head, none).expect("within the limits");
    out.copy_to_bytes(out.remaining()).to_vec()
}

async fn next_frame(client: &mut (impl AsyncRead + Unpin)) -> Bytes {
    let (mut inbox, mut decoder) = (BytesMut::new(), FrameDecoder::new(REPLY_LIMITS));
    loop {
        if let Some(frame) = decoder.decode(&mut inbox).expect("frames") {
            return frame.head;
        }
        assert_ne!(client.read_buf(&mut inbox).await.expect("the node writes"), 0, "closed");
    }
}

/// A read that waits for a revision that does not come, or for none.
fn read(id: u64, min_revision: u64, deadline_ms: u32) -> Vec<u8> {
    let query = Query::Get { key: b"key".to_vec() };
    let body = Body::Read { consistency: Consistency::Serializable, min_revision, query };
    frame(&encode_head(&Request { id, deadline_ms, body }))
}

async fn reply(client: &mut (impl AsyncRead + Unpin)) -> Reply {
    decode_head(&next_frame(client).await).expect("a reply")
}

#[track_caller]
fn about(elapsed: Duration, expected: Duration) {
    assert!(expected <= elapsed && elapsed < expected + SLACK, "after {elapsed:?}, expected {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_introduce_itself_is_given_up() {
    let node = Node::start().await;
    let began = Instant::now();
    let (mut client, served) = node.dial();
    client.write_all(&PREAMBLE[..2]).await.unwrap();
    let ended = served.await.unwrap();
    assert!(matches!(ended, Err(ConnectionError::NoHello(_))), "{ended:?}");
    about(began.elapsed(), HELLO_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_in_the_middle_of_a_frame_is_given_up() {
    let node = Node::start().await;
    let (mut client, served) = node.connect().await;
    let request = read(1, 0, 0);
    client.write_all(&request[..request.len() - 1]).await.unwrap();
    let began = Instant::now();
    let ended = served.await.unwrap();
    assert!(matches!(ended, Err(ConnectionError::Stalled(_))), "{ended:?}");
    about(began.elapsed(), STALL_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_answers_is_given_up() {
    let node = Node::start().await;
    let (mut client, served) = node.connect().await;
    let began = Instant::now();
    for id in 0.. {
        // Once the answers fill the stream, the node stops reading, too.
        let request = read(id, 0, 0);
        if timeout(Duration::from_secs(1), client.write_all(&request)).await.is_err() {
            break;
        }
    }
    let ended = served.await.unwrap();
    assert!(matches!(ended, Err(ConnectionError::Stalled(_))), "{ended:?}");
    about(began.elapsed(), STALL_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_a_request_byte_by_byte_is_given_up() {
    let node = Node::start().await;
    let (mut client, served) = node.connect().await;
    let began = Instant::now();
    for byte in read(1, 0, 0) {
        // Too fast for a stall. An error is told by how the connection ended.
        drop(client.write_all(&[byte]).await);
        sleep(STALL_TIMEOUT / 4).await;
    }
    let ended = served.await.unwrap();
    assert!(matches!(ended, Err(ConnectionError::TooSlow(_))), "{ended:?}");
    let header = u32::try_from(HEADER_BYTES).expect("it is short") * STALL_TIMEOUT / 4;
    assert!(began.elapsed() >= FRAME_TIMEOUT + header - STALL_TIMEOUT / 4);
}

/// A write of so many bytes, which no proper client would send.
fn long_write(id: u64, bytes: usize) -> Vec<u8> {
    let mut out = WriteBuffer::new(REQUEST_LIMITS);
    let head = encode_head(&Request { id, deadline_ms: 0, body: Body::Write { tag: None } });
    out.push(&head, [&Bytes::from(vec![0; bytes])]).expect("within the limits");
    out.copy_to_bytes(out.remaining()).to_vec()
}

/// A read of a whole range that does not come, with the longest keys.
fn long_read(id: u64, deadline_ms: u32) -> Vec<u8> {
    let key = || vec![b'k'; MAX_KEY_BYTES];
    let range = RangeQuery { start: key(), end: key(), after: key(), ..RangeQuery::default() };
    let (consistency, query) = (Consistency::Serializable, Query::Range(range));
    frame(&encode_head(&Request {
        id,
        deadline_ms,
        body: Body::Read { consistency, min_revision: 99, query },
    }))
}

#[tokio::test(start_paused = true)]
async fn a_request_is_not_read_before_there_is_memory_for_it_and_others_go_on() {
    let node = Node::start().await;
    let (mut greedy, _served) = node.connect().await;
    let (patient, _served) = node.connect().await;
    let (mut small, _served) = node.connect().await;
    let began = Instant::now();
    let held = LARGEST_FRAME / 2 / long_read(0, 3_000).len();
    for id in 0..held as u64 {
        greedy.write_all(&long_read(id, 3_000)).await.unwrap();
    }
    small.write_all(&read(1, 0, 0)).await.unwrap();
    assert!(reply(&mut small).await.result.is_ok(), "there is room for a small one");

    let write = long_write(1, LARGEST_FRAME * 3 / 4);
    let (mut patient, mut out) = split(patient);
    let writing = tokio::spawn(async move { out.write_all(&write).await });
    sleep(Duration::from_secs(2)).await;
    assert!(!writing.is_finished(), "nobody reads the body");
    writing.await.unwrap().unwrap();
    about(began.elapsed(), Duration::from_secs(3));
    let answer = reply(&mut patient).await;
    assert!(matches!(answer.result, Err(Refusal::BadRequest(_))), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_nothing_to_say_may_stay() {
    let node = Node::start().await;
    let (mut client, served) = node.connect().await;
    sleep(20 * STALL_TIMEOUT).await;
    client.write_all(&read(7, 0, 0)).await.unwrap();
    let answer = reply(&mut client).await;
    assert!(answer.id == 7 && answer.result.is_ok(), "{answer:?}");
    drop(client);
    assert!(served.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn each_request_is_answered_at_its_own_deadline() {
    let node = Node::start().await;
    let (mut client, _served) = node.connect().await;
    let began = Instant::now();
    for (id, deadline_ms) in [(1, 8_000), (2, 2_000), (3, 5_000), (4, 0)] {
        client.write_all(&read(id, 99, deadline_ms)).await.unwrap();
    }
    for (id, expected) in [(2, 2), (3, 5), (1, 8), (4, 10)] {
        let answer = reply(&mut client).await;
        let refusal = Refusal::RevisionNotReached { wanted: 99, found: 1 };
        assert_eq!((answer.id, answer.result), (id, Err(refusal)));
        about(began.elapsed(), Duration::from_secs(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_answers_what_waits_before_it_closes() {
    let node = Node::start().await;
    let (mut client, served) = node.connect().await;
    client.write_all(&read(1, 99, 3_000)).await.unwrap();
    sleep(Duration::from_millis(10)).await;
    node.stopping.send_replace(true);
    let answer = reply(&mut client).await;
    assert_eq!(answer.id, 1);
    assert!(served.await.unwrap().is_ok());
    assert_eq!(client.read(&mut [0; 16]).await.unwrap(), 0, "closed");
}
