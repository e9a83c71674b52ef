//! Frames on their way out: small parts gathered, large payloads by reference.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{FrameLimits, HEADER_BYTES, TooLong, checksum};

/// A payload shorter than this is copied: cheaper than one more slice in the system call.
const GATHER_BELOW: usize = 1024;

/// Encoded frames that wait to be written. A [`Buf`], so that one vectored write takes them all.
#[derive(Debug)]
pub struct WriteBuffer {
    limits: FrameLimits,
    /// Sealed bytes, in order, before those of `gathered`. None is empty.
    sealed: VecDeque<Bytes>,
    gathered: BytesMut,
    remaining: usize,
}

impl WriteBuffer {
    /// An empty buffer for frames within `limits`.
    #[must_use]
    pub fn new(limits: FrameLimits) -> Self {
        Self { limits, sealed: VecDeque::new(), gathered: BytesMut::new(), remaining: 0 }
    }

    /// Replaces the limits for the frames to come.
    pub const fn set_limits(&mut self, limits: FrameLimits) {
        self.limits = limits;
    }

    /// Appends bytes outside any frame: the preamble.
    pub fn push_raw(&mut self, bytes: &[u8]) {
        self.gathered.extend_from_slice(bytes);
        self.remaining += bytes.len();
    }

    /// Appends a frame. The head is copied; of the tail's parts, which follow one another, only small ones.
    ///
    /// # Errors
    /// [`TooLong`]: the frame would be refused at the other end; nothing was appended.
    pub fn push<'a, T>(&mut self, head: &[u8], tail: T) -> Result<(), TooLong>
    where
        T: IntoIterator<Item = &'a Bytes, IntoIter: Clone>,
    {
        let tail = tail.into_iter();
        let tail_bytes = tail.clone().map(|part| part.len() as u64).sum();
        self.limits.check(head.len() as u64, tail_bytes)?;
        let mut lengths = [0; 8];
        lengths[..4].copy_from_slice(&u32::to_le_bytes(head.len() as u32));
        lengths[4..].copy_from_slice(&u32::to_le_bytes(tail_bytes as u32));
        self.gathered.reserve(HEADER_BYTES + head.len());
        self.gathered.put_slice(&lengths);
        self.gathered.put_u32_le(checksum(&lengths, head));
        self.gathered.put_slice(head);
        for part in tail {
            self.push_payload(part);
        }
        self.remaining += HEADER_BYTES + head.len() + tail_bytes as usize;
        Ok(())
    }

    fn push_payload(&mut self, part: &Bytes) {
        if part.len() < GATHER_BELOW {
            self.gathered.put_slice(part);
            return;
        }
        if !self.gathered.is_empty() {
            self.sealed.push_back(self.gathered.split().freeze());
        }
        self.sealed.push_back(part.clone());
    }
}

impl Buf for WriteBuffer {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.sealed.front().map_or(&self.gathered, |first| first)
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.remaining, "advance by {count} of {} bytes", self.remaining);
        self.remaining -= count;
        while let Some(first) = self.sealed.front_mut() {
            if count < first.len() {
                first.advance(count);
                return;
            }
            count -= first.len();
            self.sealed.pop_front();
        }
        self.gathered.advance(count);
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let gathered = (!self.gathered.is_empty()).then_some(&self.gathered[..]);
        let chunks = self.sealed.iter().map(|part| &part[..]).chain(gathered);
        let mut filled = 0;
        for (slice, chunk) in slices.iter_mut().zip(chunks) {
            *slice = IoSlice::new(chunk);
            filled += 1;
        }
        filled
    }
}
