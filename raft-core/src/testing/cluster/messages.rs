//! What messages say, for telling them apart, finding them again and showing them.

use std::fmt;

use crate::block::Block;
use crate::message::{
    AppendEntries, AppendEntriesResponse, AppendOutcome, Heartbeat, HeartbeatResponse, Message, ReadIndex,
    ReadIndexResponse,
};
use crate::testing::hash::TraceHash;
use crate::time::Time;
use crate::types::EntryId;

/// Which remote call or answer a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of the messages")]
pub enum MessageKind {
    PreVote,
    PreVoteResponse,
    RequestVote,
    RequestVoteResponse,
    AppendEntries,
    AppendEntriesResponse,
    Heartbeat,
    HeartbeatResponse,
    TimeoutNow,
    ReadIndex,
    ReadIndexResponse,
}

impl MessageKind {
    /// The kind of `message`.
    #[must_use]
    pub const fn of(message: &Message) -> Self {
        match message {
            Message::RequestVote(request) if request.pre => Self::PreVote,
            Message::RequestVote(_) => Self::RequestVote,
            Message::RequestVoteResponse(response) if response.pre => Self::PreVoteResponse,
            Message::RequestVoteResponse(_) => Self::RequestVoteResponse,
            Message::AppendEntries(_) => Self::AppendEntries,
            Message::AppendEntriesResponse(_) => Self::AppendEntriesResponse,
            Message::Heartbeat(_) => Self::Heartbeat,
            Message::HeartbeatResponse(_) => Self::HeartbeatResponse,
            Message::TimeoutNow(_) => Self::TimeoutNow,
            Message::ReadIndex(_) => Self::ReadIndex,
            Message::ReadIndexResponse(_) => Self::ReadIndexResponse,
        }
    }
}

impl fmt::Display for MessageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Hash over what `message` says, but for clocks and read rounds, which differ as soon as anything before differs.
#[must_use]
pub fn content(message: &Message) -> u64 {
    let mut hash = TraceHash::default();
    add_content(&mut hash, message);
    hash.value()
}

/// Hash over all that `message` says: two that agree in it, on one link, may stand for each other.
#[must_use]
pub fn digest(message: &Message) -> u64 {
    let mut hash = TraceHash::default();
    add_content(&mut hash, message);
    match message {
        Message::AppendEntries(AppendEntries { blocks, read_seq, sent_at, .. }) => {
            blocks.iter().for_each(|block| add_block(&mut hash, block));
            add_round(&mut hash, *read_seq, *sent_at);
        }
        Message::AppendEntriesResponse(AppendEntriesResponse { hole, read_seq, sent_at, .. }) => {
            hash.add(hole.map_or(0, |hole| hole.0));
            add_round(&mut hash, *read_seq, *sent_at);
        }
        Message::Heartbeat(Heartbeat { read_seq, sent_at, .. })
        | Message::HeartbeatResponse(HeartbeatResponse { read_seq, sent_at, .. }) => {
            add_round(&mut hash, *read_seq, *sent_at);
        }
        Message::ReadIndex(ReadIndex { request, proof, .. }) => {
            hash.add(*request);
            hash.add(*proof as u64);
        }
        Message::ReadIndexResponse(ReadIndexResponse { request, .. }) => hash.add(*request),
        Message::RequestVote(_) | Message::RequestVoteResponse(_) | Message::TimeoutNow(_) => {}
    }
    hash.value()
}

fn add_content(hash: &mut TraceHash, message: &Message) {
    hash.add(MessageKind::of(message) as u64);
    hash.add(message.term().0);
    match message {
        Message::RequestVote(request) => {
            add_entry(hash, request.last_entry);
            hash.add(u64::from(request.forced));
        }
        Message::RequestVoteResponse(response) => hash.add(u64::from(response.granted)),
        Message::AppendEntries(request) => {
            add_entry(hash, request.prev_entry);
            hash.add(request.leader_commit.0);
            request.blocks.last().into_iter().for_each(|block| add_entry(hash, block.last_id()));
        }
        Message::AppendEntriesResponse(response) => match response.outcome {
            AppendOutcome::Matched { match_index } => hash.add(match_index.0),
            AppendOutcome::Conflict { prev_index, hint } => {
                hash.add(prev_index.0);
                add_entry(hash, hint);
            }
        },
        Message::Heartbeat(heartbeat) => hash.add(heartbeat.leader_commit.0),
        Message::ReadIndexResponse(response) => hash.add(response.index.map_or(0, |index| index.0)),
        Message::HeartbeatResponse(_) | Message::TimeoutNow(_) | Message::ReadIndex(_) => {}
    }
}

/// A block's table holds the checksum of every payload.
fn add_block(hash: &mut TraceHash, block: &Block) {
    block.runs().iter().for_each(|run| add_entry(hash, EntryId { term: run.term, index: run.first }));
    let (words, _) = block.table().as_chunks::<4>();
    words.iter().for_each(|word| hash.add(u64::from(u32::from_le_bytes(*word))));
}

fn add_round(hash: &mut TraceHash, read_seq: u64, sent_at: Time) {
    hash.add(read_seq);
    hash.add(sent_at.as_nanos());
}

fn add_entry(hash: &mut TraceHash, entry: EntryId) {
    hash.add(entry.term.0);
    hash.add(entry.index.0);
}

/// What `message` says, in a few words.
#[must_use]
pub fn summary(message: &Message) -> String {
    match message {
        Message::RequestVote(request) => {
            let forced = if request.forced { ", forced" } else { "" };
            format!("term {}, log ends at {}{forced}", request.term, request.last_entry)
        }
        Message::RequestVoteResponse(response) => {
            let answer = if response.granted { "granted" } else { "refused" };
            format!("term {}, {answer}", response.term)
        }
        Message::AppendEntries(request) => {
            let entries = match (request.blocks.first(), request.blocks.last()) {
                (Some(first), Some(last)) => format!("entries {} to {}", first.first_index(), last.last_id()),
                _ => "no entries".to_owned(),
            };
            let (prev, commit) = (request.prev_entry, request.leader_commit);
            format!("term {}, {entries} after {prev}, commit {commit}", request.term)
        }
        Message::AppendEntriesResponse(response) => match response.outcome {
            AppendOutcome::Matched { match_index } => format!("term {}, match {match_index}", response.term),
            AppendOutcome::Conflict { prev_index, hint } => {
                format!("term {}, conflict at {prev_index}, hint {hint}", response.term)
            }
        },
        Message::Heartbeat(heartbeat) => {
            format!(
                "term {}, commit {}, round {}",
                heartbeat.term, heartbeat.leader_commit, heartbeat.read_seq
            )
        }
        Message::HeartbeatResponse(response) => {
            format!("term {}, round {}", response.term, response.read_seq)
        }
        Message::TimeoutNow(request) => format!("term {}", request.term),
        Message::ReadIndex(request) => format!("term {}, by {:?}", request.term, request.proof),
        Message::ReadIndexResponse(response) => match response.index {
            Some(index) => format!("term {}, read at {index}", response.term),
            None => format!("term {}, refused", response.term),
        },
    }
}
