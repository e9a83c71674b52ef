//! What is found again and again gets a number: local states of nodes, messages, histories.
//!
//! A cluster of three nodes has hundreds of millions of states, but each node alone has some thousands. So a state of the
//! cluster is a handful of numbers, and what a node does about an event is worked out once.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map whose keys are well mixed or small.
pub(super) type Table<K, V> = HashMap<K, V, BuildHasherDefault<Fold>>;

/// A hasher for short keys: one multiplication a word.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_u64(&mut self, value: u64) {
        let product = u128::from(self.0.rotate_left(29) ^ value) * 0x9E37_79B9_7F4A_7C15;
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}

/// Values by number, each kept once, with its fingerprint under every renaming of the nodes.
pub(super) struct Interned<T> {
    values: Vec<T>,
    /// So many for each value, the one under the true names first.
    prints: Vec<u128>,
    renamings: usize,
    numbers: Table<u128, u32>,
}

impl<T> Interned<T> {
    pub(super) fn new(renamings: usize) -> Self {
        Self { values: Vec::new(), prints: Vec::new(), renamings, numbers: Table::default() }
    }

    /// The number of `value`. Of two values with one fingerprint the first is kept.
    pub(super) fn number(&mut self, value: T, print: impl Fn(&T, usize) -> u128) -> u32 {
        let own = print(&value, 0);
        if let Some(&number) = self.numbers.get(&own) {
            return number;
        }
        let number = u32::try_from(self.values.len()).expect("the memory ends before the numbers");
        self.prints.push(own);
        self.prints.extend((1..self.renamings).map(|renaming| print(&value, renaming)));
        self.numbers.insert(own, number);
        self.values.push(value);
        number
    }

    pub(super) fn get(&self, number: u32) -> &T {
        &self.values[number as usize]
    }

    /// The fingerprint under a renaming.
    pub(super) fn print(&self, number: u32, renaming: usize) -> u128 {
        self.prints[number as usize * self.renamings + renaming]
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}
