//! The format outlives the code: files written by its first version are read, and written again byte by byte.
//!
//! A golden file is never changed. A new version of the format adds one.

use raft_core::fs::Fs;
use raft_core::storage::SnapshotStore;

use crate::support::*;

const VERSION_1: &[u8] = include_bytes!("golden/version_1.snap");

/// Numbers that no other code can change.
fn state() -> Vec<u8> {
    (0..400u32).map(|at| (at % 251) as u8).collect()
}

#[test]
fn version_1_is_written_as_it_ever_was() {
    let fs = disk();
    let mut store = Store::open(&fs);
    store.files.create(meta_at(10), Box::new(State(state())));
    store.run();
    let written = fs.contents(format!("{DIR}/{}", file_name(10))).unwrap();
    assert!(written == VERSION_1, "written: {}", written.escape_ascii());
}

#[test]
fn version_1_is_read() {
    let fs = disk();
    fs.create_dir_all(DIR.as_ref()).unwrap();
    let path = format!("{DIR}/{}", file_name(10));
    fs.create_new(path.as_ref()).unwrap();
    fs.set_contents(path, VERSION_1.to_vec()).unwrap();
    let store = Store::open(&fs);
    let info = store.files.latest().unwrap();
    assert_eq!((info.meta, info.length), (meta_at(10), VERSION_1.len() as u64));
    assert_eq!(info.digest, *blake3::hash(VERSION_1).as_bytes());
    assert_eq!(store.read().unwrap(), state());
}

#[test]
fn version_1_lies_as_the_documentation_says() {
    let number = |at: usize, bytes: usize| {
        let mut number = [0; 8];
        number[..bytes].copy_from_slice(&VERSION_1[at..at + bytes]);
        u64::from_le_bytes(number)
    };
    let checksum = |pieces: &[&[u8]]| u64::from(crc32fast::hash(&pieces.concat()));
    let page_bytes = SMALL.page_bytes as usize;
    let (pages, trailer) = VERSION_1.split_at(VERSION_1.len() - 60);
    let mut content = Vec::new();
    for (number, page) in (0u64..).zip(pages.chunks(page_bytes)) {
        let (piece, stored) = page.split_at(page.len() - 4);
        let salt = [10, 1, number].map(u64::to_le_bytes).concat();
        assert_eq!(crc32fast::hash(&[&salt, piece].concat()).to_le_bytes(), stored);
        content.extend_from_slice(piece);
    }
    assert_eq!(&VERSION_1[..8], b"RAFTSNAP");
    assert_eq!([number(8, 4), number(12, 4), number(16, 4), number(40, 4)], [1, 0, page_bytes as u64, 1]);
    assert_eq!(number(44, 4), checksum(&[&VERSION_1[..44]]));
    assert_eq!([number(24, 8), number(32, 8), number(48, 8)], [10, 1, 1]);
    let mut configuration = Vec::new();
    meta_at(10).configuration.unwrap().encode(&mut configuration);
    let header_bytes = 56 + configuration.len();
    assert_eq!(number(20, 4), header_bytes as u64);
    assert_eq!(content[56..header_bytes], configuration);
    assert_eq!(content[header_bytes..], state());

    let at = VERSION_1.len() - 60;
    assert_eq!(
        [number(at, 8), number(at + 8, 8)],
        [state().len() as u64, pages.chunks(page_bytes).len() as u64]
    );
    assert_eq!(trailer[16..48], *blake3::hash(pages).as_bytes());
    assert_eq!(number(at + 48, 4), checksum(&[&trailer[..48]]));
    assert_eq!(&trailer[52..], b"SNAPEND\n");
}
