//! Writes one file from front to back, page by page, and knows its digest at the end.
//!
//! Invariant (canonical): the bytes depend on the header and on what the view writes, on nothing else: no
//! clock, node, cluster or randomness enters, and how the view cuts its writes does not matter.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use raft_core::fs::File;
use raft_core::types::EntryId;

use crate::format::Trailer;
use crate::page;

/// A file being written. Through [`Write`] it takes the header, then the body.
pub(crate) struct FileWriter<'a, F> {
    file: &'a F,
    /// Set from elsewhere to give up at the next write.
    closing: &'a AtomicBool,
    last: EntryId,
    page_bytes: usize,
    /// Content of the page being filled.
    page: Vec<u8>,
    pages: u64,
    /// Where that page goes.
    offset: u64,
    header_bytes: u64,
    hasher: blake3::Hasher,
    /// A write failed, and so will all that follows: a view that ignores an error must not succeed.
    failed: bool,
}

/// The store is being closed in the middle of a file.
#[derive(Debug, thiserror::Error)]
#[error("the store is closing")]
struct Closing;

/// The view went on after a write had failed.
#[derive(Debug, thiserror::Error)]
#[error("an earlier write failed, and the view ignored the error")]
struct Ignored;

impl<'a, F: File> FileWriter<'a, F> {
    /// Begins the file of the snapshot through `last`, with pages of `page_bytes`. The header is written like the
    /// body: it is the first `header_bytes`.
    pub(crate) fn new(
        file: &'a F,
        last: EntryId,
        page_bytes: u32,
        header_bytes: usize,
        closing: &'a AtomicBool,
    ) -> Self {
        let page_bytes = page_bytes as usize;
        Self {
            file,
            closing,
            last,
            page_bytes,
            page: Vec::with_capacity(page_bytes),
            pages: 0,
            offset: 0,
            header_bytes: header_bytes as u64,
            hasher: blake3::Hasher::new(),
            failed: false,
        }
    }

    /// Where the next bytes go.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset + self.page.len() as u64
    }

    /// Ends the file and answers with its digest. Nothing is synced.
    pub(crate) fn finish(&mut self) -> io::Result<[u8; 32]> {
        self.check_going_on()?;
        if !self.page.is_empty() {
            self.write_page()?;
        }
        let content_bytes = self.offset - self.pages * page::CHECKSUM_BYTES as u64;
        let trailer = Trailer {
            body_bytes: content_bytes - self.header_bytes,
            pages: self.pages,
            digest: self.hasher.finalize().into(),
        };
        let trailer = trailer.encode();
        self.file.write_all_at(&trailer, self.offset)?;
        Ok(self.hasher.update(&trailer).finalize().into())
    }

    fn check_going_on(&self) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other(Ignored));
        }
        if self.closing.load(Ordering::Relaxed) {
            return Err(io::Error::other(Closing));
        }
        Ok(())
    }

    const fn room(&self) -> usize {
        self.page_bytes - page::CHECKSUM_BYTES - self.page.len()
    }

    /// Writes the page out and begins the next.
    fn write_page(&mut self) -> io::Result<()> {
        page::seal(self.last, self.pages, &mut self.page);
        self.failed = true;
        self.file.write_all_at(&self.page, self.offset)?;
        self.failed = false;
        self.hasher.update(&self.page);
        self.offset += self.page.len() as u64;
        self.pages += 1;
        self.page.clear();
        Ok(())
    }
}

impl<F: File> Write for FileWriter<'_, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check_going_on()?;
        if self.room() == 0 {
            self.write_page()?;
        }
        let taken = bytes.len().min(self.room());
        self.page.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    /// Pages are written when they are full: nothing to do.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
