//! How patient a client is.

use std::time::Duration;

use crate::command::SESSION_WINDOW;
use crate::protocol::Token;

/// Settings of a [`Client`](crate::Client). Fields may be added: write `..Options::default()` behind those you
/// set.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a call may take in all, retries included. [`Client::with_deadline`](crate::Client::with_deadline)
    /// sets another one for single calls.
    pub deadline: Duration,
    /// How long one node is waited for before the same request is sent to another. Raising it past the slowest
    /// commit to be expected saves copies under overload; lowering it notices a hung node sooner.
    pub attempt_timeout: Duration,
    /// How long connecting, hellos included, may take.
    pub connect_timeout: Duration,
    /// Most writes in flight, 1 to [`SESSION_WINDOW`]; further ones wait.
    pub writes_in_flight: u64,
    /// Who the client is, where the cluster asks for it.
    pub credentials: Option<Token>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(5),
            attempt_timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(1),
            writes_in_flight: SESSION_WINDOW,
            credentials: None,
        }
    }
}
