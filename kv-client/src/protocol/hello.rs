//! The first message of each side.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Versions of the native protocol that one side speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtocolRange {
    /// The oldest (inclusive).
    pub oldest: u16,
    /// The newest (inclusive).
    pub newest: u16,
}

impl ProtocolRange {
    /// What this program speaks.
    pub const OURS: Self = Self { oldest: 1, newest: 1 };

    /// The newest version that both sides speak.
    #[must_use]
    pub fn common(self, other: Self) -> Option<u16> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest.max(other.oldest)).then_some(newest)
    }
}

impl fmt::Display for ProtocolRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.oldest == self.newest {
            return write!(f, "{}", self.newest);
        }
        write!(f, "{} to {}", self.oldest, self.newest)
    }
}

/// A secret that says who the client is. Never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token(pub String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A client introduces itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientHello {
    /// Protocol versions it speaks.
    pub protocol: ProtocolRange,
    /// Who it is, where the cluster asks for it.
    pub credentials: Option<Token>,
}

/// A node's answer to [`ClientHello`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerHello {
    /// Go on.
    Welcome(Welcome),
    /// The node closes the connection after this.
    Refused(HelloRefusal),
}

/// A node introduces itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The protocol version that both speak from here on.
    pub protocol: u16,
    /// The node's cluster; `None` before it belongs to one.
    pub cluster_id: Option<u128>,
    /// The node's id; shown as 16 hex digits.
    pub node_id: u64,
    /// The operator's name for the node.
    pub name: String,
}

/// Why a node does not talk to a client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum HelloRefusal {
    /// No common protocol version.
    #[error("the client speaks protocol {client}, node {name} speaks {node}: upgrade the older one")]
    Protocol {
        /// The node's name.
        name: String,
        /// What the client said.
        client: ProtocolRange,
        /// What the node speaks.
        node: ProtocolRange,
    },
    /// The credentials are missing or wrong.
    #[error("node {name} does not accept these credentials")]
    Credentials {
        /// The node's name.
        name: String,
    },
    /// As many clients are connected as there may be.
    #[error("node {name} serves {most} connections already: try another node")]
    TooManyConnections {
        /// The node's name.
        name: String,
        /// How many it serves at most.
        most: u32,
    },
}
