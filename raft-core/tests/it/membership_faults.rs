//! `[Raft §6]`, `[Ongaro §4]` Changes of the members while messages are lost, nodes crash and leaders change. The scenarios
//! E1 to E16 are bugs that other implementations have had.

use std::sync::Arc;

use raft_core::configuration::MemberRole::{Incoming, Learner, Outgoing, Promotable, Voter};
use raft_core::configuration::{ChangeError, Member, MemberChange};
use raft_core::snapshot::SnapshotMeta;
use raft_core::{Input, LogIndex, ProposeError, RoleName, Term, TransferError};

use crate::support::{
    Disk, ELECTION_TIMEOUT, HEARTBEAT, Network, Peer, append, append_blocks, configuration_block, entry,
    forced_request_vote, id, matched, member, members, offer, options, pre_vote_answer, put, remove,
    timeout_now, vote, voters,
};

/// Node 1, which leads 1, 2, 3 and is to lead 1, 4, 5 as soon as that is committed; in term 2, the change at entry 3.
fn in_the_middle() -> Peer {
    let mut node = Peer::with_log(&[1]).elected();
    node.receives(2, matched(2, 2));
    node.changes_members(&[put(4, Voter), put(5, Voter), remove(2), remove(3)]).unwrap();
    node.sent();
    node
}

// Changes that do not come to be.

/// As [`Network::founded`]; everybody knows what is committed.
fn cluster(founders: u64, count: u64) -> Network {
    let mut net = Network::founded(founders, count);
    net.heartbeats(1, 1);
    net
}

/// E9: what a leader changed while nobody could hear it is undone by the next leader's log, on its disk as well.
#[test]
fn a_change_that_was_never_agreed_on_is_rolled_back() {
    let mut net = cluster(3, 5);
    net.isolate(1);
    net.node(1).changes_members(&[put(4, Voter), put(5, Voter), remove(2)]).unwrap();
    assert!(net.node(1).raft.configuration().unwrap().is_joint());
    net.elect(2);
    net.node(2).proposes("x").unwrap();
    net.deliver();
    net.heal();
    net.heartbeats(2, 3);
    assert_eq!((net.node(1).voters(), net.node(1).log()), (vec![1, 2, 3], vec![1, 2, 3, 3]));
    net.restart(1);
    assert_eq!(net.node(1).voters(), [1, 2, 3], "on the disk it is undone as well");
    assert_eq!(net.node(4).log(), Vec::<u64>::new(), "nobody else has heard of it");
    net.node(2).changes_members(&[put(4, Voter)]).unwrap();
    net.heartbeats(2, 3);
    assert_eq!(net.node(1).voters(), [1, 2, 3, 4], "another change is not in its way");
}

/// E2 (etcd#7280), E9: with the entry the old majority comes back, in the very message that removes it.
#[test]
fn a_node_that_rolls_a_change_back_counts_by_the_old_majority_again() {
    let mut node = Peer::with_log(&[1]);
    let grown = configuration_block(entry(2, 2), &voters(1..=5));
    node.receives(2, append_blocks(2, entry(1, 1), vec![grown], 0));
    node.receives(3, append(3, entry(1, 1), &[3], 0));
    node.time_passes(ELECTION_TIMEOUT);
    let mut node = node.campaigning();
    node.receives(2, vote(4, true));
    assert_eq!(node.role(), RoleName::Leader, "two of three");
}

/// A minority can begin a change and cannot finish it; the majority is not bound by it.
#[test]
fn a_change_by_a_leader_without_majority_commits_nothing() {
    let mut net = cluster(5, 5);
    for other in [3, 4, 5] {
        for one in [1, 2] {
            net.cut(one, other);
            net.cut(other, one);
        }
    }
    net.node(1).changes_members(&[remove(3), remove(4), remove(5)]).unwrap();
    net.deliver();
    assert_eq!((net.node(1).commit(), net.node(2).commit()), (2, 2), "two of two, but two of five");
    net.elect(3);
    net.node(3).proposes("x").unwrap();
    net.deliver();
    assert_eq!(net.node(3).commit(), 4);
    net.heartbeats(1, 1);
    assert_eq!(net.node(1).role(), RoleName::Follower, "it has lost the old majority");
    net.heal();
    net.heartbeats(3, 3);
    assert_eq!(net.logs(), vec![vec![1, 2, 3, 3]; 5]);
}

/// E14 (openraft cd7ff90e): who belongs to no cluster, or is not its leader, changes nobody.
#[test]
fn a_node_without_a_cluster_changes_no_members() {
    let mut blank = Peer::start(1, options(), Disk::blank());
    assert_eq!(blank.changes_members(&[put(1, Voter)]), Err(ProposeError::NotLeader { leader: None }));
    assert_eq!(blank.log(), Vec::<u64>::new());
}

/// E1: two leaders in turn, each with one change: the second waits until it has committed an entry of its own term. Else 1
/// and 2 could agree on {1, 2, 3} and, without them, 3, 4 and 5 on {3, 4, 5, 6}.
#[test]
fn a_new_leader_changes_nothing_before_it_has_committed_something() {
    let mut net = cluster(4, 5);
    net.isolate(1);
    net.node(1).changes_members(&[put(5, Voter)]).unwrap();
    net.time_passes(ELECTION_TIMEOUT);
    net.node(2).times_out();
    net.deliver_from(2, 3);
    net.deliver_from(2, 4);
    net.deliver_from(3, 2);
    net.deliver_from(4, 2);
    net.deliver_from(2, 3);
    net.deliver_from(2, 4);
    net.deliver_from(3, 2);
    net.deliver_from(4, 2);
    assert_eq!(net.node(2).role(), RoleName::Leader);
    let too_early = Err(ProposeError::Change(ChangeError::TooEarly));
    assert_eq!(net.node(2).changes_members(&[remove(1)]), too_early);
    net.deliver();
    assert!(net.node(2).changes_members(&[remove(1)]).is_ok());
    net.heartbeats(2, 2);
    assert_eq!((net.node(2).voters(), net.node(2).commit()), (vec![2, 3, 4], 4));
    net.heal();
    for _ in 0..3 {
        net.node(1).timer_fires();
        net.heartbeats(2, 1);
    }
    assert_eq!(net.node(1).voters(), [1, 2, 3, 4, 5], "nobody tells it any more; its change is nobody's");
    assert_ne!(net.node(1).role(), RoleName::Leader);
}

// Joint configurations.

/// E5 (etcd#12136): the leader that began dies, before its change is committed and after; whoever is next finishes it.
#[test]
fn the_next_leader_finishes_a_joint_change() {
    for committed in [false, true] {
        let mut net = cluster(3, 5);
        net.node(1).changes_members(&[put(4, Voter), put(5, Voter), remove(1), remove(2)]).unwrap();
        for follower in [2, 3] {
            net.deliver_from(1, follower);
        }
        if committed {
            // Everything but the entry that would leave the joint configuration.
            net.converse(1, 4);
            net.deliver_from(2, 1);
        }
        net.lose_messages();
        net.crash(1);
        net.elect(3);
        net.heartbeats(3, 3);
        assert_eq!(net.node(3).voters(), [3, 4, 5], "committed: {committed}");
        assert_eq!(net.node(5).commit(), net.node(3).commit());
        assert!(!net.node(3).raft.configuration().unwrap().is_joint());
    }
}

/// E4 (etcd#12359): that the joint configuration is committed is known to one node alone, which crashes; another has a
/// longer log. With configurations in force from when they are appended somebody can be elected all the same.
#[test]
fn a_joint_change_that_only_a_crashed_node_knows_to_be_committed_blocks_nobody() {
    let mut net = cluster(4, 4);
    net.node(1).changes_members(&[remove(1), remove(2)]).unwrap();
    for follower in [2, 3, 4] {
        net.deliver_from(1, follower);
        net.deliver_from(follower, 1);
    }
    assert!(net.node(1).commit() >= 3, "node 1 knows");
    net.deliver_from(1, 4);
    net.lose_messages();
    assert_eq!((net.node(3).commit(), net.node(3).log().len(), net.node(4).log().len()), (2, 3, 4));
    net.crash(1);
    let leader = net.run_until_a_leader_emerges();
    net.heartbeats(leader, 4);
    assert_eq!((net.node(3).voters(), net.node(4).voters()), (vec![3, 4], vec![3, 4]));
}

/// `[Raft §6]`: while joint, a leader of either side alone decides nothing: neither its election nor a commit.
#[test]
fn half_of_a_joint_configuration_elects_nobody() {
    let joint = members(&[(1, Voter), (2, Outgoing), (3, Outgoing), (4, Incoming), (5, Incoming)]);
    for (granting, wins) in [(vec![2, 3], false), (vec![4, 5], false), (vec![3, 4], true)] {
        let mut node = Peer::member_of(&joint, &[1]);
        node.times_out();
        for &voter in &granting {
            node.receives(voter, pre_vote_answer(2, true));
        }
        let expected = if wins { RoleName::Candidate } else { RoleName::PreCandidate };
        assert_eq!(node.role(), expected, "{granting:?}");
    }
}

/// The learners of a joint change count on the new side only as what they will be: not at all.
#[test]
fn a_learner_counts_on_neither_side_of_a_joint_change() {
    let mut node = Peer::with_log(&[1]).elected();
    node.receives(2, matched(2, 2));
    node.changes_members(&[put(4, Learner), put(5, Promotable), remove(3)]).unwrap();
    for learner in [4, 5] {
        node.receives(learner, matched(2, 3));
    }
    assert_eq!(node.commit(), 2);
    node.receives(2, matched(2, 3));
    assert_eq!(node.commit(), 3, "node 2 is a majority with the leader, before and after");
}

/// E6 (etcd#11038, raft#77): a leader that is not in the new configuration leads until that is committed, refuses nobody
/// meanwhile, and then goes. E16: it does not count itself on the new side.
#[test]
fn a_leader_that_leaves_by_a_joint_change_serves_to_its_end() {
    let mut net = cluster(3, 5);
    net.node(1).changes_members(&[put(4, Voter), put(5, Voter), remove(1), remove(2)]).unwrap();
    net.node(1).proposes("meanwhile").unwrap();
    net.isolate(4);
    net.isolate(5);
    net.deliver();
    assert_eq!((net.node(1).commit(), net.node(1).role()), (2, RoleName::Leader), "1, 2, 3 and 3 alone");
    net.heal();
    for _ in 0..4 {
        if net.node(1).role() == RoleName::Leader {
            net.heartbeats(1, 1);
        }
    }
    assert_eq!(net.node(1).role(), RoleName::Follower);
    let leader = net.node(3).leader().expect("somebody took over");
    assert!([3, 4, 5].contains(&leader));
    assert_eq!(net.node(3).log()[..4], [1, 2, 2, 2], "joint, and the proposal");
    assert_eq!(net.node(leader).voters(), [3, 4, 5]);
}

/// D10 (test_read_when_quorum_becomes_less), D11: a read needs both majorities, and no more of them than are left.
#[test]
fn a_read_in_the_middle_of_a_change_needs_both_majorities() {
    let mut node = in_the_middle();
    let read = node.is_asked_to_read();
    let round = |node: &mut Peer, from| node.receives(from, crate::support::heartbeat_answer(2, 1));
    round(&mut node, 4);
    round(&mut node, 5);
    assert_eq!(node.outcome(read), None, "all of the new one");
    round(&mut node, 2);
    assert_eq!(node.outcome(read), Some(Ok(LogIndex(2))));
}

/// D10: who is not asked any more is not waited for.
#[test]
fn a_change_to_fewer_voters_releases_the_reads_that_waited_for_them() {
    let mut node = Peer::member_of(&voters(1..=4), &[1]).elected();
    node.receives(2, matched(2, 2));
    node.receives(3, matched(2, 2));
    let read = node.is_asked_to_read();
    node.receives(2, crate::support::heartbeat_answer(2, 1));
    assert_eq!(node.outcome(read), None, "two of four");
    node.changes_members(&[remove(4)]).unwrap();
    assert_eq!(node.outcome(read), Some(Ok(LogIndex(2))), "two of three");
}

/// E10 (matrixone#23281): a snapshot that is taken in the middle of a change brings the middle, and whoever starts from it
/// goes by both majorities.
#[test]
fn a_snapshot_in_the_middle_of_a_change_brings_both_majorities() {
    let mut node = in_the_middle();
    for voter in [2, 4] {
        node.receives(voter, matched(2, 3));
    }
    assert_eq!(
        (node.commit(), node.log()),
        (3, vec![1, 2, 2, 2]),
        "joint, and left again, which is not committed"
    );
    node.takes_snapshot();
    let meta = node.disk.snapshot.clone();
    assert_eq!((meta.last, meta.configuration_index), (entry(2, 3), LogIndex(3)));
    assert!(meta.configuration.as_ref().unwrap().is_joint());
    let mut other = Peer::start(5, options(), Disk::blank());
    other.step(Input::Greeted(voters(1..=3).cluster_id()));
    other.installs(1, &offer(2, meta));
    assert_eq!(other.voters(), [1, 2, 3, 4, 5]);
    assert!(other.raft.configuration().unwrap().is_joint());
    other.restarts();
    assert!(other.raft.configuration().unwrap().is_joint(), "also after a restart");
    other.receives(
        1,
        append_blocks(2, entry(2, 3), vec![configuration_block(entry(2, 4), &voters([1, 4, 5]))], 4),
    );
    assert_eq!(other.voters(), [1, 4, 5]);
}

/// A restart in the middle finds the middle, elects by it, and leads out of it.
#[test]
fn a_restarted_leader_leads_out_of_its_joint_change() {
    let mut node = in_the_middle();
    node.restarts();
    node.time_passes(ELECTION_TIMEOUT);
    let mut node = node.campaigning();
    for voter in [2, 4] {
        node.receives(voter, vote(3, true));
    }
    assert_eq!(node.role(), RoleName::Leader);
    for voter in [2, 4] {
        node.receives(voter, matched(3, 4));
    }
    assert_eq!((node.voters(), node.log()), (vec![1, 4, 5], vec![1, 2, 2, 3, 3]));
}

// Who comes and who goes.

/// B11, E6 (hashicorp, FollowerRemovalNoElection): who was removed and never heard of it asks in vain, however often.
#[test]
fn a_removed_node_that_was_cut_off_disturbs_nobody() {
    let mut net = cluster(4, 4);
    net.isolate(4);
    net.node(1).changes_members(&[remove(4)]).unwrap();
    net.heartbeats(1, 2);
    net.heal();
    for _ in 0..5 {
        net.node(4).times_out();
        net.heartbeats(1, 2);
    }
    assert_eq!((net.node(1).role(), net.node(1).term()), (RoleName::Leader, 2));
    assert_eq!(net.node(4).term(), 2, "it never got as far as a campaign");
    assert_eq!(net.node(1).raft.status().peers.len(), 2, "and is fed no more");
}

/// E15: of two voters the dead one is removed by the other, as long as that one leads.
#[test]
fn of_two_voters_the_dead_one_can_be_removed() {
    let mut net = cluster(2, 2);
    net.isolate(2);
    net.node(1).changes_members(&[remove(2)]).unwrap();
    net.heartbeats(1, 20);
    assert_eq!((net.node(1).role(), net.node(1).commit()), (RoleName::Leader, 3));
    net.node(1).proposes("alone").unwrap();
    assert_eq!(net.node(1).commit(), 4);
    net.restart(1);
    net.node(1).times_out();
    assert_eq!((net.node(1).role(), net.node(1).voters()), (RoleName::Leader, vec![1]));
}

/// A wiped node comes back under its old name and another id: in one change, through a joint configuration in which both
/// are listed, so that at no time a vote is lost.
#[test]
fn a_replacement_has_the_name_of_the_one_it_replaces() {
    let mut net = cluster(3, 4);
    net.isolate(3);
    let replacement = Member { name: "n3".to_owned(), ..member(4, Voter) };
    net.node(1).changes_members(&[remove(3), MemberChange::Put(replacement)]).unwrap();
    let joint = Arc::clone(net.node(1).raft.configuration().unwrap());
    assert!(joint.is_joint());
    assert_eq!(joint.member_named("n3").map(|member| member.id), Some(id(4)), "the one who stays");
    net.heartbeats(1, 5);
    assert_eq!((net.node(1).voters(), net.node(4).voters()), (vec![1, 2, 4], vec![1, 2, 4]));
    assert_eq!(net.node(4).log(), net.node(1).log());
    let namesake = Member { name: "n3".to_owned(), ..member(5, Voter) };
    let taken = net.node(1).changes_members(&[MemberChange::Put(namesake)]);
    assert!(matches!(taken, Err(ProposeError::Change(ChangeError::BadText { .. }))), "{taken:?}");
}

/// C17 (etcd#10166), as a member that is removed and comes back under a new id: the leader starts over with it.
#[test]
fn a_member_that_is_removed_and_added_again_is_fed_from_the_start() {
    let mut net = cluster(3, 4);
    net.node(1).changes_members(&[put(4, Learner)]).unwrap();
    net.heartbeats(1, 3);
    assert_eq!(net.node(1).progress(4).match_index, LogIndex(3));
    net.node(1).changes_members(&[remove(4)]).unwrap();
    net.heartbeats(1, 3);
    net.node(1).changes_members(&[put(4, Learner)]).unwrap();
    assert_eq!(net.node(1).progress(4).match_index, LogIndex(0));
    net.heartbeats(1, 3);
    assert_eq!(net.node(4).log(), net.node(1).log());
}

/// A learner that lags is not promoted, and what it lacks keeps nobody waiting.
#[test]
fn a_learner_that_lags_slows_no_commit() {
    let mut net = cluster(3, 4);
    net.isolate(4);
    net.node(1).changes_members(&[put(4, Promotable)]).unwrap();
    for _ in 0..20 {
        net.node(1).proposes("x").unwrap();
        net.heartbeats(1, 1);
    }
    assert_eq!((net.node(1).commit(), net.node(1).voters()), (23, vec![1, 2, 3]));
    assert_eq!(net.node(4).role(), RoleName::Follower);
}

/// Two learners catch up at once: they are promoted one after the other, each change committed before the next begins.
#[test]
fn learners_are_promoted_one_at_a_time() {
    let mut net = cluster(3, 5);
    net.node(1).changes_members(&[put(4, Promotable), put(5, Promotable)]).unwrap();
    let mut seen = Vec::new();
    for _ in 0..20 {
        net.heartbeats(1, 1);
        let voters = net.node(1).voters();
        if seen.last() != Some(&voters) {
            seen.push(voters);
        }
    }
    assert_eq!(seen.last(), Some(&vec![1, 2, 3, 4, 5]));
    assert!(seen.windows(2).all(|pair| pair[1].len() <= pair[0].len() + 2), "{seen:?}");
    assert!(!net.node(1).raft.configuration().unwrap().is_joint());
}

/// F10, E10: a snapshot replaces the log and every configuration in it, also one that was not committed.
#[test]
fn a_snapshot_ends_a_change_that_was_not_agreed_on() {
    let mut node = Peer::with_log(&[1]);
    let grown = configuration_block(entry(2, 2), &voters(1..=7));
    node.receives(2, append_blocks(2, entry(1, 1), vec![grown], 0));
    assert_eq!(node.voters().len(), 7);
    let meta = SnapshotMeta {
        last: entry(3, 9),
        configuration_index: LogIndex(1),
        configuration: Some(Arc::new(voters(1..=3))),
    };
    node.installs(3, &offer(4, meta));
    assert_eq!((node.voters(), node.log()), (vec![1, 2, 3], vec![]));
}

// Transfers and changes.

/// E11 (tikv#4045): who has just been promoted may not know it yet. It is asked once it has the entry that says so.
#[test]
fn leadership_goes_to_a_new_voter_only_when_it_knows_that_it_is_one() {
    let mut node = Peer::with_log(&[1]).elected();
    node.receives(2, matched(2, 2));
    node.changes_members(&[put(4, Voter)]).unwrap();
    assert_eq!(node.hands_over_to(Some(4)), Ok(id(4)));
    node.receives(4, matched(2, 2));
    assert!(!node.sent_to(4).contains(&timeout_now(2)));
    node.receives(4, matched(2, 3));
    assert!(node.sent_to(4).contains(&timeout_now(2)));
}

/// E12 (raft-rs#164, consul#7031): not to a learner, nor to one who leaves or becomes a learner with the change under way.
#[test]
fn leadership_goes_to_nobody_who_is_about_to_lose_the_vote() {
    let mut node = Peer::member_of(&voters(1..=4), &[1]).elected();
    for voter in [2, 3] {
        node.receives(voter, matched(2, 2));
    }
    node.changes_members(&[remove(2), put(3, Learner)]).unwrap();
    for (to, allowed) in [(2, false), (3, false), (4, true)] {
        let refused = Err(TransferError::NotVoter { to: id(to) });
        assert_eq!(node.hands_over_to(Some(to)), if allowed { Ok(id(to)) } else { refused });
    }
}

/// E3 (etcd#12133): a campaign that the leader asked for goes by the newest configuration in the log, committed or not.
#[test]
fn a_campaign_on_demand_asks_the_voters_of_the_newest_configuration() {
    let mut node = Peer::with_log(&[1]).following_2_in(2);
    let grown = configuration_block(entry(2, 2), &voters(1..=5));
    node.receives(2, append_blocks(2, entry(1, 1), vec![grown], 0));
    node.sent();
    node.receives(2, timeout_now(2));
    let asked: Vec<u64> = node
        .sent()
        .into_iter()
        .map(|(to, message)| {
            assert_eq!(message, forced_request_vote(3, entry(2, 2)));
            to
        })
        .collect();
    assert_eq!(asked, [2, 3, 4, 5]);
    node.receives(2, vote(3, true));
    assert_eq!(node.role(), RoleName::Candidate, "two of five");
}

/// While leadership is being handed over no change begins; a change that has begun stays with whoever leads.
#[test]
fn a_transfer_and_a_change_keep_out_of_each_others_way() {
    let mut net = cluster(3, 4);
    net.node(1).hands_over_to(Some(2)).unwrap();
    assert_eq!(net.node(1).changes_members(&[put(4, Voter)]), Err(ProposeError::HandingOver { to: id(2) }));
    net.deliver();
    assert_eq!(net.node(2).role(), RoleName::Leader);
    net.node(2).changes_members(&[put(4, Voter), remove(1)]).unwrap();
    assert_eq!(net.node(2).hands_over_to(Some(3)), Ok(id(3)));
    net.deliver();
    net.time_passes(HEARTBEAT);
    let leader = net.run_until_a_leader_emerges();
    net.heartbeats(leader, 4);
    assert_eq!(net.node(leader).voters(), [2, 3, 4]);
    assert!(net.node(leader).term() >= Term(3).0);
}
