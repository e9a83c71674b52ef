//! Why a connection could not be made, or ended.

use std::io;
use std::time::Duration;

use crate::frame::FrameError;
use crate::preamble::PreambleError;
use crate::transport::codec::CodecError;
use crate::transport::handshake::Refused;

/// Why a connection could not be made, or ended. Whatever it is, the connection is closed and no other is
/// affected; the side that called tries again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// Nothing answers at the address, or its name cannot be looked up.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// The address.
        address: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// Connecting and introducing took too long together: the peer hangs, or is not reachable.
    #[error("no handshake within {0:?}: the peer hangs, cannot be reached, or serves something else")]
    HandshakeTimeout(Duration),
    /// No byte moved for too long in the middle of something.
    #[error("no progress for {0:?}: the peer hangs, or cannot be reached any more")]
    Stalled(Duration),
    /// The other side closed the connection between two frames.
    #[error("closed by the other side")]
    Closed,
    /// A newer connection of the same node and lane took its place, or the peer is no member any more.
    #[error("ended by this side: a newer connection took its place, or the peer is no member any more")]
    Superseded,
    /// So many callers came that have not introduced themselves that the one waiting longest had to go.
    #[error(
        "ended by this side: {allowed} newer callers have not introduced themselves either (allowed {allowed} at a \
         time); find out who calls and says nothing"
    )]
    Crowded {
        /// Callers at a time that have not introduced themselves.
        allowed: usize,
    },
    /// The node behind this transport takes no more events.
    #[error("ended by this side: the node has stopped")]
    NodeStopped,
    /// The other side sent something where it has nothing to say.
    #[error("unexpected {found} (expected {expected})")]
    Unexpected {
        /// What came.
        found: &'static str,
        /// What could have come.
        expected: &'static str,
    },
    /// The operating system broke the connection.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Not our protocol.
    #[error(transparent)]
    Preamble(#[from] PreambleError),
    /// Not a frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A frame that holds no message.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// One side does not want the other.
    #[error(transparent)]
    Refused(#[from] Box<Refused>),
}
