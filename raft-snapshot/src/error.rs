//! What can go wrong, told so that an operator knows where, what, and what to do.
//!
//! One type per boundary: [`OpenError`] for opening, [`JobError`] inside [`SnapshotEvent::Failed`], and inside the
//! `io::Error` of sources, sinks and readers a [`FileError`], [`TransferError`] or [`FsError`].
//!
//! [`SnapshotEvent::Failed`]: raft_core::storage::SnapshotEvent::Failed

use std::io;
use std::path::PathBuf;

use raft_core::types::EntryId;
use thiserror::Error;

use crate::flaw::FileError;

/// An option out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("snapshot option {field} is {found} (expected {least} to {greatest})")]
pub struct OptionsError {
    /// The option.
    pub field: &'static str,
    /// Its value.
    pub found: u32,
    /// Least value allowed.
    pub least: u32,
    /// Greatest value allowed.
    pub greatest: u32,
}

/// Something the file system refused to do.
#[derive(Debug, Error)]
#[error("{}: cannot {doing}: {source}", path.display())]
pub struct FsError {
    /// What was tried.
    pub doing: &'static str,
    /// With which file or folder.
    pub path: PathBuf,
    /// The operating system's reason.
    pub source: io::Error,
}

/// A sync of the folder failed before, so that no later one proves anything. (Contract of `raft_core::fs::Fs`)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "an earlier sync of the folder failed, so names in it cannot be trusted: mend the disk, restart the node"
)]
pub struct SyncFailedBefore;

/// Why a folder of snapshots cannot be opened. Except for a lock file and an empty folder, nothing was changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Mend the options.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// Stop the other process, or give this one another folder.
    #[error("{}: another process uses this folder (expected to hold its lock)", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// Mend the folder: permissions, mount, disk.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The newest snapshot cannot be read, or only by a newer program. Believing an older one would be a guess:
    /// mend the disk or start the newer program; to use the older one, move this one out of the folder.
    #[error("{0} (to fall back to an older snapshot, move this file out of the folder)")]
    File(#[source] FileError),
}

/// Why a snapshot was neither created nor published. What was published before still is.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JobError {
    /// Nothing to gain.
    #[error("snapshot of entry {last}: not newer than the published one of entry {latest}")]
    NotNewer {
        /// Last entry of the refused one.
        last: EntryId,
        /// Last entry of the published one.
        latest: EntryId,
    },
    /// No finished sink of this process holds it: let the leader offer it again.
    #[error("snapshot of entry {last}: no transfer of it was finished since this process started")]
    NotReceived {
        /// Its last entry.
        last: EntryId,
    },
    /// The view could not be written out.
    #[error("{}: view stopped after {bytes} bytes: {source}", path.display())]
    View {
        /// The partial file.
        path: PathBuf,
        /// Bytes of the file so far.
        bytes: u64,
        /// The disk's reason, or the view's own.
        source: io::Error,
    },
    /// A bug in the application's view; the store goes on.
    #[error("snapshot of entry {last}: panic: {message}")]
    Panicked {
        /// Its last entry.
        last: EntryId,
        /// What the panic said.
        message: String,
    },
    /// Try again when a job is done.
    #[error("snapshot of entry {last}: {waiting} jobs wait already")]
    Busy {
        /// Its last entry.
        last: EntryId,
        /// Jobs waiting: the bound of the queue.
        waiting: usize,
    },
    /// The store is being closed.
    #[error("snapshot of entry {last}: the store is closing")]
    Closing {
        /// Its last entry.
        last: EntryId,
    },
    /// Disk full, or broken.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// What was read back is not what was written: suspect the disk.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Why a sink does not take a snapshot, or a source has no such chunk. (Damage is told by [`FileError`], the
/// disk's refusals by [`FsError`].)
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The offer is nonsense: a bug or a foreign program on the other side.
    #[error("snapshot offer of entry {last}: {field} is {found} (expected {least} to {greatest})")]
    Offer {
        /// Last entry of the offered snapshot.
        last: EntryId,
        /// Which number.
        field: &'static str,
        /// Its value.
        found: u64,
        /// Least value allowed.
        least: u64,
        /// Greatest value allowed.
        greatest: u64,
    },
    /// Nothing to gain.
    #[error("snapshot offer of entry {last}: not newer than the published one of entry {latest}")]
    NotNewer {
        /// Last entry of the offered snapshot.
        last: EntryId,
        /// Last entry of the published one.
        latest: EntryId,
    },
    /// Another sink took over the place for received snapshots.
    #[error("snapshot transfer of entry {last}: another transfer took its place")]
    Superseded {
        /// Last entry of this one.
        last: EntryId,
    },
    /// A bug of the caller: `have` comes first, and nothing after `finish` or an error.
    #[error(
        "snapshot transfer of entry {last}: {called} called before `have`, after `finish` or after an error"
    )]
    OutOfOrder {
        /// Last entry of this one.
        last: EntryId,
        /// Which call.
        called: &'static str,
    },
    /// No such chunk, or not of this length.
    #[error("snapshot chunk {number}: {found} bytes (expected {expected}, of {chunks} chunks)")]
    Chunk {
        /// Its number.
        number: u64,
        /// Bytes given; 0 when reading.
        found: u64,
        /// Bytes such a chunk has; 0 if there is none.
        expected: u64,
        /// Chunks of the file.
        chunks: u64,
    },
    /// Finished too early.
    #[error("snapshot transfer of entry {last}: chunk {number} of {chunks} is missing")]
    Missing {
        /// Last entry of this one.
        last: EntryId,
        /// First missing chunk.
        number: u64,
        /// Chunks of the file.
        chunks: u64,
    },
}

impl From<FsError> for io::Error {
    /// Kind: the operating system's.
    fn from(error: FsError) -> Self {
        Self::new(error.source.kind(), error)
    }
}

impl From<TransferError> for io::Error {
    /// Kind: `InvalidData` for what the peer got wrong, `InvalidInput` for what does not fit this store.
    fn from(error: TransferError) -> Self {
        let kind = match &error {
            TransferError::Offer { .. } | TransferError::Chunk { .. } | TransferError::Missing { .. } => {
                io::ErrorKind::InvalidData
            }
            TransferError::NotNewer { .. }
            | TransferError::Superseded { .. }
            | TransferError::OutOfOrder { .. } => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}
