//! The store with a thread of its own: the shell around [`SnapshotFiles`] that production uses.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::thread::{self, JoinHandle};

use raft_core::fs::Fs;
use raft_core::snapshot::{ChunkSink, ChunkSource, SnapshotInfo, SnapshotMeta, SnapshotOffer, SnapshotView};
use raft_core::storage::{Sink, SnapshotEvent, SnapshotStore};

use crate::error::JobError;
use crate::shared::Shared;
use crate::store::{MAX_WAITING, SnapshotFiles, busy};
use crate::worker::Job;

/// A [`SnapshotFiles`] that steps itself on a thread of low priority. Same answers, same events.
///
/// Dropping it gives up the job that runs, fails those that wait, and waits for the thread.
pub struct SnapshotThread<F: Fs> {
    shared: Arc<Shared<F>>,
    events: Sink<SnapshotEvent>,
    closing: Arc<AtomicBool>,
    /// `None` only while being dropped.
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl<F: Fs> SnapshotThread<F> {
    /// Starts the thread; jobs that wait in `files` are done first.
    ///
    /// # Errors
    /// The operating system starts no thread.
    pub fn spawn(files: SnapshotFiles<F>) -> io::Result<Self> {
        let SnapshotFiles { shared, mut worker, jobs: first } = files;
        let (events, closing) = (Arc::clone(&worker.events), Arc::clone(&worker.closing));
        let (jobs, queue) = mpsc::sync_channel(MAX_WAITING);
        let thread = thread::Builder::new().name("raft-snapshot".into()).spawn(move || {
            lower_priority();
            first.into_iter().chain(queue).for_each(|job| worker.run(job));
        })?;
        Ok(Self { shared, events, closing, jobs: Some(jobs), thread: Some(thread) })
    }

    fn queue(&mut self, job: Job) {
        let jobs = self.jobs.as_ref().expect("taken only by drop");
        let (job, reason) = match jobs.try_send(job) {
            Ok(()) => return,
            Err(TrySendError::Full(job)) => {
                let reason = busy(job.last());
                (job, reason)
            }
            Err(TrySendError::Disconnected(job)) => {
                let reason = JobError::Closing { last: job.last() };
                (job, reason)
            }
        };
        (self.events)(job.failed(reason));
    }
}

impl<F: Fs> Drop for SnapshotThread<F> {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        drop(self.jobs.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if let Some(Err(_)) = ended {
            tracing::error!("the snapshot thread ended with a panic of its event sink");
        }
    }
}

impl<F: Fs> SnapshotStore for SnapshotThread<F> {
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

/// Lets other threads go first. On Linux a nice value belongs to a thread.
#[cfg(target_os = "linux")]
fn lower_priority() {
    const NICE: i32 = 10;
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "the snapshot thread keeps its priority");
    }
}

/// Elsewhere it belongs to the process: leave it.
#[cfg(not(target_os = "linux"))]
const fn lower_priority() {}
