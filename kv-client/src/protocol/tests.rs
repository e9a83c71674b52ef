use super::*;
use crate::command::{CommandError, Field, MAX_KEY_BYTES, Outcome, SessionTag};
use crate::layout::Reader;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The head is the golden one, reads back as the message, and is refused when it is cut or has more behind it.
#[track_caller]
fn check<T>(message: &T, golden: &str)
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let mut head = encode_head(message);
    assert_eq!(hex(&head), golden);
    assert_eq!(decode_head::<T>(&head).as_ref(), Ok(message));
    for length in 0..head.len() {
        assert!(matches!(decode_head::<T>(&head[..length]), Err(HeadError::Undecodable { .. })), "{length}");
    }
    head.push(0);
    assert!(matches!(decode_head::<T>(&head), Err(HeadError::TrailingBytes { found: 1, .. })));
}

fn name() -> String {
    "n1".to_owned()
}

#[test]
fn hellos_are_laid_out_as_older_programs_wrote_them() {
    let protocol = ProtocolRange { oldest: 1, newest: 2 };
    check(&ClientHello { protocol, credentials: None }, "010200");
    check(&ClientHello { protocol, credentials: Some(Token("ab".to_owned())) }, "010201026162");
    let welcome = |cluster_id| Welcome { protocol: 1, cluster_id, node_id: 128, name: name() };
    check(&ServerHello::Welcome(welcome(None)), "0001008001026e31");
    check(&ServerHello::Welcome(welcome(Some(5))), "000101058001026e31");
    let refusals = [
        (HelloRefusal::Protocol { name: name(), client: protocol, node: protocol }, "0100026e3101020102"),
        (HelloRefusal::Credentials { name: name() }, "0101026e31"),
        (HelloRefusal::TooManyConnections { name: name(), most: 9 }, "0102026e3109"),
    ];
    for (refusal, golden) in refusals {
        check(&ServerHello::Refused(refusal), golden);
    }
}

#[test]
fn requests_are_laid_out_as_older_programs_wrote_them() {
    let request = |body| Request { id: 7, deadline_ms: 500, body };
    let tag = SessionTag { session: 4, sequence: 3, lowest_unacknowledged: 2 };
    let get = Query::Get { key: b"key".to_vec() };
    let range = RangeQuery {
        start: b"a".to_vec(),
        end: b"b".to_vec(),
        after: Vec::new(),
        limit: 10,
        keys_only: true,
    };
    let read = |consistency, query| Body::Read { consistency, min_revision: 1, query };
    check(&request(Body::Write { tag: None }), "07f4030000");
    check(&request(Body::Write { tag: Some(tag) }), "07f4030001040302");
    check(&request(read(Consistency::Linearizable, get)), "07f40301000100036b6579");
    check(&request(read(Consistency::Serializable, Query::Range(range))), "07f4030101010101610162000a01");
    check(&request(Body::Status), "07f40302");
    check(&request(Body::Members), "07f40303");
    let get = Query::Get { key: b"key".to_vec() };
    check(&request(read(Consistency::Lease, get)), "07f40301020100036b6579");
    let put = |role| {
        let (peer_address, client_address) = ("p".to_owned(), "c".to_owned());
        MemberChange::Put(WishedMember {
            id: 9,
            name: name(),
            peer_address,
            client_address,
            newest_version: 1,
            role,
        })
    };
    let changes = vec![put(WishedRole::Promotable), MemberChange::Remove { id: 8 }];
    check(&request(Body::ChangeMembers { changes, force: true }), "07f40304020009026e31017001630102010801");
    check(
        &request(Body::ChangeMembers { changes: vec![put(WishedRole::Learner)], force: false }),
        "07f40304010009026e3101700163010100",
    );
    check(&request(Body::MoveLeader { to: None }), "07f4030500");
    check(&request(Body::MoveLeader { to: Some(3) }), "07f403050103");
}

#[test]
fn replies_are_laid_out_as_older_programs_wrote_them() {
    let reply = |result| Reply { id: 7, revision: 6, term: 5, index: 4, result };
    let meta = KeyMeta { create_revision: 2, mod_revision: 3, version: 2, lease: 0 };
    let member = Member {
        id: 1,
        name: name(),
        voter: true,
        peer_address: "p".to_owned(),
        client_address: "c".to_owned(),
    };
    let leader = Leader { id: 1, client_address: "c".to_owned() };
    let command = CommandError::Limit { field: Field::Key, found: 0, least: 1, most: 2 };
    let results = [
        (Ok(Answer::Applied(Outcome::Done)), "000000"),
        (Ok(Answer::Applied(Outcome::Deleted { count: 1, more: true })), "0000010101"),
        (Ok(Answer::Applied(Outcome::Malformed)), "00000c"),
        (Ok(Answer::Value(None)), "000100"),
        (Ok(Answer::Value(Some(meta))), "00010102030200"),
        (Ok(Answer::Page { count: 2, more: false }), "00020200"),
        (Ok(Answer::Status), "0003"),
        (Ok(Answer::Members(vec![member])), "00040101026e310101700163"),
        (Ok(Answer::MembersChanged), "0005"),
        (Ok(Answer::LeaderMoved { to: 3 }), "000603"),
        (Err(Refusal::NotLeader { leader: None }), "010000"),
        (Err(Refusal::NotLeader { leader: Some(leader) }), "010001010163"),
        (Err(Refusal::NoLeader), "0101"),
        (Err(Refusal::Busy), "0102"),
        (Err(Refusal::NotApplied(Reason::DeadlinePassed)), "010300"),
        (Err(Refusal::Unknown(Reason::LeadershipLost)), "010401"),
        (Err(Refusal::Unknown(Reason::Stopping)), "010402"),
        (Err(Refusal::NotApplied(Reason::NoCluster)), "010303"),
        (Err(Refusal::NotApplied(Reason::NothingApplied)), "010304"),
        (Err(Refusal::NotApplied(Reason::HandingOver)), "010305"),
        (Err(Refusal::NotApplied(Reason::NoMember)), "010306"),
        (Err(Refusal::RevisionNotReached { wanted: 9, found: 8 }), "01050908"),
        (Err(Refusal::BadRequest(BadRequest::Command(command))), "0106000407000102"),
        (Err(Refusal::BadRequest(BadRequest::Undecodable { protocol: ProtocolRange::OURS })), "0106010101"),
    ];
    for (result, golden) in results {
        check(&reply(result), &format!("07060504{golden}"));
    }
}

#[test]
fn refusals_of_an_operators_wishes_are_laid_out_as_older_programs_wrote_them() {
    let reply = |result| Reply { id: 7, revision: 6, term: 5, index: 4, result };
    let at_risk =
        ChangeRefusal::QuorumAtRisk { voters: 4, needed: 3, reachable: 2, silent: vec![name(), name()] };
    let refusals = [
        (ChangeRefusal::InProgress { index: 9 }, "0009"),
        (ChangeRefusal::TooEarly, "01"),
        (ChangeRefusal::Unchanged, "02"),
        (ChangeRefusal::UnknownMember { id: 9 }, "0309"),
        (ChangeRefusal::NoId, "04"),
        (ChangeRefusal::NamedTwice { id: 9 }, "0509"),
        (ChangeRefusal::VotesAlready { id: 9 }, "0609"),
        (ChangeRefusal::NoVoter, "07"),
        (ChangeRefusal::BadText, "08"),
        (ChangeRefusal::TooOld { id: 9, found: 1, needed: 2 }, "09090102"),
        (at_risk, "0a04030202026e31026e31"),
        (ChangeRefusal::TooManyMembers { found: 9, limit: 8 }, "0b0908"),
        (ChangeRefusal::TooLarge { found: 9, limit: 8 }, "0c0908"),
    ];
    for (refusal, golden) in refusals {
        check(&reply(Err(Refusal::MembersUnchanged(refusal))), &format!("070605040107{golden}"));
    }
    let refusals = [
        (MoveRefusal::LeadsAlready { id: 9 }, "0009"),
        (MoveRefusal::NotVoter { id: 9 }, "0109"),
        (MoveRefusal::Nobody, "02"),
        (MoveRefusal::InProgress { to: 9 }, "0309"),
        (MoveRefusal::NotTaken { to: 9 }, "0409"),
    ];
    for (refusal, golden) in refusals {
        check(&reply(Err(Refusal::LeaderNotMoved(refusal))), &format!("070605040108{golden}"));
    }
}

#[test]
fn only_an_unknown_outcome_may_be_applied() {
    let refused = Refusal::NotLeader { leader: Some(Leader { id: 1, client_address: "h:1".to_owned() }) };
    assert!(!refused.may_be_applied());
    assert_eq!(
        refused.to_string(),
        "not applied: this node is not the leader (that is 0000000000000001 at h:1)"
    );
    assert!(!Refusal::NotApplied(Reason::LeadershipLost).may_be_applied());
    assert!(Refusal::Unknown(Reason::LeadershipLost).may_be_applied());
}

#[test]
fn the_newest_common_protocol_is_chosen() {
    let range = |oldest, newest| ProtocolRange { oldest, newest };
    assert_eq!(range(1, 3).common(range(2, 5)), Some(3));
    assert_eq!(range(2, 5).common(range(1, 3)), Some(3));
    assert_eq!(range(1, 1).common(range(1, 1)), Some(1));
    assert_eq!(range(1, 2).common(range(3, 4)), None);
}

#[test]
fn a_token_is_never_shown() {
    let hello = ClientHello { protocol: ProtocolRange::OURS, credentials: Some(Token("hunter2".to_owned())) };
    assert!(!format!("{hello:?}").contains("hunter2"));
}

#[test]
fn keys_in_queries_have_the_limits_of_keys() {
    assert!(Query::Get { key: vec![0; MAX_KEY_BYTES] }.check().is_ok());
    let error = Query::Get { key: Vec::new() }.check().unwrap_err();
    assert_eq!(error, CommandError::Limit { field: Field::Key, found: 0, least: 1, most: 4096 });
    assert!(Query::Range(RangeQuery::default()).check().is_ok());
    let after = RangeQuery { after: vec![0; MAX_KEY_BYTES + 1], ..RangeQuery::default() };
    let error = Query::Range(after).check().unwrap_err();
    assert_eq!(error, CommandError::Limit { field: Field::After, found: 4097, least: 0, most: 4096 });
}

#[test]
fn a_key_with_its_value_is_laid_out_as_older_programs_wrote_it() {
    let meta = KeyMeta { create_revision: 2, mod_revision: 3, version: 4, lease: 5 };
    let record = KeyValue { meta, key: b"key", value: b"value" };
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    let numbers = concat!("0200000000000000", "0300000000000000", "0400000000000000", "0500000000000000");
    assert_eq!(hex(&bytes), format!("{numbers}{}", concat!("0300", "05000000", "6b6579", "76616c7565")));
    assert_eq!(bytes.len(), record.encoded_len());
    assert_eq!(KeyValue::read(&mut Reader::new(&bytes)), Some(record));
    for length in 0..bytes.len() {
        assert_eq!(KeyValue::read(&mut Reader::new(&bytes[..length])), None);
    }
}

#[test]
fn a_page_gives_its_records_in_order_and_ends_at_the_first_that_is_cut() {
    let meta = KeyMeta { create_revision: 2, mod_revision: 3, version: 4, lease: 5 };
    let record = |key| KeyValue { meta, key, value: b"v" };
    let mut tail = Vec::new();
    record(b"a").encode(&mut tail);
    record(b"b").encode(&mut tail);
    assert_eq!(KeyValues::new(&tail).collect::<Vec<_>>(), [Ok(record(b"a")), Ok(record(b"b"))]);
    tail.pop();
    let left = record(b"b").encoded_len() - 1;
    assert_eq!(KeyValues::new(&tail).collect::<Vec<_>>(), [Ok(record(b"a")), Err(PageError { left })]);
}

#[test]
fn a_status_with_unknown_and_missing_fields_is_read() {
    let newer =
        r#"{"name":"n1","role":"observer","mood":"good","store":{"keys":3},"members":[{"name":"n2"}]}"#;
    let status = NodeStatus::decode(newer.as_bytes()).unwrap();
    assert_eq!((status.name.as_str(), status.role, status.store.keys), ("n1", Role::Unknown, 3));
    assert_eq!(status.members[0].name, "n2");
    let text = NodeStatus { role: Role::PreCandidate, ..status.clone() }.encode();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains(r#""role":"pre-candidate""#), "{text}");
    let again = NodeStatus::decode(text.as_bytes()).unwrap();
    assert_eq!(again, NodeStatus { role: Role::PreCandidate, ..status });
}
