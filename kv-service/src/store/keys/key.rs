//! Keys of the ordered map.
//!
//! A search compares some twenty keys, and one behind a pointer is a cache miss. Keys of up to 30 bytes
//! therefore stand in the nodes themselves: over a million keys, a lookup then takes about half the time.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

const INLINE_BYTES: usize = 30;

/// A key, cheap to clone, ordered by its bytes.
#[derive(Clone)]
pub(in crate::store) enum Key {
    /// Its length, then its bytes and zeros.
    Short(u8, [u8; INLINE_BYTES]),
    /// A longer one.
    Long(Arc<[u8]>),
}

impl Key {
    pub(in crate::store) fn new(key: &[u8]) -> Self {
        match u8::try_from(key.len()) {
            Ok(length) if key.len() <= INLINE_BYTES => {
                let mut bytes = [0; INLINE_BYTES];
                bytes[..key.len()].copy_from_slice(key);
                Self::Short(length, bytes)
            }
            _ => Self::Long(Arc::from(key)),
        }
    }

    pub(in crate::store) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short(length, bytes) => &bytes[..usize::from(*length)],
            Self::Long(bytes) => bytes,
        }
    }
}

// Equality and order are those of the bytes, as `Borrow` demands.

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_bytes().escape_ascii())
    }
}
