//! What the client knows of the cluster: which nodes there are, which of them leads.
//!
//! The endpoints come from the caller; further nodes from the members list that each new connection is asked for,
//! and from hints at the leader. All of it is a guess that the nodes' answers correct.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::time::Instant;

use super::node::Node;
use crate::connection::Connection;
use crate::connector::Connector;
use crate::error::{NoEndpoints, Problem};
use crate::options::Options;
use crate::protocol::{Answer, Body, Leader, Member, Welcome};

/// The nodes.
pub(super) struct Cluster {
    options: Options,
    connector: Box<dyn Connector>,
    view: Mutex<View>,
}

#[derive(Debug)]
struct View {
    /// First the endpoints, then what was found besides.
    nodes: Vec<Arc<Node>>,
    endpoints: usize,
    /// Who led when last heard of.
    leader: Option<Arc<Node>>,
    /// Whom to ask next while no leader is known: an index modulo their number.
    next: usize,
    /// Of the first node that had one.
    cluster_id: Option<u128>,
}

impl Cluster {
    pub(super) fn new(
        endpoints: impl IntoIterator<Item = impl AsRef<str>>,
        options: Options,
        connector: impl Connector,
    ) -> Result<Self, NoEndpoints> {
        let nodes: Vec<_> = endpoints.into_iter().map(|address| Node::new(address.as_ref())).collect();
        if nodes.is_empty() {
            return Err(NoEndpoints);
        }
        let endpoints = nodes.len();
        let view = View { nodes, endpoints, leader: None, next: 0, cluster_id: None };
        Ok(Self { options, connector: Box::new(connector), view: Mutex::new(view) })
    }

    pub(super) const fn options(&self) -> &Options {
        &self.options
    }

    pub(super) fn connector(&self) -> &dyn Connector {
        &*self.connector
    }

    /// The leader; while none is known, each node in turn.
    pub(super) fn leader_or_next(&self) -> Arc<Node> {
        let view = self.view();
        Arc::clone(view.leader.as_ref().unwrap_or_else(|| &view.nodes[view.next % view.nodes.len()]))
    }

    /// The first endpoint.
    pub(super) fn first(&self) -> Arc<Node> {
        Arc::clone(&self.view().nodes[0])
    }

    /// The node at an address; one that is not listed if none has it.
    pub(super) fn at(&self, address: &str) -> Arc<Node> {
        let view = self.view();
        view.nodes
            .iter()
            .find(|node| node.address() == address)
            .map_or_else(|| Node::new(address), Arc::clone)
    }

    /// `node` has served what only a leader serves.
    pub(super) fn leads(&self, node: &Arc<Node>) {
        let mut view = self.view();
        if !view.leader.as_ref().is_some_and(|leader| Arc::ptr_eq(leader, node)) {
            view.leader = Some(Arc::clone(node));
        }
    }

    /// `node` did not serve: another is asked next, unless somebody else has found that out meanwhile.
    pub(super) fn doubt(&self, node: &Arc<Node>) {
        let mut view = self.view();
        if view.leader.as_ref().is_some_and(|leader| Arc::ptr_eq(leader, node)) {
            view.leader = None;
        }
        let next = view.next % view.nodes.len();
        if Arc::ptr_eq(&view.nodes[next], node) {
            view.next = next + 1;
        }
    }

    /// A node says who leads. One that is connected to already, by whatever address, is not connected to again.
    pub(super) fn follow(&self, hint: &Leader) {
        let mut view = self.view();
        let by_id = view.nodes.iter().find(|node| node.has_id(hint.id));
        let by_address = || view.nodes.iter().find(|node| node.address() == hint.client_address);
        let leader = by_id.or_else(by_address).map(Arc::clone);
        view.leader = Some(leader.unwrap_or_else(|| {
            let node = Node::new(&hint.client_address);
            view.nodes.push(Arc::clone(&node));
            node
        }));
    }

    /// Checks that a node belongs to the cluster that the client belongs to.
    pub(super) fn admit(&self, welcome: &Welcome) -> Result<(), Problem> {
        let mut view = self.view();
        match (view.cluster_id, welcome.cluster_id) {
            (Some(expected), Some(found)) if found != expected => {
                return Err(Problem::WrongCluster { found, expected });
            }
            (None, found) => view.cluster_id = found,
            _ => {}
        }
        Ok(())
    }

    /// Asks for the members and takes note of them. A node that does not say is not asked again: the next
    /// connection brings the next chance.
    pub(super) async fn discover(&self, connection: &Connection) {
        let deadline = Instant::now() + self.options.attempt_timeout;
        let answered = connection.call(Body::Members, Bytes::new(), deadline).await;
        if let Ok(Ok(Answer::Members(members))) = answered.map(|answered| answered.reply.result) {
            self.learn(&members);
        }
    }

    /// Keeps the endpoints, the leader, and of the others those that are members.
    fn learn(&self, members: &[Member]) {
        let mut view = self.view();
        let View { nodes, endpoints, leader, .. } = &mut *view;
        let is_member = |node: &Node| members.iter().any(|member| member.client_address == node.address());
        let mut at = 0;
        nodes.retain(|node| {
            at += 1;
            at <= *endpoints
                || is_member(node)
                || leader.as_ref().is_some_and(|leader| Arc::ptr_eq(leader, node))
        });
        for member in members {
            if !nodes.iter().any(|node| node.address() == member.client_address) {
                nodes.push(Node::new(&member.client_address));
            }
        }
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().expect("no thread panics while it holds the lock")
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("view", &self.view).finish_non_exhaustive()
    }
}
