//! What asks the process to end: the first signal in good order, the second one at once.

use std::io;
use std::process;
use std::thread;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Exit code of a node that did not wait for its own end. Nothing acknowledged is lost by it.
const EXIT_AT_ONCE: i32 = 1;

/// SIGTERM and SIGINT.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Those that come from now on. Needs a runtime.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The name of the next one.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Ends the process at the next signal, on a thread of its own: a disk that hangs may hold up all others.
///
/// # Errors
/// The operating system has no thread to give, or no descriptors.
pub(super) fn end_at_the_next() -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut signals = {
        let _context = runtime.enter();
        Signals::new()?
    };
    let wait = move || {
        let signal = runtime.block_on(signals.next());
        tracing::warn!("{signal} while stopping: ended at once; what was acknowledged is safe");
        process::exit(EXIT_AT_ONCE)
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop)
}
