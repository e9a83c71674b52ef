//! Cutting a read buffer into frames.

use bytes::{Buf, BytesMut};

use super::{Frame, FrameError, FrameLimits, HEADER_BYTES, checksum};
use crate::preamble::PREAMBLE_BYTES;

/// Cuts frames off the front of a read buffer. Holds no bytes of its own.
#[derive(Clone, Debug)]
pub struct FrameDecoder {
    limits: FrameLimits,
    offset: u64,
    head_checked: bool,
}

impl FrameDecoder {
    /// A decoder for what follows the preamble of a stream.
    #[must_use]
    pub const fn new(limits: FrameLimits) -> Self {
        Self { limits, offset: PREAMBLE_BYTES as u64, head_checked: false }
    }

    /// Replaces the limits for the frames that have not been looked at yet.
    pub const fn set_limits(&mut self, limits: FrameLimits) {
        self.limits = limits;
    }

    /// Where the next frame starts, counted from the start of the stream, preamble included.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Takes the next whole frame off `buffer`; `None` if more bytes are needed. Room for the rest of a frame is
    /// reserved once its CRC has vouched for its length.
    ///
    /// # Errors
    /// [`FrameError`]: close the stream.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let Some(&header) = buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let [head, tail, expected] = [0, 4, 8].map(|at| u32_at(&header, at));
        let offset = self.offset;
        let too_long = |too_long| FrameError::TooLong { offset, too_long };
        self.limits.check(u64::from(head), u64::from(tail)).map_err(too_long)?;
        let (head, tail) = (head as usize, tail as usize);
        if !self.head_checked {
            let Some(bytes) = buffer.get(HEADER_BYTES..HEADER_BYTES + head) else { return Ok(None) };
            let found = checksum(&header[..8], bytes);
            if found != expected {
                return Err(FrameError::Checksum { offset, found, expected });
            }
            self.head_checked = true;
        }
        let length = HEADER_BYTES + head + tail;
        if buffer.len() < length {
            buffer.reserve(length - buffer.len());
            return Ok(None);
        }
        let mut frame = buffer.split_to(length).freeze();
        frame.advance(HEADER_BYTES);
        let head = frame.split_to(head);
        self.offset += length as u64;
        self.head_checked = false;
        Ok(Some(Frame { head, tail: frame }))
    }

    /// Checks that the stream, which has ended, ended between two frames. `rest` is what the read buffer still
    /// holds.
    ///
    /// # Errors
    /// [`FrameError::Truncated`] if it ended inside a frame.
    pub const fn finish(&self, rest: &[u8]) -> Result<(), FrameError> {
        match rest.len() {
            0 => Ok(()),
            found => Err(FrameError::Truncated { offset: self.offset, found }),
        }
    }
}

fn u32_at(header: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes(*header[at..].first_chunk().expect("the header holds three numbers"))
}
