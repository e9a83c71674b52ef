//! A framed TCP transport for raft-core.
//!
//! A stream opens with four bytes that say which protocol it speaks ([`preamble`]); the rest is [frames](frame),
//! cut and checked without I/O. That much is built without any feature, and is all that clients need.
//!
//! Feature `transport` (on by default) adds `NetTransport`, the `Transport` of raft-core over byte streams:
//!
//! * Peers introduce themselves in a versioned handshake, which refuses what must not be let in, in words that
//!   name both sides and say what to do.
//! * Each node dials, for each peer, one connection for each lane (control, append, snapshot): bulk never delays a
//!   heartbeat. A connection carries messages one way only. A newer one of the same node and lane replaces the
//!   older.
//! * Queues are bounded by messages and bytes; what does not fit is refused at once. A connection that breaks is
//!   made again, with jittered backoff, the peer's name looked up anew.
//! * Messages are verified before they are delivered: block invariants, payload checksums, chunk checksums.
//! * Snapshots move on their own lane by chunks, under a credit window, watched for stalls and not for length.

pub mod frame;
pub mod preamble;
#[cfg(feature = "transport")]
mod transport;

#[cfg(feature = "transport")]
pub use transport::{
    BackoffBounds, ConnectionError, Counter, Greeting, LaneBounds, Local, NetTransport, Options, Statistics,
    codec, connector, greet, handshake,
};
