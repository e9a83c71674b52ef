//! Walking a range.

use std::vec;

use crate::command::prefix_end;
use crate::error::Error;
use crate::protocol::RangeQuery;
use crate::store::{KvStore, Page, ReadOptions, Record};

/// Walks the keys of a range, ascending, a page at a time.
///
/// Each page shows the store as it was when that page was read, a later page never an earlier state than the one
/// before it. A key that is there all the time is seen once; one that comes or goes meanwhile may be seen or not.
pub struct Scan<'a> {
    store: &'a dyn KvStore,
    query: RangeQuery,
    options: ReadOptions,
    more: bool,
    records: vec::IntoIter<Record>,
}

impl<'a> Scan<'a> {
    /// The keys of `query`; its limit bounds the pages, not the walk.
    #[must_use]
    pub fn new(store: &'a dyn KvStore, query: RangeQuery, options: ReadOptions) -> Self {
        Self { store, query, options, more: true, records: Vec::new().into_iter() }
    }

    /// The keys that begin with `prefix`; empty: all keys.
    #[must_use]
    pub fn prefix(store: &'a dyn KvStore, prefix: &[u8], options: ReadOptions) -> Self {
        let query = RangeQuery { start: prefix.to_vec(), end: prefix_end(prefix), ..RangeQuery::default() };
        Self::new(store, query, options)
    }

    /// The next key; `None` after the last one.
    ///
    /// # Errors
    /// As [`KvStore::range`]; calling again asks for the same page again.
    pub async fn next(&mut self) -> Result<Option<Record>, Error> {
        loop {
            if let Some(record) = self.records.next() {
                return Ok(Some(record));
            }
            match self.next_page().await? {
                Some(page) => self.records = page.records.into_iter(),
                None => return Ok(None),
            }
        }
    }

    /// The next page; `None` after the last one. Keys of a page that [`next`](Self::next) has begun are left out.
    ///
    /// # Errors
    /// As [`KvStore::range`]; calling again asks for the same page again.
    pub async fn next_page(&mut self) -> Result<Option<Page>, Error> {
        if !self.more {
            return Ok(None);
        }
        let response = self.store.range(self.query.clone(), self.options).await?;
        let page = response.value;
        self.options.min_revision = self.options.min_revision.max(response.revision);
        self.more = page.more;
        if let Some(last) = page.records.last() {
            self.query.after = last.key.to_vec();
        }
        Ok(Some(page))
    }
}
