//! The client port: who is let in, and one task for each.
//!
//! ```text
//!  accept ─► hello ─► connection ─frames─► service ─► node        (one task per client)
//!                        ▲                              │
//!                        └────────── outbox ◄─answers───┘
//! ```
//! Invariant (bounded-client): whatever a client does, it holds no more than [`limits`] says, and delays nobody
//! else; and the requests of all of them together take no more memory than the [`Budget`].

mod admin;
mod budget;
mod connection;
mod error;
mod hello;
mod limits;
mod outbox;
mod service;
mod status;
#[cfg(test)]
mod tests;
mod waiting;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use raft_net::connector::{BoxStream, Listener};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

pub(crate) use budget::{Budget, LARGEST_FRAME};
use connection::Connection;
use error::ConnectionError;
use hello::{Room, introduce};
use limits::MAX_TURNED_AWAY;
pub(crate) use service::{Parts, Service};

/// Pause after the operating system could not hand over a connection (too many open files, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The clients of a node.
pub(crate) struct Server {
    service: Arc<Service>,
    stopping: watch::Receiver<bool>,
    connections: JoinSet<()>,
    turned_away: JoinSet<()>,
}

impl Server {
    /// A server without clients. When `stopping` changes, they are served no more requests.
    pub(crate) fn new(service: Service, stopping: watch::Receiver<bool>) -> Self {
        let service = Arc::new(service);
        Self { service, stopping, connections: JoinSet::new(), turned_away: JoinSet::new() }
    }

    /// Lets clients in, for ever. Cancel-safe: those that are in stay.
    pub(crate) async fn accept(&mut self, listener: &mut dyn Listener) -> Infallible {
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, remote)) => self.admit(stream, remote),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a client's connection; trying again");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = self.connections.join_next() => {}
                Some(_) = self.turned_away.join_next() => {}
            }
        }
    }

    fn admit(&mut self, stream: BoxStream, remote: String) {
        let (room, tasks) = if self.connections.len() < self.service.max_clients as usize {
            (Room::Free, &mut self.connections)
        } else if self.turned_away.len() < MAX_TURNED_AWAY {
            (Room::None, &mut self.turned_away)
        } else {
            return tracing::debug!(%remote, "too many clients: closed without a word");
        };
        let (service, stopping) = (Arc::clone(&self.service), self.stopping.clone());
        tasks.spawn(async move {
            match serve(stream, room, service, stopping).await {
                Err(error) if error.is_strange() => {
                    tracing::warn!(%remote, %error, "client's connection closed")
                }
                Err(error) => tracing::debug!(%remote, %error, "client's connection ended"),
                Ok(()) => {}
            }
        });
    }

    /// Waits until every client has its answers, at most so long. Clients are told to leave by `stopping`.
    pub(crate) async fn drain(&mut self, patience: Duration) {
        let all_left = async { while self.connections.join_next().await.is_some() {} };
        if timeout(patience, all_left).await.is_err() {
            tracing::debug!(clients = self.connections.len(), "clients still wait for answers");
        }
    }
}

async fn serve(
    stream: BoxStream,
    room: Room,
    service: Arc<Service>,
    stopping: watch::Receiver<bool>,
) -> Result<(), ConnectionError> {
    let introduced = introduce(stream, &service, room).await?;
    Connection::new(introduced, service).run(stopping).await
}
