//! The durability oracle: each promise in an outgoing message against the sender's disk at that moment.
//!
//! Votes and candidacies promise a term and a vote; acknowledgements promise the term and the log through an index; what a
//! leader sends promises that its term was won, hence that its own vote is durable. Everything else promises nothing.
//!
//! And whoever asks voters to break their promise to a leader says so in that leader's name.

use super::{Checker, Violation, place_of};
use crate::message::{AppendOutcome, Message, RequestVote};
use crate::raft::RoleName;
use crate::testing::cluster::node::SimNode;
use crate::time::Time;
use crate::types::{EntryId, LogIndex, NodeId, Term};

impl Checker {
    pub(in crate::testing::cluster) fn check_sent(
        &mut self,
        at: Time,
        nodes: &[SimNode],
        sender: usize,
        to: NodeId,
        message: &Message,
    ) -> Result<(), Violation> {
        let node = &nodes[sender];
        let covered = match message {
            Message::RequestVote(request) if !request.pre => {
                self.check_orders(at, node.id, request)?;
                self.check_vote(at, node, request.term, node.id)?
            }
            Message::RequestVoteResponse(response) if response.granted && !response.pre => {
                self.check_vote(at, node, response.term, to)?
            }
            Message::AppendEntriesResponse(response) => match response.outcome {
                AppendOutcome::Matched { match_index } => {
                    check_agreement(at, nodes, node, to, response.term, match_index)?;
                    is_in_term(node, response.term) && holds_as_in_memory(node, match_index)
                }
                AppendOutcome::Conflict { .. } => return Ok(()),
            },
            Message::AppendEntries(request) => is_in_term(node, request.term),
            Message::TimeoutNow(order) => {
                self.orders.insert((to, order.term));
                return Ok(());
            }
            Message::Heartbeat(heartbeat) => is_in_term(node, heartbeat.term),
            Message::RequestVote(_)
            | Message::RequestVoteResponse(_)
            | Message::HeartbeatResponse(_)
            | Message::ReadIndex(_)
            | Message::ReadIndexResponse(_) => return Ok(()),
        };
        if covered {
            let promised = &mut self.views[sender].promised;
            *promised = message.term().max(*promised);
            return Ok(());
        }
        let (message, disk) = (format!("{message:?}"), node.describe_disk());
        Err(Violation::NotDurable { at, node: node.id, message, disk })
    }

    /// A campaign that asks voters not to mind their leader is what that leader has asked for, in the term just before.
    fn check_orders(&self, at: Time, node: NodeId, request: &RequestVote) -> Result<(), Violation> {
        let order = (node, Term(request.term.0 - 1));
        if request.forced && !self.orders.contains(&order) {
            return Err(Violation::Unbidden { at, node, term: request.term });
        }
        Ok(())
    }

    /// One vote a term, whatever was crashed in between. Whether it is durable.
    fn check_vote(
        &mut self,
        at: Time,
        node: &SimNode,
        term: Term,
        candidate: NodeId,
    ) -> Result<bool, Violation> {
        let first = *self.votes.entry((node.id, term)).or_insert(candidate);
        if first != candidate {
            return Err(Violation::TwoVotes { at, node: node.id, term, first, second: candidate });
        }
        let disk = node.disk_hard_state();
        Ok(disk.current_term == term && disk.voted_for == Some(candidate))
    }
}

/// What a leader believes to be on the disks of those who are in its term is there: nobody but itself could have made them
/// remove it.
pub(super) fn check_matches(at: Time, place: usize, nodes: &[SimNode]) -> Result<(), Violation> {
    let Some(running) = nodes[place].running() else { return Ok(()) };
    let raft = running.driver.raft();
    let term = raft.hard_state().current_term;
    for (id, index) in raft.match_indexes() {
        let Some(entry) = raft.term_at(index).map(|term| EntryId::new(term, index)) else { continue };
        let Some(peer) = nodes.get(place_of(id)) else { continue };
        if is_in_term(peer, term) && !peer.vouches_for(entry) {
            let (node, disk) = (raft.id(), peer.describe_disk());
            return Err(Violation::MatchedInVain { at, node, peer: id, entry, disk });
        }
    }
    Ok(())
}

fn is_in_term(node: &SimNode, term: Term) -> bool {
    node.disk_hard_state().current_term == term
}

/// Whether the disk's log is the one in memory through `index`.
fn holds_as_in_memory(node: &SimNode, index: LogIndex) -> bool {
    let Some(running) = node.running() else { return false };
    // No acknowledgement over a hole, as far as the node can know of it.
    if !node.latent_damage && node.first_damaged(node.snapshot_on_disk()).is_some_and(|hole| hole <= index) {
        return false;
    }
    match running.driver.raft().term_at(index) {
        Some(term) => node.disk_holds(EntryId::new(term, index)),
        // Before the log: a published snapshot covers it.
        None => running.newest_snapshot().is_some_and(|snapshot| index <= snapshot.meta.last.index),
    }
}

/// What is acknowledged to a leader is what that leader has.
fn check_agreement(
    at: Time,
    nodes: &[SimNode],
    node: &SimNode,
    to: NodeId,
    term: Term,
    index: LogIndex,
) -> Result<(), Violation> {
    let leader = nodes.get(place_of(to)).and_then(SimNode::running);
    let (Some(leader), Some(running)) = (leader, node.running()) else { return Ok(()) };
    let (leader, raft) = (leader.driver.raft(), running.driver.raft());
    if leader.role() != RoleName::Leader || leader.hard_state().current_term != term {
        return Ok(());
    }
    let (theirs, own) = (leader.term_at(index), raft.term_at(index));
    let forgotten = |found: Option<Term>, commit| found.is_none() && index <= commit;
    let compacted = forgotten(theirs, leader.commit_index()) || forgotten(own, raft.commit_index());
    if compacted || theirs == own {
        return Ok(());
    }
    let answer = format!("term {own:?} there");
    let message = format!("a match through {index} in term {term} with {answer}");
    let disk = format!("leader {to} has term {theirs:?} there");
    Err(Violation::NotDurable { at, node: node.id, message, disk })
}
