//! One store under test, beside the model of what it should hold.

use std::collections::VecDeque;

use super::model::{Entry, Model, entries_of};
use super::{Checked, LogFailure, LogHarness, LogSentence};
use crate::block::Block;
use crate::snapshot::SnapshotMeta;
use crate::storage::{LogEvent, LogStore, ReadFailure, ReadRequest, Recovered, StoreError, Write};
use crate::testing::suite::Crash;
use crate::types::{EntryId, LogIndex, WriteId};

/// The answer to a read.
pub(super) type Answer = Result<Vec<Block>, ReadFailure>;

pub(super) struct Session<H: LogHarness> {
    /// Which check this is, for messages.
    name: String,
    pub(super) harness: H,
    store: Option<H::Store>,
    /// The log with all writes that were reported durable.
    pub(super) durable: Model,
    /// What `durable` was before, since opening.
    pub(super) history: Vec<Model>,
    /// Writes submitted and not yet reported.
    pub(super) queued: VecDeque<Write>,
    /// The log with all writes that were submitted.
    pub(super) submitted: Model,
    /// The newest published snapshot.
    pub(super) floor: SnapshotMeta,
    /// The store may have dropped entries through here.
    pub(super) may_drop: LogIndex,
    last_id: WriteId,
    last_durable: WriteId,
    last_read: u64,
}

impl<H: LogHarness> Session<H> {
    /// Opens an empty medium.
    pub(super) fn open(name: impl Into<String>, mut harness: H) -> Result<Self, LogFailure> {
        let (name, floor) = (name.into(), SnapshotMeta::NONE);
        let (store, recovered) = harness.open(&floor).map_err(|error| refused(&name, &error))?;
        let session = Self {
            name,
            harness,
            store: Some(store),
            durable: Model::default(),
            history: Vec::new(),
            queued: VecDeque::new(),
            submitted: Model::default(),
            floor,
            may_drop: LogIndex::ZERO,
            last_id: WriteId(0),
            last_durable: WriteId(0),
            last_read: 0,
        };
        session.expect_recovered(&recovered)?;
        Ok(session)
    }

    pub(super) fn failure(&self, sentence: LogSentence, found: impl Into<String>) -> LogFailure {
        LogFailure { sentence, check: self.name.clone(), found: found.into() }
    }

    pub(super) fn store(&mut self) -> &mut H::Store {
        self.store.as_mut().expect("a store is open between two calls of the session")
    }

    pub(super) fn submit(&mut self, write: Write) {
        self.last_id = self.last_id.next();
        let write = Write { id: self.last_id, ..write };
        self.submitted.apply(&write);
        self.queued.push_back(write.clone());
        self.store().submit(write);
    }

    pub(super) fn compact(&mut self, through: EntryId, floor: SnapshotMeta) {
        self.floor = floor;
        self.may_drop = through.index;
        self.store().compact(through.index);
    }

    /// Runs the store and books what it reports as durable; the other events.
    pub(super) fn run(&mut self) -> Result<Vec<LogEvent>, LogFailure> {
        let store = self.store.as_mut().expect("a store is open between two calls of the session");
        let events = self.harness.run(store);
        self.book(events)
    }

    /// Runs the store: every write must be durable then, and nothing else be reported.
    pub(super) fn settle(&mut self) -> Checked {
        let others = self.run()?;
        if let Some(event) = others.first() {
            let sentence = match event {
                LogEvent::Failed(_) => LogSentence::Poisoned,
                _ => LogSentence::Reads,
            };
            return Err(self.failure(sentence, format!("the store reports {event:?} out of the blue")));
        }
        match self.queued.front() {
            None => Ok(()),
            Some(write) => {
                let found = format!("the idle store never reports write {:?} durable", write.id);
                Err(self.failure(LogSentence::Cumulative, found))
            }
        }
    }

    fn book(&mut self, events: Vec<LogEvent>) -> Result<Vec<LogEvent>, LogFailure> {
        let mut others = Vec::new();
        for event in events {
            let LogEvent::Durable(id) = event else {
                others.push(event);
                continue;
            };
            if id <= self.last_durable || id > self.last_id {
                let (last_id, last_durable) = (self.last_id, self.last_durable);
                let found =
                    format!("{id:?} is reported after {last_durable:?}, with {last_id:?} the last submitted");
                return Err(self.failure(LogSentence::Cumulative, found));
            }
            self.last_durable = id;
            while self.queued.front().is_some_and(|write| write.id <= id) {
                let write = self.queued.pop_front().expect("there is a front");
                self.history.push(self.durable.clone());
                self.durable.apply(&write);
            }
        }
        Ok(others)
    }

    /// As [`LogHarness::fail_next_sync`].
    pub(super) fn fail_next_sync(&mut self) -> bool {
        let store = self.store.as_mut().expect("a store is open between two calls of the session");
        self.harness.fail_next_sync(store)
    }

    /// Queues a read.
    pub(super) fn ask(&mut self, from: u64, through: u64, max_bytes: usize) -> ReadRequest {
        self.last_read += 1;
        let (from, through) = (LogIndex(from), LogIndex(through));
        let request = ReadRequest { id: self.last_read, from, through, max_bytes };
        self.store().read(request);
        request
    }

    /// Runs the store and takes the one answer to `request`, which must be all that is left.
    pub(super) fn answer(&mut self, request: &ReadRequest) -> Result<Answer, LogFailure> {
        let mut events = self.run()?;
        match (events.pop(), events.is_empty()) {
            (Some(LogEvent::Read { id, answer }), true) if id == request.id => Ok(answer),
            (event, _) => {
                let found = format!("read {request:?} ends with {event:?} after {events:?}");
                Err(self.failure(LogSentence::Reads, found))
            }
        }
    }

    /// Reads and compares with the durable log: the whole range, as far as it is there and `max_bytes` allows.
    pub(super) fn expect_read(&mut self, from: u64, through: u64, max_bytes: usize) -> Checked {
        let request = self.ask(from, through, max_bytes);
        let answer = self.answer(&request)?;
        let blocks = answer.map_err(|failure| {
            let found = format!("read {request:?} of durable entries is answered by {failure:?}");
            self.failure(LogSentence::Reads, found)
        })?;
        let expected = self.durable.range(request.from, request.through);
        let found = entries_of(&blocks);
        if !expected.starts_with(&found) {
            return Err(self.wrong_entries(&request, &found, expected));
        }
        let bytes: usize = blocks.iter().map(Block::encoded_bytes).sum();
        let complete = found.len() == expected.len();
        let describe = || format!("{} blocks, {bytes} bytes answer read {request:?}", blocks.len());
        if bytes > max_bytes && blocks.len() > 1 || found.is_empty() && !expected.is_empty() {
            return Err(self.failure(LogSentence::MaxBytes, describe()));
        }
        if !complete && max_bytes == usize::MAX {
            return Err(self.failure(LogSentence::Reads, describe()));
        }
        Ok(())
    }

    fn wrong_entries(&self, request: &ReadRequest, found: &[Entry], expected: &[Entry]) -> LogFailure {
        let same = found.iter().zip(expected).take_while(|(found, expected)| found == expected).count();
        let wrong = found.get(same).map(|entry| (entry.id, entry.payload.len()));
        let right = expected.get(same).map(|entry| (entry.id, entry.payload.len()));
        let found = format!(
            "entry {same} of the answer to {request:?} has id and length {wrong:?}, expected {right:?}"
        );
        self.failure(LogSentence::Reads, found)
    }

    /// Compares all that the store holds with the durable log, and reads what lies before it.
    pub(super) fn expect_contents(&mut self) -> Checked {
        self.learn_base()?;
        let (base, last) = (self.durable.base.index.0, self.durable.last().index.0);
        if last > base {
            self.expect_read(base + 1, last, usize::MAX)?;
        }
        if base > 0 {
            self.expect_compacted(base)?;
        }
        Ok(())
    }

    /// The store may have compacted since; a read tells how far.
    fn learn_base(&mut self) -> Checked {
        let first = self.durable.base.index.next();
        if first > self.may_drop {
            return Ok(());
        }
        let request = self.ask(first.0, first.0, usize::MAX);
        if let Err(ReadFailure::Compacted { first: now }) = self.answer(&request)? {
            let shorter =
                self.durable.without(now.prev()).filter(|_| now > first && now.prev() <= self.may_drop);
            let found = format!(
                "it says Compacted with first entry {now}, where only entries through {} may be gone",
                self.may_drop
            );
            self.durable = shorter.ok_or_else(|| self.failure(LogSentence::Compaction, found))?;
        }
        Ok(())
    }

    /// A read at `index`, which is gone for sure, must say where the log starts.
    pub(super) fn expect_compacted(&mut self, index: u64) -> Checked {
        let first = self.durable.base.index.next();
        let request = self.ask(index, index, usize::MAX);
        match self.answer(&request)? {
            Err(ReadFailure::Compacted { first: found }) if found == first => Ok(()),
            other => {
                let found =
                    format!("{other:?} answers a read at {index}, where {first} is the first entry there");
                Err(self.failure(LogSentence::Compacted, found))
            }
        }
    }

    /// Closes the idle store, opens it again, and compares.
    pub(super) fn reopen(&mut self) -> Checked {
        let recovered = self.try_reopen(|_| true)?.map_err(|error| refused(&self.name, &error))?;
        self.expect_recovered(&recovered)?;
        self.expect_contents()
    }

    /// Closes the store, lets `meanwhile` change the medium, and opens again; whether the store agreed to open.
    /// Without a store the session is over.
    pub(super) fn try_reopen(
        &mut self,
        meanwhile: impl FnOnce(&mut H) -> bool,
    ) -> Result<Result<Recovered, StoreError>, LogFailure> {
        let store = self.store.take().expect("a store is open between two calls of the session");
        self.harness.close(store);
        if !meanwhile(&mut self.harness) {
            return Err(self
                .failure(LogSentence::Verified, "the medium does not hold the payload of a durable entry"));
        }
        Ok(self.open_again())
    }

    fn open_again(&mut self) -> Result<Recovered, StoreError> {
        let (store, recovered) = self.harness.open(&self.floor)?;
        self.store = Some(store);
        (self.last_id, self.last_durable) = (WriteId(0), WriteId(0));
        Ok(recovered)
    }

    /// Crashes the store, opens it again, and takes what it recovers as the truth if the contract allows it.
    /// `None` if the harness cannot crash; else whether all writes had been reported durable before.
    pub(super) fn crash(&mut self, crash: Crash) -> Result<Option<bool>, LogFailure> {
        let store = self.store.take().expect("a store is open between two calls of the session");
        let Some(events) = self.harness.crash(store, crash) else { return Ok(None) };
        self.book(events)?;
        let all_durable = self.queued.is_empty();
        let recovered = self.open_again().map_err(|error| refused(&self.name, &error))?;
        self.durable = self.judge(&recovered)?;
        self.history.clear();
        self.queued.clear();
        self.submitted = self.durable.clone();
        self.expect_contents()?;
        // As a core does that finds its log without the end of its snapshot.
        if self.durable.reset_to(self.floor.last).is_some() {
            self.submit(Write { reset: Some(self.floor.last), ..Write::default() });
        }
        Ok(Some(all_durable))
    }
}

fn refused(name: &str, error: &StoreError) -> LogFailure {
    let found = format!("opening fails: {error}");
    LogFailure { sentence: LogSentence::Recovered, check: name.to_owned(), found }
}
