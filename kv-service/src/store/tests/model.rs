//! The store as one would write it without caring for speed, to compare with.

use std::collections::BTreeMap;

use kv_client::command::{KeyRange, MAX_VALUE_BYTES};
use kv_client::protocol::KeyMeta;

use super::*;

#[derive(Clone, Debug, Default)]
pub(super) struct Session {
    pub(super) lowest: u64,
    pub(super) last_active: u64,
    pub(super) replies: BTreeMap<u64, Applied>,
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) applied: u64,
    pub(super) revision: u64,
    pub(super) time: u64,
    pub(super) keys: BTreeMap<Vec<u8>, (KeyMeta, Vec<u8>)>,
    pub(super) sessions: BTreeMap<u64, Session>,
}

impl Model {
    pub(super) fn new() -> Self {
        Self { applied: 0, revision: 1, time: 0, keys: BTreeMap::new(), sessions: BTreeMap::new() }
    }

    pub(super) fn apply(&mut self, tag: Option<SessionTag>, time: u64, command: &Command<'_>) -> Applied {
        self.applied += 1;
        self.time = self.time.max(time);
        if let Some(tag) = tag {
            let refused = match self.sessions.get_mut(&tag.session) {
                None => Some(Outcome::SessionUnknown { session: tag.session }),
                Some(session) if tag.sequence < session.lowest => {
                    Some(Outcome::SequenceStale { lowest: session.lowest })
                }
                Some(session) => {
                    session.last_active = self.time;
                    session.lowest = session.lowest.max(tag.lowest_unacknowledged);
                    let lowest = session.lowest;
                    session.replies.retain(|&sequence, _| sequence >= lowest);
                    if let Some(&known) = session.replies.get(&tag.sequence) {
                        return known;
                    }
                    None
                }
            };
            if let Some(outcome) = refused {
                return Applied { outcome, revision: self.revision };
            }
        }
        let outcome = self.execute(command);
        let applied = Applied { outcome, revision: self.revision };
        if let Some(tag) = tag
            && let Some(session) = self.sessions.get_mut(&tag.session)
        {
            session.replies.insert(tag.sequence, applied);
        }
        applied
    }

    fn execute(&mut self, command: &Command<'_>) -> Outcome {
        match *command {
            Command::Put { lease, .. } if lease != 0 => Outcome::LeaseUnknown { lease },
            Command::Put { key, expect, .. } | Command::Delete { key, expect } if !self.met(key, expect) => {
                Outcome::ConditionFailed { mod_revision: self.mod_revision(key) }
            }
            Command::Put { key, value, .. } => self.write(key, value.to_vec(), Outcome::Done),
            Command::Delete { key, .. } => self.delete(&[key.to_vec()], false),
            Command::DeleteRange { range, limit } => self.delete_range(range, limit as usize),
            Command::Append { key, value } => {
                let new = [self.value(key).unwrap_or_default(), value.to_vec()].concat();
                let (length, most) = (new.len() as u64, MAX_VALUE_BYTES as u64);
                if length > most {
                    return Outcome::ValueTooLong { length, most };
                }
                self.write(key, new, Outcome::Appended { length })
            }
            Command::Increment { key, delta } => self.increment(key, delta),
            Command::CompareAndSwap { key, expected, value } => {
                if self.value(key).as_deref() != expected {
                    return Outcome::ConditionFailed { mod_revision: self.mod_revision(key) };
                }
                self.write(key, value.to_vec(), Outcome::Done)
            }
            Command::OpenSession => {
                let session = Session { last_active: self.time, ..Session::default() };
                self.sessions.insert(self.applied, session);
                Outcome::SessionOpened { session: self.applied }
            }
            Command::CloseSession { session } => match self.sessions.remove(&session) {
                Some(_) => Outcome::Done,
                None => Outcome::SessionUnknown { session },
            },
        }
    }

    fn value(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.keys.get(key).map(|(_, value)| value.clone())
    }

    fn mod_revision(&self, key: &[u8]) -> u64 {
        self.keys.get(key).map_or(0, |(meta, _)| meta.mod_revision)
    }

    fn met(&self, key: &[u8], expect: Expect) -> bool {
        match expect {
            Expect::Anything => true,
            Expect::Absent => !self.keys.contains_key(key),
            Expect::ModRevision(revision) => {
                self.keys.contains_key(key) && self.mod_revision(key) == revision
            }
        }
    }

    fn increment(&mut self, key: &[u8], delta: i64) -> Outcome {
        let text = self.value(key).unwrap_or_else(|| b"0".to_vec());
        let number = String::from_utf8(text.clone()).ok().and_then(|text| text.parse::<i64>().ok());
        match number {
            Some(number) if number.to_string().as_bytes() == text => match number.checked_add(delta) {
                Some(value) => {
                    self.write(key, value.to_string().into_bytes(), Outcome::Incremented { value })
                }
                None => Outcome::Overflow,
            },
            _ => Outcome::NotANumber,
        }
    }

    fn write(&mut self, key: &[u8], value: Vec<u8>, outcome: Outcome) -> Outcome {
        self.revision += 1;
        let revision = self.revision;
        let fresh = KeyMeta { create_revision: revision, mod_revision: revision, version: 0, lease: 0 };
        let (meta, slot) = self.keys.entry(key.to_vec()).or_insert((fresh, Vec::new()));
        meta.mod_revision = revision;
        meta.version += 1;
        *slot = value;
        outcome
    }

    fn delete_range(&mut self, range: KeyRange<'_>, limit: usize) -> Outcome {
        let inside: Vec<_> = self.keys.keys().filter(|key| range.contains(key)).cloned().collect();
        self.delete(&inside[..limit.min(inside.len())], inside.len() > limit)
    }

    fn delete(&mut self, keys: &[Vec<u8>], more: bool) -> Outcome {
        let before = self.keys.len();
        keys.iter().for_each(|key| drop(self.keys.remove(key)));
        let count = (before - self.keys.len()) as u64;
        self.revision += u64::from(count > 0);
        Outcome::Deleted { count, more }
    }
}
