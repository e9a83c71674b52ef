//! The half of the store that works: creates, publishes, retires. One job at a time, on whatever thread runs it.
//!
//! Order of a publication (each step only after the one before):
//! 1. every byte is in the partial file, and synced;
//! 2. the file is read back from the medium and verified as a whole;
//! 3. it gets its name, and the folder is synced: from here on an opening finds it;
//! 4. it becomes the newest for all who look, and the event tells;
//! 5. what is older than the newest two goes. That is not synced: a name that comes back is retired again later.
//!
//! Invariant (never-less): a published snapshot loses its name only after two newer ones are durable.

use std::any::Any;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use raft_core::fs::Fs;
use raft_core::snapshot::{SnapshotInfo, SnapshotMeta, SnapshotView};
use raft_core::storage::{Sink, SnapshotEvent};
use raft_core::types::EntryId;

use crate::error::JobError;
use crate::flaw::Flaw;
use crate::folder::sync_file;
use crate::format::encode_header;
use crate::inbox::Received;
use crate::name::Name;
use crate::options::Options;
use crate::scan::Verified;
use crate::shared::Shared;
use crate::writer::FileWriter;

/// How many published snapshots are kept.
const KEPT: usize = 2;

/// Something to do in the background.
pub(crate) enum Job {
    /// Write a view out and publish it.
    Create { meta: SnapshotMeta, view: Box<dyn SnapshotView> },
    /// Publish what a sink has finished.
    Publish { info: SnapshotInfo },
}

impl Job {
    /// Last entry of the snapshot.
    pub(crate) const fn last(&self) -> EntryId {
        match self {
            Self::Create { meta, .. } | Self::Publish { info: SnapshotInfo { meta, .. } } => meta.last,
        }
    }

    /// The event that tells that nothing came of this job.
    pub(crate) fn failed(&self, reason: JobError) -> SnapshotEvent {
        let received = matches!(self, Self::Publish { .. });
        SnapshotEvent::Failed { last: self.last(), received, reason: Arc::new(reason) }
    }
}

/// Does the jobs of one store.
pub(crate) struct Worker<F: Fs> {
    pub(crate) shared: Arc<Shared<F>>,
    pub(crate) events: Sink<SnapshotEvent>,
    /// Set when the store is being closed: what is running gives up soon, what waits does not begin.
    pub(crate) closing: Arc<AtomicBool>,
    /// Last entries of the published snapshots, ascending. All but the last one are only known by name.
    pub(crate) published: Vec<EntryId>,
}

impl<F: Fs> Worker<F> {
    /// Does `job` and reports what came of it; then retires old snapshots.
    pub(crate) fn run(&mut self, mut job: Job) {
        let last = job.last();
        let outcome = catch_unwind(AssertUnwindSafe(|| self.carry_out(&mut job)))
            .unwrap_or_else(|panic| Err(JobError::Panicked { last, message: message_of(&*panic) }));
        let event = match outcome {
            Err(reason) => job.failed(reason),
            Ok(event) => event,
        };
        drop(job);
        if matches!(event, SnapshotEvent::Failed { received: false, .. }) {
            let folder = &self.shared.folder;
            folder.discard(&folder.path_of(Name::Creating(last)));
        }
        (self.events)(event);
        self.retire();
    }

    fn carry_out(&mut self, job: &mut Job) -> Result<SnapshotEvent, JobError> {
        let last = job.last();
        if self.closing.load(Ordering::Relaxed) {
            return Err(JobError::Closing { last });
        }
        match job {
            Job::Create { meta, view } => self.create(meta, &**view).map(SnapshotEvent::Created),
            Job::Publish { info } => self.publish(info).map(SnapshotEvent::Published),
        }
    }

    fn check_newer(&self, last: EntryId) -> Result<(), JobError> {
        match self.shared.is_newer(last) {
            true => Ok(()),
            false => Err(JobError::NotNewer { last, latest: self.shared.last() }),
        }
    }

    fn create(&mut self, meta: &SnapshotMeta, view: &dyn SnapshotView) -> Result<SnapshotInfo, JobError> {
        self.check_newer(meta.last)?;
        let part = self.shared.folder.path_of(Name::Creating(meta.last));
        self.shared.folder.remove(&part)?;
        let expected = self.write(&part, meta, view)?;
        let snapshot: Verified<_> = self.shared.read_back::<JobError>(&part)?;
        let found = snapshot.info.digest;
        if found != expected {
            return Err(Flaw::Digest { found, expected }.of(part).into());
        }
        self.enter(&part, snapshot)
    }

    /// Writes a new file, syncs it, and answers with its digest.
    fn write(&self, part: &Path, meta: &SnapshotMeta, view: &dyn SnapshotView) -> Result<[u8; 32], JobError> {
        let Options { page_bytes, state_version, .. } = self.shared.options;
        let file = self.shared.folder.create_new(part)?;
        let header = encode_header(meta, page_bytes, state_version);
        let mut writer = FileWriter::new(&file, meta.last, page_bytes, header.len(), &self.closing);
        let written = writer.write_all(&header);
        let written = written.and_then(|()| view.write_to(&mut writer)).and_then(|()| writer.finish());
        let bytes = writer.offset();
        let digest = written.map_err(|source| JobError::View { path: part.to_owned(), bytes, source })?;
        sync_file(&file, part)?;
        Ok(digest)
    }

    fn publish(&mut self, info: &SnapshotInfo) -> Result<SnapshotInfo, JobError> {
        // Locked to the end: no sink may take the file for one that is still to be written.
        let shared = Arc::clone(&self.shared);
        let mut inbox = shared.inbox();
        let received = inbox.finished.take_if(|received| received.snapshot.info == *info);
        let Received { part, snapshot } = received.ok_or(JobError::NotReceived { last: info.meta.last })?;
        self.check_newer(info.meta.last).inspect_err(|_| shared.folder.discard(&part))?;
        self.enter(&part, snapshot)
    }

    /// Gives a verified, synced file its name, durably, and makes it the newest.
    fn enter(&mut self, part: &Path, snapshot: Verified<F::File>) -> Result<SnapshotInfo, JobError> {
        let info = snapshot.info.clone();
        let last = info.meta.last;
        let folder = &self.shared.folder;
        folder.rename(part, &folder.path_of(Name::Snapshot(last)))?;
        folder.sync()?;
        self.published.push(last);
        self.shared.set_latest(snapshot);
        tracing::debug!(%last, bytes = info.length, "snapshot published");
        Ok(info)
    }

    /// Removes what is older than the newest two. What cannot be removed is tried again after the next job.
    fn retire(&mut self) {
        while self.published.len() > KEPT {
            let folder = &self.shared.folder;
            if let Err(error) = folder.remove(&folder.path_of(Name::Snapshot(self.published[0]))) {
                tracing::warn!(%error, "an old snapshot stays for now");
                return;
            }
            self.published.remove(0);
        }
    }
}

/// What a panic said.
fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("(no message)").to_owned()
}
