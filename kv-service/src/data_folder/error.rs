//! Why a data folder cannot be used.

use std::fmt;
use std::io;
use std::path::PathBuf;

use raft_core::types::EntryId;
use raft_snapshot::FileError;

use crate::advice::{PUT_BACK, REPLACE};

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
    /// The log cannot be opened, or does not reach back to the newest snapshot that is whole.
    #[error("log: {source}{}{}", Besides(.damaged), Advice(is_loss(.source)))]
    Log {
        /// Why not.
        source: Box<raft_log::OpenError>,
        /// Snapshots that could not be used instead.
        damaged: Vec<FileError>,
    },
    /// There are snapshots, and no log.
    #[error(
        "data folder {}: there is {} but no log: this node's term and vote are lost{}; nothing was changed; {PUT_BACK}, \
         {REPLACE}",
        path.display(), Snapshots(.whole.as_ref()), Besides(.damaged)
    )]
    LogMissing {
        /// The folder.
        path: PathBuf,
        /// Last entry of the newest snapshot that is whole.
        whole: Option<EntryId>,
        /// Newer snapshots, which are damaged.
        damaged: Vec<FileError>,
    },
    /// The operating system has no randomness to give.
    #[error("cannot mint a node id: {0}")]
    Randomness(#[from] rand::rngs::SysError),
}

impl From<raft_log::OpenError> for FolderError {
    fn from(source: raft_log::OpenError) -> Self {
        Self::Log { source: Box::new(source), damaged: Vec::new() }
    }
}

/// Whether something that was promised is gone, rather than out of reach for now.
const fn is_loss(error: &raft_log::OpenError) -> bool {
    use raft_log::OpenError::{
        Damaged, FileLength, Hole, LostMetadata, MetadataDamaged, MetadataMissing, MissingSegment, NoSegment,
        SegmentHeader,
    };
    matches!(
        error,
        Damaged(_)
            | FileLength { .. }
            | Hole { .. }
            | LostMetadata { .. }
            | MetadataDamaged { .. }
            | MetadataMissing { .. }
            | MissingSegment { .. }
            | NoSegment { .. }
            | SegmentHeader { .. }
    )
}

/// Names damaged snapshots.
struct Besides<'a>(&'a [FileError]);

impl fmt::Display for Besides<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|damaged| write!(f, "; damaged snapshot, not used: {damaged}"))
    }
}

/// Shows which snapshots there are.
struct Snapshots<'a>(Option<&'a EntryId>);

impl fmt::Display for Snapshots<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(last) => write!(f, "a snapshot of entry {last}"),
            None => f.write_str("a snapshot"),
        }
    }
}

/// What to do about a loss beyond what the log says of it.
struct Advice(bool);

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0 {
            return Ok(());
        }
        write!(f, ". Nothing was changed. To replace it: {REPLACE}")
    }
}
