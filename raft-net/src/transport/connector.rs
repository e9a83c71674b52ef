//! Where byte streams come from: the seam under the transport. TCP in production, memory in tests, TLS or a faulty
//! network by whoever implements the two traits.

mod memory;
mod tcp;

pub use memory::{MemoryListener, MemoryNetwork};
pub use tcp::{TcpConnector, TcpListener};

use std::io;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

/// A reliable, ordered byte stream, both ways.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for S {}

/// A byte stream of whatever kind.
pub type BoxStream = Box<dyn ByteStream>;

/// Makes outgoing streams.
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// Connects to `address` (`host:port` for TCP), looking its name up anew. The caller bounds the time.
    ///
    /// # Errors
    /// The operating system's reason; the caller tries again later.
    async fn connect(&self, address: &str) -> io::Result<BoxStream>;
}

/// Takes incoming streams.
#[async_trait]
pub trait Listener: Send + 'static {
    /// The next stream, and a name of the other end for people to read. Cancel-safe: a stream is never lost by
    /// dropping the future.
    ///
    /// # Errors
    /// The operating system's reason (too many open files, say); the caller tries again after a pause.
    async fn accept(&mut self) -> io::Result<(BoxStream, String)>;
}
