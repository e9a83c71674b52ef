//! Clients that end without closing their sessions, and those that go on.

use kv_client::command::{Command, Outcome};
use kv_client::protocol::{Answer, Body};
use kv_client::{KvStore, ReadOptions};
use kv_service::store::MAX_SESSIONS;

use crate::cluster::Cluster;
use crate::raw;

/// Opens as many sessions as there may be, and leaves them behind.
fn leak_sessions(address: &str) {
    let mut client = raw::Client::connect(address);
    let mut command = Vec::new();
    Command::OpenSession.encode(&mut command).expect("it has no limits");
    for _ in 0..MAX_SESSIONS / 500 {
        for _ in 0..500 {
            client.request(Body::Write { tag: None }, &command, 20_000);
        }
        for _ in 0..500 {
            let (reply, _) = client.reply();
            assert!(matches!(reply.result, Ok(Answer::Applied(Outcome::SessionOpened { .. }))), "{reply:?}");
        }
    }
}

#[tokio::test]
async fn sessions_that_were_left_behind_keep_nobody_from_writing_and_nothing_is_applied_twice() {
    let cluster = Cluster::start(3);
    let leader = &cluster.nodes[cluster.leader().await];
    let early = cluster.client();
    early.append(b"list", b"a").await.unwrap();
    leak_sessions(&leader.client);
    assert_eq!(leader.serves().await.store.sessions, MAX_SESSIONS);
    // Its session was idle longest and is gone. It opens another one by itself.
    early.append(b"list", b"b").await.unwrap();
    let late = cluster.client();
    late.append(b"list", b"c").await.unwrap();
    early.append(b"list", b"d").await.unwrap();
    let list = late.get(b"list", ReadOptions::default()).await.unwrap();
    assert_eq!(list.value.unwrap().bytes, "abcd");
    assert_eq!(leader.serves().await.store.sessions, MAX_SESSIONS);
    // The same sessions have gone on every node.
    cluster.settle().await;
}
