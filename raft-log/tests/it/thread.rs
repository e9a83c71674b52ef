//! The log on its threads.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use raft_core::fs::{Fs, StdFs};
use raft_core::snapshot::SnapshotMeta;
use raft_core::storage::{LogEvent, LogStore, ReadRequest, Recovered, StoreError, Write};
use raft_core::testing::SimFs;
use raft_core::testing::log_store_suite::{LogHarness, check_log_store};
use raft_core::{EntryId, LogIndex, Term, WriteId};
use raft_log::{LogOptions, LogThread, OpenError, create, open};

use crate::hook_fs::{Call, HookFs};
use crate::support::{DIR, SMALL, node_id, open_log};
use crate::world::{block, contents, entries_of};

/// Room for everything that a test writes.
const ROOMY: LogOptions = LogOptions { segment_bytes: 64 << 10, ..SMALL };

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn spawn<F: Fs>(fs: &F, dir: &Path, floor: &SnapshotMeta) -> (LogThread, Recovered, Receiver<LogEvent>) {
    spawn_with(fs, dir, floor, &ROOMY)
}

fn spawn_with<F: Fs>(
    fs: &F,
    dir: &Path,
    floor: &SnapshotMeta,
    options: &LogOptions,
) -> (LogThread, Recovered, Receiver<LogEvent>) {
    let (sender, events): (Sender<LogEvent>, _) = channel();
    let sender = Mutex::new(sender);
    // The test may be over before the log is closed.
    let sink = Arc::new(move |event| drop(sender.lock().unwrap().send(event)));
    let (log, opened) = open(dir, fs.clone(), options, floor, sink).unwrap();
    (LogThread::spawn(log).unwrap(), opened.recovered, events)
}

fn appends(count: u64) -> Vec<Write> {
    let write = |index: u64| Write {
        id: WriteId(index),
        append: vec![block(EntryId::new(Term(0), LogIndex(index - 1)), Term(0), 1, 100)].into(),
        ..Write::default()
    };
    (1..=count).map(write).collect()
}

fn request(id: u64, from: u64, through: u64) -> ReadRequest {
    ReadRequest { id, from: LogIndex(from), through: LogIndex(through), max_bytes: usize::MAX }
}

#[test]
fn dropping_the_thread_finishes_what_is_queued_and_marks_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    create(&path, StdFs, &ROOMY, node_id()).unwrap();
    let (mut log, _, events) = spawn(&StdFs, &path, &SnapshotMeta::NONE);
    for write in appends(300) {
        log.submit(write);
    }
    let stats = log.stats();
    drop(log);
    let durable = events.iter().map(|event| match event {
        LogEvent::Durable(id) => id,
        event => panic!("{event:?}"),
    });
    let durable: Vec<_> = durable.collect();
    assert!(durable.is_sorted() && durable.last() == Some(&WriteId(300)), "{durable:?}");
    assert_eq!((stats.writes.get(), stats.entries.get()), (300, 300));
    assert!(stats.log_syncs.get() < 300, "{} syncs", stats.log_syncs.get());

    let reopened = open_log(&StdFs, &path, &SMALL, &SnapshotMeta::NONE).unwrap();
    assert_eq!(contents(&reopened.log, &reopened.opened.recovered).unwrap().entries.len(), 300);
    let report = &reopened.opened.report;
    assert_eq!(report.watermark + 1, report.batches, "nothing but the mark lies above the watermark");
    assert_eq!(report.torn_tail, None);
}

/// A simulated disk, with a log on it, that tells of each sync when it begins.
fn telling_disk(options: &LogOptions) -> (SimFs, HookFs<SimFs>, Receiver<()>) {
    let (sender, syncs) = channel();
    let fs = SimFs::new(1);
    fs.create_dir_all(Path::new("/data")).unwrap();
    create(Path::new(DIR), fs.clone(), options, node_id()).unwrap();
    let sender = Mutex::new(sender);
    let telling = HookFs::new(fs.clone(), move |call| {
        if call == Call::Sync {
            _ = sender.lock().unwrap().send(());
        }
        Ok(())
    });
    (fs, telling, syncs)
}

#[test]
fn rot_in_the_newest_batch_of_an_idle_log_is_damage_and_no_torn_tail() {
    let options = LogOptions { idle_mark: Duration::from_millis(1), ..ROOMY };
    let (fs, telling, syncs) = telling_disk(&options);
    let (mut log, _, events) = spawn_with(&telling, Path::new(DIR), &SnapshotMeta::NONE, &options);
    let stats = log.stats();
    for (write, number) in appends(2).into_iter().zip(1..) {
        syncs.try_iter().for_each(drop);
        log.submit(write);
        assert!(
            matches!(events.recv_timeout(PATIENCE).unwrap(), LogEvent::Durable(WriteId(id)) if id == number)
        );
        for what in ["the append", "the mark"] {
            syncs.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no sync of {what} came"));
        }
        // Killed now, while the log is idle: nobody closes it.
        let rotten = fs.kill();
        let payload = (number * 2 - 1) * 4096 + 160;
        rotten.flip_bit("/data/log/0000000000000001.seg", payload as usize * 8).unwrap();
        let error = open_log(&rotten, Path::new(DIR), &options, &SnapshotMeta::NONE).map(drop).unwrap_err();
        assert!(matches!(&error, OpenError::Damaged(damage) if damage.index == LogIndex(number)), "{error}");
    }
    drop(log);
    assert_eq!((stats.marks.get(), stats.batches.get()), (2, 4), "one mark each time the log is idle");
}

#[test]
fn a_log_that_has_failed_is_not_marked() {
    let options = LogOptions { idle_mark: Duration::from_millis(1), ..ROOMY };
    let (fs, telling, syncs) = telling_disk(&options);
    let (mut log, _, events) = spawn_with(&telling, Path::new(DIR), &SnapshotMeta::NONE, &options);
    syncs.try_iter().for_each(drop);
    fs.fail_at(fs.operations() + 1);
    log.submit(appends(1).remove(0));
    assert!(matches!(events.recv_timeout(PATIENCE).unwrap(), LogEvent::Failed(_)));
    drop(log);
    assert_eq!(syncs.try_iter().count(), 1, "a sync is never tried again");
}

#[test]
fn the_next_segment_is_made_beside_the_writes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    create(&path, StdFs, &ROOMY, node_id()).unwrap();
    let (mut log, _, events) = spawn(&StdFs, &path, &SnapshotMeta::NONE);
    let half = ROOMY.segment_bytes / 4096 / 2;
    for write in appends(half) {
        let id = write.id;
        log.submit(write);
        assert!(matches!(events.recv_timeout(PATIENCE).unwrap(), LogEvent::Durable(found) if found == id));
    }
    let started = Instant::now();
    let next = |suffix: &str| path.join(format!("0000000000000002.seg{suffix}"));
    let whole = || std::fs::metadata(next(".tmp")).is_ok_and(|file| file.len() == ROOMY.segment_bytes);
    while !whole() {
        assert!(started.elapsed() < PATIENCE, "no segment was made ahead");
        std::thread::yield_now();
    }
    drop(log);
    assert!(!next("").exists(), "it gets its name when it is needed");
    let reopened = open_log(&StdFs, &path, &ROOMY, &SnapshotMeta::NONE).unwrap();
    assert_eq!(reopened.opened.report.removed, [next(".tmp")]);
}

/// A disk that hangs on the next segment must not keep the node from hearing that the log has failed.
#[test]
fn a_segment_in_the_making_delays_no_write_and_no_failure() {
    let (begun, making) = channel();
    let (release, gate) = channel::<()>();
    let (begun, gate) = (Mutex::new(begun), Mutex::new(gate));
    let fs = SimFs::new(1);
    fs.create_dir_all(Path::new("/data")).unwrap();
    create(Path::new(DIR), fs.clone(), &ROOMY, node_id()).unwrap();
    let hanging = HookFs::new(fs.clone(), move |call| {
        if call == Call::Write && std::thread::current().name() == Some("raft-log-ahead") {
            _ = begun.lock().unwrap().send(());
            // Disconnected once the test has seen enough.
            _ = gate.lock().unwrap().recv();
        }
        Ok(())
    });
    let (mut log, _, events) = spawn(&hanging, Path::new(DIR), &SnapshotMeta::NONE);
    let release = release; // Dropped before the log, which waits for its threads.
    let mut writes = appends(10).into_iter();
    for write in writes.by_ref().take(8) {
        log.submit(write);
        assert!(matches!(events.recv_timeout(PATIENCE).unwrap(), LogEvent::Durable(_)));
    }
    making.recv_timeout(PATIENCE).unwrap();
    log.submit(writes.next().unwrap());
    assert!(matches!(events.recv_timeout(PATIENCE).unwrap(), LogEvent::Durable(WriteId(9))));
    fs.fail_at(fs.operations() + 1);
    log.submit(writes.next().unwrap());
    assert!(matches!(events.recv_timeout(PATIENCE), Ok(LogEvent::Failed(_))));
    drop(release);
}

#[test]
fn a_slow_read_delays_no_write() {
    let held = Arc::new(AtomicBool::new(false));
    let (release, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let hold = held.clone();
    let fs = SimFs::new(1);
    fs.create_dir_all(Path::new("/data")).unwrap();
    let fs = HookFs::new(fs, move |call| {
        if call == Call::Read && hold.load(Ordering::SeqCst) {
            // Disconnected once the test has seen enough.
            let _ = gate.lock().unwrap().recv();
        }
        Ok(())
    });
    create(Path::new(DIR), fs.clone(), &SMALL, node_id()).unwrap();
    let (mut log, _, events) = spawn(&fs, Path::new(DIR), &SnapshotMeta::NONE);
    let wait_durable = |id: u64| {
        while !matches!(events.recv_timeout(PATIENCE).unwrap(), LogEvent::Durable(WriteId(up_to)) if up_to >= id)
        {
        }
    };
    let mut writes = appends(20).into_iter();
    log.submit(writes.next().unwrap());
    wait_durable(1);

    held.store(true, Ordering::SeqCst);
    log.read(request(7, 1, 1));
    for write in writes {
        log.submit(write);
    }
    wait_durable(20);
    drop(release);
    let LogEvent::Read { id: 7, answer } = events.recv_timeout(PATIENCE).unwrap() else {
        panic!("no answer")
    };
    assert_eq!(entries_of(&answer.unwrap()).len(), 1);
}

#[test]
fn a_panic_of_a_thread_is_reported_as_a_failure() {
    let armed = Arc::new(AtomicBool::new(false));
    let trigger = armed.clone();
    let fs = SimFs::new(1);
    fs.create_dir_all(Path::new("/data")).unwrap();
    let fs = HookFs::new(fs, move |call| {
        assert!(call != Call::Sync || !trigger.load(Ordering::SeqCst), "planned");
        Ok(())
    });
    create(Path::new(DIR), fs.clone(), &SMALL, node_id()).unwrap();
    let (mut log, _, events) = spawn(&fs, Path::new(DIR), &SnapshotMeta::NONE);
    armed.store(true, Ordering::SeqCst);
    for write in appends(3) {
        log.submit(write);
    }
    let LogEvent::Failed(reason) = events.recv_timeout(PATIENCE).unwrap() else { panic!("no failure") };
    assert_eq!(reason.to_string(), "thread raft-log panicked: planned");
    log.compact(LogIndex(1));
    drop(log);
    assert_eq!(events.recv_timeout(PATIENCE).unwrap_err(), RecvTimeoutError::Disconnected);
}

#[test]
fn an_error_of_the_disk_is_reported_once_and_names_the_file() {
    let fs = SimFs::new(1);
    fs.create_dir_all(Path::new("/data")).unwrap();
    create(Path::new(DIR), fs.clone(), &SMALL, node_id()).unwrap();
    let (mut log, _, events) = spawn(&fs, Path::new(DIR), &SnapshotMeta::NONE);
    fs.fail_at(fs.operations() + 1);
    for write in appends(3) {
        log.submit(write);
    }
    let LogEvent::Failed(reason) = events.recv_timeout(PATIENCE).unwrap() else { panic!("no failure") };
    let segment = "/data/log/0000000000000001.seg";
    assert_eq!(reason.to_string(), format!("cannot sync {segment}: {}", io::Error::from_raw_os_error(5)));
    drop(log);
    assert_eq!(events.iter().count(), 0, "nothing is said after a failure");
}

/// The suite's view of a log on its threads: idle when everything submitted is answered.
struct Threaded {
    dir: tempfile::TempDir,
}

struct Running {
    log: LogThread,
    events: Receiver<LogEvent>,
    submitted: WriteId,
    durable: WriteId,
    reads: usize,
    compacts: bool,
}

impl LogStore for Running {
    fn submit(&mut self, write: Write) {
        self.submitted = write.id;
        self.log.submit(write);
    }

    fn read(&mut self, request: ReadRequest) {
        self.reads += 1;
        self.log.read(request);
    }

    fn compact(&mut self, through: LogIndex) {
        self.compacts = true;
        self.log.compact(through);
    }
}

impl LogHarness for Threaded {
    type Store = Running;

    fn open(&mut self, floor: &SnapshotMeta) -> Result<(Self::Store, Recovered), StoreError> {
        let path = self.dir.path().join("log");
        match create(&path, StdFs, &SMALL, node_id()) {
            Err(OpenError::AlreadyInitialised { .. }) | Ok(()) => {}
            Err(error) => return Err(Arc::new(error)),
        }
        let (log, recovered, events) = spawn(&StdFs, &path, floor);
        let (submitted, durable) = (WriteId(0), WriteId(0));
        Ok((Running { log, events, submitted, durable, reads: 0, compacts: false }, recovered))
    }

    fn run(&mut self, store: &mut Self::Store) -> Vec<LogEvent> {
        let mut events = Vec::new();
        // Compaction reports nothing. An empty write of the test's own, queued behind it, does.
        let idle = if store.compacts { store.submitted.next() } else { store.submitted };
        if std::mem::take(&mut store.compacts) {
            store.log.submit(Write { id: idle, ..Write::default() });
        }
        while store.durable < idle || store.reads > 0 {
            let event = store.events.recv_timeout(PATIENCE).unwrap();
            match event {
                LogEvent::Durable(id) => {
                    let news = store.durable < store.submitted;
                    store.durable = id;
                    events.extend(news.then_some(LogEvent::Durable(id.min(store.submitted))));
                }
                LogEvent::Read { .. } => {
                    store.reads -= 1;
                    events.push(event);
                }
                LogEvent::Failed(_) | LogEvent::Full(_) => events.push(event),
            }
        }
        store.durable = store.submitted;
        events
    }
}

#[test]
fn the_log_keeps_the_contract_on_its_threads() {
    let fresh = || Threaded { dir: tempfile::tempdir().unwrap() };
    check_log_store(fresh).unwrap_or_else(|failure| panic!("{failure}"));
}
