//! The replicated state: all that a snapshot holds and the state hash covers.

use kv_client::command::{Command, CommandError, Envelope, Outcome};
use raft_core::types::LogIndex;

use super::hash::HashSum;
use super::keys::Keys;
use super::sessions::{Admission, Sessions};
use super::{Applied, Stats, record};

/// Revision of an empty store. Not 0, so that a `mod_revision` of 0 can say "absent".
const FIRST_REVISION: u64 = 1;

/// The state after one entry. Cloning costs O(1).
#[derive(Clone, Debug)]
pub(super) struct State {
    /// Last entry applied.
    pub(super) applied: LogIndex,
    /// See the module `store`.
    pub(super) revision: u64,
    /// Greatest time that any applied entry carried, in microseconds.
    pub(super) cluster_time: u64,
    /// Every key.
    pub(super) keys: Keys,
    /// Open sessions.
    pub(super) sessions: Sessions,
}

impl Default for State {
    fn default() -> Self {
        Self {
            applied: LogIndex::ZERO,
            revision: FIRST_REVISION,
            cluster_time: 0,
            keys: Keys::default(),
            sessions: Sessions::default(),
        }
    }
}

impl State {
    /// Applies the entry at `index`, an envelope and a command.
    ///
    /// # Errors
    /// Something in it that only a newer program knows. The state is as before.
    pub(super) fn apply_command(&mut self, index: LogIndex, payload: &[u8]) -> Result<Applied, CommandError> {
        let parsed =
            Envelope::split(payload).and_then(|(envelope, command)| Ok((envelope, Command::parse(command)?)));
        let (envelope, command) = match parsed {
            Ok(parsed) => parsed,
            Err(error) if error.is_newer() => return Err(error),
            Err(_) => return Ok(self.reply(Outcome::Malformed)),
        };
        self.cluster_time = self.cluster_time.max(envelope.cluster_time_micros);
        let Some(tag) = envelope.tag else {
            let outcome = self.execute(index, &command);
            return Ok(self.reply(outcome));
        };
        Ok(match self.sessions.admit(tag, self.cluster_time) {
            Admission::Applied(applied) => applied,
            Admission::Refused(outcome) => self.reply(outcome),
            Admission::New => {
                let outcome = self.execute(index, &command);
                let applied = self.reply(outcome);
                self.sessions.remember(tag, applied);
                applied
            }
        })
    }

    /// `outcome` at the present revision.
    pub(super) const fn reply(&self, outcome: Outcome) -> Applied {
        Applied { outcome, revision: self.revision }
    }

    /// The state hash: the sum over every record that a snapshot of this state holds, save the end record.
    pub(super) fn hash(&self) -> u128 {
        let header = record::header(self.applied, self.revision, self.cluster_time);
        (self.keys.sum() + self.sessions.sum() + HashSum::of(&header)).get()
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            applied_index: self.applied,
            revision: self.revision,
            keys: self.keys.len(),
            bytes: self.keys.bytes(),
            sessions: self.sessions.len(),
            cluster_time_micros: self.cluster_time,
        }
    }
}
