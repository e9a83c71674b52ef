//! Opening in two halves: what is there is read and judged first, and tidied up only when all else that opens
//! together with it has been judged as well.
//!
//! Invariant (looking changes nothing): a folder that is not there is not made; in one that is there nothing is
//! renamed or removed. It is locked, by a lock file that is made if it is missing.

use std::io;
use std::path::{Path, PathBuf};

use raft_core::fs::Fs;
use raft_core::snapshot::SnapshotInfo;
use raft_core::storage::{Sink, SnapshotEvent};

use crate::error::{FsError, OpenError};
use crate::flaw::FileError;
use crate::folder::Folder;
use crate::options::Options;
use crate::recovery::{self, OpenReport, Seen};
use crate::store::SnapshotFiles;

/// A folder that was looked at; locked, if it is there.
pub struct Looked<F: Fs> {
    dir: PathBuf,
    fs: F,
    options: Options,
    /// `None`: there is no folder.
    seen: Option<Seen<F>>,
}

impl<F: Fs> Looked<F> {
    pub(crate) fn at(dir: &Path, fs: F, options: Options) -> Result<Self, OpenError> {
        options.check()?;
        let seen = match fs.read_dir(dir) {
            Ok(_) => Some(recovery::look(Folder::open(fs.clone(), dir)?, &options)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => {
                return Err(FsError { doing: "list the folder", path: dir.to_owned(), source }.into());
            }
        };
        Ok(Self { dir: dir.to_owned(), fs, options, seen })
    }

    /// The newest snapshot that is whole; `None` if there is none.
    pub fn latest(&self) -> Option<&SnapshotInfo> {
        self.seen.as_ref()?.latest.as_ref().map(|snapshot| &snapshot.info)
    }

    /// The newer ones, which are not: opening will pass over them and set them aside.
    pub fn damaged(&self) -> &[FileError] {
        self.seen.as_ref().map_or(&[], |seen| &seen.damaged)
    }

    /// As [`damaged`](Self::damaged), for whoever does not open the folder after all.
    pub fn into_damaged(self) -> Vec<FileError> {
        self.seen.map_or_else(Vec::new, |seen| seen.damaged)
    }

    /// The second half of [`SnapshotFiles::open`]: makes the folder if needed, sets aside what is damaged, removes
    /// what is of no use.
    ///
    /// # Errors
    /// [`OpenError`]: the folder was not there and cannot be made.
    pub fn open(self, events: Sink<SnapshotEvent>) -> Result<(SnapshotFiles<F>, OpenReport), OpenError> {
        let Self { dir, fs, options, seen } = self;
        match seen {
            Some(seen) => Ok(SnapshotFiles::from_opened(seen.tidied(), options, events)),
            None => SnapshotFiles::open(&dir, fs, options, events),
        }
    }
}
