use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use raft_core::snapshot::{ChunkSet, SnapshotOffer};
use raft_core::transport::{TransferId, Transport, TransportEvent};
use raft_net::Options;
use raft_net::codec::SnapshotMessage;
use raft_net::handshake::Lane;

use crate::support::files::{CHUNK, Fault, Received, Sink, Source, chunk, content, offer, source};
use crate::support::{Node, Raw, Traces, Wires, configuration, heartbeat, id, local, options};

/// Takes the offer that must come from `from`.
async fn offered(node: &mut Node, from: u64) -> (TransferId, SnapshotOffer) {
    node.event_where(|event| match event {
        TransportEvent::SnapshotOffered { from: found, transfer, offer } => {
            assert_eq!(found, id(from));
            Some((transfer, offer))
        }
        _ => None,
    })
    .await
}

/// Waits for the end of the transfer to `to`: whether it was complete.
async fn sent(node: &mut Node, to: u64) -> bool {
    node.event_where(|event| match event {
        TransportEvent::SnapshotSent { to: found, complete, .. } if found == id(to) => Some(complete),
        _ => None,
    })
    .await
}

/// Waits for the end of an accepted transfer: whether it was complete.
async fn received(node: &mut Node) -> bool {
    node.event_where(|event| match event {
        TransportEvent::SnapshotReceived { complete, .. } => Some(complete),
        _ => None,
    })
    .await
}

/// Node 1 offers `offer` from `source` to node 2, which takes it into `sink`: what both are told, and what
/// arrived.
async fn transfer(source: Box<Source>, sink: Sink) -> (bool, bool, Arc<Mutex<Received>>) {
    let wires = Wires::default();
    let [mut one, mut two] = Node::start_cluster(&wires);
    let offer = source.offer.clone();
    let file = Arc::clone(&sink.received);
    one.transport.send_snapshot(id(2), offer.clone(), source);
    let (transfer, got) = offered(&mut two, 1).await;
    assert_eq!(got, offer);
    two.transport.accept_snapshot(transfer, Box::new(sink));
    let outcome = (sent(&mut one, 2).await, received(&mut two).await, file);
    assert!(outcome.2.lock().unwrap().dropped, "the sink is dropped before its end is told");
    one.reach(2, &mut two, heartbeat(1)).await;
    outcome
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_arrives_whole_whatever_its_length() {
    for length in [0, 1, CHUNK as u64, 20 * CHUNK as u64 + 7] {
        let offer = offer(length);
        let (sent, received, file) = transfer(source(&offer), Sink::new(&offer)).await;
        assert!(sent && received);
        let file = file.lock().unwrap();
        assert!(file.finished);
        assert_eq!(file.bytes, content(&offer));
    }
}

#[tokio::test(start_paused = true)]
async fn chunks_that_the_receiver_has_are_not_sent_again() {
    let offer = offer(9 * CHUNK as u64 + 1);
    let mut sink = Sink::new(&offer);
    for number in [0, 3, 4, 9] {
        sink.have.insert(number);
    }
    let (sent, received, file) = transfer(source(&offer), sink).await;
    assert!(sent && received);
    let written: BTreeSet<_> = file.lock().unwrap().written.iter().copied().collect();
    assert_eq!(written, BTreeSet::from([1, 2, 5, 6, 7, 8]));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_ends_the_transfer_on_both_sides() {
    let traces = Traces::record();
    let offer = offer(9 * CHUNK as u64);
    let broken = Box::new(Source { offer: offer.clone(), broken: Some(4) });
    let (sent, received, file) = transfer(broken, Sink::new(&offer)).await;
    assert!(!sent && !received);
    assert!(!file.lock().unwrap().finished);
    traces.assert_once(&["snapshot not sent", "chunk 4", "the file is damaged"]);
    traces.assert_once(&["snapshot not received"]);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_fails_ends_the_transfer_on_both_sides() {
    for fault in [Fault::Have, Fault::Write(0), Fault::Write(7), Fault::Finish] {
        let traces = Traces::record();
        let offer = offer(9 * CHUNK as u64);
        let mut sink = Sink::new(&offer);
        sink.fault = Some(fault);
        let (sent, received, file) = transfer(source(&offer), sink).await;
        assert!(!sent && !received, "{fault:?}");
        assert!(!file.lock().unwrap().finished, "{fault:?}");
        traces.assert_once(&["snapshot not received", "disk full"]);
        traces.assert_once(&["snapshot not sent", "gave up"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_offer_costs_the_sender_nothing_and_it_may_offer_again() {
    let wires = Wires::default();
    let [mut one, mut two] = Node::start_cluster(&wires);
    let offer = offer(5000);
    for _ in 0..2 {
        one.transport.send_snapshot(id(2), offer.clone(), source(&offer));
        let (transfer, _) = offered(&mut two, 1).await;
        two.transport.refuse_snapshot(transfer);
        assert!(!sent(&mut one, 2).await);
    }
}

#[tokio::test(start_paused = true)]
async fn one_transfer_to_a_peer_at_a_time_and_one_to_nobody() {
    let wires = Wires::default();
    let [mut one, mut two] = Node::start_cluster(&wires);
    let (first, second) = (offer(5000), offer(7000));
    one.transport.send_snapshot(id(2), first.clone(), source(&first));
    one.transport.send_snapshot(id(2), second.clone(), source(&second));
    assert!(!sent(&mut one, 2).await, "the second, at once");
    one.transport.send_snapshot(id(9), second.clone(), source(&second));
    assert!(!sent(&mut one, 9).await);
    let (transfer, got) = offered(&mut two, 1).await;
    assert_eq!(got, first);
    two.transport.accept_snapshot(transfer, Box::new(Sink::new(&first)));
    assert!(sent(&mut one, 2).await);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_falls_silent_is_given_up_after_the_stall_timeout() {
    let wires = Wires::default();
    let [mut one, mut two] = Node::start_cluster(&wires);
    let offer = offer(100 * CHUNK as u64);
    one.transport.send_snapshot(id(2), offer.clone(), source(&offer));
    let (transfer, _) = offered(&mut two, 1).await;
    wires.freeze("n2:1");
    two.transport.accept_snapshot(transfer, Box::new(Sink::new(&offer)));
    assert!(!sent(&mut one, 2).await);
    assert!(!received(&mut two).await, "and the receiver gives up the silent sender");
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_leaves_before_the_answer_ends_the_transfer_that_is_accepted_too_late() {
    let wires = Wires::default();
    let mut two = Node::start(&wires, local(2), options());
    let (mut raw, _) = Raw::call(&wires, "n2:1", &local(1).hello(Lane::Snapshot, Some(id(2)))).await;
    let offer = offer(5000);
    raw.say(&SnapshotMessage::Offer(offer.clone())).await;
    let (transfer, _) = offered(&mut two, 1).await;
    drop(raw);
    let sink = Sink::new(&offer);
    let file = Arc::clone(&sink.received);
    two.transport.accept_snapshot(transfer, Box::new(sink));
    assert!(!received(&mut two).await);
    assert!(file.lock().unwrap().dropped);
}

#[tokio::test(start_paused = true)]
async fn a_transfer_that_is_accepted_at_the_moment_its_connection_is_given_up_still_gets_its_end() {
    let wires = Wires::default();
    let mut two = Node::start(&wires, local(2), options());
    two.transport.set_configuration(&configuration(&[local(1), local(2)]));
    let (mut raw, _) = Raw::call(&wires, "n2:1", &local(1).hello(Lane::Snapshot, Some(id(2)))).await;
    let offer = offer(5000);
    raw.say(&SnapshotMessage::Offer(offer.clone())).await;
    let (transfer, _) = offered(&mut two, 1).await;
    let sink = Sink::new(&offer);
    let file = Arc::clone(&sink.received);
    two.transport.accept_snapshot(transfer, Box::new(sink));
    two.transport.set_configuration(&configuration(&[local(2)]));
    assert!(!received(&mut two).await);
    assert!(file.lock().unwrap().dropped);
    raw.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_new_transfer_from_the_same_leader_replaces_the_one_that_hangs() {
    let wires = Wires::default();
    let mut two = Node::start(&wires, local(2), options());
    let offer = offer(3 * CHUNK as u64);
    let hello = local(1).hello(Lane::Snapshot, Some(id(2)));
    let (mut older, _) = Raw::call(&wires, "n2:1", &hello).await;
    older.say(&SnapshotMessage::Offer(offer.clone())).await;
    let (transfer, _) = offered(&mut two, 1).await;
    two.transport.accept_snapshot(transfer, Box::new(Sink::new(&offer)));
    assert!(matches!(older.hear().await, SnapshotMessage::Have { .. }));
    let (mut newer, _) = Raw::call(&wires, "n2:1", &hello).await;
    older.closed().await;
    assert!(!received(&mut two).await);
    newer.say(&SnapshotMessage::Offer(offer.clone())).await;
    let (transfer, _) = offered(&mut two, 1).await;
    two.transport.accept_snapshot(transfer, Box::new(Sink::new(&offer)));
    assert!(matches!(newer.hear().await, SnapshotMessage::Have { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_transfer_to_a_removed_member_ends() {
    let wires = Wires::default();
    let [mut one, mut two] = Node::start_cluster(&wires);
    let offer = offer(5000);
    one.transport.send_snapshot(id(2), offer.clone(), source(&offer));
    offered(&mut two, 1).await;
    one.transport.set_configuration(&configuration(&[local(1)]));
    assert!(!sent(&mut one, 2).await);
}

#[tokio::test(start_paused = true)]
async fn no_more_chunks_are_under_way_than_the_receiver_gave_credit_for() {
    let wires = Wires::default();
    let mut listener = wires.network.listen("n2:1");
    let mut one = Node::start(&wires, local(1), options());
    one.transport.set_configuration(&configuration(&[local(1), local(2)]));
    let offer = offer(6 * CHUNK as u64);
    one.transport.send_snapshot(id(2), offer.clone(), source(&offer));
    let mut raw = loop {
        let (mut raw, hello) = Raw::accept(&mut listener).await;
        raw.welcome(local(2).hello(hello.body.lane, Some(id(1)))).await;
        if hello.body.lane == Lane::Snapshot {
            break raw;
        }
    };
    assert_eq!(raw.hear().await, SnapshotMessage::Offer(offer.clone()));
    raw.say(&SnapshotMessage::Have { chunks: ChunkSet::default(), credit: 2 }).await;
    let chunk = |number| SnapshotMessage::Chunk { number, bytes: chunk(&offer, number) };
    assert_eq!(raw.hear().await, chunk(0));
    assert_eq!(raw.hear().await, chunk(1));
    let more = tokio::time::timeout(options().stall_timeout / 2, raw.hear()).await;
    assert!(more.is_err(), "{more:?}");
    raw.say(&SnapshotMessage::Credit { chunks: 3 }).await;
    for number in 2..5 {
        assert_eq!(raw.hear().await, chunk(number));
    }
    raw.say(&SnapshotMessage::Credit { chunks: 1 }).await;
    assert_eq!(raw.hear().await, chunk(5));
    assert_eq!(raw.hear().await, SnapshotMessage::Done);
    raw.say(&SnapshotMessage::Finished { complete: true }).await;
    assert!(sent(&mut one, 2).await);
}

#[tokio::test(start_paused = true)]
async fn a_chunk_that_rotted_on_the_way_is_never_written() {
    let traces = Traces::record();
    let wires = Wires::default();
    let mut two = Node::start(&wires, local(2), options());
    let (mut raw, _) = Raw::call(&wires, "n2:1", &local(1).hello(Lane::Snapshot, Some(id(2)))).await;
    let offer = offer(5000);
    raw.say(&SnapshotMessage::Offer(offer.clone())).await;
    let (transfer, _) = offered(&mut two, 1).await;
    let sink = Sink::new(&offer);
    let file = Arc::clone(&sink.received);
    two.transport.accept_snapshot(transfer, Box::new(sink));
    assert!(matches!(raw.hear().await, SnapshotMessage::Have { .. }));
    let message = SnapshotMessage::Chunk { number: 3, bytes: chunk(&offer, 3) };
    raw.send_damaged(|encoder, out| encoder.snapshot(&message, out)).await;
    assert!(!received(&mut two).await);
    assert!(file.lock().unwrap().written.is_empty());
    traces.assert_once(&["snapshot not received", "snapshot chunk 3: crc is"]);
}

/// Not under paused time: it stands still while a background thread works.
#[tokio::test]
async fn a_receiver_whose_disk_is_busy_for_longer_than_the_stall_timeout_is_not_given_up() {
    let wires = Wires::default();
    let hasty = Options { stall_timeout: Duration::from_secs(1), ..options() };
    let mut two = Node::start(&wires, local(2), hasty);
    let (mut raw, _) = Raw::call(&wires, "n2:1", &local(1).hello(Lane::Snapshot, Some(id(2)))).await;
    let offer = offer(10);
    raw.say(&SnapshotMessage::Offer(offer.clone())).await;
    let (transfer, _) = offered(&mut two, 1).await;
    let (release, released) = mpsc::channel();
    let mut sink = Sink::new(&offer);
    sink.finishing = Box::new(move || released.recv().unwrap());
    two.transport.accept_snapshot(transfer, Box::new(sink));
    raw.say(&SnapshotMessage::Chunk { number: 0, bytes: chunk(&offer, 0) }).await;
    raw.say(&SnapshotMessage::Done).await;
    let mut working = 0;
    loop {
        match raw.hear().await {
            SnapshotMessage::Working => working += 1,
            SnapshotMessage::Finished { complete } => {
                assert!(complete);
                break;
            }
            _ => {}
        }
        // Each comes after a quarter of the stall timeout.
        if working == 6 {
            release.send(()).unwrap();
        }
    }
    assert!(received(&mut two).await);
}
