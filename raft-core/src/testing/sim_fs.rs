//! A file system in memory that forgets at a power cut what was not synced, and fails where a test says so.
//!
//! The model, as far as programs written to POSIX may rely on it:
//! * Bytes go to a cache. Of what was written since the file's last sync, each sector of 512 bytes survives a
//!   power cut on its own, whole, not at all or (if asked for) cut short; so does the file's length.
//! * A name made, moved or removed is one effect that survives on its own until its folder is synced. A moved
//!   name is the old one or the new one. A synced file whose name was never synced may be gone; so may a folder.
//! * A failed sync leaves the medium as it was and the pages clean: the next sync succeeds and makes nothing
//!   durable.
//!
//! A test runs a program, reads [`operations`](SimFs::operations), and runs it again with
//! [`crash_at`](SimFs::crash_at) each of them; then recovers from each of [`power_losses`](SimFs::power_losses).
//! By [`suppress_sync`](SimFs::suppress_sync) for each of [`sync_sites`](SimFs::sync_sites) it shows that every
//! sync in the code is needed.
//!
//! Not modelled: two unsynced writes to one sector of which the first alone survives; sparse files (a file takes
//! as many bytes as its length); `..` in paths; moved or removed folders. A move to another folder is durable when
//! both are synced.

mod disk;
mod faults;
mod file_data;
mod names;
mod power;
mod sites;
#[cfg(test)]
mod tests;

pub use faults::{Crashed, Operation, OperationKind};
pub use power::{PowerLoss, Unsynced};
pub use sites::SyncSite;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;
use std::panic::Location;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use self::disk::Disk;
use self::names::Node;
use self::sites::SyncSites;
use super::suite::Leaves;
use crate::fs::{File, Fs};

/// A handle to a simulated disk, as one process sees it. Clones share the disk.
///
/// What a power cut or a crash leaves is a *new* disk: handles to the old one keep working on the old one.
#[derive(Clone)]
pub struct SimFs {
    disk: Arc<Mutex<Disk>>,
    sites: Arc<Mutex<SyncSites>>,
}

impl SimFs {
    /// An empty disk with a root folder `/`, at which relative paths start too. `seed` decides what power cuts and
    /// broken writes leave.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::over(Disk::new(seed), Arc::default())
    }

    fn over(disk: Disk, sites: Arc<Mutex<SyncSites>>) -> Self {
        Self { disk: Arc::new(Mutex::new(disk)), sites }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        lock(&self.disk)
    }

    /// How many operations the program has asked for, reads aside: the crash points of its run are
    /// `0..operations()`.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.disk().faults.log().len() as u64
    }

    /// What those operations were.
    #[must_use]
    pub fn operation_log(&self) -> Vec<Operation> {
        self.disk().faults.log().to_vec()
    }

    /// From operation `number` (counted from 0) on, itself included, nothing happens any more: each call fails
    /// with [`Crashed`].
    pub fn crash_at(&self, number: u64) {
        let faults = &mut self.disk().faults;
        (faults.crash_at, faults.cuts_write) = (Some(number), false);
    }

    /// As [`crash_at`](Self::crash_at), but if the operation is a write, its first bytes, as many as the seed
    /// says, are in the cache.
    pub fn crash_during(&self, number: u64) {
        let faults = &mut self.disk().faults;
        (faults.crash_at, faults.cuts_write) = (Some(number), true);
    }

    /// The crash that was planned, if it has happened.
    #[must_use]
    pub fn crashed(&self) -> Option<Crashed> {
        self.disk().faults.crashed()
    }

    /// Operation `number` (counted from 0) fails with `EIO`: a write leaves some first bytes, a sync makes nothing
    /// durable for good, anything else does nothing. Later operations work.
    pub fn fail_at(&self, number: u64) {
        self.disk().faults.fail_at.insert(number);
    }

    /// As [`fail_at`](Self::fail_at) for the sync of this number (files and folders together, counted from 0).
    pub fn fail_sync_at(&self, number: u64) {
        self.disk().faults.fail_sync_at.insert(number);
    }

    /// As [`fail_at`](Self::fail_at) for the write or `set_len` of this number (counted from 0).
    pub fn fail_write_at(&self, number: u64) {
        self.disk().faults.fail_write_at.insert(number);
    }

    /// All files together may have this many bytes; a write takes what is left, then fails as on a full disk.
    /// Survives crashes. `None`: no limit.
    pub fn set_capacity(&self, bytes: Option<usize>) {
        self.disk().faults.capacity = bytes;
    }

    /// The effects that a power cut now may undo.
    #[must_use]
    pub fn unsynced(&self) -> Vec<Unsynced> {
        self.disk().unsynced()
    }

    /// The disk as it is found after a power cut, without faults or locks.
    #[must_use]
    pub fn power_loss(&self, choice: PowerLoss) -> Self {
        Self::over(self.disk().after_power_cut(choice), self.sites.clone())
    }

    /// The choices worth trying for a power cut now; see [`PowerLoss::choices`].
    #[must_use]
    pub fn power_losses(&self) -> Vec<PowerLoss> {
        let disk = self.disk();
        PowerLoss::choices(disk.unsynced().len(), disk.seed)
    }

    /// The disk as it is found after the process was killed while the machine lives on, without faults or locks:
    /// the cache is whole, and what was unsynced still is.
    #[must_use]
    pub fn kill(&self) -> Self {
        Self::over(self.disk().after_kill(), self.sites.clone())
    }

    /// Makes everything durable, as a machine left alone does in the end. No operation.
    pub fn settle(&self) {
        self.disk().settle();
    }

    /// The calls of `sync_data` and `sync_dir` met on this disk and all that it comes from or that come from it.
    #[must_use]
    pub fn sync_sites(&self) -> Vec<SyncSite> {
        lock(&self.sites).seen()
    }

    /// From now on, on all those disks, syncs called at `site` say `Ok` and do nothing.
    pub fn suppress_sync(&self, site: SyncSite) {
        lock(&self.sites).suppress(site);
    }

    /// The bytes of a file, behind the back of the program: no fault applies.
    ///
    /// # Errors
    /// There is no such file.
    pub fn contents(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        Ok(self.disk().contents(path.as_ref())?.to_vec())
    }

    /// Gives an existing file other bytes, on the medium and in the cache.
    ///
    /// # Errors
    /// There is no such file.
    pub fn set_contents(&self, path: impl AsRef<Path>, bytes: Vec<u8>) -> io::Result<()> {
        self.disk().set_contents(path.as_ref(), bytes)
    }

    /// Flips bit `bit` (of byte `bit / 8`) of a file, on the medium and in the cache.
    ///
    /// # Errors
    /// There is no such file ([`ErrorKind::NotFound`]) or bit ([`ErrorKind::UnexpectedEof`]).
    pub fn flip_bit(&self, path: impl AsRef<Path>, bit: usize) -> io::Result<()> {
        let mut bytes = self.contents(&path)?;
        *bytes.get_mut(bit / 8).ok_or(ErrorKind::UnexpectedEof)? ^= 1 << (bit % 8);
        self.set_contents(path, bytes)
    }

    /// Flips a bit in every copy of `pattern` in every file, on the medium and in the cache; how many there were.
    /// An empty pattern has no copies.
    pub fn damage(&self, pattern: &[u8]) -> usize {
        self.disk().damage(pattern)
    }

    /// The disk as a [`Crash`](super::suite::Crash) of a conformance suite leaves it.
    #[must_use]
    pub fn after_crash(&self, leaves: Leaves) -> Self {
        match leaves {
            Leaves::Cache => self.kill(),
            Leaves::Medium(choice) => self.power_loss(choice),
        }
    }

    /// Every file below a folder with its bytes, by path relative to the folder: equal images, unchanged folder.
    ///
    /// # Errors
    /// There is no such folder.
    pub fn image(&self, folder: impl AsRef<Path>) -> io::Result<BTreeMap<String, Vec<u8>>> {
        self.disk().image(folder.as_ref())
    }
}

impl fmt::Debug for SimFs {
    /// Not the contents of the disk.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFs").field("operations", &self.operations()).finish_non_exhaustive()
    }
}

impl Fs for SimFs {
    type File = SimFile;
    type Lock = SimLock;

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk().create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        self.disk().read_dir(path)
    }

    fn create_new(&self, path: &Path) -> io::Result<SimFile> {
        let node = self.disk().create_new(path)?;
        Ok(SimFile { fs: self.clone(), node, path: path.into(), writable: true })
    }

    fn open(&self, path: &Path, writable: bool) -> io::Result<SimFile> {
        let node = self.disk().open(path)?;
        Ok(SimFile { fs: self.clone(), node, path: path.into(), writable })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk().rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk().remove_file(path)
    }

    #[track_caller]
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let suppressed = lock(&self.sites).meet(Location::caller());
        self.disk().sync_dir(path, suppressed)
    }

    fn lock(&self, path: &Path) -> io::Result<SimLock> {
        let node = self.disk().lock(path)?;
        Ok(SimLock { fs: self.clone(), node })
    }
}

/// An open file of a [`SimFs`].
#[derive(Debug)]
pub struct SimFile {
    fs: SimFs,
    node: Node,
    path: Box<Path>,
    writable: bool,
}

impl SimFile {
    fn check_writable(&self) -> io::Result<()> {
        // What the kernel says to a write through a descriptor opened for reading.
        const EBADF: i32 = 9;
        if self.writable { Ok(()) } else { Err(io::Error::from_raw_os_error(EBADF)) }
    }
}

impl File for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.fs.disk().cached(self.node)?.len() as u64)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let disk = self.fs.disk();
        let bytes = disk.cached(self.node)?;
        let start = usize::try_from(offset).map_err(|_| ErrorKind::UnexpectedEof)?;
        let range = start..start.saturating_add(buffer.len());
        buffer.copy_from_slice(bytes.get(range).ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.check_writable()?;
        self.fs.disk().write(self.node, &self.path, bytes, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.check_writable()?;
        self.fs.disk().set_len(self.node, &self.path, length)
    }

    #[track_caller]
    fn sync_data(&self) -> io::Result<()> {
        let suppressed = lock(&self.fs.sites).meet(Location::caller());
        self.fs.disk().sync_data(self.node, &self.path, suppressed)
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.fs.disk().drop_cache(self.node)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// A lock on a file of a [`SimFs`], given back when dropped.
#[derive(Debug)]
pub struct SimLock {
    fs: SimFs,
    node: Node,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.fs.disk().unlock(self.node);
    }
}

/// A panic elsewhere must not hide behind a poisoned mutex: the disk is plain data, whole between two calls.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
