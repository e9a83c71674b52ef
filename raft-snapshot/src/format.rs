//! The fixed parts of a snapshot file: preamble and header at its start, trailer at its end.
//!
//! Layouts are in the documentation of the crate. The preamble has its own checksum, at the same place in every
//! version of the format, and nothing in it is believed before that: so a newer file is told from a damaged
//! one.

use std::sync::Arc;

use raft_core::configuration::Configuration;
use raft_core::snapshot::SnapshotMeta;
use raft_core::types::{EntryId, LogIndex, Term};

use crate::flaw::{Flaw, Part};
use crate::page::Pages;

/// Least size of a page.
pub(crate) const MIN_PAGE_BYTES: u32 = 64;
/// Greatest size of a page.
pub(crate) const MAX_PAGE_BYTES: u32 = 1 << 20;
/// Bytes of the preamble.
pub(crate) const PREAMBLE_BYTES: usize = 48;
/// Bytes of the trailer.
pub(crate) const TRAILER_BYTES: usize = 60;

const MAGIC: [u8; 8] = *b"RAFTSNAP";
const END_MAGIC: [u8; 8] = *b"SNAPEND\n";
const FORMAT_VERSION: u32 = 1;
/// Bits of features without which a file cannot be read; none so far.
const FEATURES: u32 = 0;
/// Bytes of the header before the configuration, preamble included.
const HEADER_FIXED_BYTES: usize = PREAMBLE_BYTES + 8;

/// The first bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Preamble {
    /// Bytes of each page but the last.
    pub(crate) page_bytes: u32,
    /// Bytes of content before the body, this preamble included.
    pub(crate) header_bytes: u32,
    /// Last entry that the snapshot includes.
    pub(crate) last: EntryId,
    /// Version of the layout inside the body.
    pub(crate) state_version: u32,
}

impl Preamble {
    fn encode(self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&MAGIC);
        for field in [FORMAT_VERSION, FEATURES, self.page_bytes, self.header_bytes] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(&self.last.index.0.to_le_bytes());
        out.extend_from_slice(&self.last.term.0.to_le_bytes());
        out.extend_from_slice(&self.state_version.to_le_bytes());
        let checksum = crc32fast::hash(&out[start..]);
        out.extend_from_slice(&checksum.to_le_bytes());
    }

    /// Reads the layout, up to the state version `newest_state`.
    pub(crate) fn decode(bytes: &[u8; PREAMBLE_BYTES], newest_state: u32) -> Result<Self, Flaw> {
        check_magic(bytes, 0, 0, MAGIC)?;
        check_checksum(bytes, 44, Part::Preamble, 0)?;
        for (field, at, supported) in [
            ("snapshot format version", 8, FORMAT_VERSION),
            ("snapshot feature set", 12, FEATURES),
            ("state version", 40, newest_state),
        ] {
            let found = u32_at(bytes, at);
            if found > supported {
                return Err(Flaw::Unsupported { field, found, supported });
            }
        }
        let preamble = Self {
            page_bytes: u32_at(bytes, 16),
            header_bytes: u32_at(bytes, 20),
            last: EntryId::new(Term(u64_at(bytes, 32)), LogIndex(u64_at(bytes, 24))),
            state_version: u32_at(bytes, 40),
        };
        check("format version", 8, u32_at(bytes, 8).into(), FORMAT_VERSION.into())?;
        let page_bytes = preamble.page_bytes.clamp(MIN_PAGE_BYTES, MAX_PAGE_BYTES);
        check("page size", 16, preamble.page_bytes.into(), page_bytes.into())?;
        let header_bytes = preamble.header_bytes.max(HEADER_FIXED_BYTES as u32);
        check("header length", 20, preamble.header_bytes.into(), header_bytes.into())?;
        Ok(preamble)
    }
}

/// Preamble and header of a snapshot that stands for `meta`.
pub(crate) fn encode_header(meta: &SnapshotMeta, page_bytes: u32, state_version: u32) -> Vec<u8> {
    let mut configuration = Vec::new();
    if let Some(members) = &meta.configuration {
        members.encode(&mut configuration);
    }
    let header_bytes = u32::try_from(HEADER_FIXED_BYTES + configuration.len())
        .expect("a configuration is one log entry, hence below 4 GiB");
    let mut header = Vec::with_capacity(header_bytes as usize);
    Preamble { page_bytes, header_bytes, last: meta.last, state_version }.encode(&mut header);
    header.extend_from_slice(&meta.configuration_index.0.to_le_bytes());
    header.extend_from_slice(&configuration);
    header
}

/// Reads what follows the preamble in the header of the snapshot through `last`. `bytes` hold both, nothing else.
pub(crate) fn decode_header(bytes: &[u8], last: EntryId) -> Result<SnapshotMeta, Flaw> {
    let configuration = match &bytes[HEADER_FIXED_BYTES..] {
        [] => None,
        encoded => {
            let decoded = Configuration::decode(encoded);
            let flaw = |source| Flaw::Configuration { offset: HEADER_FIXED_BYTES as u64, source };
            Some(Arc::new(decoded.map_err(flaw)?))
        }
    };
    let configuration_index = LogIndex(u64_at(bytes, PREAMBLE_BYTES));
    Ok(SnapshotMeta { last, configuration_index, configuration })
}

/// The last bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    /// Bytes that the view wrote.
    pub(crate) body_bytes: u64,
    /// Number of pages.
    pub(crate) pages: u64,
    /// BLAKE3 of all bytes before this trailer.
    pub(crate) digest: [u8; 32],
}

impl Trailer {
    pub(crate) fn encode(self) -> [u8; TRAILER_BYTES] {
        let mut bytes = [0; TRAILER_BYTES];
        bytes[..8].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.pages.to_le_bytes());
        bytes[16..48].copy_from_slice(&self.digest);
        let checksum = crc32fast::hash(&bytes[..48]);
        bytes[48..52].copy_from_slice(&checksum.to_le_bytes());
        bytes[52..].copy_from_slice(&END_MAGIC);
        bytes
    }

    /// Reads the layout behind `pages`.
    pub(crate) fn decode(bytes: &[u8; TRAILER_BYTES], pages: &Pages) -> Result<Self, Flaw> {
        let offset = pages.end();
        check_magic(bytes, 52, offset, END_MAGIC)?;
        check_checksum(bytes, 48, Part::Trailer, offset)?;
        let trailer = Self {
            body_bytes: u64_at(bytes, 0),
            pages: u64_at(bytes, 8),
            digest: *bytes[16..].first_chunk().expect("44 bytes are left"),
        };
        check("page count", offset + 8, trailer.pages, pages.count())?;
        Ok(trailer)
    }
}

/// Checks a number that lies at `offset`.
pub(crate) const fn check(field: &'static str, offset: u64, found: u64, expected: u64) -> Result<(), Flaw> {
    if found == expected { Ok(()) } else { Err(Flaw::Field { field, offset, found, expected }) }
}

fn check_magic(bytes: &[u8], at: usize, offset: u64, expected: [u8; 8]) -> Result<(), Flaw> {
    let found = *bytes[at..].first_chunk().expect("inside the layout");
    let offset = offset + at as u64;
    if found == expected { Ok(()) } else { Err(Flaw::Magic { offset, found, expected }) }
}

/// Checks the CRC-32 of `bytes[..at]` that is stored at `at`.
fn check_checksum(bytes: &[u8], at: usize, part: Part, offset: u64) -> Result<(), Flaw> {
    let (found, expected) = (crc32fast::hash(&bytes[..at]), u32_at(bytes, at));
    if found == expected { Ok(()) } else { Err(Flaw::Checksum { part, offset, found, expected }) }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("inside the layout"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("inside the layout"))
}
