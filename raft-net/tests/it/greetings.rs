use std::time::Duration;

use raft_core::transport::Transport;
use raft_core::types::ClusterId;
use raft_net::handshake::{Lane, NodeLabel, Refusal, Refused};
use raft_net::{ConnectionError, Greeting, Local, Options, greet};
use tokio::time::timeout;

use crate::support::{
    CLUSTER, Node, PATIENCE, Raw, Traces, Wires, configuration, heartbeat, id, local, options,
};

/// Waits for the end of a connection, which must come.
async fn ended(greeting: &mut Greeting) -> ConnectionError {
    timeout(PATIENCE, greeting.ended()).await.expect("the end in time")
}

/// A node before its first cluster, told to found one with all of `n1:1`, `n2:1`.
fn founder(bits: u64) -> Local {
    Local { cluster_id: None, join: vec!["n1:1".into(), "n2:1".into()], ..local(bits) }
}

#[tokio::test(start_paused = true)]
async fn two_nodes_without_cluster_tell_each_other_who_they_are_and_whom_they_mean_to_join() {
    let wires = Wires::default();
    let mut two = Node::start(&wires, founder(2), options());
    let mut greeting = greet(&wires, "n2:1", &founder(1), PATIENCE).await.unwrap();
    assert_eq!(greeting.objection, None);
    assert_eq!(greeting.hello, founder(2).hello(Lane::Greeting, Some(id(1))));
    let early = timeout(PATIENCE, greeting.ended()).await;
    assert!(early.is_err(), "the connection stays: {early:?}");
    assert!(two.events.try_recv().is_err(), "greetings are no news to the node");
    drop(two);
    assert!(matches!(ended(&mut greeting).await, ConnectionError::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_greeting_ends_when_the_node_joins_a_cluster_so_that_its_answer_is_never_out_of_date() {
    let wires = Wires::default();
    let mut two = Node::start(&wires, founder(2), options());
    let mut greeting = greet(&wires, "n2:1", &founder(1), PATIENCE).await.unwrap();
    two.transport.set_cluster(CLUSTER);
    ended(&mut greeting).await;
    let mut greeting = greet(&wires, "n2:1", &founder(1), PATIENCE).await.unwrap();
    assert_eq!(greeting.hello.body.cluster_id, Some(CLUSTER));
    two.transport.set_cluster(CLUSTER);
    assert!(timeout(PATIENCE, greeting.ended()).await.is_err(), "nothing new was told");
}

#[tokio::test(start_paused = true)]
async fn a_wiped_node_is_answered_and_told_that_it_is_a_stranger_and_who_holds_its_name() {
    let traces = Traces::record();
    let wires = Wires::default();
    let mut one = Node::start(&wires, local(1), options());
    one.transport.set_configuration(&configuration(&[local(1), local(2)]));
    let wiped = Local { node_id: id(7), ..founder(2) };
    for _ in 0..3 {
        let greeting = greet(&wires, "n1:1", &wiped, PATIENCE).await.unwrap();
        assert_eq!(greeting.hello.body.cluster_id, Some(CLUSTER));
        let refusal = Refusal::Stranger { cluster_id: CLUSTER, holder: Some(id(2)) };
        let receiver = NodeLabel { id: id(1), name: "n1".into() };
        let objection = Refused { sender: wiped.label(), receiver, refusal };
        assert_eq!(greeting.objection, Some(objection));
    }
    traces.assert_once(&["n2 (0000000000000007)", "stranger", "belongs to node 0000000000000002"]);
}

#[tokio::test(start_paused = true)]
async fn a_member_of_another_cluster_is_answered_and_told_so() {
    let wires = Wires::default();
    let _one = Node::start(&wires, local(1), options());
    let other = Local { cluster_id: Some(ClusterId(0xc2)), ..local(9) };
    let greeting = greet(&wires, "n1:1", &other, PATIENCE).await.unwrap();
    let refusal = Refusal::WrongCluster { sender: ClusterId(0xc2), receiver: CLUSTER };
    assert_eq!(greeting.objection.map(|objection| objection.refusal), Some(refusal));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_greets_its_own_address_recognises_itself() {
    let wires = Wires::default();
    let _one = Node::start(&wires, founder(1), options());
    let greeting = greet(&wires, "n1:1", &founder(1), PATIENCE).await.unwrap();
    assert_eq!(greeting.hello.opening.node.id, id(1));
    assert_eq!(greeting.objection, None);
}

#[tokio::test(start_paused = true)]
async fn greeting_an_address_where_nobody_answers_says_why_within_its_time() {
    let wires = Wires::default();
    let error = greet(&wires, "nowhere:1", &founder(1), PATIENCE).await.unwrap_err();
    assert!(matches!(&error, ConnectionError::Connect { address, .. } if address == "nowhere:1"), "{error}");

    let _silent = wires.network.listen("silent:1");
    let limit = Duration::from_secs(2);
    let error = greet(&wires, "silent:1", &founder(1), limit).await.unwrap_err();
    assert!(matches!(error, ConnectionError::HandshakeTimeout(found) if found == limit), "{error}");

    let mut listener = wires.network.listen("http:1");
    let answering = tokio::spawn(async move {
        let (mut raw, _) = Raw::accept(&mut listener).await;
        raw.write(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    });
    let error = greet(&wires, "http:1", &founder(1), PATIENCE).await.unwrap_err();
    assert!(matches!(error, ConnectionError::Preamble(_)), "{error}");
    answering.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn greetings_that_are_kept_open_never_keep_a_peer_out() {
    let wires = Wires::default();
    let mut one = Node::start(&wires, local(1), Options { max_incoming: 100, ..options() });
    let mut greetings = Vec::new();
    for bits in 10..200 {
        greetings.push(greet(&wires, "n1:1", &founder(bits), PATIENCE).await.unwrap());
    }
    assert!(matches!(ended(&mut greetings[0]).await, ConnectionError::Closed), "the oldest made room");
    let (mut peer, _) = Raw::call(&wires, "n1:1", &local(2).hello(Lane::Control, Some(id(1)))).await;
    peer.send(|encoder, out| encoder.message(&heartbeat(1), out)).await;
    assert_eq!(one.message().await, (2, heartbeat(1)));
}
