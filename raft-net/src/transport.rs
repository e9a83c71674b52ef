//! The transport between nodes: everything that needs raft-core and a runtime.
//!
//! ```text
//!        node ──send──► lane_queue ─► link ──────────┐                 (one task per peer and lane)
//!         ▲                                          ├─ handshake ─ framed_stream ─ connector ─ TCP
//!         └─events── incoming ◄──────────────────────┘                 (one task per caller)
//! ```
//! `shared` ties them together: the directory (who is who), the links, the seats of callers, the transfers.

mod backoff;
pub mod codec;
pub mod connector;
mod directory;
mod error;
mod framed_stream;
mod greeting;
pub mod handshake;
mod incoming;
mod lane_queue;
mod link;
mod lobby;
mod net_transport;
mod notebook;
mod options;
mod shared;
mod snapshot_transfer;
mod statistics;
mod tether;

pub use backoff::BackoffBounds;
pub use error::ConnectionError;
pub use greeting::{Greeting, greet};
pub use handshake::Local;
pub use lane_queue::LaneBounds;
pub use net_transport::NetTransport;
pub use options::Options;
pub use statistics::{Counter, Statistics};
