//! Snapshot transfers: whole, in part, refused, broken; each ends once on either side, and truthfully.

use super::TransportSentence as Sentence;
use super::files::{Failing, Look, Sink, Source, content, offer};
use super::{Checked, Session, TransportFailure, TransportHarness, heartbeat, id, messages};
use crate::snapshot::SnapshotOffer;
use crate::transport::{TransferId, Transport, TransportEvent};

pub(super) fn check<H: TransportHarness>(fresh: &mut impl FnMut() -> H) -> Checked {
    for length in [0, 1, 700, 9_000] {
        whole(Session::cluster("a snapshot that is accepted", fresh(), 2), length)?;
    }
    resumed(Session::cluster("a snapshot of which a part is there", fresh(), 2))?;
    refused(Session::cluster("a snapshot that is turned down", fresh(), 2))?;
    let broken = [Failing::Have, Failing::Write(0), Failing::Write(5), Failing::Finish];
    for fails in broken {
        sink_fails(Session::cluster("a receiver whose disk fails", fresh(), 2), fails)?;
    }
    source_fails(Session::cluster("a sender whose file is damaged", fresh(), 2))?;
    second(Session::cluster("two snapshots to one peer", fresh(), 2))?;
    nobody(Session::cluster("a snapshot to nobody", fresh(), 2))?;
    cut(Session::cluster("a snapshot over a link that breaks", fresh(), 2))
}

impl<H: TransportHarness> Session<H> {
    fn offer(&mut self, to: u64, offer: &SnapshotOffer, broken: Option<u64>) {
        let source = Source { info: offer.info.clone(), broken };
        self.harness.transport(1).send_snapshot(id(to), offer.clone(), Box::new(source));
    }

    /// The offer that must arrive at node 2.
    fn offered(&mut self, expected: &SnapshotOffer) -> Result<TransferId, TransportFailure> {
        let told = self.told(2);
        let offered = told.iter().filter_map(|event| match event {
            TransportEvent::SnapshotOffered { from, transfer, offer } => Some((from.get(), *transfer, offer)),
            _ => None,
        });
        match offered.collect::<Vec<_>>()[..] {
            [(1, transfer, offer)] if offer == expected => Ok(transfer),
            ref other => {
                let found = format!("node 2 was offered {other:?}, not {expected:?}");
                Err(self.failure(Sentence::FileArrives, found))
            }
        }
    }

    /// Both ends are told once that the transfer of `offer` is over: the receiver only if it had accepted.
    fn ends(
        &mut self,
        offer: &SnapshotOffer,
        accepted: bool,
        look: Option<&Look>,
    ) -> Result<bool, TransportFailure> {
        let (at_sender, at_receiver) = (self.told(1), self.told(2));
        let sent: Vec<bool> = at_sender.iter().filter_map(|event| sent_to_2(event, offer)).collect();
        let received: Vec<bool> = at_receiver.iter().filter_map(|event| received(event, offer)).collect();
        let once = sent.len() == 1 && received.len() == usize::from(accepted);
        if !once {
            let found = format!("the sender was told of ends {sent:?}, the receiver of {received:?}");
            return Err(self.failure(Sentence::EndsOnce, found));
        }
        let finished = look.is_some_and(|look| look.now().finished);
        let lies = (received.contains(&true) || sent[0]) && !finished;
        if lies {
            let found = format!("complete is {sent:?} and {received:?}, but the sink has not finished");
            return Err(self.failure(Sentence::TruthfulEnd, found));
        }
        let again = (self.told(1), self.told(2));
        let more = again.0.iter().filter_map(|event| sent_to_2(event, offer)).count()
            + again.1.iter().filter_map(received_any).count();
        if more > 0 {
            return Err(self.failure(Sentence::EndsOnce, format!("{more} more ends are told later")));
        }
        Ok(sent[0] && received.iter().all(|complete| *complete))
    }

    /// Nothing else has suffered.
    fn still_talks(&mut self) -> Checked {
        self.must_send(1, 2, heartbeat(1))?;
        match messages(&self.told(2)).contains(&(1, heartbeat(1))) {
            true => Ok(()),
            false => Err(self.failure(Sentence::Arrives, "after the transfer a heartbeat does not arrive")),
        }
    }
}

fn sent_to_2(event: &TransportEvent, offer: &SnapshotOffer) -> Option<bool> {
    match event {
        TransportEvent::SnapshotSent { to, info, complete } if *to == id(2) && *info == offer.info => {
            Some(*complete)
        }
        _ => None,
    }
}

fn received(event: &TransportEvent, of: &SnapshotOffer) -> Option<bool> {
    match event {
        TransportEvent::SnapshotReceived { from, offer, complete } if *from == id(1) && offer == of => {
            Some(*complete)
        }
        _ => None,
    }
}

const fn received_any(event: &TransportEvent) -> Option<bool> {
    match event {
        TransportEvent::SnapshotReceived { complete, .. } => Some(*complete),
        _ => None,
    }
}

fn expect_whole<H: TransportHarness>(
    session: &mut Session<H>,
    offer: &SnapshotOffer,
    have: &[u64],
) -> Result<Vec<u64>, TransportFailure> {
    session.offer(2, offer, None);
    let transfer = session.offered(offer)?;
    let (sink, look) = Sink::new(&offer.info, have, None);
    session.harness.transport(2).accept_snapshot(transfer, sink);
    let complete = session.ends(offer, true, Some(&look))?;
    let received = look.now().clone();
    if !complete || received.bytes != content(&offer.info) {
        let found = format!(
            "of {} bytes, {} chunks arrive: complete {complete}",
            offer.info.length,
            received.written.len()
        );
        return Err(session.failure(Sentence::FileArrives, found));
    }
    Ok(received.written)
}

fn whole<H: TransportHarness>(mut session: Session<H>, length: u64) -> Checked {
    // One after the other, as often as one likes.
    for index in [20, 30] {
        expect_whole(&mut session, &offer(index, length), &[])?;
    }
    session.still_talks()
}

fn resumed<H: TransportHarness>(mut session: Session<H>) -> Checked {
    let offer = offer(20, 9_000);
    let mut written = expect_whole(&mut session, &offer, &[0, 3, 4, 12])?;
    written.sort_unstable();
    if written != [1, 2, 5, 6, 7, 8, 9, 10, 11] {
        let found = format!("the sink had chunks 0, 3, 4 and 12 of 13, and got {written:?}");
        return Err(session.failure(Sentence::FileArrives, found));
    }
    Ok(())
}

fn refused<H: TransportHarness>(mut session: Session<H>) -> Checked {
    let offer = offer(20, 9_000);
    for _ in 0..2 {
        session.offer(2, &offer, None);
        let transfer = session.offered(&offer)?;
        session.harness.transport(2).refuse_snapshot(transfer);
        if session.ends(&offer, false, None)? {
            return Err(session.failure(Sentence::TruthfulEnd, "what was turned down is called complete"));
        }
    }
    expect_whole(&mut session, &offer, &[]).map(drop)
}

fn expect_failure<H: TransportHarness>(
    session: &mut Session<H>,
    broken: Option<u64>,
    fails: Option<Failing>,
) -> Checked {
    let offer = offer(20, 9_000);
    session.offer(2, &offer, broken);
    let transfer = session.offered(&offer)?;
    let (sink, look) = Sink::new(&offer.info, &[], fails);
    session.harness.transport(2).accept_snapshot(transfer, sink);
    if session.ends(&offer, true, Some(&look))? {
        return Err(session.failure(Sentence::TruthfulEnd, "what failed is called complete"));
    }
    Ok(())
}

fn sink_fails<H: TransportHarness>(mut session: Session<H>, fails: Failing) -> Checked {
    expect_failure(&mut session, None, Some(fails))?;
    expect_whole(&mut session, &offer(20, 9_000), &[])?;
    session.still_talks()
}

fn source_fails<H: TransportHarness>(mut session: Session<H>) -> Checked {
    expect_failure(&mut session, Some(6), None)?;
    expect_whole(&mut session, &offer(20, 9_000), &[])?;
    session.still_talks()
}

fn second<H: TransportHarness>(mut session: Session<H>) -> Checked {
    let (first, second) = (offer(20, 9_000), offer(30, 8_000));
    session.offer(2, &first, None);
    let transfer = session.offered(&first)?;
    session.offer(2, &second, None);
    let told = session.told(1);
    let ended: Vec<bool> = told.iter().filter_map(|event| sent_to_2(event, &second)).collect();
    let offered = session.told(2).iter().any(|event| matches!(event, TransportEvent::SnapshotOffered { .. }));
    let other = told.iter().any(|event| sent_to_2(event, &first).is_some());
    if ended != [false] || offered || other {
        let found = format!(
            "the second ends with {ended:?}, was offered: {offered}, and the first ended by it: {other}"
        );
        return Err(session.failure(Sentence::OneAtATime, found));
    }
    let (sink, look) = Sink::new(&first.info, &[], None);
    session.harness.transport(2).accept_snapshot(transfer, sink);
    if !session.ends(&first, true, Some(&look))? {
        return Err(session.failure(Sentence::OneAtATime, "the first transfer has suffered from the second"));
    }
    expect_whole(&mut session, &second, &[]).map(drop)
}

fn nobody<H: TransportHarness>(mut session: Session<H>) -> Checked {
    let offer = offer(20, 9_000);
    session.offer(9, &offer, None);
    let told = session.told(1);
    let ends = told.iter().filter(
        |event| matches!(event, TransportEvent::SnapshotSent { to, complete: false, .. } if *to == id(9)),
    );
    match ends.count() {
        1 => Ok(()),
        count => Err(session.failure(Sentence::EndsOnce, format!("{count} ends are told"))),
    }
}

/// Before the offer arrives, and after it was accepted.
fn cut<H: TransportHarness>(mut session: Session<H>) -> Checked {
    let offer = offer(20, 9_000);
    session.harness.set_link(1, 2, false);
    session.quiet();
    session.offer(2, &offer, None);
    if session.ends(&offer, false, None)? {
        return Err(session.failure(Sentence::TruthfulEnd, "what never left is called complete"));
    }
    session.harness.set_link(1, 2, true);
    session.quiet();
    session.offer(2, &offer, None);
    let transfer = session.offered(&offer)?;
    session.harness.set_link(1, 2, false);
    let (sink, look) = Sink::new(&offer.info, &[], None);
    session.harness.transport(2).accept_snapshot(transfer, sink);
    if session.ends(&offer, true, Some(&look))? {
        return Err(session.failure(Sentence::TruthfulEnd, "what was cut off is called complete"));
    }
    session.harness.set_link(1, 2, true);
    session.quiet();
    expect_whole(&mut session, &offer, &[]).map(drop)
}
