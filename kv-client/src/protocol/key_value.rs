//! A key with its value and numbers, as it stands in the pages of a range and in the records of a snapshot.
//!
//! ```text
//! create_revision u64 | mod_revision u64 | version u64 | lease u64 |
//! key length u16 | value length u32 | key | value
//! ```
//! All numbers little-endian. The layout outlives the code in snapshots: it never changes.

use std::iter::FusedIterator;

use serde::{Deserialize, Serialize};

use crate::layout::Reader;

const HEAD_BYTES: usize = 38;

/// The numbers that the store keeps with each key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyMeta {
    /// Revision of the command that created the key.
    pub create_revision: u64,
    /// Revision of the command that last changed it.
    pub mod_revision: u64,
    /// How many commands have changed it since it was created, that one included.
    pub version: u64,
    /// The lease it lives by; 0 for none.
    pub lease: u64,
}

impl KeyMeta {
    /// The fixed part of the layout, in front of a key and a value of these lengths in bytes.
    ///
    /// # Panics
    /// If the key has 64 KiB or the value 4 GiB; limits lie far below.
    #[must_use]
    pub fn layout_head(&self, key_bytes: usize, value_bytes: usize) -> [u8; HEAD_BYTES] {
        let mut head = [0; HEAD_BYTES];
        let numbers = [self.create_revision, self.mod_revision, self.version, self.lease];
        for (out, number) in head.chunks_exact_mut(8).zip(numbers) {
            out.copy_from_slice(&number.to_le_bytes());
        }
        let key_bytes = u16::try_from(key_bytes).expect("a key is within its limit");
        let value_bytes = u32::try_from(value_bytes).expect("a value is within its limit");
        head[32..34].copy_from_slice(&key_bytes.to_le_bytes());
        head[34..].copy_from_slice(&value_bytes.to_le_bytes());
        head
    }
}

/// A key, its numbers and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyValue<'a> {
    /// Its numbers.
    pub meta: KeyMeta,
    /// The key.
    pub key: &'a [u8],
    /// The value; empty where only keys were asked for.
    pub value: &'a [u8],
}

impl<'a> KeyValue<'a> {
    /// Length of the fixed part of the layout.
    pub const HEAD_BYTES: usize = HEAD_BYTES;

    /// Length of the layout.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        HEAD_BYTES + self.key.len() + self.value.len()
    }

    /// Appends the layout to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.meta.layout_head(self.key.len(), self.value.len()));
        out.extend_from_slice(self.key);
        out.extend_from_slice(self.value);
    }

    /// Reads one record; `None` if the bytes end inside it.
    pub fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let meta = KeyMeta {
            create_revision: reader.u64()?,
            mod_revision: reader.u64()?,
            version: reader.u64()?,
            lease: reader.u64()?,
        };
        let (key_length, value_length) = (reader.u16()?, reader.u32()?);
        let key = reader.bytes(usize::from(key_length))?;
        let value = reader.bytes(usize::try_from(value_length).ok()?)?;
        Some(Self { meta, key, value })
    }
}

/// The tail of a page ends inside a record: the other side speaks another protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("page: {left} bytes at its end are no whole record")]
pub struct PageError {
    /// Bytes that are left.
    pub left: usize,
}

/// The records in the tail of a page, in order; ends after the first error.
#[derive(Clone, Debug)]
pub struct KeyValues<'a>(Reader<'a>);

impl<'a> KeyValues<'a> {
    /// The records in `tail`.
    #[must_use]
    pub const fn new(tail: &'a [u8]) -> Self {
        Self(Reader::new(tail))
    }
}

impl<'a> Iterator for KeyValues<'a> {
    type Item = Result<KeyValue<'a>, PageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let left = self.0.rest().len();
        if left == 0 {
            return None;
        }
        Some(KeyValue::read(&mut self.0).ok_or_else(|| {
            self.0 = Reader::new(&[]);
            PageError { left }
        }))
    }
}

impl FusedIterator for KeyValues<'_> {}
