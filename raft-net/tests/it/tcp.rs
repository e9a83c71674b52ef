//! Over loopback, in real time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use raft_core::transport::{SendError, Transport};
use raft_net::connector::{TcpConnector, TcpListener};
use raft_net::{LaneBounds, Local, NetTransport, Options};
use tokio::sync::mpsc;

use crate::support::{Node, Raw, append, configuration, heartbeat, id, local, options};

/// Listens on a port of the operating system's choice, or on `address`.
async fn listen(address: &str) -> (TcpListener, String) {
    let listener = TcpListener::bind(address).await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    (listener, format!("localhost:{}", address.port()))
}

fn start(local: Local, listener: TcpListener, options: Options) -> Node {
    let (sender, events) = mpsc::channel(1024);
    let transport = NetTransport::start(local, options, Arc::new(TcpConnector), Box::new(listener), sender);
    Node { transport, events }
}

#[tokio::test]
async fn three_nodes_talk_over_loopback_and_find_a_restarted_one_again() {
    let mut listeners = Vec::new();
    let mut locals = Vec::new();
    for bits in 1..=3 {
        let (listener, peer_address) = listen("127.0.0.1:0").await;
        listeners.push(listener);
        locals.push(Local { peer_address, ..local(bits) });
    }
    let configuration = configuration(&locals);
    let mut nodes: Vec<_> = locals
        .iter()
        .cloned()
        .zip(listeners)
        .map(|(local, listener)| {
            let mut node = start(local, listener, options());
            node.transport.set_configuration(&configuration);
            node
        })
        .collect();
    let payload = vec![3; 700_000];
    for (node, from) in nodes.iter_mut().zip(1..) {
        for to in (1..=3).filter(|&to| to != from) {
            node.send(to, append(from, &payload));
            node.send(to, heartbeat(from));
        }
    }
    for node in &mut nodes {
        for _ in 0..4 {
            let (from, message) = node.message().await;
            let expected = [append(from, &payload), heartbeat(from)];
            assert!(expected.contains(&message), "from {from}");
        }
    }

    let mut three = nodes.pop().unwrap();
    let [mut one, mut two] = <[_; 2]>::try_from(nodes).map_err(|_| "two nodes are left").unwrap();
    drop(three);
    one.unreachable(3).await;
    let (listener, _) = listen(&locals[2].peer_address).await;
    three = start(locals[2].clone(), listener, options());
    three.transport.set_configuration(&configuration);
    one.reach(3, &mut three, heartbeat(7)).await;
    three.reach(2, &mut two, heartbeat(8)).await;
}

#[tokio::test]
async fn a_peer_that_accepts_and_then_hangs_costs_a_bounded_queue_and_is_reported() {
    let (mut listener, peer_address) = listen("127.0.0.1:0").await;
    let hung = Local { peer_address, ..local(2) };
    let (own_listener, _) = listen("127.0.0.1:0").await;
    let append_bounds = LaneBounds { messages: 64, bytes: 1 << 20 };
    let hasty = Options { append: append_bounds, stall_timeout: Duration::from_millis(300), ..options() };
    let mut one = start(local(1), own_listener, hasty);
    one.transport.set_configuration(&configuration(&[local(1), hung.clone()]));
    let mut kept = Vec::new();
    for _lane in 0..2 {
        let (mut raw, hello) = Raw::accept(&mut listener).await;
        raw.welcome(hung.hello(hello.body.lane, Some(id(1)))).await;
        kept.push(raw);
    }
    let payload = vec![0; 60_000];
    let statistics = one.transport.statistics();
    while one.transport.send(id(2), append(0, &payload)).is_ok() || statistics.messages_sent.get() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(one.transport.send(id(2), append(0, &payload)), Err(SendError::Unavailable { to: id(2) }));
    one.unreachable(2).await;
    assert!(statistics.messages_dropped.get() > 0);
}

#[tokio::test]
async fn a_port_in_use_is_said_so() {
    let (_listener, address) = listen("127.0.0.1:0").await;
    let port = address.rsplit_once(':').unwrap().1;
    let error = TcpListener::bind(&format!("127.0.0.1:{port}")).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}
