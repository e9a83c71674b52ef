//! The data folder: one node's identity and all that it has promised.
//!
//! ```text
//! DIR/  LOCK    held while the node runs
//!       log/    the log, term and vote, node id, cluster id (raft-log)
//!       snap/   snapshots (raft-snapshot)
//!       ancestor-…   clusters that kvd recover made this one of
//! ```
//! The lock is taken first. Then snapshots are looked at, then the log opens behind the newest that is whole, then
//! the snapshots open. A folder without either is a fresh one and gets a new node id; that id is never used for
//! another folder.
//!
//! Invariant (refusal changes nothing): a folder is mended only once all of it has been judged, so that one that
//! is refused is as it was, and the refusal names all that was found.
//! Invariant (one-identity): an id is minted only where there is neither log nor snapshot. A folder that has lost
//! one of them has lost what the node promised under its id, and is refused.

mod ancestors;
mod error;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::io::ErrorKind::{InvalidInput, PermissionDenied};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft_core::configuration::Configuration;
use raft_core::fs::{Fs, StdFs};
use raft_core::node::Sinks;
use raft_core::snapshot::SnapshotMeta;
use raft_core::storage::{LogStore, Recovered, Write};
use raft_core::types::{ClusterId, EntryId, NodeId};
use raft_log::{LogOptions, LogStats, LogThread, RecoveryReport, SegmentedLog};
use raft_snapshot::{SnapshotFiles, SnapshotThread};
use rand::TryRng;
use rand::rngs::SysRng;

pub use error::FolderError;

use crate::compaction::OneSnapshotLater;

const LOCK: &str = "LOCK";
const LOG: &str = "log";
const SNAPSHOTS: &str = "snap";

/// A locked folder.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    _lock: <StdFs as Fs>::Lock,
}

/// What was found in it; nothing runs yet.
pub(crate) struct Opened {
    pub(crate) node_id: NodeId,
    pub(crate) recovered: Recovered,
    pub(crate) findings: Findings,
    /// Whether the id was minted just now.
    pub(crate) is_fresh: bool,
    newest_snapshot: SnapshotMeta,
    log: SegmentedLog<StdFs>,
    snapshots: SnapshotFiles<StdFs>,
}

/// The stores, running.
pub(crate) struct Started {
    pub(crate) recovered: Recovered,
    pub(crate) log: OneSnapshotLater<LogThread>,
    pub(crate) log_stats: Arc<LogStats>,
    pub(crate) snapshots: SnapshotThread<StdFs>,
}

/// What opening found and mended, for the log.
pub(crate) struct Findings {
    log: RecoveryReport,
    snapshots: raft_snapshot::OpenReport,
}

impl DataFolder {
    /// Makes the folder if it is not there, durably, and locks it.
    pub(crate) fn lock(path: &Path) -> Result<Self, FolderError> {
        make_folder(&StdFs, path)?;
        let file = path.join(LOCK);
        let lock = StdFs.lock(&file).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => FolderError::InUse { path: path.to_owned() },
            _ => failed("open the lock file", &file, "choose a --dir that this user can write")(source),
        })?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The node that the folder at `path` is of, and its cluster; `None` if it is fresh, or there is none. Needs no lock,
    /// and changes nothing.
    pub(crate) fn identify(path: &Path) -> Result<Option<(NodeId, Option<ClusterId>)>, FolderError> {
        let found = raft_log::identify(&path.join(LOG), StdFs)?;
        Ok(found.map(|(node_id, hard_state)| (node_id, hard_state.cluster_id)))
    }

    /// Opens what is in it, or makes a fresh node of it.
    pub(crate) fn open(&self, options: &LogOptions, sinks: &Sinks) -> Result<Opened, FolderError> {
        let options_of_snapshots = raft_snapshot::Options::default();
        let looked = SnapshotFiles::look(&self.path.join(SNAPSHOTS), StdFs, options_of_snapshots)?;
        let newest = looked.latest().map_or(SnapshotMeta::NONE, |info| info.meta.clone());
        let log_path = self.path.join(LOG);
        let open = || raft_log::open(&log_path, StdFs, options, &newest, sinks.log.clone());
        let (is_fresh, opened) = match open() {
            Err(raft_log::OpenError::NotInitialised { .. }) => {
                if newest.last != EntryId::ZERO || !looked.damaged().is_empty() {
                    return Err(self.log_missing(looked));
                }
                raft_log::create(&log_path, StdFs, options, mint_node_id()?)?;
                (true, open())
            }
            opened => (false, opened),
        };
        let (log, raft_log::Opened { node_id, recovered, report, .. }) = match opened {
            Ok(opened) => opened,
            Err(source) => {
                let (source, damaged) = (Box::new(source), damaged_files(looked));
                return Err(FolderError::Log { source, damaged });
            }
        };
        let (snapshots, found) = looked.mend(sinks.snapshots.clone());
        let findings = Findings { log: report, snapshots: found };
        Ok(Opened { node_id, recovered, findings, is_fresh, newest_snapshot: newest, log, snapshots })
    }

    fn log_missing(&self, looked: raft_snapshot::Findings<StdFs>) -> FolderError {
        let whole = looked.latest().map(|info| info.meta.last);
        FolderError::LogMissing { path: self.path.clone(), whole, damaged: damaged_files(looked) }
    }
}

fn damaged_files(looked: raft_snapshot::Findings<StdFs>) -> Vec<raft_snapshot::FileError> {
    looked.into_damaged().into_iter().map(|damaged| damaged.reason).collect()
}

impl Opened {
    /// The cluster that the node belongs to.
    pub(crate) fn cluster_id(&self) -> Option<ClusterId> {
        self.recovered.hard_state.cluster_id
    }

    /// The newest configuration that the node has.
    pub(crate) fn configuration(&self) -> Option<&Configuration> {
        let in_log = self.recovered.configurations.last().map(|(_, configuration)| configuration);
        in_log.or(self.newest_snapshot.configuration.as_deref())
    }

    /// The newest snapshot that is whole.
    pub(crate) const fn newest_snapshot(&self) -> &SnapshotMeta {
        &self.newest_snapshot
    }

    /// Performs one write, on this thread, and closes the stores. The log's sink hears of a failure.
    pub(crate) fn write(mut self, write: Write) {
        self.log.submit(write);
        while self.log.step() {}
        self.log.mark();
    }

    /// Starts the stores' threads.
    ///
    /// # Errors
    /// The operating system has no thread to give.
    pub(crate) fn start(self) -> io::Result<Started> {
        let (log, snapshots) = (LogThread::spawn(self.log)?, SnapshotThread::spawn(self.snapshots)?);
        let (recovered, log_stats) = (self.recovered, log.stats());
        Ok(Started { recovered, log_stats, log: OneSnapshotLater::new(log), snapshots })
    }
}

impl Findings {
    /// Says what an operator should know.
    pub(crate) fn trace(&self) {
        for damaged in &self.snapshots.damaged {
            tracing::warn!("damaged snapshot passed over: {damaged}");
        }
        for refused in &self.snapshots.refused {
            tracing::warn!("snapshot folder cannot be tidied up: {refused}");
        }
        if let Some(torn) = &self.log.torn_tail {
            let (file, pages) = (torn.path.display(), torn.pages);
            tracing::warn!(
                "the log ends after entry {} in {file} at byte {}: {pages} pages behind it were written but never \
                 acknowledged, or rotted: {}",
                torn.after,
                torn.offset,
                torn.fault
            );
        }
        if self.log.metadata_repaired {
            tracing::warn!("a copy of term and vote was torn and has been written again from the other one");
        }
        if let Some(base) = self.log.reset_to {
            tracing::info!(%base, "the log does not reach the newest snapshot: it starts again after it");
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} segments, {} batches", self.log.segments, self.log.batches)?;
        match &self.snapshots.latest {
            Some(info) => write!(f, ", snapshot of entry {}", info.meta.last),
            None => f.write_str(", no snapshot"),
        }
    }
}

/// Makes a folder and those above it, and their names durable: also of those that are there, for who made them may
/// have been killed before it came to that.
fn make_folder<F: Fs>(fs: &F, path: &Path) -> Result<(), FolderError> {
    const ADVICE: &str = "choose a --dir that is a folder, or can be made one, and that this user can write";
    fs.create_dir_all(path).map_err(failed("make the folder", path, ADVICE))?;
    for above in path.ancestors().skip(1) {
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        match fs.sync_dir(above) {
            // Whoever may not list a folder has made nothing in it; nor has anybody, where the file system has
            // nothing to sync because it is read-only for good.
            Err(error) if matches!(error.kind(), PermissionDenied | InvalidInput) => {}
            synced => synced.map_err(failed("sync the folder", above, ADVICE))?,
        }
    }
    Ok(())
}

fn mint_node_id() -> Result<NodeId, FolderError> {
    loop {
        if let Some(id) = NodeId::new(SysRng.try_next_u64()?) {
            return Ok(id);
        }
    }
}

fn failed(doing: &'static str, path: &Path, advice: &'static str) -> impl FnOnce(io::Error) -> FolderError {
    move |source| FolderError::Io { doing, path: path.to_owned(), source, advice }
}
