//! Finding the leader and following it.

use std::time::Duration;

use kv_client::protocol::{Answer, HelloRefusal, Leader, Reason, Refusal};
use kv_client::{Cause, Error, KvStore, NoEndpoints, Options, Problem, ReadOptions};
use tokio::time::Instant;

use crate::fake::{Action, Fake, Reachability};

/// The nodes that requests went to.
fn asked(fake: &Fake) -> Vec<usize> {
    fake.seen().iter().map(|seen| seen.node).collect()
}

#[tokio::test(start_paused = true)]
async fn one_endpoint_is_enough_to_find_the_leader_and_the_client_stays_with_it() {
    let fake = Fake::three();
    fake.state().leader = Some(2);
    let client = fake.client(&["n1"]);
    let written = client.put(b"k", b"v").await.unwrap();
    assert_eq!((written.revision, written.term, written.index), (2, 1, 3));
    assert_eq!(client.get(b"k", ReadOptions::default()).await.unwrap().value.unwrap().bytes, "v");
    assert_eq!(asked(&fake), [1, 2, 2, 2], "one redirect, then session, put and get at the leader");
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_followed_at_once() {
    let fake = Fake::three();
    let started = Instant::now();
    fake.client(&["n1"]).get(b"k", ReadOptions::default()).await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn without_a_hint_each_node_is_asked_in_turn_with_a_pause_between() {
    let fake = Fake::three();
    fake.state().leader = Some(2);
    fake.script(|seen| match seen.node {
        2 => Action::Serve,
        _ => Action::Refuse(Refusal::NotLeader { leader: None }),
    });
    let started = Instant::now();
    fake.client(&["n0"]).get(b"k", ReadOptions::default()).await.unwrap();
    assert_eq!(asked(&fake), [0, 1, 2], "the others were learned from the one endpoint");
    let pauses = started.elapsed();
    assert!((Duration::from_millis(30)..Duration::from_millis(65)).contains(&pauses), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn when_the_leader_dies_the_next_one_is_found_though_it_was_no_endpoint() {
    let fake = Fake::three();
    let client = fake.client(&["n0"]);
    client.increment(b"n", 1).await.unwrap();
    fake.script(|seen| if seen.node == 0 { Action::Close } else { Action::Serve });
    fake.state().leader = Some(2);
    fake.state().nodes[0].reachability = Reachability::Down;
    assert_eq!(client.increment(b"n", 1).await.unwrap().value, 2);
    assert_eq!(*asked(&fake).last().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_connected_to_by_another_address_is_not_connected_to_again() {
    let fake = Fake::three();
    fake.script(|seen| match seen.node {
        1 => {
            let leader = Leader { id: 1, client_address: "an address from another network".to_owned() };
            Action::Refuse(Refusal::NotLeader { leader: Some(leader) })
        }
        _ => Action::Serve,
    });
    let client = fake.client(&["n0", "n1"]);
    client.get(b"k", ReadOptions::default()).await.unwrap();
    fake.script({
        let mut refused = false;
        move |seen| match (seen.node, std::mem::replace(&mut refused, true)) {
            (0, false) => Action::Refuse(Refusal::NotLeader { leader: None }),
            (1, _) => {
                let leader = Leader { id: 1, client_address: "an address from another network".to_owned() };
                Action::Refuse(Refusal::NotLeader { leader: Some(leader) })
            }
            _ => Action::Serve,
        }
    });
    client.get(b"k", ReadOptions::default()).await.unwrap();
    assert_eq!(asked(&fake), [0, 0, 1, 0]);
    assert_eq!(fake.state().dials, [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn nodes_that_point_at_each_other_are_not_asked_in_a_tight_loop() {
    let fake = Fake::three();
    fake.script(|seen| {
        let other = 1 - seen.node;
        let leader = Leader { id: other as u64 + 1, client_address: format!("n{other}") };
        Action::Refuse(Refusal::NotLeader { leader: Some(leader) })
    });
    let error = fake.client(&["n0"]).get(b"k", ReadOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::NotApplied(Cause::DeadlinePassed { .. })), "{error}");
    let requests = asked(&fake).len();
    assert!((60..=180).contains(&requests), "{requests} requests in 5 s");
}

#[tokio::test(start_paused = true)]
async fn a_busy_leader_is_asked_again_and_no_other_node() {
    let fake = Fake::three();
    fake.script({
        let mut left = 3;
        move |_| match left {
            0 => Action::Serve,
            _ => {
                left -= 1;
                Action::Refuse(Refusal::Busy)
            }
        }
    });
    fake.client(&["n0"]).get(b"k", ReadOptions::default()).await.unwrap();
    assert_eq!(asked(&fake), [0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_accepts_no_connection_costs_the_connect_timeout_once_for_all_callers() {
    let fake = Fake::three();
    fake.state().nodes[1].reachability = Reachability::BlackHole;
    let client = fake.client(&["n1", "n0"]);
    let started = Instant::now();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let client = client.clone();
        callers.spawn(async move { client.get(b"k", ReadOptions::default()).await });
    }
    while let Some(joined) = callers.join_next().await {
        joined.unwrap().unwrap();
    }
    let took = started.elapsed();
    let timeout = Options::default().connect_timeout;
    assert!((timeout..timeout + Duration::from_millis(100)).contains(&took), "{took:?}");
    assert_eq!(fake.state().dials, [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_node_of_another_cluster_is_not_believed() {
    let fake = Fake::three();
    fake.state().nodes[1].cluster_id = 0xbad;
    fake.state().leader = None;
    let client = fake.client(&["n0", "n1"]).with_deadline(Duration::from_millis(250));
    client.get(b"k", ReadOptions::default()).await.unwrap_err();
    let error = client.status("n1").await.unwrap_err().to_string();
    assert!(error.contains("n1: it belongs to cluster 00000000000000000000000000000bad"), "{error}");
    assert!(asked(&fake).iter().all(|&node| node != 1));
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_end_the_call_at_once_and_a_full_node_is_passed_over() {
    let fake = Fake::three();
    let name = || "n1".to_owned();
    fake.state().nodes[1].refusal = Some(HelloRefusal::TooManyConnections { name: name(), most: 1 });
    fake.client(&["n1", "n0"]).get(b"k", ReadOptions::default()).await.unwrap();
    fake.state().nodes[1].refusal = Some(HelloRefusal::Credentials { name: name() });
    let started = Instant::now();
    let error = fake.client(&["n1", "n0"]).put(b"k", b"v").await.unwrap_err();
    assert_eq!(error.to_string(), "not applied: n1: node n1 does not accept these credentials");
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn another_service_behind_an_address_is_named_and_passed_over() {
    let fake = Fake::three();
    fake.state().nodes[1].reachability = Reachability::WebServer;
    let client = fake.client(&["n1", "n0"]);
    client.get(b"k", ReadOptions::default()).await.unwrap();
    let error = client.status("n1").await.unwrap_err().to_string();
    assert!(error.starts_with("n1: not a node's client port: stream opens with \"HTTP\""), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_another_question_ends_the_call() {
    let fake = Fake::three();
    fake.script(|_| Action::Say(Answer::Members(Vec::new())));
    let client = fake.client(&["n0"]);
    let error = client.get(b"k", ReadOptions::default()).await.unwrap_err();
    let Error::NotApplied(Cause::Refused(refused)) = &error else { panic!("{error}") };
    assert!(matches!(refused.problem, Problem::Unexpected { expected: "value" }));
    fake.script(|seen| match seen.is_tagged() {
        true => Action::Say(Answer::Members(Vec::new())),
        false => Action::Serve,
    });
    let error = client.put(b"k", b"v").await.unwrap_err();
    assert!(matches!(error, Error::Unknown(Cause::Refused(_))), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_is_left_for_another() {
    let fake = Fake::three();
    fake.state().leader = Some(1);
    fake.script(|seen| match seen.node {
        0 => Action::Refuse(Refusal::NotApplied(Reason::Stopping)),
        _ => Action::Serve,
    });
    fake.client(&["n0"]).put(b"k", b"v").await.unwrap();
}

#[test]
fn a_client_without_endpoints_is_an_error() {
    let none: [&str; 0] = [];
    assert_eq!(kv_client::Client::new(none, Options::default()).unwrap_err(), NoEndpoints);
}
