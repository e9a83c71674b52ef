//! The durability oracle: what a message promises must be on its sender's disk already.

use super::disk::{Disk, Tag};
use super::violation::Violation;
use crate::message::{AppendOutcome, Message};
use crate::testing::cluster::summary;
use crate::types::{NodeId, Term};

/// Compares a message with the disk of `node`, which sends it; `log` is the log in its memory.
pub(super) fn check(
    node: NodeId,
    to: NodeId,
    message: &Message,
    disk: &Disk,
    log: &[Tag],
) -> Result<(), Violation> {
    let kept = match message {
        Message::RequestVote(request) if !request.pre => has_voted(disk, request.term, node),
        Message::RequestVoteResponse(response) if response.granted && !response.pre => {
            has_voted(disk, response.term, to)
        }
        Message::AppendEntriesResponse(response) => match response.outcome {
            AppendOutcome::Matched { match_index } => {
                let length = usize::try_from(match_index.0).expect("explored logs are short");
                let on_disk = disk.tags();
                on_disk.len() >= length
                    && log.get(..length) == Some(&on_disk[..length])
                    && disk.hard_state.current_term >= response.term
            }
            AppendOutcome::Conflict { .. } => true,
        },
        Message::AppendEntries(request) => disk.hard_state.current_term >= request.term,
        Message::Heartbeat(heartbeat) => disk.hard_state.current_term >= heartbeat.term,
        _ => true,
    };
    if kept {
        return Ok(());
    }
    let (message, term) = (summary(message), disk.hard_state.current_term);
    let voted_for = disk.hard_state.voted_for;
    Err(Violation::NotDurable { node, to, message, term, voted_for, entries: disk.tags().len() })
}

/// Whether no other vote in `term` is possible any more, whatever happens.
fn has_voted(disk: &Disk, term: Term, candidate: NodeId) -> bool {
    let hard_state = disk.hard_state;
    hard_state.current_term > term
        || (hard_state.current_term == term && hard_state.voted_for == Some(candidate))
}
