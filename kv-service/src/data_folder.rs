//! The data folder: one node's identity and all that it has promised.
//!
//! ```text
//! DIR/  LOCK    held while the node runs
//!       log/    the log, term and vote, node id, cluster id (raft-log)
//!       snap/   snapshots (raft-snapshot)
//! ```
//! The lock is taken first. Then snapshots open, then the log behind the newest of them. A folder without either
//! is a fresh one and gets a new node id; that id is never used for another folder.
//!
//! Invariant (one-identity): an id is minted only where there is neither log nor snapshot. A folder that has lost
//! one of them has lost what the node promised under its id, and is refused.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use raft_core::configuration::Configuration;
use raft_core::fs::{Fs, StdFs};
use raft_core::node::Sinks;
use raft_core::snapshot::SnapshotMeta;
use raft_core::storage::Recovered;
use raft_core::types::{ClusterId, EntryId, NodeId};
use raft_log::{LogOptions, LogThread, RecoveryReport, SegmentedLog};
use raft_snapshot::{SnapshotFiles, SnapshotThread};
use rand::TryRng;
use rand::rngs::SysRng;

const LOCK: &str = "LOCK";
const LOG: &str = "log";
const SNAPSHOTS: &str = "snap";

/// Why a data folder cannot be used. Except for a lock file, and of a new folder the folder itself, nothing was
/// changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The operating system refused.
    #[error("data folder: cannot {doing} {}: {source}; {advice}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
        /// What to do.
        advice: &'static str,
    },
    /// Another process works in the folder.
    #[error("data folder {}: in use by another process; stop that one, or choose another --dir", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The snapshots cannot be opened.
    #[error("snapshots: {0}")]
    Snapshots(#[from] raft_snapshot::OpenError),
    /// The log cannot be opened.
    #[error("log: {0}")]
    Log(#[from] raft_log::OpenError),
    /// There are snapshots, and no log.
    #[error(
        "data folder {}: there is a snapshot of entry {snapshot} but no log: this node's term and vote are lost; \
         restore the folder, or move it away and let the node join under a new id",
        path.display()
    )]
    LogMissing {
        /// The folder.
        path: PathBuf,
        /// Last entry of the newest snapshot.
        snapshot: EntryId,
    },
    /// The operating system has no randomness to give.
    #[error("cannot mint a node id: {0}")]
    Randomness(#[from] rand::rngs::SysError),
}

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

/// What opening found and mended, for the log.
pub(crate) struct Findings {
    log: RecoveryReport,
    snapshots: raft_snapshot::OpenReport,
}

impl DataFolder {
    /// Makes the folder if it is not there, durably, and locks it.
    pub(crate) fn lock(path: &Path) -> Result<Self, FolderError> {
        make_folder(path)?;
        let file = path.join(LOCK);
        let lock = StdFs.lock(&file).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => FolderError::InUse { path: path.to_owned() },
            _ => failed("open the lock file", &file, "choose a --dir that this user can write")(source),
        })?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The node that the folder is of, and its cluster; `None` for a fresh folder. Changes nothing.
    pub(crate) fn identify(&self) -> Result<Option<(NodeId, Option<ClusterId>)>, FolderError> {
        let found = raft_log::identify(&self.path.join(LOG), StdFs)?;
        Ok(found.map(|(node_id, hard_state)| (node_id, hard_state.cluster_id)))
    }

    /// Opens what is in it, or makes a fresh node of it.
    pub(crate) fn open(&self, options: &LogOptions, sinks: &Sinks) -> Result<Opened, FolderError> {
        let snapshot_options = raft_snapshot::Options::default();
        let (snapshots, found) = SnapshotFiles::open(
            &self.path.join(SNAPSHOTS),
            StdFs,
            snapshot_options,
            sinks.snapshots.clone(),
        )?;
        let newest = found.latest.as_ref().map_or(SnapshotMeta::NONE, |info| info.meta.clone());
        let log_path = self.path.join(LOG);
        let open = || raft_log::open(&log_path, StdFs, options, &newest, sinks.log.clone());
        let (is_fresh, opened) = match open() {
            Err(raft_log::OpenError::NotInitialised { .. }) => {
                self.refuse_orphans(&newest)?;
                raft_log::create(&log_path, StdFs, options, mint_node_id()?)?;
                (true, open()?)
            }
            opened => (false, opened?),
        };
        let (log, raft_log::Opened { node_id, recovered, report, .. }) = opened;
        let findings = Findings { log: report, snapshots: found };
        Ok(Opened { node_id, recovered, findings, is_fresh, newest_snapshot: newest, log, snapshots })
    }

    fn refuse_orphans(&self, newest: &SnapshotMeta) -> Result<(), FolderError> {
        if newest.last == EntryId::ZERO {
            return Ok(());
        }
        Err(FolderError::LogMissing { path: self.path.clone(), snapshot: newest.last })
    }
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

    /// Starts the stores' threads.
    ///
    /// # Errors
    /// The operating system has no thread to give.
    pub(crate) fn start(self) -> io::Result<(Recovered, LogThread, SnapshotThread<StdFs>)> {
        Ok((self.recovered, LogThread::spawn(self.log)?, SnapshotThread::spawn(self.snapshots)?))
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

/// Makes a folder and those above it, and their names durable.
fn make_folder(path: &Path) -> Result<(), FolderError> {
    const ADVICE: &str = "choose a --dir that is a folder, or can be made one, and that this user can write";
    if path.is_dir() {
        return Ok(());
    }
    let above = match path.parent() {
        Some(above) if above.as_os_str().is_empty() => Path::new("."),
        Some(above) => above,
        None => path,
    };
    if above != path {
        make_folder(above)?;
    }
    StdFs.create_dir_all(path).map_err(failed("make the folder", path, ADVICE))?;
    StdFs.sync_dir(above).map_err(failed("sync the folder", above, ADVICE))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_folder_gets_an_id_and_keeps_it() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("a/b");
        let (sinks, _events) = raft_core::node::channels();
        let open = || DataFolder::lock(&path).unwrap().open(&LogOptions::default(), &sinks).unwrap();
        let first = open();
        assert!(first.is_fresh && first.cluster_id().is_none());
        let id = first.node_id;
        drop(first);
        let again = open();
        assert_eq!((again.is_fresh, again.node_id), (false, id));
    }

    #[test]
    fn a_folder_has_one_user_at_a_time() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("n1");
        let _held = DataFolder::lock(&path).unwrap();
        let error = DataFolder::lock(&path).unwrap_err();
        assert!(matches!(error, FolderError::InUse { .. }), "{error}");
    }

    #[test]
    fn a_folder_below_a_file_cannot_be_made_and_the_file_stays() {
        let above = tempfile::tempdir().unwrap();
        let file = above.path().join("file");
        std::fs::write(&file, "here").unwrap();
        let error = DataFolder::lock(&file.join("n1")).unwrap_err().to_string();
        assert!(error.contains("--dir") && error.contains("file"), "{error}");
        assert_eq!(std::fs::read(&file).unwrap(), b"here");
    }
}
