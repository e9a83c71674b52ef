//! Planned faults, and the log of operations that tells where to plan them.

use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::testing::draw::draw_below;

/// What an operation does to the disk. Reads are not operations: they change nothing and are no place to crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum OperationKind {
    /// [`Fs::create_dir_all`](crate::fs::Fs::create_dir_all), when a folder was missing.
    CreateDir,
    /// [`Fs::create_new`](crate::fs::Fs::create_new), and [`Fs::lock`](crate::fs::Fs::lock) of a file not there
    /// yet.
    CreateFile,
    /// [`Fs::rename`](crate::fs::Fs::rename).
    Rename,
    /// [`Fs::remove_file`](crate::fs::Fs::remove_file).
    RemoveFile,
    /// [`File::write_all_at`](crate::fs::File::write_all_at).
    Write,
    /// [`File::set_len`](crate::fs::File::set_len).
    SetLen,
    /// [`File::sync_data`](crate::fs::File::sync_data).
    SyncData,
    /// [`Fs::sync_dir`](crate::fs::Fs::sync_dir).
    SyncDir,
}

impl OperationKind {
    const fn is_sync(self) -> bool {
        matches!(self, Self::SyncData | Self::SyncDir)
    }

    const fn is_write(self) -> bool {
        matches!(self, Self::Write | Self::SetLen)
    }
}

/// One operation, in the order in which the program asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What it does.
    pub kind: OperationKind,
    /// To which file or folder, under the name by which it was opened.
    pub path: PathBuf,
}

/// The simulated process is dead; nothing it asks for happens any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("simulated crash at operation {operation}")]
pub struct Crashed {
    /// The operation that did not return, counted from 0.
    pub operation: u64,
}

impl Crashed {
    /// The crash inside `error` or what caused it; `None` if that is an error of another kind.
    #[must_use]
    pub fn find(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(crashed) = error.downcast_ref::<Self>() {
                return Some(*crashed);
            }
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            next = inner.map(|inner| inner as _).or_else(|| error.source());
        }
        None
    }
}

/// What becomes of an operation that is allowed to begin.
pub(super) enum Fate {
    /// It is carried out.
    Whole,
    /// A write leaves its first bytes, a sync fails as on Linux, anything else does nothing; then this error.
    Broken(io::Error),
}

/// The plan, and how far the disk is in it.
#[derive(Clone, Default)]
pub(super) struct Faults {
    pub(super) crash_at: Option<u64>,
    /// Whether the crash cuts a write short, instead of leaving nothing of it.
    pub(super) cuts_write: bool,
    pub(super) fail_at: BTreeSet<u64>,
    pub(super) fail_sync_at: BTreeSet<u64>,
    pub(super) fail_write_at: BTreeSet<u64>,
    /// Bytes that all files together may have.
    pub(super) capacity: Option<usize>,
    crashed: Option<Crashed>,
    log: Vec<Operation>,
    syncs: u64,
    writes: u64,
}

impl Faults {
    pub(super) fn log(&self) -> &[Operation] {
        &self.log
    }

    pub(super) const fn crashed(&self) -> Option<Crashed> {
        self.crashed
    }

    /// No plan, an empty log, and the same capacity.
    pub(super) fn for_next_process(&self) -> Self {
        Self { capacity: self.capacity, ..Self::default() }
    }

    /// An error if the process is dead.
    pub(super) fn check_alive(&self) -> io::Result<()> {
        self.crashed.map_or(Ok(()), |crashed| Err(io::Error::other(crashed)))
    }

    /// Takes note of an operation that the program asks for and says what becomes of it; an error if nothing.
    pub(super) fn begin(&mut self, kind: OperationKind, path: PathBuf) -> io::Result<Fate> {
        self.check_alive()?;
        let operation = self.log.len() as u64;
        if self.crash_at == Some(operation) {
            self.crashed = Some(Crashed { operation });
            let error = io::Error::other(Crashed { operation });
            let cut = self.cuts_write && kind == OperationKind::Write;
            return if cut { Ok(Fate::Broken(error)) } else { Err(error) };
        }
        let mut fails = self.fail_at.contains(&operation);
        if kind.is_sync() {
            fails |= self.fail_sync_at.contains(&self.syncs);
            self.syncs += 1;
        }
        if kind.is_write() {
            fails |= self.fail_write_at.contains(&self.writes);
            self.writes += 1;
        }
        self.log.push(Operation { kind, path });
        Ok(if fails { Fate::Broken(input_output_error()) } else { Fate::Whole })
    }

    /// How many of the `bytes` of a broken write reach the cache.
    pub(super) fn broken_write(&self, seed: u64, bytes: usize) -> usize {
        draw_below(seed, 1, self.log.len() as u64, bytes as u64 + 1) as usize
    }
}

/// `EIO`: what the kernel says when the medium does not answer.
pub(super) fn input_output_error() -> io::Error {
    io::Error::from_raw_os_error(5)
}
