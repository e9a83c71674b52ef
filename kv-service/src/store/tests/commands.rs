use kv_client::command::{KeyRange, MAX_VALUE_BYTES};
use kv_client::protocol::KeyMeta;

use super::*;

fn revision(store: &Store) -> u64 {
    store.stats().revision
}

fn meta(store: &Store, key: &[u8]) -> KeyMeta {
    store.get(key).unwrap().meta
}

fn swap<'a>(expected: Option<&'a [u8]>, value: &'a [u8]) -> Command<'a> {
    Command::CompareAndSwap { key: b"k", expected, value }
}

#[test]
fn an_empty_store_is_at_revision_1_and_each_change_moves_it_by_one() {
    let mut store = Store::new();
    assert_eq!(revision(&store), 1);
    assert_eq!(apply(&mut store, &put(b"a", b"1")), Outcome::Done);
    assert_eq!(apply(&mut store, &put(b"a", b"1")), Outcome::Done);
    assert_eq!(revision(&store), 3);
    assert_eq!(meta(&store, b"a"), KeyMeta { create_revision: 2, mod_revision: 3, version: 2, lease: 0 });
}

#[test]
fn a_key_that_was_deleted_starts_again_at_version_1() {
    let mut store = Store::new();
    apply(&mut store, &put(b"a", b"1"));
    let delete = Command::Delete { key: b"a", expect: Expect::Anything };
    assert_eq!(apply(&mut store, &delete), Outcome::Deleted { count: 1, more: false });
    assert_eq!(value(&store, b"a"), None);
    apply(&mut store, &put(b"a", b"2"));
    assert_eq!(meta(&store, b"a"), KeyMeta { create_revision: 4, mod_revision: 4, version: 1, lease: 0 });
}

#[test]
fn what_changes_no_key_leaves_the_revision_as_it_is() {
    let mut store = Store::new();
    apply(&mut store, &put(b"k", b"text"));
    let nothing = [
        Command::Delete { key: b"absent", expect: Expect::Anything },
        Command::DeleteRange { range: KeyRange { start: b"x", end: b"" }, limit: 9 },
        Command::Put { key: b"k", value: b"", lease: 0, expect: Expect::Absent },
        Command::Increment { key: b"k", delta: 1 },
        swap(None, b""),
        Command::OpenSession,
    ];
    for command in nothing {
        apply(&mut store, &command);
        assert_eq!(revision(&store), 2, "{command:?}");
    }
}

#[test]
fn conditions_hold_or_say_how_the_key_is() {
    let mut store = Store::new();
    let put = |expect| Command::Put { key: b"k", value: b"v", lease: 0, expect };
    let delete = |expect| Command::Delete { key: b"k", expect };
    let failed = |mod_revision| Outcome::ConditionFailed { mod_revision };
    assert_eq!(apply(&mut store, &put(Expect::ModRevision(1))), failed(0));
    assert_eq!(apply(&mut store, &delete(Expect::ModRevision(1))), failed(0));
    assert_eq!(apply(&mut store, &put(Expect::Absent)), Outcome::Done);
    assert_eq!(apply(&mut store, &put(Expect::Absent)), failed(2));
    assert_eq!(apply(&mut store, &put(Expect::ModRevision(1))), failed(2));
    assert_eq!(apply(&mut store, &put(Expect::ModRevision(2))), Outcome::Done);
    assert_eq!(apply(&mut store, &delete(Expect::ModRevision(2))), failed(3));
    let deleted = Outcome::Deleted { count: 1, more: false };
    assert_eq!(apply(&mut store, &delete(Expect::ModRevision(3))), deleted);
}

#[test]
fn a_put_under_a_lease_that_does_not_exist_is_refused() {
    let mut store = Store::new();
    let put = Command::Put { key: b"k", value: b"v", lease: 7, expect: Expect::Anything };
    assert_eq!(apply(&mut store, &put), Outcome::LeaseUnknown { lease: 7 });
    assert_eq!(value(&store, b"k"), None);
}

#[test]
fn a_range_is_deleted_up_to_the_limit_at_one_revision() {
    let mut store = Store::new();
    for key in [b"a", b"b", b"c", b"d", b"e"] {
        apply(&mut store, &put(key, b"v"));
    }
    let range = KeyRange { start: b"b", end: b"e" };
    let delete = Command::DeleteRange { range, limit: 2 };
    assert_eq!(apply(&mut store, &delete), Outcome::Deleted { count: 2, more: true });
    assert_eq!(revision(&store), 7);
    assert_eq!(apply(&mut store, &delete), Outcome::Deleted { count: 1, more: false });
    assert_eq!(apply(&mut store, &delete), Outcome::Deleted { count: 0, more: false });
    assert_eq!((revision(&store), store.stats().keys), (8, 2));
    let backwards = Command::DeleteRange { range: KeyRange { start: b"z", end: b"a" }, limit: 2 };
    assert_eq!(apply(&mut store, &backwards), Outcome::Deleted { count: 0, more: false });
    let rest = Command::DeleteRange { range: KeyRange::default(), limit: 2 };
    assert_eq!(apply(&mut store, &rest), Outcome::Deleted { count: 2, more: false });
}

#[test]
fn appending_creates_a_key_and_grows_it_up_to_the_limit() {
    let mut store = Store::new();
    let append = |value| Command::Append { key: b"k", value };
    assert_eq!(apply(&mut store, &append(b"ab")), Outcome::Appended { length: 2 });
    assert_eq!(apply(&mut store, &append(b"c")), Outcome::Appended { length: 3 });
    assert_eq!(value(&store, b"k").unwrap(), b"abc");
    let large = vec![b'x'; MAX_VALUE_BYTES - 3];
    assert_eq!(apply(&mut store, &append(&large)), Outcome::Appended { length: MAX_VALUE_BYTES as u64 });
    let (length, most) = (MAX_VALUE_BYTES as u64 + 1, MAX_VALUE_BYTES as u64);
    assert_eq!(apply(&mut store, &append(b"y")), Outcome::ValueTooLong { length, most });
    assert_eq!(meta(&store, b"k").version, 3);
}

#[test]
fn numbers_are_the_decimal_text_of_an_i64() {
    let mut store = Store::new();
    let increment = |delta| Command::Increment { key: b"k", delta };
    assert_eq!(apply(&mut store, &increment(-3)), Outcome::Incremented { value: -3 });
    assert_eq!(apply(&mut store, &increment(10)), Outcome::Incremented { value: 7 });
    assert_eq!(value(&store, b"k").unwrap(), b"7");
    apply(&mut store, &put(b"k", i64::MAX.to_string().as_bytes()));
    assert_eq!(apply(&mut store, &increment(1)), Outcome::Overflow);
    assert_eq!(apply(&mut store, &increment(i64::MIN)), Outcome::Incremented { value: i64::MAX + i64::MIN });
    for text in ["", " 1", "+1", "01", "-0", "1x", "9223372036854775808", "\u{661}"] {
        apply(&mut store, &put(b"k", text.as_bytes()));
        assert_eq!(apply(&mut store, &increment(1)), Outcome::NotANumber, "{text:?}");
        assert_eq!(value(&store, b"k").unwrap(), text.as_bytes());
    }
}

#[test]
fn compare_and_swap_compares_whole_values_and_tells_absent_from_empty() {
    let mut store = Store::new();
    let failed = |mod_revision| Outcome::ConditionFailed { mod_revision };
    assert_eq!(apply(&mut store, &swap(Some(b""), b"x")), failed(0));
    assert_eq!(apply(&mut store, &swap(None, b"")), Outcome::Done);
    assert_eq!(apply(&mut store, &swap(None, b"x")), failed(2));
    assert_eq!(apply(&mut store, &swap(Some(b""), b"new")), Outcome::Done);
    assert_eq!(apply(&mut store, &swap(Some(b"ne"), b"x")), failed(3));
    assert_eq!(value(&store, b"k").unwrap(), b"new");
}

#[test]
fn keys_and_bytes_are_counted() {
    let mut store = Store::new();
    apply(&mut store, &put(b"ab", b"123"));
    apply(&mut store, &put(b"c", b""));
    assert_eq!((store.stats().keys, store.stats().bytes), (2, 6));
    apply(&mut store, &put(b"ab", b"1"));
    apply(&mut store, &Command::Delete { key: b"c", expect: Expect::Anything });
    assert_eq!((store.stats().keys, store.stats().bytes), (1, 3));
}
