//! Folders that cannot be opened or created: each has its own error and stays as it is.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use raft_core::block::{BlockBuilder, EntryKind};
use raft_core::fs::{Fs, StdFs};
use raft_core::storage::{LogStore, Write};
use raft_core::testing::SimFs;
use raft_core::{EntryId, LogIndex, NodeId, Term, WriteId};
use raft_log::{Action, BatchKind, IoFailure, OpenError, create, identify};

use crate::hook_fs::{Call, HookFs};
use crate::support::{DIR, SMALL, node_id, open_log};
use crate::world::{Step, World, snapshot};

fn disk() -> SimFs {
    let fs = SimFs::new(5);
    fs.create_dir_all(Path::new("/data")).unwrap();
    fs
}

fn refusal<F: Fs>(fs: &F, dir: &Path, floor: EntryId) -> OpenError {
    open_log(fs, dir, &SMALL, &snapshot(floor)).map(drop).expect_err("this cannot be opened")
}

/// Refuses to open `DIR`, and leaves it as it is.
fn refused(fs: &SimFs, floor: EntryId) -> OpenError {
    let before = fs.image("/data").unwrap();
    let error = refusal(fs, Path::new(DIR), floor);
    assert_eq!(fs.image("/data").unwrap(), before, "{error}");
    assert!(error.to_string().starts_with(DIR), "says where first: {error}");
    error
}

/// Something is lost, and the text says so that nobody loses more by what it advises.
fn assert_advice(error: &OpenError) {
    let text = error.to_string();
    for part in [
        "exactly this folder as it last was, never an older copy",
        "replace this node by one with an empty folder",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

/// A log that has run `script`.
fn after(script: &[Step]) -> World {
    let mut world = World::new(SimFs::new(5));
    world.run(script).unwrap();
    world.close();
    world
}

#[test]
fn a_folder_without_a_log_is_not_initialised_and_gets_no_lock_file() {
    let fs = disk();
    assert!(matches!(refused(&fs, EntryId::ZERO), OpenError::NotInitialised { .. }));
    fs.create_dir_all(Path::new(DIR)).unwrap();
    assert!(matches!(refused(&fs, EntryId::ZERO), OpenError::NotInitialised { .. }));
}

#[test]
fn a_log_is_created_once() {
    let fs = disk();
    create(Path::new(DIR), fs.clone(), &SMALL, node_id()).unwrap();
    let again = create(Path::new(DIR), fs.clone(), &SMALL, NodeId::new(2).unwrap());
    assert!(matches!(again, Err(OpenError::AlreadyInitialised { .. })), "{again:?}");
    let opening = open_log(&fs, Path::new(DIR), &SMALL, &snapshot(EntryId::ZERO)).unwrap();
    assert_eq!(opening.opened.node_id, node_id());
}

#[test]
fn a_log_can_be_identified_without_opening_it() {
    let fs = disk();
    assert_eq!(identify(Path::new(DIR), fs).unwrap(), None);
    let mut world = World::new(SimFs::new(5));
    world.run(&[Step::Vote]).unwrap();
    let found = identify(Path::new(DIR), world.fs.clone()).unwrap();
    assert_eq!(found, Some((node_id(), world.recovered().hard_state)), "even while it is in use");
}

#[test]
fn a_log_in_use_cannot_be_opened_or_created_again() {
    let fs = disk();
    create(Path::new(DIR), fs.clone(), &SMALL, node_id()).unwrap();
    let opening = open_log(&fs, Path::new(DIR), &SMALL, &snapshot(EntryId::ZERO)).unwrap();
    assert!(matches!(refused(&fs, EntryId::ZERO), OpenError::InUse { .. }));
    let created = create(Path::new(DIR), fs.clone(), &SMALL, node_id());
    assert!(matches!(created, Err(OpenError::InUse { .. })), "{created:?}");
    drop(opening);
    open_log(&fs, Path::new(DIR), &SMALL, &snapshot(EntryId::ZERO)).unwrap();
}

#[test]
fn a_real_folder_is_locked_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    create(&path, StdFs, &SMALL, node_id()).unwrap();
    let _open = open_log(&StdFs, &path, &SMALL, &snapshot(EntryId::ZERO)).unwrap();
    let error = refusal(&StdFs, &path, EntryId::ZERO);
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
}

#[test]
fn a_folder_below_a_file_is_refused_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, b"mine").unwrap();
    let below = file.join("log");
    let opened = refusal(&StdFs, &below, EntryId::ZERO);
    let created = create(&below, StdFs, &SMALL, node_id()).unwrap_err();
    for error in [opened, created] {
        let text = error.to_string();
        let OpenError::Io(IoFailure { source, path, .. }) = error else { panic!("{text}") };
        assert_eq!((source.kind(), path.as_path()), (ErrorKind::NotADirectory, below.as_path()), "{text}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
}

#[test]
fn a_folder_on_a_read_only_mount_is_refused() {
    let world = after(&[Step::Vote, Step::Append(2, 30)]);
    let fs = HookFs::new(world.fs.clone(), |call| match call {
        Call::Change | Call::Write => Err(ErrorKind::ReadOnlyFilesystem.into()),
        Call::Read | Call::Sync => Ok(()),
    });
    let before = world.fs.image(DIR).unwrap();
    let error = refusal(&fs, Path::new(DIR), EntryId::ZERO);
    let OpenError::Io(IoFailure { action: Action::Lock, source, path }) = &error else { panic!("{error}") };
    assert_eq!((source.kind(), path.as_path()), (ErrorKind::ReadOnlyFilesystem, Path::new("/data/log/lock")));
    let error = create(Path::new("/data/other"), fs, &SMALL, node_id()).unwrap_err();
    assert!(matches!(error, OpenError::Io(IoFailure { action: Action::CreateFolder, .. })), "{error}");
    assert_eq!(world.fs.image(DIR).unwrap(), before);
}

#[test]
fn entries_without_metadata_are_a_lost_vote() {
    let world = after(&[Step::Vote, Step::Append(2, 30)]);
    world.fs.remove_file(&Path::new(DIR).join("meta")).unwrap();
    let error = refused(&world.fs, EntryId::ZERO);
    assert!(matches!(error, OpenError::MetadataMissing { segments: 1, .. }));
    assert_advice(&error);
    let created = create(Path::new(DIR), world.fs, &SMALL, node_id());
    assert!(matches!(created, Err(OpenError::MetadataMissing { .. })), "{created:?}");
}

#[test]
fn metadata_without_a_segment_is_a_lost_log() {
    let fs = disk();
    create(Path::new(DIR), fs.clone(), &SMALL, node_id()).unwrap();
    fs.remove_file(Path::new("/data/log/0000000000000001.seg")).unwrap();
    let error = refused(&fs, EntryId::ZERO);
    assert!(matches!(error, OpenError::NoSegment { .. }), "{error}");
    assert_advice(&error);
}

#[test]
fn both_copies_of_a_generation_damaged_are_a_lost_vote() {
    let world = after(&[Step::Vote, Step::Append(1, 30)]);
    for pair in [[0, 2], [1, 3]] {
        let fs = world.fs.kill();
        for slot in pair {
            fs.flip_bit("/data/log/meta", (slot * 4096 + 100) * 8).unwrap();
        }
        let error = refused(&fs, EntryId::ZERO);
        assert!(matches!(error, OpenError::MetadataDamaged { slots, .. } if slots == pair), "{error}");
        assert_advice(&error);
    }
}

#[test]
fn metadata_older_than_the_log_is_a_lost_vote() {
    let mut world = World::new(SimFs::new(5));
    world.run(&[Step::Vote, Step::Append(1, 30)]).unwrap();
    let old = world.fs.contents("/data/log/meta").unwrap();
    world.run_on(&[Step::Vote, Step::Append(1, 30), Step::Settle]).unwrap();
    world.close();
    world.fs.set_contents("/data/log/meta", old).unwrap();
    let error = refused(&world.fs, EntryId::ZERO);
    let last = EntryId::new(Term(2), LogIndex(2));
    assert!(
        matches!(error, OpenError::LostMetadata { last: found, current_term: Term(1), .. } if found == last),
        "{error}"
    );
    assert!(error.to_string().starts_with("/data/log/meta: the stored term is 1 (expected"), "{error}");
    assert_advice(&error);
}

#[test]
fn a_snapshot_of_a_later_term_than_the_stored_one_is_a_lost_vote() {
    let world = after(&[Step::Vote, Step::Append(1, 30)]);
    let error = refused(&world.fs, EntryId::new(Term(9), LogIndex(4)));
    assert!(matches!(error, OpenError::LostMetadata { current_term: Term(1), .. }), "{error}");
}

#[test]
fn a_log_that_starts_after_its_snapshot_has_a_hole() {
    use Step::*;
    let mut script = vec![Vote];
    script.extend([Append(2, 2000), Settle, Append(2, 2000), Settle].repeat(3));
    script.extend([Compact(1), Settle, Append(1, 10)]);
    let world = after(&script);
    let error = refused(&world.fs, EntryId::new(Term(1), LogIndex(1)));
    let OpenError::Hole { dir, floor, base } = &error else { panic!("{error}") };
    assert_eq!((dir.as_path(), floor.index), (Path::new(DIR), LogIndex(1)));
    assert!(base.index > floor.index);
    assert!(error.to_string().contains("unless the snapshot that covered them can be put back"), "{error}");
    assert_advice(&error);
    open_log(&world.fs, Path::new(DIR), &SMALL, &snapshot(world.floor)).unwrap();
}

#[test]
fn a_segment_of_another_node_is_foreign() {
    let world = after(&[Step::Vote]);
    let fs = disk();
    create(Path::new(DIR), fs.clone(), &SMALL, NodeId::new(0xB0B).unwrap()).unwrap();
    let path = "/data/log/0000000000000001.seg";
    fs.set_contents(path, world.fs.contents(path).unwrap()).unwrap();
    let error = refused(&fs, EntryId::ZERO);
    let text = "a segment of node 00000000000a11ce (expected node 0000000000000b0b)";
    assert!(error.to_string().contains(text), "{error}");
}

#[test]
fn metadata_of_two_nodes_in_one_file_is_refused() {
    let world = after(&[Step::Vote]);
    let fs = disk();
    create(Path::new(DIR), fs.clone(), &SMALL, NodeId::new(0xB0B).unwrap()).unwrap();
    let mut mixed = world.fs.contents("/data/log/meta").unwrap();
    let other = fs.contents("/data/log/meta").unwrap();
    for slot in [0, 2] {
        mixed[slot * 4096..][..4096].copy_from_slice(&other[slot * 4096..][..4096]);
    }
    world.fs.set_contents("/data/log/meta", mixed).unwrap();
    let error = refused(&world.fs, EntryId::ZERO);
    assert!(matches!(error, OpenError::MetadataMixed { .. }), "{error}");
    assert_advice(&error);
}

#[test]
fn a_configuration_that_cannot_be_read_is_named_with_its_place() {
    let fs = disk();
    create(Path::new(DIR), fs.clone(), &SMALL, node_id()).unwrap();
    let mut opening = open_log(&fs, Path::new(DIR), &SMALL, &snapshot(EntryId::ZERO)).unwrap();
    let mut builder = BlockBuilder::new();
    builder.push(EntryKind::Normal, &[b"before"]);
    builder.push(EntryKind::Configuration, &[b"\xFF of a newer program"]);
    let append = vec![builder.finish(LogIndex(1), Term(0)).unwrap()];
    opening.log.submit(Write { id: WriteId(1), append: append.into(), ..Write::default() });
    opening.run();
    drop(opening);
    let error = refused(&fs, EntryId::ZERO);
    assert!(matches!(error, OpenError::Configuration { offset: 4096, index: LogIndex(2), .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("0000000000000001.seg, offset 4096: configuration entry 2"), "{text}");
    assert!(text.contains("start the newer program"), "{text}");
}

#[test]
fn a_file_whose_name_is_no_text_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    create(&path, StdFs, &SMALL, node_id()).unwrap();
    let foreign = path.join(OsStr::from_bytes(b"\xFF.seg"));
    std::fs::write(&foreign, b"mine").unwrap();
    open_log(&StdFs, &path, &SMALL, &snapshot(EntryId::ZERO)).unwrap();
    assert_eq!(std::fs::read(&foreign).unwrap(), b"mine");
}

/// Gives a stamped page another format version.
fn newer(fs: &SimFs, path: &str, page: usize) {
    let mut bytes = fs.contents(path).unwrap();
    let stamped = &mut bytes[page * 4096..(page + 1) * 4096];
    stamped[8] = 2;
    let crc = crc32fast::hash(&stamped[..4092]);
    stamped[4092..].copy_from_slice(&crc.to_le_bytes());
    fs.set_contents(path, bytes).unwrap();
}

#[test]
fn files_of_a_newer_program_are_refused_as_such() {
    let world = after(&[Step::Vote]);
    for (path, page) in [("/data/log/meta", 0), ("/data/log/meta", 3), ("/data/log/0000000000000001.seg", 0)]
    {
        let fs = world.fs.kill();
        newer(&fs, path, page);
        let error = refused(&fs, EntryId::ZERO);
        assert!(matches!(error, OpenError::NewerFormat { found: 2, newest: 1, .. }), "{path}: {error}");
    }
}

/// Gives the header of the batch at `offset` of the first segment another byte, and the checksum that goes with
/// it.
fn forge(fs: &SimFs, offset: usize, at: usize, byte: u8) {
    let path = "/data/log/0000000000000001.seg";
    let mut bytes = fs.contents(path).unwrap();
    bytes[offset + at] = byte;
    let mut crc = crc32fast::Hasher::new();
    [node_id().get(), 1, offset as u64].iter().for_each(|part| crc.update(&part.to_le_bytes()));
    crc.update(&bytes[offset + 8..offset + 72]);
    bytes[offset + 4..offset + 8].copy_from_slice(&crc.finalize().to_le_bytes());
    fs.set_contents(path, bytes).unwrap();
}

#[test]
fn batches_that_this_program_does_not_know_are_refused_even_at_the_very_end() {
    // One batch, no mark behind it: by its place alone it could be a torn tail.
    let world = after(&[Step::Vote, Step::Append(2, 30)]);
    forge(&world.fs, 4096, 64, BatchKind::Fill as u8);
    let error = refused(&world.fs, EntryId::ZERO);
    assert!(matches!(error, OpenError::Fill { offset: 4096, .. }), "{error}");
    forge(&world.fs, 4096, 64, 77);
    let error = refused(&world.fs, EntryId::ZERO);
    assert!(error.to_string().contains("batch kind is 77"), "{error}");
}

#[test]
fn a_batch_that_does_not_follow_the_log_is_refused_even_at_the_very_end() {
    let world = after(&[Step::Vote, Step::Append(2, 30), Step::Settle, Step::Append(2, 30)]);
    let base_index_at = 32;
    forge(&world.fs, 8192, base_index_at, 1);
    let error = refused(&world.fs, EntryId::ZERO);
    assert!(error.to_string().contains("batch follows entry 1@1 (expected 2@1)"), "{error}");
}

#[test]
fn a_full_disk_stops_creation_but_not_opening() {
    let world = after(&[Step::Vote, Step::Append(2, 30)]);
    let used = world.fs.image("/").unwrap().values().map(Vec::len).sum();
    world.fs.set_capacity(Some(used));
    // Unmarked: opening has something to write.
    let opening = open_log(&world.fs, Path::new(DIR), &SMALL, &snapshot(EntryId::ZERO)).unwrap();
    assert_eq!(opening.opened.recovered.last.index, LogIndex(2));
    let error = create(Path::new("/data/other"), world.fs, &SMALL, node_id()).unwrap_err();
    let OpenError::Io(IoFailure { action: Action::Write, source, .. }) = &error else { panic!("{error}") };
    assert_eq!(source.kind(), ErrorKind::StorageFull);
}
