//! Whether the cluster is as lost as its operator believes: its other members are asked, as clients ask them.

use kv_client::protocol::NodeStatus;
use raft_core::recovery::Report;
use tokio::task::JoinSet;

use crate::standing::ask;

/// A member that answers, and what it says against going on without it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Alive {
    /// The cluster has a leader.
    #[error(
        "{by} answers and knows a leader, node {leader}: the cluster is alive; start this node as it is. (Whoever has \
         just lost the leader, or only learns, may still name it: try again in a moment. If a majority is lost for ever \
         all the same: --others-are-lost)"
    )]
    Led {
        /// Who says so.
        by: String,
        /// The leader's id.
        leader: String,
    },
    /// The cluster has removed this node.
    #[error(
        "{by} answers and does not list this node as a member: the cluster has gone on without it. (If a majority of it \
         is lost for ever all the same: --others-are-lost)"
    )]
    Unlisted {
        /// Who says so.
        by: String,
    },
    /// Another survivor was recovered.
    #[error(
        "{by} answers and went on alone already, as cluster {cluster_id}: empty this folder and let the node in there"
    )]
    WentOn {
        /// Who says so.
        by: String,
        /// The cluster that it made.
        cluster_id: String,
    },
}

/// Asks everybody that `report` drops, all at a time, for a second.
pub(super) async fn ask_others(report: &Report) -> Option<Alive> {
    let mut asking: JoinSet<_> =
        report.dropped.iter().map(|member| ask(member.client_address.clone())).collect();
    while let Some(answered) = asking.join_next().await {
        let alive = answered.ok().flatten().and_then(|status| judge(&status, report));
        if alive.is_some() {
            return alive;
        }
    }
    None
}

/// What a node that answers at a dropped member's address says about the cluster. One that belongs to no cluster, or to
/// another one, says nothing; nor does one that has not noticed yet that this node, its leader, has stopped.
fn judge(told: &NodeStatus, report: &Report) -> Option<Alive> {
    let by = format!("node {} ({}) at {}", told.name, told.node_id, told.client_address);
    let (own, old) = (report.survivor.id.to_string(), report.old_cluster?.to_string());
    let cluster_id = told.cluster_id.clone()?;
    if told.ancestors.contains(&old) {
        return Some(Alive::WentOn { by, cluster_id });
    }
    if cluster_id != old {
        return None;
    }
    if !told.members.iter().any(|member| member.node_id == own) {
        return Some(Alive::Unlisted { by });
    }
    let leader = told.leader_id.clone().filter(|leader| *leader != own)?;
    Some(Alive::Led { by, leader })
}
