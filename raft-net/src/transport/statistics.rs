//! Counters of what went over the wire. Monotonic, per transport, relaxed: they order nothing.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// The count so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters of one transport. Bytes are those of frames, on the control and append lanes and of snapshot chunks.
#[derive(Debug, Default)]
pub struct Statistics {
    /// Messages handed to the kernel.
    pub messages_sent: Counter,
    /// Messages handed to the node.
    pub messages_received: Counter,
    /// Messages that found no room, or went down with a connection.
    pub messages_dropped: Counter,
    /// Bytes handed to the kernel.
    pub bytes_sent: Counter,
    /// Bytes of the frames read.
    pub bytes_received: Counter,
    /// Writes that took one or more messages; `messages_sent / writes` is how well they are gathered.
    pub writes: Counter,
    /// Connections made by this node.
    pub connects: Counter,
    /// Attempts to connect that failed, refusals by peers among them.
    pub connect_failures: Counter,
    /// Callers that this node refused or could not understand.
    pub callers_refused: Counter,
}
