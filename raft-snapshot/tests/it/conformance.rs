//! The conformance suite of raft-core, over the simulated and the real file system, with and without a thread.

use std::io::Read;
use std::mem;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};

use raft_core::fs::StdFs;
use raft_core::snapshot::{ChunkSink, ChunkSource, SnapshotInfo, SnapshotMeta, SnapshotOffer, SnapshotView};
use raft_core::storage::{Sink, SnapshotEvent, SnapshotStore, StoreError};
use raft_core::testing::SimFs;
use raft_core::testing::sim_fs::OperationKind;
use raft_core::testing::snapshot_store_suite::{SnapshotHarness, SnapshotSentence, check_snapshot_store};
use raft_core::testing::suite::{Crash, Leaves};
use raft_snapshot::{Options, SnapshotFiles, SnapshotThread};

use crate::support::{DIR, disk};

const OPTIONS: Options = Options { page_bytes: 512, chunk_bytes: 2048, state_version: 1 };

type Events = Arc<Mutex<Vec<SnapshotEvent>>>;

struct Simulated {
    fs: SimFs,
    events: Events,
}

impl Simulated {
    fn new() -> Self {
        Self { fs: disk(), events: Events::default() }
    }
}

impl SnapshotHarness for Simulated {
    type Store = SnapshotFiles<SimFs>;

    fn open(&mut self) -> Result<Self::Store, StoreError> {
        let (fs, events) = (self.fs.clone(), Arc::clone(&self.events));
        // A dead process tells nothing.
        let tell = move |event| {
            if fs.crashed().is_none() {
                events.lock().unwrap().push(event)
            }
        };
        let opened = SnapshotFiles::open(DIR.as_ref(), self.fs.clone(), OPTIONS, Arc::new(tell));
        opened.map(|(store, _)| store).map_err(|error| Arc::new(error) as _)
    }

    fn run(&mut self, store: &mut Self::Store) -> Vec<SnapshotEvent> {
        while store.step() {}
        mem::take(&mut *self.events.lock().unwrap())
    }

    fn crash(
        &mut self,
        mut store: Self::Store,
        crash: Crash,
        work: &mut dyn FnMut(&mut Self::Store),
    ) -> Option<Vec<SnapshotEvent>> {
        self.fs.crash_at(self.fs.operations() + crash.after);
        work(&mut store);
        let events = self.run(&mut store);
        drop(store);
        self.fs = match crash.leaves {
            Leaves::Cache => self.fs.kill(),
            Leaves::Medium(choice) => self.fs.power_loss(choice),
        };
        Some(events)
    }

    fn fail_next_sync(&mut self, _: &mut Self::Store) -> bool {
        let log = self.fs.operation_log();
        let is_sync = |kind| matches!(kind, OperationKind::SyncData | OperationKind::SyncDir);
        self.fs.fail_sync_at(log.iter().filter(|operation| is_sync(operation.kind)).count() as u64);
        true
    }

    fn damage(&mut self, pattern: &[u8]) -> Option<usize> {
        let mut copies = 0;
        for (name, mut bytes) in self.fs.image(DIR).unwrap_or_default() {
            copies += flip(&mut bytes, pattern);
            self.fs.set_contents(format!("{DIR}/{name}"), bytes).unwrap();
        }
        Some(copies)
    }
}

/// The real file system, and a thread that does the work.
struct Threaded {
    _folder: tempfile::TempDir,
    dir: PathBuf,
    events: Receiver<SnapshotEvent>,
    tell: Sink<SnapshotEvent>,
}

impl Threaded {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (sender, events) = mpsc::channel();
        let sender = Mutex::new(sender);
        let tell: Sink<SnapshotEvent> = Arc::new(move |event| sender.lock().unwrap().send(event).unwrap());
        Self { dir: folder.path().join("snapshots"), _folder: folder, events, tell }
    }
}

/// A store that counts its jobs, so that a harness knows how many events to wait for.
struct Counting {
    store: SnapshotThread<StdFs>,
    jobs: usize,
}

impl SnapshotStore for Counting {
    fn latest(&self) -> Option<SnapshotInfo> {
        self.store.latest()
    }

    fn create(&mut self, meta: SnapshotMeta, view: Box<dyn SnapshotView>) {
        self.jobs += 1;
        self.store.create(meta, view);
    }

    fn source(&self) -> Option<(SnapshotInfo, Box<dyn ChunkSource>)> {
        self.store.source()
    }

    fn sink(&mut self, offer: &SnapshotOffer) -> Box<dyn ChunkSink> {
        self.store.sink(offer)
    }

    fn publish(&mut self, info: SnapshotInfo) {
        self.jobs += 1;
        self.store.publish(info);
    }

    fn reader(&self) -> Option<(SnapshotMeta, Box<dyn Read + Send>)> {
        self.store.reader()
    }
}

impl SnapshotHarness for Threaded {
    type Store = Counting;

    fn open(&mut self) -> Result<Counting, StoreError> {
        let opened = SnapshotFiles::open(&self.dir, StdFs, OPTIONS, Arc::clone(&self.tell));
        let (files, _) = opened.map_err(|error| Arc::new(error) as StoreError)?;
        let store = SnapshotThread::spawn(files).map_err(|error| Arc::new(error) as StoreError)?;
        Ok(Counting { store, jobs: 0 })
    }

    fn run(&mut self, store: &mut Counting) -> Vec<SnapshotEvent> {
        self.events.iter().take(mem::take(&mut store.jobs)).collect()
    }

    fn damage(&mut self, pattern: &[u8]) -> Option<usize> {
        let mut copies = 0;
        for entry in std::fs::read_dir(&self.dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            copies += flip(&mut bytes, pattern);
            std::fs::write(&path, bytes).unwrap();
        }
        Some(copies)
    }
}

/// Flips a bit in every copy of `pattern`; how many there were.
fn flip(bytes: &mut [u8], pattern: &[u8]) -> usize {
    let found: Vec<_> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(pattern)).collect();
    found.iter().for_each(|&at| bytes[at] ^= 1);
    found.len()
}

#[test]
fn the_store_keeps_every_sentence_of_the_contract_over_the_simulated_file_system() {
    let passed = check_snapshot_store(Simulated::new).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(passed.skipped, []);
}

#[test]
fn the_store_on_a_thread_keeps_the_contract_over_the_real_file_system() {
    let passed = check_snapshot_store(Threaded::new).unwrap_or_else(|failure| panic!("{failure}"));
    // A real disk neither fails nor loses power at will.
    let skipped = [SnapshotSentence::NothingLost, SnapshotSentence::DurableFirst, SnapshotSentence::Atomic];
    assert_eq!(passed.skipped, skipped);
}
