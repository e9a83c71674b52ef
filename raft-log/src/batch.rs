//! The layout of a batch: what one write to the disk is made of.
//!
//! ```text
//!  0 magic "RLB1"          4 header CRC-32 u32 (over the place and bytes 8..72)
//!  8 sequence u64          counts the batches of a store from 1, across segments
//! 16 durable u64           the watermark: batches through this one were durable when this one was framed
//! 24 base term u64        32 base index u64      the entry before the first one of the batch; of a fill, as of a mark,
//!                                                the last one of the log, so that a segment may start with it
//! 40 table bytes u64      48 payload bytes u64
//! 56 table CRC-32 u32     60 header CRC-32 of the batch before u32 (0 if there was none)
//! 64 kind u8              65 flags u8 (bit 0: sealed)      66 zero u8 × 6
//! 72 table section        for each block its header and table, as raft_core::block lays them out
//!    payload section      for each block its payload; covered by the checksums in the tables
//!    zeros to a whole page
//! ```
//!
//! The *place* is node id, segment and offset: checked, not stored. A page of another node, another file or
//! another offset never passes for a batch, whether it got there by a misdirected write, a copied file, or as a
//! value that a client stored.
//!
//! Invariant (chain): a batch names the header checksum of the batch before it, so that what an earlier life of
//! the log left behind a cut can never be taken for its continuation.
//!
//! Invariant (identity): header and table have their own checksums, so index and term of an entry outlive its
//! payload.

#[cfg(test)]
mod tests;

use std::ops::Range;

use raft_core::block::{Block, BlockError, BlockHeader, ROW_BYTES};
use raft_core::{EntryId, EntryKind, LogIndex, NodeId, Term};

use crate::page::{page_multiple, u32_at, u64_at};

/// Bytes before the table section.
pub(crate) const HEADER: usize = 72;

const MAGIC: u32 = u32::from_le_bytes(*b"RLB1");
const SEALED: u8 = 1;
/// Where a table row holds the entry's kind.
const ROW_KIND_AT: usize = 8;

/// What a batch does to the log. Kinds that this program does not write yet are there so that the format need not
/// change for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum BatchKind {
    /// Its entries follow the last one, which is the base.
    Append = 1,
    /// All entries after the base are gone; its entries follow the base.
    Truncate = 2,
    /// Its entries, of which its blocks say the first index and the terms, replace damaged ones of equal index and
    /// term; nothing after them changes. Several holes take several batches. Not written yet, and refused.
    Fill = 3,
    /// The whole log is gone; it starts again after the base.
    Reset = 4,
    /// Nothing but a newer watermark. With the flag `sealed`, also the last batch of its segment.
    Mark = 5,
}

impl BatchKind {
    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Append),
            2 => Some(Self::Truncate),
            3 => Some(Self::Fill),
            4 => Some(Self::Reset),
            5 => Some(Self::Mark),
            _ => None,
        }
    }
}

/// Why the bytes at a place are not the batch that belongs there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchFault {
    /// Zeros, as where nothing was ever written.
    #[error("found zeros (expected a batch header)")]
    Blank,
    /// Neither zeros nor a batch.
    #[error("batch magic is {found:#010x} (expected {expected:#010x})")]
    Magic {
        /// First four bytes there.
        found: u32,
        /// First four bytes of a batch.
        expected: u32,
    },
    /// The header is torn, rotten, or belongs elsewhere.
    #[error("batch header checksum is {found:#010x} (expected {expected:#010x})")]
    HeaderChecksum {
        /// CRC-32 of the place and the bytes there.
        found: u32,
        /// CRC-32 in the header.
        expected: u32,
    },
    /// The block headers and tables are torn or rotten.
    #[error("batch table checksum is {found:#010x} (expected {expected:#010x})")]
    TableChecksum {
        /// CRC-32 of the bytes there.
        found: u32,
        /// CRC-32 in the header.
        expected: u32,
    },
    /// A batch, but not the one that comes next: left over from before a cut, or one in between is gone.
    #[error("batch sequence number is {found} (expected {expected})")]
    Sequence {
        /// Sequence number there.
        found: u64,
        /// The one that comes next.
        expected: u64,
    },
    /// A batch that continues another one than the one before it: left over from before a cut.
    #[error("batch continues one with header checksum {found:#010x} (expected {expected:#010x})")]
    Previous {
        /// What it continues.
        found: u32,
        /// Header checksum of the batch before it.
        expected: u32,
    },
    /// The batch would reach past the end of its segment.
    #[error("batch is {found} bytes long (expected at most {room})")]
    Length {
        /// Bytes announced.
        found: u64,
        /// Bytes to the end of the segment.
        room: u64,
    },
    /// A kind that this program does not know, or flags.
    #[error("batch kind is {kind} with flags {flags:#04x} (expected one that this program knows)")]
    Kind {
        /// The kind byte.
        kind: u8,
        /// The flags byte.
        flags: u8,
    },
    /// A block of it is not one, or a payload differs from its checksum.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// Its blocks do not add up to its length.
    #[error("batch holds {found} payload bytes (expected {expected})")]
    PayloadLength {
        /// Sum over its blocks.
        found: u64,
        /// What the header says.
        expected: u64,
    },
    /// It does not fit the log that the batches before it make.
    #[error("batch follows entry {found} (expected {expected})")]
    Base {
        /// The base in its header, or the entry before one of its blocks.
        found: EntryId,
        /// The entry there.
        expected: EntryId,
    },
}

impl BatchFault {
    /// Whether the checksums are right and it is the contents that make no sense: no crash does that.
    pub(crate) const fn is_whole(&self) -> bool {
        match self {
            Self::Block(error) => !matches!(error, BlockError::PayloadChecksum { .. }),
            Self::Kind { .. } | Self::PayloadLength { .. } | Self::Base { .. } | Self::Length { .. } => true,
            Self::Blank
            | Self::Magic { .. }
            | Self::HeaderChecksum { .. }
            | Self::TableChecksum { .. }
            | Self::Sequence { .. }
            | Self::Previous { .. } => false,
        }
    }
}

/// Where a batch stands. Part of its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) node_id: NodeId,
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

impl Place {
    fn header_crc(self, header: &[u8]) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        for part in [self.node_id.get(), self.segment, self.offset] {
            crc.update(&part.to_le_bytes());
        }
        crc.update(&header[8..HEADER]);
        crc.finalize()
    }
}

/// What the next batch of a chain must say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// Its sequence number.
    pub(crate) sequence: u64,
    /// Header checksum of the batch before it.
    pub(crate) previous: u32,
}

impl Link {
    /// The first batch of a store.
    pub(crate) const FIRST: Self = Self { sequence: 1, previous: 0 };
}

/// A batch in the making: contiguous blocks behind one header.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) kind: BatchKind,
    pub(crate) sealed: bool,
    pub(crate) base: EntryId,
    pub(crate) blocks: Vec<Block>,
}

impl Draft {
    fn table_bytes(&self) -> usize {
        self.blocks.iter().map(|block| block.header().encoded_len() + block.table().len()).sum()
    }

    fn payload_bytes(&self) -> usize {
        self.blocks.iter().map(|block| block.payload().len()).sum()
    }

    /// Bytes on disk: whole pages.
    pub(crate) fn disk_bytes(&self) -> u64 {
        page_multiple((HEADER + self.table_bytes() + self.payload_bytes()) as u64)
    }

    /// Appends the batch to `out`, in whole pages; the answer is its header.
    pub(crate) fn encode(&self, place: Place, link: Link, durable: u64, out: &mut Vec<u8>) -> BatchHeader {
        let start = out.len();
        out.resize(start + HEADER, 0);
        for block in &self.blocks {
            block.header().encode(out);
            out.extend_from_slice(block.table());
        }
        let mut header = BatchHeader {
            crc: 0,
            sequence: link.sequence,
            durable,
            base: self.base,
            table_bytes: (out.len() - start - HEADER) as u64,
            payload_bytes: self.payload_bytes() as u64,
            table_crc: crc32fast::hash(&out[start + HEADER..]),
            previous: link.previous,
            kind: self.kind,
            sealed: self.sealed,
        };
        header.crc = header.write(place, &mut out[start..start + HEADER]);
        for block in &self.blocks {
            out.extend_from_slice(block.payload());
        }
        out.resize(start + header.disk_bytes() as usize, 0);
        header
    }
}

/// The first [`HEADER`] bytes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) crc: u32,
    pub(crate) sequence: u64,
    pub(crate) durable: u64,
    pub(crate) base: EntryId,
    pub(crate) table_bytes: u64,
    pub(crate) payload_bytes: u64,
    pub(crate) table_crc: u32,
    pub(crate) previous: u32,
    pub(crate) kind: BatchKind,
    pub(crate) sealed: bool,
}

impl BatchHeader {
    fn write(&self, place: Place, out: &mut [u8]) -> u32 {
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC.to_le_bytes());
        put(8, &self.sequence.to_le_bytes());
        put(16, &self.durable.to_le_bytes());
        put(24, &self.base.term.0.to_le_bytes());
        put(32, &self.base.index.0.to_le_bytes());
        put(40, &self.table_bytes.to_le_bytes());
        put(48, &self.payload_bytes.to_le_bytes());
        put(56, &self.table_crc.to_le_bytes());
        put(60, &self.previous.to_le_bytes());
        put(64, &[self.kind as u8, u8::from(self.sealed) * SEALED]);
        let crc = place.header_crc(out);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        crc
    }

    /// Reads the header of the batch at `place`, of which `room` bytes are left in the segment.
    pub(crate) fn read(bytes: &[u8; HEADER], place: Place, room: u64) -> Result<Self, BatchFault> {
        match u32_at(bytes, 0) {
            MAGIC => {}
            0 if bytes.iter().all(|&byte| byte == 0) => return Err(BatchFault::Blank),
            found => return Err(BatchFault::Magic { found, expected: MAGIC }),
        }
        let (found, expected) = (place.header_crc(bytes), u32_at(bytes, 4));
        if found != expected {
            return Err(BatchFault::HeaderChecksum { found, expected });
        }
        let (kind, flags) = (bytes[64], bytes[65]);
        let known = BatchKind::from_byte(kind).filter(|_| flags & !SEALED == 0);
        let header = Self {
            crc: expected,
            sequence: u64_at(bytes, 8),
            durable: u64_at(bytes, 16),
            base: EntryId::new(Term(u64_at(bytes, 24)), LogIndex(u64_at(bytes, 32))),
            table_bytes: u64_at(bytes, 40),
            payload_bytes: u64_at(bytes, 48),
            table_crc: u32_at(bytes, 56),
            previous: u32_at(bytes, 60),
            kind: known.ok_or(BatchFault::Kind { kind, flags })?,
            sealed: flags & SEALED != 0,
        };
        let found = header.table_bytes.saturating_add(header.payload_bytes).saturating_add(HEADER as u64);
        if found > room {
            return Err(BatchFault::Length { found, room });
        }
        Ok(header)
    }

    /// Whether this batch is the one that `link` waits for.
    pub(crate) const fn check_link(&self, link: Link) -> Result<(), BatchFault> {
        if self.sequence != link.sequence {
            return Err(BatchFault::Sequence { found: self.sequence, expected: link.sequence });
        }
        if self.previous != link.previous {
            return Err(BatchFault::Previous { found: self.previous, expected: link.previous });
        }
        Ok(())
    }

    /// What the batch after this one must say.
    pub(crate) const fn next_link(&self) -> Link {
        Link { sequence: self.sequence + 1, previous: self.crc }
    }

    /// Whether this is a mark that leaves nothing but itself above the watermark.
    pub(crate) fn is_fresh_mark(&self) -> bool {
        self.kind == BatchKind::Mark && self.durable + 1 == self.sequence
    }

    /// Bytes on disk: whole pages.
    pub(crate) const fn disk_bytes(&self) -> u64 {
        page_multiple(HEADER as u64 + self.table_bytes + self.payload_bytes)
    }

    /// Where the payload section starts, counted from the start of the batch.
    pub(crate) const fn payload_offset(&self) -> u64 {
        HEADER as u64 + self.table_bytes
    }

    /// Where the blocks of this batch are, by its table section.
    pub(crate) fn blocks(&self, table: &[u8]) -> Result<Vec<BatchBlock>, BatchFault> {
        let (found, expected) = (crc32fast::hash(table), self.table_crc);
        if found != expected {
            return Err(BatchFault::TableChecksum { found, expected });
        }
        let mut blocks = Vec::new();
        let (mut at, mut payload) = (0, 0);
        while at < table.len() {
            let (header, taken) = BlockHeader::decode(&table[at..])?;
            let rows = at + taken..at + taken + header.table_bytes();
            if rows.end > table.len() {
                let (found, expected) = ((table.len() - rows.start) as u64, header.table_bytes() as u64);
                return Err(BlockError::Length { first: header.first, part: "table", found, expected }.into());
            }
            at = rows.end;
            let end = payload + u64::from(header.payload_bytes);
            blocks.push(BatchBlock { header, table: rows, payload: payload..end });
            payload = end;
        }
        if payload != self.payload_bytes {
            return Err(BatchFault::PayloadLength { found: payload, expected: self.payload_bytes });
        }
        Ok(blocks)
    }
}

/// Where one block of a batch is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BatchBlock {
    pub(crate) header: BlockHeader,
    /// Its table, in the table section.
    pub(crate) table: Range<usize>,
    /// Its payload, in the payload section.
    pub(crate) payload: Range<u64>,
}

impl BatchBlock {
    /// Index of the last entry.
    pub(crate) fn last_index(&self) -> LogIndex {
        self.header.first.plus(u64::from(self.header.entries) - 1)
    }

    /// Identity of the last entry.
    pub(crate) fn last_id(&self) -> EntryId {
        EntryId::new(self.header.runs[self.header.runs.len() - 1].term, self.last_index())
    }

    /// Whether one of its entries is a configuration, by the `table` section.
    pub(crate) fn has_configuration(&self, table: &[u8]) -> bool {
        let mut rows = table[self.table.clone()].chunks_exact(ROW_BYTES);
        rows.any(|row| row[ROW_KIND_AT] == EntryKind::Configuration as u8)
    }
}
