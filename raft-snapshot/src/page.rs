//! Pages: what the content of a file (header and body) is cut into, so that each piece proves itself when it is
//! read.
//!
//! ```text
//! page n   content | CRC-32 of (last index u64, last term u64, n u64, content) u32
//! ```
//! All pages but the last are of the same size. The numbers in the checksum, the snapshot's last entry and the
//! page's place, tell a page from one of another snapshot or place that a disk left or put there.
//!
//! Invariant (page): every page holds at least one byte of content.

use std::io::ErrorKind;
use std::ops::Range;

use raft_core::fs::File;
use raft_core::types::EntryId;

use crate::flaw::{Flaw, Part};

/// Bytes of the checksum at the end of each page.
pub(crate) const CHECKSUM_BYTES: usize = 4;

/// Where the pages of one file lie: from its start, without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pages {
    last: EntryId,
    page_bytes: u32,
    end: u64,
}

impl Pages {
    /// Pages of `page_bytes` up to offset `end`, of the snapshot through `last`.
    pub(crate) const fn new(last: EntryId, page_bytes: u32, end: u64) -> Result<Self, Flaw> {
        let rest = end % page_bytes as u64;
        if end == 0 || (rest > 0 && rest <= CHECKSUM_BYTES as u64) {
            return Err(Flaw::Length { found: end, expected: end - rest + CHECKSUM_BYTES as u64 + 1 });
        }
        Ok(Self { last, page_bytes, end })
    }

    /// Last entry that the snapshot includes.
    pub(crate) const fn last(&self) -> EntryId {
        self.last
    }

    /// Number of pages, at least 1.
    pub(crate) const fn count(&self) -> u64 {
        self.end.div_ceil(self.page_bytes as u64)
    }

    /// Offset where they end.
    pub(crate) const fn end(&self) -> u64 {
        self.end
    }

    /// Bytes of content in all of them.
    pub(crate) const fn content_bytes(&self) -> u64 {
        self.end - self.count() * CHECKSUM_BYTES as u64
    }

    /// Offset and length of page `number`, checksum included; `None` past the last.
    pub(crate) fn range(&self, number: u64) -> Option<(u64, usize)> {
        let offset = number.checked_mul(u64::from(self.page_bytes)).filter(|&offset| offset < self.end)?;
        let length = u64::from(self.page_bytes).min(self.end - offset);
        Some((offset, usize::try_from(length).expect("a page is below 4 GiB")))
    }

    /// Numbers of the pages that the bytes `offset..end` touch.
    pub(crate) fn touched(&self, offset: u64, end: u64) -> Range<u64> {
        let page_bytes = u64::from(self.page_bytes);
        (offset / page_bytes).min(self.count())..end.min(self.end).div_ceil(page_bytes)
    }

    /// The content of `page`, which was read from where page `number` lies.
    pub(crate) fn open<'a>(&self, number: u64, page: &'a [u8]) -> Result<&'a [u8], Flaw> {
        let (content, stored) = page.split_last_chunk::<CHECKSUM_BYTES>().expect("pages hold a checksum");
        let (found, expected) = (checksum(self.last, number, content), u32::from_le_bytes(*stored));
        if found != expected {
            let offset = number * u64::from(self.page_bytes);
            return Err(Flaw::Checksum { part: Part::Page(number), offset, found, expected });
        }
        Ok(content)
    }
}

/// Appends the checksum to the content of page `number` of the snapshot through `last`.
pub(crate) fn seal(last: EntryId, number: u64, page: &mut Vec<u8>) {
    let checksum = checksum(last, number, page);
    page.extend_from_slice(&checksum.to_le_bytes());
}

fn checksum(last: EntryId, number: u64, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for salt in [last.index.0, last.term.0, number] {
        hasher.update(&salt.to_le_bytes());
    }
    hasher.update(content);
    hasher.finalize()
}

/// Fills `buffer` from `offset` on.
pub(crate) fn read(file: &impl File, buffer: &mut [u8], offset: u64) -> Result<(), Flaw> {
    let length = buffer.len() as u64;
    let source = match file.read_exact_at(buffer, offset) {
        Ok(()) => return Ok(()),
        Err(source) => source,
    };
    match file.len() {
        Ok(found) if source.kind() == ErrorKind::UnexpectedEof => {
            Err(Flaw::Length { found, expected: offset + length })
        }
        _ => Err(Flaw::Read { offset, length, source }),
    }
}
