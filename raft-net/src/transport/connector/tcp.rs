//! Byte streams over TCP.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::TcpStream;

use super::{BoxStream, Connector, Listener};

/// A peer that acknowledges nothing for this long is taken for gone. Without it the kernel would retransmit for a
/// quarter of an hour, at growing intervals, long after a partition has healed.
const DEAD_AFTER: Duration = Duration::from_secs(3);

/// Idle connections are probed this often, so that one whose peer vanished without a word does not stay for ever.
const PROBE_EVERY: Duration = Duration::from_secs(5);

/// Dials over TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpConnector;

#[async_trait]
impl Connector for TcpConnector {
    async fn connect(&self, address: &str) -> io::Result<BoxStream> {
        let stream = TcpStream::connect(address).await?;
        tune(&stream)?;
        Ok(Box::new(stream))
    }
}

/// Listens on a TCP port.
#[derive(Debug)]
pub struct TcpListener {
    listener: tokio::net::TcpListener,
}

impl TcpListener {
    /// Listens on `address` (`host:port`; port 0: one that the operating system picks).
    ///
    /// # Errors
    /// The operating system's reason: port in use, no such address, not allowed.
    pub async fn bind(address: &str) -> io::Result<Self> {
        Ok(Self { listener: tokio::net::TcpListener::bind(address).await? })
    }

    /// The address that is listened on.
    ///
    /// # Errors
    /// The operating system's reason.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

#[async_trait]
impl Listener for TcpListener {
    async fn accept(&mut self) -> io::Result<(BoxStream, String)> {
        let (stream, remote) = self.listener.accept().await?;
        tune(&stream)?;
        Ok((Box::new(stream), remote.to_string()))
    }
}

/// Small messages leave at once; a peer that has gone is noticed.
fn tune(stream: &TcpStream) -> io::Result<()> {
    use rustix::net::sockopt;
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    #[cfg(target_os = "linux")]
    {
        sockopt::set_tcp_keepidle(stream, PROBE_EVERY)?;
        sockopt::set_tcp_keepintvl(stream, PROBE_EVERY)?;
        sockopt::set_tcp_user_timeout(stream, DEAD_AFTER.as_millis() as u32)?;
    }
    Ok(())
}
