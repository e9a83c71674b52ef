//! Opening a folder: what is there, what of it is believed, and, as a step of its own, what is tidied up.
//!
//! The newest snapshot is read and verified as a whole, after it and its name were made durable. A damaged one
//! gives way to the next older. Older ones than the one believed are only known by name: they are read if an
//! opening ever falls back to them.
//!
//! Invariant (look, then mend): looking changes nothing; mending comes when the caller has accepted what was found,
//! together with all else that it opens. So an opening that fails, here or elsewhere, leaves the folder as it was. An
//! opening that crashes can be repeated: it finds the same.

use std::fmt;
use std::path::{Path, PathBuf};

use raft_core::fs::Fs;
use raft_core::snapshot::{SnapshotInfo, SnapshotMeta};
use raft_core::storage::{Sink, SnapshotEvent};
use raft_core::types::EntryId;

use crate::error::{FsError, OpenError};
use crate::flaw::{FileError, Flaw};
use crate::folder::{Folder, drop_cache, sync_file};
use crate::name::{DAMAGED, Name};
use crate::options::Options;
use crate::scan::Verified;
use crate::store::SnapshotFiles;

/// What to do about a damaged snapshot.
const ADVICE: &str = "a snapshot is a copy: an older one and the log behind it, or another node, can make up for it, and \
    if they cannot the log will not open. Look for the cause in the disk; never put an older copy of the whole folder \
    in its place: that one has forgotten votes and acknowledged entries";

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
    /// The last entry that it stands for, by its name. A log that starts after the newest whole snapshot, and not after
    /// this entry, has lost what lies between by this damage.
    pub last: EntryId,
    /// Which file, and what is wrong with it: where, what was found, what was expected.
    pub reason: FileError,
    /// Where the file is now; `None` if it was not renamed, or not yet.
    pub set_aside: Option<PathBuf>,
}

impl Damaged {
    /// What an operator should do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        ADVICE
    }
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; ", self.reason)?;
        match &self.set_aside {
            Some(path) => write!(f, "set aside as {}, remove it once you looked at it", path.display())?,
            None => f.write_str("left where it is")?,
        }
        write!(f, "; {ADVICE}")
    }
}

/// What [`SnapshotFiles::look`](crate::SnapshotFiles::look) has found. The folder stays locked, and as it was, until
/// [`mend`](Self::mend); dropped, it is given back.
pub struct Findings<F: Fs> {
    folder: Folder<F>,
    options: Options,
    names: Vec<Name>,
    latest: Option<Verified<F::File>>,
    /// Last entries of the newest snapshot and of those before it, ascending.
    published: Vec<EntryId>,
    damaged: Vec<Damaged>,
}

impl<F: Fs> Findings<F> {
    /// Looks at `dir`, making it if needed.
    pub(crate) fn of(dir: &Path, fs: F, options: Options) -> Result<Self, OpenError> {
        options.check()?;
        let folder = Folder::open(fs, dir)?;
        let names = folder.names()?;
        let mut published: Vec<_> = names.iter().filter_map(snapshot).collect();
        published.sort_unstable_by_key(|last| last.index);
        let (mut latest, mut damaged) = (None, Vec::new());
        while let Some(&last) = published.last() {
            match examine(&folder, last, &options)? {
                Ok(snapshot) => {
                    latest = Some(snapshot);
                    break;
                }
                Err(reason) => {
                    damaged.push(Damaged { last, reason, set_aside: None });
                    published.pop();
                }
            }
        }
        Ok(Self { folder, options, names, latest, published, damaged })
    }

    /// The newest snapshot that is whole.
    #[must_use]
    pub fn latest(&self) -> Option<&SnapshotInfo> {
        self.latest.as_ref().map(|snapshot| &snapshot.info)
    }

    /// Snapshots newer than that which are damaged, the newest first.
    #[must_use]
    pub fn damaged(&self) -> &[Damaged] {
        &self.damaged
    }

    /// As [`damaged`](Self::damaged), for whoever does not go on.
    #[must_use]
    pub fn into_damaged(self) -> Vec<Damaged> {
        self.damaged
    }

    /// Sets damaged snapshots aside, removes leftovers, and goes on to work. `events` gets what becomes of each job.
    /// What cannot be tidied up stays, and is named in the report.
    pub fn mend(self, events: Sink<SnapshotEvent>) -> (SnapshotFiles<F>, OpenReport) {
        let Self { folder, options, names, latest, published, damaged } = self;
        let found = latest.as_ref().map(|snapshot| snapshot.info.clone());
        let mut report = OpenReport { latest: found, ..OpenReport::default() };
        report.set_aside(&folder, damaged);
        report.remove_leftovers(&folder, &names, published.last().copied().unwrap_or_default());
        (SnapshotFiles::new(folder, options, latest, published, events), report)
    }
}

impl<F: Fs> fmt::Debug for Findings<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { published, damaged, .. } = self;
        f.debug_struct("Findings")
            .field("published", published)
            .field("damaged", damaged)
            .finish_non_exhaustive()
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
    fn set_aside<F: Fs>(&mut self, folder: &Folder<F>, damaged: Vec<Damaged>) {
        for mut found in damaged {
            let mut aside = found.reason.path.clone().into_os_string();
            aside.push(DAMAGED);
            let aside = PathBuf::from(aside);
            match folder.rename(&found.reason.path, &aside) {
                Ok(()) => found.set_aside = Some(aside),
                Err(error) => self.refused.push(error),
            }
            self.damaged.push(found);
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
