//! What the server puts in front of a command: who asked, and when.
//!
//! ```text
//! version u8 = 1 | flags u8 = 0 | session u64 | sequence u64 | lowest unacknowledged u64 | cluster time u64 (µs)
//! ```
//! All numbers little-endian. Without a session all three numbers of the tag are 0. Every bit of the flags is
//! free.

use serde::{Deserialize, Serialize};

use super::{CommandError, Field, SESSION_WINDOW};
use crate::layout::Reader;

/// Length of an encoded envelope.
pub const ENVELOPE_BYTES: usize = 34;

const VERSION: u8 = 1;

/// Names one request of a session, so that it is applied at most once however often it is sent. `[Ongaro §6.3]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionTag {
    /// Index of the entry that opened the session; never 0.
    pub session: u64,
    /// The request's number, counted up by the client.
    pub sequence: u64,
    /// The lowest number whose reply the client still waits for: replies below it may be forgotten, requests
    /// below it are never applied.
    pub lowest_unacknowledged: u64,
}

impl SessionTag {
    /// Checks that the session is not 0 and the sequence lies in the window of [`SESSION_WINDOW`] numbers from
    /// `lowest_unacknowledged` on. Hence a session never keeps more replies than that.
    ///
    /// # Errors
    /// [`CommandError::SessionTag`]: refuse the request. A client waits for its oldest replies before it goes on.
    pub const fn check(self) -> Result<Self, CommandError> {
        let Self { session, sequence, lowest_unacknowledged } = self;
        let ahead = sequence.checked_sub(lowest_unacknowledged);
        match ahead {
            Some(0..SESSION_WINDOW) if session != 0 => Ok(self),
            _ => Err(CommandError::SessionTag { session, sequence, lowest_unacknowledged }),
        }
    }
}

/// The part of an entry before its command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Which request of which session; `None`: outside any session, applied as often as it is in the log.
    pub tag: Option<SessionTag>,
    /// Cluster time when the leader proposed the entry, in microseconds. Apply never lets the time go back.
    pub cluster_time_micros: u64,
}

impl Envelope {
    /// The layout.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; ENVELOPE_BYTES] {
        let tag = self.tag.map_or([0; 3], |tag| [tag.session, tag.sequence, tag.lowest_unacknowledged]);
        let mut bytes = [0; ENVELOPE_BYTES];
        bytes[0] = VERSION;
        let numbers = tag.into_iter().chain([self.cluster_time_micros]);
        for (out, number) in bytes[2..].chunks_exact_mut(8).zip(numbers) {
            out.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// Splits an entry's payload into its envelope and its command.
    ///
    /// # Errors
    /// [`CommandError::Newer`] if a newer program may understand the bytes; else they are no envelope at all.
    pub fn split(entry: &[u8]) -> Result<(Self, &[u8]), CommandError> {
        let mut reader = Reader::new(entry);
        let truncated = CommandError::Truncated { field: Field::Envelope };
        match reader.u8() {
            Some(VERSION) => {}
            Some(found) => return Err(CommandError::Newer { field: Field::EnvelopeVersion, found }),
            None => return Err(truncated),
        }
        match reader.u8() {
            Some(0) => {}
            Some(found) => return Err(CommandError::Newer { field: Field::EnvelopeFlags, found }),
            None => return Err(truncated),
        }
        let mut number = || reader.u64().ok_or_else(|| truncated.clone());
        let (session, sequence, lowest_unacknowledged) = (number()?, number()?, number()?);
        let cluster_time_micros = number()?;
        let tag = match (session, sequence, lowest_unacknowledged) {
            (0, 0, 0) => None,
            _ => Some(SessionTag { session, sequence, lowest_unacknowledged }.check()?),
        };
        Ok((Self { tag, cluster_time_micros }, reader.rest()))
    }
}
