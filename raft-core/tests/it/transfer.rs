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

/// Who cannot lead is not asked, and nobody else can give leadership away. E12 (raft-rs#164).
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
    assert!(net.node(1).raft.status().disk_is_stuck);
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

/// The chosen node dies before it can be elected: the leader leads on, and takes proposals again after an election timeout.
#[test]
fn a_transfer_to_a_node_that_crashes_is_given_up() {
    let mut net = Network::of(3);
    net.elect(1);
    net.heartbeats(1, 1);
    net.crash(3);
    assert_eq!(net.node(1).hands_over_to(Some(3)), Ok(id(3)), "it was heard from just now");
    assert_eq!(net.node(1).proposes("x"), Err(ProposeError::HandingOver { to: id(3) }));
    net.heartbeats(1, 6);
    assert_eq!((net.node(1).role(), net.node(1).raft.handing_over_to()), (RoleName::Leader, None));
    net.node(1).proposes("x").unwrap();
    net.deliver();
    assert_eq!(net.node(1).commit(), 3);
    assert_eq!(
        net.node(1).hands_over_to(Some(2)),
        Ok(id(2)),
        "another one is welcome (SecondTransferToAnotherNode)"
    );
    net.deliver();
    assert_eq!(net.node(2).role(), RoleName::Leader);
    net.restart(3);
    net.heartbeats(2, 3);
    assert_eq!((net.node(3).role(), net.node(3).log()), (RoleName::Follower, vec![1, 2, 2, 3]));
}

/// B17 (dragonboat#223), D6: the request to campaign arrives after it was given up and others have gone on. The target lacks
/// an entry by then: it cannot win, and nothing is lost by its trying.
#[test]
fn a_request_to_campaign_that_comes_late_costs_an_election_and_nothing_else() {
    let mut net = Network::of(3);
    net.elect(1);
    net.heartbeats(1, 1);
    net.isolate(3);
    net.node(1).hands_over_to(Some(3)).unwrap();
    net.heartbeats(1, 6);
    net.node(1).proposes("x").unwrap();
    net.deliver();
    assert_eq!(net.node(1).commit(), 3);
    net.heal();
    net.lose_messages();
    net.node(3).receives(1, timeout_now(2));
    assert_eq!((net.node(3).role(), net.node(3).term()), (RoleName::Candidate, 3));
    net.deliver();
    assert_ne!(net.node(3).role(), RoleName::Leader);
    let leader = net.run_until_a_leader_emerges();
    net.heartbeats(leader, 3);
    assert!([1, 2].contains(&leader));
    assert_eq!(net.node(3).log()[..3], [1, 2, 2], "the entry is there");
}

/// D14 (openraft#1747): reads are served during a transfer, and do not keep a stuck one from its end.
#[test]
fn reads_go_on_during_a_transfer_and_do_not_prolong_it() {
    let mut net = Network::of(3);
    net.elect(1);
    net.heartbeats(1, 1);
    net.cut(1, 3);
    net.node(1).hands_over_to(Some(3)).unwrap();
    for _ in 0..6 {
        let read = net.node(1).is_asked_to_read();
        net.heartbeats(1, 1);
        assert!(matches!(net.node(1).outcome(read), Some(Ok(_))));
    }
    assert_eq!(net.node(1).raft.handing_over_to(), None);
    assert!(net.node(1).proposes("x").is_ok());
}

/// LeaderTransferReceiveHigherTermVote: whoever ceases to lead has nothing to hand over any more, also when it leads again.
#[test]
fn a_transfer_ends_with_the_leadership() {
    let mut node = Peer::with_log(&[1]).elected();
    node.receives(2, matched(2, 1));
    node.hands_over_to(Some(2)).unwrap();
    node.receives(3, heartbeat_answer(3, 0));
    assert_eq!((node.role(), node.raft.handing_over_to()), (RoleName::Follower, None));
    node.time_passes(ELECTION_TIMEOUT);
    let mut node = node.elected();
    assert!(node.proposes("x").is_ok());
    node.receives(2, matched(4, 4));
    assert!(!node.sent_to(2).iter().any(|message| matches!(message, Message::TimeoutNow(_))));
}

/// LeaderTransferAfterSnapshot: the target needs a snapshot first; it is asked when it has that and the rest.
#[test]
fn leadership_goes_to_a_node_that_needs_a_snapshot_after_it_has_it() {
    let mut net = Network::of(3);
    net.elect(1);
    net.isolate(3);
    net.node(1).proposes_all(&["a", "b"]).unwrap();
    net.heartbeats(1, 2);
    net.node(1).takes_snapshot();
    net.heal();
    net.heartbeats(1, 2);
    assert_eq!(net.node(1).wants_to_send_snapshots_to(), [3]);
    net.node(1).hands_over_to(Some(3)).unwrap();
    net.deliver();
    assert_eq!(net.node(1).role(), RoleName::Leader);
    net.transfer_snapshot(1, 3);
    net.deliver();
    assert_eq!(net.node(3).role(), RoleName::Leader);
}

/// What was proposed before the transfer is committed by the successor, if not before.
#[test]
fn proposals_before_a_transfer_survive_it() {
    let mut net = Network::of(5);
    net.elect(1);
    net.heartbeats(1, 1);
    net.node(1).proposes_all(&["a", "b", "c"]).unwrap();
    net.node(1).hands_over_to(Some(4)).unwrap();
    net.converse(1, 4);
    net.lose_messages();
    net.isolate(1);
    assert_eq!(net.node(4).log(), [1, 2, 2, 2, 2]);
    let leader = net.run_until_a_leader_emerges();
    net.heartbeats(leader, 3);
    assert_eq!(leader, 4, "it had been asked; and nobody else has the entries");
    assert_eq!(net.node(2).log(), net.node(4).log());
    assert_eq!(net.node(2).commit(), net.node(4).commit());
}
