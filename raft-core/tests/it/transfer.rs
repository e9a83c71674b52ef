//! `[Ongaro §3.10]` Handing leadership over, by wish and because the disk does not keep up.

use raft_core::configuration::MemberRole::{Learner, Voter};
use raft_core::{Input, Message, ProposeError, RoleName, TransferError};

use crate::support::{
    ELECTION_TIMEOUT, HEARTBEAT, Network, Peer, heartbeat_answer, id, matched, members, timeout_now, voters,
};

/// The target gets what it lacks first, is asked then, and wins without waiting for anybody's timer.
#[test]
fn leadership_goes_to_the_chosen_node_once_it_has_the_log() {
    let mut net = Network::of(3);
    net.elect(1);
    net.node(1).proposes("x").unwrap();
    assert_eq!(net.node(1).hands_over_to(Some(3)), Ok(id(3)));
    net.deliver();
    assert_eq!((net.node(3).role(), net.node(1).role()), (RoleName::Leader, RoleName::Follower));
    assert_eq!(net.node(3).log(), [1, 2, 2, 3]);
}

/// Nobody is asked while it lacks an entry: it could not win.
#[test]
fn a_node_that_is_behind_is_not_asked_yet() {
    let mut node = Peer::with_log(&[1]).elected();
    node.proposes("x").unwrap();
    node.hands_over_to(Some(2)).unwrap();
    node.receives(2, matched(2, 2));
    assert!(!node.sent_to(2).contains(&timeout_now(2)));
    node.receives(2, matched(2, 3));
    assert!(node.sent_to(2).contains(&timeout_now(2)));
}

/// Meanwhile nothing new is taken, so that the target can catch up; and if it does not win in time, all goes on.
#[test]
fn a_transfer_that_fails_is_given_up_after_an_election_timeout() {
    let mut node = Peer::with_log(&[1]).elected();
    node.receives(2, matched(2, 2));
    node.hands_over_to(Some(2)).unwrap();
    assert_eq!(node.proposes("x"), Err(ProposeError::HandingOver { to: id(2) }));
    assert_eq!(node.hands_over_to(Some(3)), Err(TransferError::InProgress { to: id(2) }));
    let mut asked = 0;
    for _ in 0..ELECTION_TIMEOUT.as_millis() / HEARTBEAT.as_millis() + 1 {
        node.time_passes(HEARTBEAT);
        node.heartbeats();
        node.receives(3, heartbeat_answer(2, 0));
        asked += node.sent_to(2).iter().filter(|message| matches!(message, Message::TimeoutNow(_))).count();
    }
    assert!(asked > 1, "a lost request is repeated");
    assert_eq!(node.role(), RoleName::Leader);
    assert!(node.proposes("x").is_ok());
}

/// Who cannot lead is not asked, and nobody else can give leadership away.
#[test]
fn a_transfer_goes_to_another_voter_only() {
    let configuration = members(&[(1, Voter), (2, Voter), (3, Learner)]);
    let mut node = Peer::member_of(&configuration, &[1]).elected();
    assert_eq!(node.hands_over_to(Some(3)), Err(TransferError::NotVoter { to: id(3) }));
    assert_eq!(node.hands_over_to(Some(9)), Err(TransferError::NotVoter { to: id(9) }));
    assert_eq!(node.hands_over_to(Some(1)), Err(TransferError::LeadsAlready { id: id(1) }));
    let mut follower = Peer::with_log(&[1]).following_2_in(2);
    assert_eq!(follower.hands_over_to(None), Err(TransferError::NotLeader { leader: Some(id(2)) }));
    let mut alone = Peer::member_of(&voters([1]), &[1]);
    alone.times_out();
    assert_eq!(alone.hands_over_to(None), Err(TransferError::Nobody));
}

/// Without a name it goes to whoever lacks the least, among those that were heard from lately.
#[test]
fn the_best_successor_is_alive_and_closest_behind() {
    let mut node = Peer::member_of(&voters(1..=5), &[1]).elected();
    node.receives(3, matched(2, 2));
    node.receives(4, matched(2, 1));
    assert_eq!(node.hands_over_to(None), Ok(id(3)));
    let mut node = Peer::member_of(&voters(1..=5), &[1]).elected();
    node.receives(3, matched(2, 2));
    for _ in 0..20 {
        node.time_passes(HEARTBEAT);
        node.heartbeats();
        node.receives(4, matched(2, 1));
        node.receives(5, heartbeat_answer(2, 0));
    }
    assert_eq!(node.hands_over_to(None), Ok(id(4)), "node 3 may be dead by now");
}

/// A14 (etcd#13527, hashicorp#503): a leader whose writes hang goes on sending heartbeats, so that nobody else would ever
/// campaign. It hands over, within two election timeouts.
#[test]
fn a_leader_whose_disk_hangs_hands_over() {
    let mut net = Network::of(3);
    net.elect(1);
    net.node(1).disk_stalls();
    net.node(1).proposes("x").unwrap();
    for _ in 0..40 {
        if net.node(1).role() == RoleName::Leader {
            net.heartbeats(1, 1);
        }
    }
    let leader = net.node(2).leader().expect("somebody else leads");
    assert!(leader != 1 && net.node(leader).role() == RoleName::Leader);
    assert_eq!(net.node(leader).log(), [1, 2, 2, 3], "nothing is lost");
    net.time_passes(ELECTION_TIMEOUT * 2);
    net.node(1).times_out();
    assert_eq!(net.node(1).role(), RoleName::Follower, "and it does not campaign while its writes hang");
    net.node(1).disk_recovers();
    net.node(1).times_out();
    assert_eq!(net.node(1).role(), RoleName::PreCandidate);
}

/// The same for a disk that is full, which says so at once.
#[test]
fn a_leader_whose_disk_is_full_hands_over_at_once() {
    let mut net = Network::of(3);
    net.elect(1);
    net.node(1).step(Input::DiskFull(true));
    net.heartbeats(1, 1);
    assert_eq!(net.node(1).role(), RoleName::Follower);
    assert!([2, 3].contains(&net.node(2).leader().expect("a successor")));
}

/// To whom should a lone voter hand over? It stays, and campaigns again after a restart.
#[test]
fn a_lone_voter_leads_on_after_a_stall() {
    let mut alone = Peer::member_of(&voters([1]), &[1]);
    alone.times_out();
    alone.disk_stalls();
    alone.proposes("x").unwrap();
    for _ in 0..30 {
        alone.heartbeats();
    }
    assert_eq!(alone.role(), RoleName::Leader);
    alone.disk_recovers();
    assert_eq!(alone.commit(), 3);
    alone.restarts();
    alone.disk_stalls();
    alone.times_out();
    alone.time_passes(ELECTION_TIMEOUT * 3);
    alone.disk_recovers();
    assert_eq!(alone.role(), RoleName::Leader);
}

/// A node that could not serve as a leader declines.
#[test]
fn a_node_whose_disk_hangs_declines_to_take_over() {
    let mut node = Peer::with_log(&[1]).following_2_in(2);
    node.step(Input::DiskFull(true));
    node.receives(2, timeout_now(2));
    assert_eq!((node.role(), node.term()), (RoleName::Follower, 2));
    node.step(Input::DiskFull(false));
    node.receives(2, timeout_now(2));
    assert_eq!((node.role(), node.term()), (RoleName::Candidate, 3));
}
