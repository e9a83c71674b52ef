//! Greeting a node that one may not know: for founding a cluster, and for finding one.

use std::fmt;
use std::time::Duration;

use crate::transport::connector::Connector;
use crate::transport::error::ConnectionError;
use crate::transport::framed_stream::FramedStream;
use crate::transport::handshake::exchange::{Dialed, Patience, dial};
use crate::transport::handshake::{Hello, Lane, Local, Refused};

/// A node that answered, and the connection on which it did.
///
/// While the connection stands, the node is the one that answered, and belongs to no cluster if it said so: it
/// closes the connection when that changes. Dropped, the connection is closed.
pub struct Greeting {
    /// What the node says about itself.
    pub hello: Hello,
    /// Why the node would refuse messages of this one; `None` if it would not, or if neither has a cluster yet.
    pub objection: Option<Refused>,
    connection: FramedStream,
}

/// Dials `address`, says who `local` is, and takes the answer. All within `timeout`, name lookup included.
///
/// A node answers greetings of anybody, even of strangers, of other clusters and of itself (compare the ids).
///
/// # Errors
/// [`ConnectionError`]: nobody answers there, or somebody who cannot be talked to; try again later.
pub async fn greet(
    connector: &dyn Connector,
    address: &str,
    local: &Local,
    timeout: Duration,
) -> Result<Greeting, ConnectionError> {
    let patience = Patience { handshake: timeout, stall: timeout };
    let dialed = dial(connector, address, &local.hello(Lane::Greeting, None), patience).await?;
    let Dialed { stream: connection, answer: hello, objection } = dialed;
    Ok(Greeting { hello, objection, connection })
}

impl Greeting {
    /// Waits until the connection breaks; the answer is why. Cancel-safe.
    pub async fn ended(&mut self) -> ConnectionError {
        self.connection.ended().await
    }
}

impl fmt::Debug for Greeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hello, objection, .. } = self;
        f.debug_struct("Greeting").field("hello", hello).field("objection", objection).finish_non_exhaustive()
    }
}
