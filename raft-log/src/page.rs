//! Pages: the unit in which this crate writes, and the stamped page that heads a segment and fills a metadata
//! slot.
//!
//! ```text
//! 0 magic 8 bytes | 8 format version u32 | 12 … the rest is up to the kind … | 4092 CRC-32 u32 of all before it
//! ```
//! Every format version keeps magic, version and checksum where they are, so that an old program can tell a newer
//! page from a damaged one. The checksum stands at the far end: a page of which only some sectors reached the disk
//! does not pass for whole.

use std::fmt;

/// Bytes of a page. Batches start at multiples of it, so that no write touches a page that holds durable bytes.
pub(crate) const PAGE: usize = 4096;
/// The newest format that this program reads, and the one it writes.
pub(crate) const FORMAT_VERSION: u32 = 1;

const VERSION_AT: usize = 8;
const CRC_AT: usize = PAGE - 4;

/// `bytes` rounded up to whole pages.
pub(crate) const fn page_multiple(bytes: u64) -> u64 {
    bytes.next_multiple_of(PAGE as u64)
}

/// Why a page is not the stamped page that belongs there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PageFault {
    /// Another kind of page, or none.
    #[error("it starts with {found} (expected {expected})")]
    Magic {
        /// First bytes there.
        found: Magic,
        /// First bytes of the kind.
        expected: Magic,
    },
    /// Torn or rotten.
    #[error("its checksum is {found:#010x} (expected {expected:#010x})")]
    Checksum {
        /// CRC-32 of the bytes there.
        found: u32,
        /// CRC-32 stored at the page's end.
        expected: u32,
    },
    /// Whole, but of a format that this program does not know.
    #[error("it has format version {found} (expected at most {newest})")]
    NewerFormat {
        /// Version there.
        found: u32,
        /// Newest version known.
        newest: u32,
    },
    /// Whole, but a field says something that cannot be there.
    #[error("its {field} is {found} (expected {expected})")]
    Field {
        /// Which field.
        field: &'static str,
        /// What it says.
        found: u64,
        /// What it should say.
        expected: u64,
    },
}

/// The eight bytes that tell the kinds of pages apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Magic(pub [u8; 8]);

impl fmt::Display for Magic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl fmt::Debug for Magic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Magic({self})")
    }
}

/// One page in the making or just read.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Page([u8; PAGE]);

impl Page {
    /// A page of this kind with nothing in it.
    pub(crate) fn new(magic: Magic) -> Self {
        let mut page = Self([0; PAGE]);
        page.0[..VERSION_AT].copy_from_slice(&magic.0);
        page.put_u32(VERSION_AT, FORMAT_VERSION);
        page
    }

    /// The page that `bytes` hold, if it is a whole one of this kind and of a known format.
    pub(crate) fn check(bytes: [u8; PAGE], magic: Magic) -> Result<Self, PageFault> {
        let page = Self(bytes);
        let found = Magic(*page.0.first_chunk().expect("a page is longer than its magic"));
        if found != magic {
            return Err(PageFault::Magic { found, expected: magic });
        }
        let (found, expected) = (crc32fast::hash(&page.0[..CRC_AT]), page.u32(CRC_AT));
        if found != expected {
            return Err(PageFault::Checksum { found, expected });
        }
        match page.u32(VERSION_AT) {
            FORMAT_VERSION => Ok(page),
            found => Err(PageFault::NewerFormat { found, newest: FORMAT_VERSION }),
        }
    }

    /// The bytes to write, checksum included.
    pub(crate) fn stamp(mut self) -> [u8; PAGE] {
        let crc = crc32fast::hash(&self.0[..CRC_AT]);
        self.put_u32(CRC_AT, crc);
        self.0
    }

    pub(crate) fn u32(&self, at: usize) -> u32 {
        u32_at(&self.0, at)
    }

    pub(crate) fn u64(&self, at: usize) -> u64 {
        u64_at(&self.0, at)
    }

    pub(crate) fn u128(&self, at: usize) -> u128 {
        u128::from(self.u64(at)) | u128::from(self.u64(at + 8)) << 64
    }

    pub(crate) fn put_u32(&mut self, at: usize, value: u32) {
        self.0[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn put_u64(&mut self, at: usize, value: u64) {
        self.0[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn put_u128(&mut self, at: usize, value: u128) {
        self.0[at..at + 16].copy_from_slice(&value.to_le_bytes());
    }
}

/// The little-endian number at `at`, which the caller knows to be inside.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("the caller checked the length"))
}

/// As [`u32_at`].
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("the caller checked the length"))
}
