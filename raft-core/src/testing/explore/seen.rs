//! The states that were met: 64 bits of each one's fingerprint in an open-addressed table.
//!
//! Among n states a chance collision, which would hide one of them, is expected n² / 2⁶⁵ times: once in 3,700 runs of
//! a hundred million.

/// See the module.
pub(super) struct Seen {
    /// 0 is free.
    slots: Vec<u64>,
    len: usize,
}

impl Seen {
    pub(super) fn new() -> Self {
        Self { slots: vec![0; 1 << 16], len: 0 }
    }

    /// Whether `key` is new.
    pub(super) fn insert(&mut self, key: u64) -> bool {
        if self.len * 4 >= self.slots.len() * 3 {
            self.grow();
        }
        // The one key that means "free" shares the place of another.
        let is_new = put(&mut self.slots, key.max(1));
        self.len += usize::from(is_new);
        is_new
    }

    fn grow(&mut self) {
        let wider = vec![0; self.slots.len() * 2];
        for print in std::mem::replace(&mut self.slots, wider) {
            if print > 0 {
                put(&mut self.slots, print);
            }
        }
    }
}

fn put(slots: &mut [u64], key: u64) -> bool {
    let mask = slots.len() - 1;
    let mut at = key as usize & mask;
    loop {
        match slots[at] {
            0 => {
                slots[at] = key;
                return true;
            }
            found if found == key => return false,
            _ => at = (at + 1) & mask,
        }
    }
}
