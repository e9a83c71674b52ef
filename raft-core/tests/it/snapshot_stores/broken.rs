//! Snapshot stores that are right but for one bug.

use std::io::{self, Read};
use std::sync::{Arc, Mutex};

use raft_core::snapshot::{
    ChunkSet, ChunkSink, ChunkSource, SnapshotInfo, SnapshotMeta, SnapshotOffer, SnapshotView,
};
use raft_core::storage::{SnapshotEvent, SnapshotStore, StoreError};
use raft_core::testing::sim_snapshots::{SimSnapshots, SnapshotFile, SnapshotImage};
use raft_core::testing::snapshot_store_suite::SnapshotHarness;
use raft_core::testing::suite::Crash;

use super::SimHarness;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    FinishesUnverified,
    TakesAnyChunk,
    ClaimsChunks,
    StartsOver,
    ServesUnpublished,
    ReportsTooEarly,
    PublishesHalf,
    KeepsOne,
    DropsNewest,
    FailureLosesOld,
    LoadsRotten,
}

/// A [`SimSnapshots`] with a bug between it and its user.
pub(super) struct BrokenStore {
    store: SimSnapshots,
    bug: Bug,
    /// What a sink finished and nobody published.
    unpublished: Arc<Mutex<Option<SnapshotInfo>>>,
    /// A failure lost everything.
    lost: bool,
}

impl SnapshotStore for BrokenStore {
    fn latest(&self) -> Option<SnapshotInfo> {
        if self.lost {
            return None;
        }
        self.unpublished.lock().unwrap().clone().or_else(|| self.store.latest())
    }

    fn create(&mut self, meta: SnapshotMeta, view: Box<dyn SnapshotView>) {
        self.store.create(meta, view);
    }

    fn source(&self) -> Option<(SnapshotInfo, Box<dyn ChunkSource>)> {
        self.store.source()
    }

    fn sink(&mut self, offer: &SnapshotOffer) -> Box<dyn ChunkSink> {
        let (bug, info) = (self.bug, offer.info.clone());
        Box::new(BrokenSink {
            sink: self.store.sink(offer),
            bug,
            info,
            unpublished: self.unpublished.clone(),
        })
    }

    fn publish(&mut self, info: SnapshotInfo) {
        self.store.publish(info);
    }

    fn reader(&self) -> Option<(SnapshotMeta, Box<dyn Read + Send>)> {
        self.store.reader()
    }
}

struct BrokenSink {
    sink: Box<dyn ChunkSink>,
    bug: Bug,
    info: SnapshotInfo,
    unpublished: Arc<Mutex<Option<SnapshotInfo>>>,
}

impl ChunkSink for BrokenSink {
    fn have(&mut self) -> io::Result<ChunkSet> {
        let mut have = self.sink.have()?;
        match self.bug {
            Bug::ClaimsChunks => have.insert(0),
            Bug::StartsOver => have = ChunkSet::default(),
            _ => {}
        }
        Ok(have)
    }

    fn write_chunk(&mut self, number: u64, bytes: &[u8]) -> io::Result<()> {
        let written = self.sink.write_chunk(number, bytes);
        if self.bug == Bug::TakesAnyChunk { Ok(()) } else { written }
    }

    fn finish(&mut self) -> io::Result<()> {
        let finished = self.sink.finish();
        match self.bug {
            Bug::FinishesUnverified => Ok(()),
            Bug::ServesUnpublished if finished.is_ok() => {
                *self.unpublished.lock().unwrap() = Some(self.info.clone());
                Ok(())
            }
            _ => finished,
        }
    }
}

pub(super) struct BrokenHarness {
    inner: SimHarness,
    bug: Bug,
}

impl BrokenHarness {
    pub(super) fn new(bug: Bug) -> Self {
        Self { inner: SimHarness::default(), bug }
    }
}

struct Bytes(Vec<u8>);

impl SnapshotView for Bytes {
    fn write_to(&self, out: &mut dyn io::Write) -> io::Result<()> {
        out.write_all(&self.0)
    }
}

/// A file of these contents whose digest is right, as a store makes it that looks too late.
fn relabelled(meta: SnapshotMeta, state: Vec<u8>) -> SnapshotFile {
    let (mut scratch, _) = SimSnapshots::open(SnapshotImage::default(), Arc::new(|_| {}));
    scratch.create(meta, Box::new(Bytes(state)));
    scratch.run();
    scratch.with_image(|image| image.latest().unwrap().clone())
}

/// The state inside a file, rotten or not: what its header, as long as that of any file of this meta, leaves.
fn state_of(file: &SnapshotFile) -> Vec<u8> {
    let header = relabelled(file.info.meta.clone(), Vec::new()).bytes.len();
    file.bytes[header..].to_vec()
}

fn image_of(files: &[SnapshotFile]) -> SnapshotImage {
    let mut image = SnapshotImage::default();
    files.iter().for_each(|file| image.publish(file.clone()));
    image
}

impl SnapshotHarness for BrokenHarness {
    type Store = BrokenStore;

    fn open(&mut self) -> Result<BrokenStore, StoreError> {
        let files = self.inner.image.files();
        match self.bug {
            Bug::KeepsOne => self.inner.image = image_of(&files[files.len().saturating_sub(1)..]),
            Bug::DropsNewest if files.len() == 2 => self.inner.image = image_of(&files[..1]),
            Bug::LoadsRotten => {
                let relabel = |file: &SnapshotFile| relabelled(file.info.meta.clone(), state_of(file));
                self.inner.image = image_of(&files.iter().map(relabel).collect::<Vec<_>>());
            }
            _ => {}
        }
        let store = self.inner.open()?;
        Ok(BrokenStore { store, bug: self.bug, unpublished: Arc::default(), lost: false })
    }

    fn run(&mut self, store: &mut BrokenStore) -> Vec<SnapshotEvent> {
        let events = self.inner.run(&mut store.store);
        let failed = events.iter().any(|event| matches!(event, SnapshotEvent::Failed { .. }));
        store.lost |= failed && self.bug == Bug::FailureLosesOld;
        events
    }

    fn close(&mut self, store: BrokenStore) {
        self.inner.close(store.store);
    }

    fn crash(
        &mut self,
        mut store: BrokenStore,
        crash: Crash,
        work: &mut dyn FnMut(&mut BrokenStore),
    ) -> Option<Vec<SnapshotEvent>> {
        work(&mut store);
        let before = store.store.with_image(SnapshotImage::clone);
        let under_way = crash.after == 0 && store.store.pending() > 0;
        if !under_way || !matches!(self.bug, Bug::ReportsTooEarly | Bug::PublishesHalf) {
            return self.inner.crash(store.store, crash, &mut |_| {});
        }
        store.store.run();
        let events = self.inner.take_events();
        self.inner.image = before;
        if self.bug == Bug::ReportsTooEarly {
            return Some(events);
        }
        if let Some(file) = store.store.with_image(|image| image.latest().cloned()) {
            let state = state_of(&file);
            self.inner.image.publish(relabelled(file.info.meta, state[..state.len() / 2].to_vec()));
        }
        Some(Vec::new())
    }

    fn fail_next_sync(&mut self, store: &mut BrokenStore) -> bool {
        self.inner.fail_next_sync(&mut store.store)
    }

    fn damage(&mut self, pattern: &[u8]) -> Option<usize> {
        self.inner.damage(pattern)
    }
}
