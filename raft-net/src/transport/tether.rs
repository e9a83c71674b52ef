//! Ending tasks: a [`Tether`] that is dropped ends the work that runs on its [`Leash`].
//!
//! Unlike aborting a task it lets the task have a last word, such as the event that ends a snapshot transfer.

use std::convert::Infallible;
use std::future::Future;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Held by whoever wants the work to go on.
#[derive(Debug)]
pub(crate) struct Tether {
    _dropped_to_cut: oneshot::Sender<Infallible>,
}

/// Held by the work.
#[derive(Debug)]
pub(crate) struct Leash {
    /// `None` once cut.
    tether: Option<oneshot::Receiver<Infallible>>,
}

pub(crate) fn tether() -> (Tether, Leash) {
    let (sender, receiver) = oneshot::channel();
    (Tether { _dropped_to_cut: sender }, Leash { tether: Some(receiver) })
}

/// Spawns work that ends, dropped where it waits, when the tether is.
pub(crate) fn spawn_tethered(runtime: &Handle, work: impl Future<Output = ()> + Send + 'static) -> Tether {
    let (tether, mut leash) = tether();
    runtime.spawn(async move { leash.run(work).await });
    tether
}

impl Leash {
    /// Runs `work` to its end; `None` if it was cut before. Then every later call answers `None` at once.
    pub(crate) async fn run<F: Future>(&mut self, work: F) -> Option<F::Output> {
        let tether = self.tether.as_mut()?;
        tokio::select! {
            biased;
            _cut = tether => {
                self.tether = None;
                None
            }
            done = work => Some(done),
        }
    }
}
