//! Why the connection of a client ended.

use std::io;
use std::time::Duration;

use kv_client::protocol::{HeadError, HelloRefusal, PREAMBLE};
use raft_net::frame::{FrameError, TooLong};

/// Why the connection of a client ended. No other connection is affected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ConnectionError {
    /// The first bytes are of no protocol that is served here.
    #[error(
        "stream opens with \"{}\" (expected \"{}\", the native protocol): check which port the address names",
        .found.escape_ascii(), PREAMBLE.escape_ascii()
    )]
    OtherProtocol { found: [u8; PREAMBLE.len()] },
    /// The client did not introduce itself.
    #[error("no introduction within {0:?}")]
    NoHello(Duration),
    /// The client left before it had introduced itself.
    #[error("the client left before it had introduced itself")]
    Left,
    /// The client was turned away, and told why.
    #[error("turned away: {0}")]
    Refused(#[from] HelloRefusal),
    /// No byte moved for too long in the middle of something.
    #[error("no progress for {0:?}: the client hangs, or cannot be reached any more")]
    Stalled(Duration),
    /// Bytes move, but so slowly that their memory is wanted by others.
    #[error(
        "a request did not arrive within {0:?} of its first bytes: the client or its network is too slow"
    )]
    TooSlow(Duration),
    /// A frame without a message.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// Bytes that are no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// An answer that no frame can carry.
    #[error("an answer cannot be sent: {0}")]
    Answer(#[from] TooLong),
    /// An answer was too long, and the client would wait for it in vain.
    #[error("an answer exceeded the limits of the protocol")]
    Unanswerable,
    /// The operating system broke the connection.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl ConnectionError {
    /// Whether somebody should look at it: the client is not one of ours, or has a bug.
    pub(crate) const fn is_strange(&self) -> bool {
        match self {
            // Whoever dies leaves its last frame unfinished.
            Self::Frame(FrameError::Truncated { .. }) => false,
            Self::NoHello(_) | Self::Left | Self::Stalled(_) | Self::TooSlow(_) | Self::Io(_) => false,
            Self::OtherProtocol { .. }
            | Self::Refused(_)
            | Self::Head(_)
            | Self::Frame(_)
            | Self::Answer(_)
            | Self::Unanswerable => true,
        }
    }
}
