//! What is going to happen, by time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::testing::cluster::Sent;
use crate::time::Time;

/// Something that will happen; small, because the heap moves it about. What belongs to a process carries its
/// incarnation: it is void for a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happening {
    Deliver { parcel: u32 },
    Timer { node: u8, incarnation: u32 },
    Sync { node: u8, incarnation: u32, writes: u32 },
    AnswerReads { node: u8, incarnation: u32 },
    Snapshot { node: u8, incarnation: u32 },
    Restore { node: u8, incarnation: u32 },
    Transfer { from: u8, to: u8 },
    Unreachable { node: u8, peer: u8 },
    Initialize,
    Client { client: u16 },
    Impatient { client: u16, attempt: u32 },
    Onset { fault: u8 },
    Restart { node: u8, incarnation: u32 },
    Resume { node: u8, incarnation: u32 },
    DiskRoom { node: u8, incarnation: u32 },
    Join,
    AskForChange,
    Reconnect { partition: u32 },
}

#[derive(Clone, Copy, Debug)]
struct Scheduled {
    at: Time,
    number: u64,
    what: Happening,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// Happenings ordered by time, then by when they were scheduled.
#[derive(Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
}

impl Queue {
    pub(super) fn push(&mut self, at: Time, what: Happening) {
        self.scheduled += 1;
        self.heap.push(Reverse(Scheduled { at, number: self.scheduled, what }));
    }

    pub(super) fn pop(&mut self) -> Option<(Time, Happening)> {
        self.heap.pop().map(|Reverse(next)| (next.at, next.what))
    }

    /// Drops what `keep` does not keep.
    pub(super) fn retain(&mut self, keep: impl Fn(Happening) -> bool) {
        self.heap.retain(|Reverse(next)| keep(next.what));
    }
}

/// Messages on their way, by number; numbers are used again.
#[derive(Default)]
pub(super) struct Parcels {
    slots: Vec<Option<Sent>>,
    free: Vec<u32>,
}

impl Parcels {
    pub(super) fn put(&mut self, parcel: Sent) -> u32 {
        if let Some(number) = self.free.pop() {
            self.slots[number as usize] = Some(parcel);
            return number;
        }
        self.slots.push(Some(parcel));
        u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 messages are on their way")
    }

    pub(super) fn take(&mut self, number: u32) -> Option<Sent> {
        let parcel = self.slots.get_mut(number as usize)?.take();
        if parcel.is_some() {
            self.free.push(number);
        }
        parcel
    }
}
