//! What can be wrong with a command or its envelope.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A part of a command or envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Field {
    /// Layout version of the envelope.
    EnvelopeVersion,
    /// Flags of the envelope.
    EnvelopeFlags,
    /// The rest of the envelope.
    Envelope,
    /// Layout version of the command.
    Version,
    /// What the command does.
    Kind,
    /// Condition on the key.
    Expect,
    /// Value that must be there.
    Expected,
    /// Key.
    Key,
    /// Value to write or to append.
    Value,
    /// Lease of the key.
    Lease,
    /// Number to add.
    Delta,
    /// First key of a range.
    Start,
    /// End of a range.
    End,
    /// Number of keys.
    Limit,
    /// Session to close.
    Session,
    /// Key to continue after.
    After,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EnvelopeVersion => "envelope version",
            Self::EnvelopeFlags => "envelope flags",
            Self::Envelope => "envelope",
            Self::Version => "version",
            Self::Kind => "kind",
            Self::Expect => "condition",
            Self::Expected => "expected value",
            Self::Key => "key",
            Self::Value => "value",
            Self::Lease => "lease",
            Self::Delta => "delta",
            Self::Start => "range start",
            Self::End => "range end",
            Self::Limit => "limit",
            Self::Session => "session",
            Self::After => "key to continue after",
        })
    }
}

/// Bytes that are no command, or a command that may not be proposed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CommandError {
    /// A version, kind, tag or flag that this program does not know. A server refuses the request; apply stops the
    /// node, for it cannot follow the others.
    #[error("{field} {found} is unknown (made by a newer program; upgrade this one)")]
    Newer {
        /// Which part.
        field: Field,
        /// What it is.
        found: u8,
    },
    /// The bytes end inside a field.
    #[error("command ends inside its {field}")]
    Truncated {
        /// The field.
        field: Field,
    },
    /// Bytes are left after the last field.
    #[error("command: {found} bytes after its end (expected none)")]
    TrailingBytes {
        /// How many.
        found: u64,
    },
    /// A session tag that no client may send.
    #[error(
        "session {session}: sequence {sequence} with lowest unacknowledged {lowest_unacknowledged} \
         (expected a session other than 0, and fewer than {} sequences from the lowest on)",
        super::SESSION_WINDOW
    )]
    SessionTag {
        /// The session.
        session: u64,
        /// The request's number.
        sequence: u64,
        /// The lowest number whose reply the client still waits for.
        lowest_unacknowledged: u64,
    },
    /// A length or number outside its limits. Never from [`parse`](super::Command::parse).
    #[error("{field} is {found}{unit} (expected {least} to {most})", unit = unit(*field))]
    Limit {
        /// What is outside.
        field: Field,
        /// Its length in bytes, or the number itself.
        found: u64,
        /// The least allowed.
        least: u64,
        /// The most allowed.
        most: u64,
    },
}

impl CommandError {
    /// Whether a newer program may read the same bytes as a proper command.
    #[must_use]
    pub const fn is_newer(&self) -> bool {
        matches!(self, Self::Newer { .. })
    }
}

const fn unit(field: Field) -> &'static str {
    if matches!(field, Field::Limit) { "" } else { " bytes" }
}
