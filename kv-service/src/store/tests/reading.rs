use std::collections::BTreeMap;

use kv_client::command::{KeyRange, MAX_KEY_BYTES, MAX_VALUE_BYTES, prefix_end};
use kv_client::protocol::{KeyValues, MAX_PAGE_BYTES, RangeQuery};
use proptest::prelude::*;

use super::*;

/// The keys of one page, and whether more follow.
fn page(store: &Store, query: &RangeQuery) -> (Vec<Vec<u8>>, bool) {
    let page = store.range(query);
    let keys: Vec<_> = KeyValues::new(&page.records).map(|record| record.unwrap().key.to_vec()).collect();
    assert_eq!(keys.len(), page.count as usize);
    (keys, page.more)
}

fn filled(keys: &[&[u8]]) -> Store {
    let mut store = Store::new();
    for key in keys {
        apply(&mut store, &put(key, b"value"));
    }
    store
}

#[test]
fn a_value_stays_as_it_was_read_whatever_is_written_after() {
    let mut store = filled(&[b"k"]);
    let found = store.get(b"k").unwrap();
    apply(&mut store, &put(b"k", b"other"));
    assert_eq!(found.value, b"value"[..]);
    assert_eq!(store.get(b"absent"), None);
    apply(&mut store, &put(b"k", b""));
    assert_eq!(store.get(b"k").unwrap().value, b""[..]);
}

#[test]
fn pages_end_at_the_limit_and_continue_after_their_last_key() {
    let store = filled(&[b"a", b"b", b"c", b"d"]);
    let query = |after: &[u8]| RangeQuery { after: after.to_vec(), limit: 2, ..RangeQuery::default() };
    assert_eq!(page(&store, &query(b"")), (vec![b"a".to_vec(), b"b".to_vec()], true));
    assert_eq!(page(&store, &query(b"b")), (vec![b"c".to_vec(), b"d".to_vec()], false));
    assert_eq!(page(&store, &query(b"d")), (vec![], false));
}

#[test]
fn pages_end_before_they_get_too_long_but_always_hold_a_record() {
    let mut store = Store::new();
    let half = vec![0; MAX_PAGE_BYTES / 2];
    let largest = vec![0; MAX_VALUE_BYTES];
    let long_key = vec![b'k'; MAX_KEY_BYTES];
    for (key, value) in [(&b"a"[..], &half), (b"b", &half), (&long_key, &largest), (b"z", &half)] {
        apply(&mut store, &put(key, value));
    }
    let after = |after: &[u8]| page(&store, &RangeQuery { after: after.to_vec(), ..RangeQuery::default() });
    assert_eq!(after(b""), (vec![b"a".to_vec()], true));
    assert_eq!(after(b"a"), (vec![b"b".to_vec()], true));
    assert_eq!(after(b"b"), (vec![long_key.clone()], true));
    assert_eq!(after(&long_key), (vec![b"z".to_vec()], false));
    let keys_only = RangeQuery { keys_only: true, ..RangeQuery::default() };
    assert_eq!(page(&store, &keys_only).0.len(), 4);
}

#[test]
fn a_page_holds_keys_with_their_numbers_and_values_unless_only_keys_are_wanted() {
    let store = filled(&[b"k"]);
    for keys_only in [false, true] {
        let page = store.range(&RangeQuery { keys_only, ..RangeQuery::default() });
        let record = KeyValues::new(&page.records).next().unwrap().unwrap();
        assert_eq!((record.key, record.meta), (&b"k"[..], store.get(b"k").unwrap().meta));
        assert_eq!(record.value, if keys_only { &b""[..] } else { b"value" });
    }
}

#[test]
fn a_prefix_is_a_range() {
    let store = filled(&[b"a", b"a\xff", b"a\xff\xff", b"b"]);
    let prefix = |prefix: &[u8]| {
        let query = RangeQuery { start: prefix.to_vec(), end: prefix_end(prefix), ..RangeQuery::default() };
        page(&store, &query).0.len()
    };
    assert_eq!((prefix(b""), prefix(b"a"), prefix(b"a\xff"), prefix(b"b\xff")), (4, 3, 2, 0));
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    // Around the length where keys leave the nodes of the map.
    prop_oneof![
        3 => prop::collection::vec(0u8..4, 1..4),
        1 => prop::collection::vec(0u8..2, 28..34),
    ]
}

proptest! {
    #[test]
    fn ranges_are_those_of_a_plain_map(
        keys in prop::collection::vec(key(), 0..200),
        start in prop_oneof![Just(vec![]), key()],
        end in prop_oneof![Just(vec![]), key()],
        after in prop_oneof![Just(vec![]), key()],
        limit in 0u32..50,
    ) {
        let keys: Vec<_> = keys.iter().map(Vec::as_slice).collect();
        let store = filled(&keys);
        let plain: BTreeMap<_, ()> = keys.iter().map(|&key| (key, ())).collect();
        let range = KeyRange { start: &start, end: &end };
        let expected: Vec<_> =
            plain.keys().filter(|key| range.contains(key) && (after.is_empty() || **key > &after[..])).collect();
        let query = RangeQuery { start: start.clone(), end: end.clone(), after, limit, keys_only: false };
        let (found, more) = page(&store, &query);
        let count = if limit == 0 { expected.len() } else { expected.len().min(limit as usize) };
        prop_assert_eq!(more, count < expected.len());
        prop_assert!(found.iter().eq(expected[..count].iter().copied().copied()));
    }
}
