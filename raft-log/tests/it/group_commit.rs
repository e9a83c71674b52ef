//! What one step asks of the disk, in what order.

use std::path::Path;

use raft_core::fs::Fs;
use raft_core::snapshot::SnapshotMeta;
use raft_core::storage::{LogEvent, LogStore, Write};
use raft_core::testing::SimFs;
use raft_core::testing::sim_fs::OperationKind;
use raft_core::{EntryId, HardState, LogIndex, Term, WriteId};
use raft_log::{LogOptions, create};

use crate::support::{DIR, Opening, SMALL, node_id, open_log};
use crate::world::block;

const ROOMY: LogOptions = LogOptions { segment_bytes: 64 << 10, ..SMALL };

fn log(options: &LogOptions) -> (SimFs, Opening<SimFs>) {
    let fs = SimFs::new(1);
    fs.create_dir_all(Path::new("/data")).unwrap();
    create(Path::new(DIR), fs.clone(), options, node_id()).unwrap();
    let opening = open_log(&fs, Path::new(DIR), options, &SnapshotMeta::NONE).unwrap();
    (fs, opening)
}

fn entry(id: u64) -> Write {
    let last = EntryId::new(Term(0), LogIndex(id - 1));
    Write { id: WriteId(id), append: vec![block(last, Term(0), 1, 50)].into(), ..Write::default() }
}

fn vote(write: Write, term: u64) -> Write {
    let hard_state = HardState { current_term: Term(term), ..HardState::default() };
    Write { hard_state: Some(hard_state), ..write }
}

/// What a step does, as letters: a write or sync of metadata, of a segment; anything else.
fn operations(fs: &SimFs, opening: &mut Opening<SimFs>) -> (String, Vec<LogEvent>, bool) {
    let before = fs.operations() as usize;
    let more = opening.log.step();
    let letter = |operation: &raft_core::testing::sim_fs::Operation| {
        let metadata = operation.path.ends_with("meta");
        match operation.kind {
            OperationKind::Write if metadata => 'm',
            OperationKind::SyncData if metadata => 'M',
            OperationKind::Write => 'w',
            OperationKind::SyncData => 'W',
            _ => '?',
        }
    };
    let letters = fs.operation_log()[before..].iter().map(letter).collect();
    (letters, opening.events.take(), more)
}

fn durable(events: &[LogEvent]) -> Vec<u64> {
    let id = |event: &LogEvent| match event {
        LogEvent::Durable(id) => id.0,
        event => panic!("{event:?}"),
    };
    events.iter().map(id).collect()
}

#[test]
fn queued_writes_share_one_write_and_one_sync_and_one_event() {
    let (fs, mut opening) = log(&ROOMY);
    (1..=200).for_each(|id| opening.log.submit(entry(id)));
    let (letters, events, more) = operations(&fs, &mut opening);
    assert_eq!((letters.as_str(), durable(&events), more), ("wW", vec![200], false));
    assert_eq!(opening.log.stats().batches.get(), 1);
    assert_eq!(operations(&fs, &mut opening).0, "", "an idle log does nothing");
}

#[test]
fn a_hard_state_is_durable_in_both_copies_before_the_entries_are_written() {
    let (fs, mut opening) = log(&ROOMY);
    opening.log.submit(vote(Write { id: WriteId(1), ..Write::default() }, 1));
    opening.log.submit(vote(entry(1), 2));
    opening.log.submit(entry(2));
    let (letters, events, more) = operations(&fs, &mut opening);
    assert_eq!((letters.as_str(), durable(&events), more), ("mMmMwW", vec![2], false));
}

#[test]
fn a_hard_state_behind_entries_waits_for_them() {
    let (fs, mut opening) = log(&ROOMY);
    opening.log.submit(entry(1));
    opening.log.submit(vote(entry(2), 1));
    opening.log.submit(vote(entry(3), 1));
    let (letters, events, more) = operations(&fs, &mut opening);
    assert_eq!((letters.as_str(), durable(&events), more), ("wW", vec![1], true));
    // The third says nothing new, so it shares the second one's sync.
    let (letters, events, more) = operations(&fs, &mut opening);
    assert_eq!((letters.as_str(), durable(&events), more), ("mMmMwW", vec![3], false));
}

#[test]
fn hard_states_in_a_row_are_stored_as_one() {
    let (fs, mut opening) = log(&ROOMY);
    for term in 1..=50 {
        opening.log.submit(vote(Write { id: WriteId(term), ..Write::default() }, term));
    }
    let (letters, events, _) = operations(&fs, &mut opening);
    assert_eq!((letters.as_str(), durable(&events)), ("mMmM", vec![50]));
    assert_eq!(opening.log.stats().metadata_syncs.get(), 2);
}

#[test]
fn a_group_is_bounded_by_bytes() {
    let (fs, mut opening) = log(&LogOptions { group_bytes: 10_000, ..ROOMY });
    (1..=200).for_each(|id| opening.log.submit(entry(id)));
    let (letters, events, more) = operations(&fs, &mut opening);
    assert_eq!((letters.as_str(), more), ("wW", true));
    assert!(durable(&events)[0] < 200, "{events:?}");
}

#[test]
fn a_full_segment_is_sealed_after_the_next_one_is_there() {
    let (fs, mut opening) = log(&SMALL);
    for id in 1..=2 {
        opening.log.submit(entry(id));
        assert_eq!(operations(&fs, &mut opening).0, "wW");
    }
    opening.log.submit(entry(3));
    // Made, filled, synced, renamed, its name synced; then the seal; then the entry.
    let (letters, events, _) = operations(&fs, &mut opening);
    assert_eq!((letters.as_str(), durable(&events)), ("?wW??wWwW", vec![3]));
    assert_eq!(opening.log.stats().unprepared_segments.get(), 1);
}

#[test]
fn a_segment_made_ahead_needs_only_its_name_when_the_one_before_is_full() {
    let (fs, mut opening) = log(&SMALL);
    opening.log.submit(entry(1));
    assert_eq!(operations(&fs, &mut opening).0, "wW");
    assert!(!opening.log.prepare(), "less than half full");
    opening.log.submit(entry(2));
    assert_eq!(operations(&fs, &mut opening).0, "wW");
    let before = fs.operations();
    while opening.log.prepare() {}
    assert_eq!(fs.operations() - before, 3, "made, filled, synced");
    assert!(!opening.log.prepare() && fs.operations() - before == 3, "and once only");
    opening.log.submit(entry(3));
    let (letters, events, _) = operations(&fs, &mut opening);
    assert_eq!((letters.as_str(), durable(&events)), ("??wWwW", vec![3]));
    assert_eq!(opening.log.stats().unprepared_segments.get(), 0);
}

#[test]
fn a_segment_made_ahead_that_is_too_small_is_made_again() {
    let (fs, mut opening) = log(&SMALL);
    for id in 1..=2 {
        opening.log.submit(entry(id));
        opening.run();
    }
    while opening.log.prepare() {}
    let append = vec![block(EntryId::new(Term(0), LogIndex(2)), Term(0), 1, 30_000)];
    opening.log.submit(Write { id: WriteId(3), append: append.into(), ..Write::default() });
    assert_eq!(durable(&opening.run()), [3]);
    let names: Vec<_> = fs.image(DIR).unwrap().into_keys().collect();
    assert_eq!(names, ["0000000000000001.seg", "0000000000000002.seg", "lock", "meta"]);
}

/// As on a disk that is full: what cannot be made ahead costs nothing but itself, and the log stops only when it
/// needs the room.
#[test]
fn a_segment_that_cannot_be_made_ahead_is_given_up_and_made_when_it_is_needed() {
    for operation in 0..3 {
        for room_again in [true, false] {
            let (fs, mut opening) = log(&SMALL);
            for id in 1..=2 {
                opening.log.submit(entry(id));
                opening.run();
            }
            fs.fail_at(fs.operations() + operation);
            while opening.log.prepare() {}
            assert_eq!(opening.log.stats().failed_preparations.get(), 1);
            assert!(
                !fs.image(DIR).unwrap().keys().any(|name| name.ends_with(".tmp")),
                "operation {operation}"
            );
            assert_eq!(opening.events.take().len(), 0);
            if !room_again {
                fs.fail_at(fs.operations() + operation);
            }
            opening.log.submit(entry(3));
            match &opening.run()[..] {
                [LogEvent::Durable(WriteId(3))] => assert!(room_again),
                [LogEvent::Failed(_)] => assert!(!room_again),
                events => panic!("{events:?}"),
            }
        }
    }
}
