//! The replicated key-value store: its state machine and its server.
//!
//! * [`store`]: the state machine, multi-version and exactly-once.
//! * `server`: the client port, over [`kv_client::protocol`].
//! * `bootstrap`: how a fresh node comes into a cluster.
//! * [`clock`]: cluster time.
//! * `data_folder`: what is on disk, and how it is opened. `compaction`: what the log may forget.
//! * [`recover`]: one survivor of a lost quorum goes on alone.
//! * `standing`: whether this node is a member of its cluster.
//! * `advice`: what an operator can do about lost data.
//! * [`daemon`]: all of it put together; `kvd` is its program.
mod advice;
mod bootstrap;
pub mod clock;
mod compaction;
pub mod config;
pub mod daemon;
mod data_folder;
pub mod logging;
pub mod recover;
mod server;
mod standing;
pub mod store;

/// Newest cluster version that this program speaks: gates new encodings of entries. A cluster runs at the lowest
/// of its members' versions.
pub const CLUSTER_VERSION: u32 = 1;
