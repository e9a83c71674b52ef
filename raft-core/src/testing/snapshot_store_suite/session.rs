//! One store under test, beside the list of what it has published.

use std::io::{self, Read, Write};
use std::sync::Arc;

use super::{Checked, SnapshotFailure, SnapshotHarness, SnapshotSentence};
use crate::configuration::{Configuration, Member, MemberRole};
use crate::snapshot::{SnapshotInfo, SnapshotMeta, SnapshotOffer, SnapshotView};
use crate::storage::{SnapshotEvent, SnapshotStore};
use crate::testing::draw::draw;
use crate::testing::suite::Crash;
use crate::types::{EntryId, LogIndex, NodeId, Term};

/// A frozen state, or one that fails half-way.
pub(super) struct State {
    pub(super) bytes: Vec<u8>,
    pub(super) fails: bool,
}

impl SnapshotView for State {
    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let (head, tail) = self.bytes.split_at(self.bytes.len() / 2);
        out.write_all(head)?;
        if self.fails {
            return Err(io::Error::other("the state machine cannot be written"));
        }
        out.write_all(tail)
    }
}

/// The state that the suite's node has at `index`: some 10 KiB, no two alike.
pub(super) fn state(index: u64) -> Vec<u8> {
    (0..1250 + index).flat_map(|word| draw(index, 6, word).to_le_bytes()).collect()
}

/// The meta of a snapshot at `index`.
pub(super) fn meta(index: u64) -> SnapshotMeta {
    let member = |number| Member {
        id: NodeId::new(number).expect("numbers start at 1"),
        role: MemberRole::Voter,
        newest_version: 1,
        name: format!("n{number}"),
        peer_address: format!("10.0.0.{number}:1"),
        client_address: format!("10.0.0.{number}:2"),
    };
    let configuration = Configuration::new(1, (1..=3).map(member).collect()).expect("distinct members");
    SnapshotMeta {
        last: EntryId::new(Term(1 + index / 10), LogIndex(index)),
        configuration_index: LogIndex(1),
        configuration: Some(Arc::new(configuration)),
    }
}

/// A snapshot as a leader sends it.
#[derive(Clone)]
pub(super) struct Shipment {
    pub(super) info: SnapshotInfo,
    pub(super) chunks: Vec<Vec<u8>>,
}

impl Shipment {
    pub(super) fn offer(&self) -> SnapshotOffer {
        SnapshotOffer { term: Term(99), info: self.info.clone() }
    }

    /// Sends all that the sink of `store` does not have, the last chunk first, and finishes.
    pub(super) fn send(&self, store: &mut impl SnapshotStore) -> io::Result<()> {
        let mut sink = store.sink(&self.offer());
        let have = sink.have()?;
        for number in (0..self.info.chunk_count()).rev().filter(|&number| !have.contains(number)) {
            sink.write_chunk(number, &self.chunks[number as usize])?;
        }
        sink.finish()
    }

    /// Sends the first `limit` chunks that the sink of `store` does not have.
    pub(super) fn send_some(&self, store: &mut impl SnapshotStore, limit: usize) -> io::Result<()> {
        let mut sink = store.sink(&self.offer());
        let have = sink.have()?;
        let missing = (0..self.info.chunk_count()).filter(|&number| !have.contains(number));
        for number in missing.take(limit) {
            sink.write_chunk(number, &self.chunks[number as usize])?;
        }
        Ok(())
    }
}

/// A published snapshot with its state.
pub(super) type Published = Option<(SnapshotInfo, Vec<u8>)>;

pub(super) struct Session<H: SnapshotHarness> {
    name: String,
    harness: H,
    store: Option<H::Store>,
    /// The newest published snapshot, with its state.
    pub(super) newest: Published,
}

impl<H: SnapshotHarness> Session<H> {
    /// Opens an empty medium.
    pub(super) fn open(name: impl Into<String>, harness: H) -> Result<Self, SnapshotFailure> {
        let mut session = Self { name: name.into(), harness, store: None, newest: None };
        session.open_again()?;
        session.expect_newest()?;
        Ok(session)
    }

    pub(super) fn failure(&self, sentence: SnapshotSentence, found: impl Into<String>) -> SnapshotFailure {
        SnapshotFailure { sentence, check: self.name.clone(), found: found.into() }
    }

    pub(super) fn store(&mut self) -> &mut H::Store {
        self.store.as_mut().expect("a store is open between two calls of the session")
    }

    fn open_again(&mut self) -> Checked {
        match self.harness.open() {
            Ok(store) => {
                self.store = Some(store);
                Ok(())
            }
            Err(error) => Err(self.failure(SnapshotSentence::NothingLost, format!("opening fails: {error}"))),
        }
    }

    /// Runs the store until it is idle; the one event that it reports.
    pub(super) fn event(&mut self) -> Result<SnapshotEvent, SnapshotFailure> {
        let mut events = self.events();
        match (events.pop(), events.is_empty()) {
            (Some(event), true) => Ok(event),
            (last, _) => {
                let found = format!("one job is followed by {events:?} and {last:?}");
                Err(self.failure(SnapshotSentence::Reported, found))
            }
        }
    }

    pub(super) fn events(&mut self) -> Vec<SnapshotEvent> {
        let store = self.store.as_mut().expect("a store is open between two calls of the session");
        self.harness.run(store)
    }

    pub(super) fn fail_next_sync(&mut self) -> bool {
        let store = self.store.as_mut().expect("a store is open between two calls of the session");
        self.harness.fail_next_sync(store)
    }

    pub(super) fn begin_create(&mut self, index: u64, fails: bool) {
        self.store().create(meta(index), Box::new(State { bytes: state(index), fails }));
    }

    /// Creates the snapshot of `index`, which must become the newest.
    pub(super) fn create(&mut self, index: u64) -> Checked {
        self.begin_create(index, false);
        let event = self.event()?;
        self.expect_created(&event, index)?;
        self.expect_newest()
    }

    /// The event must say that the snapshot of `index` was created.
    pub(super) fn expect_created(&mut self, event: &SnapshotEvent, index: u64) -> Checked {
        match event {
            SnapshotEvent::Created(info) if info.meta == meta(index) => {
                self.newest = Some((info.clone(), state(index)));
                Ok(())
            }
            other => {
                let found = format!("creating the snapshot of {index} ends with {other:?}");
                Err(self.failure(SnapshotSentence::Reported, found))
            }
        }
    }

    /// Takes `shipment`, made of the state at `index`, which must become the newest.
    pub(super) fn receive(&mut self, shipment: &Shipment, index: u64) -> Checked {
        self.send(shipment)?;
        self.store().publish(shipment.info.clone());
        match self.event()? {
            SnapshotEvent::Published(info) if info == shipment.info => {
                self.newest = Some((info, state(index)));
                self.expect_newest()
            }
            other => {
                let found = format!("publishing {:?} ends with {other:?}", shipment.info);
                Err(self.failure(SnapshotSentence::Reported, found))
            }
        }
    }

    /// Sends a whole snapshot that the store must take.
    pub(super) fn send(&mut self, shipment: &Shipment) -> Checked {
        let sent = shipment.send(self.store());
        self.expect_taken(sent)
    }

    /// Sends some chunks that the store must take.
    pub(super) fn send_some(&mut self, shipment: &Shipment, limit: usize) -> Checked {
        let sent = shipment.send_some(self.store(), limit);
        self.expect_taken(sent)
    }

    fn expect_taken(&self, sent: io::Result<()>) -> Checked {
        sent.map_err(|error| {
            let found = format!("a sound transfer is refused: {error}");
            self.failure(SnapshotSentence::Resumed, found)
        })
    }

    /// Publishing what was not received whole must fail, and change nothing.
    pub(super) fn expect_no_publish(&mut self, info: &SnapshotInfo) -> Checked {
        self.store().publish(info.clone());
        match self.event()? {
            SnapshotEvent::Failed { last, received: true, .. } if last == info.meta.last => {
                self.expect_serves(SnapshotSentence::NothingLost)
            }
            other => {
                let found = format!("publishing a snapshot that is not here whole ends with {other:?}");
                Err(self.failure(SnapshotSentence::Ignored, found))
            }
        }
    }

    /// Compares what the store serves with the newest published snapshot.
    pub(super) fn expect_newest(&mut self) -> Checked {
        self.expect_serves(SnapshotSentence::Served)
    }

    /// As [`expect_newest`](Self::expect_newest), where a difference breaks `sentence`.
    pub(super) fn expect_serves(&mut self, sentence: SnapshotSentence) -> Checked {
        match self.difference() {
            None => Ok(()),
            Some(found) => Err(self.failure(sentence, found)),
        }
    }

    fn difference(&mut self) -> Option<String> {
        let expected = self.newest.clone();
        let (found, store) = (self.store().latest(), self.store());
        if found.as_ref() != expected.as_ref().map(|(info, _)| info) {
            let last = |info: Option<&SnapshotInfo>| info.map(|info| info.meta.last.to_string());
            let expected = expected.as_ref().map(|(info, _)| info);
            return Some(format!("latest ends at {:?}, expected {:?}", last(found.as_ref()), last(expected)));
        }
        let Some((info, state)) = expected else {
            let nothing = store.source().is_none() && store.reader().is_none();
            return (!nothing).then(|| "an empty store has a source or a reader".to_owned());
        };
        let Some((meta, mut reader)) = store.reader() else { return Some("reader gives nothing".to_owned()) };
        let mut bytes = Vec::new();
        if let Err(error) = reader.read_to_end(&mut bytes) {
            return Some(format!("the reader of a sound snapshot fails: {error}"));
        }
        if meta != info.meta || bytes != state {
            return Some(format!(
                "the reader gives {} bytes that are not the state at {}",
                bytes.len(),
                info.meta.last
            ));
        }
        match ship(store) {
            Ok(Some(shipment)) if shipment.info == info => None,
            Ok(_) => Some("source offers another snapshot than latest".to_owned()),
            Err(error) => Some(format!("the source of a sound snapshot fails: {error}")),
        }
    }

    /// The newest snapshot, read through its source.
    pub(super) fn shipment(&mut self) -> Result<Shipment, SnapshotFailure> {
        let shipment = ship(self.store()).ok().flatten();
        let shipment =
            shipment.ok_or_else(|| self.failure(SnapshotSentence::Served, "the source gives nothing"))?;
        assert!(shipment.chunks.len() > 3, "the suite needs a store with chunks of at most 2 KiB");
        Ok(shipment)
    }

    /// Closes the idle store and opens it again; it must serve the same.
    pub(super) fn reopen(&mut self) -> Checked {
        self.reopen_damaged(&[])?;
        self.expect_newest()
    }

    /// Closes the idle store, damages every copy of the patterns, and opens it again.
    pub(super) fn reopen_damaged(&mut self, patterns: &[Vec<u8>]) -> Checked {
        let store = self.store.take().expect("a store is open between two calls of the session");
        self.harness.close(store);
        for pattern in patterns {
            if self.harness.damage(pattern).is_none_or(|copies| copies == 0) {
                let found = "the medium does not hold the state of a published snapshot";
                return Err(self.failure(SnapshotSentence::Retention, found));
            }
        }
        self.open_again()
    }

    /// Crashes the store while it does `work`, and opens it again. `None` if the harness cannot crash; else the
    /// events before the crash.
    pub(super) fn crash(
        &mut self,
        crash: Crash,
        mut work: impl FnMut(&mut H::Store),
    ) -> Result<Option<Vec<SnapshotEvent>>, SnapshotFailure> {
        let store = self.store.take().expect("a store is open between two calls of the session");
        let Some(events) = self.harness.crash(store, crash, &mut work) else { return Ok(None) };
        self.open_again()?;
        Ok(Some(events))
    }
}

/// All chunks of the newest snapshot, checked against the lengths that its info announces.
fn ship(store: &impl SnapshotStore) -> io::Result<Option<Shipment>> {
    let Some((info, mut source)) = store.source() else { return Ok(None) };
    let mut chunks = Vec::new();
    for number in 0..info.chunk_count() {
        let bytes = source.read_chunk(number)?;
        if info.chunk_range(number).is_none_or(|(_, length)| length != bytes.len()) {
            return Err(io::Error::other(format!("chunk {number} is {} bytes long", bytes.len())));
        }
        chunks.push(bytes.to_vec());
    }
    Ok(Some(Shipment { info, chunks }))
}
