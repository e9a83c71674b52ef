//! The records that the state consists of, as they stand in snapshots and enter the state hash.
//!
//! ```text
//! record       kind u8 | version u8 = 1 | body length u32 | body
//!   1 header   applied index u64 | revision u64 | cluster time u64 (µs)
//!   2 key      a key with its value (kv_client::protocol::KeyValue)
//!   3 session  id u64 | lowest unacknowledged u64 | last active u64 (cluster time, µs)
//!   4 reply    session u64 | sequence u64 | revision u64 | outcome (kv_client::command::Outcome)
//! 255 end      keys u64 | sessions u64 | replies u64 | state hash u128
//! ```
//! All numbers little-endian. Kinds and versions are append-only: a history of old versions, leases and what
//! else may come are further kinds.

use std::iter;
use std::sync::Arc;

use kv_client::layout::Reader;
use kv_client::protocol::{KeyMeta, KeyValue};
use raft_core::types::LogIndex;
use smallvec::SmallVec;

use super::Applied;

pub(super) const HEADER: u8 = 1;
pub(super) const KEY: u8 = 2;
pub(super) const SESSION: u8 = 3;
pub(super) const REPLY: u8 = 4;
pub(super) const END: u8 = 255;

/// The one version of each kind there is.
pub(super) const VERSION: u8 = 1;

/// Length of kind, version and body length.
pub(super) const HEAD_BYTES: usize = 6;

/// A record of a few numbers.
pub(super) type SmallRecord = SmallVec<[u8; 64]>;

fn head(kind: u8, body_bytes: usize) -> [u8; HEAD_BYTES] {
    let [a, b, c, d] = u32::try_from(body_bytes).expect("a record is far below 4 GiB").to_le_bytes();
    [kind, VERSION, a, b, c, d]
}

fn small(kind: u8, body: &[&[u8]]) -> SmallRecord {
    let mut record = SmallRecord::from_slice(&head(kind, body.iter().map(|part| part.len()).sum()));
    body.iter().for_each(|part| record.extend_from_slice(part));
    record
}

fn numbers(kind: u8, body: [u64; 3]) -> SmallRecord {
    let [a, b, c] = body.map(u64::to_le_bytes);
    small(kind, &[&a, &b, &c])
}

/// The header record.
pub(super) fn header(applied: LogIndex, revision: u64, cluster_time: u64) -> SmallRecord {
    numbers(HEADER, [applied.0, revision, cluster_time])
}

/// A session's record, without its replies.
pub(super) fn session(id: u64, lowest: u64, last_active: u64) -> SmallRecord {
    numbers(SESSION, [id, lowest, last_active])
}

/// The record of a reply that a session keeps.
pub(super) fn reply(session: u64, sequence: u64, applied: &Applied) -> SmallRecord {
    let [session, sequence, revision] = [session, sequence, applied.revision].map(u64::to_le_bytes);
    small(REPLY, &[&session, &sequence, &revision, &applied.outcome.to_bytes()])
}

/// The end record.
pub(super) fn end(counts: [u64; 3], hash: u128) -> SmallRecord {
    let [keys, sessions, replies] = counts.map(u64::to_le_bytes);
    small(END, &[&keys, &sessions, &replies, &hash.to_le_bytes()])
}

/// A key with its value in memory: the very bytes of its record, shared by the store, its frozen copies and
/// replies.
///
/// Invariant (whole record): the bytes are one record of kind [`KEY`]; [`KeyRecord::new`] and
/// [`KeyRecord::from_body`] are the gateways.
#[derive(Clone, Debug)]
pub(super) struct KeyRecord(Arc<[u8]>);

impl KeyRecord {
    /// The record of `key` whose value is the concatenation of two parts.
    pub(super) fn new(meta: KeyMeta, key: &[u8], value: [&[u8]; 2]) -> Self {
        let fixed = meta.layout_head(key.len(), value[0].len() + value[1].len());
        Self::concatenate(&[&fixed, key, value[0], value[1]])
    }

    /// The record with this body; `None` if the body is not a key with its value.
    pub(super) fn from_body(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        KeyValue::read(&mut reader)?;
        reader.rest().is_empty().then(|| Self::concatenate(&[body]))
    }

    fn concatenate(body: &[&[u8]]) -> Self {
        let body_bytes = body.iter().map(|part| part.len()).sum();
        let head = head(KEY, body_bytes);
        let mut bytes: Arc<[u8]> = iter::repeat_n(0, HEAD_BYTES + body_bytes).collect();
        let mut rest = Arc::get_mut(&mut bytes).expect("nobody else knows it yet");
        for part in iter::once(&&head[..]).chain(body) {
            let (start, end) = rest.split_at_mut(part.len());
            start.copy_from_slice(part);
            rest = end;
        }
        Self(bytes)
    }

    /// What the record says.
    pub(super) fn key_value(&self) -> KeyValue<'_> {
        KeyValue::read(&mut Reader::new(&self.0[HEAD_BYTES..])).expect("checked by the gateways")
    }

    /// Bytes of its key and value.
    pub(super) fn payload_bytes(&self) -> u64 {
        let KeyValue { key, value, .. } = self.key_value();
        (key.len() + value.len()) as u64
    }

    /// All of its bytes.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// All of its bytes, shared.
    pub(super) fn share(&self) -> Arc<[u8]> {
        Arc::clone(&self.0)
    }
}
