//! One pass over a file that verifies all of it and hands out the body on the way.
//!
//! Opening, reading back what was written, checking what was received and restoring a state are all this one
//! pass, so that there is one idea of what a valid file is.

use std::ops::Range;
use std::sync::Arc;

use raft_core::fs::File;
use raft_core::snapshot::{SnapshotInfo, SnapshotMeta};

use crate::flaw::Flaw;
use crate::format::{TRAILER_BYTES, Trailer, decode_header};
use crate::layout::{Layout, file_bytes};
use crate::page::{self, Pages};

/// A pass over one file. The header is verified when it begins, each page before it is handed out, and the digest
/// before the end is reported.
pub(crate) struct Scan<F> {
    file: Arc<F>,
    layout: Layout,
    meta: SnapshotMeta,
    trailer: (Trailer, [u8; TRAILER_BYTES]),
    /// The page read last, and where its content not yet handed out lies.
    page: Vec<u8>,
    unread: Range<usize>,
    next_page: u64,
    hasher: blake3::Hasher,
}

impl<F: File> Scan<F> {
    pub(crate) fn begin(file: Arc<F>, newest_state: u32) -> Result<Self, Flaw> {
        let length = file.len().map_err(|source| Flaw::Read { offset: 0, length: 0, source })?;
        let layout = Layout::read(&*file, length, newest_state)?;
        let trailer = layout.read_trailer(&*file)?;
        let (page, hasher) = (Vec::new(), blake3::Hasher::new());
        let meta = SnapshotMeta::NONE;
        let mut scan = Self { file, layout, meta, trailer, page, unread: 0..0, next_page: 0, hasher };
        scan.meta = scan.read_header()?;
        Ok(scan)
    }

    fn read_header(&mut self) -> Result<SnapshotMeta, Flaw> {
        let header_bytes = self.layout.header_bytes as usize;
        let mut header = Vec::new();
        while header.len() < header_bytes {
            let content = self.fill()?;
            let taken = content.len().min(header_bytes - header.len());
            header.extend_from_slice(&content[..taken]);
            self.consume(taken);
        }
        decode_header(&header, self.layout.pages.last())
    }

    /// What comes next of the body; empty at its end, and then every byte of the file was verified.
    pub(crate) fn fill(&mut self) -> Result<&[u8], Flaw> {
        if self.unread.is_empty() && !self.load()? {
            let (found, expected) = (self.hasher.finalize(), self.trailer.0.digest);
            if *found.as_bytes() != expected {
                return Err(Flaw::Digest { found: found.into(), expected });
            }
        }
        Ok(&self.page[self.unread.clone()])
    }

    /// Takes `count` bytes of what [`fill`](Self::fill) gave.
    pub(crate) const fn consume(&mut self, count: usize) {
        self.unread.start += count;
    }

    /// Reads and verifies the next page; false after the last.
    fn load(&mut self) -> Result<bool, Flaw> {
        let Some((offset, length)) = self.layout.pages.range(self.next_page) else {
            return Ok(false);
        };
        self.page.resize(length, 0);
        page::read(&*self.file, &mut self.page, offset)?;
        self.unread = 0..self.layout.pages.open(self.next_page, &self.page)?.len();
        self.hasher.update(&self.page);
        self.next_page += 1;
        Ok(true)
    }

    /// BLAKE3 of the whole file, once the end was reached.
    pub(crate) fn digest(&self) -> [u8; 32] {
        self.hasher.clone().update(&self.trailer.1).finalize().into()
    }
}

/// A file that was verified from its first byte to its last, held open: it stays readable when its name is gone.
#[derive(Debug)]
pub(crate) struct Verified<F> {
    pub(crate) info: SnapshotInfo,
    pub(crate) pages: Pages,
    pub(crate) file: Arc<F>,
}

impl<F: File> Verified<F> {
    /// Reads all of `file`.
    pub(crate) fn read(file: F, chunk_bytes: u32, newest_state: u32) -> Result<Self, Flaw> {
        let file = Arc::new(file);
        let mut scan = Scan::begin(Arc::clone(&file), newest_state)?;
        loop {
            let length = scan.fill()?.len();
            if length == 0 {
                break;
            }
            scan.consume(length);
        }
        let (pages, digest) = (scan.layout.pages, scan.digest());
        let info = SnapshotInfo { meta: scan.meta, length: file_bytes(&pages), chunk_bytes, digest };
        Ok(Self { info, pages, file })
    }
}
