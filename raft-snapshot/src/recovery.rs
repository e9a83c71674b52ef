//! Opening a folder: what is there, what of it is believed, and what is tidied up.
//!
//! The newest snapshot is read and verified as a whole, after it and its name were made durable. A damaged one
//! gives way to the next older. Older ones than the one believed are only known by name: they are read if an
//! opening ever falls back to them.
//!
//! Everything is looked at before anything is changed, so that an opening that fails leaves the folder as it
//! was. An opening that crashes can be repeated: it finds the same.

use std::fmt;
use std::path::{Path, PathBuf};

use raft_core::fs::Fs;
use raft_core::snapshot::{SnapshotInfo, SnapshotMeta};
use raft_core::types::EntryId;

use crate::error::{FsError, OpenError};
use crate::flaw::{FileError, Flaw};
use crate::folder::{Folder, drop_cache, sync_file};
use crate::name::{DAMAGED, Name};
use crate::options::Options;
use crate::scan::Verified;

/// What an opening found and did.
#[derive(Debug, Default)]
pub struct OpenReport {
    /// The newest snapshot that is whole; `None` if there is none.
    pub latest: Option<SnapshotInfo>,
    /// Snapshots that are not: they were passed over.
    pub damaged: Vec<Damaged>,
    /// Partial files of received snapshots: a transfer of the same file goes on with them.
    pub resumable: Vec<PathBuf>,
    /// Partial files of no use that were removed.
    pub removed: Vec<PathBuf>,
    /// What could not be set aside or removed. Nothing depends on it; mend the permissions of the folder.
    pub refused: Vec<FsError>,
}

/// A snapshot that was published once and is damaged now.
#[derive(Debug)]
pub struct Damaged {
    /// Which file, and what is wrong with it.
    pub reason: FileError,
    /// Where the file is now; `None` if it could not be renamed.
    pub set_aside: Option<PathBuf>,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; ", self.reason)?;
        match &self.set_aside {
            Some(path) => write!(f, "set aside as {}, remove it once you looked at it", path.display()),
            None => f.write_str("left where it is, as the folder cannot be written"),
        }
    }
}

/// A folder as an opening leaves it.
pub(crate) struct Opened<F: Fs> {
    pub(crate) folder: Folder<F>,
    /// The newest snapshot.
    pub(crate) latest: Option<Verified<F::File>>,
    /// Last entries of it and of those before it, ascending.
    pub(crate) published: Vec<EntryId>,
    pub(crate) report: OpenReport,
}

/// What is in a locked folder; nothing of it is changed yet.
pub(crate) struct Seen<F: Fs> {
    folder: Folder<F>,
    names: Vec<Name>,
    pub(crate) latest: Option<Verified<F::File>>,
    published: Vec<EntryId>,
    pub(crate) damaged: Vec<FileError>,
}

/// Opens `dir`, making it if needed.
pub(crate) fn open<F: Fs>(dir: &Path, fs: F, options: &Options) -> Result<Opened<F>, OpenError> {
    options.check()?;
    Ok(look(Folder::open(fs, dir)?, options)?.tidied())
}

/// Reads snapshots from the newest one on, until one is whole.
pub(crate) fn look<F: Fs>(folder: Folder<F>, options: &Options) -> Result<Seen<F>, OpenError> {
    let names = folder.names()?;
    let mut published: Vec<_> = names.iter().filter_map(snapshot).collect();
    published.sort_unstable_by_key(|last| last.index);
    let mut damaged = Vec::new();
    let mut latest = None;
    while let Some(&last) = published.last() {
        match examine(&folder, last, options)? {
            Ok(snapshot) => {
                latest = Some(snapshot);
                break;
            }
            Err(error) => {
                damaged.push(error);
                published.pop();
            }
        }
    }
    Ok(Seen { folder, names, latest, published, damaged })
}

impl<F: Fs> Seen<F> {
    /// The folder with what is damaged set aside and what is of no use removed.
    pub(crate) fn tidied(self) -> Opened<F> {
        let Self { folder, names, latest, published, damaged } = self;
        let believed = latest.as_ref().map(|snapshot| snapshot.info.clone());
        let mut report = OpenReport { latest: believed, ..OpenReport::default() };
        report.set_aside(&folder, damaged);
        report.remove_leftovers(&folder, &names, published.last().copied().unwrap_or_default());
        Opened { folder, latest, published, report }
    }
}

const fn snapshot(name: &Name) -> Option<EntryId> {
    match name {
        Name::Snapshot(last) => Some(*last),
        Name::Creating(_) | Name::Receiving(..) => None,
    }
}

/// Reads one published snapshot; the inner error is damage.
fn examine<F: Fs>(
    folder: &Folder<F>,
    last: EntryId,
    options: &Options,
) -> Result<Result<Verified<F::File>, FileError>, OpenError> {
    let path = folder.path_of(Name::Snapshot(last));
    let file = folder.open_file(&path)?;
    sync_file(&file, &path)?;
    drop_cache(&file, &path)?;
    let read = Verified::read(file, options.chunk_bytes, options.state_version);
    match read.and_then(|snapshot| check_name(snapshot, last)) {
        Ok(snapshot) => Ok(Ok(snapshot)),
        Err(flaw) if flaw.is_damage() => Ok(Err(flaw.of(path))),
        Err(flaw) => Err(OpenError::File(flaw.of(path))),
    }
}

fn check_name<F>(snapshot: Verified<F>, last: EntryId) -> Result<Verified<F>, Flaw> {
    let meta = &snapshot.info.meta;
    if meta.last == last {
        return Ok(snapshot);
    }
    let expected = Box::new(SnapshotMeta { last, ..meta.clone() });
    Err(Flaw::Meta { found: Box::new(meta.clone()), expected })
}

impl OpenReport {
    /// Gives damaged snapshots another name. That is not synced: until the next publication they may come back,
    /// and are found again.
    fn set_aside<F: Fs>(&mut self, folder: &Folder<F>, damaged: Vec<FileError>) {
        for reason in damaged {
            let mut aside = reason.path.clone().into_os_string();
            aside.push(DAMAGED);
            let aside = PathBuf::from(aside);
            let renamed = folder.rename(&reason.path, &aside);
            let set_aside = renamed.map_err(|error| self.refused.push(error)).is_ok().then_some(aside);
            self.damaged.push(Damaged { reason, set_aside });
        }
    }

    /// Removes partial files that nobody will go on with: created ones, and received ones not newer than `latest`.
    fn remove_leftovers<F: Fs>(&mut self, folder: &Folder<F>, names: &[Name], latest: EntryId) {
        for name in names {
            let path = folder.path_of(*name);
            match name {
                Name::Snapshot(_) => {}
                Name::Receiving(last, _) if last.index > latest.index => self.resumable.push(path),
                Name::Creating(_) | Name::Receiving(..) => match folder.remove(&path) {
                    Ok(()) => self.removed.push(path),
                    Err(error) => self.refused.push(error),
                },
            }
        }
    }
}
