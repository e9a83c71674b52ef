//! What the nodes of the fake cluster agree on.

use std::collections::BTreeMap;

use bytes::Bytes;
use kv_client::command::{Command, Expect, KeyRange, Outcome, SESSION_WINDOW, SessionTag};
use kv_client::protocol::{Answer, KeyMeta, KeyValue, MAX_PAGE_BYTES, MAX_PAGE_KEYS, Query};

/// A store with sessions.
pub(crate) struct Store {
    pub(crate) pairs: BTreeMap<Vec<u8>, (Vec<u8>, KeyMeta)>,
    pub(crate) revision: u64,
    pub(crate) index: u64,
    pub(crate) sessions: BTreeMap<u64, Session>,
}

#[derive(Default)]
pub(crate) struct Session {
    lowest: u64,
    outcomes: BTreeMap<u64, Outcome>,
}

impl Default for Store {
    fn default() -> Self {
        Self { pairs: BTreeMap::new(), revision: 1, index: 1, sessions: BTreeMap::new() }
    }
}

impl Store {
    pub(crate) fn value(&self, key: &[u8]) -> Option<&[u8]> {
        self.pairs.get(key).map(|(value, _)| &value[..])
    }

    /// Applies a command, once if it has a tag.
    pub(crate) fn write(&mut self, tag: Option<SessionTag>, command: &[u8]) -> Outcome {
        self.index += 1;
        let command = Command::validate(command).unwrap();
        let Some(SessionTag { session: id, sequence, lowest_unacknowledged }) = tag else {
            return self.apply(command);
        };
        assert!(sequence - lowest_unacknowledged < SESSION_WINDOW, "{tag:?}");
        let Some(session) = self.sessions.get_mut(&id) else {
            return Outcome::SessionUnknown { session: id };
        };
        session.lowest = session.lowest.max(lowest_unacknowledged);
        session.outcomes = session.outcomes.split_off(&session.lowest);
        if sequence < session.lowest {
            return Outcome::SequenceStale { lowest: session.lowest };
        }
        if let Some(outcome) = session.outcomes.get(&sequence) {
            return *outcome;
        }
        let outcome = self.apply(command);
        if let Some(session) = self.sessions.get_mut(&id) {
            session.outcomes.insert(sequence, outcome);
        }
        outcome
    }

    fn apply(&mut self, command: Command<'_>) -> Outcome {
        match command {
            Command::Put { key, value, expect, .. } => self.expecting(key, expect, |store| {
                store.set(key, value.to_vec());
                Outcome::Done
            }),
            Command::Delete { key, expect } => self.expecting(key, expect, |store| {
                let count = u64::from(store.pairs.remove(key).is_some());
                store.revision += count;
                Outcome::Deleted { count, more: false }
            }),
            Command::Append { key, value } => {
                let value = [self.value(key).unwrap_or_default(), value].concat();
                let length = value.len() as u64;
                self.set(key, value);
                Outcome::Appended { length }
            }
            Command::Increment { key, delta } => {
                let text = std::str::from_utf8(self.value(key).unwrap_or(b"0"));
                let Some(number) = text.ok().and_then(|text| text.parse::<i64>().ok()) else {
                    return Outcome::NotANumber;
                };
                let Some(value) = number.checked_add(delta) else { return Outcome::Overflow };
                self.set(key, value.to_string().into_bytes());
                Outcome::Incremented { value }
            }
            Command::CompareAndSwap { key, expected, value } if self.value(key) == expected => {
                self.set(key, value.to_vec());
                Outcome::Done
            }
            Command::CompareAndSwap { key, .. } => self.condition_failed(key),
            Command::OpenSession => {
                self.sessions.insert(self.index, Session::default());
                Outcome::SessionOpened { session: self.index }
            }
            Command::CloseSession { session } => match self.sessions.remove(&session) {
                Some(_) => Outcome::Done,
                None => Outcome::SessionUnknown { session },
            },
            Command::DeleteRange { .. } => Outcome::Malformed,
        }
    }

    fn mod_revision(&self, key: &[u8]) -> u64 {
        self.pairs.get(key).map_or(0, |(_, meta)| meta.mod_revision)
    }

    fn condition_failed(&self, key: &[u8]) -> Outcome {
        Outcome::ConditionFailed { mod_revision: self.mod_revision(key) }
    }

    fn expecting(
        &mut self,
        key: &[u8],
        expect: Expect,
        change: impl FnOnce(&mut Self) -> Outcome,
    ) -> Outcome {
        let holds = match expect {
            Expect::Anything => true,
            Expect::Absent => !self.pairs.contains_key(key),
            Expect::ModRevision(revision) => self.mod_revision(key) == revision,
        };
        if holds { change(self) } else { self.condition_failed(key) }
    }

    fn set(&mut self, key: &[u8], value: Vec<u8>) {
        self.revision += 1;
        let revision = self.revision;
        let fresh = KeyMeta { create_revision: revision, mod_revision: revision, version: 0, lease: 0 };
        let pair = self.pairs.entry(key.to_vec()).or_insert((Vec::new(), fresh));
        pair.0 = value;
        pair.1.mod_revision = revision;
        pair.1.version += 1;
    }

    pub(crate) fn read(&self, query: &Query) -> (Answer, Bytes) {
        match query {
            Query::Get { key } => match self.pairs.get(key) {
                Some((value, meta)) => (Answer::Value(Some(*meta)), value.clone().into()),
                None => (Answer::Value(None), Bytes::new()),
            },
            Query::Range(query) => {
                let range = KeyRange { start: &query.start, end: &query.end };
                let most = if query.limit == 0 { MAX_PAGE_KEYS } else { query.limit.min(MAX_PAGE_KEYS) };
                let mut pairs = self
                    .pairs
                    .iter()
                    .filter(|(key, _)| range.contains(key) && key[..] > query.after[..])
                    .peekable();
                let (mut count, mut tail) = (0, Vec::new());
                while count < most
                    && let Some((key, (value, meta))) = pairs.peek()
                {
                    let value: &[u8] = if query.keys_only { b"" } else { value };
                    let record = KeyValue { meta: *meta, key, value };
                    if count > 0 && tail.len() + record.encoded_len() > MAX_PAGE_BYTES {
                        break;
                    }
                    record.encode(&mut tail);
                    count += 1;
                    pairs.next();
                }
                (Answer::Page { count, more: pairs.peek().is_some() }, tail.into())
            }
        }
    }
}
