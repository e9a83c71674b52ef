//! `[Raft §6]`, `[Ongaro §4]` Changes of the members.

use raft_core::configuration::MemberRole::{self, Learner, Promotable, Voter};
use raft_core::configuration::{ChangeError, Member, MemberChange};
use raft_core::{Configuration, Options, ProposeError, ReadError, RoleName};

use crate::support::{ELECTION_TIMEOUT, Network, Peer, entry, id, matched, member, options, put, remove};

fn refused(error: ChangeError) -> Result<raft_core::EntryId, ProposeError> {
    Err(ProposeError::Change(error))
}

/// `[Ongaro §4.1]`: one server at a time needs no joint configuration: every old majority meets every new one.
#[test]
fn one_member_is_added_in_one_step() {
    let mut net = Network::founded(3, 4);
    assert_eq!(net.node(1).changes_members(&[put(4, Voter)]), Ok(entry(2, 3)));
    assert_eq!(net.node(1).voters(), [1, 2, 3, 4], "in force at once");
    net.deliver();
    net.heartbeats(1, 2);
    assert_eq!(net.commits(), [3, 3, 3, 3]);
    assert_eq!(net.node(4).voters(), [1, 2, 3, 4]);
}

/// `[Raft §6]`: "joint consensus": both majorities count until the old one is left behind, which the leader does by itself.
#[test]
fn several_members_change_through_a_joint_configuration() {
    let mut net = Network::founded(3, 5);
    let changes = [put(4, Voter), put(5, Voter), remove(2), remove(3)];
    net.node(1).changes_members(&changes).unwrap();
    assert!(net.node(1).raft.configuration().unwrap().is_joint());
    for silent in [2, 3] {
        net.isolate(silent);
    }
    net.deliver();
    assert_eq!(net.node(1).commit(), 2, "the new majority alone does not do");
    net.heal();
    net.heartbeats(1, 4);
    assert_eq!(net.node(1).voters(), [1, 4, 5]);
    assert_eq!(net.node(1).commit(), 4, "joint, and left");
    for leaver in [2, 3] {
        assert_eq!((net.node(leaver).voters(), net.node(leaver).commit()), (vec![1, 4, 5], 4), "they know");
    }
}

/// E1 (Ongaro 2015, the error of the single-server changes): not before an entry of the leader's own term is committed, nor
/// while another change is under way.
#[test]
fn a_change_waits_for_the_term_and_for_the_change_before_it() {
    let mut net = Network::founded(3, 5);
    net.node(1).changes_members(&[put(4, Voter)]).unwrap();
    let index = raft_core::LogIndex(3);
    assert_eq!(net.node(1).changes_members(&[put(5, Voter)]), refused(ChangeError::InProgress { index }));
    net.deliver();
    assert!(net.node(1).changes_members(&[put(5, Voter)]).is_ok());
    let mut node = Peer::with_log(&[1, 1]).elected();
    assert_eq!(node.changes_members(&[put(4, Voter)]), refused(ChangeError::TooEarly));
}

/// Wishes that make no sense are refused by name, and nothing is appended. E7 (etcd/raft#354).
#[test]
fn impossible_changes_are_refused() {
    let mut net = Network::founded(3, 3);
    let namesake = Member { name: "n1".to_owned(), ..member(4, Voter) };
    let cases = [
        (vec![put(2, Voter)], ChangeError::Unchanged),
        (vec![remove(9)], ChangeError::UnknownMember { id: id(9) }),
        (vec![put(4, Learner), remove(4)], ChangeError::NamedTwice { id: id(4) }),
        (vec![put(4, MemberRole::Incoming)], ChangeError::Role { id: id(4), role: MemberRole::Incoming }),
        (vec![put(2, Promotable)], ChangeError::Role { id: id(2), role: Promotable }),
        (vec![remove(1), remove(2), remove(3)], ChangeError::NoVoter),
        (vec![MemberChange::Put(namesake)], ChangeError::BadText { id: id(1) }),
    ];
    for (changes, error) in cases {
        let answer = net.node(1).changes_members(&changes);
        match error {
            ChangeError::BadText { .. } => {
                assert!(matches!(answer, Err(ProposeError::Change(ChangeError::BadText { .. }))));
            }
            _ => assert_eq!(answer, refused(error), "{changes:?}"),
        }
    }
    let leader = net.node(1).raft.leader_id();
    assert_eq!(net.node(2).changes_members(&[remove(3)]), Err(ProposeError::NotLeader { leader }));
    assert_eq!(net.node(1).last(), entry(2, 2));
}

/// A cluster has a bounded number of members, and whoever asks for more learns it from the answer.
#[test]
fn a_change_that_makes_too_many_members_is_refused() {
    let mut net = Network::founded(3, 3);
    let limit = Configuration::MAX_MEMBERS;
    let joining = |count: usize| (10..).take(count).map(|number| put(number, Learner)).collect::<Vec<_>>();
    let too_many = |found| refused(ChangeError::TooManyMembers { found, limit });
    assert_eq!(net.node(1).changes_members(&joining(limit - 2)), too_many(limit + 1));
    assert_eq!(net.node(1).changes_members(&joining(1 << 16)), too_many(1 << 16));
    assert_eq!(net.node(1).last(), entry(2, 2));
    assert_eq!(net.node(1).changes_members(&joining(limit - 3)), Ok(entry(2, 3)));
}

/// A configuration is an entry like any other: it has to fit into the messages that carry it.
#[test]
fn a_change_whose_configuration_is_too_long_for_an_entry_is_refused() {
    let small = Options { max_entry_bytes: 100, ..options() };
    let mut node = Peer::with_log(&[1]).with_options(small).elected();
    node.receives(2, matched(2, 2));
    let wordy = Member { peer_address: "a".repeat(101), ..member(4, Learner) };
    let answer = node.changes_members(&[MemberChange::Put(wordy)]);
    let Err(ProposeError::Change(ChangeError::TooLarge { found, limit: 100 })) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(found, 7 + 4 * 21 + 101);
    assert_eq!((node.last(), node.voters()), (entry(2, 2), vec![1, 2, 3]));
    assert_eq!(node.changes_members(&[put(4, Learner)]), Ok(entry(2, 3)));
}

/// `[Ongaro §4.2.1]`: a learner becomes a voter by itself once it keeps pace; a plain learner never does.
#[test]
fn a_promotable_learner_becomes_a_voter_when_it_has_caught_up() {
    let mut net = Network::founded(3, 5);
    for _ in 0..20 {
        net.node(1).proposes("x").unwrap();
    }
    net.node(1).changes_members(&[put(4, Promotable), put(5, Learner)]).unwrap();
    net.isolate(4);
    net.heartbeats(1, 20);
    assert_eq!(net.node(1).voters(), [1, 2, 3]);
    net.heal();
    net.heartbeats(1, 20);
    assert_eq!(net.node(1).voters(), [1, 2, 3, 4]);
    assert_eq!(net.node(1).commit(), net.node(5).commit());
}

/// `[Raft §6]`: "the cluster leader may not be part of the new configuration": it manages the change, not counting itself,
/// then hands over and steps down. E6, E16.
#[test]
fn a_leader_that_is_removed_hands_over_and_steps_down() {
    let mut net = Network::founded(3, 3);
    net.node(1).changes_members(&[remove(1)]).unwrap();
    assert_eq!(net.node(1).role(), RoleName::Leader);
    net.isolate(3);
    net.deliver();
    assert_eq!((net.node(1).role(), net.node(1).commit()), (RoleName::Leader, 2), "it does not count itself");
    net.heal();
    net.heartbeats(1, 1);
    assert_eq!(net.node(1).role(), RoleName::Follower);
    let leader = net.node(2).leader().expect("the successor was asked at once");
    assert!([2, 3].contains(&leader));
    net.time_passes(ELECTION_TIMEOUT * 3);
    net.node(1).times_out();
    assert_eq!(net.node(1).role(), RoleName::Follower, "and does not come back");
}

/// Who does not campaign does not learn by itself who leads next: it must not send anybody to a leader that may be gone.
#[test]
fn a_learner_whose_leader_falls_silent_knows_of_no_leader() {
    let mut net = Network::founded(3, 4);
    net.node(1).changes_members(&[put(4, Learner)]).unwrap();
    net.heartbeats(1, 2);
    assert_eq!(net.node(4).leader(), Some(1));
    net.isolate(4);
    net.node(4).time_passes(ELECTION_TIMEOUT);
    let read = net.node(4).is_asked_to_read();
    net.node(4).times_out();
    assert_eq!((net.node(4).role(), net.node(4).leader()), (RoleName::Follower, None));
    let refused = ReadError::NotLeader { leader: None };
    assert_eq!(net.node(4).outcome(read), Some(Err(refused)));
    net.heal();
    net.heartbeats(1, 1);
    assert_eq!(net.node(4).leader(), Some(1));
}
