//! What a node's consensus looks like from outside, for operators and tests.

use std::time::Duration;

use super::{Raft, Role, RoleName};
use crate::progress::ProgressState;
use crate::time::Time;
use crate::types::{EntryId, HardState, LogIndex, NodeId};

/// A picture of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// This node.
    pub id: NodeId,
    /// Its role.
    pub role: RoleName,
    /// Who leads, as far as it knows.
    pub leader: Option<NodeId>,
    /// Time since a leader was last heard from; `None`: not since this node last campaigned, or first started.
    pub leader_silent_for: Option<Duration>,
    /// Term, vote, cluster.
    pub hard_state: HardState,
    /// The entry before the first one in the log.
    pub base: EntryId,
    /// Last entry appended.
    pub last: EntryId,
    /// Last entry durable here.
    pub durable_index: LogIndex,
    /// Last entry known to be committed.
    pub commit_index: LogIndex,
    /// Last entry of the newest snapshot.
    pub snapshot: EntryId,
    /// First entry of the own log that is damaged, or missing at its end. Until a leader has sent it again, this node does
    /// not campaign, and neither acknowledges nor applies what comes after it.
    pub first_hole: Option<LogIndex>,
    /// Whether it may vote at all. If not, damage has swallowed what nobody can name, and it never will: replace it by a fresh
    /// node.
    pub may_vote: bool,
    /// The disk is full, or a write has been waiting for longer than an election timeout: this node does not campaign, and
    /// hands leadership over.
    pub disk_is_stuck: bool,
    /// A leader's view of the other members; empty elsewhere.
    pub peers: Vec<PeerStatus>,
}

/// How one peer stands in its leader's eyes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerStatus {
    /// The peer.
    pub id: NodeId,
    /// Last entry known to be durable there.
    pub match_index: LogIndex,
    /// Next entry to send.
    pub next_index: LogIndex,
    /// `probe`, `replicate` or `snapshot`.
    pub state: &'static str,
    /// Whether it denies having entries that it has acknowledged: its disk lied, or its folder was put back from an old
    /// copy. Entries that count on it may be gone; replace it by a fresh node.
    pub lost_acknowledged: bool,
    /// It has said that entries of its log are damaged, and gets them again.
    pub has_hole: bool,
    /// Time since it was last heard from; until then, since this node leads it.
    pub silent_for: Duration,
    /// Whether it was heard from since this node leads it.
    pub was_heard: bool,
}

impl Raft {
    /// A picture of this moment.
    #[must_use]
    pub fn status(&self) -> Status {
        let peers = match &self.role {
            Role::Leader(leader) => leader.progress.iter().map(|(id, progress)| PeerStatus {
                id,
                match_index: progress.match_index,
                next_index: progress.next_index,
                state: match progress.state {
                    ProgressState::Probe { .. } => "probe",
                    ProgressState::Replicate(_) => "replicate",
                    ProgressState::Snapshot { .. } => "snapshot",
                },
                lost_acknowledged: progress.lost_acknowledged,
                has_hole: progress.has_hole,
                silent_for: self.now.saturating_since(progress.heard_at),
                was_heard: progress.answered_at > Time::ZERO,
            }),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {
                return self.status_without(Vec::new());
            }
        };
        self.status_without(peers.collect())
    }

    /// As a leader: the last entry known to be durable at each peer.
    #[cfg(feature = "testing")]
    pub(crate) fn match_indexes(&self) -> impl Iterator<Item = (NodeId, LogIndex)> {
        let leader = if let Role::Leader(leader) = &self.role { Some(leader) } else { None };
        leader
            .into_iter()
            .flat_map(|leader| leader.progress.iter().map(|(id, progress)| (id, progress.match_index)))
    }

    fn status_without(&self, peers: Vec<PeerStatus>) -> Status {
        Status {
            id: self.id,
            role: self.role(),
            leader: self.leader_id(),
            leader_silent_for: self.leader_contact.map(|at| self.now.saturating_since(at)),
            hard_state: self.hard_state,
            base: self.terms.base(),
            last: self.terms.last(),
            durable_index: self.writes.durable_last(),
            commit_index: self.commit_index,
            snapshot: self.snapshot.last,
            first_hole: self.damage.first_hole(self.terms.last()),
            may_vote: self.damage.floor_above(self.terms.last()).is_some(),
            disk_is_stuck: self.disk_is_stuck(),
            peers,
        }
    }
}
