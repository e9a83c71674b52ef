//! The folder of one store: its lock, the names in it, and operations whose errors say what was tried with
//! which file.
//!
//! Shared by all that works in the folder, so that the lock is held until the last sink, source or worker is gone.
//!
//! Invariant (failed-sync): after a failed sync of the folder no later one is made, let alone believed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use raft_core::fs::{File, Fs};

use crate::error::{FsError, OpenError, SyncFailedBefore};
use crate::name::{LOCK, Name};

/// A locked folder.
pub(crate) struct Folder<F: Fs> {
    fs: F,
    path: PathBuf,
    sync_failed: AtomicBool,
    _lock: F::Lock,
}

impl<F: Fs> Folder<F> {
    /// Makes the folder if needed, locks it, and makes its names durable, its own in the folder above included.
    ///
    /// What a process that was killed left may be in the cache only: it must not be believed before that.
    pub(crate) fn open(fs: F, path: &Path) -> Result<Self, OpenError> {
        fs.create_dir_all(path).map_err(failed("make the folder", path))?;
        if let Some(above) = path.parent() {
            let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
            fs.sync_dir(above).map_err(failed("sync the folder", above))?;
        }
        let lock_path = path.join(LOCK);
        let lock = match fs.lock(&lock_path) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(OpenError::Locked { path: lock_path });
            }
            lock => lock.map_err(failed("lock the folder by this file", &lock_path))?,
        };
        let folder = Self { fs, path: path.to_owned(), sync_failed: AtomicBool::new(false), _lock: lock };
        folder.sync()?;
        Ok(folder)
    }

    /// The path of a file in the folder.
    pub(crate) fn path_of(&self, name: Name) -> PathBuf {
        self.path.join(name.to_string())
    }

    /// The names of this crate's files in the folder, in no particular order.
    pub(crate) fn names(&self) -> Result<Vec<Name>, FsError> {
        let names = self.fs.read_dir(&self.path).map_err(failed("list the folder", &self.path))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    pub(crate) fn create_new(&self, path: &Path) -> Result<F::File, FsError> {
        self.fs.create_new(path).map_err(failed("create the file", path))
    }

    /// Opens a file for reading.
    pub(crate) fn open_file(&self, path: &Path) -> Result<F::File, FsError> {
        self.fs.open(path, false).map_err(failed("open the file", path))
    }

    /// Opens a file for writing, creating it if it is not there.
    pub(crate) fn open_or_create(&self, path: &Path) -> Result<F::File, FsError> {
        match self.fs.open(path, true) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create_new(path),
            file => file.map_err(failed("open the file for writing", path)),
        }
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<(), FsError> {
        self.fs.rename(from, to).map_err(failed("rename the file", from))
    }

    /// Removes a file; fine if it is gone.
    pub(crate) fn remove(&self, path: &Path) -> Result<(), FsError> {
        match self.fs.remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(failed("remove the file", path)),
        }
    }

    /// As [`remove`](Self::remove), on the way out of an error that is worth more than one about leftovers.
    pub(crate) fn discard(&self, path: &Path) {
        if let Err(error) = self.remove(path) {
            tracing::warn!(%error, "a partial snapshot stays; the next opening removes it");
        }
    }

    /// Makes the names in the folder durable.
    #[track_caller]
    pub(crate) fn sync(&self) -> Result<(), FsError> {
        let synced = match self.sync_failed.load(Ordering::SeqCst) {
            true => Err(io::Error::other(SyncFailedBefore)),
            false => self.fs.sync_dir(&self.path),
        };
        if synced.is_err() {
            self.sync_failed.store(true, Ordering::SeqCst);
        }
        synced.map_err(failed("sync the folder", &self.path))
    }
}

/// Makes the bytes of a file durable.
#[track_caller]
pub(crate) fn sync_file(file: &impl File, path: &Path) -> Result<(), FsError> {
    let synced = file.sync_data();
    synced.map_err(failed("sync the file", path))
}

/// Drops the cached pages of a file, so that reading it proves what the medium holds.
pub(crate) fn drop_cache(file: &impl File, path: &Path) -> Result<(), FsError> {
    file.drop_cache().map_err(failed("drop the cached pages of the file", path))
}

/// Says what was tried with which file.
pub(crate) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FsError {
    move |source| FsError { doing, path: path.to_owned(), source }
}
