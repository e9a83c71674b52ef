//! When the time is over, the error says whether a write may be applied.

use std::time::Duration;

use kv_client::protocol::{Body, Reason, Refusal};
use kv_client::{Cause, Client, Error, KvStore, Options, ReadOptions, Response};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::fake::{Action, Fake, Reachability, Seen};

/// What a put in an open session comes to when the nodes do this to writes from then on.
async fn put_under(script: impl FnMut(&Seen) -> Action + Send + 'static) -> (Error, Duration) {
    let fake = Fake::three();
    let client = fake.client(&["n0", "n1", "n2"]);
    client.put(b"k", b"v").await.unwrap();
    fake.script(script);
    let started = Instant::now();
    let error = client.put(b"k", b"w").await.unwrap_err();
    (error, started.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_write_that_every_node_refused_is_not_applied() {
    for refusal in [
        Refusal::NotLeader { leader: None },
        Refusal::NoLeader,
        Refusal::Busy,
        Refusal::NotApplied(Reason::LeadershipLost),
    ] {
        let (error, took) = put_under(move |_| Action::Refuse(refusal.clone())).await;
        let Error::NotApplied(Cause::DeadlinePassed { deadline, attempts, last }) = error else {
            panic!("{error}")
        };
        assert_eq!((deadline, took), (Duration::from_secs(5), Duration::from_secs(5)));
        assert!(attempts > 20 && last.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_no_node_could_be_asked_for_is_not_applied() {
    let fake = Fake::three();
    for node in &mut fake.state().nodes {
        node.reachability = Reachability::Down;
    }
    let error = fake.client(&["n0", "n1"]).put(b"k", b"v").await.unwrap_err();
    assert!(matches!(error, Error::NotApplied(Cause::DeadlinePassed { .. })), "{error}");
    let text = error.to_string();
    assert!(
        text.starts_with("not applied: no answer within 5s (") && text.contains("cannot connect"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_sent_and_never_answered_has_an_unknown_outcome() {
    let (error, took) = put_under(|_| Action::Ignore).await;
    assert!(matches!(error, Error::Unknown(Cause::DeadlinePassed { .. })), "{error}");
    assert_eq!(took, Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_stays_unknown_however_often_later_attempts_are_refused() {
    let mut first = true;
    let (error, _) = put_under(move |_| match std::mem::replace(&mut first, false) {
        true => Action::Refuse(Refusal::Unknown(Reason::LeadershipLost)),
        false => Action::Refuse(Refusal::NoLeader),
    })
    .await;
    assert!(matches!(error, Error::Unknown(Cause::DeadlinePassed { .. })), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_read_is_never_unknown() {
    let fake = Fake::three();
    fake.script(|_| Action::Ignore);
    let error = fake.client(&["n0"]).get(b"k", ReadOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::NotApplied(Cause::DeadlinePassed { .. })), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_could_not_be_opened_leaves_the_write_not_applied() {
    let fake = Fake::three();
    fake.script(|_| Action::Ignore);
    let error = fake.client(&["n0"]).put(b"k", b"v").await.unwrap_err();
    assert!(matches!(error, Error::NotApplied(Cause::DeadlinePassed { .. })), "{error}");
}

/// A client whose connection is so full that what it writes next waits, unsent; and the write that fills it.
async fn stalled(fake: &Fake) -> (Client, JoinHandle<Result<Response<()>, Error>>) {
    let options = Options { attempt_timeout: Duration::from_secs(60), ..Options::default() };
    let client = fake.client_with(&["n0"], options).with_deadline(Duration::from_secs(20));
    client.put(b"k", b"v").await.unwrap();
    fake.deaf(true);
    let big = tokio::spawn({
        let client = client.clone();
        async move { client.put(b"big", &vec![0; 1 << 20]).await }
    });
    tokio::task::yield_now().await;
    (client, big)
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_given_up_unsent_is_never_sent_later() {
    let fake = Fake::new(["n0"]);
    let (client, big) = stalled(&fake).await;
    let error = client.clone().with_deadline(Duration::from_secs(1)).put(b"k", b"late").await.unwrap_err();
    assert!(matches!(error, Error::NotApplied(Cause::DeadlinePassed { .. })), "{error}");
    timeout(Duration::from_secs(1), client.put(b"k", b"dropped")).await.unwrap_err();
    fake.deaf(false);
    big.await.unwrap().unwrap();
    client.put(b"k", b"after").await.unwrap();
    let written = fake.seen().iter().filter(|seen| seen.is_tagged()).count();
    assert_eq!(written, 3, "the first, the big one, the one after");
}

#[tokio::test(start_paused = true)]
async fn of_the_writes_on_a_connection_that_breaks_those_not_yet_sent_are_not_applied() {
    let fake = Fake::new(["n0"]);
    let (client, big) = stalled(&fake).await;
    let unsent = tokio::spawn(async move { client.put(b"k", b"unsent").await });
    tokio::task::yield_now().await;
    fake.state().nodes[0].reachability = Reachability::Down;
    fake.hang_up();
    let error = unsent.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::NotApplied(Cause::DeadlinePassed { .. })), "{error}");
    let error = big.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Unknown(Cause::DeadlinePassed { .. })), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_node_is_told_a_deadline_a_little_before_the_callers_own() {
    let fake = Fake::three();
    let client = fake.client(&["n0"]);
    for (deadline, told) in [(5000, 1900), (300, 270), (10, 9), (1, 1)] {
        let client = client.clone().with_deadline(Duration::from_millis(deadline));
        client.get(b"k", ReadOptions::default()).await.unwrap();
        assert_eq!(fake.seen().last().unwrap().request.deadline_ms, told);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hung_node_is_left_after_one_attempt_by_all_who_wait_for_it() {
    let fake = Fake::three();
    let client = fake.client(&["n0", "n1"]);
    client.put(b"k", b"v").await.unwrap();
    fake.state().leader = Some(1);
    fake.script(|seen| if seen.node == 0 { Action::Ignore } else { Action::Serve });
    let started = Instant::now();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let client = client.clone();
        callers.spawn(async move { client.increment(b"n", 1).await });
    }
    while let Some(joined) = callers.join_next().await {
        joined.unwrap().unwrap();
    }
    let took = started.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_millis(2100)).contains(&took), "{took:?}");
    assert_eq!(fake.state().store.value(b"n"), Some(&b"50"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_sends_nothing_while_it_owes_replies_loses_its_connection() {
    let fake = Fake::new(["n0"]);
    let client = fake.client(&["n0"]).with_deadline(Duration::from_millis(600));
    fake.script(|_| Action::Ignore);
    for _ in 0..2 {
        client.get(b"k", ReadOptions::default()).await.unwrap_err();
    }
    fake.script(|_| Action::Serve);
    client.get(b"k", ReadOptions::default()).await.unwrap();
    assert_eq!(fake.state().dials, [0, 0], "silent for 1.2 s");
}

#[tokio::test(start_paused = true)]
async fn a_late_reply_is_not_taken_for_another() {
    let fake = Fake::new(["n0"]);
    let client = fake.client(&["n0"]);
    for (key, value) in [(b"a", b"1"), (b"b", b"2")] {
        client.put(key, value).await.unwrap();
    }
    fake.script({
        let mut first = true;
        move |seen| match (&seen.request.body, std::mem::replace(&mut first, false)) {
            (Body::Read { .. }, true) => Action::Hold,
            _ => Action::Serve,
        }
    });
    let short = client.clone().with_deadline(Duration::from_millis(50));
    short.get(b"a", ReadOptions::default()).await.unwrap_err();
    fake.release();
    assert_eq!(client.get(b"b", ReadOptions::default()).await.unwrap().value.unwrap().bytes, "2");
    assert_eq!(fake.state().dials, [0]);
}
