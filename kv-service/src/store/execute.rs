//! What each command does.

use kv_client::command::{Command, Expect, KeyRange, MAX_VALUE_BYTES, Outcome};
use kv_client::protocol::KeyValue;
use raft_core::types::LogIndex;

use super::record::KeyRecord;
use super::state::State;

impl State {
    /// Carries out the command of the entry at `index`.
    ///
    /// Invariant (one revision a command): `revision` moves by one if the command changed a key, else not at all.
    pub(super) fn execute(&mut self, index: LogIndex, command: &Command<'_>) -> Outcome {
        match *command {
            Command::Put { key, value, lease, expect } => self.put(key, value, lease, expect),
            Command::Delete { key, expect } => self.delete(key, expect),
            Command::DeleteRange { range, limit } => self.delete_range(range, limit),
            Command::Append { key, value } => self.append(key, value),
            Command::Increment { key, delta } => self.increment(key, delta),
            Command::CompareAndSwap { key, expected, value } => self.compare_and_swap(key, expected, value),
            Command::OpenSession => self.sessions.open(index.0, self.cluster_time),
            Command::CloseSession { session } => self.sessions.close(session),
        }
    }

    fn put(&mut self, key: &[u8], value: &[u8], lease: u64, expect: Expect) -> Outcome {
        if lease != 0 {
            // No command grants leases yet, so there is none.
            return Outcome::LeaseUnknown { lease };
        }
        match self.check(key, expect) {
            Err(outcome) => outcome,
            Ok(()) => self.write(key, [value, &[]], lease, Outcome::Done),
        }
    }

    fn delete(&mut self, key: &[u8], expect: Expect) -> Outcome {
        if let Err(outcome) = self.check(key, expect) {
            return outcome;
        }
        let count = u64::from(self.keys.remove(key));
        self.revision += count;
        Outcome::Deleted { count, more: false }
    }

    fn delete_range(&mut self, range: KeyRange<'_>, limit: u32) -> Outcome {
        let mut records = self.keys.range(range, &[]);
        let doomed: Vec<_> = records.by_ref().take(limit as usize).cloned().collect();
        let more = records.next().is_some();
        drop(records);
        for record in &doomed {
            self.keys.remove(record.key_value().key);
        }
        self.revision += u64::from(!doomed.is_empty());
        Outcome::Deleted { count: doomed.len() as u64, more }
    }

    fn append(&mut self, key: &[u8], value: &[u8]) -> Outcome {
        let old = self.keys.get(key).cloned();
        let (start, lease) = value_and_lease(old.as_ref());
        let length = start.len() + value.len();
        if length > MAX_VALUE_BYTES {
            return Outcome::ValueTooLong { length: length as u64, most: MAX_VALUE_BYTES as u64 };
        }
        self.write(key, [start, value], lease, Outcome::Appended { length: length as u64 })
    }

    fn increment(&mut self, key: &[u8], delta: i64) -> Outcome {
        let old = self.keys.get(key).cloned();
        let (text, lease) = value_and_lease(old.as_ref());
        let Some(number) = old.as_ref().map_or(Some(0), |_| decimal(text)) else {
            return Outcome::NotANumber;
        };
        let Some(value) = number.checked_add(delta) else {
            return Outcome::Overflow;
        };
        self.write(key, [value.to_string().as_bytes(), &[]], lease, Outcome::Incremented { value })
    }

    fn compare_and_swap(&mut self, key: &[u8], expected: Option<&[u8]>, value: &[u8]) -> Outcome {
        let found = self.keys.get(key).map(KeyRecord::key_value);
        if found.map(|found| found.value) != expected {
            return condition_failed(found);
        }
        let lease = found.map_or(0, |found| found.meta.lease);
        self.write(key, [value, &[]], lease, Outcome::Done)
    }

    /// Whether `key` is as expected; else the outcome that says how it is.
    fn check(&self, key: &[u8], expect: Expect) -> Result<(), Outcome> {
        if expect == Expect::Anything {
            return Ok(());
        }
        let found = self.keys.get(key).map(KeyRecord::key_value);
        let met = match expect {
            Expect::Anything => true,
            Expect::Absent => found.is_none(),
            Expect::ModRevision(revision) => found.is_some_and(|found| found.meta.mod_revision == revision),
        };
        if met { Ok(()) } else { Err(condition_failed(found)) }
    }

    fn write(&mut self, key: &[u8], value: [&[u8]; 2], lease: u64, outcome: Outcome) -> Outcome {
        self.revision += 1;
        self.keys.write(key, value, lease, self.revision);
        outcome
    }
}

fn condition_failed(found: Option<KeyValue<'_>>) -> Outcome {
    Outcome::ConditionFailed { mod_revision: found.map_or(0, |found| found.meta.mod_revision) }
}

fn value_and_lease(record: Option<&KeyRecord>) -> (&[u8], u64) {
    record.map_or((&[], 0), |record| {
        let KeyValue { meta, value, .. } = record.key_value();
        (value, meta.lease)
    })
}

/// The number that `text` is the decimal text of, in the one form that [`i64`] prints: no plus, no needless zeros.
fn decimal(text: &[u8]) -> Option<i64> {
    let text = str::from_utf8(text).ok()?;
    text.parse().ok().filter(|number: &i64| number.to_string() == text)
}
