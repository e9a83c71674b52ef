//! Opening logs with a sink that keeps the events.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use raft_core::NodeId;
use raft_core::fs::Fs;
use raft_core::snapshot::SnapshotMeta;
use raft_core::storage::LogEvent;
use raft_log::{LogOptions, OpenError, Opened, SegmentedLog, Verify, create, open};

/// The folder of the log under test. Its parent is there.
pub(crate) const DIR: &str = "/data/log";

/// Segments of five pages: a header, two small batches, a mark, a seal.
pub(crate) const SMALL: LogOptions =
    LogOptions { segment_bytes: 5 * 4096, group_bytes: 64 << 10, verify: Verify::Tail, idle_mark: NEVER };

/// Idle logs are marked only by tests that are about marks.
const NEVER: Duration = Duration::MAX;

pub(crate) fn node_id() -> NodeId {
    NodeId::new(0xA11CE).unwrap()
}

/// Events of a log, in order.
#[derive(Clone, Default)]
pub(crate) struct Events(Arc<Mutex<Vec<LogEvent>>>);

impl Events {
    pub(crate) fn take(&self) -> Vec<LogEvent> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// An open log, what it said when it opened, and what it has said since.
pub(crate) struct Opening<F: Fs> {
    pub(crate) log: SegmentedLog<F>,
    pub(crate) opened: Opened,
    pub(crate) events: Events,
}

impl<F: Fs> Opening<F> {
    /// Lets the log work until it is idle.
    pub(crate) fn run(&mut self) -> Vec<LogEvent> {
        while self.log.step() {}
        self.events.take()
    }
}

pub(crate) fn open_log<F: Fs>(
    fs: &F,
    dir: &Path,
    options: &LogOptions,
    floor: &SnapshotMeta,
) -> Result<Opening<F>, OpenError> {
    let events = Events::default();
    let keep = events.0.clone();
    let sink = Arc::new(move |event| keep.lock().unwrap().push(event));
    let (log, opened) = open(dir, fs.clone(), options, floor, sink)?;
    Ok(Opening { log, opened, events })
}

/// As [`open_log`]; a folder without a log gets one.
pub(crate) fn open_or_create<F: Fs>(
    fs: &F,
    dir: &Path,
    options: &LogOptions,
    floor: &SnapshotMeta,
) -> Result<Opening<F>, OpenError> {
    match open_log(fs, dir, options, floor) {
        Err(OpenError::NotInitialised { .. }) => {
            create(dir, fs.clone(), options, node_id())?;
            open_log(fs, dir, options, floor)
        }
        opened => opened,
    }
}
