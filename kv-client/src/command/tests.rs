use proptest::prelude::*;

use super::*;
use crate::layout::Reader;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn encoded(command: &Command<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    command.encode(&mut bytes).unwrap();
    bytes
}

/// A command of each kind and condition.
const SAMPLES: [Command<'static>; 11] = [
    Command::Put { key: b"k", value: b"val", lease: 0, expect: Expect::Anything },
    Command::Put { key: b"k", value: b"", lease: 7, expect: Expect::Absent },
    Command::Delete { key: b"k", expect: Expect::Anything },
    Command::Delete { key: b"k", expect: Expect::ModRevision(9) },
    Command::DeleteRange { range: KeyRange { start: b"a", end: b"b" }, limit: 100 },
    Command::Append { key: b"k", value: b"more" },
    Command::Increment { key: b"k", delta: -2 },
    Command::CompareAndSwap { key: b"k", expected: None, value: b"new" },
    Command::CompareAndSwap { key: b"k", expected: Some(b"old"), value: b"new" },
    Command::OpenSession,
    Command::CloseSession { session: 12 },
];

#[test]
fn the_layout_is_the_one_that_older_programs_wrote() {
    let golden = [
        concat!("0101", "0000000000000000", "00", "01006b", "0300000076616c"),
        concat!("0101", "0700000000000000", "01", "01006b", "00000000"),
        concat!("0102", "00", "01006b"),
        concat!("0102", "020900000000000000", "01006b"),
        concat!("0103", "64000000", "010061", "010062"),
        concat!("0104", "01006b", "040000006d6f7265"),
        concat!("0105", "feffffffffffffff", "01006b"),
        concat!("0106", "00", "01006b", "030000006e6577"),
        concat!("0106", "01", "030000006f6c64", "01006b", "030000006e6577"),
        "0107",
        concat!("0108", "0c00000000000000"),
    ];
    for (command, golden) in SAMPLES.iter().zip(golden) {
        assert_eq!(hex(&encoded(command)), golden, "{command:?}");
    }
}

#[test]
fn what_is_encoded_is_what_is_parsed_and_every_truncation_is_refused() {
    for command in &SAMPLES {
        let mut bytes = encoded(command);
        assert_eq!(Command::validate(&bytes).as_ref(), Ok(command));
        for length in 0..bytes.len() {
            let error = Command::parse(&bytes[..length]).unwrap_err();
            assert!(matches!(error, CommandError::Truncated { .. }), "{command:?} at {length}: {error}");
        }
        bytes.extend([0, 0]);
        assert_eq!(Command::parse(&bytes), Err(CommandError::TrailingBytes { found: 2 }));
    }
}

#[test]
fn unknown_versions_kinds_and_tags_are_newer_and_nothing_else_is() {
    let newer = |bytes: &[u8], field, found| {
        assert_eq!(Command::parse(bytes), Err(CommandError::Newer { field, found }));
    };
    newer(&[2, 1], Field::Version, 2);
    newer(&[1, 9], Field::Kind, 9);
    newer(&[1, 2, 3], Field::Expect, 3);
    newer(&[1, 6, 2], Field::Expected, 2);
    assert!(CommandError::Newer { field: Field::Kind, found: 9 }.is_newer());
    assert!(!CommandError::Truncated { field: Field::Kind }.is_newer());
}

#[test]
fn limits_are_named_with_what_was_found_and_checked_on_both_sides_but_not_by_parse() {
    let long_key = [b'k'; MAX_KEY_BYTES + 1];
    let long_value = vec![0; MAX_VALUE_BYTES + 1];
    let put = |key, value| Command::Put { key, value, lease: 0, expect: Expect::Anything };
    let delete = |limit| Command::DeleteRange { range: KeyRange::default(), limit };
    let cases = [
        (put(b"", b""), Field::Key, 0, 1, 4096),
        (put(&long_key, b""), Field::Key, 4097, 1, 4096),
        (put(b"k", &long_value), Field::Value, 1_048_577, 0, 1_048_576),
        (
            Command::CompareAndSwap { key: b"k", expected: Some(&long_value), value: b"" },
            Field::Expected,
            1_048_577,
            0,
            1_048_576,
        ),
        (delete(0), Field::Limit, 0, 1, 4096),
        (delete(4097), Field::Limit, 4097, 1, 4096),
    ];
    for (command, field, found, least, most) in cases {
        let mut out = Vec::new();
        let error = CommandError::Limit { field, found, least, most };
        assert_eq!(command.encode(&mut out), Err(error));
        assert!(out.is_empty());
    }
    let beyond = [&[1, 5][..], &[0; 8], &[0, 0]].concat();
    assert!(Command::parse(&beyond).is_ok());
    let error = Command::validate(&beyond).unwrap_err();
    assert_eq!(error.to_string(), "key is 0 bytes (expected 1 to 4096)");
}

#[test]
fn the_longest_command_fits_its_bound() {
    let value = vec![0; MAX_VALUE_BYTES];
    let key = [0; MAX_KEY_BYTES];
    let longest = Command::CompareAndSwap { key: &key, expected: Some(&value), value: &value };
    assert!(encoded(&longest).len() <= MAX_COMMAND_BYTES);
}

#[test]
fn the_envelope_is_the_one_that_older_programs_wrote() {
    let tag = Some(SessionTag { session: 5, sequence: 9, lowest_unacknowledged: 8 });
    let envelope = Envelope { tag, cluster_time_micros: 1_000_000 };
    let golden =
        concat!("0100", "0500000000000000", "0900000000000000", "0800000000000000", "40420f0000000000");
    assert_eq!(hex(&envelope.to_bytes()), golden);
    let entry = [&envelope.to_bytes()[..], b"command"].concat();
    assert_eq!(Envelope::split(&entry), Ok((envelope, &b"command"[..])));
    let bare = Envelope { tag: None, cluster_time_micros: 3 };
    assert_eq!(Envelope::split(&bare.to_bytes()), Ok((bare, &b""[..])));
}

#[test]
fn an_envelope_that_is_cut_or_newer_is_refused() {
    let bytes = Envelope::default().to_bytes();
    for length in 0..ENVELOPE_BYTES {
        assert_eq!(
            Envelope::split(&bytes[..length]),
            Err(CommandError::Truncated { field: Field::Envelope })
        );
    }
    for (at, field) in [(0, Field::EnvelopeVersion), (1, Field::EnvelopeFlags)] {
        let mut newer = bytes;
        newer[at] = 4;
        assert_eq!(Envelope::split(&newer), Err(CommandError::Newer { field, found: 4 }));
    }
}

#[test]
fn a_session_tag_names_a_session_and_stays_within_the_window() {
    let check = |session, sequence, lowest_unacknowledged| {
        SessionTag { session, sequence, lowest_unacknowledged }.check().is_ok()
    };
    assert!(check(1, 0, 0) && check(1, 1023, 0) && check(1, u64::MAX, u64::MAX));
    assert!(!check(0, 1, 1), "session 0");
    assert!(!check(1, 1024, 0), "beyond the window");
    assert!(!check(1, 4, 5), "below the lowest");
    let mut bytes = Envelope::default().to_bytes();
    bytes[10] = 1;
    assert!(matches!(Envelope::split(&bytes), Err(CommandError::SessionTag { session: 0, .. })));
}

#[test]
fn outcomes_are_laid_out_as_older_programs_wrote_them() {
    let outcomes = [
        Outcome::Done,
        Outcome::Deleted { count: 3, more: true },
        Outcome::Appended { length: 4 },
        Outcome::Incremented { value: -1 },
        Outcome::SessionOpened { session: 5 },
        Outcome::ConditionFailed { mod_revision: 6 },
        Outcome::NotANumber,
        Outcome::Overflow,
        Outcome::ValueTooLong { length: 7, most: 8 },
        Outcome::LeaseUnknown { lease: 9 },
        Outcome::SessionUnknown { session: 10 },
        Outcome::SequenceStale { lowest: 11 },
        Outcome::Malformed,
    ];
    for (code, outcome) in (0..).zip(outcomes) {
        let bytes = outcome.to_bytes();
        assert_eq!(bytes[0], code, "{outcome:?}");
        assert_eq!(Outcome::read(&mut Reader::new(&bytes)), Some(outcome));
        assert_eq!(Outcome::read(&mut Reader::new(&bytes[..16])), None);
    }
    assert_eq!(hex(&outcomes[1].to_bytes()), concat!("01", "0300000000000000", "0100000000000000"));
    assert_eq!(hex(&outcomes[3].to_bytes()), concat!("03", "ffffffffffffffff", "0000000000000000"));
    for unknown in [[13; 1].as_slice(), &[0, 1], &[1, 0, 0, 0, 0, 0, 0, 0, 0, 2]] {
        let mut bytes = [0; Outcome::BYTES];
        bytes[..unknown.len()].copy_from_slice(unknown);
        assert_eq!(Outcome::read(&mut Reader::new(&bytes)), None);
    }
}

proptest! {
    #[test]
    fn random_bytes_never_upset_the_parser(bytes: Vec<u8>, kind in 0u8..10) {
        let with_head = [&[1, kind][..], &bytes].concat();
        for bytes in [&bytes, &with_head] {
            if let Ok(command) = Command::validate(bytes) {
                prop_assert_eq!(&encoded(&command), bytes);
            }
        }
    }

    #[test]
    fn the_range_of_a_prefix_holds_exactly_the_keys_that_begin_with_it(
        prefix in prop::collection::vec(prop::sample::select(vec![0u8, 1, 254, 255]), 0..4),
        key in prop::collection::vec(prop::sample::select(vec![0u8, 1, 254, 255]), 1..6),
    ) {
        let end = prefix_end(&prefix);
        let range = KeyRange { start: &prefix, end: &end };
        prop_assert_eq!(range.contains(&key), key.starts_with(&prefix));
    }
}
