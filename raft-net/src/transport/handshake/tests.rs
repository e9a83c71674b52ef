use bytes::{Buf, Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use raft_core::configuration::{Configuration, Member, MemberRole};

use super::rules::Receiver;
use super::*;
use crate::frame::{FrameDecoder, FramePart};

const HERE: u64 = 0xa;
const CALLER: u64 = 0xb;
const CLUSTER: ClusterId = ClusterId(0xc1);

fn id(bits: u64) -> NodeId {
    NodeId::new(bits).unwrap()
}

fn caller() -> Local {
    Local {
        node_id: id(CALLER),
        name: "n2".into(),
        peer_address: "b:1".into(),
        client_address: "b:2".into(),
        cluster_id: Some(CLUSTER),
        join: vec!["a:1".into(), "b:1".into()],
    }
}

fn configuration(members: &[(u64, &str)]) -> Configuration {
    let member = |&(bits, name): &(u64, &str)| Member {
        id: id(bits),
        role: MemberRole::Voter,
        newest_version: 1,
        name: name.into(),
        peer_address: format!("{name}:1"),
        client_address: format!("{name}:2"),
    };
    Configuration::new(1, members.iter().map(member).collect()).unwrap()
}

/// What a node of `cluster_id` with members n1 (this node) and n2 (`second`) makes of `hello`.
fn judge(cluster_id: Option<ClusterId>, second: u64, hello: &Hello) -> Result<(), Refusal> {
    let configuration = configuration(&[(HERE, "n1"), (second, "n2")]);
    let configuration = cluster_id.map(|_| &configuration);
    Receiver { node_id: id(HERE), cluster_id, configuration }.admit(hello)
}

fn head_of(encode: impl FnOnce(&mut WriteBuffer) -> Result<(), CodecError>) -> Bytes {
    let mut out = WriteBuffer::new(HELLO_LIMITS);
    encode(&mut out).unwrap();
    let mut bytes = BytesMut::from(&out.copy_to_bytes(out.remaining())[..]);
    FrameDecoder::new(HELLO_LIMITS).decode(&mut bytes).unwrap().unwrap().head
}

#[test]
fn a_member_that_calls_this_node_by_its_own_id_is_let_in() {
    let hello = caller().hello(Lane::Append, Some(id(HERE)));
    assert_eq!(judge(Some(CLUSTER), CALLER, &hello), Ok(()));
}

#[test]
fn a_sender_of_this_cluster_is_let_in_though_this_nodes_older_configuration_does_not_list_it() {
    let hello = caller().hello(Lane::Control, Some(id(HERE)));
    assert_eq!(judge(Some(CLUSTER), 0xdead, &hello), Ok(()));
}

#[test]
fn a_member_is_let_in_by_a_node_that_has_no_cluster_yet() {
    let hello = caller().hello(Lane::Control, Some(id(HERE)));
    assert_eq!(judge(None, CALLER, &hello), Ok(()));
}

#[test]
fn a_listed_node_that_does_not_know_its_cluster_yet_is_let_in() {
    let hello = Local { cluster_id: None, ..caller() }.hello(Lane::Control, Some(id(HERE)));
    assert_eq!(judge(Some(CLUSTER), CALLER, &hello), Ok(()));
}

#[test]
fn a_node_of_another_cluster_is_refused() {
    let other = ClusterId(0xc2);
    let hello = Local { cluster_id: Some(other), ..caller() }.hello(Lane::Control, Some(id(HERE)));
    let refusal = Refusal::WrongCluster { sender: other, receiver: CLUSTER };
    assert_eq!(judge(Some(CLUSTER), CALLER, &hello), Err(refusal));
}

#[test]
fn a_node_that_reached_itself_is_refused_on_a_lane_and_answered_on_a_greeting() {
    let here = Local { node_id: id(HERE), name: "n1".into(), ..caller() };
    let hello = here.hello(Lane::Control, Some(id(CALLER)));
    assert_eq!(judge(Some(CLUSTER), CALLER, &hello), Err(Refusal::Oneself));
    let greeting = here.hello(Lane::Greeting, None);
    let receiver = Receiver { node_id: id(HERE), cluster_id: Some(CLUSTER), configuration: None };
    assert_eq!(receiver.objection(&greeting), None);
}

#[test]
fn a_sender_that_means_another_node_is_refused_and_so_is_one_that_means_nobody() {
    for meant in [Some(id(0xd)), None] {
        let hello = caller().hello(Lane::Control, meant);
        assert_eq!(judge(Some(CLUSTER), CALLER, &hello), Err(Refusal::WrongReceiver { meant }));
        assert_eq!(judge(None, CALLER, &hello), Err(Refusal::WrongReceiver { meant }));
    }
}

#[test]
fn a_node_without_cluster_that_is_not_listed_is_a_stranger_and_told_who_holds_its_name() {
    let wiped = Local { cluster_id: None, ..caller() };
    let refusal = Refusal::Stranger { cluster_id: CLUSTER, holder: Some(id(0xdead)) };
    let hello = wiped.hello(Lane::Control, Some(id(HERE)));
    assert_eq!(judge(Some(CLUSTER), 0xdead, &hello), Err(refusal.clone()));
    let text =
        Refused { sender: wiped.label(), receiver: NodeLabel { id: id(HERE), name: "n1".into() }, refusal }
            .to_string();
    for part in ["n1 (000000000000000a)", "n2 (000000000000000b)", "000000000000dead", "never an older copy"]
    {
        assert!(text.contains(part), "{text}");
    }

    let fresh = Local { name: "n3".into(), ..wiped };
    let hello = fresh.hello(Lane::Control, Some(id(HERE)));
    let refusal = Refusal::Stranger { cluster_id: CLUSTER, holder: None };
    assert!(
        refusal.to_string().contains("correct its list of peers to join; to admit it, change the members"),
        "{refusal}"
    );
    assert_eq!(judge(Some(CLUSTER), 0xdead, &hello), Err(refusal));
}

#[test]
fn no_refusal_advises_what_is_not_there_or_loses_data() {
    let stranger = |holder| Refusal::Stranger { cluster_id: CLUSTER, holder };
    for refusal in
        [Refusal::WrongReceiver { meant: Some(id(HERE)) }, stranger(Some(id(HERE))), stranger(None)]
    {
        let text = refusal.to_string();
        assert!(!text.contains("kvctl") && !text.contains("estore the folder"), "{text}");
        assert!(text.contains("change the members on the leader"), "{text}");
    }
}

#[test]
fn two_nodes_without_cluster_have_nothing_to_say_but_greetings() {
    let hello = Local { cluster_id: None, ..caller() }.hello(Lane::Control, Some(id(HERE)));
    assert_eq!(judge(None, CALLER, &hello), Err(Refusal::NoCluster));
    let receiver = Receiver { node_id: id(HERE), cluster_id: None, configuration: None };
    assert_eq!(receiver.objection(&hello), None);
}

#[test]
fn an_unknown_raft_group_is_refused() {
    let mut hello = caller().hello(Lane::Control, Some(id(HERE)));
    hello.body.group = 7;
    assert_eq!(judge(Some(CLUSTER), CALLER, &hello), Err(Refusal::UnknownGroup { found: 7 }));
}

#[test]
fn protocol_ranges_meet_in_the_newest_common_version_or_not_at_all() {
    let range = |oldest, newest| ProtocolRange { oldest, newest };
    assert_eq!(range(1, 3).common(range(2, 5)), Some(3));
    assert_eq!(range(1, 1).common(range(1, 1)), Some(1));
    assert_eq!(range(1, 2).common(range(3, 4)), None);
}

#[test]
fn hello_and_answers_have_these_bytes() {
    let opening = b"\x01\0\x01\0\x0b\0\0\0\0\0\0\0\x02\0n2";
    let body = b"\x01\xc1\x01\x01\x01\x0a\0\x03b:1\x03b:2\x02\x03a:1\x03b:1";
    let hello = caller().hello(Lane::Append, Some(id(HERE)));
    assert_eq!(head_of(|out| hello.encode(out)), [&opening[..], body].concat());

    let answers = [
        (
            AnswerBody::Welcome { hello: hello.body.clone(), objection: None },
            [b"\0", &body[..], b"\0"].concat(),
        ),
        (AnswerBody::Refused(Refusal::UnknownGroup { found: 7 }), b"\x01\x01\x07".to_vec()),
        (AnswerBody::Refused(Refusal::Oneself), b"\x01\x02".to_vec()),
        (AnswerBody::Refused(Refusal::WrongReceiver { meant: None }), b"\x01\x04\0".to_vec()),
        (AnswerBody::Refused(Refusal::NoCluster), b"\x01\x06".to_vec()),
    ];
    for (answer, golden) in answers {
        let answer = Answer { opening: hello.opening.clone(), body: answer };
        let head = head_of(|out| answer.encode(out));
        assert_eq!(head, [&opening[..], &golden].concat(), "{answer:?}");
        let (read, body) = Opening::decode(&head).unwrap();
        assert_eq!(Answer { opening: read, body: decode_body(body).unwrap() }, answer);
    }
}

#[test]
fn a_name_that_no_peer_would_accept_is_refused_before_it_is_sent() {
    let hello = Local { name: "n".repeat(70_000), ..caller() }.hello(Lane::Control, None);
    let error = hello.encode(&mut WriteBuffer::new(HELLO_LIMITS)).unwrap_err();
    assert!(
        matches!(error, CodecError::TooLong(TooLong { part: FramePart::Head, found: 70_000, .. })),
        "{error}"
    );
}

#[test]
fn every_truncation_of_a_hello_is_refused_with_the_field_it_ends_in() {
    let head = head_of(|out| caller().hello(Lane::Append, Some(id(HERE))).encode(out));
    for length in 0..head.len() {
        let read = Opening::decode(&head[..length]).and_then(|(_, body)| decode_body::<HelloBody>(body));
        assert!(read.is_err(), "{length} bytes: {read:?}");
    }
    let error = Opening::decode(&head[..11]).unwrap_err();
    assert_eq!(error.to_string(), "hello: bad node id");
}

proptest! {
    #[test]
    fn noise_never_panics(noise in vec(any::<u8>(), 0..200)) {
        if let Ok((_, body)) = Opening::decode(&noise) {
            let _hello_or_error = decode_body::<HelloBody>(body);
            let _answer_or_error = decode_body::<AnswerBody>(body);
        }
    }
}
