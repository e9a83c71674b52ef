//! Appends per second beside what the disk allows: a bare loop of one write and one fdatasync over a zero-filled
//! file, with as many pages as the log writes, in turns within one run.
//!
//! `cargo bench -p raft-log [-- FOLDER]`: the folder is on the disk to measure; default is the one for temporary
//! files.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use raft_core::block::{Block, BlockBuilder, EntryKind};
use raft_core::fs::StdFs;
use raft_core::snapshot::SnapshotMeta;
use raft_core::storage::{LogEvent, LogStore, Sink, Write};
use raft_core::{LogIndex, NodeId, Term, WriteId};
use raft_log::{LogOptions, LogThread, SegmentedLog, create, open};

const ENTRY_BYTES: usize = 256;
const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(300);
const IN_FLIGHT: u64 = 64;
const SEGMENT: u64 = 64 << 20;

/// What one round gave.
#[derive(Clone, Copy)]
struct Rate {
    per_second: f64,
    syncs_per_second: f64,
}

impl Rate {
    fn of(count: u64, syncs: u64, since: Instant) -> Self {
        let seconds = since.elapsed().as_secs_f64();
        Self { per_second: count as f64 / seconds, syncs_per_second: syncs as f64 / seconds }
    }
}

/// Blocks of `entries` entries each, one after the other.
struct Blocks {
    entries: u64,
    next: LogIndex,
}

impl Blocks {
    fn next(&mut self) -> Block {
        let payload = [0x5A; ENTRY_BYTES];
        let mut builder =
            BlockBuilder::with_capacity(self.entries as usize, self.entries as usize * ENTRY_BYTES);
        (0..self.entries).for_each(|_| builder.push(EntryKind::Normal, &[&payload]));
        let block = builder.finish(self.next, Term(0)).expect("at least one entry");
        self.next = block.last_index().next();
        block
    }
}

/// A log in a folder of its own, and what it says.
struct Bench {
    log: SegmentedLog<StdFs>,
    events: Receiver<LogEvent>,
    dir: tempfile::TempDir,
}

fn new_log(folder: &Path) -> Bench {
    let dir = tempfile::tempdir_in(folder).expect("a folder to write to");
    let (path, options) =
        (dir.path().join("log"), LogOptions { segment_bytes: SEGMENT, ..LogOptions::default() });
    let (sender, events) = channel();
    // The thread that closes the log outlives the receiver.
    let sink: Sink<LogEvent> = Arc::new(move |event| drop(sender.send(event)));
    create(&path, StdFs, &options, NodeId::new(1).expect("not zero")).expect("a fresh folder");
    let (log, _) = open(&path, StdFs, &options, &SnapshotMeta::NONE, sink).expect("just created");
    Bench { log, events, dir }
}

fn durable(events: &Receiver<LogEvent>) -> WriteId {
    match events.recv().expect("the log runs") {
        LogEvent::Durable(id) => id,
        event => panic!("{event:?}"),
    }
}

/// One way to append, measured for a while whenever it is called.
struct Arm {
    name: String,
    round: Box<dyn FnMut() -> Rate>,
    rates: Vec<Rate>,
}

impl Arm {
    fn new(name: String, round: impl FnMut() -> Rate + 'static) -> Self {
        Self { name, round: Box::new(round), rates: Vec::new() }
    }
}

/// The disk alone.
fn floor(folder: &Path, bytes: usize) -> Arm {
    let dir = tempfile::tempdir_in(folder).expect("a folder to write to");
    let file = File::create_new(dir.path().join("floor")).expect("a fresh file");
    for at in (0..SEGMENT).step_by(1 << 20) {
        file.write_all_at(&vec![0; 1 << 20], at).expect("room on the disk");
    }
    file.sync_all().expect("a disk that works");
    let pages = vec![0x5A; bytes];
    let mut at = 0;
    Arm::new(format!("floor: write and fdatasync of {bytes} bytes"), move || {
        let _keep = &dir;
        let (started, mut writes) = (Instant::now(), 0);
        while started.elapsed() < ROUND {
            at = if at + 2 * bytes as u64 > SEGMENT { 0 } else { at + bytes as u64 };
            file.write_all_at(&pages, at).expect("room in the file");
            file.sync_data().expect("a disk that works");
            writes += 1;
        }
        Rate::of(writes, writes, started)
    })
}

/// One write at a time, on one thread: the log's own cost.
fn stepped(folder: &Path, entries: u64) -> Arm {
    let Bench { mut log, events, dir } = new_log(folder);
    let mut blocks = Blocks { entries, next: LogIndex(1) };
    let mut id = WriteId(0);
    Arm::new(format!("log: batches of {entries}, one at a time"), move || {
        let _keep = &dir;
        let (started, syncs, first) = (Instant::now(), log.stats().log_syncs.get(), id);
        while started.elapsed() < ROUND {
            id = id.next();
            log.submit(Write { id, append: vec![blocks.next()].into(), ..Write::default() });
            log.step();
            assert_eq!(durable(&events), id);
        }
        Rate::of((id.0 - first.0) * entries, log.stats().log_syncs.get() - syncs, started)
    })
}

/// Many writes in flight to the log's thread: group commit.
fn pipelined(folder: &Path, entries: u64) -> Arm {
    let Bench { log, events, dir } = new_log(folder);
    let mut log = LogThread::spawn(log).expect("a thread");
    let mut blocks = Blocks { entries, next: LogIndex(1) };
    let (mut id, mut done) = (WriteId(0), WriteId(0));
    Arm::new(format!("log thread: batches of {entries}, {IN_FLIGHT} in flight"), move || {
        let _keep = &dir;
        let (started, syncs, first) = (Instant::now(), log.stats().log_syncs.get(), done);
        let mut submitting = true;
        while done < id || submitting {
            while submitting && id.0 - done.0 < IN_FLIGHT {
                id = id.next();
                log.submit(Write { id, append: vec![blocks.next()].into(), ..Write::default() });
            }
            done = durable(&events);
            submitting = started.elapsed() < ROUND;
        }
        Rate::of((done.0 - first.0) * entries, log.stats().log_syncs.get() - syncs, started)
    })
}

/// Median and quartiles.
fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [values.len() / 2, values.len() / 4, 3 * values.len() / 4].map(|at| values[at])
}

fn report(arm: &Arm) {
    let [median, low, high] = spread(arm.rates.iter().map(|rate| rate.per_second).collect());
    let [syncs, ..] = spread(arm.rates.iter().map(|rate| rate.syncs_per_second).collect());
    let per_sync = median / syncs;
    let name = &arm.name;
    println!("{name:<44} {median:>9.0}/s ({low:.0}..{high:.0}), {syncs:.0} syncs/s, {per_sync:.1} per sync");
}

fn main() {
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let folder = folder.map_or_else(std::env::temp_dir, PathBuf::from);
    println!(
        "entries of {ENTRY_BYTES} bytes in {}; medians and quartiles of {ROUNDS} rounds",
        folder.display()
    );
    for entries in [1, 16, 256] {
        let batch = 72 + 36 + entries * (12 + ENTRY_BYTES);
        let bytes = batch.next_multiple_of(4096);
        let entries = entries as u64;
        let mut arms = [floor(&folder, bytes), stepped(&folder, entries), pipelined(&folder, entries)];
        for round in 0..ROUNDS {
            // In turns, so that a disk that is busy for a while slows all of them.
            for at in 0..arms.len() {
                let arm = &mut arms[(at + round) % 3];
                let rate = (arm.round)();
                arm.rates.push(rate);
            }
        }
        arms.iter().for_each(report);
    }
}
