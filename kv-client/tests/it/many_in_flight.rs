//! Many requests on one connection.

use kv_client::{KvStore, ReadOptions};
use tokio::task::JoinSet;

use crate::fake::{Action, Fake};

#[tokio::test(start_paused = true)]
async fn replies_in_any_order_reach_their_callers() {
    let fake = Fake::three();
    let client = fake.client(&["n0"]);
    for number in 0..200_u32 {
        client.put(&number.to_be_bytes(), number.to_string().as_bytes()).await.unwrap();
    }
    let before = fake.seen().len();
    fake.script(|_| Action::Hold);
    let mut callers = JoinSet::new();
    for number in 0..200_u32 {
        let client = client.clone();
        callers.spawn(async move {
            let found = client.get(&number.to_be_bytes(), ReadOptions::default()).await.unwrap();
            assert_eq!(found.value.unwrap().bytes, number.to_string());
        });
    }
    fake.wait_for(before + 200).await;
    fake.release();
    while let Some(joined) = callers.join_next().await {
        joined.unwrap();
    }
    assert_eq!(fake.state().dials, [0]);
}

#[tokio::test(start_paused = true)]
async fn requests_beyond_the_slots_of_a_connection_wait_and_are_served() {
    let fake = Fake::three();
    let client = fake.client(&["n0"]);
    let mut callers = JoinSet::new();
    for _ in 0..5000 {
        let client = client.clone();
        callers.spawn(async move { client.get(b"k", ReadOptions::default()).await });
    }
    while let Some(joined) = callers.join_next().await {
        joined.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn large_values_pass_while_small_requests_go_on() {
    let fake = Fake::three();
    let client = fake.client(&["n0"]);
    let mut callers = JoinSet::new();
    for number in 0..16_u8 {
        let client = client.clone();
        callers.spawn(async move {
            let value = vec![number; if number % 2 == 0 { 1 << 20 } else { 10 }];
            client.put(&[b'k', number], &value).await.unwrap();
            let found = client.get(&[b'k', number], ReadOptions::default()).await.unwrap();
            assert!(found.value.unwrap().bytes == value);
        });
    }
    while let Some(joined) = callers.join_next().await {
        joined.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn writes_of_many_callers_survive_connections_that_break_all_the_time() {
    let fake = Fake::three();
    let mut count = 0;
    fake.script(move |_| {
        count += 1;
        match count % 7 {
            0 => Action::ServeAndClose,
            3 => Action::Close,
            _ => Action::Serve,
        }
    });
    let client = fake.client(&["n0", "n1", "n2"]);
    let mut callers = JoinSet::new();
    for _ in 0..40 {
        let client = client.clone();
        callers.spawn(async move { client.increment(b"n", 1).await });
    }
    while let Some(joined) = callers.join_next().await {
        joined.unwrap().unwrap();
    }
    assert_eq!(fake.state().store.value(b"n"), Some(&b"40"[..]));
}
