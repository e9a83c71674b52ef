//! Creating, publishing received files, retention, and what is refused.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use raft_core::fs::StdFs;
use raft_core::snapshot::{SnapshotMeta, SnapshotView};
use raft_core::storage::{SnapshotEvent, SnapshotStore};
use raft_core::testing::SimFs;
use raft_core::testing::sim_fs::OperationKind;
use raft_snapshot::Options;

use crate::support::*;

fn snapshots(fs: &SimFs) -> Vec<String> {
    fs.image(DIR).unwrap().into_keys().filter(|name| name != "lock").collect()
}

#[test]
fn a_new_folder_has_no_snapshot() {
    let store = Store::open(&disk());
    assert!(
        store.files.latest().is_none() && store.files.source().is_none() && store.files.reader().is_none()
    );
    assert!(store.report.latest.is_none() && store.report.damaged.is_empty());
}

#[test]
fn a_created_snapshot_is_the_newest_and_reads_as_the_view_wrote_it() {
    let mut store = Store::open(&disk());
    let info = store.create(10);
    assert_eq!(info.meta, meta_at(10));
    assert_eq!(store.files.latest(), Some(info));
    assert_eq!(store.files.reader().unwrap().0, meta_at(10));
    assert_eq!(store.read().unwrap(), state_at(10));
}

#[test]
fn nothing_happens_before_the_step() {
    let fs = disk();
    let mut store = Store::open(&fs);
    let before = fs.operations();
    store.files.create(meta_at(10), Box::new(State(state_at(10))));
    let sink = store.sink(&elsewhere(20).0);
    drop(sink);
    assert_eq!((fs.operations(), store.latest_index()), (before, 0));
    assert!(store.files.step());
    assert_eq!(store.latest_index(), 10);
    assert!(!store.files.step());
}

#[test]
fn states_of_every_length_around_the_page_size_are_read_back() {
    let fs = disk();
    let mut store = Store::open(&fs);
    for length in 0..300 {
        let state: Vec<u8> = state_at(1).into_iter().cycle().take(length).collect();
        store.files.create(meta_at(10 + length as u64), Box::new(State(state.clone())));
        let SnapshotEvent::Created(info) = only(store.run()) else { panic!("{length}") };
        assert_eq!(store.read().unwrap(), state, "{length}");
        assert_eq!(
            fs.contents(format!("{DIR}/{}", file_name(10 + length as u64))).unwrap().len() as u64,
            info.length
        );
    }
}

#[test]
fn two_nodes_write_the_same_file_however_the_view_cuts_its_writes() {
    struct AtOnce(Vec<u8>);
    impl SnapshotView for AtOnce {
        fn write_to(&self, out: &mut dyn io::Write) -> io::Result<()> {
            out.write_all(&self.0)?;
            out.flush()
        }
    }
    let (here, there) = (disk(), disk());
    let here_info = Store::open(&here).create(10);
    let mut store = Store::open(&there);
    store.files.create(meta_at(10), Box::new(AtOnce(state_at(10))));
    let SnapshotEvent::Created(there_info) = only(store.run()) else { panic!() };
    assert_eq!(here_info, there_info);
    assert_eq!(here.image(DIR).unwrap(), there.image(DIR).unwrap());
}

#[test]
fn the_newest_two_are_kept() {
    let fs = disk();
    let mut store = Store::open(&fs);
    for index in [10, 20, 30, 40] {
        store.create(index);
    }
    assert_eq!(snapshots(&fs), [file_name(30), file_name(40)]);
    drop(store);
    let mut store = Store::open(&fs);
    store.create(50);
    assert_eq!(snapshots(&fs), [file_name(40), file_name(50)]);
}

#[test]
fn an_older_or_equal_snapshot_is_refused() {
    let mut store = Store::open(&disk());
    store.create(20);
    for index in [20, 10, 0] {
        let event = store.try_create(index);
        assert!(
            matches!(event, SnapshotEvent::Failed { received: false, last, .. } if last == meta_at(index).last)
        );
        assert!(
            reason(&event).contains("not newer than the published one of entry 20@2"),
            "{}",
            reason(&event)
        );
    }
    let mut lower_term = meta_at(30);
    lower_term.last.term = meta_at(10).last.term;
    store.files.create(lower_term, Box::new(State(Vec::new())));
    assert!(reason(&only(store.run())).contains("not newer"));
    assert_eq!((store.latest_index(), store.read().unwrap()), (20, state_at(20)));
}

#[test]
fn a_snapshot_before_the_log_is_refused() {
    let mut store = Store::open(&disk());
    store.files.create(SnapshotMeta::NONE, Box::new(State(Vec::new())));
    assert!(reason(&only(store.run())).contains("not newer"));
}

#[test]
fn a_failing_or_panicking_view_publishes_nothing_and_leaves_no_file() {
    struct Failing;
    impl SnapshotView for Failing {
        fn write_to(&self, out: &mut dyn io::Write) -> io::Result<()> {
            out.write_all(&[1; 1000])?;
            Err(io::Error::other("the view is lost"))
        }
    }
    struct Panicking;
    impl SnapshotView for Panicking {
        fn write_to(&self, out: &mut dyn io::Write) -> io::Result<()> {
            out.write_all(&[1; 1000])?;
            panic!("the view is confused")
        }
    }
    let fs = disk();
    let mut store = Store::open(&fs);
    store.create(10);
    let views: [(Box<dyn SnapshotView>, &str); 2] =
        [(Box::new(Failing), "the view is lost"), (Box::new(Panicking), "panic: the view is confused")];
    for (view, expected) in views {
        store.files.create(meta_at(20), view);
        let event = only(store.run());
        assert!(reason(&event).contains(expected), "{}", reason(&event));
        assert_eq!(snapshots(&fs), [file_name(10)]);
    }
    store.create(20);
    assert_eq!(store.read().unwrap(), state_at(20));
}

#[test]
fn a_view_that_ignores_a_failed_write_publishes_nothing() {
    struct Ignoring(Vec<u8>);
    impl SnapshotView for Ignoring {
        fn write_to(&self, out: &mut dyn io::Write) -> io::Result<()> {
            self.0.chunks(50).for_each(|piece| _ = out.write_all(piece));
            Ok(())
        }
    }
    let fs = disk();
    let mut store = Store::open(&fs);
    // The first operation is the creation of the file, the next the page with the header, then comes the body.
    for page in 2..5 {
        fs.fail_at(fs.operations() + page);
        store.files.create(meta_at(10), Box::new(Ignoring(state_at(10))));
        let event = only(store.run());
        assert!(reason(&event).contains("ignored the error"), "{}", reason(&event));
    }
    store.create(10);
}

#[test]
fn the_view_is_dropped_before_the_event() {
    struct Dropped(Arc<AtomicBool>);
    impl SnapshotView for Dropped {
        fn write_to(&self, _: &mut dyn io::Write) -> io::Result<()> {
            Ok(())
        }
    }
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let (dropped, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (at_drop, at_event) = (Arc::clone(&dropped), Arc::clone(&seen));
    let events = Arc::new(move |_| at_event.store(at_drop.load(Ordering::SeqCst), Ordering::SeqCst));
    let (mut files, _) = raft_snapshot::SnapshotFiles::open(DIR.as_ref(), disk(), SMALL, events).unwrap();
    files.create(meta_at(10), Box::new(Dropped(dropped)));
    assert!(files.step());
    assert!(seen.load(Ordering::SeqCst));
}

#[test]
fn jobs_beyond_the_bound_fail_at_once_and_the_others_are_done_in_order() {
    let mut store = Store::open(&disk());
    for index in (10..).step_by(10).take(18) {
        store.files.create(meta_at(index), Box::new(State(state_at(index))));
    }
    let events = store.run();
    assert!(reason(&events[0]).contains("16 jobs wait already") && reason(&events[1]).contains("jobs wait"));
    let created = events[2..].iter().map(|event| match event {
        SnapshotEvent::Created(info) => info.meta.last.index.0,
        other => panic!("{other:?}"),
    });
    assert!(created.eq((10..=160).step_by(10)));
}

#[test]
fn a_full_disk_fails_the_creation_and_gives_its_room_back() {
    let fs = disk();
    let mut store = Store::open(&fs);
    store.create(10);
    let used: usize = fs.image(DIR).unwrap().values().map(Vec::len).sum();
    fs.set_capacity(Some(used + 200));
    let event = store.try_create(20);
    assert!(reason(&event).contains(".part: view stopped after"), "{}", reason(&event));
    assert_eq!(snapshots(&fs), [file_name(10)]);
    fs.set_capacity(None);
    store.create(20);
}

#[test]
fn every_single_failing_operation_fails_the_job_or_nothing_and_loses_no_published_snapshot() {
    let probe = disk();
    let mut store = Store::open(&probe);
    store.create(10);
    store.create(20);
    let first = probe.operations();
    store.create(30);
    let log = probe.operation_log().split_off(first as usize);
    for (number, operation) in (first..).zip(log) {
        let fs = disk();
        let mut store = Store::open(&fs);
        store.create(10);
        store.create(20);
        fs.fail_at(number);
        let event = store.try_create(30);
        let expected = if operation.kind == OperationKind::RemoveFile { 30 } else { 20 };
        assert_eq!(store.latest_index(), expected, "{operation:?}: {event:?}");
        assert_eq!(store.read().unwrap(), state_at(expected), "{operation:?}");
        if operation.kind == OperationKind::SyncDir {
            let again = store.try_create(40);
            assert!(reason(&again).contains("an earlier sync of the folder failed"), "{}", reason(&again));
        } else {
            store.create(40);
            assert_eq!(snapshots(&fs).len(), 2, "{operation:?}");
        }
        drop(store);
        assert!(Store::open(&fs.power_loss(fs.power_losses()[0])).latest_index() >= expected);
    }
}

#[test]
fn the_real_file_system_gives_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("snapshots");
    let simulated = disk();
    let mut store = Store::open_in(&dir, StdFs);
    let mut twin = Store::open(&simulated);
    for index in [10, 20, 30] {
        assert_eq!(store.create(index), twin.create(index));
    }
    drop(store);
    let store = Store::open_in(&dir, StdFs);
    assert_eq!((store.latest_index(), store.read().unwrap()), (30, state_at(30)));
    for index in [20, 30] {
        let real = std::fs::read(dir.join(file_name(index))).unwrap();
        assert_eq!(real, simulated.contents(format!("{DIR}/{}", file_name(index))).unwrap());
    }
    assert!(!dir.join(file_name(10)).exists());
}

#[test]
fn a_large_state_with_default_options_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::try_open(folder.path(), StdFs, Options::default()).unwrap();
    let state: Vec<u8> = (0..3_000_000u32).map(|at| (at ^ (at >> 7)) as u8).collect();
    store.files.create(meta_at(10), Box::new(State(state.clone())));
    let SnapshotEvent::Created(info) = only(store.run()) else { panic!() };
    assert_eq!(info.chunk_count(), 12);
    assert_eq!(store.read().unwrap(), state);
}
