//! Receiving snapshots from a leader: whole, in pieces, twice, and wrong.

use std::io::{self, ErrorKind};

use super::session::{Session, Shipment};
use super::{Checked, SnapshotFailure, SnapshotHarness, SnapshotSentence};
use crate::snapshot::SnapshotInfo;
use crate::storage::SnapshotStore;

/// Checks, and says what the store does not do yet.
pub(super) fn check<H: SnapshotHarness>(
    fresh: &mut impl FnMut() -> H,
) -> Result<Vec<SnapshotSentence>, SnapshotFailure> {
    let mut leader = Session::open("a leader that sends", fresh())?;
    leader.create(30)?;
    let shipment = leader.shipment()?;
    whole(Session::open("receiving a snapshot", fresh())?, &shipment)?;
    unfinished(Session::open("receiving half a snapshot", fresh())?, &shipment)?;
    wrong_chunks(Session::open("receiving chunks that do not fit", fresh())?, &shipment)?;
    wrong_bytes(Session::open("receiving a flipped bit", fresh())?, &shipment)?;
    let harness = fresh();
    let resumes = harness.resumes();
    resume(Session::open("receiving a snapshot in two goes", harness)?, &shipment, resumes)?;
    Ok(if resumes { Vec::new() } else { vec![SnapshotSentence::Resumed] })
}

fn whole<H: SnapshotHarness>(mut session: Session<H>, shipment: &Shipment) -> Checked {
    session.create(20)?;
    session.receive(shipment, 30)?;
    session.reopen()?;
    let sent_on = session.shipment()?;
    if sent_on.info != shipment.info || sent_on.chunks != shipment.chunks {
        let found = "a received snapshot is sent on with other bytes";
        return Err(session.failure(SnapshotSentence::Canonical, found));
    }
    session.create(31)
}

fn unfinished<H: SnapshotHarness>(mut session: Session<H>, shipment: &Shipment) -> Checked {
    session.create(20)?;
    session.expect_no_publish(&shipment.info)?;
    session.send_some(shipment, 2)?;
    session.expect_no_publish(&shipment.info)?;
    session.send_some(shipment, 1)?;
    session.reopen()?;
    // Finished, but never published.
    session.send(shipment)?;
    session.expect_serves(SnapshotSentence::Ignored)?;
    session.reopen_damaged(&[])?;
    session.expect_serves(SnapshotSentence::Ignored)
}

fn refused<T>(result: io::Result<T>) -> bool {
    result.is_err_and(|error| error.kind() == ErrorKind::InvalidData)
}

fn wrong_chunks<H: SnapshotHarness>(mut session: Session<H>, shipment: &Shipment) -> Checked {
    session.create(20)?;
    let mut sink = session.store().sink(&shipment.offer());
    let refused_all = sink.have().is_ok()
        && refused(sink.write_chunk(0, &shipment.chunks[0][1..]))
        && refused(sink.write_chunk(0, &[&shipment.chunks[0][..], &[0]].concat()))
        && refused(sink.write_chunk(shipment.info.chunk_count(), &shipment.chunks[0]))
        && refused(sink.write_chunk(u64::MAX, &[]));
    if !refused_all {
        return Err(session.failure(SnapshotSentence::ChunkRefused, "one of them is taken"));
    }
    for number in 1..shipment.info.chunk_count() {
        sink.write_chunk(number, &shipment.chunks[number as usize]).map_err(|error| {
            let found = format!("after wrong chunks, right ones fail too: {error}");
            session.failure(SnapshotSentence::ChunkRefused, found)
        })?;
    }
    if !refused(sink.finish()) {
        return Err(session.failure(SnapshotSentence::FinishRefused, "finish takes a file without chunk 0"));
    }
    drop(sink);
    session.expect_no_publish(&shipment.info)?;
    session.receive(shipment, 30)
}

/// A transfer that ends with a wrong digest is over, yet the next one must be able to succeed.
fn wrong_bytes<H: SnapshotHarness>(mut session: Session<H>, shipment: &Shipment) -> Checked {
    session.create(20)?;
    let mut damaged = shipment.clone();
    damaged.chunks[1][7] ^= 4;
    let mut digest = shipment.info.digest;
    digest[31] ^= 1;
    let mislabelled = SnapshotInfo { digest, ..shipment.info.clone() };
    let mislabelled = Shipment { info: mislabelled, chunks: shipment.chunks.clone() };
    for wrong in [damaged, mislabelled] {
        let sent = wrong.send(session.store());
        if !refused(sent) {
            let found = "finish takes a file that has not the offered digest";
            return Err(session.failure(SnapshotSentence::FinishRefused, found));
        }
        session.expect_no_publish(&wrong.info)?;
        session.reopen()?;
    }
    session.receive(shipment, 30)
}

fn resume<H: SnapshotHarness>(mut session: Session<H>, shipment: &Shipment, resumes: bool) -> Checked {
    session.create(20)?;
    session.send_some(shipment, 2)?;
    let have = session.store().sink(&shipment.offer()).have();
    if resumes && !have.is_ok_and(|have| have.contains(0) && have.contains(1)) {
        let found = "the second sink does not have the chunks that were written before";
        return Err(session.failure(SnapshotSentence::Resumed, found));
    }
    session.send_some(shipment, 1)?;
    session.receive(shipment, 30)?;
    session.reopen()
}
