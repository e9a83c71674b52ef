//! Looking things up in the applied state.

use bytes::Bytes;
use kv_client::command::KeyRange;
use kv_client::protocol::{KeyMeta, KeyValue, MAX_PAGE_BYTES, MAX_PAGE_KEYS, RangeQuery};

use super::Store;

/// A key that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its numbers.
    pub meta: KeyMeta,
    /// Its value, sharing the store's memory.
    pub value: Bytes,
}

/// A page of a range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Its records in the layout of [`KeyValue`], ascending by key.
    pub records: Vec<u8>,
    /// How many they are.
    pub count: u32,
    /// Whether the range goes on after the last of them.
    pub more: bool,
}

impl Store {
    /// Looks `key` up. O(log n); the value is not copied.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Found> {
        let record = self.state.keys.get(key)?;
        let KeyValue { meta, value, .. } = record.key_value();
        let value_bytes = value.len();
        let shared = Bytes::from_owner(record.share());
        Some(Found { meta, value: shared.slice(shared.len() - value_bytes..) })
    }

    /// One page of a range: as many keys as `query`, [`MAX_PAGE_KEYS`] and [`MAX_PAGE_BYTES`] allow, but at
    /// least one if there is one. O(log n) and the bytes of the page.
    #[must_use]
    pub fn range(&self, query: &RangeQuery) -> Page {
        let mut page = Page::default();
        let range = KeyRange { start: &query.start, end: &query.end };
        let limit = if query.limit == 0 { MAX_PAGE_KEYS } else { query.limit.min(MAX_PAGE_KEYS) };
        for record in self.state.keys.range(range, &query.after) {
            let mut record = record.key_value();
            if query.keys_only {
                record.value = &[];
            }
            let full = page.records.len() + record.encoded_len() > MAX_PAGE_BYTES;
            if page.count == limit || (full && page.count > 0) {
                page.more = true;
                break;
            }
            record.encode(&mut page.records);
            page.count += 1;
        }
        page
    }
}
