//! Read-only maps of segment files. All `unsafe` of this crate is in this file.
//!
//! Invariant (immutable prefix): of a segment's bytes, those below its durable end are never written again, in
//! this process or, while the folder's lock is held, in another. [`Segment`](crate::segment::Segment) upholds it:
//! it is the only caller of [`Map::view`] and of the file's write, and it asserts both sides.
//!
//! What cannot be guaranteed: that nobody truncates or overwrites the file from outside in spite of the lock, and
//! that the medium still answers when the kernel has dropped a page and a view is read again. The first is a
//! misuse, the second stops the process with SIGBUS; a page that cannot be read at the time of [`Map::view`] is an
//! error.
#![allow(unsafe_code, reason = "a mapped file can only be read through a raw pointer")]

use std::io;
use std::os::fd::BorrowedFd;
use std::slice;
use std::sync::Arc;

use bytes::Bytes;
use memmap2::{Advice, MmapOptions, MmapRaw};

/// A whole segment file, mapped.
#[derive(Debug)]
pub(crate) struct Map(Arc<MmapRaw>);

impl Map {
    /// Maps the file. An error only means that reads must go through the file itself.
    pub(crate) fn new(file: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self(Arc::new(MmapOptions::new().map_raw_read_only(&file)?)))
    }

    /// The bytes of `start..start + length`, not copied, read in from the medium. They live as long as the answer
    /// does, even if the file is removed. The caller vouches for the invariant of this module.
    ///
    /// # Errors
    /// The medium does not answer, or the kernel (before 5.14) cannot be asked to find out: read the file instead.
    pub(crate) fn view(&self, start: usize, length: usize) -> io::Result<Bytes> {
        let end = start.checked_add(length).filter(|&end| end <= self.0.len());
        if end.is_none() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if length == 0 {
            return Ok(Bytes::new());
        }
        // A page that cannot be read is an error here, and a signal once it is touched.
        self.0.advise_range(Advice::PopulateRead, start, length)?;
        Ok(Bytes::from_owner(View { map: self.0.clone(), start, length }))
    }
}

/// A range of a map that never changes.
struct View {
    map: Arc<MmapRaw>,
    start: usize,
    length: usize,
}

impl AsRef<[u8]> for View {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `Map::view` checked that the range lies inside the map, which `self.map` keeps alive; mapped
        // bytes are initialised; nobody writes them while the reference lives (immutable prefix, vouched for by
        // the caller of `Map::view`).
        unsafe { slice::from_raw_parts(self.map.as_ptr().add(self.start), self.length) }
    }
}
