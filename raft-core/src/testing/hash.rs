//! A quick rolling hash for traces and fingerprints: equal on every machine and in every run, no protection against
//! anybody.

/// Multiplies and rotates; see the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceHash(u64);

impl TraceHash {
    /// Takes in one number.
    pub const fn add(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(26) ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    /// The hash of all numbers so far.
    #[must_use]
    pub const fn value(self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        mixed ^ (mixed >> 32)
    }
}
