//! Byte streams inside one process: the transport without an operating system, for tests and simulation.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;

use super::{BoxStream, Connector, Listener};

/// Bytes that a stream holds each way before writes wait.
const STREAM_BYTES: usize = 64 * 1024;
/// Streams that wait to be accepted before connecting waits.
const BACKLOG: usize = 128;

type Backlog = mpsc::Sender<DuplexStream>;

/// A network of named listeners. Clones are the same network.
#[derive(Clone, Debug, Default)]
pub struct MemoryNetwork {
    listeners: Arc<Mutex<BTreeMap<String, Backlog>>>,
}

impl MemoryNetwork {
    /// A network without listeners.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Listens on `address`, any text, in place of whoever listened there before.
    ///
    /// # Panics
    /// If another thread panicked while it used this network.
    #[must_use]
    pub fn listen(&self, address: &str) -> MemoryListener {
        let (backlog, incoming) = mpsc::channel(BACKLOG);
        let mut listeners = self.listeners.lock().expect("no thread panics while it holds the lock");
        listeners.insert(address.to_owned(), backlog);
        MemoryListener { address: address.to_owned(), incoming }
    }
}

#[async_trait]
impl Connector for MemoryNetwork {
    async fn connect(&self, address: &str) -> io::Result<BoxStream> {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let backlog = {
            let listeners = self.listeners.lock().expect("no thread panics while it holds the lock");
            listeners.get(address).cloned().ok_or_else(refused)?
        };
        let (near, far) = duplex(STREAM_BYTES);
        backlog.send(far).await.map_err(|_listener_gone| refused())?;
        Ok(Box::new(near))
    }
}

/// Takes the streams that were connected to one address of a [`MemoryNetwork`].
#[derive(Debug)]
pub struct MemoryListener {
    address: String,
    incoming: mpsc::Receiver<DuplexStream>,
}

#[async_trait]
impl Listener for MemoryListener {
    async fn accept(&mut self) -> io::Result<(BoxStream, String)> {
        let stream = self.incoming.recv().await.ok_or(io::ErrorKind::NotConnected)?;
        Ok((Box::new(stream), format!("a caller of {}", self.address)))
    }
}
