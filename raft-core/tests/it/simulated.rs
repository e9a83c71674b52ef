//! Ways to get stuck that simulation found, each told with as few nodes and messages as it needs.

use raft_core::configuration::MemberRole;
use raft_core::snapshot::SnapshotMeta;
use raft_core::{LogIndex, Options, RoleName};

use std::sync::Arc;

use crate::support::{
    Disk, ELECTION_TIMEOUT, Network, Peer, acknowledged, append, append_blocks, configuration_block, entry,
    heartbeat, members, offer, options, voters,
};

/// Logs are kept behind their snapshots.
fn retaining() -> Options {
    Options { retained_entries: 100, ..options() }
}

/// The logs differ at the very entry before the leader's first: asking again for that entry leads nowhere.
#[test]
fn a_follower_that_conflicts_at_the_leaders_base_gets_a_snapshot() {
    let mut net = Network::with_logs(&[&[1, 3], &[1, 3], &[1, 2, 2, 2, 2]]);
    net.isolate(3);
    net.elect(1);
    net.node(1).takes_snapshot();
    assert_eq!(net.commits()[0], 3);
    net.restart(1);
    net.heal();
    net.elect(1);
    net.heartbeats(1, 2);
    assert!(net.node(1).wants_to_send_snapshots_to().contains(&3));
    net.transfer_snapshot(1, 3);
    net.heartbeats(1, 2);
    assert_eq!(net.commits(), [4, 4, 4]);
}

/// Nothing is appended any more, and no message of the past tells a restarted follower how far its log matches.
#[test]
fn a_follower_that_restarts_within_a_term_learns_the_commit_index_from_heartbeats() {
    let mut net = Network::of(3);
    net.elect(1);
    net.node(1).proposes_all(&["a", "b"]).unwrap();
    net.heartbeats(1, 2);
    let commit = net.commits()[0];
    // So fast that nobody notices.
    net.node(2).restarts();
    assert!(net.commits()[1] < commit);
    net.heartbeats(1, 3);
    assert_eq!(net.commits(), [commit; 3]);
}

/// Only this node may have the entry that removes it; without it nobody could be elected. `[Ongaro §4.2.2]`
#[test]
fn a_voter_campaigns_until_its_removal_is_agreed_on() {
    let removal = configuration_block(entry(2, 2), &voters([2, 3]));
    let mut node = Peer::with_log(&[1]).following_2_in(2);
    node.receives(2, append_blocks(2, entry(1, 1), vec![removal], 0));
    assert_eq!(node.voters(), [2, 3]);
    node.time_passes(ELECTION_TIMEOUT);
    node.times_out();
    assert_eq!(node.role(), RoleName::PreCandidate);
    node.receives(2, heartbeat(2, 2));
    node.time_passes(ELECTION_TIMEOUT);
    node.times_out();
    assert_eq!((node.role(), node.commit()), (RoleName::Follower, 2));
}

/// An entry that rots after a snapshot covered it is of no use to anybody.
#[test]
fn a_damaged_entry_that_a_snapshot_covers_keeps_nobody_from_campaigning() {
    let mut node = Peer::with_log(&[1, 1, 1, 1]).with_options(retaining()).following_2_in(2);
    node.receives(2, append(2, entry(1, 4), &[2], 4));
    node.takes_snapshot();
    assert!(node.disk.log.damage(LogIndex(2)));
    node.restarts();
    node.time_passes(ELECTION_TIMEOUT);
    node.times_out();
    assert_eq!((node.role(), node.log()), (RoleName::PreCandidate, vec![1, 1, 2]));
}

/// A leader finds such an entry when a slow follower needs it: it goes on leading, and sends the snapshot instead.
#[test]
fn a_leader_sends_its_snapshot_for_a_damaged_entry() {
    let mut net = Network::with_options(&Options { cache_bytes: 1, ..retaining() }, &[&[1][..]; 3]);
    net.elect(1);
    net.isolate(3);
    for command in ["a", "b", "c"] {
        net.node(1).proposes(command).unwrap();
        net.deliver();
    }
    net.node(1).takes_snapshot();
    assert!(net.node(1).disk.log.damage(LogIndex(4)));
    net.heal();
    net.heartbeats(1, 5);
    assert_eq!(net.node(1).role(), RoleName::Leader);
    assert!(net.node(1).wants_to_send_snapshots_to().contains(&3));
}

/// The hole is the last entry of the block that mends it.
#[test]
fn the_last_entry_of_a_block_is_mended() {
    let mut node = Peer::with_log(&[1, 1, 1, 1]);
    assert!(node.disk.log.damage(LogIndex(4)));
    node.restarts();
    let mut node = node.following_2_in(2);
    node.receives(2, append(2, entry(1, 2), &[1, 1], 4));
    assert_eq!(acknowledged(&node.sent_to(2)), Some((4, None)));
}

/// It is not a member any more, but the one that is can still be asked.
#[test]
fn a_node_that_was_removed_has_its_damage_mended_by_those_who_remain() {
    let small = Options { cache_bytes: 1, ..options() };
    let mut node = Peer::member_of(&voters([1, 2]), &[1, 1]).with_options(small).following_2_in(2);
    assert!(node.disk.log.damage(LogIndex(2)));
    let removal = configuration_block(entry(2, 3), &voters([2]));
    node.receives(2, append_blocks(2, entry(1, 2), vec![removal], 3));
    assert!(node.halt().is_none(), "{:?}", node.halt());
    assert_eq!(node.voters(), [2]);
    node.sent();
    node.receives(2, heartbeat(2, 3));
    assert_eq!(acknowledged(&node.sent_to(2)), Some((1, Some(2))));
}

/// The entry that set the members is lost, the log behind it stays: the snapshot knows the members.
#[test]
fn a_snapshot_that_covers_a_damaged_configuration_brings_it_into_force() {
    let grown = voters(1..=5);
    let log = vec![
        configuration_block(entry(1, 1), &voters(1..=3)),
        configuration_block(entry(1, 2), &grown),
        configuration_block(entry(1, 3), &grown),
    ];
    let mut node = Peer::start(1, options(), Disk::with_blocks(&voters(1..=3), log));
    for index in [2, 3] {
        assert!(node.disk.log.damage(LogIndex(index)));
    }
    node.restarts();
    let mut node = node.following_2_in(2);
    node.receives(2, append(2, entry(1, 3), &[2], 0));
    assert_eq!(node.voters(), [1, 2, 3]);
    let (last, configuration) = (entry(1, 3), Some(Arc::new(grown)));
    let meta = SnapshotMeta { last, configuration_index: LogIndex(3), configuration };
    node.installs(2, &offer(2, meta));
    assert_eq!((node.voters(), node.log()), (vec![1, 2, 3, 4, 5], vec![2]));
}

/// The first report may be lost, and nothing else makes the leader send the entry again.
#[test]
fn a_hole_is_reported_until_it_is_mended() {
    let mut node = Peer::with_log(&[1, 1, 1, 1]);
    assert!(node.disk.log.damage(LogIndex(3)));
    node.restarts();
    let mut node = node.following_2_in(2);
    node.receives(2, append(2, entry(1, 4), &[], 0));
    for _ in 0..3 {
        assert_eq!(acknowledged(&node.sent_to(2)), Some((2, Some(3))));
        node.receives(2, heartbeat(2, 0));
    }
    node.receives(2, append(2, entry(1, 2), &[1, 1], 0));
    assert_eq!(acknowledged(&node.sent_to(2)), Some((4, None)));
    node.receives(2, heartbeat(2, 0));
    assert_eq!(acknowledged(&node.sent_to(2)), None);
}

/// A node that never asks for votes must notice by itself that its leader is gone, or it sends its clients there for ever.
#[test]
fn a_learner_forgets_a_leader_that_fell_silent() {
    let configuration = members(&[(1, MemberRole::Learner), (2, MemberRole::Voter), (3, MemberRole::Voter)]);
    let mut node = Peer::member_of(&configuration, &[1]).following_2_in(2);
    let read = node.is_asked_to_read();
    assert_eq!((node.leader(), node.outcome(read)), (Some(2), None));
    node.time_passes(2 * ELECTION_TIMEOUT);
    node.times_out();
    assert_eq!(node.leader(), None);
    assert!(matches!(node.outcome(read), Some(Err(_))), "{:?}", node.outcome(read));
}
