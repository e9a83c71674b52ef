//! How a fresh node comes into a cluster: it greets the nodes it was listed with, and founds one with them or
//! waits.
//!
//! The rule is in [`decision`], where no I/O is. This module keeps a greeting to each listed node open (a node
//! closes it when what it said no longer holds), asks the rule whenever something changes, and tells people what
//! is going on.
//!
//! It ends when the node belongs to a cluster: its own, or that of the member that called it.

mod decision;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use raft_core::Configuration;
use raft_core::error::ProposeError;
use raft_core::node::NodeHandle;
use raft_net::connector::Connector;
use raft_net::handshake::Hello;
use raft_net::{Local, greet};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, sleep};

use crate::store::Store;
use decision::{Contact, Decision, Introduction, Reason, decide};

/// How long one greeting may take.
const GREETING_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause before a node that did not answer is greeted again.
const GREETING_PAUSE: Duration = Duration::from_millis(250);
/// How often a node that waits for others says so.
const REMINDER: Duration = Duration::from_secs(5);

/// Why this node does not take part, for whoever asks for its status; `None` while it does.
pub(crate) type Note = watch::Sender<Option<String>>;

/// Greets the nodes that `local` was listed with until this node belongs to a cluster, founding one if the rule
/// says so. Returns when it does, or when the node has stopped.
pub(crate) async fn join_cluster(
    local: Local,
    connector: Arc<dyn Connector>,
    node: NodeHandle<Store>,
    note: &Note,
) {
    let own = introduction(&local);
    let (news_sender, mut news) = mpsc::channel(own.join.len());
    let mut contacts = BTreeMap::new();
    let mut greeters = JoinSet::new();
    for address in own.join.iter().filter(|address| **address != own.peer_address) {
        contacts.insert(address.clone(), Contact::Dialing);
        let (connector, sender) = (Arc::clone(&connector), news_sender.clone());
        greeters.spawn(keep_greeting(connector, address.clone(), local.clone(), sender));
    }
    let mut observed = node.observe();
    let mut reminder = interval_at(Instant::now() + REMINDER, REMINDER);
    let mut herald = Herald { note, last: None };
    loop {
        match decide(&own, &contacts) {
            Decision::Wait(reason) => herald.tell(reason),
            Decision::Found(configuration) => found(&node, configuration).await,
        }
        tokio::select! {
            joined = observed.wait_for(|observation| observation.cluster_id.is_some()) => {
                let cluster_id = joined.ok().and_then(|observation| observation.cluster_id);
                herald.joined();
                if let Some(cluster_id) = cluster_id {
                    tracing::info!(%cluster_id, "this node belongs to a cluster now");
                }
                return;
            }
            Some((address, contact)) = news.recv() => {
                contacts.insert(address, contact);
            }
            _ = reminder.tick() => herald.remind(),
        }
    }
}

/// Writes the first configuration; returns when this node belongs to the cluster, though nothing is committed yet.
async fn found(node: &NodeHandle<Store>, configuration: Configuration) {
    tracing::info!(members = configuration.members().len(), "founding a cluster");
    let mut observed = node.observe();
    tokio::select! {
        founded = node.initialize(configuration) => match founded {
            // A member of another cluster has called meanwhile: just as well.
            Ok(_) | Err(ProposeError::AlreadyInitialized { .. }) => {}
            Err(error) => tracing::warn!(%error, "no cluster founded"),
        },
        _ = observed.wait_for(|observation| observation.cluster_id.is_some()) => {}
    }
}

/// Says each thing once, and repeats what others have to do something about.
struct Herald<'a> {
    note: &'a Note,
    last: Option<Reason>,
}

impl Herald<'_> {
    fn tell(&mut self, reason: Reason) {
        if self.last.as_ref() == Some(&reason) {
            return;
        }
        match reason.wants_an_operator() {
            true => tracing::warn!("waiting: {reason}"),
            false => tracing::info!("waiting: {reason}"),
        }
        self.note.send_replace(Some(reason.to_string()));
        self.last = Some(reason);
    }

    /// A stranger may stay one for long: that was said once.
    fn remind(&self) {
        match &self.last {
            None | Some(Reason::Stranger { .. }) => {}
            // Nodes are started one after the other; one that is still down now may have been forgotten.
            Some(reason @ Reason::Silent { .. }) => tracing::warn!("still waiting: {reason}"),
            Some(reason) => tracing::info!("still waiting: {reason}"),
        }
    }

    fn joined(&mut self) {
        self.note.send_replace(None);
        self.last = None;
    }
}

/// Greets the node at `address`, and again whenever the connection breaks.
async fn keep_greeting(
    connector: Arc<dyn Connector>,
    address: String,
    local: Local,
    news: mpsc::Sender<(String, Contact)>,
) {
    loop {
        let contact = match greet(&*connector, &address, &local, GREETING_TIMEOUT).await {
            Ok(mut greeting) => {
                let objection = greeting.objection.as_ref().map(|refused| refused.refusal.to_string());
                let introduction = said(&greeting.hello);
                // Whoever listened may have ended: then this task is being dropped.
                drop(news.send((address.clone(), Contact::Met { introduction, objection })).await);
                let ended = greeting.ended().await;
                tracing::debug!(%address, %ended, "greeting again");
                Contact::Dialing
            }
            Err(error) => Contact::Silent { why: error.to_string() },
        };
        drop(news.send((address.clone(), contact)).await);
        sleep(GREETING_PAUSE).await;
    }
}

fn introduction(local: &Local) -> Introduction {
    let mut join = local.join.clone();
    join.sort();
    Introduction {
        id: local.node_id,
        name: local.name.clone(),
        peer_address: local.peer_address.clone(),
        client_address: local.client_address.clone(),
        join,
        cluster_id: local.cluster_id,
    }
}

fn said(hello: &Hello) -> Introduction {
    Introduction {
        id: hello.opening.node.id,
        name: hello.opening.node.name.clone(),
        peer_address: hello.body.peer_address.clone(),
        client_address: hello.body.client_address.clone(),
        join: hello.body.join.clone(),
        cluster_id: hello.body.cluster_id,
    }
}
