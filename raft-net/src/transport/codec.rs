//! Messages in frames.
//!
//! ```text
//! head  postcard of the message's header, and for AppendEntries per block: block header | table
//! tail  the blocks' payloads, one after the other; or the bytes of a snapshot chunk
//! ```
//! Block headers and tables are in the layout of [`raft_core::block`], the one that goes to disk. A decoded block
//! shares the memory of the read buffer.
//!
//! postcard writes the variant's number, then the fields in order: messages never gain fields; a new need is a new
//! variant at the end, gated by the protocol version of the connection. The golden bytes in the tests hold us to
//! it.
//!
//! Invariant (checked-on-arrival): a decoded message holds valid, contiguous blocks whose payloads match their
//! checksums; a decoded chunk matches its own.

mod snapshot;
#[cfg(test)]
mod tests;

pub use snapshot::SnapshotMessage;

use std::mem;

use bytes::Bytes;
use raft_core::block::{Block, BlockError, BlockHeader, Blocks, ROW_BYTES};
use raft_core::configuration::ConfigurationError;
use raft_core::message::{
    AppendEntries, AppendEntriesResponse, Heartbeat, HeartbeatResponse, Message, ReadIndex,
    ReadIndexResponse, RequestVote, RequestVoteResponse, TimeoutNow,
};
use raft_core::time::Time;
use raft_core::types::{EntryId, LogIndex, Term};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::frame::{Frame, FramePart, TooLong, WriteBuffer};

/// A frame that is not a message, or a message that does not fit a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The header is not one of this protocol version.
    #[error("{what}: unreadable header (expected one of this protocol version)")]
    Header {
        /// The kind of message that was expected.
        what: &'static str,
        /// postcard's view.
        source: postcard::Error,
    },
    /// A field with a value it cannot have.
    #[error("{what}: bad {field}")]
    Field {
        /// The kind of message.
        what: &'static str,
        /// The field.
        field: &'static str,
    },
    /// A block breaks the block invariant, or its payload is not the one that was proposed.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// A block does not follow the one before it, or the message's previous entry.
    #[error("AppendEntries: block starts at index {found} (expected {expected})")]
    Gap {
        /// First index of the block.
        found: LogIndex,
        /// The index that was to come.
        expected: LogIndex,
    },
    /// A snapshot offer with a bad configuration.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// A snapshot chunk changed on its way.
    #[error("snapshot chunk {number}: crc is {found:#010x} (expected {expected:#010x})")]
    Chunk {
        /// The chunk.
        number: u64,
        /// CRC of its bytes.
        found: u32,
        /// CRC in its header.
        expected: u32,
    },
    /// Header and frame disagree on the length of a part.
    #[error("{what}: frame {part} of {found} bytes (expected {expected})")]
    Length {
        /// The kind of message.
        what: &'static str,
        /// Which part.
        part: FramePart,
        /// Bytes there.
        found: usize,
        /// Bytes announced; if `found` is more, nothing explains the rest.
        expected: usize,
    },
    /// The encoded message exceeds the frame limits of the connection; raise them above the largest command.
    #[error("message does not fit: {0}")]
    TooLong(#[from] TooLong),
}

/// What a head starts with. The order of the variants is the protocol.
#[derive(Debug, Serialize, Deserialize)]
enum Header {
    RequestVote(RequestVote),
    RequestVoteResponse(RequestVoteResponse),
    AppendEntries(AppendHeader),
    AppendEntriesResponse(AppendEntriesResponse),
    Heartbeat(Heartbeat),
    HeartbeatResponse(HeartbeatResponse),
    TimeoutNow(TimeoutNow),
    ReadIndex(ReadIndex),
    ReadIndexResponse(ReadIndexResponse),
}

/// [`AppendEntries`] but for its blocks.
#[derive(Debug, Serialize, Deserialize)]
struct AppendHeader {
    term: Term,
    prev_entry: EntryId,
    leader_commit: LogIndex,
    read_seq: u64,
    sent_at: Time,
    blocks: u32,
}

impl Header {
    fn of(message: &Message) -> Self {
        match message {
            Message::RequestVote(message) => Self::RequestVote(*message),
            Message::RequestVoteResponse(message) => Self::RequestVoteResponse(*message),
            Message::AppendEntries(message) => Self::AppendEntries(AppendHeader {
                term: message.term,
                prev_entry: message.prev_entry,
                leader_commit: message.leader_commit,
                read_seq: message.read_seq,
                sent_at: message.sent_at,
                blocks: u32::try_from(message.blocks.len()).expect("a message holds fewer than 2^32 blocks"),
            }),
            Message::AppendEntriesResponse(message) => Self::AppendEntriesResponse(*message),
            Message::Heartbeat(message) => Self::Heartbeat(*message),
            Message::HeartbeatResponse(message) => Self::HeartbeatResponse(*message),
            Message::TimeoutNow(message) => Self::TimeoutNow(*message),
            Message::ReadIndex(message) => Self::ReadIndex(*message),
            Message::ReadIndexResponse(message) => Self::ReadIndexResponse(*message),
        }
    }
}

/// Turns messages into frames; keeps the memory of the head from one to the next.
#[derive(Debug, Default)]
pub struct Encoder {
    head: Vec<u8>,
}

impl Encoder {
    /// Appends the frame of `message` to `out`. Payloads are not copied (see [`WriteBuffer::push`]).
    ///
    /// # Errors
    /// [`CodecError::TooLong`]; nothing was appended.
    pub fn message(&mut self, message: &Message, out: &mut WriteBuffer) -> Result<(), CodecError> {
        self.start("message", &Header::of(message))?;
        let blocks = match message {
            Message::AppendEntries(message) => &message.blocks[..],
            _ => &[],
        };
        for block in blocks {
            block.header().encode(&mut self.head);
            self.head.extend_from_slice(block.table());
        }
        Ok(out.push(&self.head, blocks.iter().map(Block::payload))?)
    }

    fn start(&mut self, what: &'static str, header: &impl Serialize) -> Result<(), CodecError> {
        self.head.clear();
        let head = postcard::to_extend(header, mem::take(&mut self.head));
        self.head = head.map_err(|source| CodecError::Header { what, source })?;
        Ok(())
    }
}

/// The message in `frame`, its blocks sharing the frame's memory, their payload checksums verified.
///
/// # Errors
/// [`CodecError`]: the sender is broken or speaks another protocol; close the connection.
pub fn decode_message(frame: Frame) -> Result<Message, CodecError> {
    let (header, rest) = split_header::<Header>("message", &frame.head)?;
    let message = match header {
        Header::AppendEntries(header) => {
            return Ok(Message::AppendEntries(decode_append(header, rest, frame.tail)?));
        }
        Header::RequestVote(message) => Message::RequestVote(message),
        Header::RequestVoteResponse(message) => Message::RequestVoteResponse(message),
        Header::AppendEntriesResponse(message) => Message::AppendEntriesResponse(message),
        Header::Heartbeat(message) => Message::Heartbeat(message),
        Header::HeartbeatResponse(message) => Message::HeartbeatResponse(message),
        Header::TimeoutNow(message) => Message::TimeoutNow(message),
        Header::ReadIndex(message) => Message::ReadIndex(message),
        Header::ReadIndexResponse(message) => Message::ReadIndexResponse(message),
    };
    nothing_left("message", FramePart::Head, &rest)?;
    nothing_left("message", FramePart::Tail, &frame.tail)?;
    Ok(message)
}

fn decode_append(
    header: AppendHeader,
    mut head: Bytes,
    mut tail: Bytes,
) -> Result<AppendEntries, CodecError> {
    const WHAT: &str = "AppendEntries";
    // Memory for blocks that can be there, whatever the header claims: each takes a table row at least.
    let mut blocks = Blocks::with_capacity((header.blocks as usize).min(head.len() / ROW_BYTES));
    let mut expected = header.prev_entry.index.next();
    for _ in 0..header.blocks {
        let (block_header, length) = BlockHeader::decode(&head)?;
        let _header = head.split_to(length);
        let table = take(WHAT, FramePart::Head, &mut head, block_header.table_bytes())?;
        let payload = take(WHAT, FramePart::Tail, &mut tail, block_header.payload_bytes as usize)?;
        let block = Block::from_parts(block_header, table, payload)?;
        let found = block.first_index();
        if found != expected {
            return Err(CodecError::Gap { found, expected });
        }
        block.verify()?;
        expected = block.last_index().next();
        blocks.push(block);
    }
    nothing_left(WHAT, FramePart::Head, &head)?;
    nothing_left(WHAT, FramePart::Tail, &tail)?;
    let AppendHeader { term, prev_entry, leader_commit, read_seq, sent_at, .. } = header;
    Ok(AppendEntries { term, prev_entry, blocks, leader_commit, read_seq, sent_at })
}

/// The postcard value at the start of `head`, and what follows it.
fn split_header<T: DeserializeOwned>(what: &'static str, head: &Bytes) -> Result<(T, Bytes), CodecError> {
    let unreadable = |source| CodecError::Header { what, source };
    let (header, rest) = postcard::take_from_bytes(head).map_err(unreadable)?;
    Ok((header, head.slice(head.len() - rest.len()..)))
}

fn take(
    what: &'static str,
    part: FramePart,
    bytes: &mut Bytes,
    expected: usize,
) -> Result<Bytes, CodecError> {
    match bytes.len() < expected {
        true => Err(CodecError::Length { what, part, found: bytes.len(), expected }),
        false => Ok(bytes.split_to(expected)),
    }
}

const fn nothing_left(what: &'static str, part: FramePart, bytes: &Bytes) -> Result<(), CodecError> {
    match bytes.len() {
        0 => Ok(()),
        found => Err(CodecError::Length { what, part, found, expected: 0 }),
    }
}
