//! How a state becomes one number: a small hash that is the same on every machine and in every run, and the meaning that it
//! gives to times and names.
//!
//! Every part of [`Raft`](crate::Raft) mixes itself in, in the file that owns it, by a pattern that names all of its fields:
//! a new field does not compile before somebody has said whether it matters.
//!
//! Invariant (no-clock): a time counts only for what it means at this moment: past or not, fresh or not.
//! Invariant (no-counter): ids that only this process knows (of writes, of reads of the log) count by their distance from
//! the newest one.

use std::time::Duration;

use crate::time::Time;
use crate::types::{EntryId, HardState, LogIndex, NodeId, Term};

/// What stands for a name. State exploration looks at a state as if its nodes had other ids: where only ids differ, nothing
/// does.
pub(crate) trait Naming {
    /// What stands for the node.
    fn node(&self, id: NodeId) -> u64 {
        id.get()
    }

    /// What stands for the name of a follower's request for reads.
    fn request(&self, request: u64) -> u64 {
        request
    }
}

/// Every name stands for itself.
pub(crate) struct AsNamed;

impl Naming for AsNamed {}

/// The moment that gives times their meaning.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) now: Time,
    pub(crate) election_timeout: Duration,
    /// How long a lease lasts.
    pub(crate) lease: Duration,
}

impl Moment {
    /// Whether `at` has come.
    pub(crate) fn is_past(&self, at: Time) -> bool {
        self.now >= at
    }

    /// Whether `at` is less than an election timeout ago.
    pub(crate) fn is_recent(&self, at: Time) -> bool {
        self.now < at + self.election_timeout
    }
}

/// Takes in numbers, in order, and makes one of them. No protection against anybody: for chance collisions only.
#[derive(Clone)]
pub(crate) struct Mixer<'a> {
    lanes: [u64; 2],
    naming: &'a dyn Naming,
}

impl<'a> Mixer<'a> {
    pub(crate) const fn new(naming: &'a dyn Naming) -> Self {
        Self { lanes: [0x243F_6A88_85A3_08D3, 0x1319_8A2E_0370_7344], naming }
    }

    /// Takes in a number. Two lanes of one multiplication each, folded, with different odd factors.
    pub(crate) const fn add(&mut self, value: u64) {
        const FACTORS: [u64; 2] = [0x9E37_79B9_7F4A_7C15, 0xD1B5_4A32_D192_ED03];
        let [first, second] = self.lanes;
        self.lanes = [
            folded(first.rotate_left(23) ^ value, FACTORS[0]) ^ first,
            folded(second.rotate_left(41) ^ value ^ FACTORS[0], FACTORS[1]) ^ second,
        ];
    }

    pub(crate) fn flag(&mut self, flag: bool) {
        self.add(u64::from(flag));
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.add(count as u64);
    }

    pub(crate) fn index(&mut self, index: LogIndex) {
        self.add(index.0);
    }

    pub(crate) fn term(&mut self, term: Term) {
        self.add(term.0);
    }

    pub(crate) fn entry(&mut self, id: EntryId) {
        self.term(id.term);
        self.index(id.index);
    }

    pub(crate) fn node(&mut self, id: NodeId) {
        self.add(self.naming.node(id));
    }

    pub(crate) fn request(&mut self, request: u64) {
        self.add(self.naming.request(request));
    }

    pub(crate) fn hard_state(&mut self, hard_state: HardState) {
        let HardState { cluster_id, current_term, voted_for } = hard_state;
        let cluster = cluster_id.map_or(0, |cluster_id| cluster_id.0);
        self.flag(cluster_id.is_some());
        self.add(cluster as u64);
        self.add((cluster >> 64) as u64);
        self.term(current_term);
        self.option(voted_for, Self::node);
    }

    /// What may be absent.
    pub(crate) fn option<T>(&mut self, value: Option<T>, mix: impl FnOnce(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            mix(self, value);
        }
    }

    /// What has an order.
    pub(crate) fn list<T>(&mut self, values: impl IntoIterator<Item = T>, mut mix: impl FnMut(&mut Self, T)) {
        let mut count = 0;
        for value in values {
            mix(self, value);
            count += 1;
        }
        self.add(count);
    }

    /// What has none, or only the one that names give it.
    pub(crate) fn set<T>(&mut self, values: impl IntoIterator<Item = T>, mut mix: impl FnMut(&mut Self, T)) {
        let (mut count, mut sum) = (0, 0u128);
        for value in values {
            let mut one = Self::new(self.naming);
            mix(&mut one, value);
            sum = sum.wrapping_add(one.finish());
            count += 1;
        }
        self.add(count);
        self.add(sum as u64);
        self.add((sum >> 64) as u64);
    }

    pub(crate) fn finish(mut self) -> u128 {
        self.add(0);
        self.add(1);
        let [first, second] = self.lanes;
        (u128::from(first) << 64) | u128::from(second)
    }
}

/// The product's halves, one upon the other: every bit of the result hangs on every bit of `value`.
const fn folded(value: u64, factor: u64) -> u64 {
    let product = (value as u128) * (factor as u128);
    (product as u64) ^ ((product >> 64) as u64)
}
