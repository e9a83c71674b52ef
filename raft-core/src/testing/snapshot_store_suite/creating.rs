//! Creating, serving and keeping snapshots.

use super::session::Session;
use super::{Checked, SnapshotHarness, SnapshotSentence};

pub(super) fn check<H: SnapshotHarness>(fresh: &mut impl FnMut() -> H) -> Checked {
    one_by_one(Session::open("creating one by one", fresh())?)?;
    in_turn(Session::open("creating two at once", fresh())?)?;
    the_same_everywhere(
        Session::open("creating on one node", fresh())?,
        Session::open("creating on another node", fresh())?,
    )
}

fn one_by_one<H: SnapshotHarness>(mut session: Session<H>) -> Checked {
    session.reopen()?;
    for index in [5, 17, 40, 41] {
        session.create(index)?;
        session.reopen()?;
    }
    Ok(())
}

fn in_turn<H: SnapshotHarness>(mut session: Session<H>) -> Checked {
    for index in [3, 8] {
        session.begin_create(index, false);
    }
    let events = session.events();
    let [first, second] = &events[..] else {
        let found = format!("two snapshots are created, and {events:?} reported");
        return Err(session.failure(SnapshotSentence::Reported, found));
    };
    session.expect_created(first, 3)?;
    session.expect_created(second, 8)?;
    session.expect_newest()
}

/// One node made other snapshots before; the bytes do not show it.
fn the_same_everywhere<H: SnapshotHarness>(mut one: Session<H>, mut other: Session<H>) -> Checked {
    other.create(4)?;
    one.create(12)?;
    other.create(12)?;
    let (one, another) = (one.shipment()?, other.shipment()?);
    if one.info == another.info && one.chunks == another.chunks {
        return Ok(());
    }
    let found = format!("two nodes make {:?} and {:?} of one state", one.info, another.info);
    Err(other.failure(SnapshotSentence::Canonical, found))
}
