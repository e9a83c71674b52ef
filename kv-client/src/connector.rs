//! Where byte streams come from: TCP in production; memory, TLS or a faulty network by whoever implements the
//! trait.

use std::io;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A reliable, ordered byte stream, both ways.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for S {}

/// A byte stream of whatever kind.
pub type BoxStream = Box<dyn ByteStream>;

/// Makes streams to nodes.
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// Connects to `address` (`host:port` for TCP), looking its name up anew. The caller bounds the time.
    ///
    /// # Errors
    /// The operating system's reason; the caller asks another node, or tries again later.
    async fn connect(&self, address: &str) -> io::Result<BoxStream>;
}

/// Connects over TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpConnector;

#[async_trait]
impl Connector for TcpConnector {
    async fn connect(&self, address: &str) -> io::Result<BoxStream> {
        let stream = TcpStream::connect(address).await?;
        // Requests are gathered before they are written: waiting for more of them is no one's job below.
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}
