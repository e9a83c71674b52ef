//! What an opening does with a folder that is not as a store left it.

use raft_core::fs::{File, Fs, StdFs};
use raft_core::storage::SnapshotStore;
use raft_core::testing::SimFs;
use raft_core::testing::sim_fs::OperationKind;
use raft_snapshot::{Flaw, OpenError, Options, SnapshotFiles};

use crate::support::*;

fn path(name: &str) -> String {
    format!("{DIR}/{name}")
}

fn disk_with(indexes: &[u64]) -> SimFs {
    let fs = disk();
    let mut store = Store::open(&fs);
    indexes.iter().for_each(|&index| _ = store.create(index));
    fs
}

fn put(fs: &SimFs, name: &str, bytes: Vec<u8>) {
    drop(fs.create_new(path(name).as_ref()).unwrap());
    fs.set_contents(path(name), bytes).unwrap();
}

fn rot(fs: &SimFs, index: u64) {
    fs.flip_bit(path(&file_name(index)), 1001).unwrap();
}

fn refused(fs: &SimFs, options: Options) -> OpenError {
    Store::try_open(DIR, fs.clone(), options).err().expect("an error")
}

/// A whole snapshot file with another number in its preamble.
fn with_preamble_number(mut file: Vec<u8>, at: usize, number: u32) -> Vec<u8> {
    file[at..at + 4].copy_from_slice(&number.to_le_bytes());
    let checksum = crc32fast::hash(&file[..44]);
    file[44..48].copy_from_slice(&checksum.to_le_bytes());
    file
}

#[test]
fn a_damaged_newest_snapshot_is_set_aside_and_the_older_one_believed() {
    let fs = disk_with(&[10, 20]);
    rot(&fs, 20);
    let rotten = fs.contents(path(&file_name(20))).unwrap();
    let mut store = Store::open(&fs);
    assert_eq!(store.report.latest, store.files.latest());
    assert_eq!((store.latest_index(), store.read().unwrap()), (10, state_at(10)));
    let damaged = only(std::mem::take(&mut store.report.damaged));
    let aside = path(&format!("{}.damaged", file_name(20)));
    assert_eq!(damaged.set_aside.as_deref(), Some(aside.as_ref()));
    assert_eq!(fs.contents(&aside).unwrap(), rotten);
    store.create(20);
    drop(store);
    let store = Store::open(&fs);
    assert!(store.report.damaged.is_empty());
    assert_eq!((store.latest_index(), fs.contents(&aside).unwrap()), (20, rotten));
}

#[test]
fn looking_changes_nothing_however_often_and_mending_does_what_an_opening_does() {
    let fs = disk_with(&[10, 20, 30]);
    rot(&fs, 20);
    rot(&fs, 30);
    put(&fs, "0000000000000063-0000000000000001.part", vec![1; 10]);
    fs.settle();
    let (image, start) = (fs.image(DIR).unwrap(), fs.operations());
    for _ in 0..2 {
        let findings = SnapshotFiles::look(DIR.as_ref(), fs.clone(), SMALL).unwrap();
        assert_eq!(findings.latest(), None, "only the newest two are kept");
        let lasts: Vec<_> = findings.damaged().iter().map(|damaged| damaged.last.index.0).collect();
        assert_eq!(lasts, [30, 20]);
        for damaged in findings.damaged() {
            assert!(
                matches!(damaged.reason.flaw, Flaw::Checksum { found, expected, .. } if found != expected)
            );
            assert_eq!(damaged.reason.path.as_os_str(), path(&file_name(damaged.last.index.0)).as_str());
            assert_eq!(damaged.set_aside, None);
            assert!(
                damaged.to_string().ends_with(damaged.advice())
                    && damaged.advice().contains("never put an older")
            );
        }
        assert!(matches!(refused(&fs, SMALL), OpenError::Locked { .. }));
    }
    assert_eq!(fs.image(DIR).unwrap(), image);
    let is_sync = |kind| matches!(kind, OperationKind::SyncData | OperationKind::SyncDir);
    assert!(fs.operation_log()[start as usize..].iter().all(|operation| is_sync(operation.kind)));

    let findings = SnapshotFiles::look(DIR.as_ref(), fs, SMALL).unwrap();
    let (_files, report) = findings.mend(std::sync::Arc::new(|_| {}));
    assert_eq!((report.damaged.len(), report.removed.len(), report.refused.len()), (2, 1, 0));
    assert!(report.damaged.iter().all(|damaged| damaged.set_aside.is_some()));
}

#[test]
fn with_all_snapshots_damaged_there_is_none_and_each_is_named() {
    let fs = disk_with(&[10, 20]);
    rot(&fs, 10);
    rot(&fs, 20);
    let store = Store::open(&fs);
    assert_eq!((store.report.damaged.len(), store.latest_index()), (2, 0));
}

#[test]
fn where_the_folder_cannot_be_written_the_damage_is_named_and_nothing_changed() {
    let rotten = disk_with(&[10, 20]);
    rot(&rotten, 20);
    put(&rotten, "0000000000000063-0000000000000001.part", vec![1; 10]);
    let (fs, probe) = (rotten.kill(), rotten.kill());
    drop(Store::open(&probe));
    for (number, operation) in (0..).zip(probe.operation_log()) {
        if matches!(operation.kind, OperationKind::Rename | OperationKind::RemoveFile) {
            fs.fail_at(number);
        }
    }
    let image = fs.image(DIR).unwrap();
    let mut store = Store::open(&fs);
    assert_eq!(fs.image(DIR).unwrap(), image);
    assert_eq!(store.report.refused.len(), 2, "{:?}", store.report.refused);
    let damaged = only(std::mem::take(&mut store.report.damaged));
    assert!(damaged.set_aside.is_none() && damaged.to_string().contains("left where it is"), "{damaged}");
    assert_eq!(store.latest_index(), 10);
    // The damaged file is in nobody's way, and not counted among the two that are kept.
    store.create(15);
    store.create(30);
    let names: Vec<_> = fs.image(DIR).unwrap().into_keys().filter(|name| name.ends_with(".snap")).collect();
    assert_eq!(names, [file_name(15), file_name(20), file_name(30)]);
}

#[test]
fn a_newer_file_is_refused_as_newer_and_the_folder_left_as_it_is() {
    for (at, number, text) in [
        (8, 2, "snapshot format version 2 is newer than this program's 1"),
        (12, 1, "snapshot feature set 1 is newer than this program's 0"),
        (40, 2, "state version 2 is newer than this program's 1"),
    ] {
        let fs = disk_with(&[10, 20]);
        let newest = path(&file_name(20));
        fs.set_contents(&newest, with_preamble_number(fs.contents(&newest).unwrap(), at, number)).unwrap();
        put(&fs, "0000000000000063-0000000000000001.part", vec![1; 10]);
        let image = fs.image(DIR).unwrap();
        let error = refused(&fs, SMALL);
        assert!(matches!(error, OpenError::File(_)), "{error}");
        assert!(error.to_string().contains(text) && error.to_string().contains(&newest), "{error}");
        assert_eq!(fs.image(DIR).unwrap(), image);
    }
}

#[test]
fn an_older_state_version_and_another_page_size_are_read() {
    let fs = disk_with(&[10]);
    let newer = Options { page_bytes: 4096, chunk_bytes: 1000, state_version: 2 };
    let mut store = Store::try_open(DIR, fs.clone(), newer).unwrap();
    assert_eq!(store.read().unwrap(), state_at(10));
    store.create(20);
    assert_eq!(store.read().unwrap(), state_at(20));
    drop(store);
    assert!(refused(&fs, SMALL).to_string().contains("state version 2"));
}

#[test]
fn a_format_version_of_zero_or_an_impossible_size_is_damage() {
    for (at, number) in [(8, 0), (16, 63), (16, (1 << 20) + 1), (20, 55), (20, u32::MAX)] {
        let fs = disk_with(&[10]);
        let newest = path(&file_name(10));
        fs.set_contents(&newest, with_preamble_number(fs.contents(&newest).unwrap(), at, number)).unwrap();
        assert_eq!(Store::open(&fs).report.damaged.len(), 1, "{at} {number}");
    }
}

#[test]
fn leftovers_of_creations_and_of_old_transfers_go_and_the_rest_stays() {
    let fs = disk_with(&[10, 20]);
    let digest = "ab".repeat(32);
    let leftovers = [
        "000000000000001e-0000000000000003.part",
        &format!("0000000000000014-0000000000000002-{digest}.part"),
    ];
    let kept = [
        &format!("000000000000001e-0000000000000003-{digest}.part")[..],
        "notes.txt",
        "000000000000001e-0000000000000003.snap.damaged",
        "30-3.snap",
    ];
    leftovers.iter().chain(&kept).for_each(|name| put(&fs, name, b"x".to_vec()));
    let store = Store::open(&fs);
    assert_eq!(store.latest_index(), 20);
    assert!(leftovers.iter().all(|name| fs.contents(path(name)).is_err()));
    assert!(kept.iter().all(|name| fs.contents(path(name)).is_ok()));
    assert_eq!(store.report.removed.len(), 2);
    assert_eq!(only(store.report.resumable), std::path::PathBuf::from(path(kept[0])));
}

#[test]
fn a_folder_in_use_is_refused_until_all_that_was_handed_out_is_gone() {
    let fs = disk_with(&[10]);
    let mut store = Store::open(&fs);
    let sink = store.sink(&elsewhere(20).0);
    let error = refused(&fs, SMALL);
    assert!(matches!(&error, OpenError::Locked { path } if path.ends_with("lock")), "{error}");
    drop(store);
    assert!(matches!(refused(&fs, SMALL), OpenError::Locked { .. }), "a sink may still write");
    drop(sink);
    assert_eq!(Store::open(&fs).latest_index(), 10);
}

#[test]
fn options_out_of_range_are_refused() {
    for options in [
        Options { page_bytes: 63, ..SMALL },
        Options { page_bytes: (1 << 20) + 1, ..SMALL },
        Options { chunk_bytes: 0, ..SMALL },
        Options { chunk_bytes: (16 << 20) + 1, ..SMALL },
    ] {
        let fs = disk();
        assert!(matches!(refused(&fs, options), OpenError::Options(_)));
        assert_eq!(fs.image("/data").unwrap().len(), 0);
    }
}

#[test]
fn a_failing_sync_or_an_unreadable_file_refuses_to_open_and_names_the_file() {
    let fs = disk_with(&[10, 20]);
    for sync in 0..3 {
        let fs = fs.kill();
        fs.fail_sync_at(sync);
        let error = refused(&fs, SMALL);
        assert!(matches!(&error, OpenError::Fs(_)), "{error}");
        assert!(error.to_string().contains("cannot sync"), "{error}");
    }
    let fs = disk_with(&[10]);
    fs.create_dir_all(path(&file_name(20)).as_ref()).unwrap();
    assert!(refused(&fs, SMALL).to_string().contains(&file_name(20)));
    assert!(fs.contents(path(&file_name(10))).is_ok());
}

#[test]
fn a_file_that_is_in_the_cache_but_not_on_the_medium_is_not_believed() {
    let fs = disk_with(&[10]);
    let copied = disk_with(&[20]).contents(path(&file_name(20))).unwrap();
    let file = fs.create_new(path(&file_name(20)).as_ref()).unwrap();
    file.write_all_at(&copied, 0).unwrap();
    fs.fail_at(fs.operations());
    file.sync_data().unwrap_err();
    assert_eq!(fs.contents(path(&file_name(20))).unwrap(), copied);
    let store = Store::open(&fs.kill());
    assert_eq!((store.report.damaged.len(), store.latest_index()), (1, 10));
}

#[test]
fn a_folder_below_a_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    let error = Store::try_open(file.join("snapshots"), StdFs, SMALL).err().unwrap();
    assert!(error.to_string().contains("cannot make the folder"), "{error}");
}

#[test]
fn a_relative_folder_is_made_where_the_process_stands() {
    let fs = disk();
    let mut store = Store::open_in("snapshots", fs.clone());
    store.create(10);
    drop(store);
    let after = fs.power_loss(fs.power_losses()[0]);
    assert_eq!(Store::open_in("snapshots", after).latest_index(), 10);
}
