use raft_core::transport::{SendError, Transport, TransportEvent};
use raft_core::types::ClusterId;
use raft_net::Local;
use raft_net::handshake::{AnswerBody, Lane, Refusal};

use crate::support::{CLUSTER, Node, Raw, Wires, append, configuration, heartbeat, id, local, options};

fn fresh(bits: u64) -> Local {
    Local { cluster_id: None, ..local(bits) }
}

#[tokio::test(start_paused = true)]
async fn a_fresh_node_hears_of_its_cluster_and_answers_its_leader_before_it_has_a_configuration() {
    let wires = Wires::default();
    let mut leader = Node::start(&wires, local(1), options());
    let mut new = Node::start(&wires, fresh(2), options());
    assert_eq!(new.transport.send(id(1), heartbeat(0)), Err(SendError::UnknownPeer { to: id(1) }));
    leader.transport.set_configuration(&configuration(&[local(1), fresh(2)]));
    leader.send(2, heartbeat(1));
    let cluster_id = new
        .event_where(|event| match event {
            TransportEvent::Greeted { cluster_id } => Some(cluster_id),
            TransportEvent::Message { .. } => panic!("a message before its cluster is known"),
            _ => None,
        })
        .await;
    assert_eq!(cluster_id, CLUSTER);
    assert_eq!(new.message().await, (1, heartbeat(1)));
    assert_eq!(new.transport.send(id(1), heartbeat(0)), Err(SendError::UnknownPeer { to: id(1) }));
    new.transport.set_cluster(cluster_id);
    new.reach(1, &mut leader, heartbeat(2)).await;
}

#[tokio::test(start_paused = true)]
async fn each_connection_tells_a_fresh_node_its_cluster_before_its_messages() {
    let wires = Wires::default();
    let mut new = Node::start(&wires, fresh(2), options());
    for lane in [Lane::Control, Lane::Append] {
        let (mut raw, _) = Raw::call(&wires, "n2:1", &local(1).hello(lane, Some(id(2)))).await;
        raw.send(|encoder, out| encoder.message(&append(1, b"payload"), out)).await;
        let first = new.event().await;
        assert!(matches!(first, TransportEvent::Greeted { cluster_id: CLUSTER }), "{first:?}");
        assert_eq!(new.message().await, (1, append(1, b"payload")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_without_cluster_is_greeted_into_one_cluster_only() {
    let wires = Wires::default();
    let mut new = Node::start(&wires, fresh(2), options());
    let (_first, answer) = Raw::call(&wires, "n2:1", &local(1).hello(Lane::Control, Some(id(2)))).await;
    assert!(matches!(answer, AnswerBody::Welcome { .. }), "{answer:?}");
    let other = Local { cluster_id: Some(ClusterId(0xc2)), ..local(3) };
    let (_second, answer) = Raw::call(&wires, "n2:1", &other.hello(Lane::Control, Some(id(2)))).await;
    let refusal = Refusal::WrongCluster { sender: ClusterId(0xc2), receiver: CLUSTER };
    assert_eq!(answer, AnswerBody::Refused(refusal));
    let event = new.event().await;
    assert!(matches!(event, TransportEvent::Greeted { cluster_id: CLUSTER }), "{event:?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_joins_another_cluster_than_the_one_that_called_first_drops_the_caller() {
    let wires = Wires::default();
    let mut new = Node::start(&wires, fresh(2), options());
    let (mut first, _) = Raw::call(&wires, "n2:1", &local(1).hello(Lane::Control, Some(id(2)))).await;
    new.transport.set_cluster(ClusterId(0xc2));
    assert_eq!(new.transport.send(id(1), heartbeat(0)), Err(SendError::UnknownPeer { to: id(1) }));
    first.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_removed_from_the_configuration_loses_its_connections_both_ways() {
    let wires = Wires::default();
    let [mut one, mut two, mut three] = Node::start_cluster(&wires);
    one.reach(3, &mut three, heartbeat(1)).await;
    three.reach(1, &mut one, heartbeat(2)).await;
    one.transport.set_configuration(&configuration(&[local(1), local(2)]));
    assert_eq!(one.transport.send(id(3), heartbeat(3)), Err(SendError::UnknownPeer { to: id(3) }));
    three.unreachable(1).await;
    one.reach(2, &mut two, heartbeat(4)).await;
}

#[tokio::test(start_paused = true)]
async fn a_removed_node_is_heard_again_when_it_calls_because_this_configuration_may_be_the_older_one() {
    let wires = Wires::default();
    let [mut one, mut two] = Node::start_cluster(&wires);
    two.reach(1, &mut one, heartbeat(1)).await;
    one.transport.set_configuration(&configuration(&[local(1)]));
    two.unreachable(1).await;
    two.reach(1, &mut one, heartbeat(2)).await;
    one.reach(2, &mut two, heartbeat(3)).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_moved_is_dialed_at_its_new_address() {
    let wires = Wires::default();
    let [mut one, two] = Node::start_cluster(&wires);
    drop(two);
    let moved = Local { peer_address: "elsewhere:1".into(), ..local(2) };
    let mut two = Node::start(&wires, moved.clone(), options());
    one.transport.set_configuration(&configuration(&[local(1), moved]));
    one.reach(2, &mut two, append(1, b"payload")).await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_no_configuration_lists_is_forgotten_when_it_hangs_up() {
    let wires = Wires::default();
    let mut one = Node::start(&wires, local(1), options());
    let mut listener = wires.network.listen("n2:1");
    let (caller, _) = Raw::call(&wires, "n1:1", &local(2).hello(Lane::Control, Some(id(1)))).await;
    let (mut dialed, _) = Raw::accept(&mut listener).await;
    one.send(2, heartbeat(1));
    drop(caller);
    dialed.closed().await;
    assert_eq!(one.transport.send(id(2), heartbeat(2)), Err(SendError::UnknownPeer { to: id(2) }));
}
