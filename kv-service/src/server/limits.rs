//! What a client may cost: every queue of the client port has its bound here.

use std::time::Duration;

use kv_client::FRAME_LIMITS;
use raft_net::frame::FrameLimits;

/// Connections beyond the operator's limit that are told so at a time; one more is closed without a word.
pub(crate) const MAX_TURNED_AWAY: usize = 64;

/// Requests of one connection that may wait for their answer; then nothing is read until one is answered.
pub(crate) const MAX_IN_FLIGHT: usize = 1024;

/// Bytes asked of the operating system at a time; also about what an idle connection keeps.
pub(crate) const READ_BYTES: usize = 64 << 10;

/// Frames of a client before it has introduced itself.
pub(crate) const HELLO_LIMITS: FrameLimits = FrameLimits { head_bytes: 4 << 10, tail_bytes: 0 };

/// Frames of a client. Tails twice as long as a client may send are read, so that a command over the limit gets an
/// answer; beyond that the connection is closed.
pub(crate) const REQUEST_LIMITS: FrameLimits =
    FrameLimits { head_bytes: FRAME_LIMITS.head_bytes, tail_bytes: 2 * FRAME_LIMITS.tail_bytes };

/// Frames of a node: what clients take.
pub(crate) const REPLY_LIMITS: FrameLimits = FRAME_LIMITS;

/// Time for a client to introduce itself.
pub(crate) const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// Time without a byte moving, in the middle of a frame or with answers to write, after which a client is given
/// up.
pub(crate) const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Time for a whole frame, once it has its share of the memory that others may be waiting for.
pub(crate) const FRAME_TIMEOUT: Duration = Duration::from_secs(60);

/// Time for a client to take leave, once it was told why.
pub(crate) const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);
