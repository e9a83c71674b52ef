//! Raft as a library: propose a command, get it back applied, in order, on every node.
//!
//! A tokio task owns the [`Driver`]; [`NodeHandle`] talks to it. Its loop takes what has arrived, all of it, and only
//! then flushes, so that batches size themselves by load. Nothing in it waits for a disk or a peer.
//!
//! ```text
//! channels() ─► sinks for the stores and the transport, which are opened with them
//!            └► events ─► start(parts, events) ─► NodeHandle, and a task that ends with the node
//! ```

mod clock;
mod event_loop;
mod handle;

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use clock::Clock;
pub use handle::{Command, Consistency, HandOverError, NodeHandle, NodeStatus, Observation};

use crate::driver::{Driver, Parts};
use crate::error::{Halt, StartError};
use crate::state_machine::StateMachine;
use crate::storage::{LogEvent, LogStore, Sink, SnapshotEvent, SnapshotStore};
use crate::transport::{Transport, TransportEvent};
use event_loop::EventLoop;

/// Network events that may wait for the loop; a full queue makes the connections' readers wait.
const TRANSPORT_QUEUE: usize = 1024;
/// Requests that may wait for the loop; a full queue makes their callers wait.
const REQUEST_QUEUE: usize = 4096;

/// Where stores and transport report to. Open them with these.
#[derive(Clone)]
pub struct Sinks {
    /// For the log store.
    pub log: Sink<LogEvent>,
    /// For the snapshot store.
    pub snapshots: Sink<SnapshotEvent>,
    /// For the transport.
    pub transport: mpsc::Sender<TransportEvent>,
}

/// The other ends, for [`start`].
#[derive(Debug)]
pub struct Events {
    log: mpsc::UnboundedReceiver<LogEvent>,
    snapshots: mpsc::UnboundedReceiver<SnapshotEvent>,
    transport: mpsc::Receiver<TransportEvent>,
}

/// Channels between stores, transport and node.
///
/// The stores' channels have no bound of their own: a store reports at most once per write, read and snapshot that it
/// was given, and the core bounds those.
#[must_use]
pub fn channels() -> (Sinks, Events) {
    let (log_sender, log) = mpsc::unbounded_channel();
    let (snapshot_sender, snapshots) = mpsc::unbounded_channel();
    let (transport_sender, transport) = mpsc::channel(TRANSPORT_QUEUE);
    // A send fails only when the node is gone, and then nobody needs the event.
    let sinks = Sinks {
        log: Arc::new(move |event| drop(log_sender.send(event))),
        snapshots: Arc::new(move |event| drop(snapshot_sender.send(event))),
        transport: transport_sender,
    };
    (sinks, Events { log, snapshots, transport })
}

/// Ends with the reason when the node must stop, and with `Ok` after [`NodeHandle::shutdown`].
pub type NodeTask = JoinHandle<Result<(), Halt>>;

/// Starts a node on the current tokio runtime. Loads the newest snapshot into the state machine first, on the caller's
/// thread, which may take a while.
///
/// # Errors
/// [`StartError`]: options to mend, stores that contradict each other, or a snapshot that cannot be loaded.
///
/// # Panics
/// Outside a tokio runtime.
pub fn start<L, T, S, M>(
    parts: Parts<L, T, S, M>,
    events: Events,
) -> Result<(NodeHandle<M>, NodeTask), StartError>
where
    L: LogStore + Send + 'static,
    T: Transport + Send + 'static,
    S: SnapshotStore + Send + 'static,
    M: StateMachine,
{
    let clock = Clock::new();
    let driver = Driver::new(clock.now(), parts)?;
    let (sender, requests) = mpsc::channel(REQUEST_QUEUE);
    let (event_loop, observed, applied) = EventLoop::new(driver, clock, requests, events);
    let task = tokio::spawn(event_loop.run());
    Ok((NodeHandle::new(sender, observed, applied), task))
}
