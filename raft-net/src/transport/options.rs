//! What can be set about a transport, with defaults that suit a local network.

use std::time::Duration;

use crate::frame::FrameLimits;
use crate::transport::backoff::BackoffBounds;
use crate::transport::handshake::exchange::Patience;
use crate::transport::lane_queue::LaneBounds;

/// Bounds and patience of a [`NetTransport`](crate::NetTransport).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Longest frame. The tail must hold the largest AppendEntries that the core makes, and a snapshot chunk; the
    /// same on every node.
    pub limits: FrameLimits,
    /// Queue of the control lane, per peer.
    pub control: LaneBounds,
    /// Queue of the append lane, per peer.
    pub append: LaneBounds,
    /// Time for name lookup, connecting and handshake together.
    pub handshake_timeout: Duration,
    /// Time without progress after which a write, or a snapshot transfer, is given up.
    pub stall_timeout: Duration,
    /// Pauses between attempts to connect.
    pub backoff: BackoffBounds,
    /// Seed of the jitter; the node's id is mixed in.
    pub jitter_seed: u64,
    /// Snapshot chunks under way to one receiver. Bounds its memory, with the length of a chunk.
    pub snapshot_window: u32,
    /// Incoming connections at a time; more wait in the operating system's backlog. Well above `max_unintroduced`,
    /// so that there is room for those of the peers: four for each.
    pub max_incoming: usize,
    /// Incoming connections at a time whose handshake is not through; for one more, the oldest of them is closed.
    pub max_unintroduced: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: FrameLimits { head_bytes: 4 << 20, tail_bytes: 64 << 20 },
            control: LaneBounds { messages: 4096, bytes: 1 << 20 },
            append: LaneBounds { messages: 4096, bytes: 64 << 20 },
            handshake_timeout: Duration::from_secs(3),
            stall_timeout: Duration::from_secs(10),
            backoff: BackoffBounds { shortest: Duration::from_millis(50), longest: Duration::from_secs(1) },
            jitter_seed: 0,
            snapshot_window: 4,
            max_incoming: 256,
            max_unintroduced: 64,
        }
    }
}

impl Options {
    pub(crate) const fn patience(&self) -> Patience {
        Patience { handshake: self.handshake_timeout, stall: self.stall_timeout }
    }
}
