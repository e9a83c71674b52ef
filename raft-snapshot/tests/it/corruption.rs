//! Rot, one place at a time over a whole file: opening reports it, or the reader does; other data is never served.

use std::io::{ErrorKind, Read};

use raft_core::storage::SnapshotStore;
use raft_core::testing::SimFs;

use crate::support::*;

/// A disk with the snapshots 10 and 20, and the path of 20.
fn two_snapshots() -> (SimFs, String) {
    let fs = disk();
    let mut store = Store::open(&fs);
    store.create(10);
    store.create(20);
    (fs, format!("{DIR}/{}", file_name(20)))
}

/// An opening must find the damage in 20 and fall back to 10; a reader that was opened before must end in an error
/// after nothing but true bytes.
fn check(fs: &SimFs, path: &str, damaged: Vec<u8>, what: &str) {
    let whole = fs.contents(path).unwrap();
    assert_ne!(whole, damaged, "{what}");
    let mut store = Store::open(&fs.kill());
    let (_, mut reader) = store.files.reader().unwrap();
    drop(store);

    let fs = fs.kill();
    store = Store::open(&fs);
    let (_, mut later) = store.files.reader().unwrap();
    fs.set_contents(path, damaged).unwrap();
    let mut served = Vec::new();
    let error = later.read_to_end(&mut served).expect_err(what);
    assert_eq!(error.kind(), ErrorKind::InvalidData, "{what}: {error}");
    assert!(error.to_string().contains(&file_name(20)), "{what}: {error}");
    assert!(state_at(20).starts_with(&served), "{what}: served other data");
    assert!(later.read(&mut [0; 64]).is_err(), "{what}: the error stays");
    drop((store, later));

    let store = Store::open(&fs.kill());
    let reported = store.report.damaged.first().expect(what);
    assert!(reported.to_string().contains(&file_name(20)), "{what}: {reported}");
    assert!(reported.set_aside.is_some(), "{what}");
    assert_eq!((store.latest_index(), store.read().unwrap()), (10, state_at(10)), "{what}");

    let mut untouched = Vec::new();
    reader.read_to_end(&mut untouched).unwrap();
    assert_eq!(untouched, state_at(20), "the disk before is another disk");
}

#[test]
fn every_flipped_bit_is_found() {
    let (fs, path) = two_snapshots();
    let whole = fs.contents(&path).unwrap();
    assert!(whole.len() / SMALL.page_bytes as usize >= 4, "several pages");
    for bit in 0..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        check(&fs, &path, damaged, &format!("bit {bit}"));
    }
}

#[test]
fn a_file_cut_or_grown_anywhere_is_found() {
    let (fs, path) = two_snapshots();
    let whole = fs.contents(&path).unwrap();
    for length in 0..whole.len() {
        check(&fs, &path, whole[..length].to_vec(), &format!("cut to {length}"));
    }
    for more in 1..=2 * SMALL.page_bytes as usize {
        check(&fs, &path, [&whole[..], &vec![0; more]].concat(), &format!("{more} zeros more"));
        check(&fs, &path, [&whole[..], &whole[..more]].concat(), &format!("{more} bytes more"));
    }
    check(&fs, &path, [&whole[..], &whole[..]].concat(), "twice the file");
}

#[test]
fn zeroed_lost_repeated_and_exchanged_pieces_are_found() {
    let (fs, path) = two_snapshots();
    let whole = fs.contents(&path).unwrap();
    let older = fs.contents(format!("{DIR}/{}", file_name(10))).unwrap();
    let page = SMALL.page_bytes as usize;
    for piece in [16, 64, page] {
        for start in (0..whole.len() - piece).step_by(piece) {
            let (before, rest) = whole.split_at(start);
            let (this, behind) = rest.split_at(piece);
            let damaged = |middle: &[u8]| [before, middle, behind].concat();
            let at = format!("{piece} bytes at {start}");
            check(&fs, &path, damaged(&vec![0; piece]), &format!("{at} zeroed"));
            check(&fs, &path, damaged(&vec![0xff; piece]), &format!("{at} set"));
            check(&fs, &path, damaged(&[]), &format!("{at} lost"));
            check(&fs, &path, damaged(&[this, this].concat()), &format!("{at} repeated"));
            if let Some(other) = older.get(start..start + piece)
                && other != this
            {
                check(&fs, &path, damaged(other), &format!("{at} of an older file"));
            }
            if behind.len() >= piece && &behind[..piece] != this {
                let exchanged = [before, &behind[..piece], this, &behind[piece..]].concat();
                check(&fs, &path, exchanged, &format!("{at} exchanged with the next"));
            }
        }
    }
}

#[test]
fn the_reader_names_file_offset_expected_and_found() {
    let (fs, path) = two_snapshots();
    let store = Store::open(&fs);
    fs.flip_bit(&path, 300 * 8).unwrap();
    let error = store.read().unwrap_err().to_string();
    let start = format!("{path}: offset 256: checksum of page 2 is 0x");
    assert!(
        error.starts_with(&start) && error.contains("(expected 0x") && error.ends_with("damaged"),
        "{error}"
    );
}

#[test]
fn a_file_cut_while_it_is_read_is_found() {
    let (fs, path) = two_snapshots();
    let whole = fs.contents(&path).unwrap();
    for length in 0..whole.len() {
        fs.set_contents(&path, whole.clone()).unwrap();
        let store = Store::open(&fs);
        let (_, mut reader) = store.files.reader().unwrap();
        let mut served = vec![0; 1];
        reader.read_exact(&mut served).unwrap();
        fs.set_contents(&path, whole[..length].to_vec()).unwrap();
        match reader.read_to_end(&mut served) {
            // The trailer was read at the beginning; all else was there.
            Ok(_) => assert!(length >= whole.len() - 60 && served == state_at(20), "{length}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InvalidData, "{length}: {error}");
                assert!(state_at(20).starts_with(&served), "{length}");
            }
        }
    }
}

#[test]
fn a_whole_file_in_place_of_another_is_not_served_for_it() {
    let (fs, path) = two_snapshots();
    let store = Store::open(&fs);
    fs.set_contents(&path, fs.contents(format!("{DIR}/{}", file_name(10))).unwrap()).unwrap();
    assert!(store.read().unwrap_err().to_string().contains("BLAKE3"));
    drop(store);
    let store = Store::open(&fs);
    let damaged = store.report.damaged[0].to_string();
    assert!(
        damaged.contains("stands for entry 10@1 with the 3 members of index 1 (expected entry 20@2"),
        "{damaged}"
    );
}

/// Bytes `at..` of a file, changed behind the back of checksums, which are made to fit.
fn forge(whole: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut forged = whole.to_vec();
    forged[at..at + bytes.len()].copy_from_slice(bytes);
    let trailer = whole.len() - 60;
    let checksum = crc32fast::hash(&forged[trailer..trailer + 48]);
    forged[trailer + 48..trailer + 52].copy_from_slice(&checksum.to_le_bytes());
    let page_bytes = SMALL.page_bytes as usize;
    for (number, page) in (0u64..).zip(forged[..trailer].chunks_mut(page_bytes)) {
        let (content, stored) = page.split_at_mut(page.len() - 4);
        let salt = [20, 2, number].map(u64::to_le_bytes).concat();
        stored.copy_from_slice(&crc32fast::hash(&[&salt, &*content].concat()).to_le_bytes());
    }
    forged
}

#[test]
fn bytes_changed_together_with_their_checksums_are_found() {
    let (fs, path) = two_snapshots();
    let whole = fs.contents(&path).unwrap();
    let trailer = whole.len() - 60;
    assert_eq!(forge(&whole, 0, &[]), whole);
    let last_page = trailer / SMALL.page_bytes as usize * SMALL.page_bytes as usize;
    for (at, bytes, found) in [
        (last_page, &[1, 2, 3][..], "BLAKE3"),
        (48, &[9], "BLAKE3"),
        (trailer, &[1, 0], "body length is 1"),
        (trailer + 8, &[7], "page count is 7"),
        (trailer + 16, &[0; 32], "BLAKE3"),
    ] {
        let fs = fs.kill();
        fs.set_contents(&path, forge(&whole, at, bytes)).unwrap();
        let store = Store::open(&fs);
        let damaged = store.report.damaged.first().expect(found).to_string();
        assert!(damaged.contains(found), "{damaged}");
        assert_eq!(store.latest_index(), 10);
    }
}
