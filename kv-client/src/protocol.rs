//! The native client protocol: what stands in the frames between a client and a node.
//!
//! ```text
//! client  PREAMBLE | frame(ClientHello) | frame(Request)…
//! node    PREAMBLE | frame(ServerHello) | frame(Reply)…
//! ```
//! A frame has a head and a tail (`raft_net::frame`). The head is one of the messages below in postcard; the
//! tail is raw bytes that never pass through a serialiser:
//!
//! | message | tail |
//! |---|---|
//! | [`Body::Write`] | the command, as it will stand in the log |
//! | [`Answer::Value`] | the value |
//! | [`Answer::Page`] | [`KeyValue`] records, one after the other |
//! | [`Answer::Status`] | a [`NodeStatus`] as JSON |
//!
//! Requests of one connection are served concurrently; replies come in any order and carry the request's id.
//!
//! Invariant (frozen messages): a message that was ever released never gains, loses or reorders fields, for
//! postcard does not mark them; new variants go to the end of their enum and are sent only where the protocol
//! version that both sides agreed on has them. `NodeStatus` is the exception: people read it, so it is JSON and
//! may grow.

mod hello;
mod key_value;
mod membership;
mod reply;
mod request;
mod status;
#[cfg(test)]
mod tests;

use raft_net::preamble::{PREAMBLE_BYTES, Preamble};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use hello::{ClientHello, HelloRefusal, ProtocolRange, ServerHello, Token, Welcome};
pub use key_value::{KeyMeta, KeyValue, KeyValues, PageError};
pub use membership::{ChangeRefusal, MemberChange, MoveRefusal, WishedMember, WishedRole};
pub use reply::{Answer, BadRequest, Leader, Member, Reason, Refusal, Reply};
pub use request::{Body, Consistency, MAX_PAGE_BYTES, MAX_PAGE_KEYS, Query, RangeQuery, Request};
pub use status::{LogStatus, MemberRole, MemberStatus, NodeStatus, Role, StateHash, StoreStatus};

/// First bytes of a native connection, each way, before the first frame: by them a port tells it from other
/// protocols, and a client tells a node from whatever else answers at an address.
pub const PREAMBLE: [u8; PREAMBLE_BYTES] = Preamble::Client.bytes();

/// Bytes of a head that is not a message of this protocol: close the connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The bytes do not decode.
    #[error("frame head of {length} bytes is not a {expected}: {source}")]
    Undecodable {
        /// Name of the type expected.
        expected: &'static str,
        /// Bytes there.
        length: usize,
        /// What the decoder says.
        source: postcard::Error,
    },
    /// Bytes are left after the message.
    #[error("frame head: {found} bytes after a {expected} (expected none)")]
    TrailingBytes {
        /// Name of the type expected.
        expected: &'static str,
        /// Bytes left.
        found: usize,
    },
}

/// The head that carries `message`.
#[must_use]
pub fn encode_head<T: Serialize>(message: &T) -> Vec<u8> {
    postcard::to_stdvec(message).expect("plain data written to memory cannot fail")
}

/// Reads a head. The message owns its parts.
///
/// # Errors
/// [`HeadError`]: the other side speaks another protocol.
pub fn decode_head<T: DeserializeOwned>(head: &[u8]) -> Result<T, HeadError> {
    let expected = std::any::type_name::<T>().rsplit("::").next().unwrap_or_default();
    match postcard::take_from_bytes(head) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(HeadError::TrailingBytes { expected, found: rest.len() }),
        Err(source) => Err(HeadError::Undecodable { expected, length: head.len(), source }),
    }
}
