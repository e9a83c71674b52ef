//! The suite of raft-core, which knows the contract of a log store and nothing of this one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft_core::fs::{Fs, StdFs};
use raft_core::snapshot::SnapshotMeta;
use raft_core::storage::{LogEvent, Recovered, StoreError};
use raft_core::testing::SimFs;
use raft_core::testing::log_store_suite::{LogHarness, LogSentence, check_log_store};
use raft_core::testing::suite::{Crash, Leaves};
use raft_log::{LogOptions, SegmentedLog, Verify};

use crate::support::{DIR, Events, SMALL, open_or_create};

fn simulated_disk() -> SimFs {
    let fs = SimFs::new(7);
    fs.create_dir_all(Path::new("/data")).unwrap();
    fs.settle();
    fs
}

/// Runs the log on a simulated disk, which can crash, fail and rot.
struct Simulated {
    fs: SimFs,
    options: LogOptions,
    events: Events,
}

impl LogHarness for Simulated {
    type Store = SegmentedLog<SimFs>;

    fn open(&mut self, floor: &SnapshotMeta) -> Result<(Self::Store, Recovered), StoreError> {
        let opening = open_or_create(&self.fs, Path::new(DIR), &self.options, floor).map_err(store_error)?;
        self.events = opening.events;
        Ok((opening.log, opening.opened.recovered))
    }

    fn run(&mut self, store: &mut Self::Store) -> Vec<LogEvent> {
        while store.step() {}
        self.events.take()
    }

    fn crash(&mut self, mut store: Self::Store, crash: Crash) -> Option<Vec<LogEvent>> {
        self.fs.crash_during(self.fs.operations() + crash.after);
        while store.step() {}
        let mut events = self.events.take();
        if self.fs.crashed().is_some() {
            // The process is dead: it cannot have said this.
            events.retain(|event| !matches!(event, LogEvent::Failed(_)));
        }
        self.fs = match crash.leaves {
            Leaves::Cache => self.fs.kill(),
            Leaves::Medium(choice) => self.fs.power_loss(choice),
        };
        Some(events)
    }

    fn fail_next_sync(&mut self, _: &mut Self::Store) -> bool {
        let is_sync = |operation: &raft_core::testing::sim_fs::Operation| {
            use raft_core::testing::sim_fs::OperationKind::{SyncData, SyncDir};
            matches!(operation.kind, SyncData | SyncDir)
        };
        let syncs = self.fs.operation_log().iter().filter(|operation| is_sync(operation)).count();
        self.fs.fail_sync_at(syncs as u64);
        true
    }

    fn damage(&mut self, pattern: &[u8]) -> Option<usize> {
        let mut copies = 0;
        let Ok(image) = self.fs.image(DIR) else { return Some(0) };
        for (name, mut bytes) in image {
            let found: Vec<_> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(pattern)).collect();
            for &at in &found {
                bytes[at + pattern.len() / 2] ^= 1;
            }
            copies += found.len();
            self.fs.set_contents(Path::new(DIR).join(name), bytes).unwrap();
        }
        Some(copies)
    }
}

fn store_error(error: raft_log::OpenError) -> StoreError {
    Arc::new(error)
}

fn passes_on_a_simulated_disk(options: LogOptions) {
    let fresh = || Simulated { fs: simulated_disk(), options, events: Events::default() };
    let passed = check_log_store(fresh).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(passed.skipped, []);
}

#[test]
fn the_log_keeps_the_contract_on_a_simulated_disk() {
    passes_on_a_simulated_disk(LogOptions { segment_bytes: 16 * 4096, ..SMALL });
}

#[test]
fn the_log_keeps_the_contract_with_tiny_segments_and_full_verification() {
    passes_on_a_simulated_disk(LogOptions { group_bytes: 1000, verify: Verify::All, ..SMALL });
}

/// Runs the log on a real disk.
struct Real {
    dir: tempfile::TempDir,
    events: Events,
}

impl Real {
    fn path(&self) -> PathBuf {
        self.dir.path().join("log")
    }
}

impl LogHarness for Real {
    type Store = SegmentedLog<StdFs>;

    fn open(&mut self, floor: &SnapshotMeta) -> Result<(Self::Store, Recovered), StoreError> {
        let opening = open_or_create(&StdFs, &self.path(), &SMALL, floor).map_err(store_error)?;
        self.events = opening.events;
        Ok((opening.log, opening.opened.recovered))
    }

    fn run(&mut self, store: &mut Self::Store) -> Vec<LogEvent> {
        while store.step() {}
        self.events.take()
    }

    fn damage(&mut self, pattern: &[u8]) -> Option<usize> {
        let mut copies = 0;
        for entry in std::fs::read_dir(self.path()).into_iter().flatten() {
            let path = entry.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            let found: Vec<_> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(pattern)).collect();
            for &at in &found {
                bytes[at + pattern.len() / 2] ^= 1;
            }
            copies += found.len();
            std::fs::write(&path, bytes).unwrap();
        }
        Some(copies)
    }
}

#[test]
fn the_log_keeps_the_contract_on_a_real_disk() {
    let fresh = || Real { dir: tempfile::tempdir().unwrap(), events: Events::default() };
    let passed = check_log_store(fresh).unwrap_or_else(|failure| panic!("{failure}"));
    let crashes =
        [LogSentence::Poisoned, LogSentence::Durable, LogSentence::HardStateFirst, LogSentence::Prefix];
    assert_eq!(passed.skipped, crashes, "a test cannot cut the power, everything else is checked");
}
