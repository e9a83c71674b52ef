//! The words in which the tests of [`Raft`](raft_core::Raft) and [`Driver`](raft_core::Driver) are written.
//!
//! Nodes are numbered from 1. A log is written as the terms of its entries, `&[1, 1, 2]`, and begins with the
//! entry that sets the configuration, as every real log does. Nothing happens by itself: no timer fires, no
//! message moves and no clock runs unless the test says so.

pub(crate) mod cluster;
mod disk;
pub(crate) mod ledger;
mod network;
mod peer;
pub(crate) mod wire;

pub(crate) use disk::Disk;
pub(crate) use network::Network;
pub(crate) use peer::Peer;

use std::time::Duration;

use raft_core::configuration::{Member, MemberChange, MemberRole};
use raft_core::message::{
    AppendEntries, AppendEntriesResponse, AppendOutcome, Heartbeat, HeartbeatResponse, RequestVote,
    RequestVoteResponse, TimeoutNow,
};
use raft_core::snapshot::{SnapshotInfo, SnapshotMeta, SnapshotOffer};
use raft_core::{
    Block, BlockBuilder, Configuration, EntryId, EntryKind, LogIndex, Message, NodeId, Options, Term, Time,
};

/// The options' election timeout: the shortest that is drawn, and how long a node stays bound to a leader.
pub(crate) const ELECTION_TIMEOUT: Duration = Duration::from_millis(500);
/// How often a leader is heard from.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(100);

/// Options of every node, unless a test needs smaller limits.
pub(crate) fn options() -> Options {
    Options {
        election_timeout: ELECTION_TIMEOUT,
        heartbeat_interval: HEARTBEAT,
        // A snapshot lets the whole log before it go.
        retained_entries: 0,
        ..Options::default()
    }
}

/// Node `number`'s id.
pub(crate) fn id(number: u64) -> NodeId {
    NodeId::new(number).expect("nodes are numbered from 1")
}

/// The entry of `term` at `index`.
pub(crate) const fn entry(term: u64, index: u64) -> EntryId {
    EntryId::new(Term(term), LogIndex(index))
}

/// A member that counts as `role`.
pub(crate) fn member(number: u64, role: MemberRole) -> Member {
    Member {
        id: id(number),
        role,
        newest_version: 1,
        name: format!("n{number}"),
        peer_address: String::new(),
        client_address: String::new(),
    }
}

/// A configuration of these members.
pub(crate) fn members(roles: &[(u64, MemberRole)]) -> Configuration {
    let members = roles.iter().map(|&(number, role)| member(number, role)).collect();
    Configuration::new(1, members).expect("a sound configuration")
}

/// A configuration of these voters.
pub(crate) fn voters(numbers: impl IntoIterator<Item = u64>) -> Configuration {
    let members = numbers.into_iter().map(|number| member(number, MemberRole::Voter)).collect();
    Configuration::new(1, members).expect("a sound configuration")
}

/// Adds node `number`, or gives it another role.
pub(crate) fn put(number: u64, role: MemberRole) -> MemberChange {
    MemberChange::Put(member(number, role))
}

/// Lets node `number` go.
pub(crate) fn remove(number: u64) -> MemberChange {
    MemberChange::Remove(id(number))
}

/// Commands of the given terms from index `first` on: a block for each run of equal terms.
pub(crate) fn blocks(first: u64, terms: &[u64]) -> Vec<Block> {
    let mut next = first;
    let runs = terms.chunk_by(|one, other| one == other).map(|run| {
        let mut builder = BlockBuilder::new();
        for index in next..next + run.len() as u64 {
            builder.push(EntryKind::Normal, &[format!("{index}@{}", run[0]).as_bytes()]);
        }
        let block = builder.finish(LogIndex(next), Term(run[0])).expect("a run is not empty");
        next += run.len() as u64;
        block
    });
    runs.collect()
}

/// The commands in these blocks, as texts.
pub(crate) fn commands(blocks: &[Block]) -> Vec<String> {
    let entries = blocks.iter().flat_map(Block::entries);
    entries.map(|entry| String::from_utf8_lossy(entry.payload).into_owned()).collect()
}

/// One entry that sets a configuration.
pub(crate) fn configuration_block(at: EntryId, configuration: &Configuration) -> Block {
    let mut payload = Vec::new();
    configuration.encode(&mut payload);
    let mut builder = BlockBuilder::new();
    builder.push(EntryKind::Configuration, &[&payload]);
    builder.finish(at.index, at.term).expect("one entry")
}

/// A candidate of `term` whose log ends with `last` asks for a vote.
pub(crate) const fn request_vote(term: u64, last_entry: EntryId) -> Message {
    Message::RequestVote(RequestVote { term: Term(term), last_entry, pre: false, forced: false })
}

/// The same, because the leader asked it to take over.
pub(crate) const fn forced_request_vote(term: u64, last_entry: EntryId) -> Message {
    Message::RequestVote(RequestVote { term: Term(term), last_entry, pre: false, forced: true })
}

/// Would you vote for me in `term`?
pub(crate) const fn pre_vote(term: u64, last_entry: EntryId) -> Message {
    Message::RequestVote(RequestVote { term: Term(term), last_entry, pre: true, forced: false })
}

/// The answer to [`request_vote`].
pub(crate) const fn vote(term: u64, granted: bool) -> Message {
    Message::RequestVoteResponse(RequestVoteResponse { term: Term(term), granted, pre: false })
}

/// The answer to [`pre_vote`].
pub(crate) const fn pre_vote_answer(term: u64, granted: bool) -> Message {
    Message::RequestVoteResponse(RequestVoteResponse { term: Term(term), granted, pre: true })
}

/// The leader of `term` sends commands of `terms`, which follow `prev_entry`, and has committed through `commit`.
pub(crate) fn append(term: u64, prev_entry: EntryId, terms: &[u64], commit: u64) -> Message {
    append_blocks(term, prev_entry, blocks(prev_entry.index.0 + 1, terms), commit)
}

/// [`append`] with entries of any kind.
pub(crate) fn append_blocks(term: u64, prev_entry: EntryId, blocks: Vec<Block>, commit: u64) -> Message {
    Message::AppendEntries(AppendEntries {
        term: Term(term),
        prev_entry,
        blocks: blocks.into(),
        leader_commit: LogIndex(commit),
        read_seq: 0,
        sent_at: Time::ZERO,
    })
}

/// "My log is yours through `match_index`."
pub(crate) const fn matched(term: u64, match_index: u64) -> Message {
    append_answer(term, AppendOutcome::Matched { match_index: LogIndex(match_index) })
}

/// "I do not have the entry at `prev_index`; our logs may meet at `hint`."
pub(crate) const fn conflict(term: u64, prev_index: u64, hint: EntryId) -> Message {
    append_answer(term, AppendOutcome::Conflict { prev_index: LogIndex(prev_index), hint })
}

const fn append_answer(term: u64, outcome: AppendOutcome) -> Message {
    Message::AppendEntriesResponse(AppendEntriesResponse {
        term: Term(term),
        outcome,
        hole: None,
        read_seq: 0,
        sent_at: Time::ZERO,
    })
}

/// What the last acknowledgement among these messages says: match index and hole.
pub(crate) fn acknowledged(messages: &[Message]) -> Option<(u64, Option<u64>)> {
    messages.iter().rev().find_map(|message| match message {
        Message::AppendEntriesResponse(AppendEntriesResponse {
            outcome: AppendOutcome::Matched { match_index },
            hole,
            ..
        }) => Some((match_index.0, hole.map(|hole| hole.0))),
        _ => None,
    })
}

/// The leader of `term` lives and has committed through `commit`.
pub(crate) const fn heartbeat(term: u64, commit: u64) -> Message {
    Message::Heartbeat(Heartbeat {
        term: Term(term),
        leader_commit: LogIndex(commit),
        read_seq: 0,
        sent_at: Time::ZERO,
    })
}

/// The answer to [`heartbeat`] that has seen read round `read_seq`.
pub(crate) const fn heartbeat_answer(term: u64, read_seq: u64) -> Message {
    Message::HeartbeatResponse(HeartbeatResponse { term: Term(term), read_seq, sent_at: Time::ZERO })
}

/// The leader of `term` asks its successor to campaign.
pub(crate) const fn timeout_now(term: u64) -> Message {
    Message::TimeoutNow(TimeoutNow { term: Term(term) })
}

/// A small snapshot file that stands for `meta`.
pub(crate) fn snapshot_info(meta: SnapshotMeta) -> SnapshotInfo {
    let digest = [u8::try_from(meta.last.index.0 % 251).expect("below 251"); 32];
    SnapshotInfo { meta, length: 1, chunk_bytes: 1, digest }
}

/// The leader of `term` offers its snapshot.
pub(crate) fn offer(term: u64, meta: SnapshotMeta) -> SnapshotOffer {
    SnapshotOffer { term: Term(term), info: snapshot_info(meta) }
}
