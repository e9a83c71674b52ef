use std::io;

use super::super::RestoreError;
use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Two keys, a session with a reply and one without.
fn sample() -> Store {
    let mut store = Store::new();
    let tag = SessionTag { session: 1, sequence: 6, lowest_unacknowledged: 5 };
    let log = [
        Entry::command(None, 10, &Command::OpenSession),
        Entry::command(None, 20, &put(b"b", b"text")),
        Entry::command(Some(tag), 30, &Command::Increment { key: b"a", delta: -4 }),
        Entry::command(None, 25, &Command::OpenSession),
        Entry::no_op(),
    ];
    apply_all(&mut store, &log);
    store
}

fn refused(bytes: &[u8]) -> RestoreError {
    let mut store = sample();
    let before = snapshot(&store);
    let error = store.restore(&mut &bytes[..]).unwrap_err();
    assert_eq!(snapshot(&store), before, "a refused snapshot changes nothing");
    *error.downcast().unwrap()
}

#[test]
fn a_snapshot_is_laid_out_as_older_programs_wrote_it() {
    let store = sample();
    let golden = [
        // Header: applied 5, revision 3, cluster time 30.
        concat!("010118000000", "0500000000000000", "0300000000000000", "1e00000000000000"),
        // Keys: created, modified, version, lease, lengths, key and value.
        concat!(
            "020129000000",
            "0300000000000000",
            "0300000000000000",
            "0100000000000000",
            "0000000000000000"
        ),
        concat!("0100", "02000000", "61", "2d34"),
        concat!(
            "02012b000000",
            "0200000000000000",
            "0200000000000000",
            "0100000000000000",
            "0000000000000000"
        ),
        concat!("0100", "04000000", "62", "74657874"),
        // Session 1: lowest 5, last active at 30; its reply to 6, at revision 3: incremented to -4.
        concat!("030118000000", "0100000000000000", "0500000000000000", "1e00000000000000"),
        concat!("040129000000", "0100000000000000", "0600000000000000", "0300000000000000"),
        concat!("03", "fcffffffffffffff", "0000000000000000"),
        // Session 4.
        concat!("030118000000", "0400000000000000", "0000000000000000", "1e00000000000000"),
        // End: two keys, two sessions, one reply, state hash.
        concat!("ff0128000000", "0200000000000000", "0200000000000000", "0100000000000000"),
        "ac04b1d0d4a86289497c7fc2c4317543",
    ]
    .concat();
    assert_eq!(hex(&snapshot(&store)), golden);
}

#[test]
fn a_snapshot_with_any_byte_changed_is_refused() {
    let bytes = snapshot(&sample());
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        refused(&changed);
    }
}

#[test]
fn a_snapshot_that_ends_early_or_goes_on_is_refused() {
    let mut bytes = snapshot(&sample());
    for length in 0..bytes.len() {
        let error = refused(&bytes[..length]);
        assert!(
            matches!(&error, RestoreError::Read { source, .. } if source.kind() == io::ErrorKind::UnexpectedEof),
            "{length}: {error}"
        );
    }
    bytes.push(0);
    assert!(matches!(refused(&bytes), RestoreError::TrailingBytes { index: LogIndex(5) }));
}

#[test]
fn records_of_newer_programs_are_named() {
    let bytes = snapshot(&sample());
    let header = 30;
    let mut newer_kind = bytes.clone();
    newer_kind[header] = 9;
    assert!(matches!(refused(&newer_kind), RestoreError::Newer { number: 1, kind: 9, version: 1 }));
    let mut newer_version = bytes;
    newer_version[header + 1] = 2;
    let error = refused(&newer_version);
    assert!(matches!(error, RestoreError::Newer { number: 1, kind: 2, version: 2 }));
    assert_eq!(
        error.to_string(),
        "snapshot record 1: kind 2 version 2 is unknown (written by a newer program; upgrade this one)"
    );
}

#[test]
fn records_out_of_order_are_refused_even_where_hash_and_counts_agree() {
    let bytes = snapshot(&sample());
    let mut records = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some(length) = rest.get(2..6) {
        let length = 6 + u32::from_le_bytes(*length.first_chunk().unwrap()) as usize;
        records.push(rest[..length].to_vec());
        rest = &rest[length..];
    }
    assert_eq!(records.iter().map(|record| record[0]).collect::<Vec<_>>(), [1, 2, 2, 3, 4, 3, 255]);
    for (left, right) in [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)] {
        let mut swapped = records.clone();
        swapped.swap(left, right);
        let error = refused(&swapped.concat());
        assert!(matches!(error, RestoreError::Unfit { .. }), "{left}: {error}");
    }
    records.remove(1);
    let error = refused(&records.concat());
    assert!(matches!(error, RestoreError::Counts { found: [1, 2, 1], expected: [2, 2, 1] }), "{error}");
}

#[test]
fn an_empty_store_has_a_snapshot_too() {
    let empty = Store::new();
    assert_eq!(snapshot(&restored(&snapshot(&empty))), snapshot(&empty));
}

#[test]
fn an_error_of_the_writer_is_passed_on() {
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    assert_eq!(sample().freeze().write_to(&mut Full).unwrap_err().kind(), io::ErrorKind::StorageFull);
}
