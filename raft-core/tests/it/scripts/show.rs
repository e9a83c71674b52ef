//! What a reader gets to see: messages, deeds, and how a node stands.

use raft_core::configuration::MemberRole::{Learner, Promotable};
use raft_core::testing::cluster::{MessageKind, summary};
use raft_core::{Configuration, Effect, NodeId, RoleName};

use crate::support::Peer;

/// A line about what node `number` did, unless it is nobody's business.
pub(super) fn deed(number: u64, effect: &Effect) -> Option<String> {
    let line = match effect {
        Effect::Restore(last) => format!("loads the snapshot that ends at {last}"),
        Effect::Compact { through } => format!("forgets entries through {through}"),
        Effect::SendSnapshot { to, .. } => format!("has to send its snapshot to node {to}"),
        Effect::AcceptSnapshot { .. } => "accepts the snapshot".to_owned(),
        Effect::RefuseSnapshot { .. } => "turns the snapshot down".to_owned(),
        Effect::LogDamaged { index, .. } => format!("finds entry {index} damaged"),
        Effect::Halt(halt) => format!("stops: {halt}"),
        Effect::Proposed { outcome: Err(error), .. } => format!("refuses: {error}"),
        Effect::ReadReady { outcome: Ok(index), .. } => format!("may serve the read from entry {index} on"),
        Effect::ReadReady { outcome: Err(error), .. } => format!("refuses: {error}"),
        Effect::TransferBegun { outcome: Ok(to), .. } => format!("is handing over to node {to}"),
        Effect::TransferBegun { outcome: Err(error), .. } => format!("refuses: {error}"),
        _ => return None,
    };
    Some(format!("node {number} {}", plain(&line)))
}

/// What a message says, without receiver.
pub(super) fn message(effect: &Effect) -> Option<(u64, String)> {
    let Effect::Send { to, message } = effect else { return None };
    Some((to.get(), format!("{}: {}", MessageKind::of(message), summary(message))))
}

/// Role, log, and members if they are not `known`.
pub(super) fn standing(peer: &Peer) -> (String, String) {
    let term = peer.term();
    let role = match (peer.role(), peer.leader()) {
        (RoleName::Leader, _) => format!("leader of term {term}"),
        (RoleName::Follower, Some(leader)) => format!("follower of {leader} in term {term}"),
        (role, _) => format!("{role} in term {term}"),
    };
    let log = peer.log();
    let base = peer.raft.status().base.index.0;
    let committed = usize::try_from(peer.commit().saturating_sub(base)).expect("a short log");
    let (committed, open) = log.split_at(committed.min(log.len()));
    let forgotten = if base > 0 { format!("…{base} ") } else { String::new() };
    let mut text = format!("{role}, log {forgotten}{}| {}", terms(committed), terms(open));
    text.truncate(text.trim_end().len());
    let members =
        peer.raft.configuration().map_or_else(|| "no members".to_owned(), |members| self::members(members));
    (text, members)
}

fn terms(terms: &[u64]) -> String {
    terms.iter().map(|term| format!("{term} ")).collect()
}

fn members(configuration: &Configuration) -> String {
    let quorum = configuration.quorum();
    let list = |ids: &[NodeId]| ids.iter().map(|id| format!(" {}", id.get())).collect::<String>();
    let old =
        if quorum.outgoing.is_empty() { String::new() } else { format!("{} and", list(&quorum.outgoing)) };
    let learns = |role| matches!(role, Learner | Promotable);
    let learners = configuration.members().iter().filter(|member| learns(member.role));
    let learners: Vec<NodeId> = learners.map(|member| member.id).collect();
    let learners = if learners.is_empty() { String::new() } else { format!(", learners{}", list(&learners)) };
    format!("voters{old}{}{learners}", list(&quorum.incoming))
}

/// Node ids as the numbers that they are here.
fn plain(text: &str) -> String {
    text.replace("000000000000000", "")
}
