//! The simulated application: client sessions, and a hash of everything applied.
//!
//! A command carries the ticket of its proposal, a client and that client's number for it. A number that was executed
//! already is answered with the remembered reply; an older one is refused. The sessions are part of every snapshot, so
//! whatever loses or repeats an entry on the way shows.

#[cfg(test)]
mod tests;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::action::Command;
use super::history::{AppliedEntry, History};
use crate::block::{Block, EntryKind, EntryRef};
use crate::snapshot::SnapshotView;
use crate::state_machine::{ApplyError, StateMachine};
use crate::testing::hash::TraceHash;
use crate::types::LogIndex;

/// What a command that comes too late is answered.
pub(super) const STALE: u64 = 0;

/// Bytes of a command before its padding.
const HEAD_BYTES: usize = 14;

/// The longest padding.
pub const MAX_PADDING: usize = 1024;

static PADDING: [u8; MAX_PADDING] = [0x55; MAX_PADDING];

/// A command's bytes in front of its padding, and the padding.
pub(super) fn encode(ticket: u64, command: Command) -> ([u8; HEAD_BYTES], &'static [u8]) {
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(&ticket.to_le_bytes());
    head[8..10].copy_from_slice(&command.client.to_le_bytes());
    head[10..].copy_from_slice(&command.seq.to_le_bytes());
    (head, &PADDING[..usize::from(command.padding).min(MAX_PADDING)])
}

/// Ticket, client and number; zeros for what is no command.
fn decode(entry: &EntryRef<'_>) -> (u64, u16, u32) {
    let head = entry.payload.first_chunk::<HEAD_BYTES>().filter(|_| entry.kind == EntryKind::Normal);
    let Some(&[t0, t1, t2, t3, t4, t5, t6, t7, c0, c1, s0, s1, s2, s3]) = head else { return (0, 0, 0) };
    let ticket = u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]);
    (ticket, u16::from_le_bytes([c0, c1]), u32::from_le_bytes([s0, s1, s2, s3]))
}

/// The newest executed command of each client, by client number.
type Sessions = Vec<Session>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Session {
    seq: u32,
    reply: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct SimMachine {
    applied: LogIndex,
    state: u64,
    sessions: Sessions,
    history: Arc<Mutex<History>>,
}

impl SimMachine {
    pub(super) const fn new(history: Arc<Mutex<History>>) -> Self {
        Self { applied: LogIndex::ZERO, state: 0, sessions: Sessions::new(), history }
    }

    /// Last entry applied, and the hash of all so far.
    #[must_use]
    pub const fn state(&self) -> (LogIndex, u64) {
        (self.applied, self.state)
    }

    /// Executes a command, or remembers that it was. The reply, and whether it was executed now.
    fn execute(&mut self, client: u16, seq: u32) -> (u64, bool) {
        if client == 0 {
            return (self.state, true);
        }
        let at = usize::from(client);
        if self.sessions.len() <= at {
            self.sessions.resize(at + 1, Session::default());
        }
        let session = &mut self.sessions[at];
        match seq.cmp(&session.seq) {
            std::cmp::Ordering::Less => (STALE, false),
            std::cmp::Ordering::Equal => (session.reply, false),
            std::cmp::Ordering::Greater => {
                *session = Session { seq, reply: self.state };
                (self.state, true)
            }
        }
    }

    fn apply_entry(&mut self, entry: &EntryRef<'_>) -> AppliedEntry {
        let mut state = TraceHash::default();
        [self.state, entry.id.term.0, entry.id.index.0, u64::from(entry.crc)]
            .into_iter()
            .for_each(|part| state.add(part));
        self.state = state.value();
        let (ticket, client, seq) = decode(entry);
        let (reply, executed) = if ticket == 0 { (0, false) } else { self.execute(client, seq) };
        AppliedEntry {
            id: entry.id,
            kind: entry.kind as u8,
            ticket,
            client,
            seq,
            reply,
            executed,
            state: self.state,
        }
    }
}

impl StateMachine for SimMachine {
    type Reply = u64;

    fn apply(&mut self, batch: &[Block], replies: &mut Vec<u64>) -> Result<(), ApplyError> {
        let history = Arc::clone(&self.history);
        let mut history = history.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in batch.iter().flat_map(Block::entries) {
            let applied = self.apply_entry(&entry);
            history.applied(self.applied, applied)?;
            self.applied = entry.id.index;
            replies.push(applied.reply);
        }
        Ok(())
    }

    fn freeze(&self) -> Box<dyn SnapshotView> {
        Box::new(Frozen { applied: self.applied, state: self.state, sessions: self.sessions.clone() })
    }

    fn restore(&mut self, reader: &mut dyn io::Read) -> Result<(), ApplyError> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        let mut numbers = bytes
            .chunks_exact(8)
            .map(|number| u64::from_le_bytes(*number.first_chunk().expect("chunks of 8 bytes")));
        let mut next = || numbers.next().ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof));
        self.applied = LogIndex(next()?);
        self.state = next()?;
        let clients = next()?;
        self.sessions.clear();
        for _ in 0..clients {
            let seq = u32::try_from(next()?)?;
            self.sessions.push(Session { seq, reply: next()? });
        }
        Ok(())
    }
}

struct Frozen {
    applied: LogIndex,
    state: u64,
    sessions: Sessions,
}

impl SnapshotView for Frozen {
    fn write_to(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let head = [self.applied.0, self.state, self.sessions.len() as u64];
        let sessions = self.sessions.iter().flat_map(|session| [u64::from(session.seq), session.reply]);
        head.into_iter().chain(sessions).try_for_each(|number| out.write_all(&number.to_le_bytes()))
    }
}
