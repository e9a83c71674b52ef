//! Raft consensus as a deterministic value, a runtime-free driver around it, and an optional tokio node.
//!
//! Three honest entry points, each of which needs the ones before it only:
//!
//! 1. [`Raft`]: one node's consensus. Synchronous, `Clone`, without I/O, clock, threads or randomness of its own.
//! 2. [`Driver`]: `Raft`'s effects carried out against four traits, [`storage::LogStore`], [`storage::SnapshotStore`],
//!    [`transport::Transport`] and [`state_machine::StateMachine`]. The simulator and production run this same code.
//! 3. `node` (feature): a tokio event loop around `Driver` with a cloneable handle. Propose a command, get it back
//!    applied, in order, on every node.
//!
//! # The four kinds of method on `Raft`
//!
//! * **Getters**, such as [`Raft::status`], look.
//! * **[`Raft::step`]** takes one [`Input`] and the time. Call it as often as there are inputs.
//! * **[`Raft::drain`]** ends the batch and gives its [`Effect`]s. Each may be carried out the moment it is emitted, in
//!   order; nothing has to be made durable first, because what depends on durability is held back inside until
//!   [`Input::Durable`] reports it.
//! * **[`Raft::next_deadline`]** says when to step with [`Input::Tick`] at the latest.
//!
//! ```
//! use raft_core::configuration::{Configuration, Member, MemberRole};
//! use raft_core::snapshot::SnapshotMeta;
//! use raft_core::storage::Recovered;
//! use raft_core::{Effect, Input, NodeId, Options, Raft, RoleName, Ticket, Time};
//!
//! let id = NodeId::new(7).expect("not zero");
//! let mut raft = Raft::new(id, Options::default(), 1, Time::ZERO, Recovered::default(), SnapshotMeta::NONE)?;
//! let alone = Member {
//!     id,
//!     role: MemberRole::Voter,
//!     newest_version: 1,
//!     name: "n1".into(),
//!     peer_address: String::new(),
//!     client_address: String::new(),
//! };
//! let configuration = Configuration::new(1, vec![alone])?;
//! raft.step(Time::ZERO, Input::Initialize { ticket: Ticket(1), configuration });
//! raft.step(Time::ZERO, Input::Tick);
//! while raft.commit_index().0 < 2 {
//!     let mut effects = Vec::new();
//!     raft.drain(&mut effects);
//!     for effect in effects {
//!         // A disk that is as fast as a thought.
//!         if let Effect::Write(write) = effect {
//!             raft.step(Time::ZERO, Input::Durable(write.id));
//!         }
//!     }
//! }
//! assert_eq!(raft.role(), RoleName::Leader);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Words
//!
//! Four words are never mixed: an entry is *appended* (in memory), *durable* (a power cut here cannot undo it),
//! *committed* (durable on a quorum: it will never be undone), *applied* (executed by the state machine). Bounds: `from`
//! and `through` are inclusive, `end` is exclusive. `[Raft §5.4.2]` cites the extended Raft paper, `[Ongaro §6.4]` the
//! dissertation.
// Before all others, which use its macro.
#[cfg(not(feature = "mutants"))]
#[macro_use]
mod mutants;
#[cfg(feature = "mutants")]
#[macro_use]
pub mod mutants;

#[cfg(not(feature = "testing"))]
#[macro_use]
mod marks;
#[cfg(feature = "testing")]
#[macro_use]
pub mod marks;

pub mod block;
mod cache;
pub mod configuration;
mod configurations;
mod damage;
pub mod driver;
mod effect;
pub mod error;
mod fingerprint;
mod forwarded;
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
pub mod recovery;
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

pub use block::{Block, BlockBuilder, Blocks, EntryKind};
pub use configuration::Configuration;
pub use driver::Driver;
pub use effect::Effect;
pub use error::{Halt, ProposeError, ReadError, StartError, TransferError};
pub use input::{Input, Ticket};
pub use message::{Message, ReadProof};
pub use options::{Lease, Options, OptionsError};
pub use raft::{PeerStatus, Raft, RoleName, Status};
pub use time::Time;
pub use types::{ClusterId, EntryId, HardState, LogIndex, NodeId, Term, WriteId};
