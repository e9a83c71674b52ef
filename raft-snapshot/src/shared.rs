//! What the two halves of a store, and all that it hands out, have in common.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use raft_core::fs::Fs;
use raft_core::snapshot::{ChunkSink, ChunkSource, SnapshotInfo, SnapshotMeta, SnapshotOffer};
use raft_core::types::EntryId;

use crate::error::FsError;
use crate::flaw::FileError;
use crate::folder::{Folder, drop_cache};
use crate::inbox::Inbox;
use crate::name::Name;
use crate::options::Options;
use crate::reader::BodyReader;
use crate::scan::Verified;
use crate::sink::FileSink;
use crate::source::FileSource;

/// The state of one store. The worker publishes; everybody else looks.
pub(crate) struct Shared<F: Fs> {
    pub(crate) folder: Folder<F>,
    pub(crate) options: Options,
    latest: Mutex<Option<Arc<Verified<F::File>>>>,
    inbox: Mutex<Inbox<F::File>>,
    sinks: AtomicU64,
}

impl<F: Fs> Shared<F> {
    pub(crate) fn new(folder: Folder<F>, options: Options, latest: Option<Verified<F::File>>) -> Self {
        let (latest, inbox) = (Mutex::new(latest.map(Arc::new)), Mutex::new(Inbox::default()));
        Self { folder, options, latest, inbox, sinks: AtomicU64::new(0) }
    }

    /// The newest published snapshot. Never waits for a disk.
    pub(crate) fn latest(&self) -> Option<Arc<Verified<F::File>>> {
        lock(&self.latest).clone()
    }

    /// Last entry of the newest published snapshot; before the log if there is none.
    pub(crate) fn last(&self) -> EntryId {
        self.latest().map_or(EntryId::ZERO, |snapshot| snapshot.info.meta.last)
    }

    /// Whether a snapshot through `last` would be newer than the newest published one.
    pub(crate) fn is_newer(&self, last: EntryId) -> bool {
        let latest = self.last();
        last.index > latest.index && last.term >= latest.term
    }

    /// Makes `snapshot` the newest.
    pub(crate) fn set_latest(&self, snapshot: Verified<F::File>) {
        *lock(&self.latest) = Some(Arc::new(snapshot));
    }

    /// Reads a new file back from the medium, all of it.
    pub(crate) fn read_back<E>(&self, path: &Path) -> Result<Verified<F::File>, E>
    where
        E: From<FsError> + From<FileError>,
    {
        let file = self.folder.open_file(path)?;
        drop_cache(&file, path)?;
        let read = Verified::read(file, self.options.chunk_bytes, self.options.state_version);
        read.map_err(|flaw| flaw.of(path).into())
    }

    /// The inbox. May wait for one call of a sink, or for a publication.
    pub(crate) fn inbox(&self) -> MutexGuard<'_, Inbox<F::File>> {
        lock(&self.inbox)
    }

    /// What [`SnapshotStore::latest`](raft_core::storage::SnapshotStore::latest) answers.
    pub(crate) fn latest_info(&self) -> Option<SnapshotInfo> {
        self.latest().map(|snapshot| snapshot.info.clone())
    }

    /// What [`SnapshotStore::source`](raft_core::storage::SnapshotStore::source) answers.
    pub(crate) fn source(&self) -> Option<(SnapshotInfo, Box<dyn ChunkSource>)> {
        let snapshot = self.latest()?;
        let (info, path) = (snapshot.info.clone(), self.path_of(&snapshot));
        Some((info, Box::new(FileSource::new(path, snapshot))))
    }

    /// What [`SnapshotStore::reader`](raft_core::storage::SnapshotStore::reader) answers.
    pub(crate) fn reader(&self) -> Option<(SnapshotMeta, Box<dyn Read + Send>)> {
        let snapshot = self.latest()?;
        let (meta, path) = (snapshot.info.meta.clone(), self.path_of(&snapshot));
        Some((meta, Box::new(BodyReader::new(path, snapshot, self.options.state_version))))
    }

    /// What [`SnapshotStore::sink`](raft_core::storage::SnapshotStore::sink) answers.
    pub(crate) fn sink(self: &Arc<Self>, offer: &SnapshotOffer) -> Box<dyn ChunkSink> {
        let ticket = self.sinks.fetch_add(1, Ordering::Relaxed) + 1;
        Box::new(FileSink::new(Arc::clone(self), offer.info.clone(), ticket))
    }

    fn path_of(&self, snapshot: &Verified<F::File>) -> PathBuf {
        self.folder.path_of(Name::Snapshot(snapshot.info.meta.last))
    }
}

/// A panic elsewhere does not matter: each change to what is locked here is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
