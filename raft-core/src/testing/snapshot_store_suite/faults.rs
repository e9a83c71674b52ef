//! States that cannot be written, syncs that fail, and files that rot.

use super::session::{Published, Session, state};
use super::{Checked, SnapshotFailure, SnapshotHarness, SnapshotSentence};
use crate::storage::{SnapshotEvent, SnapshotStore};

/// Checks, and says what the harness could not do.
pub(super) fn check<H: SnapshotHarness>(
    fresh: &mut impl FnMut() -> H,
) -> Result<Vec<SnapshotSentence>, SnapshotFailure> {
    let mut skipped = Vec::new();
    failing_state(Session::open("a state that cannot be written", fresh())?)?;
    if !failed_sync(Session::open("a failed sync", fresh())?)? {
        skipped.push(SnapshotSentence::NothingLost);
    }
    if fresh().damage(b"no such state").is_none() {
        skipped.extend([SnapshotSentence::SetAside, SnapshotSentence::Retention]);
        return Ok(skipped);
    }
    rot(Session::open("a rotten snapshot", fresh())?)?;
    retention(Session::open("keeping the newest two", fresh())?)?;
    Ok(skipped)
}

/// A few bytes of the state at `index`, as they stand in its file.
fn pattern(index: u64) -> Vec<u8> {
    state(index)[1000..1016].to_vec()
}

fn expect_failed<H: SnapshotHarness>(session: &mut Session<H>, index: u64) -> Checked {
    match session.event()? {
        SnapshotEvent::Failed { last, received: false, .. } if last.index.0 == index => {
            session.expect_serves(SnapshotSentence::NothingLost)
        }
        other => {
            let found = format!("a snapshot that cannot be made ends with {other:?}");
            Err(session.failure(SnapshotSentence::NothingLost, found))
        }
    }
}

fn failing_state<H: SnapshotHarness>(mut session: Session<H>) -> Checked {
    session.begin_create(5, true);
    expect_failed(&mut session, 5)?;
    session.create(6)?;
    session.begin_create(7, true);
    expect_failed(&mut session, 7)?;
    session.reopen_damaged(&[])?;
    session.expect_serves(SnapshotSentence::NothingLost)?;
    session.create(8)
}

fn failed_sync<H: SnapshotHarness>(mut session: Session<H>) -> Result<bool, SnapshotFailure> {
    session.create(5)?;
    if !session.fail_next_sync() {
        return Ok(false);
    }
    session.begin_create(6, false);
    expect_failed(&mut session, 6)?;
    session.reopen_damaged(&[])?;
    session.expect_serves(SnapshotSentence::NothingLost)?;
    session.create(7)?;
    Ok(true)
}

fn rot<H: SnapshotHarness>(mut session: Session<H>) -> Checked {
    session.create(5)?;
    let older = session.newest.clone();
    session.create(6)?;
    expect_after_rot(&mut session, 6, older)?;
    session.create(7)?;
    session.reopen()
}

/// What is kept shows when newer ones rot.
fn retention<H: SnapshotHarness>(mut session: Session<H>) -> Checked {
    session.create(5)?;
    session.create(6)?;
    let second = session.newest.clone();
    session.create(7)?;
    expect_after_rot(&mut session, 7, second)?;
    expect_after_rot(&mut session, 6, None)
}

/// The newest snapshot, of `index`, rots; after opening `next` must be the newest.
fn expect_after_rot<H: SnapshotHarness>(session: &mut Session<H>, index: u64, next: Published) -> Checked {
    session.reopen_damaged(&[pattern(index)])?;
    session.newest = next;
    let is_rotten = session.store().latest().is_some_and(|info| info.meta.last.index.0 == index);
    session.expect_serves(if is_rotten { SnapshotSentence::SetAside } else { SnapshotSentence::Retention })
}
