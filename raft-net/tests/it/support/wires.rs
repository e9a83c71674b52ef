use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use raft_net::connector::{BoxStream, Connector, MemoryNetwork};
use tokio::io::{copy_bidirectional, duplex};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wire {
    #[default]
    Whole,
    Frozen,
    Cut,
}

/// A memory network whose connections can be cut, frozen or refused, by the address they were made to.
#[derive(Clone, Default)]
pub(crate) struct Wires {
    pub network: MemoryNetwork,
    addresses: Arc<Mutex<BTreeMap<String, watch::Sender<Wire>>>>,
}

impl Wires {
    /// Breaks the connections to `address` and refuses new ones.
    pub(crate) fn cut(&self, address: &str) {
        self.set(address, Wire::Cut);
    }

    /// Keeps the connections to `address`, and new ones, but they never move a byte again.
    pub(crate) fn freeze(&self, address: &str) {
        self.set(address, Wire::Frozen);
    }

    /// Lets new connections to `address` through.
    pub(crate) fn mend(&self, address: &str) {
        self.set(address, Wire::Whole);
    }

    fn set(&self, address: &str, wire: Wire) {
        self.addresses.lock().unwrap().entry(address.to_owned()).or_default().send_replace(wire);
    }
}

#[async_trait]
impl Connector for Wires {
    async fn connect(&self, address: &str) -> io::Result<BoxStream> {
        let wire = self.addresses.lock().unwrap().entry(address.to_owned()).or_default().subscribe();
        if *wire.borrow() == Wire::Cut {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let mut far = self.network.connect(address).await?;
        let (near, mut middle) = duplex(1024);
        tokio::spawn(async move {
            if *wire.borrow() == Wire::Whole {
                tokio::select! {
                    _ended = copy_bidirectional(&mut middle, &mut far) => return,
                    () = becomes(wire.clone(), Wire::Cut) => return,
                    () = becomes(wire.clone(), Wire::Frozen) => {}
                }
            }
            // Bytes under way are gone: a frozen connection never moves again, but both ends stay open.
            becomes(wire, Wire::Cut).await;
            drop((middle, far));
        });
        Ok(Box::new(near))
    }
}

async fn becomes(mut wire: watch::Receiver<Wire>, state: Wire) {
    let _network_gone = wire.wait_for(|&now| now == state).await.is_err();
}
