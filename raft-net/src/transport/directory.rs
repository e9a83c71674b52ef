//! Who is who: this node, its cluster, the members, and peers that no configuration lists yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use raft_core::configuration::Configuration;
use raft_core::types::{ClusterId, NodeId};

use crate::transport::handshake::rules::Receiver;
use crate::transport::handshake::{Hello, Lane, Local};

/// What this node knows about itself and its peers. No I/O.
#[derive(Debug)]
pub(crate) struct Directory {
    local: Local,
    /// The cluster of the first member that called this node by its id while it had no cluster. Callers of other
    /// clusters are refused from then on, though this node tells nobody before it is [set](Self::set_cluster).
    greeted: Option<ClusterId>,
    configuration: Option<Arc<Configuration>>,
    /// Clusters and addresses that callers told: a fresh node answers its leader before it has a configuration.
    /// Kept while the caller stays connected.
    learned: BTreeMap<NodeId, (ClusterId, String)>,
}

impl Directory {
    pub(crate) const fn new(local: Local) -> Self {
        Self { local, greeted: None, configuration: None, learned: BTreeMap::new() }
    }

    pub(crate) const fn local(&self) -> &Local {
        &self.local
    }

    /// What the rules of the handshake look at.
    pub(crate) fn receiver(&self) -> Receiver<'_> {
        Receiver {
            node_id: self.local.node_id,
            cluster_id: self.local.cluster_id.or(self.greeted),
            configuration: self.configuration.as_deref(),
        }
    }

    /// The peers to keep connections to and where. None before this node has a cluster. For members the
    /// configuration's address counts, for others the one they told.
    pub(crate) fn addresses(&self) -> BTreeMap<NodeId, String> {
        let Some(own) = self.local.cluster_id else { return BTreeMap::new() };
        let learned = self.learned.iter().filter(|(_, (cluster_id, _))| *cluster_id == own);
        let mut addresses: BTreeMap<_, _> =
            learned.map(|(&id, (_, address))| (id, address.clone())).collect();
        for member in self.configuration.iter().flat_map(|configuration| configuration.members()) {
            addresses.insert(member.id, member.peer_address.clone());
        }
        addresses.remove(&self.local.node_id);
        addresses.retain(|_, address| !address.is_empty());
        addresses
    }

    /// A caller was admitted. The answer is its cluster if this node has none of its own yet.
    pub(crate) fn learn(&mut self, caller: &Hello) -> Option<ClusterId> {
        if caller.body.lane == Lane::Greeting {
            return None;
        }
        let cluster_id = caller.body.cluster_id?;
        self.learned.insert(caller.opening.node.id, (cluster_id, caller.body.peer_address.clone()));
        match self.local.cluster_id {
            Some(_) => None,
            None => Some(*self.greeted.get_or_insert(cluster_id)),
        }
    }

    /// A caller has no connection to this node any more.
    pub(crate) fn forget(&mut self, id: NodeId) {
        self.learned.remove(&id);
    }

    pub(crate) const fn set_cluster(&mut self, cluster_id: ClusterId) {
        self.local.cluster_id = Some(cluster_id);
    }

    /// The answer lists the members that the new configuration leaves out.
    pub(crate) fn set_configuration(&mut self, configuration: &Arc<Configuration>) -> Vec<NodeId> {
        let old = self.configuration.replace(Arc::clone(configuration));
        let members = old.iter().flat_map(|old| old.members()).map(|member| member.id);
        let removed: Vec<_> = members.filter(|&id| configuration.member(id).is_none()).collect();
        self.learned.retain(|id, _| !removed.contains(id));
        removed
    }
}
