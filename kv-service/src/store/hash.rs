//! The sum of hashes that stands for a set of records, whatever the order they came in.

use std::ops::Add;

use xxhash_rust::xxh3::xxh3_128;

/// The sum, modulo 2¹²⁸, of the XXH3-128 of each record in a set.
///
/// Adding and removing cost one hash of the record. Made to show bugs and rot, not to withstand somebody who
/// looks for collisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HashSum(u128);

impl HashSum {
    /// The sum of one record.
    pub(super) fn of(record: &[u8]) -> Self {
        Self(xxh3_128(record))
    }

    /// Adds a record to the set.
    pub(super) fn add(&mut self, record: &[u8]) {
        self.0 = self.0.wrapping_add(xxh3_128(record));
    }

    /// Removes a record that is in the set.
    pub(super) fn remove(&mut self, record: &[u8]) {
        self.0 = self.0.wrapping_sub(xxh3_128(record));
    }

    /// The sum as a number.
    pub(super) const fn get(self) -> u128 {
        self.0
    }
}

impl Add for HashSum {
    type Output = Self;

    /// The sum of two sets that share no record.
    fn add(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }
}
