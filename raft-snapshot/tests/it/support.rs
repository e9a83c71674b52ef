//! A store with a recorder of its events, and states that can be told apart by their index.

use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex};

use raft_core::configuration::{Configuration, Member, MemberRole};
use raft_core::fs::Fs;
use raft_core::snapshot::{ChunkSink, ChunkSource, SnapshotInfo, SnapshotMeta, SnapshotOffer, SnapshotView};
use raft_core::storage::{Sink, SnapshotEvent, SnapshotStore};
use raft_core::testing::SimFs;
use raft_core::testing::draw::draw;
use raft_core::types::{EntryId, LogIndex, NodeId, Term};
use raft_snapshot::{OpenError, OpenReport, Options, SnapshotFiles};

/// Where simulated stores live. The folder above is durable.
pub(crate) const DIR: &str = "/data/snapshots";

/// Pages and chunks so small that a state of some hundred bytes has several.
pub(crate) const SMALL: Options = Options { page_bytes: 128, chunk_bytes: 256, state_version: 1 };

/// An empty simulated disk with the folder above [`DIR`].
pub(crate) fn disk() -> SimFs {
    let fs = SimFs::new(7);
    fs.create_dir_all(Path::new("/data")).unwrap();
    fs.settle();
    fs
}

/// A view that writes `bytes` in pieces of uneven size.
pub(crate) struct State(pub(crate) Vec<u8>);

impl SnapshotView for State {
    fn write_to(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let mut rest = &self.0[..];
        for length in (1..).step_by(7) {
            let (piece, behind) = rest.split_at(rest.len().min(length));
            out.write_all(piece)?;
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        Ok(())
    }
}

/// The state after the entry of `index`: 300 to 427 bytes that no other index has.
pub(crate) fn state_at(index: u64) -> Vec<u8> {
    (0..300 + draw(1, index, 0) % 128).map(|at| draw(2, index, at) as u8).collect()
}

pub(crate) fn meta_at(index: u64) -> SnapshotMeta {
    let member = |bits: u64| Member {
        id: NodeId::new(bits).unwrap(),
        role: MemberRole::Voter,
        newest_version: 1,
        name: format!("n{bits}"),
        peer_address: format!("10.0.0.{bits}:7000"),
        client_address: format!("10.0.0.{bits}:7001"),
    };
    let configuration = Configuration::new(1, [1, 2, 3].map(member).to_vec()).unwrap();
    SnapshotMeta {
        last: EntryId::new(Term(index / 10), LogIndex(index)),
        configuration_index: LogIndex(1),
        configuration: Some(Arc::new(configuration)),
    }
}

pub(crate) fn file_name(index: u64) -> String {
    format!("{index:016x}-{:016x}.snap", index / 10)
}

/// An open store and what it reported.
pub(crate) struct Store<F: Fs> {
    pub(crate) files: SnapshotFiles<F>,
    pub(crate) report: OpenReport,
    events: Arc<Mutex<Vec<SnapshotEvent>>>,
}

/// A recorder of events.
pub(crate) fn recorder() -> (Arc<Mutex<Vec<SnapshotEvent>>>, Sink<SnapshotEvent>) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&events);
    (events, Arc::new(move |event| sink.lock().unwrap().push(event)))
}

impl<F: Fs> Store<F> {
    pub(crate) fn try_open(dir: impl AsRef<Path>, fs: F, options: Options) -> Result<Self, OpenError> {
        let (events, sink) = recorder();
        let (files, report) = SnapshotFiles::open(dir.as_ref(), fs, options, sink)?;
        Ok(Self { files, report, events })
    }

    pub(crate) fn open_in(dir: impl AsRef<Path>, fs: F) -> Self {
        Self::try_open(dir, fs, SMALL).unwrap()
    }

    /// Does what is queued; the events since the last call.
    pub(crate) fn run(&mut self) -> Vec<SnapshotEvent> {
        while self.files.step() {}
        std::mem::take(&mut *self.events.lock().unwrap())
    }

    pub(crate) fn try_create(&mut self, index: u64) -> SnapshotEvent {
        self.files.create(meta_at(index), Box::new(State(state_at(index))));
        only(self.run())
    }

    pub(crate) fn create(&mut self, index: u64) -> SnapshotInfo {
        match self.try_create(index) {
            SnapshotEvent::Created(info) => info,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn sink(&mut self, info: &SnapshotInfo) -> Box<dyn ChunkSink> {
        self.files.sink(&SnapshotOffer { term: Term(99), info: info.clone() })
    }

    pub(crate) fn publish(&mut self, info: &SnapshotInfo) -> SnapshotEvent {
        self.files.publish(info.clone());
        only(self.run())
    }

    /// Index of the newest snapshot; 0 without one.
    pub(crate) fn latest_index(&self) -> u64 {
        self.files.latest().map_or(0, |info| info.meta.last.index.0)
    }

    /// The state in the newest snapshot.
    pub(crate) fn read(&self) -> io::Result<Vec<u8>> {
        let mut state = Vec::new();
        let (_, mut reader) = self.files.reader().expect("a snapshot");
        reader.read_to_end(&mut state)?;
        Ok(state)
    }
}

impl Store<SimFs> {
    pub(crate) fn open(fs: &SimFs) -> Self {
        Self::open_in(DIR, fs.clone())
    }
}

/// A snapshot as another node made it, with a source of its chunks.
pub(crate) fn elsewhere(index: u64) -> (SnapshotInfo, Box<dyn ChunkSource>) {
    let mut store = Store::open(&disk());
    store.create(index);
    store.files.source().unwrap()
}

/// Moves all chunks that `sink` lacks, last first.
pub(crate) fn transfer(
    info: &SnapshotInfo,
    source: &mut dyn ChunkSource,
    sink: &mut dyn ChunkSink,
) -> io::Result<()> {
    let held = sink.have()?;
    for number in (0..info.chunk_count()).rev().filter(|&number| !held.contains(number)) {
        sink.write_chunk(number, &source.read_chunk(number)?)?;
    }
    sink.finish()
}

pub(crate) fn only<T: std::fmt::Debug>(mut all: Vec<T>) -> T {
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// The reason of a failed job, as text.
pub(crate) fn reason(event: &SnapshotEvent) -> String {
    match event {
        SnapshotEvent::Failed { reason, .. } => reason.to_string(),
        other => panic!("{other:?}"),
    }
}
