//! What the tasks of one transport share: the directory, the connections both ways, the way to the node.
//!
//! Tasks hold the whole by [`Arc`]; it holds the tethers of the tasks. [`Shared::shut_down`] breaks that circle.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use raft_core::configuration::Configuration;
use raft_core::message::Message;
use raft_core::rng::Rng;
use raft_core::transport::{SendError, TransportEvent};
use raft_core::types::{ClusterId, NodeId};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::transport::connector::Connector;
use crate::transport::directory::Directory;
use crate::transport::error::ConnectionError;
use crate::transport::handshake::exchange::Welcome;
use crate::transport::handshake::{Hello, Lane, Local, Refusal};
use crate::transport::lane_queue::Rejected;
use crate::transport::link::Link;
use crate::transport::notebook::Notebook;
use crate::transport::options::Options;
use crate::transport::snapshot_transfer::Transfers;
use crate::transport::statistics::Statistics;
use crate::transport::tether::{Leash, Tether, tether};

/// Greetings that are kept open; the oldest makes room for a newer one.
const MAX_GREETINGS: usize = 64;

/// Shared by all tasks of a transport.
pub(crate) struct Shared {
    pub options: Options,
    pub connector: Arc<dyn Connector>,
    pub statistics: Arc<Statistics>,
    pub runtime: Handle,
    events: mpsc::Sender<TransportEvent>,
    state: Mutex<State>,
}

/// Behind the lock: held for a few map operations, never across a wait.
pub(crate) struct State {
    pub directory: Directory,
    pub transfers: Transfers,
    links: BTreeMap<NodeId, PeerLinks>,
    guests: BTreeMap<(NodeId, Lane), Seat>,
    seats_given: u64,
    notebook: Notebook,
    rng: Rng,
    shut_down: bool,
}

/// The outgoing connections to one peer.
struct PeerLinks {
    address: String,
    control: Link,
    append: Link,
}

/// The place of an incoming connection; one for each caller and lane.
struct Seat {
    number: u64,
    cluster_id: Option<ClusterId>,
    _tether: Tether,
}

/// An admitted incoming connection. Gives its seat up when dropped.
pub(crate) struct Guest {
    shared: Arc<Shared>,
    key: (NodeId, Lane),
    number: u64,
    /// The cluster of the caller, if this node has none of its own yet: to be reported before any message.
    pub greeted: Option<ClusterId>,
    /// Cut when a newer connection takes the seat, or the caller is no longer wanted.
    pub leash: Leash,
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.shared.leave(self.key, self.number);
    }
}

impl Shared {
    pub(crate) fn new(
        local: Local,
        options: Options,
        connector: Arc<dyn Connector>,
        events: mpsc::Sender<TransportEvent>,
    ) -> Arc<Self> {
        let rng = Rng::new(options.jitter_seed ^ local.node_id.get());
        let state = State {
            directory: Directory::new(local),
            transfers: Transfers::default(),
            links: BTreeMap::new(),
            guests: BTreeMap::new(),
            seats_given: 0,
            notebook: Notebook::default(),
            rng,
            shut_down: false,
        };
        let (statistics, runtime) = (Arc::default(), Handle::current());
        Arc::new(Self { options, connector, statistics, runtime, events, state: Mutex::new(state) })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the lock")
    }

    pub(crate) fn hello(&self, lane: Lane, receiver: Option<NodeId>) -> Hello {
        self.state().directory.local().hello(lane, receiver)
    }

    /// Hands an event to the node, waiting until it has room.
    pub(crate) async fn report(&self, event: TransportEvent) -> Result<(), ConnectionError> {
        self.events.send(event).await.map_err(|_receiver_gone| ConnectionError::NodeStopped)
    }

    /// Hands an event to the node from where nothing may wait.
    pub(crate) fn report_soon(self: &Arc<Self>, event: TransportEvent) {
        let shared = Arc::clone(self);
        self.runtime.spawn(async move {
            if let Err(error) = shared.report(event).await {
                tracing::debug!(%error, "event dropped");
            }
        });
    }

    /// Whether `note` about `subject` is worth a line: it is not what was said last.
    pub(crate) fn is_news(&self, subject: &str, note: String) -> bool {
        self.state().notebook.is_news(subject, note)
    }

    /// Judges a caller and, if it is admitted, gives it the seat of its node and lane, in place of an older
    /// connection.
    pub(crate) fn admit(self: &Arc<Self>, caller: &Hello) -> Result<Welcome<Guest>, Refusal> {
        let (id, lane) = (caller.opening.node.id, caller.body.lane);
        let mut state = self.state();
        let receiver = state.directory.receiver();
        let objection = match lane {
            Lane::Greeting => receiver.objection(caller),
            Lane::Control | Lane::Append | Lane::Snapshot => receiver.admit(caller).map(|()| None)?,
        };
        if objection.is_none() {
            state.notebook.forget(&id.to_string());
        }
        if lane == Lane::Greeting {
            state.make_room_for_greeting();
        }
        let greeted = state.directory.learn(caller);
        let (tether, leash) = tether();
        state.seats_given += 1;
        let (key, number) = ((id, lane), state.seats_given);
        let seat = Seat { number, cluster_id: caller.body.cluster_id, _tether: tether };
        state.guests.insert(key, seat);
        self.connect_peers(&mut state);
        let hello = state.directory.local().hello(lane, Some(id)).body;
        let admitted = Guest { shared: Arc::clone(self), key, number, greeted, leash };
        Ok(Welcome { admitted, hello, objection })
    }

    fn leave(self: &Arc<Self>, key: (NodeId, Lane), number: u64) {
        let mut state = self.state();
        if state.guests.get(&key).is_some_and(|seat| seat.number == number) {
            state.guests.remove(&key);
        }
        let (id, _) = key;
        let connected = |&(guest, lane): &(NodeId, Lane)| guest == id && lane != Lane::Greeting;
        if !state.guests.keys().any(connected) {
            state.directory.forget(id);
            self.connect_peers(&mut state);
        }
    }

    pub(crate) fn set_configuration(self: &Arc<Self>, configuration: &Arc<Configuration>) {
        let mut state = self.state();
        let removed = state.directory.set_configuration(configuration);
        state.guests.retain(|(id, _), _| !removed.contains(id));
        for id in removed {
            state.transfers.cancel(id);
        }
        self.connect_peers(&mut state);
    }

    /// Greetings that said "no cluster" end, so that whoever greeted asks again.
    pub(crate) fn set_cluster(self: &Arc<Self>, cluster_id: ClusterId) {
        let mut state = self.state();
        let news = state.directory.local().cluster_id != Some(cluster_id);
        state.directory.set_cluster(cluster_id);
        state.guests.retain(|(_, lane), seat| match lane {
            Lane::Greeting => !news,
            Lane::Control | Lane::Append | Lane::Snapshot => {
                seat.cluster_id.is_none_or(|other| other == cluster_id)
            }
        });
        self.connect_peers(&mut state);
    }

    /// Makes the links fit the directory: one of each lane to each peer at its address.
    fn connect_peers(self: &Arc<Self>, state: &mut State) {
        if state.shut_down {
            return;
        }
        let State { directory, links, rng, .. } = state;
        let addresses = directory.addresses();
        links.retain(|&peer, links| {
            let stays = addresses.get(&peer) == Some(&links.address);
            if !stays && links.control.close() + links.append.close() > 0 {
                self.report_soon(TransportEvent::Unreachable { peer });
            }
            stays
        });
        for (peer, address) in addresses {
            links.entry(peer).or_insert_with(|| {
                let mut link = |lane| Link::spawn(self, peer, &address, lane, Rng::new(rng.next_u64()));
                PeerLinks {
                    control: link(Lane::Control),
                    append: link(Lane::Append),
                    address: address.clone(),
                }
            });
        }
    }

    /// Ends every task. Nothing is connected from then on.
    pub(crate) fn shut_down(&self) {
        let mut state = self.state();
        state.shut_down = true;
        state.links.clear();
        state.guests.clear();
        state.transfers = Transfers::default();
    }
}

impl State {
    /// Anybody may greet: the connections that greeters keep open must not use up those of the peers.
    fn make_room_for_greeting(&mut self) {
        let greetings = self.guests.iter().filter(|((_, lane), _)| *lane == Lane::Greeting);
        if greetings.clone().count() >= MAX_GREETINGS
            && let Some((&oldest, _)) = greetings.min_by_key(|(_, seat)| seat.number)
        {
            self.guests.remove(&oldest);
        }
    }

    /// Queues a message for a peer.
    pub(crate) fn send(&self, to: NodeId, message: Message) -> Result<(), SendError> {
        let links = self.links.get(&to).ok_or(SendError::UnknownPeer { to })?;
        let link = match message {
            Message::AppendEntries(_) => &links.append,
            _ => &links.control,
        };
        link.push(message).map_err(|Rejected| SendError::Unavailable { to })
    }

    /// Where a peer is reached.
    pub(crate) fn address_of(&self, peer: NodeId) -> Option<String> {
        self.links.get(&peer).map(|links| links.address.clone())
    }
}
