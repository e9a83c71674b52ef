//! Whether this node is a member of its cluster, and what to do if it is not (any more).
//!
//! A node learns of its own removal in one of two ways. It was there: then the newest configuration it has does not list
//! it, and nobody calls it. Or it was away: then it still takes itself for a member, nobody answers its questions for votes
//! (which disturb nobody, `[Ongaro §9.6]`), and another node that it asks, as clients do, does not list it. The same
//! question tells it that it stayed behind when `kvd recover` made another cluster of its own.
//!
//! None of it is final: whoever is added again is called again, and is a member.

use std::fmt;
use std::time::Duration;

use kv_client::Client;
use kv_client::protocol::NodeStatus;
use raft_core::RoleName;
use raft_core::configuration::{Configuration, MemberRole};
use raft_core::node::{NodeHandle, Observation};
use raft_net::Local;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::advice::LEFT_BEHIND;
use crate::bootstrap::Note;
use crate::store::Store;

/// Election timeouts without a leader after which something may be wrong.
const PATIENCE: u32 = 3;
/// How often the other members are asked whether this node is one of them.
const INQUIRY_PAUSE: Duration = Duration::from_secs(3);
/// How long each may take to answer.
const INQUIRY_TIMEOUT: Duration = Duration::from_secs(1);

/// Why this node takes no part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Outside {
    #[error(
        "this node is no member of its cluster: the newest configuration it has does not list it, and no leader calls \
         it. {ADVICE}"
    )]
    Unlisted,
    #[error(
        "this node is no member of its cluster (any more): {by} says so, and no leader calls this node. {ADVICE}"
    )]
    Told { by: String },
    #[error(
        "this node's cluster is over: {by} went on alone after a majority was lost, as cluster {cluster_id}, and this node \
         stayed behind. It serves nothing. For {LEFT_BEHIND}"
    )]
    LeftBehind { by: String, cluster_id: String },
}

/// What to do about it.
const ADVICE: &str = "It neither votes nor answers reads. Stop it, or let it back in with kvctl member add (as it is, or \
    with an empty folder)";

/// Says what changes, in the log and in the node's status, for ever.
pub(crate) async fn keep(node: NodeHandle<Store>, local: Local, note: Note, election_timeout: Duration) {
    let mut watcher = Watcher { node, local, election_timeout, called_at: Instant::now(), asked_at: None };
    let mut observed = watcher.node.observe();
    let mut ticks = interval(election_timeout);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut members = None;
    let mut standing = None;
    loop {
        let observation = observed.borrow_and_update().clone();
        if members != observation.configuration {
            members.clone_from(&observation.configuration);
            announce(members.as_deref());
        }
        // What was found out stays, until a leader calls.
        let found = match watcher.is_in_touch(&observation).await {
            true => None,
            false => watcher.outside(&observation).await.or_else(|| standing.clone()),
        };
        if found != standing {
            match &found {
                Some(outside) => tracing::warn!("{outside}"),
                None => tracing::info!("this node is a member of its cluster again"),
            }
            note.send_replace(found.as_ref().map(ToString::to_string));
            standing = found;
        }
        tokio::select! {
            changed = observed.changed() => if changed.is_err() { return },
            _ = ticks.tick() => {}
        }
    }
}

struct Watcher {
    node: NodeHandle<Store>,
    local: Local,
    election_timeout: Duration,
    /// When a leader was known to call this node, or this began.
    called_at: Instant,
    /// When the others were asked last.
    asked_at: Option<Instant>,
}

impl Watcher {
    /// Whether it leads, or a leader has called it lately.
    async fn is_in_touch(&mut self, observation: &Observation) -> bool {
        // A node that has stopped needs no note.
        let Some(status) = self.node.status().await else { return true };
        let silent = status.raft.leader_silent_for;
        if observation.role == RoleName::Leader || silent.is_some_and(|silent| silent < self.election_timeout)
        {
            self.called_at = Instant::now();
        }
        self.called_at.elapsed() < self.election_timeout * PATIENCE
    }

    async fn outside(&mut self, observation: &Observation) -> Option<Outside> {
        let configuration = observation.configuration.as_deref();
        let Some(configuration) = configuration.filter(|all| all.member(self.local.node_id).is_some()) else {
            return Some(Outside::Unlisted);
        };
        if self.asked_at.is_some_and(|at| at.elapsed() < INQUIRY_PAUSE) {
            return None;
        }
        self.asked_at = Some(Instant::now());
        self.ask(configuration, observation).await
    }

    /// Asks the other members of `configuration`, each as a client of its own: they may be of several clusters by now.
    async fn ask(&self, configuration: &Configuration, observation: &Observation) -> Option<Outside> {
        let others = configuration.members().iter().filter(|member| member.id != self.local.node_id);
        let mut asking: JoinSet<_> = others.map(|member| ask(member.client_address.clone())).collect();
        while let Some(answered) = asking.join_next().await {
            if let Ok(Some(status)) = answered
                && let Some(outside) = self.judge(&status, observation)
            {
                return Some(outside);
            }
        }
        None
    }

    /// What another node's account of itself says about this one.
    fn judge(&self, told: &NodeStatus, observation: &Observation) -> Option<Outside> {
        let (own, cluster_id) = (self.local.node_id.to_string(), observation.cluster_id?.to_string());
        let by = || format!("node {} ({})", told.name, told.node_id);
        let theirs = told.cluster_id.clone()?;
        if told.ancestors.contains(&cluster_id) {
            return Some(Outside::LeftBehind { by: by(), cluster_id: theirs });
        }
        let leaves_out = theirs == cluster_id
            && told.leader_id.is_some()
            && told.term >= observation.term.0
            && !told.members.iter().any(|member| member.node_id == own);
        leaves_out.then(|| Outside::Told { by: by() })
    }
}

/// The account that the node at `address` gives of itself, if it answers soon.
pub(crate) async fn ask(address: String) -> Option<NodeStatus> {
    let client = Client::new([&address], kv_client::Options::default()).ok()?;
    client.with_deadline(INQUIRY_TIMEOUT).status(&address).await.ok()
}

/// Says who the members are.
fn announce(configuration: Option<&Configuration>) {
    if let Some(configuration) = configuration {
        tracing::info!(members = %Members(configuration), "the configuration in force");
    }
}

struct Members<'a>(&'a Configuration);

impl fmt::Display for Members<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, member) in self.0.members().iter().enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            write!(f, "{separator}{} ({}", member.name, member.id)?;
            match member.role {
                MemberRole::Voter => f.write_str(")")?,
                MemberRole::Learner | MemberRole::Promotable => f.write_str(", learner)")?,
                role => write!(f, ", {role:?})")?,
            }
        }
        Ok(())
    }
}
