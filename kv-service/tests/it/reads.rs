//! Which node may answer a read, and with what.

use kv_client::protocol::{Answer, Body, Consistency, Query, Refusal};
use kv_client::{KvStore, ReadOptions};

use crate::cluster::Cluster;
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
