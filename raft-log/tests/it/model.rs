//! Random sequences of everything, against a plain list of entries.

use proptest::prelude::*;
use raft_core::fs::Fs;
use raft_core::fs::StdFs;
use raft_core::snapshot::SnapshotMeta;
use raft_core::storage::{LogStore, ReadRequest, Write};
use raft_core::testing::SimFs;
use raft_core::testing::sim_fs::PowerLoss;
use raft_core::{EntryId, LogIndex, Term, WriteId};
use raft_log::create;

use crate::support::{SMALL, node_id, open_log};
use crate::world::{Step, World, block, entries_of};

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Vote),
        6 => (1u64..8, 0usize..1500).prop_map(|(count, bytes)| Step::Append(count, bytes)),
        1 => Just(Step::Append(1, 30_000)),
        1 => Just(Step::Configure),
        2 => (0u64..6).prop_map(Step::Overwrite),
        1 => (0u64..6).prop_map(Step::Truncate),
        1 => (1u64..9).prop_map(Step::Reset),
        2 => (0u64..9).prop_map(Step::Compact),
        4 => Just(Step::Settle),
        1 => Just(Step::Mark),
        2 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Each reopening compares the whole log with the model.
    #[test]
    fn the_log_is_what_the_model_is(script in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new(SimFs::new(1));
        world.run(&script).map_err(TestCaseError::fail)?;
        world.run_on(&[Step::Reopen]).map_err(TestCaseError::fail)?;
    }

    /// And so does each recovery from a crash anywhere.
    #[test]
    fn after_a_crash_the_log_is_what_the_model_allows(
        script in prop::collection::vec(step(), 1..60),
        crashes in prop::collection::vec((0u64..200, any::<u64>()), 1..4),
    ) {
        let mut world = World::new(SimFs::new(1));
        for (operation, seed) in crashes {
            world.fs.crash_during(world.fs.operations() + operation);
            world.run_or_go_on(&script).map_err(TestCaseError::fail)?;
            world.close();
            let left = match seed % 3 {
                0 => world.fs.kill(),
                1 => world.fs.power_loss(PowerLoss::Torn(seed)),
                _ => world.fs.power_loss(PowerLoss::Coin(seed)),
            };
            world = world.after_crash(left);
            world.recover().map_err(TestCaseError::fail)?;
        }
    }
}

/// Reads share the map: they outlive the files, the log, and the removal of the folder.
#[test]
fn what_was_read_outlives_compaction_and_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    create(&path, StdFs, &SMALL, node_id()).unwrap();
    let mut opening = open_log(&StdFs, &path, &SMALL, &SnapshotMeta::NONE).unwrap();
    let (mut last, mut expected) = (EntryId::ZERO, Vec::new());
    for id in 1..=10 {
        let append = vec![block(last, Term(0), 3, 1000)];
        last = append[0].last_id();
        expected.extend(entries_of(&append));
        opening.log.submit(Write { id: WriteId(id), append: append.into(), ..Write::default() });
        opening.run();
    }
    let request = ReadRequest { id: 1, from: LogIndex(1), through: last.index, max_bytes: usize::MAX };
    let blocks = opening.log.reader().read(request).unwrap();
    opening.log.compact(last.index);
    opening.run();
    assert!(opening.log.stats().segments_removed.get() >= 4);
    assert!(StdFs.read_dir(&path).unwrap().len() <= 3);
    drop(opening);
    drop(dir);
    assert_eq!(entries_of(&blocks), expected);
}
