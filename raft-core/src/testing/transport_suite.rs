//! The conformance suite of [`Transport`]: each sentence of its contract, put to the test.
//!
//! An implementer writes a [`TransportHarness`], a few lines that start nodes, cut them off from each other and collect what
//! they are told, and calls [`check_transport`]. The suite plays drivers: it sends messages and snapshots between up to
//! three nodes and looks at what arrives.

mod files;
mod messages;
mod snapshots;

use std::fmt;
use std::sync::Arc;

use super::suite::SuiteFailure;
use crate::configuration::{Configuration, Member, MemberRole};
use crate::message::{AppendEntries, Heartbeat, Message};
use crate::time::Time;
use crate::transport::{SendError, Transport, TransportEvent};
use crate::types::{ClusterId, EntryId, LogIndex, NodeId, Term};
use crate::{BlockBuilder, EntryKind};

/// How the suite handles one implementation. A harness stands for one network, without nodes at first; the suite asks for
/// many.
pub trait TransportHarness {
    /// The implementation.
    type Transport: Transport;

    /// Starts node `number`, 1 to 3, of this cluster, or of none. It has no configuration yet.
    fn start(&mut self, number: u64, cluster_id: Option<ClusterId>);

    /// The name and the addresses by which others know node `number`; ids and roles are the suite's.
    fn addresses(&self, number: u64) -> [String; 3];

    /// The transport of node `number`, which was started.
    fn transport(&mut self, number: u64) -> &mut Self::Transport;

    /// Lets everything happen that is under way: connections are made, queues run empty, transfers end, nothing that still
    /// could arrive is missing.
    fn run(&mut self);

    /// What node `number` was told since last asked, in order.
    fn events(&mut self, number: u64) -> Vec<TransportEvent>;

    /// From now on nothing moves between these nodes; or, `whole`, everything does again.
    fn set_link(&mut self, one: u64, other: u64, whole: bool);
}

/// A sentence of the contract of [`Transport`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TransportSentence {
    /// Messages are what they were.
    Unaltered,
    /// And from whom.
    Sender,
    /// Clusters are apart.
    OtherCluster,
    /// Where nothing is lost, everything arrives.
    Arrives,
    /// What does not fit.
    Bounded,
    /// What was lost.
    Told,
    /// Votes before entries.
    Lanes,
    /// Who is nobody.
    UnknownPeer,
    /// Nodes without a cluster.
    Greeted,
    /// Whole files.
    FileArrives,
    /// Ends of transfers.
    EndsOnce,
    /// Truth about them.
    TruthfulEnd,
    /// One at a time.
    OneAtATime,
}

impl fmt::Display for TransportSentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unaltered => "a message is never altered",
            Self::Sender => "a message is never delivered under another sender's name",
            Self::OtherCluster => "a message is never delivered from another cluster",
            Self::Arrives => "messages between connected members arrive",
            Self::Bounded => "queues are bounded",
            Self::Told => "what does not fit or cannot arrive is told by SendError or Unreachable",
            Self::Lanes => "votes, heartbeats and answers do not queue behind entries",
            Self::UnknownPeer => "a peer of which no address is known is UnknownPeer",
            Self::Greeted => "a node of no cluster is greeted before it is told anything else",
            Self::FileArrives => "an accepted transfer moves what the peer lacks, and finishes the sink",
            Self::EndsOnce => {
                "exactly one SnapshotSent follows each send_snapshot, one SnapshotReceived each accept_snapshot"
            }
            Self::TruthfulEnd => "complete means that the sink holds the whole file and has finished",
            Self::OneAtATime => "at most one transfer to a peer at a time: a second call fails at once",
        })
    }
}

/// What the suite found wrong.
pub type TransportFailure = SuiteFailure<TransportSentence>;

type Checked = Result<(), TransportFailure>;

/// Runs the whole suite. `fresh` makes a harness over an empty network.
///
/// # Errors
/// The first sentence that the transport breaks, and how.
pub fn check_transport<H: TransportHarness>(mut fresh: impl FnMut() -> H) -> Result<(), TransportFailure> {
    messages::check(&mut fresh)?;
    snapshots::check(&mut fresh)
}

const CLUSTER: ClusterId = ClusterId(0x5eed);
const ELSEWHERE: ClusterId = ClusterId(0xe15e);

fn id(number: u64) -> NodeId {
    NodeId::new(number).expect("nodes are numbered from 1")
}

/// A network under test.
struct Session<H> {
    name: String,
    harness: H,
}

impl<H: TransportHarness> Session<H> {
    fn new(name: &str, harness: H) -> Self {
        Self { name: name.to_owned(), harness }
    }

    /// Nodes `1..=count`, members of one cluster that are connected.
    fn cluster(name: &str, harness: H, count: u64) -> Self {
        let mut session = Self::new(name, harness);
        for number in 1..=count {
            session.harness.start(number, Some(CLUSTER));
        }
        for number in 1..=count {
            session.configure(number, 1..=count);
        }
        session.quiet();
        session
    }

    fn failure(&self, sentence: TransportSentence, found: impl Into<String>) -> TransportFailure {
        TransportFailure { sentence, check: self.name.clone(), found: found.into() }
    }

    /// Tells node `number` that these are the members.
    fn configure(&mut self, number: u64, members: impl IntoIterator<Item = u64>) {
        let members = members.into_iter().map(|number| {
            let [name, peer_address, client_address] = self.harness.addresses(number);
            let (id, role, newest_version) = (id(number), MemberRole::Voter, 1);
            Member { id, role, newest_version, name, peer_address, client_address }
        });
        let configuration = Configuration::new(1, members.collect()).expect("distinct voters");
        self.harness.transport(number).set_configuration(&Arc::new(configuration));
    }

    fn send(&mut self, from: u64, to: u64, message: Message) -> Result<(), SendError> {
        self.harness.transport(from).send(id(to), message)
    }

    /// Sends what must fit.
    fn must_send(&mut self, from: u64, to: u64, message: Message) -> Checked {
        self.send(from, to, message).map_err(|error| {
            let found = format!("node {from} cannot send to node {to} over an idle connection: {error}");
            self.failure(TransportSentence::Arrives, found)
        })
    }

    /// Lets everything happen, and forgets what was told.
    fn quiet(&mut self) {
        self.harness.run();
        for number in 1..=3 {
            self.harness.events(number);
        }
    }

    /// Lets everything happen; what node `number` was told.
    fn told(&mut self, number: u64) -> Vec<TransportEvent> {
        self.harness.run();
        self.harness.events(number)
    }
}

/// A message of the control lane that can be told from others.
const fn heartbeat(number: u64) -> Message {
    let (term, leader_commit, sent_at) = (Term(7), LogIndex(number), Time::ZERO);
    Message::Heartbeat(Heartbeat { term, leader_commit, read_seq: number, sent_at })
}

/// A message with entries: two blocks of two terms, some bytes each.
fn append(number: u64, bytes: usize) -> Message {
    let payload: Vec<u8> = (0..bytes).map(|at| (at as u64 * 31 + number) as u8).collect();
    let block = |first: u64, term: u64| {
        let mut builder = BlockBuilder::new();
        builder.push(EntryKind::NoOp, &[]);
        builder.push(EntryKind::Normal, &[&payload, &number.to_le_bytes()]);
        builder.finish(LogIndex(first), Term(term)).expect("two entries")
    };
    Message::AppendEntries(AppendEntries {
        term: Term(7),
        prev_entry: EntryId::new(Term(3), LogIndex(10)),
        blocks: vec![block(11, 4), block(13, 6)].into(),
        leader_commit: LogIndex(9),
        read_seq: number,
        sent_at: Time::ZERO,
    })
}

/// Messages among these events, with their senders.
fn messages(events: &[TransportEvent]) -> Vec<(u64, Message)> {
    let messages = events.iter().filter_map(|event| match event {
        TransportEvent::Message { from, message } => Some((from.get(), message.clone())),
        _ => None,
    });
    messages.collect()
}
