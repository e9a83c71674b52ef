//! One connection to one node: many requests in flight, replies in any order.
//!
//! A [`Connection`] is the handle, a [driver](driver::Driver) the task that owns the stream. Callers hand over a
//! request and wait for what becomes of it; they set no timers. The driver gathers whatever is handed over while a
//! write is under way into the next one, and gives up requests whose time is over.
//!
//! Invariant (sent is known): only the driver sends and only the driver gives up, so a failed request is known to
//! have been sent, perhaps, or certainly not; and one that was given up unsent is never sent later.
//! Invariant (bounded in flight): a request holds a slot from before it is queued until it ends, and there are
//! [`SLOTS`] of them; hence the unbounded channel to the driver never holds more.

mod driver;
mod handshake;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use raft_net::frame::FrameLimits;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::command::MAX_COMMAND_BYTES;
use crate::connector::BoxStream;
use crate::error::Problem;
use crate::protocol::{Body, Reply, Token, Welcome};

/// Longest frames of the native protocol, both ways. A head holds three longest keys, or the members; the longest
/// tail is a command.
pub const FRAME_LIMITS: FrameLimits =
    FrameLimits { head_bytes: 64 * 1024, tail_bytes: MAX_COMMAND_BYTES as u32 };

/// Most requests of one connection that have not ended.
const SLOTS: usize = 1024;

/// A handle to an open connection. It closes when the last one is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    welcome: Welcome,
    slots: Arc<Semaphore>,
    calls: mpsc::UnboundedSender<Call>,
}

/// A request that was handed over.
#[derive(Debug)]
struct Call {
    body: Body,
    tail: Bytes,
    ticket: Ticket,
}

/// What the driver keeps of a request until it ends.
#[derive(Debug)]
struct Ticket {
    started: Instant,
    deadline: Instant,
    end: oneshot::Sender<Result<Answered, Failed>>,
    /// Given back when the request ends.
    _slot: OwnedSemaphorePermit,
}

/// A reply with the tail of its frame.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) reply: Reply,
    pub(crate) tail: Bytes,
}

/// A request that got no reply.
#[derive(Debug)]
pub(crate) struct Failed {
    /// Whether the node may have seen it; `false` means that it never will.
    pub(crate) sent: bool,
    pub(crate) problem: Problem,
}

impl Failed {
    /// A request that never left.
    pub(crate) const fn unsent(problem: Problem) -> Self {
        Self { sent: false, problem }
    }
}

impl Connection {
    /// Shakes hands over `stream` and leaves it to a driver. The caller bounds the time. `silence` is how long a
    /// node may owe a reply without sending anything.
    pub(crate) async fn open(
        mut stream: BoxStream,
        credentials: Option<Token>,
        silence: Duration,
    ) -> Result<Self, Problem> {
        let (welcome, incoming) = handshake::greet(&mut stream, credentials).await?;
        let (calls, queue) = mpsc::unbounded_channel();
        tokio::spawn(driver::Driver::new(stream, incoming, queue, silence).run());
        Ok(Self { welcome, slots: Arc::new(Semaphore::new(SLOTS)), calls })
    }

    /// How the node introduced itself.
    pub(crate) const fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// Whether the connection can still serve requests.
    pub(crate) fn is_open(&self) -> bool {
        !self.calls.is_closed()
    }

    /// Sends a request and waits for the reply until `deadline`.
    pub(crate) async fn call(&self, body: Body, tail: Bytes, deadline: Instant) -> Result<Answered, Failed> {
        let started = Instant::now();
        let slot = match Arc::clone(&self.slots).try_acquire_owned() {
            Ok(slot) => slot,
            Err(_all_taken) => timeout_at(deadline, Arc::clone(&self.slots).acquire_owned())
                .await
                .map_err(|_elapsed| Failed::unsent(Problem::NoReply(deadline - started)))?
                .expect("nobody closes the semaphore"),
        };
        let (end, ended) = oneshot::channel();
        let ticket = Ticket { started, deadline, end, _slot: slot };
        self.calls
            .send(Call { body, tail, ticket })
            .map_err(|_driver_gone| Failed::unsent(Problem::Closed))?;
        // The driver tells the end of every call it took, unless its runtime is shut down: then all is over.
        ended.await.unwrap_or(Err(Failed { sent: true, problem: Problem::Closed }))
    }
}
