//! How a node is, for people and their scripts: JSON in the tail of a reply.
//!
//! Ids and hashes are texts of hex digits, because JSON numbers end at 2⁵³. Fields may be added: a reader
//! ignores those it does not know and takes zero for those that an older node does not send.

use serde::{Deserialize, Serialize};

/// How one node is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// 32 hex digits; `None` before the node belongs to a cluster.
    pub cluster_id: Option<String>,
    /// Clusters that `kvd recover` made this one of, 32 hex digits each; only the node that it was run on knows.
    pub ancestors: Vec<String>,
    /// 16 hex digits.
    pub node_id: String,
    /// The operator's name for the node.
    pub name: String,
    /// Version of its program.
    pub program_version: String,
    /// Lowest version that every member speaks; gates new encodings.
    pub cluster_version: u32,
    /// Newest cluster version that its program speaks.
    pub newest_version: u32,
    /// `host:port` where other members reach it.
    pub peer_address: String,
    /// `host:port` where clients reach it.
    pub client_address: String,
    /// Milliseconds since the process started to serve.
    pub uptime_ms: u64,
    /// Why the node takes no part in a cluster, or lacks something, and what to do; `None` while all is well.
    pub note: Option<String>,
    /// Its part in the current term.
    pub role: Role,
    /// Current term.
    pub term: u64,
    /// 16 hex digits; `None` while it knows of no leader.
    pub leader_id: Option<String>,
    /// Its log.
    pub log: LogStatus,
    /// Its store.
    pub store: StoreStatus,
    /// The members as this node knows them.
    pub members: Vec<MemberStatus>,
}

impl NodeStatus {
    /// The tail that carries this status.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers are always JSON")
    }

    /// Reads the tail.
    ///
    /// # Errors
    /// It is not JSON, or a field has another type: the node speaks another protocol.
    pub fn decode(tail: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(tail)
    }
}

/// A node's part in its term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Follows, or waits for, a leader.
    #[default]
    Follower,
    /// Asks whether it would be elected.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
    /// Something that this program does not know.
    #[serde(other)]
    Unknown,
}

/// A node's log. Indexes of entries; 0 means none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogStatus {
    /// First entry that is still in the log.
    pub first_index: u64,
    /// Last entry appended.
    pub last_index: u64,
    /// Last entry known to be committed.
    pub commit_index: u64,
    /// Last entry applied.
    pub applied_index: u64,
    /// Last entry in the newest snapshot.
    pub snapshot_index: u64,
    /// Syncs of the log since the process started.
    pub syncs: u64,
    /// Entries made durable since the process started.
    pub entries_written: u64,
    /// Bytes written to the log since the process started.
    pub bytes_written: u64,
}

/// A node's applied state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoreStatus {
    /// Its revision.
    pub revision: u64,
    /// Keys it holds.
    pub keys: u64,
    /// Bytes of all keys and values.
    pub bytes: u64,
    /// Open sessions.
    pub sessions: u64,
    /// Cluster time in microseconds.
    pub cluster_time_micros: u64,
    /// Hash of the state right now.
    pub state_hash: StateHash,
    /// Hashes at aligned indexes, ascending: two nodes that list the same index must list the same hash.
    pub checkpoints: Vec<StateHash>,
}

/// What the applied state amounts to at one index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StateHash {
    /// Last entry applied.
    pub index: u64,
    /// 32 hex digits.
    pub hash: String,
}

/// One member, as a node knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemberStatus {
    /// 16 hex digits.
    pub node_id: String,
    /// The operator's name for it.
    pub name: String,
    /// Whether it votes; else it is a learner.
    pub voter: bool,
    /// What it counts for.
    pub role: MemberRole,
    /// Newest cluster version that its program speaks.
    pub newest_version: u32,
    /// `host:port` where other members reach it.
    pub peer_address: String,
    /// `host:port` where clients reach it.
    pub client_address: String,
    /// If a leader says so: last entry known to be durable there.
    pub match_index: Option<u64>,
    /// If a leader says so: entries of its log that the member is not known to have.
    pub lag: Option<u64>,
    /// If a leader says so: milliseconds since the member was last heard from; `None`: not since it leads.
    pub silent_ms: Option<u64>,
    /// If a leader says so: how the member is fed: `probe`, `replicate` or `snapshot`.
    pub feeding: Option<String>,
    /// If a leader says so: the member denies having what it had acknowledged. Its disk lied, or its folder is an old
    /// copy: replace it.
    pub lost_acknowledged: bool,
}

/// What a member counts for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemberRole {
    /// Votes.
    Voter,
    /// Receives the log, does not vote.
    Learner,
    /// A learner that the leader makes a voter once it has caught up.
    Promotable,
    /// In the middle of a change: will vote.
    Incoming,
    /// In the middle of a change: still votes, and then is no member.
    Outgoing,
    /// In the middle of a change: still votes, and then is a learner.
    Demoting,
    /// In the middle of a change: a learner that then is no member.
    Leaving,
    /// Something that this program does not know.
    #[default]
    #[serde(other)]
    Unknown,
}
