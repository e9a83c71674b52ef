use std::time::Duration;

use raft_core::transport::{SendError, Transport};
use raft_net::handshake::{AnswerBody, Lane};
use raft_net::{LaneBounds, Options};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{
    CLUSTER, Node, PATIENCE, Raw, Wires, append, configuration, heartbeat, id, local, options,
};

#[tokio::test(start_paused = true)]
async fn messages_of_both_lanes_reach_each_member_under_the_senders_name() {
    let wires = Wires::default();
    let mut nodes: [Node; 3] = Node::start_cluster(&wires);
    for (node, from) in nodes.iter_mut().zip(1..) {
        for to in (1..=3).filter(|&to| to != from) {
            node.send(to, heartbeat(from));
            node.send(to, append(from, b"payload"));
        }
    }
    for (node, to) in nodes.iter_mut().zip(1..) {
        let mut got = Vec::new();
        for _ in 0..4 {
            got.push(node.message().await);
        }
        for from in (1..=3).filter(|&from| from != to) {
            assert!(got.contains(&(from, heartbeat(from))), "{got:?}");
            assert!(got.contains(&(from, append(from, b"payload"))), "{got:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn messages_of_one_lane_arrive_in_order_whatever_their_size() {
    let wires = Wires::default();
    let [mut one, mut two] = Node::start_cluster(&wires);
    let message = |number: u64| append(number, &vec![number as u8; (number * 37 % 5000) as usize]);
    for number in 0..500 {
        one.send(2, message(number));
    }
    for number in 0..500 {
        assert_eq!(two.message().await, (1, message(number)));
    }
    let statistics = one.transport.statistics();
    assert!(statistics.writes.get() < 250, "{statistics:?}: queued messages are written together");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_known_about_a_peer_that_no_configuration_lists() {
    let [mut one, _two] = Node::start_cluster(&Wires::default());
    let unknown = |to| Err(SendError::UnknownPeer { to });
    assert_eq!(one.transport.send(id(9), heartbeat(1)), unknown(id(9)));
    assert_eq!(one.transport.send(id(1), heartbeat(1)), unknown(id(1)), "oneself");
}

#[tokio::test(start_paused = true)]
async fn a_broken_connection_is_reported_and_made_again() {
    let wires = Wires::default();
    let [mut one, mut two] = Node::start_cluster(&wires);
    one.reach(2, &mut two, heartbeat(1)).await;
    for round in 0..3 {
        wires.cut("n2:1");
        one.unreachable(2).await;
        assert_eq!(one.transport.send(id(2), heartbeat(2)), Err(SendError::Unavailable { to: id(2) }));
        two.send(1, heartbeat(3));
        assert_eq!(one.message().await, (2, heartbeat(3)), "the other direction is not affected");
        wires.mend("n2:1");
        one.reach(2, &mut two, heartbeat(10 + round)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_down_is_reported_once_and_reached_when_it_comes_up() {
    let wires = Wires::default();
    let mut one = Node::start(&wires, local(1), options());
    one.transport.set_configuration(&configuration(&[local(1), local(2)]));
    // One event for each lane.
    one.unreachable(2).await;
    one.unreachable(2).await;
    let more = timeout(PATIENCE / 2, one.event()).await;
    assert!(more.is_err(), "{more:?}");
    let mut two = Node::start(&wires, local(2), options());
    one.reach(2, &mut two, heartbeat(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_was_down_for_long_is_dialed_at_once_when_it_breaks_after_its_recovery() {
    let wires = Wires::default();
    let mut one = Node::start(&wires, local(1), options());
    one.transport.set_configuration(&configuration(&[local(1), local(2)]));
    // One event for each lane.
    one.unreachable(2).await;
    one.unreachable(2).await;
    let statistics = one.transport.statistics();
    while statistics.connect_failures.get() < 40 {
        sleep(PATIENCE / 60).await;
    }
    let mut two = Node::start(&wires, local(2), options());
    one.reach(2, &mut two, heartbeat(1)).await;
    wires.cut("n2:1");
    one.unreachable(2).await;
    wires.mend("n2:1");
    let broken = Instant::now();
    one.reach(2, &mut two, heartbeat(2)).await;
    let shortest = options().backoff.shortest;
    assert!(broken.elapsed() < 2 * shortest, "{:?}", broken.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_newer_connection_of_the_same_node_and_lane_replaces_the_older() {
    let wires = Wires::default();
    let mut one = Node::start(&wires, local(1), options());
    let hello = |lane| local(2).hello(lane, Some(id(1)));
    let (mut older, _) = Raw::call(&wires, "n1:1", &hello(Lane::Control)).await;
    let (mut other_lane, _) = Raw::call(&wires, "n1:1", &hello(Lane::Append)).await;
    let (mut newer, answer) = Raw::call(&wires, "n1:1", &hello(Lane::Control)).await;
    assert!(matches!(answer, AnswerBody::Welcome { objection: None, .. }));
    older.closed().await;
    newer.send(|encoder, out| encoder.message(&heartbeat(1), out)).await;
    assert_eq!(one.message().await, (2, heartbeat(1)));
    other_lane.send(|encoder, out| encoder.message(&append(2, b"x"), out)).await;
    assert_eq!(one.message().await, (2, append(2, b"x")));
}

#[tokio::test(start_paused = true)]
async fn a_queue_takes_messages_up_to_its_bound_while_the_first_attempt_to_connect_hangs() {
    let wires = Wires::default();
    let _silent = wires.network.listen("n2:1");
    let control = LaneBounds { messages: 5, bytes: 1 << 20 };
    let mut one = Node::start(&wires, local(1), Options { control, ..options() });
    one.transport.set_configuration(&configuration(&[local(1), local(2)]));
    for number in 0..5 {
        one.send(2, heartbeat(number));
    }
    assert_eq!(one.transport.send(id(2), heartbeat(5)), Err(SendError::Unavailable { to: id(2) }));
    one.send(2, append(0, b"another lane has its own queue"));
    one.unreachable(2).await;
    assert_eq!(one.transport.send(id(2), heartbeat(6)), Err(SendError::Unavailable { to: id(2) }));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stops_reading_holds_bounded_memory_and_delays_no_other_lane() {
    let wires = Wires::default();
    let mut listener = wires.network.listen("n2:1");
    let bounds = LaneBounds { messages: 1000, bytes: 200_000 };
    let mut one = Node::start(&wires, local(1), Options { append: bounds, ..options() });
    one.transport.set_configuration(&configuration(&[local(1), local(2)]));
    let mut lanes = Vec::new();
    for _ in 0..2 {
        let (mut raw, hello) = Raw::accept(&mut listener).await;
        raw.welcome(local(2).hello(hello.body.lane, Some(id(1)))).await;
        lanes.push((hello.body.lane, raw));
    }
    lanes.sort_by_key(|(lane, _)| *lane);
    let Ok([(Lane::Control, mut control), (Lane::Append, _stuck)]) = <[_; 2]>::try_from(lanes) else {
        panic!("a control and an append lane")
    };
    let mut accepted = 0;
    while one.transport.send(id(2), append(accepted, &[0; 5000])).is_ok() {
        accepted += 1;
        one.send(2, heartbeat(accepted));
        assert_eq!(control.message().await, heartbeat(accepted), "control is not behind entries");
    }
    let in_flight = 64 * 1024 + 1024 + 8 * 1024;
    assert!(accepted * 5000 <= 200_000 + in_flight, "{accepted} messages of 5000 bytes are held");
    one.unreachable(2).await;
    one.send(2, heartbeat(0));
    assert_eq!(control.message().await, heartbeat(0), "only the lane that stalled is given up");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_takes_no_events_pushes_back_on_its_peers_and_loses_nothing_it_was_sent() {
    let wires = Wires::default();
    let locals = [local(1), local(2)];
    let configuration = configuration(&locals);
    let [first, second] = locals;
    let bounds = LaneBounds { messages: 50, bytes: 1 << 20 };
    // The wait is longer than the test takes to look.
    let patient = Options { append: bounds, stall_timeout: Duration::from_secs(3600), ..options() };
    let mut one = Node::start(&wires, first, patient);
    one.transport.set_configuration(&configuration);
    let mut two = Node::start_with_events(&wires, second, options(), 1);
    two.transport.set_configuration(&configuration);
    let mut accepted = 0;
    loop {
        match one.transport.send(id(2), append(accepted, &[7; 5000])) {
            Ok(()) => accepted += 1,
            Err(_) if one.transport.statistics().messages_sent.get() + 50 == accepted => break,
            Err(_) => tokio::task::yield_now().await,
        }
    }
    let pushed_back = one.transport.send(id(2), append(0, b""));
    assert_eq!(pushed_back, Err(SendError::Unavailable { to: id(2) }));
    for number in 0..accepted {
        assert_eq!(two.message().await, (1, append(number, &[7; 5000])));
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_a_transport_closes_its_connections_and_ends_its_tasks() {
    let wires = Wires::default();
    let [mut one, mut two] = Node::start_cluster(&wires);
    one.reach(2, &mut two, heartbeat(1)).await;
    let (mut caller, _) = Raw::call(&wires, "n2:1", &local(3).hello(Lane::Control, Some(id(2)))).await;
    drop(two.transport);
    one.unreachable(2).await;
    caller.closed().await;
    let ended = async { while two.events.recv().await.is_some() {} };
    timeout(PATIENCE, ended).await.expect("no task keeps a sender of events");
}

#[tokio::test(start_paused = true)]
async fn a_restarted_peer_is_talked_to_again_and_its_answers_arrive() {
    let wires = Wires::default();
    let [mut one, mut two] = Node::start_cluster(&wires);
    one.reach(2, &mut two, heartbeat(1)).await;
    drop(two);
    one.unreachable(2).await;
    let mut two = Node::start(&wires, local(2), options());
    two.transport.set_configuration(&configuration(&[local(1), local(2)]));
    two.transport.set_cluster(CLUSTER);
    one.reach(2, &mut two, heartbeat(2)).await;
    two.reach(1, &mut one, heartbeat(3)).await;
}
