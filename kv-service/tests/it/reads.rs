//! Which node may answer a read, and with what.

use kv_client::protocol::{Answer, Body, Consistency, Query, Refusal};
use kv_client::{KvStore, ReadOptions};
use rustix::process::Signal;

use crate::cluster::{Cluster, eventually};
use crate::raw;

fn get(key: &[u8], consistency: Consistency, min_revision: u64) -> Body {
    Body::Read { consistency, min_revision, query: Query::Get { key: key.to_vec() } }
}

#[tokio::test]
async fn a_follower_sends_writes_to_the_leader_and_answers_reads_itself() {
    let cluster = Cluster::start(3);
    let leader = cluster.leader().await;
    let led = cluster.nodes[leader].serves().await;
    for node in cluster.nodes.iter().filter(|node| node.client != cluster.nodes[leader].client) {
        let mut client = raw::Client::connect(&node.client);
        let refused = client.put(b"key", b"other", 5000);
        let Err(Refusal::NotLeader { leader: Some(told) }) = refused else { panic!("{refused:?}") };
        assert_eq!(
            (told.client_address, format!("{:016x}", told.id)),
            (led.client_address.clone(), led.node_id.clone())
        );
        for number in 0..20 {
            let value = format!("{number}");
            cluster.client().put(b"key", value.as_bytes()).await.unwrap();
            let (_, found) = client.ask(get(b"key", Consistency::Linearizable, 0), 5000).unwrap();
            assert_eq!(found, value.as_bytes(), "what was acknowledged before is seen");
        }
        let (answer, _) = client.ask(get(b"key", Consistency::Serializable, 0), 5000).unwrap();
        assert!(matches!(answer, Answer::Value(Some(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn a_read_on_a_follower_waits_for_the_revision_it_asks_for() {
    let cluster = Cluster::start(3);
    let client = cluster.client();
    let follower = cluster.follower().await;
    let read = |min_revision| ReadOptions { consistency: Consistency::Serializable, min_revision };
    let direct = cluster.nodes[follower].own_client();
    for number in 0..50 {
        let written = client.put(b"key", format!("{number}").as_bytes()).await.unwrap();
        let found = direct.get(b"key", read(written.revision)).await.unwrap();
        assert!(found.revision >= written.revision);
        assert_eq!(found.value.unwrap().bytes, format!("{number}"));
    }
}

#[tokio::test]
async fn a_read_of_a_revision_that_does_not_come_says_what_there_is() {
    let cluster = Cluster::start(1);
    let written = cluster.client().put(b"key", b"value").await.unwrap();
    let mut client = raw::Client::connect(&cluster.nodes[0].client);
    let wanted = written.revision + 100;
    for consistency in [Consistency::Serializable, Consistency::Linearizable] {
        let refused = client.ask(get(b"key", consistency, wanted), 200).unwrap_err();
        assert_eq!(refused, Refusal::RevisionNotReached { wanted, found: written.revision });
    }
}

#[tokio::test]
async fn a_read_by_lease_needs_no_quorum_where_it_is_allowed_and_is_linearizable_where_it_is_not() {
    for (flags, allowed) in [(&["--lease-drift", "10"][..], true), (&[], false)] {
        // A leader that nobody answers goes on for a while.
        let flags = [&["--election-timeout", "2s"], flags].concat();
        let cluster = Cluster::start_with(3, &flags);
        let leader = cluster.leader().await;
        cluster.client().put(b"key", b"value").await.unwrap();
        let mut client = raw::Client::connect(&cluster.nodes[leader].client);
        client.ask(get(b"key", Consistency::Lease, 0), 5000).unwrap();
        let followers = || (0..3).filter(|&at| at != leader);
        followers().for_each(|at| cluster.nodes[at].signal(Signal::STOP));
        let by_lease = client.ask(get(b"key", Consistency::Lease, 0), 400);
        let by_quorum = client.ask(get(b"key", Consistency::Linearizable, 0), 400);
        assert_eq!((by_lease.is_ok(), by_quorum.is_ok()), (allowed, false), "{by_lease:?}");
        followers().for_each(|at| cluster.nodes[at].signal(Signal::CONT));
        let follower = followers().next().unwrap();
        let mut client = raw::Client::connect(&cluster.nodes[follower].client);
        eventually("an answer by way of the leader", async || {
            client.ask(get(b"key", Consistency::Lease, 0), 1000).ok()
        })
        .await;
    }
}
