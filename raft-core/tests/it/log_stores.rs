//! The simulated log store passes the suite, and the suite rejects stores with a planted bug.

mod broken;

use std::mem;
use std::sync::{Arc, Mutex};

use broken::{BrokenHarness, Bug};
use raft_core::Block;
use raft_core::snapshot::SnapshotMeta;
use raft_core::storage::{LogEvent, Recovered, Sink, StoreError};
use raft_core::testing::log_store_suite::{LogHarness, LogSentence, check_log_store};
use raft_core::testing::sim_fs::PowerLoss;
use raft_core::testing::sim_log::{LogImage, SimLog, Survivors};
use raft_core::testing::suite::{Crash, Leaves};
use raft_core::types::LogIndex;

/// Events in the order of their arrival.
type Events = Arc<Mutex<Vec<LogEvent>>>;

/// One medium of a [`SimLog`].
#[derive(Default)]
struct SimHarness {
    image: LogImage,
    events: Events,
    fail_next_sync: bool,
}

impl SimHarness {
    fn take_events(&self) -> Vec<LogEvent> {
        mem::take(&mut self.events.lock().unwrap())
    }
}

impl LogHarness for SimHarness {
    type Store = SimLog;

    fn open(&mut self, _floor: &SnapshotMeta) -> Result<(SimLog, Recovered), StoreError> {
        let events = self.events.clone();
        let sink: Sink<LogEvent> = Arc::new(move |event| events.lock().unwrap().push(event));
        Ok(SimLog::open(self.image.clone(), sink))
    }

    fn run(&mut self, store: &mut SimLog) -> Vec<LogEvent> {
        if mem::take(&mut self.fail_next_sync) {
            store.fail(Arc::new(std::io::Error::other("injected")));
        }
        store.run();
        self.take_events()
    }

    fn close(&mut self, store: SimLog) {
        self.image = store.with_durable(LogImage::clone);
    }

    fn crash(&mut self, store: SimLog, crash: Crash) -> Option<Vec<LogEvent>> {
        for _ in 0..crash.after {
            store.complete_writes(1);
        }
        let pending = store.pending_writes();
        self.image = store.crash(survivors(pending, crash.leaves));
        Some(self.take_events())
    }

    fn fail_next_sync(&mut self, _store: &mut SimLog) -> bool {
        self.fail_next_sync = true;
        true
    }

    fn damage(&mut self, pattern: &[u8]) -> Option<usize> {
        let entries = self.image.blocks().flat_map(Block::entries);
        let found = entries.filter(|entry| entry.payload == pattern).map(|entry| entry.id.index);
        let found: Vec<LogIndex> = found.collect();
        Some(found.into_iter().filter(|&index| self.image.damage(index)).count())
    }
}

/// The simulated log has no sectors: coins choose how much of the queue survives.
fn survivors(pending: usize, leaves: Leaves) -> Survivors {
    match leaves {
        Leaves::Medium(PowerLoss::NothingUnsynced) => Survivors::default(),
        Leaves::Medium(PowerLoss::Coin(seed) | PowerLoss::Torn(seed)) => Survivors::choose(pending, seed),
        _ => Survivors { writes: pending, ..Survivors::default() },
    }
}

#[test]
fn the_simulated_log_keeps_every_sentence_of_the_contract() {
    let passed = check_log_store(SimHarness::default).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(passed.skipped, []);
}

#[track_caller]
fn rejected(bug: Bug, sentence: LogSentence) {
    let failure = check_log_store(|| BrokenHarness::new(bug)).unwrap_err();
    assert_eq!(failure.sentence, sentence, "{failure}");
}

#[test]
fn a_store_that_reports_durable_too_early_is_rejected() {
    rejected(Bug::ReportsTooEarly, LogSentence::Durable);
}

#[test]
fn a_store_that_reports_out_of_order_is_rejected() {
    rejected(Bug::ReportsOutOfOrder, LogSentence::Cumulative);
}

#[test]
fn a_store_that_never_reports_the_last_write_is_rejected() {
    rejected(Bug::ForgetsToReport, LogSentence::Cumulative);
}

#[test]
fn a_store_that_ignores_a_truncation_is_rejected() {
    rejected(Bug::IgnoresTruncation, LogSentence::Recovered);
}

#[test]
fn a_store_that_ignores_a_reset_is_rejected() {
    rejected(Bug::IgnoresReset, LogSentence::Compacted);
}

#[test]
fn a_store_that_recovers_the_vote_before_the_last_is_rejected() {
    rejected(Bug::RecoversOldVote, LogSentence::Recovered);
}

#[test]
fn a_store_that_loses_the_last_vote_in_a_crash_is_rejected() {
    rejected(Bug::LosesVoteInCrash, LogSentence::Durable);
}

#[test]
fn a_store_that_writes_entries_before_their_vote_is_rejected() {
    rejected(Bug::WritesEntriesBeforeVote, LogSentence::HardStateFirst);
}

#[test]
fn a_store_that_leaves_a_later_write_without_an_earlier_one_is_rejected() {
    rejected(Bug::SkipsAWriteInCrash, LogSentence::Prefix);
}

#[test]
fn a_store_that_goes_on_after_a_failed_sync_is_rejected() {
    rejected(Bug::GoesOnAfterFailure, LogSentence::Poisoned);
}

#[test]
fn a_store_that_answers_beyond_the_range_is_rejected() {
    rejected(Bug::ReadsTooMuch, LogSentence::Reads);
}

#[test]
fn a_store_that_ignores_the_byte_limit_is_rejected() {
    rejected(Bug::IgnoresMaxBytes, LogSentence::MaxBytes);
}

#[test]
fn a_store_that_serves_rotten_payloads_is_rejected() {
    rejected(Bug::IgnoresChecksums, LogSentence::Verified);
}

#[test]
fn a_store_that_compacts_one_entry_too_many_is_rejected() {
    rejected(Bug::CompactsTooMuch, LogSentence::Compaction);
}

#[test]
fn a_store_that_reports_a_fill_it_did_not_do_is_rejected() {
    rejected(Bug::IgnoresFills, LogSentence::Fills);
}
