//! The first frame each way on a peer connection: who speaks, for which cluster, to whom, for what.
//!
//! ```text
//! head  opening | postcard of the body
//! opening = oldest protocol u16 | newest protocol u16 | node id u64 | name length u16 | name
//! ```
//! The opening stays as it is in every version of the protocol, little-endian, so that two programs without a
//! common version can still tell each other, by name, that they have none. The body belongs to the versions in the
//! opening.
//!
//! The caller says [`Hello`]; the answer is an [`Answer`]: a hello, or a [`Refusal`]. The rules (`rules`)
//! know no I/O; `exchange` carries them over a stream.

pub(crate) mod exchange;
mod refusal;
pub(crate) mod rules;
#[cfg(test)]
mod tests;

pub use refusal::{Refusal, Refused};

use std::fmt;

use bytes::BufMut;
use raft_core::types::{ClusterId, NodeId};
use serde::{Deserialize, Serialize};

use crate::frame::{FrameLimits, TooLong, WriteBuffer};
use crate::transport::codec::CodecError;

/// The versions of the peer protocol that this program speaks.
pub const PROTOCOL: ProtocolRange = ProtocolRange { oldest: 1, newest: 1 };

/// The only Raft group of a process, for now. In the hello from the start, because its layout is hard to change.
pub const GROUP: u64 = 0;

/// Limits of the frames before a handshake is through: nobody known has spoken yet.
pub const HELLO_LIMITS: FrameLimits = FrameLimits { head_bytes: 64 * 1024, tail_bytes: 0 };

/// Protocol versions, both ends inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProtocolRange {
    /// Oldest version spoken.
    pub oldest: u16,
    /// Newest version spoken.
    pub newest: u16,
}

impl ProtocolRange {
    /// The newest version that both speak.
    #[must_use]
    pub fn common(self, other: Self) -> Option<u16> {
        let (oldest, newest) = (self.oldest.max(other.oldest), self.newest.min(other.newest));
        (oldest <= newest).then_some(newest)
    }
}

impl fmt::Display for ProtocolRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.oldest == self.newest {
            true => write!(f, "{}", self.newest),
            false => write!(f, "{} to {}", self.oldest, self.newest),
        }
    }
}

/// A node as it is shown to people.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeLabel {
    /// Its identity.
    pub id: NodeId,
    /// The name its operator gave it.
    pub name: String,
}

impl fmt::Display for NodeLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} ({})", self.name, self.id)
    }
}

/// What a connection is for. Each lane to each peer has a connection of its own, so that bulk never delays the
/// rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Lane {
    /// Votes, heartbeats, answers, transfers of leadership.
    Control,
    /// AppendEntries.
    Append,
    /// One snapshot transfer.
    Snapshot,
    /// No messages: two nodes, possibly strangers, tell each other who they are, and stay connected.
    Greeting,
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Control => "control",
            Self::Append => "append",
            Self::Snapshot => "snapshot",
            Self::Greeting => "greeting",
        })
    }
}

/// The part of a hello that no version changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Versions that the sender speaks.
    pub protocol: ProtocolRange,
    /// The sender.
    pub node: NodeLabel,
}

/// How a node introduces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The part that no version changes.
    pub opening: Opening,
    /// The rest.
    pub body: HelloBody,
}

/// The part of a [`Hello`] that belongs to a protocol version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloBody {
    /// The cluster that the sender belongs to; `None` before its first.
    pub cluster_id: Option<ClusterId>,
    /// What the connection is for.
    pub lane: Lane,
    /// Whom the sender means to reach; `None` on the greeting lane.
    pub receiver: Option<NodeId>,
    /// The Raft group; [`GROUP`].
    pub group: u64,
    /// `host:port` where members reach the sender.
    pub peer_address: String,
    /// `host:port` where clients reach the sender.
    pub client_address: String,
    /// Peer addresses that the sender was told to found a cluster with, its own among them; without its own, those of the
    /// cluster that it is to join.
    pub join: Vec<String>,
}

/// What the answering side says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The answering side's opening.
    pub opening: Opening,
    /// Its answer.
    pub body: AnswerBody,
}

/// The part of an [`Answer`] that belongs to a protocol version. The order of the variants is the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AnswerBody {
    /// The connection stands.
    Welcome {
        /// The answering side's hello, addressed to the caller.
        hello: HelloBody,
        /// On the greeting lane: why the caller would be refused on any other.
        objection: Option<Refusal>,
    },
    /// The connection is closed.
    Refused(Refusal),
}

/// Who this node is: what its hellos say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// Its identity, minted with its data folder.
    pub node_id: NodeId,
    /// The name its operator gave it.
    pub name: String,
    /// `host:port` where members reach it.
    pub peer_address: String,
    /// `host:port` where clients reach it.
    pub client_address: String,
    /// Its cluster; `None` before its first.
    pub cluster_id: Option<ClusterId>,
    /// Peer addresses it was told to found a cluster with, its own among them; without its own, those of the cluster that it
    /// is to join.
    pub join: Vec<String>,
}

impl Local {
    /// The node as it is shown to people.
    #[must_use]
    pub fn label(&self) -> NodeLabel {
        NodeLabel { id: self.node_id, name: self.name.clone() }
    }

    /// What every hello and answer of this node starts with.
    #[must_use]
    pub fn opening(&self) -> Opening {
        Opening { protocol: PROTOCOL, node: self.label() }
    }

    /// The hello for a connection to `receiver` (`None`: whoever it is) for `lane`.
    #[must_use]
    pub fn hello(&self, lane: Lane, receiver: Option<NodeId>) -> Hello {
        let body = HelloBody {
            cluster_id: self.cluster_id,
            lane,
            receiver,
            group: GROUP,
            peer_address: self.peer_address.clone(),
            client_address: self.client_address.clone(),
            join: self.join.clone(),
        };
        Hello { opening: self.opening(), body }
    }
}

impl Hello {
    /// Appends the hello's frame to `out`.
    ///
    /// # Errors
    /// [`CodecError::TooLong`]: name, addresses and join list exceed [`HELLO_LIMITS`].
    pub fn encode(&self, out: &mut WriteBuffer) -> Result<(), CodecError> {
        encode(&self.opening, &self.body, out)
    }
}

impl Answer {
    /// Appends the answer's frame to `out`.
    ///
    /// # Errors
    /// As for [`Hello::encode`].
    pub fn encode(&self, out: &mut WriteBuffer) -> Result<(), CodecError> {
        encode(&self.opening, &self.body, out)
    }
}

fn encode(opening: &Opening, body: &impl Serialize, out: &mut WriteBuffer) -> Result<(), CodecError> {
    let mut head = Vec::new();
    opening.encode(&mut head)?;
    let head = postcard::to_extend(body, head).map_err(unreadable)?;
    Ok(out.push(&head, [])?)
}

/// Reads the body of a hello or of an answer: what follows the opening.
///
/// # Errors
/// [`CodecError::Header`] if it is not of this protocol version.
pub fn decode_body<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, CodecError> {
    postcard::from_bytes(bytes).map_err(unreadable)
}

const fn unreadable(source: postcard::Error) -> CodecError {
    CodecError::Header { what: "hello", source }
}

impl Opening {
    /// Appends the layout of the module.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let name = self.node.name.as_bytes();
        let found = name.len() as u64;
        let too_long =
            TooLong { part: crate::frame::FramePart::Head, found, allowed: HELLO_LIMITS.head_bytes };
        let length = u16::try_from(name.len()).map_err(|_| too_long)?;
        out.put_u16_le(self.protocol.oldest);
        out.put_u16_le(self.protocol.newest);
        out.put_u64_le(self.node.id.get());
        out.put_u16_le(length);
        out.put_slice(name);
        Ok(())
    }

    /// Reads an opening; the answer's second part is what follows it.
    ///
    /// # Errors
    /// [`CodecError::Field`] names what is not an opening's.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), CodecError> {
        let bad = |field| CodecError::Field { what: "hello", field };
        let (oldest, bytes) = bytes.split_first_chunk().ok_or(bad("oldest protocol"))?;
        let (newest, bytes) = bytes.split_first_chunk().ok_or(bad("newest protocol"))?;
        let (id, bytes) = bytes.split_first_chunk().ok_or(bad("node id"))?;
        let (length, bytes) = bytes.split_first_chunk().ok_or(bad("name length"))?;
        let length = usize::from(u16::from_le_bytes(*length));
        let (name, bytes) = bytes.split_at_checked(length).ok_or(bad("name"))?;
        let protocol =
            ProtocolRange { oldest: u16::from_le_bytes(*oldest), newest: u16::from_le_bytes(*newest) };
        let id = NodeId::new(u64::from_le_bytes(*id)).ok_or(bad("node id: 0"))?;
        let name = std::str::from_utf8(name).map_err(|_| bad("name: not UTF-8"))?.to_owned();
        Ok((Self { protocol, node: NodeLabel { id, name } }, bytes))
    }
}
