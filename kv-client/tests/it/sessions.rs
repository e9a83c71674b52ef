//! Writes are applied exactly once.

use std::time::Duration;

use kv_client::command::{Expect, SessionTag};
use kv_client::protocol::{Reason, Refusal};
use kv_client::{Cause, Client, Error, KvStore, Options, ReadOptions, Rejection};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::fake::{Action, Fake, Seen};

/// Does `action` with the first write in a session, and serves everything else.
fn first_write(action: Action) -> impl FnMut(&Seen) -> Action + Send {
    let mut first = Some(action);
    move |seen| if seen.is_tagged() { first.take().unwrap_or(Action::Serve) } else { Action::Serve }
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_reply_is_lost_is_sent_again_with_the_same_tag_and_applied_once() {
    for lost in [
        Action::ServeAndClose,
        Action::ServeSilently,
        Action::Ignore,
        Action::Close,
        Action::Refuse(Refusal::Unknown(Reason::LeadershipLost)),
        Action::Refuse(Refusal::Busy),
    ] {
        let fake = Fake::three();
        fake.script(first_write(lost));
        assert_eq!(fake.client(&["n0"]).increment(b"n", 1).await.unwrap().value, 1);
        let tags = fake.tags();
        assert!(tags.len() >= 2 && tags.iter().all(|tag| *tag == tags[0]), "{tags:?}");
        assert_eq!(fake.state().store.value(b"n"), Some(&b"1"[..]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_at_the_next_leader_gets_the_outcome_of_the_first_copy() {
    let fake = Fake::three();
    let client = fake.client(&["n0"]);
    client.put(b"k", b"").await.unwrap();
    let moved = fake.clone();
    fake.script({
        let mut first = true;
        move |_| match std::mem::replace(&mut first, false) {
            true => Action::ServeAndClose,
            false => Action::Serve,
        }
    });
    let writing = tokio::spawn(async move { client.append(b"k", b"x").await });
    moved.wait_for(3).await;
    moved.state().leader = Some(2);
    assert_eq!(writing.await.unwrap().unwrap().value, 1);
    assert_eq!(moved.state().store.value(b"k"), Some(&b"x"[..]));
}

#[tokio::test(start_paused = true)]
async fn the_lowest_unacknowledged_sequence_moves_with_the_writes_that_have_ended() {
    let fake = Fake::three();
    let client = fake.client(&["n0"]);
    for _ in 0..2 {
        client.increment(b"n", 1).await.unwrap();
    }
    fake.script(first_write(Action::Hold));
    let held = tokio::spawn({
        let client = client.clone();
        async move { client.increment(b"n", 1).await }
    });
    fake.wait_for(4).await;
    client.increment(b"n", 1).await.unwrap();
    client.increment(b"n", 1).await.unwrap();
    fake.release();
    held.await.unwrap().unwrap();
    client.increment(b"n", 1).await.unwrap();
    let numbers: Vec<_> = fake.tags().iter().map(|tag| (tag.sequence, tag.lowest_unacknowledged)).collect();
    assert_eq!(numbers, [(0, 0), (1, 1), (2, 2), (3, 2), (4, 2), (5, 5)]);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_its_caller_gave_up_does_not_hold_the_window() {
    let fake = Fake::three();
    let client = fake.client(&["n0"]);
    client.put(b"k", b"v").await.unwrap();
    fake.script(first_write(Action::Ignore));
    let dropped = timeout(Duration::from_millis(10), client.put(b"k", b"w")).await;
    assert!(dropped.is_err());
    client.put(b"k", b"x").await.unwrap();
    let SessionTag { sequence, lowest_unacknowledged, .. } = *fake.tags().last().unwrap();
    assert_eq!((sequence, lowest_unacknowledged), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn no_more_writes_are_in_flight_than_the_window_has_room_for() {
    let fake = Fake::three();
    let options = Options { writes_in_flight: 4, ..Options::default() };
    let client = fake.client_with(&["n0"], options);
    client.increment(b"n", 0).await.unwrap();
    fake.script(|_| Action::Hold);
    let mut writers = JoinSet::new();
    for _ in 0..10 {
        let client = client.clone();
        writers.spawn(async move { client.increment(b"n", 1).await });
    }
    let mut expected = fake.seen().len();
    for batch in [4, 4, 2] {
        expected += batch;
        fake.wait_for(expected).await;
        let late = timeout(Duration::from_millis(100), fake.wait_for(expected + 1)).await;
        assert!(late.is_err(), "a write beyond the window was sent");
        fake.release();
        for _ in 0..batch {
            writers.join_next().await.unwrap().unwrap().unwrap();
        }
    }
    assert_eq!(fake.state().store.value(b"n"), Some(&b"10"[..]));
}

#[tokio::test(start_paused = true)]
async fn concurrent_first_writes_share_one_session_and_close_ends_it() {
    let fake = Fake::three();
    let client = fake.client(&["n1"]);
    let mut writers = JoinSet::new();
    for _ in 0..20 {
        let client = client.clone();
        writers.spawn(async move { client.increment(b"n", 1).await });
    }
    while let Some(joined) = writers.join_next().await {
        joined.unwrap().unwrap();
    }
    assert_eq!(fake.state().store.sessions.len(), 1);
    client.close().await.unwrap();
    assert_eq!(fake.state().store.sessions.len(), 0);
    let error = client.put(b"k", b"v").await.unwrap_err();
    assert!(matches!(error, Error::NotApplied(Cause::Closed)), "{error}");
    client.get(b"k", ReadOptions::default()).await.unwrap();
    client.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn close_waits_for_the_writes_in_flight() {
    let fake = Fake::three();
    let client = fake.client(&["n0"]);
    fake.script(first_write(Action::Hold));
    let writing = tokio::spawn({
        let client = client.clone();
        async move { client.increment(b"n", 1).await }
    });
    fake.wait_for(2).await;
    let closing = tokio::spawn(async move { client.close().await });
    assert!(timeout(Duration::from_millis(100), fake.wait_for(3)).await.is_err(), "closed too early");
    fake.release();
    writing.await.unwrap().unwrap();
    closing.await.unwrap().unwrap();
    assert!(fake.state().store.sessions.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_wrote_opens_and_closes_no_session() {
    let fake = Fake::three();
    let client = fake.client(&["n0"]);
    client.get(b"k", ReadOptions::default()).await.unwrap();
    client.close().await.unwrap();
    assert_eq!(fake.seen().len(), 1);
}

/// A client whose session the cluster has forgotten.
async fn client_without_session(fake: &Fake) -> Client {
    let client = fake.client(&["n0"]);
    client.increment(b"n", 1).await.unwrap();
    fake.state().store.sessions.clear();
    client
}

#[tokio::test(start_paused = true)]
async fn a_write_that_finds_its_session_gone_goes_into_a_new_one_if_no_copy_can_have_been_applied() {
    let fake = Fake::three();
    let client = client_without_session(&fake).await;
    assert_eq!(client.increment(b"n", 1).await.unwrap().value, 2);
    let sessions: Vec<_> = fake.tags().iter().map(|tag| tag.session).collect();
    assert_eq!(sessions, [2, 2, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_finds_its_session_gone_after_a_copy_was_sent_has_an_unknown_outcome() {
    let fake = Fake::three();
    let client = client_without_session(&fake).await;
    fake.script(first_write(Action::Close));
    let error = client.increment(b"n", 1).await.unwrap_err();
    assert!(matches!(error, Error::Unknown(Cause::SessionLost { session: 2 })), "{error}");
    assert_eq!(client.increment(b"n", 1).await.unwrap().value, 2, "in a new session");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_no_is_told_from_a_failure() {
    let fake = Fake::three();
    let client = fake.client(&["n0"]);
    client.put_if(b"k", b"v", Expect::Absent).await.unwrap();
    let failed = Rejection::ConditionFailed { mod_revision: 2 };
    let no = |error| match error {
        Error::Rejected(rejection) => rejection,
        other => panic!("{other}"),
    };
    assert_eq!(no(client.put_if(b"k", b"w", Expect::Absent).await.unwrap_err()), failed);
    assert_eq!(no(client.delete_if(b"k", Expect::ModRevision(9)).await.unwrap_err()), failed);
    assert_eq!(no(client.compare_and_swap(b"k", None, b"w").await.unwrap_err()), failed);
    assert_eq!(no(client.increment(b"k", 1).await.unwrap_err()), Rejection::NotANumber);
    client.put(b"k", i64::MAX.to_string().as_bytes()).await.unwrap();
    assert_eq!(no(client.increment(b"k", 1).await.unwrap_err()), Rejection::Overflow);
    client.compare_and_swap(b"k", Some(i64::MAX.to_string().as_bytes()), b"x").await.unwrap();
    assert_eq!(client.append(b"k", b"yz").await.unwrap().value, 3);
    assert!(client.delete(b"k").await.unwrap().value);
    assert!(!client.delete(b"k").await.unwrap().value);
}

#[tokio::test(start_paused = true)]
async fn what_breaks_a_limit_is_not_even_sent() {
    let fake = Fake::three();
    let client = fake.client(&["n0"]);
    for error in [
        client.put(b"", b"v").await.unwrap_err(),
        client.put(&[b'k'; 4097], b"v").await.unwrap_err(),
        client.put(b"k", &vec![0; (1 << 20) + 1]).await.unwrap_err(),
        client.get(b"", ReadOptions::default()).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::NotApplied(Cause::Invalid(_))), "{error}");
    }
    assert!(fake.seen().is_empty());
}
