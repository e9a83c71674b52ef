//! Crashes at every operation of every kind of work, with many outcomes each; and: no sync can be left out.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::LazyLock;

use raft_core::testing::SimFs;
use raft_core::testing::sim_fs::{OperationKind, PowerLoss, SyncSite};
use raft_log::OpenError;

use crate::support::{DIR, open_log};
use crate::world::{Checked, Step, Violation, World, contents, snapshot};

/// Scripts that together do everything a log does, more than once, with segments of two batches.
#[rustfmt::skip]
const SCRIPTS: [(&str, &[Step]); 10] = {
    use Step::*;
    [
        ("compaction", &[
            Vote, Append(2, 2000), Settle, Append(2, 2000), Settle, Append(2, 2000), Settle, Append(2, 2000),
            Settle, Compact(1), Settle, Append(1, 10),
        ]),
        ("votes", &[Vote, Settle, Vote, Vote, Settle, Reopen, Vote]),
        ("appends over segments", &[
            Vote, Append(3, 30), Settle, Append(2, 700), Append(1, 30), Settle, Append(4, 1500), Settle,
            Append(1, 9),
        ]),
        ("truncations", &[
            Vote, Append(5, 30), Settle, Overwrite(3), Append(2, 50), Settle, Configure, Overwrite(1), Truncate(2),
        ]),
        ("resets", &[
            Vote, Append(3, 30), Configure, Settle, Reset(5), Append(1, 30), Settle, Reset(1), Settle,
            Append(1, 20),
        ]),
        ("two batches in one group, in two segments", &[
            Vote, Append(1, 30), Settle, Append(3, 1000), Truncate(1), Append(2, 40), Settle,
        ]),
        ("an oversized batch and clean ends", &[
            Vote, Append(2, 9000), Mark, Append(1, 10), Reopen, Append(1, 10),
        ]),
        ("a mark whenever the log is idle", &[
            Vote, Mark, Append(1, 30), Mark, Append(2, 900), Mark, Append(1, 30), Append(1, 2000), Mark, Mark,
            Overwrite(2), Mark, Truncate(1), Mark, Reset(3), Mark,
        ]),
        ("segments made ahead, in part and in time", &[
            Vote, Append(2, 9000), Settle, Prepare(1), Append(1, 30), Settle, Prepare(2), Reopen, Append(1, 2500),
            Settle, Append(1, 30), Settle, Prepare(9), Append(1, 2500), Prepare(9), Settle,
        ]),
        ("compaction beside a segment in the making, and one too small", &[
            Vote, Append(2, 2000), Settle, Append(2, 2000), Settle, Prepare(1), Compact(1), Append(1, 30), Settle,
            Append(1, 30), Settle, Prepare(9), Append(2, 9000), Settle,
        ]),
    ]
};

/// One way in which a disk is found after a crash.
struct Aftermath {
    name: String,
    fs: SimFs,
    /// The copies of term and vote of which each is to rot. All of them after a kill, which hides that what is in
    /// the cache is not durable; else one at a time, for there are many power cuts.
    slots: Range<usize>,
}

fn aftermaths(fs: &SimFs) -> Vec<Aftermath> {
    let cut = |(number, choice): (usize, PowerLoss)| Aftermath {
        name: format!("{choice:?}"),
        fs: fs.power_loss(choice),
        slots: number % 4..number % 4 + 1,
    };
    let killed = Aftermath { name: "a kill".into(), fs: fs.kill(), slots: 0..4 };
    fs.power_losses().into_iter().enumerate().map(cut).chain([killed]).collect()
}

/// Runs a script once for each of its operations, on a disk to which `plan` does something at that operation.
fn at_every_operation(
    script: &[Step],
    omitted: Option<SyncSite>,
    mut with: impl FnMut(u64, World) -> Checked,
) -> Checked {
    let fresh = || {
        let fs = SimFs::new(11);
        if let Some(site) = omitted {
            fs.suppress_sync(site);
        }
        World::new(fs)
    };
    let mut whole = fresh();
    let first = whole.fs.operations();
    whole.run(script)?;
    (first..whole.fs.operations()).try_for_each(|operation| with(operation, fresh()))
}

/// Crashes a script before each of its operations and in the middle of each write; the places met that sync.
fn crash_everywhere(script: &[Step], omitted: Option<SyncSite>) -> Result<BTreeSet<SyncSite>, Violation> {
    let mut sites = BTreeSet::new();
    at_every_operation(script, omitted, |operation, mut world| {
        world.fs.crash_during(operation);
        world.run(script)?;
        world.close();
        aftermaths(&world.fs).into_iter().try_for_each(|left| {
            let name = left.name.clone();
            check(&world, left).map_err(|found| format!("crash at {operation}, leaving {name}: {found}"))
        })?;
        sites.extend(world.fs.sync_sites());
        Ok(())
    })?;
    Ok(sites)
}

/// What crashes do to the code as it is, and where it syncs meanwhile.
static AS_IT_IS: LazyLock<Result<BTreeSet<SyncSite>, Violation>> = LazyLock::new(|| {
    let mut sites = BTreeSet::new();
    for (name, script) in SCRIPTS {
        sites.extend(crash_everywhere(script, None).map_err(|found| format!("{name}: {found}"))?);
    }
    Ok(sites)
});

/// What must hold of anything that a crash leaves.
fn check(world: &World, left: Aftermath) -> Checked {
    let Aftermath { fs, slots, .. } = left;
    slots.clone().try_for_each(|slot| one_copy_may_rot(world, &fs, slot))?;
    let mut first = world.after_crash(fs);
    first.recover()?;
    let recovered = first.recovered().clone();
    first.close();

    // What opening tells is durable, even if all that came before it was in the cache only.
    let left = first.fs.power_loss(PowerLoss::NothingUnsynced);
    slots.into_iter().try_for_each(|slot| one_copy_may_rot(&first, &left, slot))?;
    rot_is_told_from_a_torn_tail(&first, &left)?;
    let mut second = first.after_crash(left);
    second.recover().map_err(|found| format!("power cut after recovery: {found}"))?;
    if *second.recovered() != recovered {
        return Err("opening twice gives two answers".into());
    }
    let report = second.report();
    if report.torn_tail.is_some() || report.metadata_repaired {
        return Err(format!("opening twice mends twice: {report:?}"));
    }

    // The log goes on, and what is durable now survives the next crash.
    second.go_on()?;
    second.close();
    let mut third = second.after_crash(second.fs.power_loss(PowerLoss::NothingUnsynced));
    third.recover().map_err(|found| format!("power cut after going on: {found}"))
}

/// Term and vote that were durable outlive the loss of any one of their copies. (If a crash tears the next ones at
/// the same time, the log may refuse.)
fn one_copy_may_rot(world: &World, left: &SimFs, slot: usize) -> Checked {
    let fs = left.kill();
    if fs.flip_bit(Path::new(DIR).join("meta"), (slot * 4096 + 33) * 8).is_err() {
        return Ok(()); // The file is gone or not made yet; opening will say so.
    }
    match open_log(&fs, Path::new(DIR), &world.options, &snapshot(world.floor)) {
        Err(OpenError::MetadataDamaged { .. }) if world.has_pending_writes() => Ok(()),
        Err(error) => Err(format!("slot {slot} rots: {error}")),
        Ok(opening) => {
            let found = contents(&opening.log, &opening.opened.recovered)?;
            world.judge(found).map(drop).map_err(|found| format!("slot {slot} rots: {found}"))
        }
    }
}

/// After opening, nothing of the log can be taken for a torn tail: rot in the last entry is damage.
fn rot_is_told_from_a_torn_tail(world: &World, left: &SimFs) -> Checked {
    let Some(last) = world.recovered().entries.last() else { return Ok(()) };
    let fs = left.kill();
    for (name, bytes) in fs.image(DIR).unwrap_or_default() {
        let found = bytes.windows(last.payload.len()).position(|window| window == last.payload);
        if let Some(at) = found {
            fs.flip_bit(Path::new(DIR).join(name), at * 8).map_err(|error| error.to_string())?;
        }
    }
    match open_log(&fs, Path::new(DIR), &world.options, &snapshot(world.floor)) {
        Ok(opening) if opening.opened.recovered.last < last.id => {
            Err("rot in the last entry cuts it off".into())
        }
        _ => Ok(()),
    }
}

#[test]
fn no_crash_loses_what_was_durable_or_leaves_more_than_a_prefix() {
    AS_IT_IS.as_ref().unwrap_or_else(|found| panic!("{found}"));
}

#[test]
fn no_sync_can_be_left_out() {
    let sites = AS_IT_IS.iter().flatten().filter(|site| site.file().contains("raft-log/src"));
    let mut needed = 0;
    for site in sites {
        let found = SCRIPTS.iter().find_map(|(_, script)| crash_everywhere(script, Some(site)).err());
        let found = found.unwrap_or_else(|| panic!("nothing goes wrong without the sync at {site}"));
        eprintln!("without the sync at {site}: {found}");
        needed += 1;
    }
    assert!(needed >= 11, "only {needed} places that sync were met");
}

/// Opening is work too: it crashes at each of its operations, over what crashes of a script have left.
fn crash_recovery_everywhere(script: &[Step]) -> Checked {
    at_every_operation(script, None, |operation, mut world| {
        world.fs.crash_during(operation);
        world.run(script)?;
        world.close();
        let images = [
            ("a torn disk", world.fs.power_loss(PowerLoss::Torn(operation))),
            ("half of it", world.fs.power_loss(PowerLoss::Coin(operation))),
            ("a kill", world.fs.kill()),
        ];
        images.iter().try_for_each(|(name, left)| {
            crash_recovery(&world, left)
                .map_err(|found| format!("crash at {operation}, leaving {name}, then {found}"))
        })
    })
}

fn crash_recovery(world: &World, left: &SimFs) -> Checked {
    let mut whole = world.after_crash(left.kill());
    whole.recover()?;
    for operation in 0..whole.fs.operations() {
        let mut recovering = world.after_crash(left.kill());
        recovering.fs.crash_during(operation);
        recovering.recover()?;
        recovering.close();
        let images = [
            recovering.fs.power_loss(PowerLoss::NothingUnsynced),
            recovering.fs.power_loss(PowerLoss::EverythingUnsynced),
            recovering.fs.power_loss(PowerLoss::Torn(operation)),
            recovering.fs.kill(),
        ];
        for (number, image) in images.into_iter().enumerate() {
            let mut again = recovering.after_crash(image);
            again
                .recover()
                .and_then(|()| again.go_on())
                .map_err(|found| format!("crash of recovery at {operation}, image {number}: {found}"))?;
        }
    }
    Ok(())
}

#[test]
fn a_crash_of_recovery_is_a_crash_like_any_other() {
    for (name, script) in SCRIPTS {
        crash_recovery_everywhere(script).unwrap_or_else(|found| panic!("{name}: {found}"));
    }
}

/// Of two batches that no sync had covered, the second alone survives a power cut. It is cut off; then the first
/// one is written again, the same byte for byte, and the power fails again.
#[test]
fn what_was_cut_off_never_comes_back() {
    use Step::{Append, Reopen, Truncate, Vote};
    let mut first = World::new(SimFs::new(14));
    first.options.segment_bytes = 10 * 4096;
    // Opening leaves a mark, so the next opening has nothing to mark on account of what is durable.
    first.run(&[Vote, Append(2, 30), Reopen]).unwrap();
    let sync = first.fs.operations() + 1;
    first.fs.crash_at(sync);
    first.run_or_go_on(&[Append(1, 30), Truncate(1), Append(2, 50), Step::Settle]).unwrap();
    assert_eq!(first.fs.crashed().map(|crashed| crashed.operation), Some(sync));
    first.close();
    let mut cut = 0;
    for choice in first.fs.power_losses() {
        let mut second = first.after_crash(first.fs.power_loss(choice));
        second.recover().unwrap();
        if second.recovered().entries.len() > 2 {
            continue; // The first batch survived as well.
        }
        cut += usize::from(second.report().torn_tail.is_some());
        second.fs.crash_at(second.fs.operations() + 1);
        second.run_or_go_on(&[Append(1, 30), Step::Settle]).unwrap();
        assert!(second.fs.crashed().is_some());
        second.close();
        for again in second.fs.power_losses() {
            let mut third = second.after_crash(second.fs.power_loss(again));
            third.recover().unwrap_or_else(|found| panic!("{choice:?}, then {again:?}: {found}"));
        }
    }
    assert!(cut > 0, "no power cut left the second batch alone");
}

/// A torn seal behind a mark, where there is no room for another mark whose sync would cover the wiping.
#[test]
fn what_was_wiped_behind_a_last_mark_stays_wiped() {
    let mut first = World::new(SimFs::new(15));
    first.run(&[Step::Vote, Step::Append(2, 9000), Step::Mark]).unwrap();
    let path = Path::new(DIR).join("0000000000000002.seg");
    let mut bytes = first.fs.contents(&path).unwrap();
    let end = bytes.len();
    bytes[end - 4096..end - 4056].fill(7);
    first.fs.set_contents(&path, bytes).unwrap();
    first.close();
    let mut second = first.after_crash(first.fs.kill());
    second.recover().unwrap();
    assert_eq!(second.report().torn_tail.as_ref().map(|torn| torn.pages), Some(1));
    second.close();
    let mut third = second.after_crash(second.fs.power_loss(PowerLoss::NothingUnsynced));
    third.recover().unwrap();
    assert_eq!(third.report().torn_tail, None);
}

/// A disk that fails once: the log says so once and stops, and what it had reported durable is there.
fn fail_everywhere(script: &[Step]) -> Checked {
    at_every_operation(script, None, |operation, mut world| {
        world.fs.fail_at(operation);
        match world.try_run(script) {
            Ok(()) if world.gave_up_a_segment() => {}
            Ok(()) => return Err(format!("operation {operation} fails, and nobody hears of it")),
            Err(failure) => {
                let after = world.events_after_failure();
                if !after.is_empty() {
                    return Err(format!("after the failure of operation {operation} ({failure}): {after:?}"));
                }
            }
        }
        world.close();
        let failed = world.fs.operation_log()[operation as usize].kind;
        // A name whose sync failed looks well until the next power cut; nothing that a program does helps.
        let hopeless = |left: &Aftermath| left.name == "a kill" && failed == OperationKind::SyncDir;
        aftermaths(&world.fs).into_iter().filter(|left| !hopeless(left)).try_for_each(|left| {
            let name = left.name.clone();
            check(&world, left).map_err(|found| format!("failure of {operation}, leaving {name}: {found}"))
        })
    })
}

#[test]
fn an_error_of_the_disk_stops_the_log_for_good_and_loses_nothing() {
    for (name, script) in SCRIPTS {
        fail_everywhere(script).unwrap_or_else(|found| panic!("{name}: {found}"));
    }
}
