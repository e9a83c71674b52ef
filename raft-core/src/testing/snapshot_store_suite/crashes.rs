//! Crashes at every operation of creating, receiving and publishing.

use super::session::{Session, Shipment, State, meta, state};
use super::{Checked, SnapshotFailure, SnapshotHarness, SnapshotSentence};
use crate::snapshot::SnapshotInfo;
use crate::storage::{SnapshotEvent, SnapshotStore};
use crate::testing::sim_fs::PowerLoss;
use crate::testing::suite::{Crash, Leaves};

/// More operations than any store needs for one snapshot of the suite.
const MAX_POINTS: u64 = 10_000;

/// Checks, and says what the harness could not do.
pub(super) fn check<H: SnapshotHarness>(
    fresh: &mut impl FnMut() -> H,
) -> Result<Vec<SnapshotSentence>, SnapshotFailure> {
    let mut leader = Session::open("a leader that sends", fresh())?;
    leader.create(30)?;
    let shipment = leader.shipment()?;
    for receives in [false, true] {
        for point in 0..MAX_POINTS {
            let mut finished = true;
            for leaves in Leaves::all(point) {
                let what = if receives { "receiving" } else { "creating" };
                let name = format!("a crash in {what} after {point} operations that leaves {leaves:?}");
                let crash = Crash { after: point, leaves };
                match crash_and_go_on(Session::open(name, fresh())?, crash, &shipment, receives)? {
                    Some(reported) => finished &= reported,
                    None => return Ok(vec![SnapshotSentence::DurableFirst, SnapshotSentence::Atomic]),
                }
            }
            if finished {
                break;
            }
        }
    }
    Ok(Vec::new())
}

/// `None` if the harness cannot crash; else whether the new snapshot was reported before the crash.
fn crash_and_go_on<H: SnapshotHarness>(
    mut session: Session<H>,
    crash: Crash,
    shipment: &Shipment,
    receives: bool,
) -> Result<Option<bool>, SnapshotFailure> {
    session.create(10)?;
    session.create(20)?;
    let work = |store: &mut H::Store| {
        if receives {
            // Where the crash strikes, the transfer fails; the leader would ask again.
            if shipment.send(store).is_ok() {
                store.publish(shipment.info.clone());
            }
        } else {
            store.create(meta(30), Box::new(State { bytes: state(30), fails: false }));
        }
    };
    let Some(events) = session.crash(crash, work)? else { return Ok(None) };
    let reported =
        events.iter().any(|event| matches!(event, SnapshotEvent::Created(_) | SnapshotEvent::Published(_)));
    expect_old_or_new(&mut session, reported, &shipment.info)?;
    // What the crash left must not stand in the way: not of the same snapshot, nor of a newer one.
    if session.newest.as_ref().is_none_or(|(newest, _)| newest != &shipment.info) {
        session.receive(shipment, 30)?;
    }
    session.create(40)?;
    session.crash(Crash { after: 0, leaves: Leaves::Medium(PowerLoss::NothingUnsynced) }, |_| {})?;
    session.expect_serves(SnapshotSentence::DurableFirst)?;
    Ok(Some(reported))
}

fn expect_old_or_new<H: SnapshotHarness>(
    session: &mut Session<H>,
    reported: bool,
    new: &SnapshotInfo,
) -> Checked {
    let latest = session.store().latest();
    let is_new = latest.as_ref() == Some(new);
    if reported && !is_new {
        let last = latest.map(|info| info.meta.last.to_string());
        let found = format!("{} was reported, and after the crash the newest is {last:?}", new.meta.last);
        return Err(session.failure(SnapshotSentence::DurableFirst, found));
    }
    if is_new {
        session.newest = Some((new.clone(), state(30)));
    }
    session.expect_serves(SnapshotSentence::Atomic)
}
