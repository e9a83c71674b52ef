//! Reads, scans, status and members.

use kv_client::protocol::{Consistency, RangeQuery, Role};
use kv_client::{Cause, Error, KvStore, ReadOptions, Scan};

use crate::fake::{Fake, Reachability};

fn serializable() -> ReadOptions {
    ReadOptions { consistency: Consistency::Serializable, ..ReadOptions::default() }
}

#[tokio::test(start_paused = true)]
async fn a_serializable_read_is_answered_by_the_first_endpoint_and_no_other() {
    let fake = Fake::three();
    let client = fake.client(&["n2", "n0"]);
    client.put(b"k", b"v").await.unwrap();
    let before = fake.seen().len();
    assert_eq!(client.get(b"k", serializable()).await.unwrap().value.unwrap().bytes, "v");
    Scan::prefix(&client, b"", serializable()).next_page().await.unwrap();
    assert!(fake.seen()[before..].iter().all(|seen| seen.node == 2));
    fake.state().nodes[2].reachability = Reachability::Down;
    let fresh = fake.client(&["n2", "n0"]);
    let error = fresh.get(b"k", serializable()).await.unwrap_err();
    assert!(matches!(error, Error::NotApplied(Cause::DeadlinePassed { .. })), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_scan_gives_every_key_once_in_the_order_of_their_bytes_whatever_the_page_size() {
    let fake = Fake::three();
    let client = fake.client(&["n0"]);
    let keys: Vec<Vec<u8>> = (0..=255).flat_map(|byte| [vec![byte], vec![b'p', byte]]).collect();
    for key in &keys {
        client.put(key, key).await.unwrap();
    }
    let mut sorted = keys;
    sorted.sort();
    sorted.dedup();
    for limit in [1, 7, 0] {
        let query = RangeQuery { limit, ..RangeQuery::default() };
        let mut scan = Scan::new(&client, query, ReadOptions::default());
        let mut found = Vec::new();
        while let Some(record) = scan.next().await.unwrap() {
            assert_eq!(record.key, record.value);
            found.push(record.key.to_vec());
        }
        assert_eq!(found, sorted);
    }
    let mut scan = Scan::prefix(&client, b"p", ReadOptions::default());
    let page = scan.next_page().await.unwrap().unwrap();
    assert_eq!((page.records.len(), page.more), (257, false));
    assert!(scan.next_page().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn later_pages_ask_for_a_state_no_older_than_the_first() {
    let fake = Fake::three();
    let client = fake.client(&["n0"]);
    for key in [b"a", b"b"] {
        client.put(key, b"").await.unwrap();
    }
    let query = RangeQuery { limit: 1, ..RangeQuery::default() };
    let mut scan = Scan::new(&client, query, ReadOptions::default());
    while scan.next().await.unwrap().is_some() {}
    let asked: Vec<_> = fake.seen().into_iter().map(|seen| seen.request.body).collect();
    let revision = |body: &kv_client::protocol::Body| match body {
        kv_client::protocol::Body::Read { min_revision, .. } => Some(*min_revision),
        _ => None,
    };
    assert_eq!(asked.iter().filter_map(revision).collect::<Vec<_>>(), [0, 3]);
}

#[tokio::test(start_paused = true)]
async fn status_asks_the_node_it_names_once() {
    let fake = Fake::three();
    let client = fake.client(&["n0"]);
    let status = client.status("n2").await.unwrap();
    assert_eq!((status.name.as_str(), status.role), ("n2", Role::Follower));
    fake.state().nodes[1].reachability = Reachability::Down;
    let error = client.status("n1").await.unwrap_err();
    assert_eq!(error.to_string(), "n1: cannot connect: connection refused");
    assert_eq!(fake.state().dials, [2, 1]);
}

#[tokio::test(start_paused = true)]
async fn any_node_names_the_members() {
    let fake = Fake::three();
    fake.state().leader = None;
    let members = fake.client(&["n1"]).members().await.unwrap();
    assert_eq!(members.iter().map(|member| &member.name[..]).collect::<Vec<_>>(), ["n0", "n1", "n2"]);
}
