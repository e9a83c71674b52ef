//! Raft consensus as a deterministic value, with the seams that carry it out.
pub mod block;
pub mod configuration;
pub mod fs;
pub mod message;
pub mod quorum;
pub mod rng;
pub mod snapshot;
pub mod state_machine;
pub mod storage;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
pub mod transport;
pub mod types;

pub use block::{Block, BlockBuilder, EntryKind};
pub use configuration::Configuration;
pub use types::{ClusterId, EntryId, HardState, LogIndex, NodeId, Term, WriteId};
