//! A segmented, checksummed, memory-mapped log: the [`LogStore`](raft_core::storage::LogStore) of production.
//!
//! ```text
//! folder/  lock    held while open
//!          meta    term, vote, cluster, node id: four slots, see `metadata`
//!          0000000000000007.seg    oldest segment that is still needed
//!          0000000000000008.seg    the one being written to
//!
//! segment  ┌────────┬───────────────────┬─────────┬──────┬ … ┬──────┬─────────
//!          │ header │ batch             │ batch   │ mark │   │ seal │ zeros
//!          └────────┴───────────────────┴─────────┴──────┴ … ┴──────┴─────────
//! batch    ┌─────────────────────────────┬──────────────────────────┬───────────────────┬───────┐
//!          │ header: sequence, watermark │ block headers and tables │ payloads          │ zeros │
//!          │ previous batch, base, CRC   │ CRC                      │ a CRC each        │       │
//!          └─────────────────────────────┴──────────────────────────┴───────────────────┴───────┘
//! ```
//! Everything starts on a 4 KiB page; all numbers are little-endian. Byte layouts stand at the head of the modules
//! `page`, `metadata`, `segment` and `batch`.
//!
//! # Guarantees
//! * What was reported durable survives any crash; of what was not, a prefix may. Term and vote never go back.
//! * Rot in what was reported durable is never taken for a torn tail, once a later batch or a mark is on disk:
//!   opening refuses, or the read fails, naming segment, offset, index, what was found and what was expected. What
//!   rotted is never served. Index and term of an entry outlive its payload. A log that is idle for
//!   [`LogOptions::idle_mark`] has its mark: what is left are the batches of that last moment before a crash.
//! * A log that cannot be opened is left as it was found.
//! * After an error of the disk nothing is reported durable any more, and no sync is tried twice.
//!
//! # How it is used
//! [`create`] once, then [`open`]: a [`SegmentedLog`] is a plain value that works when [`SegmentedLog::step`] is
//! called, which is how simulation runs it. [`LogThread`] runs it on threads: one writes, and marks the log when it
//! is idle, one reads, one makes the next segment ahead of need. [`LogReader`] reads beside it.
//!
//! ```
//! use std::sync::{Arc, mpsc};
//!
//! use raft_core::fs::StdFs;
//! use raft_core::snapshot::SnapshotMeta;
//! use raft_core::storage::{LogEvent, LogStore, Write};
//! use raft_core::{BlockBuilder, EntryKind, HardState, LogIndex, NodeId, Term, WriteId};
//! use raft_log::{LogOptions, LogThread, create, open};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let parent = tempfile::tempdir()?;
//! # let dir = parent.path().join("log");
//! # let options = LogOptions { segment_bytes: 1 << 20, ..LogOptions::default() };
//! let freshly_minted = NodeId::new(0x5eed).expect("not zero");
//! create(&dir, StdFs, &options, freshly_minted)?;
//!
//! let (sender, events) = mpsc::channel();
//! let sink = Arc::new(move |event| drop(sender.send(event)));
//! let (log, opened) = open(&dir, StdFs, &options, &SnapshotMeta::NONE, sink)?;
//! assert_eq!(opened.node_id, freshly_minted);
//!
//! let mut log = LogThread::spawn(log)?;
//! let mut block = BlockBuilder::new();
//! block.push(EntryKind::Normal, &[b"a command"]);
//! log.submit(Write {
//!     id: WriteId(1),
//!     hard_state: Some(HardState { current_term: Term(1), ..HardState::default() }),
//!     append: block.finish(LogIndex(1), Term(1)).into_iter().collect(),
//!     ..Write::default()
//! });
//! assert!(matches!(events.recv()?, LogEvent::Durable(WriteId(1))));
//! # Ok(())
//! # }
//! ```

mod batch;
mod compaction;
mod durable;
mod error;
mod folder;
mod index;
mod log;
mod map;
mod metadata;
mod open;
mod options;
mod page;
mod reader;
mod recovery;
mod report;
mod scan;
mod segment;
mod span;
mod spare;
mod stats;
mod tail;
mod thread;
mod writer;

pub use batch::{BatchFault, BatchKind};
pub use error::{Action, Damage, IoFailure, OpenError, ReadError, WriteError};
pub use log::SegmentedLog;
pub use open::{create, identify, open};
pub use options::{LogOptions, Verify};
pub use page::{Magic, PageFault};
pub use reader::LogReader;
pub use report::{Opened, RecoveryReport, TornTail};
pub use stats::{Counter, LogStats};
pub use thread::LogThread;
