use super::*;

fn member(id: u64, role: MemberRole) -> Member {
    Member {
        id: NodeId::new(id).unwrap(),
        role,
        newest_version: 1,
        name: format!("n{id}"),
        peer_address: format!("127.0.0.1:72{id:02}"),
        client_address: format!("127.0.0.1:71{id:02}"),
    }
}

fn joint() -> Configuration {
    let roles = [
        MemberRole::Voter,
        MemberRole::Incoming,
        MemberRole::Outgoing,
        MemberRole::Demoting,
        MemberRole::Learner,
    ];
    let mut members: Vec<_> = roles.iter().zip(1..).map(|(&role, id)| member(id, role)).collect();
    members.reverse();
    Configuration::new(1, members).unwrap()
}

#[test]
fn quorum_follows_from_roles() {
    let ids = |of: &[u64]| of.iter().map(|&id| NodeId::new(id).unwrap()).collect::<Vec<_>>();
    let joint = joint();
    assert!(joint.is_joint());
    assert_eq!((&joint.quorum().incoming, &joint.quorum().outgoing), (&ids(&[1, 2]), &ids(&[1, 3, 4])));
    let simple =
        Configuration::new(1, vec![member(2, MemberRole::Voter), member(1, MemberRole::Promotable)]).unwrap();
    assert!(!simple.is_joint());
    assert_eq!((&simple.quorum().incoming, &simple.quorum().outgoing), (&ids(&[2]), &ids(&[])));
}

#[test]
fn lists_that_break_the_invariant_are_refused() {
    let voter = |id| member(id, MemberRole::Voter);
    let refused = |members| Configuration::new(1, members).unwrap_err();
    assert_eq!(refused(vec![]), ConfigurationError::NoVoter { members: 0 });
    assert_eq!(refused(vec![member(1, MemberRole::Learner)]), ConfigurationError::NoVoter { members: 1 });
    assert_eq!(refused(vec![voter(1), voter(1)]), ConfigurationError::DuplicateId { id: voter(1).id });
    let same_name = Member { name: "n1".to_owned(), ..voter(2) };
    assert!(matches!(refused(vec![voter(1), same_name]), ConfigurationError::Name { .. }));
    let no_name = Member { name: String::new(), ..voter(2) };
    assert!(matches!(refused(vec![voter(1), no_name]), ConfigurationError::Name { .. }));
}

#[test]
fn a_configuration_has_a_bounded_number_of_members() {
    let limit = Configuration::MAX_MEMBERS;
    let listed = |count: usize| (1..).take(count).map(|id| member(id, MemberRole::Voter)).collect();
    let too_many = Err(ConfigurationError::TooMany { found: limit + 1, limit });
    assert!(Configuration::new(1, listed(limit)).is_ok());
    assert_eq!(Configuration::new(1, listed(limit + 1)), too_many);
    let announced = [1, 1, 0, 0, 0, 1, 1];
    assert_eq!(Configuration::decode(&announced), too_many, "before any member is read");
}

#[test]
fn a_joint_configuration_needs_an_old_voter() {
    let listed = vec![member(1, MemberRole::Incoming), member(2, MemberRole::Learner)];
    assert_eq!(Configuration::new(1, listed), Err(ConfigurationError::NoOldVoter { members: 2 }));
    let listed = vec![member(1, MemberRole::Incoming), member(2, MemberRole::Demoting)];
    assert!(Configuration::new(1, listed).unwrap().is_joint());
}

#[test]
fn the_layout_round_trips_and_every_truncation_is_refused() {
    let mut bytes = Vec::new();
    joint().encode(&mut bytes);
    assert_eq!(Configuration::decode(&bytes), Ok(joint()));
    for length in 0..bytes.len() {
        assert!(matches!(Configuration::decode(&bytes[..length]), Err(ConfigurationError::Truncated { .. })));
    }
    bytes.push(0);
    assert!(matches!(Configuration::decode(&bytes), Err(ConfigurationError::Field { field: "length", .. })));
    bytes[0] = 9;
    assert_eq!(
        Configuration::decode(&bytes),
        Err(ConfigurationError::Field { field: "layout version", found: 9 })
    );
}

#[test]
fn the_layout_is_the_one_that_older_programs_wrote() {
    let one = Configuration::new(1, vec![member(7, MemberRole::Voter)]).unwrap();
    let mut bytes = Vec::new();
    one.encode(&mut bytes);
    let golden = "010100000001000700000000000000000100000002006e370e003132372e302e302e313a373230370e003132372e302e302e313a37313037";
    assert_eq!(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), golden);
    assert_eq!(one.cluster_id().to_string(), one.clone().cluster_id().to_string());
    assert_ne!(one.cluster_id(), joint().cluster_id());
}
