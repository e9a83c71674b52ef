//! Each reason to refuse: what the caller is told, and that both sides trace it once.

use raft_core::transport::Transport;
use raft_core::types::ClusterId;
use raft_net::Local;
use raft_net::handshake::{Answer, AnswerBody, Lane, ProtocolRange, Refusal};
use tokio::time::sleep;

use crate::support::{
    CLUSTER, Node, PATIENCE, Raw, Traces, Wires, configuration, heartbeat, id, local, options,
};

/// What `caller` is told when it calls node 1 of the cluster, with members n1 and n2, for its control lane.
async fn answer_to(caller: Local, meant: u64) -> AnswerBody {
    let wires = Wires::default();
    let mut one = Node::start(&wires, local(1), options());
    one.transport.set_configuration(&configuration(&[local(1), local(2)]));
    let (mut raw, answer) = Raw::call(&wires, "n1:1", &caller.hello(Lane::Control, Some(id(meant)))).await;
    if matches!(answer, AnswerBody::Refused(_)) {
        raw.closed().await;
        assert_eq!(one.transport.statistics().callers_refused.get(), 1);
    }
    answer
}

#[tokio::test(start_paused = true)]
async fn the_caller_is_told_why_it_is_refused_and_the_connection_is_closed() {
    let other = ClusterId(0xc2);
    let wrong_cluster = Local { cluster_id: Some(other), ..local(2) };
    let wiped = Local { node_id: id(7), cluster_id: None, ..local(2) };
    let unknown = Local { cluster_id: None, ..local(8) };
    for (caller, meant, refusal) in [
        (wrong_cluster, 1, Refusal::WrongCluster { sender: other, receiver: CLUSTER }),
        (local(1), 1, Refusal::Oneself),
        (local(2), 9, Refusal::WrongReceiver { meant: Some(id(9)) }),
        (wiped, 1, Refusal::Stranger { cluster_id: CLUSTER, holder: Some(id(2)) }),
        (unknown, 1, Refusal::Stranger { cluster_id: CLUSTER, holder: None }),
    ] {
        assert_eq!(answer_to(caller, meant).await, AnswerBody::Refused(refusal));
    }
    assert!(matches!(answer_to(local(2), 1).await, AnswerBody::Welcome { .. }));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_group_is_refused() {
    let wires = Wires::default();
    let _one = Node::start(&wires, local(1), options());
    let mut hello = local(2).hello(Lane::Control, Some(id(1)));
    hello.body.group = 5;
    let (_, answer) = Raw::call(&wires, "n1:1", &hello).await;
    assert_eq!(answer, AnswerBody::Refused(Refusal::UnknownGroup { found: 5 }));
}

#[tokio::test(start_paused = true)]
async fn a_caller_of_another_protocol_version_is_refused_even_if_the_rest_of_its_hello_is_unreadable() {
    let traces = Traces::record();
    let wires = Wires::default();
    let _one = Node::start(&wires, local(1), options());
    let mut raw = Raw::connect(&wires, "n1:1").await;
    raw.write(b"RFT\x01").await;
    // Protocol 8 to 9, node 7 named "new", then nothing this version could read.
    let head = b"\x08\0\x09\0\x07\0\0\0\0\0\0\0\x03\0new\xff\xff\xff";
    raw.send(|_, out| Ok(out.push(head, [])?)).await;
    let answer = raw.take_answer().await;
    let range = |oldest, newest| ProtocolRange { oldest, newest };
    let refusal = Refusal::Protocol { sender: range(8, 9), receiver: range(1, 1) };
    assert_eq!(answer, AnswerBody::Refused(refusal));
    traces.assert_once(&["caller not let in", "n1", "new (0000000000000007)", "protocol 8 to 9"]);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_in_another_protocol_version_is_named_as_such() {
    let traces = Traces::record();
    let wires = Wires::default();
    let mut listener = wires.network.listen("n2:1");
    let mut one = Node::start(&wires, local(1), options());
    one.transport.set_configuration(&configuration(&[local(1), local(2)]));
    for _lane in 0..2 {
        let (mut raw, _) = Raw::accept(&mut listener).await;
        let mut opening = local(2).opening();
        opening.protocol = ProtocolRange { oldest: 2, newest: 3 };
        raw.answer(Answer { opening, body: AnswerBody::Refused(Refusal::NoCluster) }).await;
    }
    one.unreachable(2).await;
    one.unreachable(2).await;
    traces.assert_once(&["peer unreachable", "n1", "n2", "protocol 1", "2 to 3"]);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_welcomes_a_caller_it_should_refuse_is_not_sent_anything() {
    let other = ClusterId(0xc2);
    for (answering, said) in [
        (Local { node_id: id(7), ..local(2) }, "node 0000000000000002 was meant".to_owned()),
        (Local { cluster_id: Some(other), ..local(2) }, format!("receiver to cluster {other}")),
    ] {
        let traces = Traces::record();
        let wires = Wires::default();
        let mut listener = wires.network.listen("n2:1");
        let mut one = Node::start(&wires, local(1), options());
        one.transport.set_configuration(&configuration(&[local(1), local(2)]));
        one.send(2, heartbeat(1));
        for _lane in 0..2 {
            let (mut raw, hello) = Raw::accept(&mut listener).await;
            raw.welcome(answering.hello(hello.body.lane, Some(id(1)))).await;
            assert_eq!(raw.frame().await, None);
        }
        one.unreachable(2).await;
        one.unreachable(2).await;
        traces.assert_once(&["peer unreachable", &said]);
    }
}

#[tokio::test(start_paused = true)]
async fn both_sides_trace_a_refusal_once_however_often_it_repeats() {
    let traces = Traces::record();
    let wires = Wires::default();
    let mut one = Node::start(&wires, local(1), options());
    // Node 2 lost its folder: another id answers at its address, under its name.
    let wiped = Local { node_id: id(7), cluster_id: None, ..local(2) };
    let two = Node::start(&wires, wiped, options());
    one.transport.set_configuration(&configuration(&[local(1), local(2)]));
    one.unreachable(2).await;
    let statistics = two.transport.statistics();
    while statistics.callers_refused.get() < 20 {
        sleep(PATIENCE / 60).await;
    }
    let said = ["n2 (0000000000000007) refuses", "n1 (0000000000000001)", "node 0000000000000002 was meant"];
    for side in ["peer unreachable", "caller not let in"] {
        traces.assert_once(&[&[side], &said[..]].concat());
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_peer_is_connected_once_the_reason_is_gone_and_a_new_refusal_is_traced_again() {
    let traces = Traces::record();
    let wires = Wires::default();
    let mut one = Node::start(&wires, local(1), options());
    one.transport.set_configuration(&configuration(&[local(1), local(2)]));
    let other = Local { cluster_id: Some(ClusterId(0xc2)), ..local(2) };
    for round in 0..2 {
        let misplaced = Node::start(&wires, other.clone(), options());
        let statistics = misplaced.transport.statistics();
        while statistics.callers_refused.get() < 4 {
            sleep(PATIENCE / 60).await;
        }
        drop(misplaced);
        let mut two = Node::start(&wires, local(2), options());
        one.reach(2, &mut two, heartbeat(round)).await;
        assert_eq!(traces.lines_with(&["peer unreachable", "belongs to cluster"]).len() as u64, round + 1);
    }
}
