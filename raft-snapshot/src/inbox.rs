//! What sinks and the worker share about the snapshot being received.
//!
//! Invariant (one-writer): at most one sink writes, the one that asked `have` last of those made last; whoever
//! was before gets an error at its next call. A finished file has no writer at all, so that what was verified
//! stays as it was. The inbox is locked through each call of a sink and through each publication of a received
//! file: they may wait for one another, nobody else does.

use std::path::PathBuf;

use raft_core::types::EntryId;

use crate::error::TransferError;
use crate::scan::Verified;

/// The place for received snapshots.
#[derive(Debug)]
pub(crate) struct Inbox<F> {
    /// Ticket of the sink that may write; tickets count up from 1.
    owner: u64,
    /// A file that waits to be published, verified and durable.
    pub(crate) finished: Option<Received<F>>,
}

/// A finished file under its partial name.
#[derive(Debug)]
pub(crate) struct Received<F> {
    pub(crate) part: PathBuf,
    pub(crate) snapshot: Verified<F>,
}

impl<F> Default for Inbox<F> {
    fn default() -> Self {
        Self { owner: 0, finished: None }
    }
}

impl<F> Inbox<F> {
    /// Lets the sink with `ticket` write, if none made after it does.
    pub(crate) fn take_over(&mut self, ticket: u64, last: EntryId) -> Result<(), TransferError> {
        self.owner = self.owner.max(ticket);
        self.check_owner(ticket, last)
    }

    /// Checks that the sink with `ticket` may write.
    pub(crate) const fn check_owner(&self, ticket: u64, last: EntryId) -> Result<(), TransferError> {
        if self.owner == ticket { Ok(()) } else { Err(TransferError::Superseded { last }) }
    }
}
