//! Every key with its value, in order of the keys' bytes.

mod key;

use std::mem;
use std::ops::Bound;

use imbl::OrdMap;
use kv_client::command::KeyRange;
use kv_client::protocol::KeyMeta;

use super::hash::HashSum;
use super::record::KeyRecord;
use key::Key;

/// The ordered map. Cloning costs O(1): two copies share their nodes until one of them changes them.
///
/// Invariant (sums): `sum` and `bytes` are those of the records in `map`, and each record is filed under its key.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    map: OrdMap<Key, KeyRecord>,
    bytes: u64,
    sum: HashSum,
}

impl Keys {
    /// The record of `key`.
    pub(super) fn get(&self, key: &[u8]) -> Option<&KeyRecord> {
        self.map.get(key)
    }

    /// The records of the keys in `range` that come after `after` (empty: all of them), ascending. None if
    /// the range ends before it starts.
    pub(super) fn range(&self, range: KeyRange<'_>, after: &[u8]) -> impl Iterator<Item = &KeyRecord> {
        let first = range.start.max(after);
        let continues = !after.is_empty() && first == after;
        let start = if continues { Bound::Excluded(first) } else { Bound::Included(first) };
        let end = if range.end.is_empty() { Bound::Unbounded } else { Bound::Excluded(range.end) };
        self.map.range::<_, [u8]>((start, end)).map(|(_, record)| record)
    }

    /// All records, ascending by key.
    pub(super) fn iter(&self) -> impl Iterator<Item = &KeyRecord> {
        self.map.values()
    }

    /// Gives `key` the concatenation of two parts for its value, at `revision`.
    pub(super) fn write(&mut self, key: &[u8], value: [&[u8]; 2], lease: u64, revision: u64) {
        let mut meta = KeyMeta { create_revision: revision, mod_revision: revision, version: 1, lease };
        if let Some(slot) = self.map.get_mut(key) {
            let old = slot.key_value().meta;
            meta.create_revision = old.create_revision;
            meta.version = old.version + 1;
            let new = KeyRecord::new(meta, key, value);
            let old = mem::replace(slot, new.clone());
            self.forget(&old);
            self.count(&new);
        } else {
            self.insert(KeyRecord::new(meta, key, value));
        }
    }

    /// Files a record whose key comes after all others; else `None`.
    pub(super) fn push(&mut self, record: KeyRecord) -> Option<()> {
        let last = self.map.get_max().map(|(key, _)| key.as_bytes());
        if last.is_some_and(|last| last >= record.key_value().key) {
            return None;
        }
        self.insert(record);
        Some(())
    }

    /// Removes `key`; whether it was there.
    pub(super) fn remove(&mut self, key: &[u8]) -> bool {
        let removed = self.map.remove(key);
        removed.inspect(|record| self.forget(record)).is_some()
    }

    /// How many.
    pub(super) fn len(&self) -> u64 {
        self.map.len() as u64
    }

    /// Bytes of all keys and values.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The sum over all records.
    pub(super) const fn sum(&self) -> HashSum {
        self.sum
    }

    /// Files the record of a key that is not there yet.
    fn insert(&mut self, record: KeyRecord) {
        self.count(&record);
        self.map.insert(Key::new(record.key_value().key), record);
    }

    fn count(&mut self, record: &KeyRecord) {
        self.sum.add(record.as_bytes());
        self.bytes += record.payload_bytes();
    }

    fn forget(&mut self, record: &KeyRecord) {
        self.sum.remove(record.as_bytes());
        self.bytes -= record.payload_bytes();
    }
}
