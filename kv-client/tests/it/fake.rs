//! A fake cluster: nodes that speak the protocol over any stream and share one store, and a script that tells them
//! what to do with each request.

mod store;

use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use kv_client::command::SessionTag;
use kv_client::protocol::{
    Answer, Body, Consistency, HelloRefusal, Leader, LogStatus, Member, MemberRole, MemberStatus, NodeStatus,
    PREAMBLE, Refusal, Reply, Request, Role, ServerHello, StateHash, StoreStatus, Welcome, decode_head,
    encode_head,
};
use kv_client::{BoxStream, ByteStream, Client, Connector, FRAME_LIMITS, Options};
use raft_net::frame::{FrameDecoder, WriteBuffer};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::sync::{mpsc, oneshot, watch};

use self::store::Store;

pub(crate) const CLUSTER_ID: u128 = 0xc1;

/// Small, so that a node that does not read soon stalls its client.
const STREAM_BYTES: usize = 4096;

/// What a node does with a request.
pub(crate) enum Action {
    /// What a good node does.
    Serve,
    /// Refuses it.
    Refuse(Refusal),
    /// Does it, and keeps quiet about it.
    ServeSilently,
    /// Does it and closes the connection before it replies.
    ServeAndClose,
    /// Nothing, for ever.
    Ignore,
    /// Closes the connection instead.
    Close,
    /// Serves it when the test [releases](Fake::release) it.
    Hold,
    /// Replies this instead.
    Say(Answer),
}

/// A request that a node has received.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) node: usize,
    pub(crate) request: Request,
    pub(crate) command: Bytes,
}

impl Seen {
    pub(crate) fn tag(&self) -> Option<SessionTag> {
        match self.request.body {
            Body::Write { tag } => tag,
            _ => None,
        }
    }

    /// A write in a session, not one that opens or closes one.
    pub(crate) fn is_tagged(&self) -> bool {
        self.tag().is_some()
    }
}

type Script = Box<dyn FnMut(&Seen) -> Action + Send>;

/// Clones are the same cluster.
#[derive(Clone)]
pub(crate) struct Fake {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    seen: watch::Sender<Vec<Seen>>,
    deaf: watch::Sender<bool>,
    hung_up: watch::Sender<()>,
}

pub(crate) struct State {
    pub(crate) nodes: Vec<FakeNode>,
    pub(crate) leader: Option<usize>,
    pub(crate) store: Store,
    /// Streams asked for, by node.
    pub(crate) dials: Vec<usize>,
    script: Script,
    held: Vec<oneshot::Sender<()>>,
}

pub(crate) struct FakeNode {
    pub(crate) address: String,
    pub(crate) reachability: Reachability,
    pub(crate) cluster_id: u128,
    pub(crate) refusal: Option<HelloRefusal>,
    pub(crate) state_hash: String,
    pub(crate) note: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reachability {
    Up,
    /// Connections are refused.
    Down,
    /// Connections are never answered.
    BlackHole,
    /// Something else listens there.
    WebServer,
}

impl Fake {
    /// A cluster of nodes with these addresses, led by the first.
    pub(crate) fn new(addresses: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let node = |address: String| FakeNode {
            address,
            reachability: Reachability::Up,
            cluster_id: CLUSTER_ID,
            refusal: None,
            state_hash: "ab".repeat(16),
            note: None,
        };
        let state = State {
            nodes: addresses.into_iter().map(Into::into).map(node).collect(),
            leader: Some(0),
            store: Store::default(),
            dials: Vec::new(),
            script: Box::new(|_| Action::Serve),
            held: Vec::new(),
        };
        let (seen, deaf, hung_up) = Default::default();
        Self { shared: Arc::new(Shared { state: Mutex::new(state), seen, deaf, hung_up }) }
    }

    /// Three nodes in memory: `n0`, which leads, `n1` and `n2`.
    pub(crate) fn three() -> Self {
        Self::new(["n0", "n1", "n2"])
    }

    pub(crate) fn client(&self, endpoints: &[&str]) -> Client {
        self.client_with(endpoints, Options::default())
    }

    pub(crate) fn client_with(&self, endpoints: &[&str], options: Options) -> Client {
        Client::with_connector(endpoints, options, self.clone()).unwrap()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    /// From now on `script` says what happens to each request but those for members, which are always served.
    pub(crate) fn script(&self, script: impl FnMut(&Seen) -> Action + Send + 'static) {
        self.state().script = Box::new(script);
    }

    /// Whether the nodes leave what they are sent unread.
    pub(crate) fn deaf(&self, deaf: bool) {
        self.shared.deaf.send_replace(deaf);
    }

    /// Closes all connections.
    pub(crate) fn hang_up(&self) {
        self.shared.hung_up.send_replace(());
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.borrow().clone()
    }

    /// The tags of the writes seen so far.
    pub(crate) fn tags(&self) -> Vec<SessionTag> {
        self.seen().iter().filter_map(Seen::tag).collect()
    }

    /// Waits until this many requests were seen.
    pub(crate) async fn wait_for(&self, count: usize) {
        self.shared.seen.subscribe().wait_for(|seen| seen.len() >= count).await.unwrap();
    }

    /// Serves the requests that are held, the newest first.
    pub(crate) fn release(&self) {
        let held = std::mem::take(&mut self.state().held);
        for release in held.into_iter().rev() {
            release.send(()).unwrap();
        }
    }

    pub(crate) async fn serve(self, node: usize, stream: impl ByteStream) {
        let (mut reader, mut writer) = split(stream);
        let mut preamble = [0; PREAMBLE.len()];
        if reader.read_exact(&mut preamble).await.is_err() {
            return;
        }
        assert_eq!(preamble, PREAMBLE);
        if writer.write_all(&PREAMBLE).await.is_err() {
            return;
        }
        let (mut decoder, mut buffer) = (FrameDecoder::new(FRAME_LIMITS), BytesMut::new());
        let mut out = WriteBuffer::new(FRAME_LIMITS);
        let (replies, mut replied) = mpsc::unbounded_channel();
        let mut deaf = self.shared.deaf.subscribe();
        let mut hung_up = self.shared.hung_up.subscribe();
        let mut greeted = false;
        loop {
            tokio::select! {
                Some((head, tail)) = replied.recv() => {
                    let (head, tail): (Vec<u8>, Bytes) = (head, tail);
                    if head.is_empty() {
                        return;
                    }
                    out.push(&head, [&tail]).unwrap();
                    if writer.write_all_buf(&mut out).await.is_err() {
                        return;
                    }
                    continue;
                }
                _ = hung_up.changed() => return,
                read = async {
                    deaf.wait_for(|deaf| !deaf).await.unwrap();
                    reader.read_buf(&mut buffer).await
                } => {
                    if !read.is_ok_and(|count| count > 0) {
                        return;
                    }
                }
            }
            while let Some(frame) = decoder.decode(&mut buffer).unwrap() {
                if greeted {
                    let request = decode_head(&frame.head).unwrap();
                    self.receive(Seen { node, request, command: frame.tail }, &replies);
                } else {
                    greeted = true;
                    replies.send((encode_head(&self.hello(node)), Bytes::new())).unwrap();
                }
            }
        }
    }

    fn hello(&self, node: usize) -> ServerHello {
        let state = self.state();
        let FakeNode { cluster_id, refusal, .. } = &state.nodes[node];
        match refusal {
            Some(refusal) => ServerHello::Refused(refusal.clone()),
            None => ServerHello::Welcome(Welcome {
                protocol: 1,
                cluster_id: Some(*cluster_id),
                node_id: node as u64 + 1,
                name: format!("n{node}"),
            }),
        }
    }

    fn receive(&self, seen: Seen, replies: &mpsc::UnboundedSender<(Vec<u8>, Bytes)>) {
        if seen.request.body == Body::Members {
            let reply = self.state().reply(&seen);
            return replies.send(reply).unwrap_or_default();
        }
        let action = (self.state().script)(&seen);
        self.shared.seen.send_modify(|all| all.push(seen.clone()));
        let close = || replies.send((Vec::new(), Bytes::new())).unwrap();
        let id = seen.request.id;
        match action {
            Action::Serve => replies.send(self.state().reply(&seen)).unwrap(),
            Action::Refuse(refusal) => replies.send((reply(id, 0, 0, Err(refusal)), Bytes::new())).unwrap(),
            Action::Say(answer) => replies.send((reply(id, 0, 0, Ok(answer)), Bytes::new())).unwrap(),
            Action::ServeSilently => drop(self.state().reply(&seen)),
            Action::ServeAndClose => {
                self.state().reply(&seen);
                close();
            }
            Action::Ignore => {}
            Action::Close => close(),
            Action::Hold => {
                let (release, released) = oneshot::channel();
                self.state().held.push(release);
                let (fake, replies) = (self.clone(), replies.clone());
                tokio::spawn(async move {
                    released.await.unwrap();
                    replies.send(fake.state().reply(&seen)).unwrap();
                });
            }
        }
    }
}

fn reply(id: u64, revision: u64, index: u64, result: Result<Answer, Refusal>) -> Vec<u8> {
    encode_head(&Reply { id, revision, term: 1, index, result })
}

impl State {
    /// What a good node does.
    fn reply(&mut self, seen: &Seen) -> (Vec<u8>, Bytes) {
        let leads = self.leader == Some(seen.node);
        let served = match &seen.request.body {
            Body::Read { consistency: Consistency::Serializable, query, .. } => Ok(self.store.read(query)),
            Body::Status => Ok((Answer::Status, self.status(seen.node).encode().into())),
            Body::Members => Ok((Answer::Members(self.members()), Bytes::new())),
            Body::Write { tag } if leads => {
                Ok((Answer::Applied(self.store.write(*tag, &seen.command)), Bytes::new()))
            }
            Body::Read { query, .. } if leads => Ok(self.store.read(query)),
            Body::ChangeMembers { .. } if leads => Ok((Answer::MembersChanged, Bytes::new())),
            _ => Err(self.not_leader()),
        };
        let (result, tail) = match served {
            Ok((answer, tail)) => (Ok(answer), tail),
            Err(refusal) => (Err(refusal), Bytes::new()),
        };
        (reply(seen.request.id, self.store.revision, self.store.index, result), tail)
    }

    fn not_leader(&self) -> Refusal {
        self.leader.map_or(Refusal::NoLeader, |at| {
            let leader = Leader { id: at as u64 + 1, client_address: self.nodes[at].address.clone() };
            Refusal::NotLeader { leader: Some(leader) }
        })
    }

    fn members(&self) -> Vec<Member> {
        let member = |(at, node): (usize, &FakeNode)| Member {
            id: at as u64 + 1,
            name: format!("n{at}"),
            voter: true,
            peer_address: format!("{}-peer", node.address),
            client_address: node.address.clone(),
        };
        self.nodes.iter().enumerate().map(member).collect()
    }

    fn status(&self, at: usize) -> NodeStatus {
        let member = |member: Member| MemberStatus {
            node_id: format!("{:016x}", member.id),
            name: member.name,
            voter: member.voter,
            peer_address: member.peer_address,
            client_address: member.client_address,
            role: MemberRole::Voter,
            newest_version: 1,
            ..MemberStatus::default()
        };
        let (members, index) = (self.members(), self.store.index);
        NodeStatus {
            cluster_id: Some(format!("{CLUSTER_ID:032x}")),
            node_id: format!("{:016x}", members[at].id),
            name: members[at].name.clone(),
            peer_address: members[at].peer_address.clone(),
            client_address: members[at].client_address.clone(),
            role: if self.leader == Some(at) { Role::Leader } else { Role::Follower },
            term: 1,
            log: LogStatus {
                last_index: index,
                commit_index: index,
                applied_index: index,
                syncs: 5,
                entries_written: 7,
                ..LogStatus::default()
            },
            store: StoreStatus {
                revision: self.store.revision,
                keys: self.store.pairs.len() as u64,
                state_hash: StateHash { index, hash: self.nodes[at].state_hash.clone() },
                ..StoreStatus::default()
            },
            members: members.into_iter().map(member).collect(),
            note: self.nodes[at].note.clone(),
            ..NodeStatus::default()
        }
    }
}

#[async_trait]
impl Connector for Fake {
    async fn connect(&self, address: &str) -> io::Result<BoxStream> {
        let (at, reachability) = {
            let mut state = self.state();
            let at = state.nodes.iter().position(|node| node.address == address);
            let at = at.ok_or(io::ErrorKind::AddrNotAvailable)?;
            state.dials.push(at);
            (at, state.nodes[at].reachability)
        };
        let (near, mut far) = tokio::io::duplex(STREAM_BYTES);
        match reachability {
            Reachability::Up => drop(tokio::spawn(self.clone().serve(at, far))),
            Reachability::Down => return Err(io::ErrorKind::ConnectionRefused.into()),
            Reachability::BlackHole => std::future::pending().await,
            Reachability::WebServer => {
                far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?;
                tokio::spawn(async move { far.read_to_end(&mut Vec::new()).await });
            }
        }
        Ok(Box::new(near))
    }
}
