//! The application: what committed commands do.

use std::error::Error;
use std::io;

use crate::block::Block;
use crate::snapshot::SnapshotView;

/// Why a state machine cannot go on, in its own words.
pub type ApplyError = Box<dyn Error + Send + Sync>;

/// A deterministic state machine, plain and synchronous.
///
/// # Contract
/// * **Determinism.** State and replies are a function of the entries alone: no clock, randomness, environment or
///   address may enter.
/// * **Order.** Every entry of the log is applied once, in order of its index, no-ops and configurations included, so
///   that the applied index can be kept by counting. After [`restore`](Self::restore) applying goes on with the entry
///   after the snapshot.
/// * **Errors.** An entry that the application refuses (bad command, condition not met) is a *reply*. An error stops
///   the node: it means that this node can no longer follow the others.
pub trait StateMachine: Send + 'static {
    /// The outcome of one entry, handed to whoever proposed it.
    type Reply: Send + 'static;

    /// Applies `batch`, contiguous blocks, and pushes exactly one reply per entry.
    ///
    /// # Errors
    /// The node stops with this error in its log.
    fn apply(&mut self, batch: &[Block], replies: &mut Vec<Self::Reply>) -> Result<(), ApplyError>;

    /// A frozen copy of the state, written out in the background while `apply` goes on. Meant to cost O(1) or nearly.
    fn freeze(&self) -> Box<dyn SnapshotView>;

    /// Replaces the state by the one in a snapshot. Called on a background thread for large ones.
    ///
    /// # Errors
    /// The snapshot is not one of this state machine, or from a newer program; the node stops.
    fn restore(&mut self, reader: &mut dyn io::Read) -> Result<(), ApplyError>;
}
