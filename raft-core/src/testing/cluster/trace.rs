//! What the trace hash of a run takes in: every input as it is stepped, every message as it is sent, every crash, and what
//! a node has come to after each flush.
//!
//! Invariant (same run, same hash): nothing goes in that differs between processes or machines (addresses, hash orders,
//! true time). What goes in first stands for a message wherever it is named again.

use super::node::{Running, Waiting};
use super::{Command, SimMachine};
use crate::configuration::MemberChange;
use crate::driver::Event;
use crate::snapshot::SnapshotInfo;
use crate::storage::{LogEvent, SnapshotEvent};
use crate::testing::hash::TraceHash;
use crate::time::Time;
use crate::transport::TransportEvent;
use crate::types::EntryId;

/// A message with this digest leaves the node at `from` for the one at `to`.
pub(super) const fn sent(trace: &mut TraceHash, from: usize, to: usize, digest: u64) {
    trace.add(link(1, from, to));
    trace.add(digest);
}

/// It arrives, and is stepped at once unless the node stands still.
pub(super) const fn delivered(trace: &mut TraceHash, from: usize, to: usize, digest: u64) {
    trace.add(link(2, from, to));
    trace.add(digest);
}

const fn link(tag: u64, from: usize, to: usize) -> u64 {
    tag | (from as u64) << 16 | (to as u64) << 32
}

/// The node at `place` loses power.
pub(super) const fn crashed(trace: &mut TraceHash, place: usize) {
    trace.add(link(22, place, place));
}

/// The node at `place` has flushed at true time `at`.
pub(super) fn flushed(trace: &mut TraceHash, at: Time, place: usize, running: &Running) {
    let raft = running.driver.raft();
    let last = raft.last_entry();
    let facts = [
        at.as_nanos(),
        place as u64,
        raft.hard_state().current_term.0,
        raft.commit_index().0,
        last.index.0,
        last.term.0,
        running.driver.applied().index.0,
    ];
    add(trace, facts);
}

/// An input is stepped when the node's clock reads `now`.
pub(super) fn input(trace: &mut TraceHash, now: Time, input: &Waiting) {
    trace.add(now.as_nanos());
    match input {
        Waiting::Event(of) => event(trace, of),
        Waiting::Propose(ticket, Command { client, seq, padding, more: _ }) => {
            add(trace, [3, ticket.0, u64::from(*client), u64::from(*seq), u64::from(*padding)]);
        }
        Waiting::Read(ticket, proof) => add(trace, [4, ticket.0, *proof as u64]),
        Waiting::ChangeMembers(ticket, changes) => {
            add(trace, [5, ticket.0]);
            changes.iter().for_each(|one| change(trace, one));
        }
        Waiting::TransferLeadership(ticket, to) => add(trace, [6, ticket.0, to.map_or(0, |to| to.get())]),
    }
}

fn change(trace: &mut TraceHash, change: &MemberChange) {
    match change {
        MemberChange::Put(member) => add(trace, [1, member.id.get(), member.role as u64]),
        MemberChange::Remove(id) => add(trace, [2, id.get()]),
    }
}

/// An event is handed over.
pub(super) fn event(trace: &mut TraceHash, event: &Event<SimMachine>) {
    match event {
        Event::Tick => trace.add(7),
        Event::Log(event) => log_event(trace, event),
        Event::Snapshot(event) => snapshot_event(trace, event),
        Event::Transport(event) => transport_event(trace, event),
        Event::Restored(_) => trace.add(8),
    }
}

fn log_event(trace: &mut TraceHash, event: &LogEvent) {
    match event {
        LogEvent::Durable(write) => add(trace, [9, write.0]),
        LogEvent::Read { id, answer } => add(trace, [10, *id, u64::from(answer.is_ok())]),
        LogEvent::Full(full) => add(trace, [11, u64::from(*full)]),
        LogEvent::Failed(_) => trace.add(12),
    }
}

fn snapshot_event(trace: &mut TraceHash, event: &SnapshotEvent) {
    match event {
        SnapshotEvent::Created(info) => snapshot(trace, 13, info),
        SnapshotEvent::Published(info) => snapshot(trace, 14, info),
        SnapshotEvent::Failed { last, received, reason: _ } => {
            entry(trace, 15, *last);
            trace.add(u64::from(*received));
        }
    }
}

fn transport_event(trace: &mut TraceHash, event: &TransportEvent) {
    match event {
        // What it says went in with its delivery.
        TransportEvent::Message { from, message: _ } => add(trace, [16 | from.get() << 16]),
        TransportEvent::Unreachable { peer } => add(trace, [17, peer.get()]),
        TransportEvent::Greeted { .. } => trace.add(18),
        TransportEvent::SnapshotOffered { from, transfer, offer } => {
            add(trace, [from.get(), transfer.0, offer.term.0]);
            snapshot(trace, 19, &offer.info);
        }
        TransportEvent::SnapshotReceived { from, offer, complete } => {
            add(trace, [from.get(), offer.term.0, u64::from(*complete)]);
            snapshot(trace, 20, &offer.info);
        }
        TransportEvent::SnapshotSent { to, info, complete } => {
            add(trace, [to.get(), u64::from(*complete)]);
            snapshot(trace, 21, info);
        }
    }
}

fn snapshot(trace: &mut TraceHash, tag: u64, info: &SnapshotInfo) {
    entry(trace, tag, info.meta.last);
    trace.add(info.length);
}

fn entry(trace: &mut TraceHash, tag: u64, id: EntryId) {
    add(trace, [tag, id.term.0, id.index.0]);
}

fn add<const COUNT: usize>(trace: &mut TraceHash, facts: [u64; COUNT]) {
    facts.into_iter().for_each(|fact| trace.add(fact));
}
