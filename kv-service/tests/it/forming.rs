//! A cluster comes into being, by one command line on every node.

use kv_client::KvStore;
use kv_client::ReadOptions;

use crate::cluster::{Cluster, eventually};

#[tokio::test]
async fn three_nodes_form_a_cluster_and_serve() {
    let cluster = Cluster::start(3);
    let leader = cluster.leader().await;
    let client = cluster.client();
    client.put(b"greeting", b"hello").await.unwrap();
    let found = client.get(b"greeting", ReadOptions::default()).await.unwrap();
    assert_eq!(found.value.unwrap().bytes, "hello");
    for node in &cluster.nodes {
        node.has_applied("greeting", b"hello").await;
    }
    cluster.settle().await;

    let members = client.members().await.unwrap();
    for node in &cluster.nodes {
        let member = members.iter().find(|member| member.name == node.name).unwrap();
        assert_eq!((&member.peer_address, &member.client_address), (&node.peer, &node.client));
        assert!(member.voter);
    }
    let led = cluster.nodes[leader].serves().await;
    for node in &cluster.nodes {
        let status = node.serves().await;
        assert_eq!((&status.cluster_id, &status.leader_id), (&led.cluster_id, &Some(led.node_id.clone())));
        assert_eq!((status.note, status.members.len()), (None, 3));
    }
}

#[tokio::test]
async fn a_node_that_lists_only_itself_serves_alone_and_keeps_what_it_acknowledged() {
    let mut cluster = Cluster::start(1);
    let client = cluster.client();
    assert_eq!(client.increment(b"count", 7).await.unwrap().value, 7);
    let before = cluster.nodes[0].serves().await;
    assert!(cluster.nodes[0].terminate().await.success());
    cluster.nodes[0].start();
    assert_eq!(client.increment(b"count", 1).await.unwrap().value, 8);
    cluster.nodes[0].kill();
    cluster.nodes[0].start();
    assert_eq!(client.increment(b"count", 1).await.unwrap().value, 9);
    let after = cluster.nodes[0].serves().await;
    assert_eq!((before.node_id, before.cluster_id), (after.node_id, after.cluster_id));
}

#[tokio::test]
async fn nobody_founds_a_cluster_before_every_listed_node_has_answered() {
    let mut cluster = Cluster::plan(3, &[]);
    cluster.nodes[0].start();
    cluster.nodes[1].start();
    let missing = cluster.nodes[2].peer.clone();
    let founder = (0..2).min_by_key(|&at| cluster.nodes[at].peer.clone()).unwrap();
    if cluster.nodes[founder].peer < missing {
        cluster.nodes[founder].says(&missing).await;
    }
    for at in [0, 1] {
        let note = eventually("a note", async || cluster.nodes[at].status().await?.note).await;
        assert!(cluster.nodes[at].status().await.unwrap().cluster_id.is_none(), "{note}");
    }
    cluster.nodes[2].start();
    cluster.leader().await;
    for node in &cluster.nodes {
        eventually("no note", async || node.status().await?.note.is_none().then_some(())).await;
    }
}

#[tokio::test]
async fn nodes_with_different_lists_found_nothing_and_say_so() {
    let (mut first, mut second) = (Cluster::plan(2, &[]), Cluster::plan(1, &[]));
    // Two of the first cluster, of which one also lists a third node.
    let third = &second.nodes[0].peer;
    let longer = format!("{},{},{third}", first.nodes[0].peer, first.nodes[1].peer);
    first.nodes[0].start();
    first.nodes[1].join_instead(&longer);
    first.nodes[1].start();
    for at in [0, 1] {
        first.nodes[at].says("was given another list").await;
        assert_eq!(first.nodes[at].serves().await.cluster_id, None);
    }
    second.nodes.clear();
}
