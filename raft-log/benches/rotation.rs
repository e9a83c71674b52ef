//! Latency of single appends while segment after segment fills up: does the log pause where one ends?
//!
//! `cargo bench -p raft-log --bench rotation [-- FOLDER]`: the folder is on the disk to measure; default is the one
//! for temporary files. Takes 768 MiB of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use raft_core::block::{BlockBuilder, EntryKind};
use raft_core::fs::StdFs;
use raft_core::snapshot::SnapshotMeta;
use raft_core::storage::{LogEvent, LogStore, Sink, Write};
use raft_core::{LogIndex, NodeId, Term, WriteId};
use raft_log::{LogOptions, LogThread, create, open};

/// Each with the number of appends that fill eight segments.
const ENTRY_BYTES: [(usize, u64); 2] = [(30 << 10, 16 << 10), (250 << 10, 2 << 10)];
const ROUNDS: usize = 3;

/// How long each of `count` appends took, one after the other.
fn appends(folder: &PathBuf, entry_bytes: usize, count: u64) -> Vec<Duration> {
    let dir = tempfile::tempdir_in(folder).expect("a folder to write to");
    let (path, options) = (dir.path().join("log"), LogOptions::default());
    let (sender, events) = channel();
    // The thread that closes the log outlives the receiver.
    let sink: Sink<LogEvent> = Arc::new(move |event| drop(sender.send(event)));
    create(&path, StdFs, &options, NodeId::new(1).expect("not zero")).expect("a fresh folder");
    let (log, _) = open(&path, StdFs, &options, &SnapshotMeta::NONE, sink).expect("just created");
    let mut log = LogThread::spawn(log).expect("a thread");
    let payload = vec![0x5A; entry_bytes];
    let append = |index: u64| {
        let mut builder = BlockBuilder::with_capacity(1, entry_bytes);
        builder.push(EntryKind::Normal, &[&payload]);
        let append = builder.finish(LogIndex(index), Term(0)).into_iter().collect();
        let started = Instant::now();
        log.submit(Write { id: WriteId(index), append, ..Write::default() });
        assert!(
            matches!(events.recv().expect("the log runs"), LogEvent::Durable(WriteId(id)) if id == index)
        );
        started.elapsed()
    };
    (1..=count).map(append).collect()
}

fn main() {
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let folder = folder.map_or_else(std::env::temp_dir, PathBuf::from);
    for (entry_bytes, count) in ENTRY_BYTES {
        println!(
            "{count} appends of {entry_bytes} bytes, one at a time, 8 segments; in {}",
            folder.display()
        );
        for _ in 0..ROUNDS {
            let started = Instant::now();
            let mut took = appends(&folder, entry_bytes, count);
            let rate = count as f64 / started.elapsed().as_secs_f64();
            took.sort();
            let at = |share: f64| took[((count as f64 * share) as usize).min(took.len() - 1)];
            let [p50, p99, p999, max] = [0.5, 0.99, 0.999, 1.0].map(at);
            println!(
                "  {rate:>6.0}/s  p50 {p50:>9.1?}  p99 {p99:>9.1?}  p99.9 {p999:>9.1?}  max {max:>9.1?}"
            );
        }
    }
}
