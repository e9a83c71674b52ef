//! What a command came to: a function of the log alone, hence the same on every node.
//!
//! The store keeps the outcomes of a session's requests, so they have a layout, part of the snapshot format:
//!
//! ```text
//! code u8 | first u64 | second u64
//! ```
//! Little-endian; the codes stand beside the variants and are append-only; a number that a variant lacks is 0.

use serde::{Deserialize, Serialize};

use crate::layout::Reader;

/// What applying a command came to.
///
/// The store remembers it for the command's session, so that the same request sent again gets the same outcome;
/// all but [`SessionUnknown`](Self::SessionUnknown), [`SequenceStale`](Self::SequenceStale) and
/// [`Malformed`](Self::Malformed), which turn a request away before it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Outcome {
    /// 0: Done; there is nothing to tell.
    Done,
    /// 1: The keys that were there are gone.
    Deleted {
        /// How many were there.
        count: u64,
        /// Whether the range holds more, past the command's limit.
        more: bool,
    },
    /// 2: The value grew.
    Appended {
        /// Its length now, in bytes.
        length: u64,
    },
    /// 3: The number changed.
    Incremented {
        /// Its value now.
        value: i64,
    },
    /// 4: A session is open.
    SessionOpened {
        /// Its id.
        session: u64,
    },
    /// 5: The key was not as expected; nothing changed.
    ConditionFailed {
        /// The key's present `mod_revision`; 0 if it is absent.
        mod_revision: u64,
    },
    /// 6: The value is not the decimal text of an `i64`; nothing was added.
    NotANumber,
    /// 7: The sum would not fit an `i64`; nothing was added.
    Overflow,
    /// 8: The value would become too long; nothing was appended.
    ValueTooLong {
        /// The length it would have, in bytes.
        length: u64,
        /// The longest allowed.
        most: u64,
    },
    /// 9: There is no such lease; nothing changed.
    LeaseUnknown {
        /// The lease asked for.
        lease: u64,
    },
    /// 10: The session was never opened, is closed, or was idle longest when there were too many. Not applied by
    /// this entry; whether an earlier copy of the request was applied cannot be told any more.
    SessionUnknown {
        /// The session asked for.
        session: u64,
    },
    /// 11: The client has said that it no longer waits for this request. Not applied by this entry: a late copy.
    SequenceStale {
        /// The session's lowest unacknowledged sequence.
        lowest: u64,
    },
    /// 12: The entry is no command. Not applied; the program that proposed it has a bug.
    Malformed,
}

impl Outcome {
    /// Length of the layout.
    pub const BYTES: usize = 17;

    /// The layout.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let (code, first, second) = match *self {
            Self::Done => (0, 0, 0),
            Self::Deleted { count, more } => (1, count, u64::from(more)),
            Self::Appended { length } => (2, length, 0),
            Self::Incremented { value } => (3, value.cast_unsigned(), 0),
            Self::SessionOpened { session } => (4, session, 0),
            Self::ConditionFailed { mod_revision } => (5, mod_revision, 0),
            Self::NotANumber => (6, 0, 0),
            Self::Overflow => (7, 0, 0),
            Self::ValueTooLong { length, most } => (8, length, most),
            Self::LeaseUnknown { lease } => (9, lease, 0),
            Self::SessionUnknown { session } => (10, session, 0),
            Self::SequenceStale { lowest } => (11, lowest, 0),
            Self::Malformed => (12, 0, 0),
        };
        let mut bytes = [0; Self::BYTES];
        bytes[0] = code;
        bytes[1..9].copy_from_slice(&first.to_le_bytes());
        bytes[9..].copy_from_slice(&second.to_le_bytes());
        bytes
    }

    /// Reads the layout; `None` if the bytes end too early or hold no outcome that this program knows.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (code, first, second) = (reader.u8()?, reader.u64()?, reader.u64()?);
        Some(match (code, first, second) {
            (0, 0, 0) => Self::Done,
            (1, count, more @ 0..=1) => Self::Deleted { count, more: more == 1 },
            (2, length, 0) => Self::Appended { length },
            (3, value, 0) => Self::Incremented { value: value.cast_signed() },
            (4, session, 0) => Self::SessionOpened { session },
            (5, mod_revision, 0) => Self::ConditionFailed { mod_revision },
            (6, 0, 0) => Self::NotANumber,
            (7, 0, 0) => Self::Overflow,
            (8, length, most) => Self::ValueTooLong { length, most },
            (9, lease, 0) => Self::LeaseUnknown { lease },
            (10, session, 0) => Self::SessionUnknown { session },
            (11, lowest, 0) => Self::SequenceStale { lowest },
            (12, 0, 0) => Self::Malformed,
            _ => return None,
        })
    }
}
