//! What messages say, for telling them apart, finding them again and showing them.

use std::fmt;

use crate::message::{AppendOutcome, Message};
use crate::testing::hash::TraceHash;
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
    hash.add(MessageKind::of(message) as u64);
    hash.add(message.term().0);
    match message {
        Message::RequestVote(request) => {
            add_entry(&mut hash, request.last_entry);
            hash.add(u64::from(request.forced));
        }
        Message::RequestVoteResponse(response) => hash.add(u64::from(response.granted)),
        Message::AppendEntries(request) => {
            add_entry(&mut hash, request.prev_entry);
            hash.add(request.leader_commit.0);
            request.blocks.last().into_iter().for_each(|block| add_entry(&mut hash, block.last_id()));
        }
        Message::AppendEntriesResponse(response) => match response.outcome {
            AppendOutcome::Matched { match_index } => hash.add(match_index.0),
            AppendOutcome::Conflict { prev_index, hint } => {
                hash.add(prev_index.0);
                add_entry(&mut hash, hint);
            }
        },
        Message::Heartbeat(heartbeat) => hash.add(heartbeat.leader_commit.0),
        Message::ReadIndexResponse(response) => hash.add(response.index.map_or(0, |index| index.0)),
        Message::HeartbeatResponse(_) | Message::TimeoutNow(_) | Message::ReadIndex(_) => {}
    }
    hash.value()
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
