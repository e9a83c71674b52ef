//! Why a connection is refused, in words that name both sides and say what to do.

use raft_core::types::{ClusterId, NodeId};
use serde::{Deserialize, Serialize};

use super::{NodeLabel, ProtocolRange};

/// What to do about a node whose data folder is gone. An older copy of the folder is worse than none: a node that has
/// forgotten its vote votes twice.
const LOST_FOLDER: &str = "put back exactly the folder as it last was, never an older copy: that one has forgotten \
    votes and acknowledged entries. If there is none, the others go on without that node while they are a majority";

/// What to do about a node that is no member.
const NEW_MEMBER: &str = "to admit it, change the members on the leader: add its id, and remove the id that it replaces, \
    if any, in the same change";

/// A refusal with the two sides it concerns. Both of them hold the same value, and trace it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{receiver} refuses {sender}: {refusal}")]
pub struct Refused {
    /// The side that called.
    pub sender: NodeLabel,
    /// The side that answered.
    pub receiver: NodeLabel,
    /// Why.
    pub refusal: Refusal,
}

/// Why the receiver of a hello refuses its sender. Travels in the answer; the order of the variants is the
/// protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Refusal {
    /// No common protocol version.
    #[error(
        "the sender speaks peer protocol {sender}, the receiver {receiver}: bring the older program \
         up to date"
    )]
    Protocol {
        /// Versions the sender speaks.
        sender: ProtocolRange,
        /// Versions the receiver speaks.
        receiver: ProtocolRange,
    },
    /// A Raft group that the receiver does not have.
    #[error("the sender means Raft group {found}, the receiver has group 0 only: correct the address")]
    UnknownGroup {
        /// The group in the hello.
        found: u64,
    },
    /// A node reached itself.
    #[error(
        "the address leads a node back to itself: correct the address of the peer that was meant, or, \
         if this data folder is a copy of another node's, remove the copy and start it afresh"
    )]
    Oneself,
    /// Two clusters.
    #[error(
        "the sender belongs to cluster {sender}, the receiver to cluster {receiver}: correct the address, \
         or the data folder that one of them was started with"
    )]
    WrongCluster {
        /// The sender's cluster.
        sender: ClusterId,
        /// The receiver's cluster.
        receiver: ClusterId,
    },
    /// Somebody else answers at this address.
    #[error(
        "{} was meant, but another node answers at this address. If the address moved, mend it; if the data folder \
         there was replaced, {LOST_FOLDER}; {NEW_MEMBER}",
        .meant.map_or("no node in particular".to_owned(), |meant| format!("node {meant}"))
    )]
    WrongReceiver {
        /// The node that was meant.
        meant: Option<NodeId>,
    },
    /// A node of no cluster that is not in the receiver's configuration.
    #[error(
        "the sender is a stranger: it belongs to no cluster, and cluster {cluster_id} does not list its id. \
         {}",
        advice(*.holder)
    )]
    Stranger {
        /// The receiver's cluster.
        cluster_id: ClusterId,
        /// The member that has the sender's name.
        holder: Option<NodeId>,
    },
    /// Neither side belongs to a cluster: there is nothing to say but greetings.
    #[error("neither side belongs to a cluster yet: only greetings are answered")]
    NoCluster,
}

fn advice(holder: Option<NodeId>) -> String {
    match holder {
        Some(holder) => format!(
            "Its name belongs to node {holder}. If that was this node before its data folder was wiped, \
             {LOST_FOLDER}; {NEW_MEMBER}"
        ),
        None => format!("No member has its name either: correct its list of peers to join; {NEW_MEMBER}"),
    }
}
