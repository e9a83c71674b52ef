//! Nodes die and come back.

use std::time::Duration;

use kv_client::protocol::{Body, Consistency, Query, Reason, Refusal};
use kv_client::{Cause, Error, KvStore, ReadOptions};
use rustix::process::Signal;

use crate::cluster::{Cluster, eventually};
use crate::raw;

#[tokio::test]
async fn writes_resume_after_the_leader_was_killed_and_it_catches_up_after_its_restart() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader().await;
    let client = cluster.client();
    for number in 0..50 {
        client.append(b"list", format!("{number},").as_bytes()).await.unwrap();
    }
    cluster.nodes[leader].kill();
    for number in 50..100 {
        client.append(b"list", format!("{number},").as_bytes()).await.unwrap();
    }
    cluster.nodes[leader].start();
    let list: String = (0..100).map(|number| format!("{number},")).collect();
    for node in &cluster.nodes {
        node.has_applied("list", list.as_bytes()).await;
    }
    cluster.settle().await;
}

#[tokio::test]
async fn with_two_of_three_down_calls_fail_within_their_deadline_and_say_whether_they_may_be_applied() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader().await;
    let client = cluster.client();
    client.put(b"key", b"before").await.unwrap();
    for at in (0..3).filter(|&at| at != leader) {
        cluster.nodes[at].kill();
    }
    let impatient = client.clone().with_deadline(Duration::from_secs(2));
    let began = tokio::time::Instant::now();
    let written = impatient.put(b"key", b"after").await;
    let read = impatient.get(b"key", ReadOptions::default()).await;
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    assert!(matches!(written, Err(Error::Unknown(_))), "{written:?}");
    assert!(matches!(read, Err(Error::NotApplied(Cause::DeadlinePassed { .. }))), "{read:?}");
    // By now the leader knows that it is none: what comes now is not even proposed.
    let node = &cluster.nodes[leader];
    eventually("a leader that has stepped down", async || {
        node.status().await?.leader_id.is_none().then_some(())
    })
    .await;
    assert_eq!(node.applied("key").await.as_deref(), Some(&b"before"[..]), "what is applied is served");

    let revived = (leader + 1) % 3;
    cluster.nodes[revived].start();
    client.put(b"key", b"again").await.unwrap();
    cluster.nodes[revived].has_applied("key", b"again").await;
}

#[tokio::test]
async fn a_write_that_was_never_proposed_is_told_to_be_not_applied() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader().await;
    for at in (0..3).filter(|&at| at != leader) {
        cluster.nodes[at].kill();
    }
    let node = &cluster.nodes[leader];
    eventually("a leader that has stepped down", async || {
        node.status().await?.leader_id.is_none().then_some(())
    })
    .await;
    let mut raw = raw::Client::connect(&node.client);
    let refused = raw.put(b"key", b"value", 500).unwrap_err();
    assert_eq!(refused, Refusal::NoLeader);
    assert!(!refused.may_be_applied());
    assert_ne!(refused, Refusal::Unknown(Reason::DeadlinePassed));
}

#[tokio::test]
async fn a_follower_that_missed_what_the_log_has_forgotten_catches_up_by_snapshot() {
    let flags = ["--snapshot-bytes", "64KiB", "--snapshot-every", "16", "--log-retain", "16"];
    let mut cluster = Cluster::start_with(3, &flags);
    let behind = cluster.follower().await;
    let client = cluster.client();
    client.put(b"key-0", b"first").await.unwrap();
    cluster.nodes[behind].has_applied("key-0", b"first").await;
    let missed = cluster.nodes[behind].serves().await.log.last_index;
    cluster.nodes[behind].kill();

    let value = vec![b'v'; 16 << 10];
    let leader = cluster.leader().await;
    eventually("a log that has forgotten what the follower lacks", async || {
        for number in 0..32 {
            client.put(format!("key-{number}").as_bytes(), &value).await.unwrap();
        }
        (cluster.nodes[leader].status().await?.log.snapshot_index > missed + 64).then_some(())
    })
    .await;
    cluster.nodes[behind].start();
    cluster.nodes[behind].has_applied("key-31", &value).await;
    cluster.settle().await;
    assert!(cluster.nodes[behind].serves().await.log.snapshot_index > missed);
}

#[tokio::test]
async fn a_node_asked_to_stop_answers_what_is_under_way_and_exits_0() {
    let mut cluster = Cluster::start(1);
    cluster.leader().await;
    let client = cluster.client().with_deadline(Duration::from_millis(500));
    let writers: Vec<_> = (0..64)
        .map(|writer| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut count = 0;
                while client.put(format!("{writer}-{count}").as_bytes(), b"here").await.is_ok() {
                    count += 1;
                }
                count
            })
        })
        .collect();
    eventually("writes under way", async || cluster.nodes[0].applied("0-20").await).await;
    assert!(cluster.nodes[0].terminate().await.success());
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.push(writer.await.unwrap());
    }
    cluster.nodes[0].start();
    let client = cluster.client();
    for (writer, count) in acknowledged.into_iter().enumerate() {
        for number in 0..count {
            let key = format!("{writer}-{number}");
            let found = client.get(key.as_bytes(), ReadOptions::default()).await.unwrap();
            assert!(found.value.is_some(), "{key} was acknowledged");
        }
    }
}

#[tokio::test]
async fn a_node_asked_to_stop_a_second_time_ends_at_once() {
    let mut cluster = Cluster::start(1);
    let written = cluster.client().put(b"key", b"value").await.unwrap();
    let node = &mut cluster.nodes[0];
    // A read that waits for what does not come, and that a node in good order would wait for.
    let mut client = raw::Client::connect(&node.client);
    let query = Query::Get { key: b"key".to_vec() };
    let min_revision = written.revision + 1000;
    let read = Body::Read { consistency: Consistency::Serializable, min_revision, query };
    client.request(read, &[], 60_000);
    client.put(b"key", b"asked after it", 5000).unwrap();
    node.signal(Signal::TERM);
    node.says("stopping").await;
    node.signal(Signal::INT);
    assert_eq!(node.ended().await.code(), Some(1));
    node.says("SIGINT while stopping: ended at once").await;
}

#[tokio::test]
async fn all_nodes_killed_at_once_come_back_with_every_acknowledged_write() {
    let mut cluster = Cluster::start(3);
    let client = cluster.client();
    let writer = tokio::spawn({
        let client = client.clone();
        async move {
            let mut acknowledged = 0_u64;
            while client.put(format!("key-{acknowledged}").as_bytes(), b"here").await.is_ok() {
                acknowledged += 1;
                if acknowledged == 200 {
                    break;
                }
            }
            acknowledged
        }
    });
    eventually("writes under way", async || cluster.nodes[0].applied("key-20").await).await;
    cluster.nodes.iter_mut().for_each(crate::cluster::Node::kill);
    cluster.nodes.iter_mut().for_each(crate::cluster::Node::start);
    let acknowledged = writer.await.unwrap();
    assert!(acknowledged > 20);
    for number in 0..acknowledged {
        let found = client.get(format!("key-{number}").as_bytes(), ReadOptions::default()).await.unwrap();
        assert_eq!(found.value.expect("it was acknowledged").bytes, "here", "key-{number}");
    }
    cluster.settle().await;
}
