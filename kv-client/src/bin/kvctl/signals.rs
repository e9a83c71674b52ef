//! The signals that end the program early, but not before it has closed its sessions.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// See the module.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

/// A signal that came. What was under way may be done or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stopped {
    /// SIGINT: Ctrl-C.
    #[error("interrupted; what was under way may be done or not")]
    Interrupted,
    /// SIGTERM.
    #[error("terminated; what was under way may be done or not")]
    Terminated,
}

impl Signals {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Stopped {
        tokio::select! {
            _ = self.interrupt.recv() => Stopped::Interrupted,
            _ = self.terminate.recv() => Stopped::Terminated,
        }
    }
}
