use kv_client::command::KeyRange;
use kv_client::layout::Reader;
use kv_client::protocol::{KeyValues, RangeQuery};
use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_128;

use super::model::Model;
use super::*;

/// A command that owns its parts. Keys and values are numbers of samples.
#[derive(Clone, Debug)]
enum Action {
    Put(u8, u8, Expect),
    Delete(u8, Expect),
    DeleteRange(u8, u8, u32),
    Append(u8, u8),
    Increment(u8, i64),
    Swap(u8, Option<u8>, u8),
    OpenSession,
    CloseSession(u8),
}

/// One entry to be.
#[derive(Clone, Debug)]
struct Step {
    action: Action,
    /// Which session, its sequence, and how far the lowest unacknowledged lies below.
    tag: Option<(u8, u64, u64)>,
    time: u64,
}

const VALUES: [&[u8]; 7] = [b"", b"0", b"-17", b"9223372036854775807", b"text", b"+5", &[b'v'; 300]];

fn value(number: u8) -> &'static [u8] {
    VALUES[usize::from(number) % VALUES.len()]
}

/// Short and long keys that share prefixes.
fn key(number: u8) -> Vec<u8> {
    let padding = if number.is_multiple_of(3) { 29 } else { 0 };
    [&b"k"[..], &vec![b'-'; padding], number.to_string().as_bytes()].concat()
}

fn actions() -> impl Strategy<Value = Action> {
    let key = || 0u8..60;
    let value = || 0u8..7;
    let expect = || {
        prop_oneof![
            4 => Just(Expect::Anything),
            1 => Just(Expect::Absent),
            1 => (0u64..20).prop_map(Expect::ModRevision),
        ]
    };
    prop_oneof![
        8 => (key(), value(), expect()).prop_map(|(key, value, expect)| Action::Put(key, value, expect)),
        3 => (key(), expect()).prop_map(|(key, expect)| Action::Delete(key, expect)),
        1 => (key(), key(), 1u32..9).prop_map(|(start, end, limit)| Action::DeleteRange(start, end, limit)),
        3 => (key(), value()).prop_map(|(key, value)| Action::Append(key, value)),
        3 => (key(), any::<i64>()).prop_map(|(key, delta)| Action::Increment(key, delta)),
        3 => (key(), prop::option::of(value()), value()).prop_map(|(k, old, new)| Action::Swap(k, old, new)),
        2 => Just(Action::OpenSession),
        1 => any::<u8>().prop_map(Action::CloseSession),
    ]
}

/// Few sessions, sequences and gaps, so that copies, late ones and unknown sessions come often.
fn logs() -> impl Strategy<Value = Vec<Step>> {
    let tag = prop::option::weighted(0.7, (any::<u8>(), 0u64..12, 0u64..5));
    let step = (actions(), tag, 0u64..1000).prop_map(|(action, tag, time)| Step { action, tag, time });
    prop::collection::vec(step, 0..150)
}

/// Calls `visit` with each step as a tag, a time and a command. Sessions are chosen among the entries that asked
/// for one, opened or not, and one that never did.
fn for_each(log: &[Step], mut visit: impl FnMut(Option<SessionTag>, u64, &Command<'_>)) {
    let mut sessions = vec![9999];
    for (step, index) in log.iter().zip(1u64..) {
        let session = |choice: u8| sessions[usize::from(choice) % sessions.len()];
        let tag = step.tag.map(|(choice, sequence, below)| SessionTag {
            session: session(choice),
            sequence,
            lowest_unacknowledged: sequence.saturating_sub(below),
        });
        let mut visit = |command: &Command<'_>| visit(tag, step.time, command);
        match step.action {
            Action::Put(k, v, expect) => {
                visit(&Command::Put { key: &key(k), value: value(v), lease: u64::from(k == 7), expect });
            }
            Action::Delete(k, expect) => visit(&Command::Delete { key: &key(k), expect }),
            Action::DeleteRange(start, end, limit) => {
                let range = KeyRange { start: &key(start), end: &key(end) };
                visit(&Command::DeleteRange { range, limit });
            }
            Action::Append(k, v) => visit(&Command::Append { key: &key(k), value: value(v) }),
            Action::Increment(k, delta) => visit(&Command::Increment { key: &key(k), delta }),
            Action::Swap(k, old, new) => {
                let (expected, value) = (old.map(value), value(new));
                visit(&Command::CompareAndSwap { key: &key(k), expected, value });
            }
            Action::OpenSession => {
                visit(&Command::OpenSession);
                sessions.push(index);
            }
            Action::CloseSession(choice) => visit(&Command::CloseSession { session: session(choice) }),
        }
    }
}

fn entries(log: &[Step]) -> Vec<Entry> {
    let mut entries = Vec::new();
    for_each(log, |tag, time, command| entries.push(Entry::command(tag, time, command)));
    entries
}

/// The state hash by its definition: from the records of a snapshot, save the last one.
fn hash_of_records(snapshot: &[u8]) -> u128 {
    let mut sum = 0u128;
    let mut rest = snapshot;
    while rest[0] != 255 {
        let length = 6 + Reader::new(&rest[2..]).u32().unwrap() as usize;
        sum = sum.wrapping_add(xxh3_128(&rest[..length]));
        rest = &rest[length..];
    }
    sum
}

/// Everything about a store that may differ from another.
fn all_of(store: &Store) -> (super::super::Checkpoint, super::super::Stats, Vec<u8>) {
    (store.checkpoint(), store.stats(), snapshot(store))
}

proptest! {
    #[test]
    fn the_store_does_what_the_model_does(log in logs()) {
        let (mut store, mut model) = (Store::new(), Model::new());
        let mut replies = Vec::new();
        for_each(&log, |tag, time, command| {
            let applied = apply_entry(&mut store, Entry::command(tag, time, command));
            replies.push((applied, model.apply(tag, time, command)));
        });
        for (applied, expected) in replies {
            prop_assert_eq!(applied, expected);
        }
        let page = store.range(&RangeQuery::default());
        let keys: Vec<_> = KeyValues::new(&page.records).map(Result::unwrap).collect();
        let found = keys.iter().map(|record| (record.key, record.meta, record.value));
        let expected = model.keys.iter().map(|(key, (meta, value))| (key.as_slice(), *meta, value.as_slice()));
        prop_assert!(found.eq(expected));
        let stats = store.stats();
        let bytes: usize = model.keys.iter().map(|(key, (_, value))| key.len() + value.len()).sum();
        prop_assert_eq!((stats.revision, stats.cluster_time_micros), (model.revision, model.time));
        prop_assert_eq!((stats.keys, stats.bytes), (model.keys.len() as u64, bytes as u64));
        let sessions = store.state.sessions.iter().map(|(id, session)| {
            (id, session.lowest, session.last_active, session.replies.iter().map(|(&s, &r)| (s, r)).collect())
        });
        let expected: Vec<(_, _, _, Vec<_>)> = model
            .sessions
            .iter()
            .map(|(&id, session)| {
                let replies = session.replies.iter().map(|(&s, &r)| (s, r)).collect();
                (id, session.lowest, session.last_active, replies)
            })
            .collect();
        prop_assert_eq!(sessions.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_hash_kept_along_is_that_of_the_records_in_a_snapshot(log in logs()) {
        let mut store = Store::new();
        for entry in entries(&log) {
            apply_entry(&mut store, entry);
            prop_assert_eq!(store.checkpoint().hash, hash_of_records(&snapshot(&store)));
        }
    }

    #[test]
    fn how_a_log_is_batched_makes_no_difference(log in logs(), cuts in prop::collection::vec(1usize..20, 1..20)) {
        let entries = entries(&log);
        let (mut whole, mut cut) = (Store::new(), Store::new());
        let expected = apply_all(&mut whole, &entries);
        let (mut replies, mut rest) = (Vec::new(), entries.as_slice());
        for (take, blocks) in cuts.iter().cycle().zip([1, 3, 2].into_iter().cycle()) {
            if rest.is_empty() {
                break;
            }
            // A batch of a few blocks.
            let mut batch = Vec::new();
            let mut first = cut.stats().applied_index.next().0;
            for _ in 0..blocks {
                let (now, later) = rest.split_at(rest.len().min(*take));
                if !now.is_empty() {
                    batch.push(block(first, now));
                }
                first += now.len() as u64;
                rest = later;
            }
            cut.apply(&batch, &mut replies).unwrap();
        }
        prop_assert_eq!(replies, expected);
        prop_assert_eq!(all_of(&cut), all_of(&whole));
        prop_assert!(cut.checkpoints().eq(whole.checkpoints()));
    }

    #[test]
    fn a_store_restored_in_between_goes_on_as_if_it_never_was(log in logs(), at in any::<prop::sample::Index>()) {
        let entries = entries(&log);
        let (before, after) = entries.split_at(at.index(entries.len() + 1));
        let mut never = Store::new();
        apply_all(&mut never, before);
        // Frozen here, written only after the store has moved on.
        let frozen = never.freeze();
        let then = snapshot(&never);
        let expected = apply_all(&mut never, after);
        let mut bytes = Vec::new();
        frozen.write_to(&mut bytes).unwrap();
        prop_assert_eq!(&bytes, &then);
        let mut again = restored(&bytes);
        prop_assert_eq!(snapshot(&again), bytes);
        prop_assert_eq!(apply_all(&mut again, after), expected);
        prop_assert_eq!(all_of(&again), all_of(&never));
    }
}
