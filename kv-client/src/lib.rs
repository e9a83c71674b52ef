//! Commands, protocol and client of the replicated key-value store.
//!
//! ```no_run
//! use kv_client::{Client, KvStore, Options, ReadOptions};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(["127.0.0.1:7101"], Options::default())?;
//! client.put(b"greeting", b"hello").await?;
//! let found = client.get(b"greeting", ReadOptions::default()).await?;
//! assert_eq!(found.value.expect("it was just put").bytes, "hello");
//! client.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! * [`Client`] finds the leader, follows it and retries within each call's deadline. Its writes are applied
//!   exactly once, however often they had to be sent; its [`Error`] says whether a write that failed may be
//!   applied.
//! * [`KvStore`] is the store as its callers see it, whoever serves it; [`Scan`] walks a range page by page.
//! * [`command`] and [`protocol`] are what travels: for whoever writes a server or another client.
//!
//! Feature `cli` (on by default) adds what the program `kvctl` needs and nothing to the library.

mod client;
pub mod command;
mod connection;
mod connector;
mod error;
pub mod layout;
mod options;
pub mod protocol;
mod scan;
mod store;

pub use client::Client;
pub use connection::FRAME_LIMITS;
pub use connector::{BoxStream, ByteStream, Connector, TcpConnector};
pub use error::{Cause, Error, NoEndpoints, NodeError, Problem, Rejection};
pub use options::Options;
pub use scan::Scan;
pub use store::{KvStore, Page, ReadOptions, Record, Response, Versioned};
