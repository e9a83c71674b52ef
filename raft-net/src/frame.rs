//! Frames: how a byte stream is cut into messages. Sans-I/O, bounded, without a copy of large payloads.
//!
//! ```text
//! head length u32 | tail length u32 | CRC-32 u32 | head | tail
//! ```
//! All numbers little-endian. The CRC (IEEE) covers both lengths and the head. The head carries headers and block
//! tables; the tail carries payload bytes, which have checksums of their own, made where they were first seen.
//!
//! [`WriteBuffer`] collects frames for vectored writes; [`FrameDecoder`] cuts a read buffer into [`Frame`]s that
//! share its memory.
//!
//! Invariant (bounded-frame): nobody waits for, or reserves memory for, more bytes than [`FrameLimits`] allow, and
//! a tail is waited for only after the CRC has vouched for its length.

mod decoder;
#[cfg(test)]
mod tests;
mod write_buffer;

pub use decoder::FrameDecoder;
pub use write_buffer::WriteBuffer;

use std::fmt;

use bytes::Bytes;

/// Bytes before the head.
pub const HEADER_BYTES: usize = 12;

/// One frame as it was read; both parts share the read buffer's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Headers and tables; its CRC was right.
    pub head: Bytes,
    /// Payload bytes; not verified here.
    pub tail: Bytes,
}

impl Frame {
    /// Bytes that the frame took in the stream.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        HEADER_BYTES + self.head.len() + self.tail.len()
    }
}

/// The longest frame that a side sends or accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// Most bytes in a head (inclusive).
    pub head_bytes: u32,
    /// Most bytes in a tail (inclusive).
    pub tail_bytes: u32,
}

impl FrameLimits {
    fn check(self, head: u64, tail: u64) -> Result<(), TooLong> {
        for (part, found, allowed) in
            [(FramePart::Head, head, self.head_bytes), (FramePart::Tail, tail, self.tail_bytes)]
        {
            if found > u64::from(allowed) {
                return Err(TooLong { part, found, allowed });
            }
        }
        Ok(())
    }
}

/// One of the two parts of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FramePart {
    /// Headers and tables.
    Head,
    /// Payload bytes.
    Tail,
}

impl fmt::Display for FramePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head => "head",
            Self::Tail => "tail",
        })
    }
}

/// A part of a frame exceeds the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("frame {part} of {found} bytes (allowed {allowed})")]
pub struct TooLong {
    /// Which part.
    pub part: FramePart,
    /// Its length in bytes.
    pub found: u64,
    /// The limit in bytes.
    pub allowed: u32,
}

/// Bytes that are not a frame. The stream has lost its frame boundaries: close it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A length exceeds the limits: another protocol, noise, or a peer with higher limits.
    #[error("byte {offset} of the stream: {too_long}")]
    TooLong {
        /// Where the frame starts, counted from the start of the stream, preamble included.
        offset: u64,
        /// Which part, how long, and what is allowed.
        too_long: TooLong,
    },
    /// Lengths or head are not what was sent.
    #[error("byte {offset} of the stream: frame crc is {found:#010x} (expected {expected:#010x})")]
    Checksum {
        /// Where the frame starts, counted from the start of the stream, preamble included.
        offset: u64,
        /// CRC of the bytes there.
        found: u32,
        /// CRC in the frame.
        expected: u32,
    },
    /// The stream ended inside a frame.
    #[error("byte {offset} of the stream: the stream ends {found} bytes into a frame")]
    Truncated {
        /// Where the frame starts, counted from the start of the stream, preamble included.
        offset: u64,
        /// Bytes of it that arrived.
        found: usize,
    },
}

/// The CRC of a frame: over both lengths, then the head.
fn checksum(lengths: &[u8], head: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(lengths);
    crc.update(head);
    crc.finalize()
}
