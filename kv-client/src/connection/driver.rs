//! The task that owns a stream.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::mem;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use raft_net::frame::{Frame, FrameDecoder, WriteBuffer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep};

use super::{Answered, Call, FRAME_LIMITS, Failed, SLOTS, Ticket};
use crate::connector::BoxStream;
use crate::error::Problem;
use crate::protocol::{Reply, Request, decode_head};

/// Room for one read: many small replies arrive in one.
const READ_BYTES: usize = 64 * 1024;

/// Requests are encoded ahead of the stream up to about this many bytes; the rest waits, unsent.
const WRITE_AHEAD_BYTES: usize = 256 * 1024;

/// Longest time between the deadline that a node is told and the caller's own: for the node's answer, which may
/// know more, to arrive before the caller gives up.
const MOST_MARGIN: Duration = Duration::from_millis(100);

/// What has been read and not yet decoded.
pub(super) struct Incoming {
    pub(super) decoder: FrameDecoder,
    pub(super) buffer: BytesMut,
}

impl Incoming {
    /// The next whole frame.
    pub(super) fn next_frame(&mut self) -> Result<Option<Frame>, Problem> {
        self.decoder.decode(&mut self.buffer).map_err(Problem::Frame)
    }

    /// Makes room for the next read.
    pub(super) fn make_room(&mut self) {
        if self.buffer.capacity() == self.buffer.len() {
            self.buffer.reserve(READ_BYTES);
        }
    }
}

/// Serves one connection until it fails or nobody holds its handle any more.
pub(super) struct Driver {
    reader: ReadHalf<BoxStream>,
    writer: WriteHalf<BoxStream>,
    incoming: Incoming,
    out: WriteBuffer,
    /// Whether the stream may hold back bytes that it has taken.
    unflushed: bool,
    /// Reused to encode heads.
    head: Vec<u8>,
    queue: mpsc::UnboundedReceiver<Call>,
    /// Not sent.
    waiting: VecDeque<Call>,
    /// Sent, by request id.
    sent: HashMap<u64, Ticket>,
    next_id: u64,
    /// When the first request was sent after the last byte was read.
    silent_since: Option<Instant>,
    silence: Duration,
    /// Rings when the first deadline may have passed; runs while `armed`.
    timer: Pin<Box<Sleep>>,
    armed: bool,
}

impl Driver {
    pub(super) fn new(
        stream: BoxStream,
        incoming: Incoming,
        queue: mpsc::UnboundedReceiver<Call>,
        silence: Duration,
    ) -> Self {
        let (reader, writer) = split(stream);
        Self {
            reader,
            writer,
            incoming,
            out: WriteBuffer::new(FRAME_LIMITS),
            unflushed: false,
            head: Vec::new(),
            queue,
            waiting: VecDeque::new(),
            sent: HashMap::new(),
            next_id: 0,
            silent_since: None,
            silence,
            timer: Box::pin(sleep(Duration::ZERO)),
            armed: false,
        }
    }

    pub(super) async fn run(mut self) {
        if let Err(problem) = self.serve().await {
            self.fail_all(&problem);
        }
    }

    /// What is due comes first. Requests are taken before anything is written, so that those handed over together
    /// leave together.
    async fn serve(&mut self) -> Result<(), Problem> {
        let mut handed_over = Vec::new();
        loop {
            self.encode_waiting();
            self.incoming.make_room();
            tokio::select! {
                biased;
                () = &mut self.timer, if self.armed => self.expire()?,
                count = self.queue.recv_many(&mut handed_over, SLOTS) => {
                    if count == 0 {
                        return Ok(());
                    }
                    self.accept(&mut handed_over);
                }
                written = write_some(&mut self.writer, &mut self.out), if self.unflushed => {
                    self.unflushed = written.map_err(Problem::broken)?;
                }
                read = self.reader.read_buf(&mut self.incoming.buffer) => {
                    if read.map_err(Problem::broken)? == 0 {
                        return Err(Problem::Closed);
                    }
                    self.deliver()?;
                }
            }
        }
    }

    fn accept(&mut self, calls: &mut Vec<Call>) {
        if let Some(earliest) = calls.iter().map(|call| call.ticket.deadline).min() {
            self.wake_by(earliest);
        }
        self.waiting.extend(calls.drain(..));
    }

    fn wake_by(&mut self, deadline: Instant) {
        if !self.armed || deadline < self.timer.deadline() {
            self.timer.as_mut().reset(deadline);
            self.armed = true;
        }
    }

    fn encode_waiting(&mut self) {
        while self.out.remaining() < WRITE_AHEAD_BYTES {
            let Some(call) = self.waiting.pop_front() else { return };
            if !call.ticket.end.is_closed() {
                self.encode(call);
            }
        }
    }

    fn encode(&mut self, Call { body, tail, ticket }: Call) {
        let now = Instant::now();
        let request = Request { id: self.next_id, deadline_ms: told(ticket.deadline - now), body };
        self.head.clear();
        self.head = postcard::to_extend(&request, mem::take(&mut self.head))
            .expect("plain data written to memory cannot fail");
        self.out
            .push(&self.head, [&tail])
            .expect("keys and commands are checked against limits below a frame's");
        self.unflushed = true;
        self.silent_since.get_or_insert(now);
        self.sent.insert(self.next_id, ticket);
        self.next_id += 1;
    }

    fn deliver(&mut self) -> Result<(), Problem> {
        self.silent_since = None;
        while let Some(Frame { head, tail }) = self.incoming.next_frame()? {
            let reply: Reply = decode_head(&head).map_err(Problem::Head)?;
            match self.sent.remove(&reply.id) {
                Some(ticket) => ticket.end(Ok(Answered { reply, tail })),
                None if reply.id < self.next_id => {} // Late: it was given up.
                None => return Err(Problem::Unexpected { expected: "reply to a request" }),
            }
        }
        Ok(())
    }

    /// Gives up what is overdue. A node answers each request before its deadline, if only to say that it could not
    /// serve it: one that has sent nothing at all is gone, even if its host still acknowledges bytes.
    fn expire(&mut self) -> Result<(), Problem> {
        let now = Instant::now();
        for call in mem::take(&mut self.waiting) {
            match call.ticket.deadline <= now {
                true => call.ticket.give_up(false),
                false => self.waiting.push_back(call),
            }
        }
        for (_, ticket) in self.sent.extract_if(|_, ticket| ticket.deadline <= now) {
            ticket.give_up(true);
        }
        if self.silent_since.is_some_and(|since| now - since >= self.silence) {
            return Err(Problem::Silent(self.silence));
        }
        let waiting = self.waiting.iter().map(|call| &call.ticket);
        let earliest = self.sent.values().chain(waiting).map(|ticket| ticket.deadline).min();
        self.armed = false;
        if let Some(earliest) = earliest {
            self.wake_by(earliest);
        }
        Ok(())
    }

    fn fail_all(&mut self, problem: &Problem) {
        // From here on nobody can hand over another one.
        self.queue.close();
        let mut queued = mem::take(&mut self.waiting);
        while let Ok(call) = self.queue.try_recv() {
            queued.push_back(call);
        }
        for call in queued {
            call.ticket.end(Err(Failed { sent: false, problem: problem.clone() }));
        }
        for (_, ticket) in self.sent.drain() {
            ticket.end(Err(Failed { sent: true, problem: problem.clone() }));
        }
    }
}

impl Ticket {
    fn give_up(self, sent: bool) {
        let problem = Problem::NoReply(self.deadline - self.started);
        self.end(Err(Failed { sent, problem }));
    }

    fn end(self, end: Result<Answered, Failed>) {
        // A caller that has gone does not want to know.
        drop(self.end.send(end));
    }
}

/// Moves bytes towards the node; tells whether there is more to move. Cancel-safe.
async fn write_some(writer: &mut WriteHalf<BoxStream>, out: &mut WriteBuffer) -> io::Result<bool> {
    if !out.has_remaining() {
        writer.flush().await?;
        return Ok(false);
    }
    match writer.write_buf(out).await? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        _ => Ok(true),
    }
}

/// The deadline that the node is told, in milliseconds; never 0, which would mean none.
fn told(left: Duration) -> u32 {
    let told = left - (left / 10).min(MOST_MARGIN);
    u32::try_from(told.as_millis()).unwrap_or(u32::MAX).max(1)
}
