//! One client's connection: one task that reads requests, hands them to the node, and writes the answers.
//!
//! Requests of one read are submitted together, and answers that have gathered are written together. Nothing is
//! read while too many requests wait, or too many bytes for a client that does not read, or while there is no
//! memory for the next request: the client then waits, and nobody else.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use raft_net::connector::BoxStream;
use raft_net::frame::{FrameDecoder, WriteBuffer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::budget::Admission;
use super::error::ConnectionError;
use super::hello::Introduced;
use super::limits::{FRAME_TIMEOUT, MAX_IN_FLIGHT, READ_BYTES, REPLY_LIMITS, STALL_TIMEOUT};
use super::outbox::{Outbox, View};
use super::service::Service;

/// Longer answers' memory is given back once they are written.
const KEPT_BYTES: usize = 64 << 10;
/// When nothing is due.
const LONG: Duration = Duration::from_secs(3600);

/// A client that has introduced itself.
pub(crate) struct Connection {
    service: Arc<Service>,
    reader: ReadHalf<BoxStream>,
    writer: WriteHalf<BoxStream>,
    decoder: FrameDecoder,
    inbox: BytesMut,
    admission: Admission,
    outbox: Arc<Outbox>,
    /// What is being written.
    outgoing: WriteBuffer,
    outgoing_bytes: usize,
    /// When bytes last moved.
    read_at: Instant,
    written_at: Instant,
    /// Whether bytes were asked for the last time round.
    reading: bool,
    /// The client has nothing more to ask, or is not asked any more.
    closing: bool,
}

/// What a connection waited for.
enum Event {
    Due,
    Written(usize),
    Answers,
    Applied,
    Admitted,
    Read(usize),
    Stop,
}

impl Connection {
    pub(crate) fn new(introduced: Introduced, service: Arc<Service>) -> Self {
        let Introduced { stream, inbox, decoder } = introduced;
        let (reader, writer) = tokio::io::split(stream);
        let now = Instant::now();
        let admission = Admission::new(service.budget.clone());
        Self {
            service,
            reader,
            writer,
            decoder,
            inbox,
            admission,
            outbox: Arc::new(Outbox::new()),
            outgoing: WriteBuffer::new(REPLY_LIMITS),
            outgoing_bytes: 0,
            read_at: now,
            written_at: now,
            reading: false,
            closing: false,
        }
    }

    /// Serves until the client leaves, or `stop` changes and all that was asked is answered.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), ConnectionError> {
        let timer = sleep_until(Instant::now() + LONG);
        tokio::pin!(timer);
        loop {
            self.take_requests().await?;
            self.take_answers()?;
            let view = self.outbox.view();
            let (reads, writes) = (self.may_read(&view), self.outgoing.has_remaining());
            if self.closing && view.waiting == 0 && !writes && !self.admission.is_waiting() {
                return Ok(());
            }
            if reads {
                self.prepare_to_read();
            }
            self.reading = reads;
            let due = self.due(&view, reads).unwrap_or_else(|| Instant::now() + LONG);
            if timer.deadline() > due || timer.is_elapsed() {
                timer.as_mut().reset(due);
            }
            let Self { reader, writer, inbox, admission, outgoing, outbox, service, closing, .. } = &mut self;
            let event = tokio::select! {
                biased;
                () = timer.as_mut() => Event::Due,
                written = writer.write_buf(outgoing), if writes => Event::Written(written?),
                () = outbox.filled() => Event::Answers,
                () = service.more_applied(view.lagging) => Event::Applied,
                () = admission.granted() => Event::Admitted,
                read = reader.read_buf(inbox), if reads => Event::Read(read?),
                _ = stop.changed(), if !*closing => Event::Stop,
            };
            self.on(event).await?;
        }
    }

    async fn on(&mut self, event: Event) -> Result<(), ConnectionError> {
        match event {
            Event::Answers | Event::Admitted => {}
            Event::Due => return self.on_due(Instant::now()),
            Event::Written(0) => return Err(std::io::Error::from(std::io::ErrorKind::WriteZero).into()),
            Event::Written(_) => self.on_written(),
            Event::Applied => self.service.look_again(&self.outbox).await,
            Event::Read(0) => {
                self.decoder.finish(&self.inbox)?;
                self.closing = true;
            }
            Event::Read(_) => self.read_at = Instant::now(),
            Event::Stop => self.closing = true,
        }
        Ok(())
    }

    /// Submits the requests that are there, as many as may wait.
    async fn take_requests(&mut self) -> Result<(), ConnectionError> {
        while !self.inbox.is_empty() && self.outbox.view().has_room() && self.admission.admits(&self.inbox) {
            let Some(frame) = self.decoder.decode(&mut self.inbox)? else { break };
            self.service.take(frame, self.admission.take(), &self.outbox).await?;
        }
        if self.inbox.is_empty() {
            // It may be the end of a large piece of memory, which would be kept.
            self.inbox = BytesMut::new();
        }
        Ok(())
    }

    /// Begins to write the answers that are there, once those before are written.
    fn take_answers(&mut self) -> Result<(), ConnectionError> {
        if self.outgoing.has_remaining() {
            return Ok(());
        }
        if !self.outbox.take_frames(&mut self.outgoing) {
            return Err(ConnectionError::Unanswerable);
        }
        self.outgoing_bytes = self.outgoing.remaining();
        if self.outgoing_bytes > 0 {
            self.written_at = Instant::now();
        }
        Ok(())
    }

    fn prepare_to_read(&mut self) {
        self.inbox.reserve(READ_BYTES);
        if !self.reading {
            // The client was not listened to: it has not stalled.
            self.read_at = Instant::now();
            self.admission.begin_again();
        }
    }

    fn on_written(&mut self) {
        self.written_at = Instant::now();
        if !self.outgoing.has_remaining() && self.outgoing_bytes > KEPT_BYTES {
            self.outgoing = WriteBuffer::new(REPLY_LIMITS);
        }
    }

    fn may_read(&self, view: &View) -> bool {
        !self.closing && view.has_room() && !self.admission.is_waiting()
    }

    /// When something has waited long enough: a request, a half-read frame, a half-written answer.
    fn due(&self, view: &View, reads: bool) -> Option<Instant> {
        [view.wake_at, self.stalls_at(reads), self.frame_ends_at(reads)].into_iter().flatten().min()
    }

    /// When a byte must have moved.
    fn stalls_at(&self, reads: bool) -> Option<Instant> {
        let half_read = reads && !self.inbox.is_empty();
        let read_stalls = half_read.then(|| self.read_at + STALL_TIMEOUT);
        let write_stalls = self.outgoing.has_remaining().then(|| self.written_at + STALL_TIMEOUT);
        [read_stalls, write_stalls].into_iter().flatten().min()
    }

    /// When the frame that is being read must be there.
    fn frame_ends_at(&self, reads: bool) -> Option<Instant> {
        self.admission.since().filter(|_| reads).map(|since| since + FRAME_TIMEOUT)
    }

    fn on_due(&mut self, now: Instant) -> Result<(), ConnectionError> {
        self.outbox.expire(now, |refusal| self.service.refused(refusal));
        let reads = self.may_read(&self.outbox.view());
        if self.stalls_at(reads).is_some_and(|at| at <= now) {
            return Err(ConnectionError::Stalled(STALL_TIMEOUT));
        }
        if self.frame_ends_at(reads).is_some_and(|at| at <= now) {
            return Err(ConnectionError::TooSlow(FRAME_TIMEOUT));
        }
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.outbox.close();
    }
}

impl View {
    /// Whether more requests may be taken.
    const fn has_room(&self) -> bool {
        self.waiting < MAX_IN_FLIGHT && !self.full
    }
}
