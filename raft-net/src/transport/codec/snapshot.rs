//! The conversation of a snapshot transfer: offer → have → chunks and credit → done → finished.

use std::sync::Arc;

use bytes::Bytes;
use raft_core::configuration::Configuration;
use raft_core::snapshot::{ChunkSet, SnapshotInfo, SnapshotMeta, SnapshotOffer};
use raft_core::types::{EntryId, LogIndex, Term};
use serde::{Deserialize, Serialize};

use super::{CodecError, Encoder, nothing_left, split_header};
use crate::frame::{Frame, FramePart, WriteBuffer};

const WHAT: &str = "snapshot message";

/// What sender and receiver of a snapshot tell each other, in the order of the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotMessage {
    /// Sender: the file on offer.
    Offer(SnapshotOffer),
    /// Receiver: accepted. These chunks need not be sent; of the others, this many may be under way at first.
    Have {
        /// Chunks that are there already.
        chunks: ChunkSet,
        /// Chunks that may be sent at once.
        credit: u32,
    },
    /// Receiver: not accepted.
    Refuse,
    /// Sender: one chunk. Costs one credit.
    Chunk {
        /// Its number.
        number: u64,
        /// Its bytes; their CRC travels in the header.
        bytes: Bytes,
    },
    /// Receiver: this many more chunks may be sent.
    Credit {
        /// Chunks.
        chunks: u32,
    },
    /// Sender: that was all.
    Done,
    /// Receiver: still busy with its disk. Says only that the transfer is alive.
    Working,
    /// Receiver: the last word.
    Finished {
        /// Whether the receiver holds the whole file, checked and durable.
        complete: bool,
    },
}

/// What a head holds. The order of the variants is the protocol.
#[derive(Debug, Serialize, Deserialize)]
enum Header {
    Offer(OfferHeader),
    Have { chunks: ChunkSet, credit: u32 },
    Refuse,
    Chunk { number: u64, crc: u32 },
    Credit { chunks: u32 },
    Done,
    Working,
    Finished { complete: bool },
}

/// [`SnapshotOffer`], with the configuration in its own layout.
#[derive(Debug, Serialize, Deserialize)]
struct OfferHeader {
    term: Term,
    last: EntryId,
    configuration_index: LogIndex,
    configuration: Option<Vec<u8>>,
    length: u64,
    chunk_bytes: u32,
    digest: [u8; 32],
}

impl Encoder {
    /// Appends the frame of a snapshot message to `out`. A chunk's bytes are not copied.
    ///
    /// # Errors
    /// [`CodecError::TooLong`]; nothing was appended.
    pub fn snapshot(&mut self, message: &SnapshotMessage, out: &mut WriteBuffer) -> Result<(), CodecError> {
        self.start(WHAT, &Header::of(message))?;
        let tail = match message {
            SnapshotMessage::Chunk { bytes, .. } => Some(bytes),
            _ => None,
        };
        Ok(out.push(&self.head, tail)?)
    }
}

impl SnapshotMessage {
    /// The snapshot message in `frame`. A chunk shares the frame's memory; its checksum is verified.
    ///
    /// # Errors
    /// [`CodecError`]: the sender is broken or speaks another protocol; close the connection.
    pub fn decode(frame: Frame) -> Result<Self, CodecError> {
        let (header, rest) = split_header::<Header>(WHAT, &frame.head)?;
        nothing_left(WHAT, FramePart::Head, &rest)?;
        let message = match header {
            Header::Chunk { number, crc: expected } => {
                let found = crc32fast::hash(&frame.tail);
                if found != expected {
                    return Err(CodecError::Chunk { number, found, expected });
                }
                return Ok(Self::Chunk { number, bytes: frame.tail });
            }
            Header::Offer(header) => Self::Offer(header.try_into()?),
            Header::Have { chunks, credit } => Self::Have { chunks, credit },
            Header::Refuse => Self::Refuse,
            Header::Credit { chunks } => Self::Credit { chunks },
            Header::Done => Self::Done,
            Header::Working => Self::Working,
            Header::Finished { complete } => Self::Finished { complete },
        };
        nothing_left(WHAT, FramePart::Tail, &frame.tail)?;
        Ok(message)
    }
}

impl Header {
    fn of(message: &SnapshotMessage) -> Self {
        match message {
            SnapshotMessage::Offer(offer) => Self::Offer(offer.into()),
            SnapshotMessage::Have { chunks, credit } => {
                Self::Have { chunks: chunks.clone(), credit: *credit }
            }
            SnapshotMessage::Refuse => Self::Refuse,
            SnapshotMessage::Chunk { number, bytes } => {
                Self::Chunk { number: *number, crc: crc32fast::hash(bytes) }
            }
            SnapshotMessage::Credit { chunks } => Self::Credit { chunks: *chunks },
            SnapshotMessage::Done => Self::Done,
            SnapshotMessage::Working => Self::Working,
            SnapshotMessage::Finished { complete } => Self::Finished { complete: *complete },
        }
    }
}

impl From<&SnapshotOffer> for OfferHeader {
    fn from(offer: &SnapshotOffer) -> Self {
        let SnapshotInfo { meta, length, chunk_bytes, digest } = &offer.info;
        let configuration = meta.configuration.as_ref().map(|configuration| {
            let mut bytes = Vec::new();
            configuration.encode(&mut bytes);
            bytes
        });
        Self {
            term: offer.term,
            last: meta.last,
            configuration_index: meta.configuration_index,
            configuration,
            length: *length,
            chunk_bytes: *chunk_bytes,
            digest: *digest,
        }
    }
}

impl TryFrom<OfferHeader> for SnapshotOffer {
    type Error = CodecError;

    fn try_from(header: OfferHeader) -> Result<Self, CodecError> {
        if header.chunk_bytes == 0 {
            return Err(CodecError::Field { what: "snapshot offer", field: "chunk length: 0 bytes" });
        }
        let configuration = header.configuration.as_deref().map(Configuration::decode).transpose()?;
        let meta = SnapshotMeta {
            last: header.last,
            configuration_index: header.configuration_index,
            configuration: configuration.map(Arc::new),
        };
        let OfferHeader { term, length, chunk_bytes, digest, .. } = header;
        Ok(Self { term, info: SnapshotInfo { meta, length, chunk_bytes, digest } })
    }
}
