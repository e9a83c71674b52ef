//! The simulated snapshot store passes the suite, and the suite rejects stores with a planted bug.

mod broken;

use std::mem;
use std::sync::{Arc, Mutex};

use broken::{BrokenHarness, Bug};
use raft_core::storage::{Sink, SnapshotEvent, StoreError};
use raft_core::testing::sim_fs::PowerLoss;
use raft_core::testing::sim_snapshots::{SimSnapshots, SnapshotImage};
use raft_core::testing::snapshot_store_suite::{SnapshotHarness, SnapshotSentence, check_snapshot_store};
use raft_core::testing::suite::{Crash, Leaves};

/// Events in the order of their arrival.
type Events = Arc<Mutex<Vec<SnapshotEvent>>>;

/// One medium of a [`SimSnapshots`].
#[derive(Default)]
struct SimHarness {
    image: SnapshotImage,
    events: Events,
    fail_next_sync: bool,
}

impl SimHarness {
    fn take_events(&self) -> Vec<SnapshotEvent> {
        mem::take(&mut self.events.lock().unwrap())
    }
}

impl SnapshotHarness for SimHarness {
    type Store = SimSnapshots;

    fn open(&mut self) -> Result<SimSnapshots, StoreError> {
        let events = self.events.clone();
        let sink: Sink<SnapshotEvent> = Arc::new(move |event| events.lock().unwrap().push(event));
        Ok(SimSnapshots::open(self.image.clone(), sink).0)
    }

    fn run(&mut self, store: &mut SimSnapshots) -> Vec<SnapshotEvent> {
        if mem::take(&mut self.fail_next_sync) {
            store.fail_next(Arc::new(std::io::Error::other("injected")));
        }
        store.run();
        self.take_events()
    }

    fn close(&mut self, store: SimSnapshots) {
        self.image = store.crash(false);
    }

    fn crash(
        &mut self,
        mut store: SimSnapshots,
        crash: Crash,
        work: &mut dyn FnMut(&mut SimSnapshots),
    ) -> Option<Vec<SnapshotEvent>> {
        work(&mut store);
        for _ in 0..crash.after {
            store.complete_next();
        }
        self.image = store.crash(keeps_job(crash.leaves));
        Some(self.take_events())
    }

    fn fail_next_sync(&mut self, _store: &mut SimSnapshots) -> bool {
        self.fail_next_sync = true;
        true
    }

    fn damage(&mut self, pattern: &[u8]) -> Option<usize> {
        Some(self.image.damage(pattern))
    }
}

/// Whether the job under way takes effect in a crash.
fn keeps_job(leaves: Leaves) -> bool {
    match leaves {
        Leaves::Cache | Leaves::Medium(PowerLoss::EverythingUnsynced) => true,
        Leaves::Medium(PowerLoss::Coin(seed) | PowerLoss::Torn(seed)) => seed & 1 == 1,
        Leaves::Medium(_) => false,
    }
}

#[test]
fn the_simulated_store_keeps_every_sentence_of_the_contract() {
    let passed = check_snapshot_store(SimHarness::default).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(passed.skipped, []);
}

#[track_caller]
fn rejected(bug: Bug, sentence: SnapshotSentence) {
    let failure = check_snapshot_store(|| BrokenHarness::new(bug)).unwrap_err();
    assert_eq!(failure.sentence, sentence, "{failure}");
}

#[test]
fn a_store_that_finishes_without_looking_is_rejected() {
    rejected(Bug::FinishesUnverified, SnapshotSentence::FinishRefused);
}

#[test]
fn a_store_that_takes_chunks_of_any_length_is_rejected() {
    rejected(Bug::TakesAnyChunk, SnapshotSentence::ChunkRefused);
}

#[test]
fn a_store_that_claims_chunks_it_does_not_have_is_rejected() {
    rejected(Bug::ClaimsChunks, SnapshotSentence::Resumed);
}

#[test]
fn a_store_that_starts_transfers_over_is_rejected() {
    rejected(Bug::StartsOver, SnapshotSentence::Resumed);
}

#[test]
fn a_store_that_serves_what_was_never_published_is_rejected() {
    rejected(Bug::ServesUnpublished, SnapshotSentence::Ignored);
}

#[test]
fn a_store_that_reports_before_the_file_is_durable_is_rejected() {
    rejected(Bug::ReportsTooEarly, SnapshotSentence::DurableFirst);
}

#[test]
fn a_store_that_publishes_half_a_file_in_a_crash_is_rejected() {
    rejected(Bug::PublishesHalf, SnapshotSentence::Atomic);
}

#[test]
fn a_store_that_keeps_one_snapshot_only_is_rejected() {
    rejected(Bug::KeepsOne, SnapshotSentence::Retention);
}

#[test]
fn a_store_that_drops_the_newest_snapshot_is_rejected() {
    rejected(Bug::DropsNewest, SnapshotSentence::Served);
}

#[test]
fn a_store_that_loses_the_old_snapshot_when_a_new_one_fails_is_rejected() {
    rejected(Bug::FailureLosesOld, SnapshotSentence::NothingLost);
}

#[test]
fn a_store_that_loads_a_rotten_snapshot_is_rejected() {
    rejected(Bug::LoadsRotten, SnapshotSentence::SetAside);
}
