//! The node's account of itself.

use std::time::Duration;

use bytes::Bytes;
use kv_client::protocol::{
    Answer, LogStatus, MemberRole, MemberStatus, NodeStatus, Reason, Refusal, Role, StateHash, StoreStatus,
};
use raft_core::RoleName;
use raft_core::configuration::{self, Configuration, Member};
use raft_core::node::{self, Consistency, Observation};
use tokio::time::timeout;

use super::outbox::Answered;
use super::service::Service;
use crate::CLUSTER_VERSION;
use crate::advice::REPLACE;
use crate::store::{Checkpoint, Store};

/// How long the state may be away, while a snapshot is loaded into it, before the status is told without it.
const STATE_TIMEOUT: Duration = Duration::from_millis(500);

impl Service {
    /// The answer to a request for the node's status.
    pub(super) async fn answer_status(&self) -> Answered {
        let Some(status) = self.node.status().await else {
            return self.refused(Refusal::NotApplied(Reason::Stopping));
        };
        let look = self.node.read(Consistency::Serializable, store_status);
        let (store, loading) = match timeout(STATE_TIMEOUT, look).await {
            Ok(Ok(store)) => (store, None),
            Ok(Err(_)) => return self.refused(Refusal::NotApplied(Reason::Stopping)),
            Err(_) => (StoreStatus::default(), Some("a snapshot is being loaded".to_owned())),
        };
        let note = self.note.borrow().clone().or_else(|| ailment(&status.raft)).or(loading);
        let observation = self.observed.borrow().clone();
        let status = NodeStatus { note, store, ..self.node_status(&status, &observation) };
        self.answered(Ok(Answer::Status), Bytes::from(status.encode()))
    }

    /// All but the store's part.
    fn node_status(&self, status: &node::NodeStatus, observation: &Observation) -> NodeStatus {
        let raft = &status.raft;
        let configuration = observation.configuration.as_ref();
        NodeStatus {
            cluster_id: observation.cluster_id.map(|cluster_id| cluster_id.to_string()),
            ancestors: self.ancestors.iter().map(ToString::to_string).collect(),
            node_id: self.local.node_id.to_string(),
            name: self.local.name.clone(),
            program_version: env!("CARGO_PKG_VERSION").to_owned(),
            cluster_version: configuration.map_or(0, |configuration| configuration.cluster_version()),
            newest_version: CLUSTER_VERSION,
            peer_address: self.local.peer_address.clone(),
            client_address: self.local.client_address.clone(),
            uptime_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            role: role(raft.role),
            term: raft.hard_state.current_term.0,
            leader_id: raft.leader.map(|leader| leader.to_string()),
            log: LogStatus {
                first_index: raft.base.index.next().0,
                last_index: raft.last.index.0,
                commit_index: raft.commit_index.0,
                applied_index: status.applied.index.0,
                snapshot_index: raft.snapshot.index.0,
                syncs: self.log.log_syncs.get() + self.log.metadata_syncs.get(),
                entries_written: self.log.entries.get(),
                bytes_written: self.log.bytes_written.get(),
            },
            members: configuration.map_or_else(Vec::new, |members| member_statuses(members, raft)),
            ..NodeStatus::default()
        }
    }
}

/// What keeps the node from leading, and perhaps from voting, though it runs.
fn ailment(raft: &raft_core::Status) -> Option<String> {
    if !raft.may_vote {
        return Some(format!("the end of its log is lost, so it never votes again: {REPLACE}"));
    }
    if let Some(index) = raft.first_hole {
        return Some(format!(
            "entry {index} of its log is damaged or missing: it cannot lead before another member has sent that again"
        ));
    }
    let stuck =
        "its disk is full, or has not answered for an election timeout: it cannot lead before that is mended";
    raft.disk_is_stuck.then(|| stuck.to_owned())
}

/// The members, and what a leader knows of them.
fn member_statuses(configuration: &Configuration, raft: &raft_core::Status) -> Vec<MemberStatus> {
    let status = |member: &Member| {
        let peer = raft.peers.iter().find(|peer| peer.id == member.id);
        let leads = raft.role == RoleName::Leader && raft.id == member.id;
        let match_index = peer.map(|peer| peer.match_index).or(leads.then_some(raft.durable_index));
        MemberStatus {
            node_id: member.id.to_string(),
            name: member.name.clone(),
            voter: configuration.quorum().contains(member.id),
            role: member_role(member.role),
            newest_version: member.newest_version,
            peer_address: member.peer_address.clone(),
            client_address: member.client_address.clone(),
            match_index: match_index.map(|index| index.0),
            lag: match_index.map(|index| raft.last.index.since(index)),
            silent_ms: peer
                .filter(|peer| peer.was_heard)
                .map(|peer| u64::try_from(peer.silent_for.as_millis()).unwrap_or(u64::MAX)),
            feeding: peer.map(|peer| peer.state.to_owned()),
            lost_acknowledged: peer.is_some_and(|peer| peer.lost_acknowledged),
        }
    };
    configuration.members().iter().map(status).collect()
}

const fn member_role(role: configuration::MemberRole) -> MemberRole {
    match role {
        configuration::MemberRole::Voter => MemberRole::Voter,
        configuration::MemberRole::Learner => MemberRole::Learner,
        configuration::MemberRole::Promotable => MemberRole::Promotable,
        configuration::MemberRole::Incoming => MemberRole::Incoming,
        configuration::MemberRole::Outgoing => MemberRole::Outgoing,
        configuration::MemberRole::Demoting => MemberRole::Demoting,
        configuration::MemberRole::Leaving => MemberRole::Leaving,
    }
}

const fn role(role: RoleName) -> Role {
    match role {
        RoleName::Follower => Role::Follower,
        RoleName::PreCandidate => Role::PreCandidate,
        RoleName::Candidate => Role::Candidate,
        RoleName::Leader => Role::Leader,
    }
}

fn store_status(store: &Store) -> StoreStatus {
    let stats = store.stats();
    StoreStatus {
        revision: stats.revision,
        keys: stats.keys,
        bytes: stats.bytes,
        sessions: stats.sessions,
        cluster_time_micros: stats.cluster_time_micros,
        state_hash: hash(store.checkpoint()),
        checkpoints: store.checkpoints().map(hash).collect(),
    }
}

fn hash(checkpoint: Checkpoint) -> StateHash {
    StateHash { index: checkpoint.index.0, hash: format!("{:032x}", checkpoint.hash) }
}

#[cfg(test)]
mod tests {
    use raft_core::snapshot::SnapshotMeta;
    use raft_core::storage::Recovered;
    use raft_core::{LogIndex, NodeId, Options, Raft, Time};

    use super::ailment;

    #[test]
    fn what_keeps_a_node_from_leading_is_told() {
        let id = NodeId::new(1).expect("1 is not 0");
        let raft = Raft::new(id, Options::default(), 1, Time::ZERO, Recovered::default(), SnapshotMeta::NONE);
        let mut status = raft.expect("nothing is amiss").status();
        assert_eq!(ailment(&status), None);
        status.disk_is_stuck = true;
        assert!(ailment(&status).unwrap().contains("disk is full"));
        status.first_hole = Some(LogIndex(7));
        assert!(ailment(&status).unwrap().starts_with("entry 7 of its log"));
        status.may_vote = false;
        assert!(ailment(&status).unwrap().contains("kvctl member replace"));
    }
}
