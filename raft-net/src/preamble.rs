//! The first four bytes of every stream: which protocol, and which layout of its frames.
//!
//! Whoever calls opens with them. Between peers the side that answers does so too; on the client protocol it answers
//! with frames at once.
//!
//! They come before any frame, so that whoever listens tells a peer from a client from a lost HTTP request by
//! looking at four bytes, and each side of a misdirected connection can say so.

use std::fmt;

/// Bytes of a preamble.
pub const PREAMBLE_BYTES: usize = 4;

/// A protocol that travels in [frames](crate::frame).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Preamble {
    /// Node to node.
    Peer,
    /// Client to node.
    Client,
}

impl Preamble {
    const ALL: [Self; 2] = [Self::Peer, Self::Client];

    /// The bytes that open a stream of this protocol. The last one is the version of the frame layout.
    #[must_use]
    pub const fn bytes(self) -> [u8; PREAMBLE_BYTES] {
        match self {
            Self::Peer => *b"RFT\x01",
            // A zero byte first: no HTTP request, RESP command or TLS hello begins so, which keeps the port open to them.
            Self::Client => *b"\0kv\x01",
        }
    }

    /// The protocol that `first` opens; `None` for any other. For ports that serve several protocols.
    #[must_use]
    pub fn sniff(first: [u8; PREAMBLE_BYTES]) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.bytes() == first)
    }

    /// Checks that a stream opens with this protocol.
    ///
    /// # Errors
    /// [`PreambleError`]: close the stream; nothing in it is a frame of ours.
    pub fn check(self, found: [u8; PREAMBLE_BYTES]) -> Result<(), PreambleError> {
        match found == self.bytes() {
            true => Ok(()),
            false => Err(PreambleError { found, expected: self }),
        }
    }
}

impl fmt::Display for Preamble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Peer => "the peer protocol",
            Self::Client => "the client protocol",
        })
    }
}

/// A stream of some other protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "stream opens with \"{}\" (expected \"{}\", {expected}): check which port the address names",
    .found.escape_ascii(),
    .expected.bytes().escape_ascii()
)]
pub struct PreambleError {
    /// The first bytes of the stream.
    pub found: [u8; PREAMBLE_BYTES],
    /// The protocol that is spoken here.
    pub expected: Preamble,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_is_recognised_by_its_first_four_bytes_and_nothing_else_is() {
        assert_eq!(Preamble::sniff(*b"RFT\x01"), Some(Preamble::Peer));
        assert_eq!(Preamble::sniff(*b"\0kv\x01"), Some(Preamble::Client));
        for other in [*b"RFT\x02", *b"GET ", [0; 4]] {
            assert_eq!(Preamble::sniff(other), None);
        }
    }

    #[test]
    fn a_stream_of_another_protocol_is_refused_with_both_openings_in_the_message() {
        assert_eq!(Preamble::Peer.check(*b"RFT\x01"), Ok(()));
        let error = Preamble::Peer.check(*b"GET ").unwrap_err();
        let text = error.to_string();
        assert!(text.contains("\"GET \"") && text.contains("RFT\\x01"), "{text}");
    }
}
