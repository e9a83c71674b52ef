//! A node whose data folder was removed comes back as somebody else.

use std::fs;
use std::time::Duration;

use kv_client::KvStore;
use kv_client::protocol::{Body, Consistency, Query, RangeQuery, Reason, Refusal};

use crate::cluster::{Cluster, eventually, kvctl};
use crate::raw;

#[tokio::test]
async fn a_node_that_lost_its_folder_is_a_stranger_and_both_sides_say_so() {
    let mut cluster = Cluster::start(3);
    let lost = cluster.follower().await;
    let client = cluster.client();
    client.put(b"key", b"value").await.unwrap();
    let before = cluster.nodes[lost].serves().await;
    cluster.nodes[lost].kill();
    fs::remove_dir_all(&cluster.nodes[lost].dir).unwrap();
    cluster.nodes[lost].start();

    let note = eventually("a note", async || cluster.nodes[lost].status().await?.note).await;
    let note = match note.contains("stranger") {
        true => note,
        false => {
            eventually("that it is a stranger", async || {
                cluster.nodes[lost].status().await?.note.filter(|note| note.contains("stranger"))
            })
            .await
        }
    };
    assert!(note.contains(&before.node_id) && note.contains("never an older copy"), "{note}");
    let status = cluster.nodes[lost].serves().await;
    assert!(status.node_id != before.node_id && status.cluster_id.is_none() && status.term == 0);
    cluster.nodes[lost].says("stranger").await;
    let other = (lost + 1) % 3;
    cluster.nodes[other].says(&status.node_id).await;
    client.put(b"key", b"other").await.unwrap();
    assert_eq!(cluster.nodes[lost].applied("key").await, None, "it takes no part");
}

#[tokio::test]
async fn a_stranger_does_not_answer_reads_as_if_the_store_were_empty() {
    let mut cluster = Cluster::start(3);
    let lost = cluster.follower().await;
    cluster.client().put(b"key", b"value").await.unwrap();
    cluster.nodes[lost].has_applied("key", b"value").await;
    let backup = cluster.scratch().join("backup.jsonl");
    let node = &mut cluster.nodes[lost];
    let mut export = kvctl();
    export
        .args(["--timeout", "1s", "-e", &node.client, "export", "--consistency", "serializable"])
        .arg(&backup);
    assert!(export.output().unwrap().status.success());
    let whole = fs::read_to_string(&backup).unwrap();
    assert!(whole.contains("value"), "{whole}");

    node.kill();
    fs::remove_dir_all(&node.dir).unwrap();
    node.start();
    node.says("stranger").await;
    let mut client = raw::Client::connect(&node.client);
    for query in [Query::Get { key: b"key".to_vec() }, Query::Range(RangeQuery::default())] {
        let read = |consistency, query| Body::Read { consistency, min_revision: 0, query };
        let refused = client.ask(read(Consistency::Serializable, query.clone()), 5000).unwrap_err();
        assert_eq!(refused, Refusal::NotApplied(Reason::NoCluster));
        assert_eq!(client.ask(read(Consistency::Linearizable, query), 5000).unwrap_err(), Refusal::NoLeader);
    }
    let exported = export.output().unwrap();
    assert_eq!(exported.status.code(), Some(5), "{exported:?}");
    assert!(String::from_utf8_lossy(&exported.stderr).contains("belongs to no cluster"), "{exported:?}");
    assert_eq!(fs::read_to_string(&backup).unwrap(), whole, "the older backup is untouched");
}

#[tokio::test]
async fn a_member_that_has_applied_nothing_since_its_start_does_not_answer_reads() {
    let mut cluster = Cluster::start(3);
    cluster.client().put(b"key", b"value").await.unwrap();
    cluster.nodes.iter_mut().for_each(crate::cluster::Node::kill);
    let node = &mut cluster.nodes[0];
    node.start();
    node.serves().await;
    let mut client = raw::Client::connect(&node.client);
    let query = Query::Get { key: b"key".to_vec() };
    let read = Body::Read { consistency: Consistency::Serializable, min_revision: 0, query };
    let refused = client.ask(read, 5000).unwrap_err();
    assert_eq!(refused, Refusal::NotApplied(Reason::NothingApplied));
}

#[tokio::test]
async fn with_a_stranger_and_another_node_down_nobody_is_elected() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader().await;
    let (lost, left) = ((leader + 1) % 3, (leader + 2) % 3);
    cluster.client().put(b"key", b"value").await.unwrap();
    cluster.nodes[lost].kill();
    fs::remove_dir_all(&cluster.nodes[lost].dir).unwrap();
    cluster.nodes[lost].start();
    cluster.nodes[lost].says("stranger").await;
    cluster.nodes[leader].kill();

    let left = &cluster.nodes[left];
    eventually("a follower that misses its leader", async || {
        left.status().await?.leader_id.is_none().then_some(())
    })
    .await;
    // Several election timeouts.
    left.stays_leaderless(Duration::from_secs(3)).await;
    let impatient = cluster.client().with_deadline(Duration::from_secs(1));
    impatient.put(b"key", b"other").await.unwrap_err();
    cluster.nodes[leader].start();
    cluster.client().put(b"key", b"again").await.unwrap();
}
