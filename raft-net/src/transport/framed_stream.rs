//! A byte stream with frames on top: buffers, limits, and a watch over stalls.

use std::future::Future;
use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::frame::{Frame, FrameDecoder, FrameLimits, WriteBuffer};
use crate::preamble::{PREAMBLE_BYTES, Preamble};
use crate::transport::codec::{CodecError, Encoder};
use crate::transport::connector::BoxStream;
use crate::transport::error::ConnectionError;

/// Room for one read: many small frames arrive in one.
const READ_BYTES: usize = 64 * 1024;

/// A connection. One task owns it; every wait is cancel-safe.
pub(crate) struct FramedStream {
    stream: BoxStream,
    decoder: FrameDecoder,
    inbox: BytesMut,
    outbox: WriteBuffer,
    encoder: Encoder,
    stall_timeout: Duration,
}

impl FramedStream {
    /// `stall_timeout` bounds each write that makes no progress, and each read that is
    /// [awaited](Self::expect_frame).
    pub(crate) fn new(stream: BoxStream, limits: FrameLimits, stall_timeout: Duration) -> Self {
        Self {
            stream,
            decoder: FrameDecoder::new(limits),
            inbox: BytesMut::new(),
            outbox: WriteBuffer::new(limits),
            encoder: Encoder::default(),
            stall_timeout,
        }
    }

    /// The peer is known by now: trust it with longer frames.
    pub(crate) fn set_limits(&mut self, limits: FrameLimits) {
        self.decoder.set_limits(limits);
        self.outbox.set_limits(limits);
    }

    /// Queues what `encode` writes; [`flush`](Self::flush) sends it.
    pub(crate) fn push(
        &mut self,
        encode: impl FnOnce(&mut Encoder, &mut WriteBuffer) -> Result<(), CodecError>,
    ) -> Result<(), CodecError> {
        encode(&mut self.encoder, &mut self.outbox)
    }

    /// Queues the four bytes that open the stream.
    pub(crate) fn push_preamble(&mut self, preamble: Preamble) {
        self.outbox.push_raw(&preamble.bytes());
    }

    /// Writes everything queued, many frames by one system call. The answer is the number of bytes written.
    pub(crate) async fn flush(&mut self) -> Result<usize, ConnectionError> {
        let bytes = self.outbox.remaining();
        while self.outbox.has_remaining() {
            let write = self.stream.write_buf(&mut self.outbox);
            if within(self.stall_timeout, write).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
        }
        within(self.stall_timeout, self.stream.flush()).await?;
        Ok(bytes)
    }

    /// Reads the first four bytes of the stream.
    pub(crate) async fn read_preamble(&mut self, expected: Preamble) -> Result<(), ConnectionError> {
        loop {
            if let Some(&found) = self.inbox.first_chunk::<PREAMBLE_BYTES>() {
                self.inbox.advance(PREAMBLE_BYTES);
                return Ok(expected.check(found)?);
            }
            if self.read_some().await? == 0 {
                return Err(ConnectionError::Closed);
            }
        }
    }

    /// The next frame, however long it takes to come. Cancel-safe.
    pub(crate) async fn next_frame(&mut self) -> Result<Frame, ConnectionError> {
        self.read_frame(None).await
    }

    /// The next frame, from a peer that is to send one: no byte within the stall timeout is an error. Cancel-safe.
    pub(crate) async fn expect_frame(&mut self) -> Result<Frame, ConnectionError> {
        self.read_frame(Some(self.stall_timeout)).await
    }

    async fn read_frame(&mut self, stall_timeout: Option<Duration>) -> Result<Frame, ConnectionError> {
        loop {
            if let Some(frame) = self.decoder.decode(&mut self.inbox)? {
                return Ok(frame);
            }
            let read = match stall_timeout {
                Some(limit) => within(limit, self.read_some()).await?,
                None => self.read_some().await?,
            };
            if read == 0 {
                self.decoder.finish(&self.inbox)?;
                return Err(ConnectionError::Closed);
            }
        }
    }

    /// Waits for the end of a connection on which the other side has nothing to say. Cancel-safe.
    pub(crate) async fn ended(&mut self) -> ConnectionError {
        let unexpected = ConnectionError::Unexpected { found: "bytes", expected: "none on this lane" };
        if !self.inbox.is_empty() {
            return unexpected;
        }
        match self.read_some().await {
            Ok(0) => ConnectionError::Closed,
            Ok(_) => unexpected,
            Err(error) => error.into(),
        }
    }

    /// Reads to the end of the stream and forgets what comes.
    pub(crate) async fn drain(&mut self) {
        self.inbox.clear();
        while matches!(self.read_some().await, Ok(1..)) {
            self.inbox.clear();
        }
    }

    async fn read_some(&mut self) -> io::Result<usize> {
        if self.inbox.capacity() == self.inbox.len() {
            self.inbox.reserve(READ_BYTES);
        }
        self.stream.read_buf(&mut self.inbox).await
    }
}

async fn within<T>(
    limit: Duration,
    progress: impl Future<Output = io::Result<T>>,
) -> Result<T, ConnectionError> {
    match timeout(limit, progress).await {
        Ok(done) => Ok(done?),
        Err(_elapsed) => Err(ConnectionError::Stalled(limit)),
    }
}
