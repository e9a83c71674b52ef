//! The state as a stream of typed, versioned records, in the one order that every node writes it in.
//!
//! ```text
//! header | keys, ascending | sessions, ascending, each followed by its replies, ascending | end
//! ```
//! The end record counts what came before it and carries the state hash; restoring checks both, so that a
//! snapshot that is restored is the state that was frozen.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};

use kv_client::command::Outcome;
use kv_client::layout::Reader;
use raft_core::snapshot::SnapshotView;
use raft_core::types::LogIndex;

use super::Applied;
use super::record::{self, KeyRecord};
use super::state::State;

/// Buffers of this size make few calls of many small records.
const BUFFER_BYTES: usize = 64 * 1024;

/// A frozen state.
pub(super) struct View(pub(super) State);

impl SnapshotView for View {
    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = &self.0;
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, out);
        out.write_all(&record::header(state.applied, state.revision, state.cluster_time))?;
        for record in state.keys.iter() {
            out.write_all(record.as_bytes())?;
        }
        let mut replies = 0;
        for (id, session) in state.sessions.iter() {
            out.write_all(&record::session(id, session.lowest, session.last_active))?;
            for (&sequence, applied) in &session.replies {
                out.write_all(&record::reply(id, sequence, applied))?;
            }
            replies += session.replies.len() as u64;
        }
        let counts = [state.keys.len(), state.sessions.len(), replies];
        out.write_all(&record::end(counts, state.hash()))?;
        out.flush()
    }
}

/// Why bytes are not a snapshot that this program can restore. The store is as before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The bytes cannot be read, or end before the end record.
    #[error("snapshot record {number}: {source}")]
    Read {
        /// Which record, counted from 0.
        number: u64,
        /// What the reader says.
        source: io::Error,
    },
    /// A kind or version of record that this program does not know.
    #[error(
        "snapshot record {number}: kind {kind} version {version} is unknown \
         (written by a newer program; upgrade this one)"
    )]
    Newer {
        /// Which record, counted from 0.
        number: u64,
        /// Its kind.
        kind: u8,
        /// Its version.
        version: u8,
    },
    /// A record that cannot stand where it stands, or whose body is not what its kind says.
    #[error("snapshot record {number} of kind {kind} is malformed or out of place (expected {expected})")]
    Unfit {
        /// Which record, counted from 0.
        number: u64,
        /// Its kind.
        kind: u8,
        /// What may stand there.
        expected: &'static str,
    },
    /// The end record counts other numbers of keys, sessions and replies.
    #[error("snapshot holds {found:?} keys, sessions and replies (its end record says {expected:?})")]
    Counts {
        /// What was read.
        found: [u64; 3],
        /// What the end record says.
        expected: [u64; 3],
    },
    /// The records are not those that were written.
    #[error("snapshot of entry {index}: state hash is {found:032x} (its end record says {expected:032x})")]
    Hash {
        /// Last entry in the snapshot.
        index: LogIndex,
        /// Hash of what was read.
        found: u128,
        /// What the end record says.
        expected: u128,
    },
    /// Bytes follow the end record.
    #[error("snapshot of entry {index}: bytes follow its end record (expected none)")]
    TrailingBytes {
        /// Last entry in the snapshot.
        index: LogIndex,
    },
}

/// Reads the state that [`View::write_to`] wrote.
pub(super) fn read(reader: &mut dyn Read) -> Result<State, RestoreError> {
    let mut records = Records { reader: BufReader::with_capacity(BUFFER_BYTES, reader), number: 0 };
    let first = records.next()?;
    let header = if first.kind == record::HEADER { numbers(&first.body) } else { None };
    let [applied, revision, cluster_time] = header.ok_or_else(|| first.unfit("the header"))?;
    let mut state = State { applied: LogIndex(applied), revision, cluster_time, ..State::default() };
    let mut replies = 0;
    loop {
        let record = records.next()?;
        if record.kind == record::END {
            let (counts, hash) = end(&record.body).ok_or_else(|| record.unfit("the end"))?;
            check_end(&state, [state.keys.len(), state.sessions.len(), replies], counts, hash)?;
            records.check_no_more(state.applied)?;
            return Ok(state);
        }
        restore(&mut state, &record)
            .ok_or_else(|| record.unfit("keys, then sessions with their replies, ascending, then the end"))?;
        replies += u64::from(record.kind == record::REPLY);
    }
}

/// Adds one record to the state; `None` if it is malformed or does not come after those before it.
fn restore(state: &mut State, record: &Record) -> Option<()> {
    match record.kind {
        record::KEY if state.sessions.len() == 0 => state.keys.push(KeyRecord::from_body(&record.body)?),
        record::SESSION => {
            let [id, lowest, last_active] = numbers(&record.body)?;
            state.sessions.push(id, lowest, last_active)
        }
        record::REPLY => {
            let mut reader = Reader::new(&record.body);
            let (session, sequence, revision) = (reader.u64()?, reader.u64()?, reader.u64()?);
            let outcome = Outcome::read(&mut reader).filter(|_| reader.rest().is_empty())?;
            state.sessions.push_reply(session, sequence, Applied { outcome, revision })
        }
        _ => None,
    }
}

fn check_end(state: &State, found: [u64; 3], expected: [u64; 3], hash: u128) -> Result<(), RestoreError> {
    if found != expected {
        return Err(RestoreError::Counts { found, expected });
    }
    match state.hash() {
        found if found == hash => Ok(()),
        found => Err(RestoreError::Hash { index: state.applied, found, expected: hash }),
    }
}

/// Three numbers and nothing else.
fn numbers(body: &[u8]) -> Option<[u64; 3]> {
    let mut reader = Reader::new(body);
    let numbers = [reader.u64()?, reader.u64()?, reader.u64()?];
    reader.rest().is_empty().then_some(numbers)
}

/// The counts and the state hash of an end record.
fn end(body: &[u8]) -> Option<([u64; 3], u128)> {
    let mut reader = Reader::new(body);
    let counts = [reader.u64()?, reader.u64()?, reader.u64()?];
    let hash = reader.u128()?;
    reader.rest().is_empty().then_some((counts, hash))
}

/// A record of a kind and version that this program knows.
struct Record {
    number: u64,
    kind: u8,
    body: Vec<u8>,
}

impl Record {
    const fn unfit(&self, expected: &'static str) -> RestoreError {
        RestoreError::Unfit { number: self.number, kind: self.kind, expected }
    }
}

/// The records of a stream, one by one.
struct Records<'a> {
    reader: BufReader<&'a mut dyn Read>,
    /// Number of the next one.
    number: u64,
}

impl Records<'_> {
    fn next(&mut self) -> Result<Record, RestoreError> {
        let number = self.number;
        let read = |source| RestoreError::Read { number, source };
        let mut head = [0; record::HEAD_BYTES];
        self.reader.read_exact(&mut head).map_err(read)?;
        let [kind, version, length @ ..] = head;
        let known = matches!(kind, record::HEADER..=record::REPLY | record::END);
        if !known || version != record::VERSION {
            return Err(RestoreError::Newer { number, kind, version });
        }
        // Not more memory than bytes there are, whatever the length says.
        let length = u64::from(u32::from_le_bytes(length));
        let mut body = Vec::new();
        self.reader.by_ref().take(length).read_to_end(&mut body).map_err(read)?;
        if body.len() as u64 != length {
            return Err(read(io::ErrorKind::UnexpectedEof.into()));
        }
        self.number += 1;
        Ok(Record { number, kind, body })
    }

    fn check_no_more(&mut self, index: LogIndex) -> Result<(), RestoreError> {
        match self.reader.fill_buf() {
            Ok([]) => Ok(()),
            Ok(_) => Err(RestoreError::TrailingBytes { index }),
            Err(source) => Err(RestoreError::Read { number: self.number, source }),
        }
    }
}
