//! The file seam: what raft-log and raft-snapshot need from a file system, so that the code that ships also runs on a
//! simulated one that loses unsynced bytes and names (`testing::SimFs`).
//!
//! Durability as on Linux: bytes written are durable after [`File::sync_data`]; a name created, renamed or removed is
//! durable after [`Fs::sync_dir`] of its folder. Sync calls are `#[track_caller]`, so that a test can leave out each
//! call site in turn and show that it is needed.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

#[cfg(feature = "fs")]
mod std_fs;
#[cfg(feature = "fs")]
pub use std_fs::StdFs;

/// A file system.
///
/// # Contract
/// Errors are the operating system's own, without the path: callers add it. After an error of
/// [`File::sync_data`] or [`Fs::sync_dir`] the caller must not sync again and believe it: the kernel has dropped the
/// dirty pages. (Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020)
pub trait Fs: Clone + Send + Sync + 'static {
    /// An open file.
    type File: File;
    /// Holds a lock on a file until dropped.
    type Lock: Send + Sync + 'static;

    /// Creates a folder and its parents; fine if there.
    ///
    /// # Errors
    /// The operating system's.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Names of the entries of a folder, in no particular order. Those that are not UTF-8 are left out: nobody who
    /// works through this trait has made them.
    ///
    /// # Errors
    /// The operating system's.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Creates a file that does not exist yet, for reading and writing.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], or the operating system's.
    fn create_new(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens an existing file for reading, and for writing if `writable`.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`], or the operating system's.
    fn open(&self, path: &Path, writable: bool) -> io::Result<Self::File>;

    /// Renames a file, replacing what has the new name.
    ///
    /// # Errors
    /// The operating system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The operating system's.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// The operating system's; see the contract.
    #[track_caller]
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Takes an exclusive lock on `path`, creating the file if needed; never waits.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if somebody else holds it, or the operating system's.
    fn lock(&self, path: &Path) -> io::Result<Self::Lock>;
}

/// An open file. Reads and writes name their offset; there is no cursor.
pub trait File: Send + Sync + 'static {
    /// Length in bytes.
    ///
    /// # Errors
    /// The operating system's.
    fn len(&self) -> io::Result<u64>;

    /// Whether the length is zero.
    ///
    /// # Errors
    /// As [`len`](Self::len).
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if the file ends before; else the operating system's.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`, growing the file if needed.
    ///
    /// # Errors
    /// The operating system's; part of the bytes may have been written.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts or extends (by zeros) the file.
    ///
    /// # Errors
    /// The operating system's.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// Makes all bytes written so far durable, and the length.
    ///
    /// # Errors
    /// The operating system's; see the contract of [`Fs`].
    #[track_caller]
    fn sync_data(&self) -> io::Result<()>;

    /// Drops clean cached pages, so that the next read comes from the medium. Advice: doing nothing is allowed.
    ///
    /// # Errors
    /// The operating system's.
    fn drop_cache(&self) -> io::Result<()>;

    /// The descriptor, where the file is a real one that can be mapped.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;
}
