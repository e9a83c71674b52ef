//! Memory for requests: what all clients together may have on the node at a time, in bytes.
//!
//! A frame gets its share before its body is read, and gives it back when the node has answered. Without a share
//! its connection waits: nothing more is read from that client, whose own queue then fills.
//!
//! Invariant (no hold and wait): whoever waits for a share holds none but those of requests that will be answered
//! whatever happens, and of no frame that is half read. So every share comes back.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;

use raft_net::frame::HEADER_BYTES;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::limits::REQUEST_LIMITS;

/// The longest frame that a client may send. No budget is less.
pub(crate) const LARGEST_FRAME: usize =
    HEADER_BYTES + REQUEST_LIMITS.head_bytes as usize + REQUEST_LIMITS.tail_bytes as usize;

/// See the module. Clones are the same budget.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<Semaphore>);

/// Memory for one request, given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    _bytes: OwnedSemaphorePermit,
}

/// How one connection comes by the shares of its frames, one after the other.
pub(crate) struct Admission {
    budget: Budget,
    state: State,
}

enum State {
    /// Between two frames.
    Idle,
    /// The frame has announced its length, and there is no room for it yet.
    Waiting(Pin<Box<dyn Future<Output = Share> + Send>>),
    /// The frame may be read.
    Admitted(Share, Instant),
}

impl Budget {
    /// So many bytes, but at least [`LARGEST_FRAME`].
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.clamp(LARGEST_FRAME, Semaphore::MAX_PERMITS))))
    }

    /// A share, if there is room and nobody waits.
    pub(crate) fn try_take(&self, bytes: u32) -> Option<Share> {
        Arc::clone(&self.0).try_acquire_many_owned(bytes).ok().map(|bytes| Share { _bytes: bytes })
    }

    /// In the order in which it was asked for.
    async fn take(self, bytes: u32) -> Share {
        let bytes = self.0.acquire_many_owned(bytes).await;
        Share { _bytes: bytes.expect("nobody closes the semaphore") }
    }
}

impl Admission {
    pub(crate) const fn new(budget: Budget) -> Self {
        Self { budget, state: State::Idle }
    }

    /// Whether the frame at the front of `inbox` may be read and decoded. If not, wait for
    /// [`granted`](Self::granted).
    pub(crate) fn admits(&mut self, inbox: &[u8]) -> bool {
        if let State::Idle = self.state {
            // One without a header costs no more than a read; one beyond the limits is refused by its header.
            let Some(bytes) = announced(inbox).filter(|bytes| *bytes <= LARGEST_FRAME) else { return true };
            let bytes = u32::try_from(bytes).expect("the limits are a few MiB");
            self.state = match self.budget.try_take(bytes) {
                Some(share) => State::Admitted(share, Instant::now()),
                None => State::Waiting(Box::pin(self.budget.clone().take(bytes))),
            };
        }
        !self.is_waiting()
    }

    /// Whether there is a frame without room for it.
    pub(crate) const fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting(_))
    }

    /// Returns when there is room for the frame that waits; never if none does. Cancel-safe: its turn is kept.
    pub(crate) async fn granted(&mut self) {
        match &mut self.state {
            State::Waiting(share) => self.state = State::Admitted(share.await, Instant::now()),
            State::Idle | State::Admitted(..) => pending().await,
        }
    }

    /// Since when the frame at the front has had its share.
    pub(crate) const fn since(&self) -> Option<Instant> {
        match self.state {
            State::Admitted(_, since) => Some(since),
            State::Idle | State::Waiting(_) => None,
        }
    }

    /// The frame was not listened to for a while: its time begins again.
    pub(crate) fn begin_again(&mut self) {
        if let State::Admitted(_, since) = &mut self.state {
            *since = Instant::now();
        }
    }

    /// The share of the frame that was just decoded.
    pub(crate) fn take(&mut self) -> Share {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Admitted(share, _) => share,
            State::Idle | State::Waiting(_) => unreachable!("a frame is decoded only once it is admitted"),
        }
    }
}

/// Bytes of the frame at the front of `inbox`, once its header is there. (See [`raft_net::frame`].)
fn announced(inbox: &[u8]) -> Option<usize> {
    let header = inbox.first_chunk::<HEADER_BYTES>()?;
    let length = |at: usize| header[at..].first_chunk().map(|bytes| u32::from_le_bytes(*bytes) as usize);
    Some(HEADER_BYTES + length(0)? + length(4)?)
}

#[cfg(test)]
mod tests {
    use bytes::{Buf, Bytes};
    use raft_net::frame::WriteBuffer;

    use super::*;

    #[test]
    fn a_frame_announces_its_length_with_its_header() {
        let mut out = WriteBuffer::new(REQUEST_LIMITS);
        out.push(b"head", [&Bytes::from_static(b"a tail")]).unwrap();
        let frame = out.copy_to_bytes(out.remaining());
        assert_eq!(announced(&frame), Some(frame.len()));
        assert_eq!(announced(&frame[..HEADER_BYTES]), Some(frame.len()));
        assert_eq!(announced(&frame[..HEADER_BYTES - 1]), None);
    }

    #[tokio::test]
    async fn shares_are_given_in_turn_and_come_back() {
        let budget = Budget::new(0);
        let largest = u32::try_from(LARGEST_FRAME).unwrap();
        let first = budget.try_take(largest - 10).unwrap();
        assert!(budget.try_take(11).is_none());
        let second = tokio::spawn(budget.clone().take(11));
        tokio::task::yield_now().await;
        assert!(budget.try_take(1).is_none(), "it would overtake");
        drop(first);
        drop(second.await.unwrap());
        assert!(budget.try_take(largest).is_some());
    }
}
