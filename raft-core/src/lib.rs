//! Raft consensus as a deterministic value, with the seams that carry it out.
pub mod block;
mod cache;
pub mod configuration;
mod configurations;
pub mod driver;
mod effect;
pub mod error;
pub mod fs;
mod held;
mod input;
pub mod message;
#[cfg(feature = "node")]
pub mod node;
mod options;
mod progress;
pub mod quorum;
mod raft;
mod reads;
pub mod rng;
pub mod snapshot;
pub mod state_machine;
pub mod storage;
mod term_runs;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
pub mod transport;
pub mod types;
mod uncommitted;
mod votes;
mod writes;

pub use block::{Block, BlockBuilder, EntryKind};
pub use configuration::Configuration;
pub use driver::Driver;
pub use effect::Effect;
pub use error::{Halt, ProposeError, ReadError};
pub use input::{Input, Ticket};
pub use message::Message;
pub use options::{Options, OptionsError};
pub use raft::{PeerStatus, Raft, RoleName, Status};
pub use time::Time;
pub use types::{ClusterId, EntryId, HardState, LogIndex, NodeId, Term, WriteId};
