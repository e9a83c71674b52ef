mod commands;
mod conformance;
mod model;
mod random_logs;
mod reading;
mod sessions;
mod snapshots;

use kv_client::command::{Command, Envelope, Expect, Outcome, SessionTag};
use raft_core::block::{Block, BlockBuilder, EntryKind};
use raft_core::state_machine::StateMachine;
use raft_core::types::{LogIndex, Term};

use super::{Applied, CHECKPOINT_INTERVAL, CHECKPOINTS_KEPT, Store, StoreError};

/// An entry before it has an index.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    kind: EntryKind,
    payload: Vec<u8>,
}

impl Entry {
    fn command(tag: Option<SessionTag>, cluster_time_micros: u64, command: &Command<'_>) -> Self {
        let mut payload = Envelope { tag, cluster_time_micros }.to_bytes().to_vec();
        command.encode(&mut payload).unwrap();
        Self { kind: EntryKind::Normal, payload }
    }

    fn no_op() -> Self {
        Self { kind: EntryKind::NoOp, payload: Vec::new() }
    }
}

fn block(first: u64, entries: &[Entry]) -> Block {
    let mut builder = BlockBuilder::new();
    for entry in entries {
        builder.push(entry.kind, &[&entry.payload]);
    }
    builder.finish(LogIndex(first), Term(1)).unwrap()
}

/// Applies `entries` after what the store has applied, all in one block.
fn apply_all(store: &mut Store, entries: &[Entry]) -> Vec<Applied> {
    let mut replies = Vec::new();
    if !entries.is_empty() {
        let block = block(store.stats().applied_index.next().0, entries);
        store.apply(&[block], &mut replies).unwrap();
    }
    replies
}

/// Applies one entry.
fn apply_entry(store: &mut Store, entry: Entry) -> Applied {
    apply_all(store, &[entry])[0]
}

/// Applies one command outside any session.
fn apply(store: &mut Store, command: &Command<'_>) -> Outcome {
    apply_entry(store, Entry::command(None, 0, command)).outcome
}

fn put<'a>(key: &'a [u8], value: &'a [u8]) -> Command<'a> {
    Command::Put { key, value, lease: 0, expect: Expect::Anything }
}

fn value(store: &Store, key: &[u8]) -> Option<Vec<u8>> {
    store.get(key).map(|found| found.value.to_vec())
}

fn snapshot(store: &Store) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.freeze().write_to(&mut bytes).unwrap();
    bytes
}

fn restored(snapshot: &[u8]) -> Store {
    let mut store = Store::new();
    store.restore(&mut &snapshot[..]).unwrap();
    store
}

#[test]
fn an_entry_that_does_not_follow_the_last_one_stops_the_node() {
    let mut store = Store::new();
    apply_all(&mut store, &[Entry::no_op(), Entry::no_op()]);
    for found in [2, 4] {
        let error = store.apply(&[block(found, &[Entry::no_op()])], &mut Vec::new()).unwrap_err();
        let expected = StoreError::OutOfOrder { applied: LogIndex(2), found: LogIndex(found) };
        assert_eq!(error.downcast_ref(), Some(&expected));
    }
    assert!(store.apply(&[block(3, &[Entry::no_op()])], &mut Vec::new()).is_ok());
}

#[test]
fn a_command_of_a_newer_program_stops_the_node_and_changes_nothing() {
    let mut newer_command = Entry::command(None, 9, &put(b"k", b"v"));
    newer_command.payload[35] = 200;
    let mut newer_envelope = Entry::command(None, 9, &put(b"k", b"v"));
    newer_envelope.payload[0] = 2;
    for entry in [newer_command, newer_envelope] {
        let mut store = Store::new();
        let before = snapshot(&store);
        let error = store.apply(&[block(1, &[entry])], &mut Vec::new()).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(StoreError::NewerCommand { index: LogIndex(1), .. })));
        assert_eq!(snapshot(&store), before);
    }
}

#[test]
fn an_entry_that_is_no_command_is_refused_and_only_moves_the_applied_index() {
    let mut truncated = Entry::command(None, 9, &put(b"k", b"v"));
    truncated.payload.pop();
    let mut bad_tag = Entry::command(None, 9, &put(b"k", b"v"));
    bad_tag.payload[10] = 1;
    let no_envelope = Entry { kind: EntryKind::Normal, payload: vec![1, 0, 0] };
    let mut store = Store::new();
    for entry in [truncated, bad_tag, no_envelope] {
        let applied = apply_entry(&mut store, entry);
        assert_eq!(applied, Applied { outcome: Outcome::Malformed, revision: 1 });
    }
    let mut empty = Store::new();
    apply_all(&mut empty, &vec![Entry::no_op(); 3]);
    assert_eq!(snapshot(&store), snapshot(&empty));
}

#[test]
fn no_ops_and_configurations_are_counted_and_answered_and_change_nothing_else() {
    let mut store = Store::new();
    let configuration = Entry { kind: EntryKind::Configuration, payload: vec![1, 2, 3] };
    let replies = apply_all(&mut store, &[Entry::no_op(), configuration]);
    assert_eq!(replies, [Applied { outcome: Outcome::Done, revision: 1 }; 2]);
    assert_eq!((store.stats().applied_index, store.stats().revision), (LogIndex(2), 1));
}

#[test]
fn cluster_time_is_the_greatest_that_any_entry_carried() {
    let mut store = Store::new();
    for (carried, expected) in [(5, 5), (3, 5), (8, 8), (0, 8)] {
        apply_entry(&mut store, Entry::command(None, carried, &put(b"k", b"v")));
        assert_eq!(store.stats().cluster_time_micros, expected);
    }
}

#[test]
fn the_hash_is_noted_at_aligned_indexes_and_the_newest_are_kept() {
    let mut store = Store::new();
    let mut noted = Vec::new();
    let aligned = CHECKPOINTS_KEPT as u64 + 2;
    for number in 0..aligned {
        let value = number.to_le_bytes();
        let mut entries = vec![Entry::no_op(); CHECKPOINT_INTERVAL as usize - 1];
        entries.push(Entry::command(None, 0, &put(b"k", &value)));
        apply_all(&mut store, &entries);
        noted.push(store.checkpoint());
    }
    assert_eq!(noted[0].index, LogIndex(CHECKPOINT_INTERVAL));
    assert_eq!(store.checkpoints().collect::<Vec<_>>(), noted[2..]);
    let frozen = snapshot(&store);
    store.restore(&mut frozen.as_slice()).unwrap();
    assert_eq!(
        store.checkpoints().len(),
        0,
        "what was noted before a restore says nothing about the state now"
    );
}
