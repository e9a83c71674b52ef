//! Asks the listed nodes, before a member starts, whether its data folder is of their cluster.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use raft_core::types::ClusterId;
use raft_net::connector::Connector;
use raft_net::{Greeting, Local, greet};
use tokio::task::JoinSet;

use super::StartError;
use crate::advice::LEFT_BEHIND;

/// How long a listed node may take to answer; one that does not cannot hold up the start of another.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Refuses to start a member whose folder is of another cluster than the listed nodes that answer. One of its own
/// cluster among them is enough to go on: then it is the other one that strayed. So did whoever belongs to one of its
/// ancestors.
pub(super) async fn refuse_other_cluster(
    dir: &Path,
    local: &Local,
    ancestors: &[ClusterId],
    connector: &Arc<dyn Connector>,
) -> Result<(), StartError> {
    let Some(own) = local.cluster_id else { return Ok(()) };
    let mut greetings = JoinSet::new();
    for address in local.join.iter().filter(|address| **address != local.peer_address) {
        let (connector, address, local) = (Arc::clone(connector), address.clone(), local.clone());
        greetings.spawn(async move {
            let greeting = greet(&*connector, &address, &local, TIMEOUT).await;
            (address, greeting)
        });
    }
    let mut other = None;
    while let Some(joined) = greetings.join_next().await {
        // A task that panicked has ended the process; one that did not answer tells nothing.
        let Ok((address, Ok(greeting))) = joined else { continue };
        match greeting.hello.body.cluster_id {
            Some(cluster_id) if cluster_id == own => return Ok(()),
            Some(cluster_id) if ancestors.contains(&cluster_id) => {
                let peer = &greeting.hello.opening.node;
                tracing::warn!(%peer, %address, %cluster_id, "a node of a cluster that is over; for {LEFT_BEHIND}");
            }
            Some(cluster_id) => other = Some(foreign(dir, own, cluster_id, address, &greeting)),
            None => {}
        }
    }
    other.map_or(Ok(()), Err)
}

fn foreign(
    dir: &Path,
    found: ClusterId,
    expected: ClusterId,
    address: String,
    greeting: &Greeting,
) -> StartError {
    let peer = greeting.hello.opening.node.to_string();
    StartError::OtherCluster { dir: dir.to_owned(), found, peer, address, expected }
}
