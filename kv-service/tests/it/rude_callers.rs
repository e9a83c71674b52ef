//! What speaks on the ports and is none of ours, by accident or not.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use bytes::Buf;
use kv_client::KvStore;
use kv_client::protocol::PREAMBLE;
use raft_core::NodeId;
use raft_net::Local;
use raft_net::frame::WriteBuffer;
use raft_net::handshake::{HELLO_LIMITS, Lane, ProtocolRange};
use raft_net::preamble::Preamble;

use crate::cluster::Cluster;
use crate::raw::{Client, dial, frame};

/// Bytes without a pattern.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..count).map(|_| next()).collect()
}

/// Sends until the other side closes or all is sent, then waits for the end of the connection.
fn pour(mut stream: TcpStream, chunks: impl Iterator<Item = Vec<u8>>) {
    for chunk in chunks {
        if stream.write_all(&chunk).is_err() {
            return;
        }
    }
    let mut answer = [0; 4096];
    loop {
        match stream.read(&mut answer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
            Err(error) => panic!("the node neither answers nor closes: {error}"),
        }
    }
}

/// A frame header that announces more than anybody takes.
fn endless_header() -> Vec<u8> {
    let mut header = frame(b"head", b"");
    header[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    header
}

#[tokio::test]
async fn noise_and_endless_frames_on_both_ports_hurt_nobody() {
    let cluster = Cluster::start(3);
    let leader = &cluster.nodes[cluster.leader().await];
    let client = cluster.client();
    for (port, preamble) in [(&leader.client, PREAMBLE), (&leader.peer, Preamble::Peer.bytes())] {
        pour(dial(port), [noise(100_000)].into_iter());
        pour(dial(port), [b"GET / HTTP/1.1\r\nHost: kvd\r\n\r\n".to_vec()].into_iter());
        pour(dial(port), [preamble.to_vec(), noise(100_000)].into_iter());
        let endless = (0..1000).map(|_| vec![0; 64 << 10]);
        pour(dial(port), [preamble.to_vec(), endless_header()].into_iter().chain(endless));
        client.put(b"key", b"value").await.unwrap();
    }
    let mut let_in = Client::connect(&leader.client);
    let_in.send(&endless_header());
    assert!(let_in.next_frame().is_none(), "the connection is closed");
    client.put(b"key", b"other").await.unwrap();
    let log = leader.log();
    assert!(log.contains("GET ") && log.contains("client's connection closed"), "{log}");
    assert_eq!(leader.serves().await.role, kv_client::protocol::Role::Leader, "nobody was deposed");
}

#[tokio::test]
async fn a_peer_of_another_protocol_version_is_refused_by_name() {
    let cluster = Cluster::start(1);
    cluster.leader().await;
    let node = &cluster.nodes[0];
    let local = Local {
        node_id: NodeId::new(7).unwrap(),
        name: "newcomer".to_owned(),
        peer_address: "127.0.0.1:1".to_owned(),
        client_address: "127.0.0.1:2".to_owned(),
        cluster_id: None,
        join: Vec::new(),
    };
    let mut hello = local.hello(Lane::Greeting, None);
    hello.opening.protocol = ProtocolRange { oldest: 8, newest: 9 };
    let mut out = WriteBuffer::new(HELLO_LIMITS);
    out.push_raw(&Preamble::Peer.bytes());
    hello.encode(&mut out).unwrap();
    pour(dial(&node.peer), std::iter::once(out.copy_to_bytes(out.remaining()).to_vec()));
    node.says("newcomer").await;
    node.says("peer protocol 8 to 9").await;
    cluster.client().put(b"key", b"value").await.unwrap();
}
