//! Commands as they stand in the log.
//!
//! The client encodes a command once. The server checks it ([`Command::validate`]), puts an [`Envelope`] in
//! front and proposes the two; the same bytes then go to disk, to peers and to apply, never encoded again.
//!
//! ```text
//! entry          envelope (34 bytes, see `Envelope`) | command
//! command        version u8 = 1 | kind u8 | body
//!   1 put              lease u64 | expect | key | value
//!   2 delete           expect | key
//!   3 delete range     limit u32 | start | end
//!   4 append           key | value
//!   5 increment        delta i64 | key
//!   6 compare and swap expected | key | value
//!   7 open session     (empty)
//!   8 close session    session u64
//! key, start, end      length u16 | bytes
//! value                length u32 | bytes
//! expect               0 (anything) or 1 (absent) or 2 | mod_revision u64
//! expected             0 (absent) or 1 | value
//! ```
//! All numbers are little-endian. The layout is append-only: what stands here keeps its meaning for ever. Kinds
//! from 9 on are free for transactions, leases and expiry, further tags of `expect` for further conditions;
//! watches are reads and need no command.
//!
//! Invariant (structure apart from limits): [`Command::parse`] looks at the structure alone. Limits on what a
//! client may send are checked where a command is made and where it enters the server, never by apply, so that a
//! later version can change one without two versions applying the same entry differently. What apply itself
//! decides by (the session window, the longest value that appending makes, the number of sessions) changes only
//! together with the cluster version.

mod codec;
mod envelope;
mod error;
mod outcome;
#[cfg(test)]
mod tests;

pub use envelope::{ENVELOPE_BYTES, Envelope, SessionTag};
pub use error::{CommandError, Field};
pub use outcome::Outcome;

/// Longest key in bytes; the shortest has one.
pub const MAX_KEY_BYTES: usize = 4096;

/// Longest value in bytes, also of one that grew by appending.
pub const MAX_VALUE_BYTES: usize = 1 << 20;

/// Most keys that one [`Command::DeleteRange`] deletes, so that applying one entry never takes long.
pub const MAX_DELETE_RANGE: u32 = 4096;

/// Longest command in bytes: a compare-and-swap of two longest values, and room for its fixed fields.
pub const MAX_COMMAND_BYTES: usize = 2 * MAX_VALUE_BYTES + MAX_KEY_BYTES + 64;

/// How far a request's sequence may lie above the lowest unacknowledged one of its session (end exclusive): the
/// most requests of one session in flight, and the most replies that the store keeps for it.
pub const SESSION_WINDOW: u64 = 1024;

/// A change to the store, borrowing its keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Sets a key.
    Put {
        /// The key.
        key: &'a [u8],
        /// Its new value.
        value: &'a [u8],
        /// The lease that the key lives by; 0 for none.
        lease: u64,
        /// What must hold for the command to do anything.
        expect: Expect,
    },
    /// Deletes a key.
    Delete {
        /// The key.
        key: &'a [u8],
        /// What must hold for the command to do anything.
        expect: Expect,
    },
    /// Deletes the first keys of a range.
    DeleteRange {
        /// Which keys.
        range: KeyRange<'a>,
        /// How many at most, 1 to [`MAX_DELETE_RANGE`]. The outcome says whether more are left.
        limit: u32,
    },
    /// Adds bytes to the end of a value; an absent key counts as empty. The key keeps its lease.
    Append {
        /// The key.
        key: &'a [u8],
        /// What to add.
        value: &'a [u8],
    },
    /// Adds to a value that is the decimal text of an `i64`; an absent key counts as 0. The key keeps its lease.
    Increment {
        /// The key.
        key: &'a [u8],
        /// What to add.
        delta: i64,
    },
    /// Sets a key if it has the expected value. The key keeps its lease.
    CompareAndSwap {
        /// The key.
        key: &'a [u8],
        /// The value it must have; `None`: it must be absent.
        expected: Option<&'a [u8]>,
        /// Its new value.
        value: &'a [u8],
    },
    /// Opens a session; its id is the index of this entry. `[Ongaro §6.3]`
    OpenSession,
    /// Closes a session and forgets its replies.
    CloseSession {
        /// Its id.
        session: u64,
    },
}

/// A condition on a key's present state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expect {
    /// None.
    #[default]
    Anything,
    /// The key does not exist.
    Absent,
    /// The key's `mod_revision` is this one.
    ModRevision(u64),
}

/// The keys from `start` on, up to `end` (exclusive).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyRange<'a> {
    /// First key; empty: from the first of all.
    pub start: &'a [u8],
    /// Where the range ends (exclusive); empty: after the last of all.
    pub end: &'a [u8],
}

impl KeyRange<'_> {
    /// Whether `key` lies in the range.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start <= key && (self.end.is_empty() || key < self.end)
    }
}

/// The `end` of the range of all keys that begin with `prefix` (its start): the prefix with its last byte
/// counted up, without trailing `0xff`. Empty, hence "after the last of all", if nothing is left.
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let kept = prefix.iter().rposition(|&byte| byte != u8::MAX).map_or(0, |at| at + 1);
    let mut end = prefix[..kept].to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}
