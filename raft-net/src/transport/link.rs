//! One outgoing connection: this node's messages of one lane to one peer.
//!
//! ```text
//!        dialing, queue open ──failed──► waiting, queue closed ◄─broken─┐
//!               │                             │   ▲                     │
//!               │                        pause│   │failed               │
//!               │                             ▼   │                     │
//!               └──welcomed──► connected ◄─welcomed─ dialing, queue closed
//! ```
//! Messages may queue while the first attempt is under way, so that a start loses none. After that a queue is open
//! while the connection stands: what could only wait for a peer that is gone is refused at once, and never arrives
//! stale when it comes back.

use std::convert::Infallible;
use std::sync::Arc;

use raft_core::message::Message;
use raft_core::rng::Rng;
use raft_core::transport::TransportEvent;
use raft_core::types::NodeId;
use tokio::time::sleep;

use crate::transport::backoff::Backoff;
use crate::transport::error::ConnectionError;
use crate::transport::framed_stream::FramedStream;
use crate::transport::handshake::Lane;
use crate::transport::handshake::exchange::{Dialed, dial};
use crate::transport::lane_queue::{LaneQueue, Rejected};
use crate::transport::shared::Shared;
use crate::transport::tether::{Tether, spawn_tethered};

/// The sending end of a link. Dropped, it ends the connection.
pub(crate) struct Link {
    queue: Arc<LaneQueue>,
    _tether: Tether,
}

impl Link {
    /// Starts to connect to `peer` at `address`.
    pub(crate) fn spawn(shared: &Arc<Shared>, peer: NodeId, address: &str, lane: Lane, rng: Rng) -> Self {
        let bounds = match lane {
            Lane::Append => shared.options.append,
            Lane::Control | Lane::Snapshot | Lane::Greeting => shared.options.control,
        };
        let queue = Arc::new(LaneQueue::new(bounds));
        let outgoing = Outgoing {
            shared: Arc::clone(shared),
            peer,
            address: address.to_owned(),
            lane,
            queue: Arc::clone(&queue),
            backoff: Backoff::new(shared.options.backoff, rng),
            complaint: None,
        };
        Self { queue, _tether: spawn_tethered(&shared.runtime, outgoing.run()) }
    }

    /// Queues a message.
    pub(crate) fn push(&self, message: Message) -> Result<(), Rejected> {
        self.queue.push(message)
    }

    /// Drops what is queued; the answer is how many messages that costs.
    pub(crate) fn close(&self) -> usize {
        self.queue.close().unwrap_or(0)
    }
}

/// The task of a link.
struct Outgoing {
    shared: Arc<Shared>,
    peer: NodeId,
    address: String,
    lane: Lane,
    queue: Arc<LaneQueue>,
    backoff: Backoff,
    /// What was said last about a failure, since the link last stood.
    complaint: Option<String>,
}

impl Outgoing {
    async fn run(mut self) {
        loop {
            let error = match self.connect().await {
                Ok(mut stream) => {
                    let Err(error) = self.write_messages(&mut stream).await;
                    error
                }
                Err(error) => {
                    self.shared.statistics.connect_failures.add(1);
                    error
                }
            };
            self.disconnected(&error).await;
            sleep(self.backoff.pause()).await;
        }
    }

    async fn connect(&mut self) -> Result<FramedStream, ConnectionError> {
        let options = &self.shared.options;
        let hello = self.shared.hello(self.lane, Some(self.peer));
        let dialed = dial(&*self.shared.connector, &self.address, &hello, options.patience()).await?;
        let Dialed { mut stream, answer, .. } = dialed;
        stream.set_limits(options.limits);
        self.shared.statistics.connects.add(1);
        self.backoff.reset();
        self.complaint = None;
        self.queue.open();
        let (peer, address, lane) = (&answer.opening.node, &self.address, self.lane);
        match lane {
            Lane::Control => tracing::info!(%peer, %address, "connected"),
            _ => tracing::debug!(%peer, %address, %lane, "connected"),
        }
        Ok(stream)
    }

    /// Sends what is queued, all of it by one system call where the kernel has room, until the connection breaks.
    async fn write_messages(&self, stream: &mut FramedStream) -> Result<Infallible, ConnectionError> {
        let statistics = &self.shared.statistics;
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                biased;
                error = stream.ended() => return Err(error),
                () = self.queue.take(&mut batch) => {}
            }
            let messages = batch.len();
            for message in batch.drain(..) {
                stream.push(|encoder, out| encoder.message(&message, out))?;
            }
            let bytes = stream.flush().await?;
            self.queue.written();
            statistics.messages_sent.add(messages);
            statistics.bytes_sent.add(bytes);
            statistics.writes.add(1);
        }
    }

    /// Reports a change once: to the node if messages were being taken until now, to people if the reason is new.
    async fn disconnected(&mut self, error: &ConnectionError) {
        let closed = self.queue.close();
        let dropped = closed.unwrap_or(0);
        self.shared.statistics.messages_dropped.add(dropped);
        let (peer, address, lane) = (self.peer, &self.address, self.lane);
        let complaint = error.to_string();
        if self.complaint.as_ref() != Some(&complaint) {
            match lane {
                Lane::Control => tracing::warn!(%peer, %address, %error, dropped, "peer unreachable"),
                _ => tracing::debug!(%peer, %address, %lane, %error, dropped, "peer unreachable"),
            }
            self.complaint = Some(complaint);
        }
        if closed.is_some()
            && let Err(error) = self.shared.report(TransportEvent::Unreachable { peer }).await
        {
            tracing::debug!(%error, "event dropped");
        }
    }
}
