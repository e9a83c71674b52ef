//! The process dies, or the power fails, at every operation of a store's life: what the next opening may find.
//!
//! The oracle, for every operation at which it stops and every choice of what a medium keeps:
//! * an opening succeeds, takes no file for a snapshot that is none, and finds no damage that was not done to it;
//! * what was reported created or published, or believed by an earlier opening, is there, or something newer;
//! * a finished transfer resumes with nothing to send;
//! * opening again finds the same, also if the opening crashed, and also if the power fails right after it;
//! * the store goes on: a new snapshot is created, and survives a power cut.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use raft_core::fs::{File, Fs};
use raft_core::snapshot::SnapshotInfo;
use raft_core::storage::SnapshotEvent;
use raft_core::testing::SimFs;
use raft_core::testing::sim_fs::{OperationKind, PowerLoss, SyncSite};

use crate::support::*;

/// What a life has told the world before it ended.
#[derive(Default)]
struct Witness {
    /// Newest index reported or believed.
    told: u64,
    /// A transfer that was reported finished.
    finished: Option<SnapshotInfo>,
    /// Snapshots for which nobody vouched: they may be damaged.
    dubious: &'static [u64],
}

impl Witness {
    fn note(&mut self, event: &SnapshotEvent) {
        if let SnapshotEvent::Created(info) | SnapshotEvent::Published(info) = event {
            self.told = info.meta.last.index.0;
        }
    }
}

/// A life of a store on a disk. It ends early when the disk does.
struct Life {
    name: &'static str,
    /// What was there before: no crash here.
    prepare: fn(&SimFs),
    live: fn(&SimFs) -> Witness,
}

const LIVES: [Life; 3] = [
    Life { name: "ordinary", prepare: |_| {}, live: an_ordinary_life },
    Life { name: "with copied files", prepare: |_| {}, live: a_life_that_begins_with_copied_files },
    Life { name: "after rot", prepare: let_the_newest_rot, live: a_life_after_rot },
];

/// Creates, receives, publishes, retires.
fn an_ordinary_life(fs: &SimFs) -> Witness {
    let mut witness = Witness::default();
    let Ok(mut store) = Store::try_open(DIR, fs.clone(), SMALL) else { return witness };
    for index in [10, 20] {
        witness.note(&store.try_create(index));
    }
    let (info, mut source) = elsewhere(30);
    if transfer(&info, &mut *source, &mut *store.sink(&info)).is_ok() {
        witness.finished = Some(info.clone());
    }
    witness.note(&store.publish(&info));
    witness.note(&store.try_create(40));
    witness
}

/// Somebody copied snapshots into the folder, without a sync; from an opening on, the newest of them counts.
fn a_life_that_begins_with_copied_files(fs: &SimFs) -> Witness {
    let mut witness = Witness { dubious: &[10, 20], ..Witness::default() };
    if copy_snapshots(fs).is_ok()
        && let Ok(mut store) = Store::try_open(DIR, fs.clone(), SMALL)
    {
        witness = Witness { told: store.latest_index(), dubious: &[10], ..witness };
        witness.note(&store.try_create(30));
    }
    witness
}

fn copy_snapshots(fs: &SimFs) -> io::Result<()> {
    let elsewhere = disk();
    let mut store = Store::open(&elsewhere);
    fs.create_dir_all(Path::new(DIR))?;
    for index in [10, 20] {
        store.create(index);
        let path = format!("{DIR}/{}", file_name(index));
        fs.create_new(Path::new(&path))?.write_all_at(&elsewhere.contents(&path)?, 0)?;
    }
    Ok(())
}

fn let_the_newest_rot(fs: &SimFs) {
    let mut store = Store::open(fs);
    store.create(10);
    store.create(20);
    fs.flip_bit(format!("{DIR}/{}", file_name(20)), 1000).unwrap();
}

/// An opening falls back and sets the damaged file aside; then something newer comes.
fn a_life_after_rot(fs: &SimFs) -> Witness {
    let mut witness = Witness { told: 10, dubious: &[20], ..Witness::default() };
    if let Ok(mut store) = Store::try_open(DIR, fs.clone(), SMALL) {
        witness.note(&store.try_create(30));
    }
    witness
}

/// What an exploration came by.
#[derive(Default)]
pub(crate) struct Explored {
    pub(crate) openings: usize,
    pub(crate) newest_found: BTreeSet<u64>,
    pub(crate) sites: BTreeSet<SyncSite>,
}

/// Stops each life at each of its operations and judges what is left. The first violation ends it.
pub(crate) fn explore(without: Option<SyncSite>) -> Result<Explored, String> {
    let mut explored = Explored::default();
    for Life { name, prepare, live } in LIVES {
        let fresh = || {
            let fs = disk();
            prepare(&fs);
            fs.settle();
            without.into_iter().for_each(|site| fs.suppress_sync(site));
            fs
        };
        let whole = fresh();
        let prepared = whole.operations();
        live(&whole);
        let log = whole.operation_log();
        for number in prepared..=whole.operations() {
            let is_write = log.get(number as usize).is_some_and(|at| at.kind == OperationKind::Write);
            for cut in [false, true].into_iter().filter(|cut| is_write || !cut) {
                let fs = fresh();
                if cut {
                    fs.crash_during(number)
                } else {
                    fs.crash_at(number)
                }
                let witness = live(&fs);
                let point = format!("life {name}, operation {number} of {}, cut: {cut}", log.len());
                explored.judge(&fs, &witness).map_err(|found| format!("{point}: {found}"))?;
            }
        }
        explored.sites.extend(whole.sync_sites());
    }
    Ok(explored)
}

impl Explored {
    /// Judges everything that a crash now may leave.
    fn judge(&mut self, fs: &SimFs, witness: &Witness) -> Result<(), String> {
        let killed = fs.kill();
        self.judge_image(&killed, witness).map_err(|found| format!("killed: {found}"))?;
        for choice in fs.power_losses() {
            let image = fs.power_loss(choice);
            self.judge_image(&image, witness).map_err(|found| format!("{choice:?}: {found}"))?;
        }
        Ok(())
    }

    /// Judges one disk as the next process finds it.
    fn judge_image(&mut self, image: &SimFs, witness: &Witness) -> Result<(), String> {
        let first = image.kill();
        let newest = self.open_and_check(&first, witness)?;
        self.newest_found.insert(newest);
        let believed = Witness { told: newest, finished: None, dubious: witness.dubious };
        let same = |found: u64| match found == newest {
            true => Ok(()),
            false => Err(format!("found {newest}, then {found}")),
        };
        same(self.open_and_check(&first, &believed).map_err(|found| format!("opened again: {found}"))?)?;
        for choice in [PowerLoss::NothingUnsynced, PowerLoss::Coin(1), PowerLoss::Coin(2)] {
            let after = self.open_and_check(&first.power_loss(choice), &believed);
            same(after.map_err(|found| format!("opened, then the power failed ({choice:?}): {found}"))?)?;
        }
        for number in 0..first.operations() {
            let crashed = image.kill();
            crashed.crash_at(number);
            drop(Store::try_open(DIR, crashed.clone(), SMALL));
            let next = [crashed.kill(), crashed.power_loss(PowerLoss::Coin(number))];
            for next in next {
                let found = self.open_and_check(&next, witness);
                let found = found.map_err(|found| format!("opening crashed at {number}: {found}"))?;
                // What was unsynced before may be lost by a power cut, as long as nobody was told of it.
                if found > newest {
                    return Err(format!("opening crashed at {number}: found {newest}, then {found}"));
                }
            }
        }
        go_on(&first, newest)
    }

    /// Opens, checks what is found against what was told, and answers with the newest index.
    fn open_and_check(&mut self, image: &SimFs, witness: &Witness) -> Result<u64, String> {
        self.openings += 1;
        let mut store = Store::try_open(DIR, image.clone(), SMALL).map_err(|error| error.to_string())?;
        for damaged in &store.report.damaged {
            if !witness.dubious.iter().any(|&index| damaged.reason.path.ends_with(file_name(index))) {
                return Err(format!("damaged: {damaged}"));
            }
        }
        let newest = store.latest_index();
        if newest < witness.told {
            return Err(format!("lost: {} was told, {newest} is there", witness.told));
        }
        if newest != 0 && store.read().map_err(|error| error.to_string())? != state_at(newest) {
            return Err(format!("the state of {newest} is another one"));
        }
        if let Some(info) = &witness.finished
            && newest < info.meta.last.index.0
        {
            let held = store.sink(info).have().map_err(|error| error.to_string())?;
            if let Some(lacking) = (0..info.chunk_count()).find(|&number| !held.contains(number)) {
                return Err(format!("lost: chunk {lacking} of a finished transfer"));
            }
        }
        Ok(newest)
    }
}

/// The store lives on and survives another power cut.
fn go_on(image: &SimFs, newest: u64) -> Result<(), String> {
    let mut store = Store::try_open(DIR, image.clone(), SMALL).map_err(|error| error.to_string())?;
    let event = store.try_create(newest + 50);
    if !matches!(event, SnapshotEvent::Created(_)) {
        return Err(format!("does not go on: {event:?}"));
    }
    drop(store);
    let after = Store::try_open(DIR, image.power_loss(PowerLoss::NothingUnsynced), SMALL);
    let found = after.map_err(|error| error.to_string())?.latest_index();
    if found == newest + 50 {
        Ok(())
    } else {
        Err(format!("lost: went on to {}, found {found}", newest + 50))
    }
}

#[test]
fn a_crash_at_any_operation_leaves_the_old_set_or_the_new_one() {
    let explored = explore(None).unwrap_or_else(|violation| panic!("{violation}"));
    assert!(explored.newest_found.is_superset(&BTreeSet::from([0, 10, 20, 30, 40])));
    assert!(explored.openings > 10_000, "{}", explored.openings);
}
