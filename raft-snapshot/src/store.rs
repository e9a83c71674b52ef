//! The store as a plain value: calls queue, [`SnapshotFiles::step`] works. A thread is a shell around it
//! ([`SnapshotThread`](crate::SnapshotThread)); simulation steps it itself.

use std::collections::VecDeque;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use raft_core::fs::Fs;
use raft_core::snapshot::{ChunkSink, ChunkSource, SnapshotInfo, SnapshotMeta, SnapshotOffer, SnapshotView};
use raft_core::storage::{Sink, SnapshotEvent, SnapshotStore};
use raft_core::types::EntryId;

use crate::error::{JobError, OpenError};
use crate::folder::Folder;
use crate::options::Options;
use crate::recovery::{Findings, OpenReport};
use crate::scan::Verified;
use crate::shared::Shared;
use crate::worker::{Job, Worker};

/// Most jobs that wait at a time; a job holds a frozen view. One more fails at once.
pub(crate) const MAX_WAITING: usize = 16;

/// Snapshot files in one folder. See the crate's documentation for layout and guarantees.
pub struct SnapshotFiles<F: Fs> {
    pub(crate) shared: Arc<Shared<F>>,
    pub(crate) worker: Worker<F>,
    pub(crate) jobs: VecDeque<Job>,
}

impl<F: Fs> SnapshotFiles<F> {
    /// Opens the snapshots in `dir`, making the folder if needed; the folder above should be durable. `events`
    /// gets what becomes of each job.
    ///
    /// Reads the newest snapshot from end to end. A damaged one is passed over, set aside and named in the report: at
    /// once, so who opens more than this, such as a log behind it, [looks](Self::look) first.
    ///
    /// # Errors
    /// [`OpenError`]; no snapshot was touched.
    pub fn open(
        dir: &Path,
        fs: F,
        options: Options,
        events: Sink<SnapshotEvent>,
    ) -> Result<(Self, OpenReport), OpenError> {
        Ok(Self::look(dir, fs, options)?.mend(events))
    }

    /// Looks at the snapshots in `dir`, as [`open`](Self::open) does, and changes nothing: that is for
    /// [`Findings::mend`], once the caller has accepted all else that it opens. Only the folder itself and its lock
    /// file are made if they are not there.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn look(dir: &Path, fs: F, options: Options) -> Result<Findings<F>, OpenError> {
        Findings::of(dir, fs, options)
    }

    pub(crate) fn new(
        folder: Folder<F>,
        options: Options,
        latest: Option<Verified<F::File>>,
        published: Vec<EntryId>,
        events: Sink<SnapshotEvent>,
    ) -> Self {
        let shared = Arc::new(Shared::new(folder, options, latest));
        let closing = Arc::new(AtomicBool::new(false));
        let worker = Worker { shared: Arc::clone(&shared), events, closing, published };
        Self { shared, worker, jobs: VecDeque::new() }
    }

    /// Does the job that waits longest; false if there was none. Its event is out when this returns.
    pub fn step(&mut self) -> bool {
        let job = self.jobs.pop_front();
        let found = job.is_some();
        job.into_iter().for_each(|job| self.worker.run(job));
        found
    }

    fn queue(&mut self, job: Job) {
        if self.jobs.len() < MAX_WAITING {
            self.jobs.push_back(job);
        } else {
            (self.worker.events)(job.failed(busy(job.last())));
        }
    }
}

/// Why a job cannot even wait.
pub(crate) const fn busy(last: EntryId) -> JobError {
    JobError::Busy { last, waiting: MAX_WAITING }
}

impl<F: Fs> SnapshotStore for SnapshotFiles<F> {
    fn latest(&self) -> Option<SnapshotInfo> {
        self.shared.latest_info()
    }

    fn create(&mut self, meta: SnapshotMeta, view: Box<dyn SnapshotView>) {
        self.queue(Job::Create { meta, view });
    }

    fn source(&self) -> Option<(SnapshotInfo, Box<dyn ChunkSource>)> {
        self.shared.source()
    }

    fn sink(&mut self, offer: &SnapshotOffer) -> Box<dyn ChunkSink> {
        self.shared.sink(offer)
    }

    fn publish(&mut self, info: SnapshotInfo) {
        self.queue(Job::Publish { info });
    }

    fn reader(&self) -> Option<(SnapshotMeta, Box<dyn Read + Send>)> {
        self.shared.reader()
    }
}
