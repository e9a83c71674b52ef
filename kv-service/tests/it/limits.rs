//! What a client may ask for, and how many at a time.

use std::collections::BTreeSet;

use kv_client::command::{CommandError, Field, MAX_KEY_BYTES, MAX_VALUE_BYTES, Outcome, SessionTag};
use kv_client::protocol::{
    Answer, BadRequest, Body, Consistency, HelloRefusal, ProtocolRange, Query, RangeQuery, Refusal,
    ServerHello,
};

use crate::cluster::{Cluster, eventually};
use crate::raw::{Client, frame, put};

async fn single() -> (Cluster, Client) {
    let cluster = Cluster::start(1);
    cluster.leader().await;
    let client = Client::connect(&cluster.nodes[0].client);
    (cluster, client)
}

#[track_caller]
fn over_the_limit(refused: Refusal, expected: Field) {
    let Refusal::BadRequest(BadRequest::Command(CommandError::Limit { field, .. })) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(field, expected);
}

/// A put whose key and value may be longer than a proper client would send.
fn long_put(key_bytes: usize, value_bytes: usize) -> Vec<u8> {
    let mut bytes = put(b"k", b"");
    // Key and value with their lengths stand at the end.
    bytes.truncate(bytes.len() - (2 + 1 + 4));
    bytes.extend_from_slice(&u16::try_from(key_bytes).expect("64 KiB at most").to_le_bytes());
    bytes.resize(bytes.len() + key_bytes, b'k');
    bytes.extend_from_slice(&u32::try_from(value_bytes).expect("4 GiB at most").to_le_bytes());
    bytes.resize(bytes.len() + value_bytes, b'v');
    bytes
}

#[tokio::test]
async fn keys_and_values_over_the_limit_are_refused_by_name_and_the_connection_lives_on() {
    let (_cluster, mut client) = single().await;
    let write = || Body::Write { tag: None };
    let refused = client.ask_with(write(), &long_put(MAX_KEY_BYTES + 1, 1), 5000).unwrap_err();
    over_the_limit(refused, Field::Key);
    let refused = client.ask_with(write(), &long_put(1, MAX_VALUE_BYTES + 1), 5000).unwrap_err();
    over_the_limit(refused, Field::Value);
    let refused = client.ask_with(write(), &long_put(1, 3 * MAX_VALUE_BYTES), 5000).unwrap_err();
    over_the_limit(refused, Field::Value);
    let query = Query::Get { key: vec![b'k'; MAX_KEY_BYTES + 1] };
    let read = Body::Read { consistency: Consistency::Linearizable, min_revision: 0, query };
    over_the_limit(client.ask(read, 5000).unwrap_err(), Field::Key);
    let written = client.ask_with(write(), &long_put(MAX_KEY_BYTES, MAX_VALUE_BYTES), 5000).unwrap();
    assert_eq!(written.0, Answer::Applied(Outcome::Done));
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_connection_lives_on() {
    let (_cluster, mut client) = single().await;
    // The id 7, a deadline, and a kind of request that does not exist.
    client.send(&frame(&[7, 0, 200], &[]));
    let (reply, _) = client.reply();
    let protocol = ProtocolRange::OURS;
    assert_eq!((reply.id, reply.result), (7, Err(Refusal::BadRequest(BadRequest::Undecodable { protocol }))));
    let write = || Body::Write { tag: None };
    let refused = client.ask_with(write(), b"\x01\xffno command", 5000).unwrap_err();
    assert!(matches!(refused, Refusal::BadRequest(BadRequest::Command(_))), "{refused:?}");
    let tag = Some(SessionTag { session: 1, sequence: 5000, lowest_unacknowledged: 1 });
    let refused = client.ask_with(Body::Write { tag }, &put(b"key", b"value"), 5000).unwrap_err();
    assert!(matches!(refused, Refusal::BadRequest(BadRequest::Command(_))), "{refused:?}");
    client.put(b"key", b"value", 5000).unwrap();
}

#[tokio::test]
async fn thousands_of_requests_may_be_sent_ahead_and_each_is_answered_once() {
    let (_cluster, mut client) = single().await;
    let mut writer = client.stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        use std::io::Write;
        for id in 1..=5000_u64 {
            let body = Body::Write { tag: None };
            let request = kv_client::protocol::Request { id, deadline_ms: 20_000, body };
            let key = format!("key-{id}");
            let bytes = frame(&kv_client::protocol::encode_head(&request), &put(key.as_bytes(), b"value"));
            writer.write_all(&bytes).unwrap();
        }
    });
    let mut answered = BTreeSet::new();
    while answered.len() < 5000 {
        let (reply, _) = client.reply();
        assert_eq!(reply.result, Ok(Answer::Applied(Outcome::Done)));
        assert!(answered.insert(reply.id), "request {} was answered twice", reply.id);
    }
    sender.join().unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answers_costs_others_nothing() {
    let (cluster, mut greedy) = single().await;
    greedy.put(b"key", &vec![b'v'; MAX_VALUE_BYTES], 5000).unwrap();
    let query = || Query::Range(RangeQuery::default());
    let read = || Body::Read { consistency: Consistency::Serializable, min_revision: 0, query: query() };
    for _ in 0..500 {
        greedy.request(read(), &[], 20_000);
    }
    let mut other = Client::connect(&cluster.nodes[0].client);
    for _ in 0..100 {
        other.put(b"other", b"value", 5000).unwrap();
    }
    let (mut pages, mut refused) = (0, 0);
    for _ in 0..500 {
        match greedy.reply().0.result {
            Ok(Answer::Page { .. }) => pages += 1,
            Err(Refusal::Busy) => refused += 1,
            result => panic!("{result:?}"),
        }
    }
    assert!(pages > 0 && refused > 0, "{pages} pages, {refused} refused");
}

#[tokio::test]
async fn one_client_too_many_is_told_so_and_the_others_stay() {
    let cluster = Cluster::start_with(1, &["--max-clients", "2"]);
    cluster.nodes[0].says("role=leader").await;
    let address = &cluster.nodes[0].client;
    let (mut first, second) = (Client::connect(address), Client::connect(address));
    let (mut third, hello) = Client::introduce(address, ProtocolRange::OURS);
    assert!(
        matches!(hello, ServerHello::Refused(HelloRefusal::TooManyConnections { most: 2, .. })),
        "{hello:?}"
    );
    assert!(third.next_frame().is_none(), "the connection is closed");
    first.put(b"key", b"value", 5000).unwrap();
    drop(second);
    eventually("a free place", async || {
        let (_, hello) = Client::introduce(address, ProtocolRange::OURS);
        matches!(hello, ServerHello::Welcome(_)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_client_of_another_protocol_version_is_told_what_is_spoken() {
    let (cluster, _client) = single().await;
    let newer = ProtocolRange { oldest: 7, newest: 9 };
    let (mut client, hello) = Client::introduce(&cluster.nodes[0].client, newer);
    let ServerHello::Refused(HelloRefusal::Protocol { client: theirs, node, .. }) = hello else {
        panic!("{hello:?}")
    };
    assert_eq!((theirs, node), (newer, ProtocolRange::OURS));
    assert!(client.next_frame().is_none(), "the connection is closed");
}
