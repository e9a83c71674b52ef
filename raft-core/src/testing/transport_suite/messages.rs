//! Messages: what arrives, from whom, and what is told of those that do not.

use super::TransportSentence as Sentence;
use super::{CLUSTER, Checked, ELSEWHERE, Session, TransportHarness, append, heartbeat, id, messages};
use crate::message::{
    AppendEntriesResponse, AppendOutcome, Message, ReadIndex, ReadIndexResponse, ReadProof, RequestVote,
    RequestVoteResponse, TimeoutNow,
};
use crate::time::Time;
use crate::transport::{SendError, Transport, TransportEvent};
use crate::types::{EntryId, LogIndex, Term};

/// Messages after which a queue must be full, of two blocks of so many bytes each.
const FLOOD: (u64, usize) = (20_000, 500);

pub(super) fn check<H: TransportHarness>(fresh: &mut impl FnMut() -> H) -> Checked {
    arrive(Session::cluster("every kind of message between all nodes", fresh(), 3))?;
    strangers(Session::new("two clusters that know each other's addresses", fresh()))?;
    greeting(Session::new("a node that belongs to no cluster yet", fresh()))?;
    unknown(Session::cluster("peers that no configuration lists", fresh(), 3))?;
    flood(Session::cluster("more messages than fit", fresh(), 2))?;
    lost(Session::cluster("a connection that breaks", fresh(), 2))
}

/// One message of each kind; `number` tells senders apart.
fn every_kind(number: u64) -> Vec<Message> {
    let (term, last_entry) = (Term(number), EntryId::new(Term(1), LogIndex(number)));
    let answer =
        |outcome, hole| AppendEntriesResponse { term, outcome, hole, read_seq: 1, sent_at: Time::ZERO };
    vec![
        Message::RequestVote(RequestVote { term, last_entry, pre: true, forced: false }),
        Message::RequestVote(RequestVote { term, last_entry, pre: false, forced: true }),
        Message::RequestVoteResponse(RequestVoteResponse { term, granted: true, pre: false }),
        append(number, 0),
        append(number, 5_000),
        Message::AppendEntriesResponse(answer(
            AppendOutcome::Matched { match_index: LogIndex(number) },
            None,
        )),
        Message::AppendEntriesResponse(answer(
            AppendOutcome::Conflict { prev_index: LogIndex(number), hint: last_entry },
            Some(LogIndex(3)),
        )),
        heartbeat(number),
        Message::TimeoutNow(TimeoutNow { term }),
        Message::ReadIndex(ReadIndex { term, request: u64::MAX - number, proof: ReadProof::Lease }),
        Message::ReadIndexResponse(ReadIndexResponse { term, request: number, index: None }),
    ]
}

fn arrive<H: TransportHarness>(mut session: Session<H>) -> Checked {
    // What node `from` says to node `to` is said by nobody else.
    let said = |from: u64, to: u64| every_kind(from * 10 + to);
    let links = [(1, 2), (1, 3), (2, 1), (2, 3), (3, 1), (3, 2)];
    for (from, to) in links {
        for message in said(from, to) {
            session.must_send(from, to, message)?;
        }
    }
    session.harness.run();
    for receiver in 1..=3 {
        let got = messages(&session.harness.events(receiver));
        for (from, message) in &got {
            let truly = links.into_iter().find(|&(from, to)| said(from, to).contains(message));
            match truly {
                None => {
                    let found = format!("node {receiver} got {message:?}, which nobody sent");
                    return Err(session.failure(Sentence::Unaltered, found));
                }
                Some((sender, to)) if (sender, to) != (*from, receiver) => {
                    let found = format!(
                        "node {receiver} got from node {from} what node {sender} sent to node {to}: {message:?}"
                    );
                    return Err(session.failure(Sentence::Sender, found));
                }
                Some(_) => {}
            }
        }
        for (from, to) in links.into_iter().filter(|(_, to)| *to == receiver) {
            let missing = said(from, to).into_iter().find(|message| !got.contains(&(from, message.clone())));
            if let Some(message) = missing {
                let found = format!("node {to} never got from node {from}: {message:?}");
                return Err(session.failure(Sentence::Arrives, found));
            }
        }
    }
    Ok(())
}

/// Nodes 1 and 2 are one cluster, node 3 another, and the configurations mix them up.
fn strangers<H: TransportHarness>(mut session: Session<H>) -> Checked {
    for (number, cluster) in [(1, CLUSTER), (2, CLUSTER), (3, ELSEWHERE)] {
        session.harness.start(number, Some(cluster));
    }
    for number in 1..=3 {
        session.configure(number, 1..=3);
    }
    session.quiet();
    for (from, to) in [(1, 3), (2, 3), (3, 1), (3, 2)] {
        for message in [heartbeat(from), append(from, 10)] {
            // Refused or not: it must not arrive.
            let _told = session.send(from, to, message);
        }
    }
    session.harness.run();
    for number in 1..=3 {
        if let Some((from, message)) = messages(&session.harness.events(number)).first() {
            let found = format!("node {number} got from node {from}, of another cluster: {message:?}");
            return Err(session.failure(Sentence::OtherCluster, found));
        }
    }
    session.must_send(1, 2, heartbeat(1))?;
    expect_message(&mut session, 1, 2, &heartbeat(1))
}

fn expect_message<H: TransportHarness>(
    session: &mut Session<H>,
    from: u64,
    to: u64,
    message: &Message,
) -> Checked {
    let got = messages(&session.told(to));
    match got.contains(&(from, message.clone())) {
        true => Ok(()),
        false => {
            let found = format!("node {to} got {got:?}, and not {message:?}");
            Err(session.failure(Sentence::Arrives, found))
        }
    }
}

fn greeting<H: TransportHarness>(mut session: Session<H>) -> Checked {
    session.harness.start(1, Some(CLUSTER));
    session.harness.start(2, None);
    session.configure(1, 1..=2);
    session.harness.run();
    // Before it has connected nothing can be queued; the driver tries again, too.
    for number in 0..3 {
        let _told = session.send(1, 2, heartbeat(number));
        session.harness.run();
    }
    let told = session.harness.events(2);
    let greeted = told
        .iter()
        .position(|event| matches!(event, TransportEvent::Greeted { cluster_id } if *cluster_id == CLUSTER));
    let first = told.iter().position(|event| matches!(event, TransportEvent::Message { .. }));
    match (greeted, first) {
        (Some(greeted), Some(first)) if greeted < first => {}
        _ => {
            let found = format!("it was told {told:?}");
            return Err(session.failure(Sentence::Greeted, found));
        }
    }
    session.harness.transport(2).set_cluster(CLUSTER);
    session.configure(2, 1..=2);
    session.quiet();
    session.must_send(2, 1, heartbeat(9))?;
    expect_message(&mut session, 2, 1, &heartbeat(9))
}

fn unknown<H: TransportHarness>(mut session: Session<H>) -> Checked {
    let expect = |session: &mut Session<H>, to: u64| {
        let found = session.send(1, to, heartbeat(1));
        match found {
            Err(SendError::UnknownPeer { to: named }) if named == id(to) => Ok(()),
            other => {
                let found = format!("sending to node {to} gives {other:?}");
                Err(session.failure(Sentence::UnknownPeer, found))
            }
        }
    };
    expect(&mut session, 9)?;
    // Nor does node 3 introduce itself any more: it might be answered by the address that it gives.
    session.configure(3, [3]);
    session.quiet();
    session.configure(1, 1..=2);
    session.quiet();
    expect(&mut session, 3)?;
    session.configure(3, 1..=3);
    session.configure(1, 1..=3);
    session.quiet();
    session.must_send(1, 3, heartbeat(2))?;
    expect_message(&mut session, 1, 3, &heartbeat(2))
}

/// Nothing moves: entries are turned away sooner or later, and a heartbeat still fits.
fn flood<H: TransportHarness>(mut session: Session<H>) -> Checked {
    let (most, bytes) = FLOOD;
    // Nothing runs meanwhile, so nothing leaves the queue.
    let Some(refused) = (0..most).find_map(|number| session.send(1, 2, append(number, bytes)).err()) else {
        let found = format!("{most} messages of {bytes} bytes and more are queued at a time");
        return Err(session.failure(Sentence::Bounded, found));
    };
    if !matches!(refused, SendError::Unavailable { to } if to == id(2)) {
        let found = format!("a full queue is told as {refused:?}");
        return Err(session.failure(Sentence::Told, found));
    }
    if let Err(error) = session.send(1, 2, heartbeat(1)) {
        let found = format!("behind a full queue of entries a heartbeat is refused: {error}");
        return Err(session.failure(Sentence::Lanes, found));
    }
    let got = messages(&session.told(2));
    let heartbeat_at = got.iter().position(|(_, message)| *message == heartbeat(1));
    if heartbeat_at.is_none() || got.len() < 2 {
        let found =
            format!("of a full queue {} messages arrive, the heartbeat at {heartbeat_at:?}", got.len());
        return Err(session.failure(Sentence::Arrives, found));
    }
    Ok(())
}

/// Whatever is sent while nothing moves arrives, or is told to be lost.
fn lost<H: TransportHarness>(mut session: Session<H>) -> Checked {
    session.harness.set_link(1, 2, false);
    let mut told = Vec::new();
    for number in 0..20 {
        told.extend(session.send(1, 2, heartbeat(number)).err());
        session.harness.run();
    }
    let unreachable = session
        .harness
        .events(1)
        .into_iter()
        .any(|event| matches!(event, TransportEvent::Unreachable { peer } if peer == id(2)));
    if let Some((_, message)) = messages(&session.harness.events(2)).first() {
        let found = format!("the harness says that nothing moves, and node 2 got {message:?}");
        return Err(session.failure(Sentence::Told, found));
    }
    if told.is_empty() && !unreachable {
        let found = "twenty messages to a peer that cannot be reached are lost without a word";
        return Err(session.failure(Sentence::Told, found));
    }
    session.harness.set_link(1, 2, true);
    session.quiet();
    session.must_send(1, 2, heartbeat(99))?;
    expect_message(&mut session, 1, 2, &heartbeat(99))
}
