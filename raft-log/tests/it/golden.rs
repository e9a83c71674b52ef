//! The bytes on disk, pinned: files outlive programs. A change here is a new format version, not a new golden
//! file.
//!
//! Rows of 32 bytes, those of zeros left out. `GOLDEN=write cargo test -p raft-log golden` writes the files anew.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use raft_core::block::{Block, BlockBuilder, EntryKind};
use raft_core::fs::Fs;
use raft_core::snapshot::SnapshotMeta;
use raft_core::storage::{LogStore, Write};
use raft_core::testing::SimFs;
use raft_core::{ClusterId, EntryId, HardState, LogIndex, NodeId, Term, WriteId};
use raft_log::{LogOptions, create};

use crate::support::{DIR, SMALL, node_id, open_log};
use crate::world::{State, contents, entries_of};

const OPTIONS: LogOptions = LogOptions { segment_bytes: 12 * 4096, ..SMALL };
const FILES: [&str; 2] = ["meta", "0000000000000001.seg"];

fn entries(first: u64, term: u64, payloads: &[&str]) -> Block {
    let mut builder = BlockBuilder::new();
    builder.push(EntryKind::NoOp, &[]);
    payloads.iter().for_each(|payload| builder.push(EntryKind::Normal, &[payload.as_bytes()]));
    builder.finish(LogIndex(first), Term(term)).unwrap()
}

/// Every kind of batch that this version writes, and every field of the metadata.
fn writes() -> [Write; 5] {
    let hard_state = |term, vote| HardState {
        cluster_id: Some(ClusterId(0x0123_4567_89ab_cdef_1122_3344_5566_7788)),
        current_term: Term(term),
        voted_for: NodeId::new(vote),
    };
    let base = EntryId::new(Term(3), LogIndex(20));
    let write = Write::default;
    [
        Write {
            hard_state: Some(hard_state(1, 0xA11CE)),
            append: vec![entries(1, 1, &["a", "bb"])].into(),
            ..write()
        },
        Write { append: vec![entries(4, 1, &["ccc"]), entries(6, 1, &["dddd"])].into(), ..write() },
        Write {
            hard_state: Some(hard_state(2, 0)),
            truncate_from: Some(LogIndex(5)),
            append: vec![entries(5, 2, &["eeeee"])].into(),
            ..write()
        },
        Write { hard_state: Some(hard_state(3, 0xB0B)), reset: Some(base), ..write() },
        Write { append: vec![entries(21, 3, &["after the reset"])].into(), ..write() },
    ]
}

fn state() -> State {
    let mut state = State::default();
    writes().iter().for_each(|write| state.apply(write));
    state
}

/// Each write in a group of its own, then a mark.
fn written() -> SimFs {
    let fs = SimFs::new(1);
    fs.create_dir_all(Path::new("/data")).unwrap();
    create(Path::new(DIR), fs.clone(), &OPTIONS, node_id()).unwrap();
    let mut opening = open_log(&fs, Path::new(DIR), &OPTIONS, &SnapshotMeta::NONE).unwrap();
    for (write, id) in writes().into_iter().zip(1..) {
        opening.log.submit(Write { id: WriteId(id), ..write });
        opening.run();
    }
    opening.log.mark();
    fs
}

fn golden_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden").join(name).with_extension("txt")
}

fn dump(bytes: &[u8]) -> String {
    let mut text = format!("{} bytes\n", bytes.len());
    for (number, row) in bytes.chunks(32).enumerate().filter(|(_, row)| row.iter().any(|&byte| byte != 0)) {
        write!(text, "{:06x}", number * 32).unwrap();
        for word in row.chunks(4) {
            let hex: String = word.iter().map(|byte| format!("{byte:02x}")).collect();
            write!(text, " {hex}").unwrap();
        }
        text.push('\n');
    }
    text
}

fn undump(text: &str) -> Vec<u8> {
    let (length, rows) = text.split_once(" bytes\n").unwrap();
    let mut bytes = vec![0; length.parse().unwrap()];
    for row in rows.lines() {
        let (offset, hex) = row.split_once(' ').unwrap();
        let offset = usize::from_str_radix(offset, 16).unwrap();
        let digits: String = hex.split(' ').collect();
        for at in 0..digits.len() / 2 {
            bytes[offset + at] = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap();
        }
    }
    bytes
}

#[test]
fn the_bytes_of_metadata_and_segments_do_not_change() {
    let fs = written();
    for name in FILES {
        let found = dump(&fs.contents(Path::new(DIR).join(name)).unwrap());
        let path = golden_path(name);
        if std::env::var_os("GOLDEN").is_some() {
            std::fs::write(&path, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap();
        assert_eq!(found, expected, "{}", path.display());
    }
}

#[test]
fn the_golden_files_can_be_read() {
    let fs = SimFs::new(1);
    fs.create_dir_all(Path::new(DIR)).unwrap();
    for name in FILES {
        let path = Path::new(DIR).join(name);
        fs.create_new(&path).unwrap();
        fs.set_contents(&path, undump(&std::fs::read_to_string(golden_path(name)).unwrap())).unwrap();
    }
    let floor = crate::world::snapshot(EntryId::new(Term(3), LogIndex(20)));
    let opening = open_log(&fs, Path::new(DIR), &OPTIONS, &floor).unwrap();
    assert_eq!(opening.opened.node_id, node_id());
    assert_eq!(contents(&opening.log, &opening.opened.recovered).unwrap(), state());
    assert_eq!(state().entries, entries_of(&[entries(21, 3, &["after the reset"])]));
}
