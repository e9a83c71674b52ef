//! The folder of a log: the names in it, its lock, and file operations whose errors name the path.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use raft_core::fs::{File, Fs};

use crate::error::{Action, IoFailure, OpenError};

const LOCK: &str = "lock";
const METADATA: &str = "meta";
const SEGMENT_SUFFIX: &str = ".seg";
/// A file in the making. It gets its name when its contents are durable; found at opening, it is removed.
const UNFINISHED_SUFFIX: &str = ".tmp";

/// One log's folder on some file system.
#[derive(Clone)]
pub(crate) struct Folder<F> {
    pub(crate) fs: F,
    pub(crate) path: PathBuf,
}

/// A file in the making.
pub(crate) struct Unfinished<F: Fs> {
    /// What it is going to be called.
    pub(crate) path: PathBuf,
    /// What it is called until it is published.
    pub(crate) temporary: PathBuf,
    file: F::File,
}

impl<F: Fs> Unfinished<F> {
    pub(crate) fn write(&self, bytes: &[u8], offset: u64) -> Result<(), IoFailure> {
        self.file.write_all_at(bytes, offset).map_err(IoFailure::on(Action::Write, &self.temporary))
    }

    #[track_caller]
    pub(crate) fn sync(&self) -> Result<(), IoFailure> {
        self.file.sync_data().map_err(IoFailure::on(Action::Sync, &self.temporary))
    }
}

/// What is in the folder.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) metadata: bool,
    /// Sequence numbers of segments, ascending.
    pub(crate) segments: Vec<u64>,
    pub(crate) unfinished: Vec<PathBuf>,
}

impl<F: Fs> Folder<F> {
    pub(crate) fn new(fs: F, path: &Path) -> Self {
        Self { fs, path: path.to_owned() }
    }

    pub(crate) fn metadata_path(&self) -> PathBuf {
        self.path.join(METADATA)
    }

    pub(crate) fn segment_path(&self, sequence: u64) -> PathBuf {
        self.path.join(format!("{sequence:016x}{SEGMENT_SUFFIX}"))
    }

    /// What is in the folder; names that are none of ours are left out. `None` if there is no such folder.
    pub(crate) fn list(&self) -> Result<Option<Listing>, IoFailure> {
        let names = match self.fs.read_dir(&self.path) {
            Ok(names) => names,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(IoFailure::on(Action::List, &self.path)(error)),
        };
        let mut listing = Listing::default();
        for name in names {
            if name == METADATA {
                listing.metadata = true;
            } else if name.ends_with(UNFINISHED_SUFFIX) {
                listing.unfinished.push(self.path.join(name));
            } else if let Some(sequence) = segment_sequence(&name) {
                listing.segments.push(sequence);
            }
        }
        listing.segments.sort_unstable();
        Ok(Some(listing))
    }

    pub(crate) fn lock(&self) -> Result<F::Lock, OpenError> {
        let path = self.path.join(LOCK);
        self.fs.lock(&path).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => OpenError::InUse { dir: self.path.clone() },
            _ => IoFailure::on(Action::Lock, &path)(error).into(),
        })
    }

    /// Opens a file for writing. It need not be writable to be read, but a log that cannot write must not start.
    pub(crate) fn open(&self, path: &Path) -> Result<F::File, IoFailure> {
        self.fs.open(path, true).map_err(IoFailure::on(Action::Open, path))
    }

    /// Makes a file that is going to be called `path`. A file of its unfinished name must not be there.
    pub(crate) fn begin(&self, path: PathBuf) -> Result<Unfinished<F>, IoFailure> {
        let mut temporary = path.clone().into_os_string();
        temporary.push(UNFINISHED_SUFFIX);
        let temporary = PathBuf::from(temporary);
        let file = self.fs.create_new(&temporary).map_err(IoFailure::on(Action::Create, &temporary))?;
        Ok(Unfinished { path, temporary, file })
    }

    /// Gives a file, all of it synced, its name, which is durable when this returns. A file of that name is
    /// replaced.
    pub(crate) fn publish(&self, made: Unfinished<F>) -> Result<F::File, IoFailure> {
        let Unfinished { path, temporary, file } = made;
        self.fs.rename(&temporary, &path).map_err(IoFailure::on(Action::Rename, &temporary))?;
        self.sync()?;
        Ok(file)
    }

    pub(crate) fn remove(&self, path: &Path) -> Result<(), IoFailure> {
        self.fs.remove_file(path).map_err(IoFailure::on(Action::Remove, path))
    }

    /// Makes the names in the folder durable.
    #[track_caller]
    pub(crate) fn sync(&self) -> Result<(), IoFailure> {
        self.fs.sync_dir(&self.path).map_err(IoFailure::on(Action::Sync, &self.path))
    }

    /// Makes the name of the folder itself durable.
    #[track_caller]
    pub(crate) fn sync_parent(&self) -> Result<(), IoFailure> {
        let parent = match self.path.parent() {
            None => return Ok(()),
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
        };
        self.fs.sync_dir(parent).map_err(IoFailure::on(Action::Sync, parent))
    }
}

/// The number in the name of a segment file: 16 lower-case hex digits.
fn segment_sequence(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SEGMENT_SUFFIX)?;
    let sequence = u64::from_str_radix(digits, 16).ok()?;
    (format!("{sequence:016x}") == digits).then_some(sequence)
}
