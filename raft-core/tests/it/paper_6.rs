//! `[Raft §6]` Cluster membership: which configuration is in force, and what each kind of member counts for. How
//! changes are made is in `membership.rs`.

use raft_core::configuration::MemberRole::{Incoming, Learner, Outgoing, Voter};
use raft_core::{
    BlockBuilder, EntryKind, Halt, Input, LogIndex, Message, Options, ProposeError, RoleName, Term,
};

use crate::support::{
    Disk, Network, Peer, append, append_blocks, blocks, configuration_block, entry, heartbeat, id, matched,
    members, offer, options, pre_vote, pre_vote_answer, request_vote, vote, voters,
};

/// `[Raft §6]`: "Once a given server adds the new configuration entry to its log, it uses that configuration for
/// all future decisions (a server always uses the latest configuration in its log, regardless of whether the entry
/// is committed)." E2 (etcd#7280).
#[test]
fn a_configuration_is_in_force_from_the_moment_it_is_appended() {
    let mut node = Peer::with_log(&[1]).following_2_in(2);
    let five = configuration_block(entry(2, 2), &voters(1..=5));
    node.receives(2, append_blocks(2, entry(1, 1), vec![five], 0));
    assert_eq!((node.voters(), node.commit()), (vec![1, 2, 3, 4, 5], 0));
    node.sent();
    node.times_out();
    let asked: Vec<u64> = node.sent().into_iter().map(|(to, _)| to).collect();
    assert_eq!(asked, [2, 3, 4, 5]);
}

/// As above: the *latest* one, in the middle of a message as well as at its end. E8.
#[test]
fn the_newest_configuration_of_a_message_is_in_force() {
    let mut node = Peer::with_log(&[1]);
    let changes = [
        vec![configuration_block(entry(2, 2), &voters(1..=4))],
        blocks(3, &[2]),
        vec![configuration_block(entry(2, 4), &voters([1, 2]))],
        blocks(5, &[2]),
    ];
    node.receives(2, append_blocks(2, entry(1, 1), changes.concat(), 0));
    assert_eq!(node.voters(), [1, 2]);
}

/// Ongaro §4.1: "a server must be prepared to fall back to the previous configuration in its log". E9 (openraft#1808).
#[test]
fn a_truncated_configuration_gives_way_to_the_one_before() {
    let mut node = Peer::with_log(&[1]);
    let changes = [2, 3].map(|index| configuration_block(entry(2, index), &voters(1..=index + 2)));
    node.receives(2, append_blocks(2, entry(1, 1), changes.to_vec(), 0));
    assert_eq!(node.voters(), [1, 2, 3, 4, 5]);
    node.receives(3, append(3, entry(2, 2), &[3], 0));
    assert_eq!(node.voters(), [1, 2, 3, 4]);
    node.receives(2, append(4, entry(1, 1), &[4], 0));
    assert_eq!(node.voters(), [1, 2, 3], "as far back as it takes");
}

/// A message that replaces one uncommitted configuration by another.
#[test]
fn a_configuration_in_the_place_of_another_is_in_force() {
    let mut node = Peer::with_log(&[1]);
    let one = configuration_block(entry(2, 2), &voters(1..=5));
    let other = configuration_block(entry(3, 2), &voters([1, 3, 4]));
    node.receives(2, append_blocks(2, entry(1, 1), vec![one], 0));
    node.receives(3, append_blocks(3, entry(1, 1), vec![other], 0));
    assert_eq!(node.voters(), [1, 3, 4]);
}

/// What was in force before a restart is in force after it, committed or not.
#[test]
fn a_restart_finds_the_newest_configuration_in_the_log() {
    let mut node = Peer::with_log(&[1]);
    let five = configuration_block(entry(2, 2), &voters(1..=5));
    node.receives(2, append_blocks(2, entry(1, 1), vec![five], 0));
    node.restarts();
    assert_eq!(node.voters(), [1, 2, 3, 4, 5]);
    node.receives(3, append(3, entry(1, 1), &[3], 0));
    assert_eq!(node.voters(), [1, 2, 3], "and can still be rolled back");
}

/// `[Raft §7]`: a snapshot includes "the latest configuration in the log as of last included index".
#[test]
fn a_snapshot_brings_its_configuration() {
    let mut node = Peer::with_log(&[1]);
    let elsewhere = Peer::member_of(&voters([1, 4, 5, 6]), &[1]);
    let meta = elsewhere.snapshot_of(entry(3, 20));
    node.installs(4, &offer(4, meta));
    assert_eq!(node.voters(), [1, 4, 5, 6]);
    node.restarts();
    assert_eq!(node.voters(), [1, 4, 5, 6], "also when the log says nothing any more");
}

/// The other way round: a snapshot stands for the configuration at its end, not for a newer one. E10 (matrixone#23281).
#[test]
fn a_snapshot_holds_the_configuration_at_its_last_entry() {
    let mut node = Peer::with_log(&[1]);
    let five = configuration_block(entry(2, 4), &voters(1..=5));
    let sent = [blocks(2, &[2, 2]), vec![five]].concat();
    node.receives(2, append_blocks(2, entry(1, 1), sent, 3));
    node.takes_snapshot();
    let meta = &node.disk.snapshot;
    assert_eq!((meta.last, meta.configuration_index), (entry(2, 3), LogIndex(1)));
    assert_eq!(meta.configuration.as_deref(), Some(&voters(1..=3)));
    node.receives(2, heartbeat(2, 4));
    node.takes_snapshot();
    assert_eq!(node.disk.snapshot.configuration_index, LogIndex(4));
    assert_eq!(node.disk.snapshot.configuration.as_deref(), Some(&voters(1..=5)));
}

/// `[Raft §6]`, joint consensus: "Agreement (for elections and entry commitment) requires separate majorities from
/// both the old and new configurations." C7.
#[test]
fn a_joint_configuration_needs_two_majorities_for_elections_and_commits() {
    // Old: 1, 2, 3. New: 1, 4, 5.
    let joint = members(&[(1, Voter), (2, Outgoing), (3, Outgoing), (4, Incoming), (5, Incoming)]);
    let mut node = Peer::member_of(&joint, &[1]).campaigning();
    node.receives(2, vote(2, true));
    node.receives(3, vote(2, true));
    assert_eq!(node.role(), RoleName::Candidate, "all of the old one, a third of the new one");
    node.receives(4, vote(2, true));
    assert_eq!(node.role(), RoleName::Leader);
    node.receives(4, matched(2, 2));
    node.receives(5, matched(2, 2));
    assert_eq!(node.commit(), 0, "all of the new one, a third of the old one");
    node.receives(3, matched(2, 2));
    assert_eq!(node.commit(), 2);
}

/// `[Raft §6]`: new servers join as "non-voting members (the leader replicates log entries to them, but they are
/// not considered for majorities)".
#[test]
fn a_learner_gets_the_log_and_counts_for_nothing() {
    let with_learner = members(&[(1, Voter), (2, Voter), (3, Learner)]);
    let mut node = Peer::member_of(&with_learner, &[1]).campaigning();
    node.receives(3, vote(2, true));
    assert_eq!(node.role(), RoleName::Candidate);
    node.receives(2, vote(2, true));
    assert_eq!(node.appends_to(3).len(), 1, "it is fed");
    node.receives(3, matched(2, 2));
    assert_eq!((node.commit(), node.progress(3).match_index), (0, LogIndex(2)));
    node.receives(2, matched(2, 2));
    assert_eq!(node.commit(), 2);
}

/// A learner applies what is committed, as everybody does.
#[test]
fn a_learner_follows() {
    let configuration = members(&[(1, Voter), (2, Voter), (3, Learner)]);
    let disks = (0..3).map(|_| Disk::with_log(&configuration, &[1]));
    let mut net = Network::with_disks(&options(), disks);
    net.elect(1);
    net.node(1).proposes("x").unwrap();
    net.deliver();
    net.heartbeats(1, 1);
    assert_eq!(net.commits(), [3, 3, 3]);
}

/// B12 (etcd#10998): a learner that does not know yet that it is a voter must vote when it is asked.
#[test]
fn a_learner_votes_when_it_is_asked() {
    let configuration = members(&[(1, Learner), (2, Voter), (3, Voter)]);
    let mut node = Peer::member_of(&configuration, &[1]);
    node.receives(2, pre_vote(2, entry(1, 1)));
    node.receives(2, request_vote(2, entry(1, 1)));
    assert_eq!(node.sent(), [(2, pre_vote_answer(2, true)), (2, vote(2, true))]);
}

/// B11 (hashicorp#524): `[Raft §6]`, "servers [...] accept log entries from a leader that is not part of their
/// latest configuration" and vote for a candidate that is not: theirs may be the outdated one.
#[test]
fn a_node_votes_for_and_follows_members_that_it_does_not_know_yet() {
    let mut node = Peer::with_log(&[1]);
    node.receives(9, request_vote(2, entry(1, 1)));
    assert_eq!(node.sent(), [(9, vote(2, true))]);
    node.receives(9, append(2, entry(1, 1), &[2], 2));
    assert_eq!((node.leader(), node.commit()), (Some(9), 2));
    assert_eq!(node.sent().last(), Some(&(9, matched(2, 2))));
}

/// The converse: what strangers answer is counted by nobody.
#[test]
fn a_strangers_acknowledgement_commits_nothing() {
    let mut node = Peer::with_log(&[1]).elected();
    for stranger in [7, 8, 9] {
        node.receives(stranger, matched(2, 2));
    }
    assert_eq!((node.commit(), node.raft.status().peers.len()), (0, 2));
}

/// B11, `[Raft §6]`: "removed servers (those not in Cnew) can disrupt the cluster. These servers will not receive
/// heartbeats, so they will time out and start new elections." Those who hear from a leader do not listen.
#[test]
fn a_removed_voter_that_comes_back_with_a_later_term_disturbs_nobody() {
    let two_of_three = voters([1, 2]);
    let founded = voters(1..=3);
    let log =
        vec![configuration_block(entry(1, 1), &founded), configuration_block(entry(1, 2), &two_of_three)];
    let new = Disk::with_blocks(&founded, log);
    let mut old = Disk::with_log(&founded, &[1]);
    old.log.hard_state.current_term = Term(40);
    let mut net = Network::with_disks(&options(), [new.clone(), new, old]);
    net.elect(1);
    let term = net.node(1).term();
    for _ in 0..5 {
        net.node(3).times_out();
        net.deliver();
        net.heartbeats(1, 3);
    }
    for message in [request_vote(41, entry(30, 99)), pre_vote(41, entry(30, 99))] {
        for member in [1, 2] {
            net.node(member).receives(3, message.clone());
        }
    }
    net.deliver();
    assert_eq!(
        (net.node(1).role(), net.node(1).term(), net.node(2).leader()),
        (RoleName::Leader, term, Some(1))
    );
}

/// A leader with a joint configuration in its log goes by it, also for how long it may lead: CheckQuorum needs
/// both.
#[test]
fn a_joint_configuration_needs_two_majorities_to_keep_leading() {
    let joint = members(&[(1, Voter), (2, Outgoing), (3, Outgoing), (4, Incoming), (5, Incoming)]);
    let mut node = Peer::member_of(&joint, &[1]).elected();
    for _ in 0..4 {
        node.heartbeats();
        for heard in [2, 3] {
            node.receives(heard, matched(2, 2));
        }
    }
    assert_eq!(node.role(), RoleName::Leader);
    node.heartbeats();
    assert_eq!(node.role(), RoleName::Follower, "4 and 5 were silent for an election timeout");
}

/// `[Raft §6]`, first configuration: one node founds the cluster; the entry is durable before anything follows
/// from it.
#[test]
fn a_cluster_of_one_is_founded_and_grows_from_its_first_entry() {
    let mut node = Peer::start(1, options(), Disk::blank());
    let founding = voters([1]);
    assert_eq!(node.founds(founding.clone()), Ok(entry(1, 1)));
    assert_eq!(node.disk.log.hard_state.cluster_id, Some(founding.cluster_id()));
    assert_eq!((node.log_on_disk(), node.voters()), (vec![1], vec![1]));
    node.times_out();
    assert_eq!((node.role(), node.term(), node.commit()), (RoleName::Leader, 2, 2));
    let again = node.founds(voters([1, 2]));
    let cluster_id = Some(founding.cluster_id());
    assert_eq!(again, Err(ProposeError::AlreadyInitialized { cluster_id, last: entry(2, 2) }));
}

/// A first configuration in which the founder could not lead would found a cluster that nobody leads.
#[test]
fn nobody_founds_a_cluster_that_it_could_not_lead() {
    let mut node = Peer::start(1, options(), Disk::blank());
    let cannot = |joint| Err(ProposeError::CannotFound { id: id(1), joint });
    assert_eq!(node.founds(voters([2, 3])), cannot(false));
    assert_eq!(node.founds(members(&[(1, Learner), (2, Voter)])), cannot(false));
    assert_eq!(node.founds(members(&[(1, Voter), (2, Incoming)])), cannot(true));
    assert_eq!((node.log(), node.term(), node.raft.hard_state().cluster_id), (vec![], 0, None));
}

/// The first configuration is an entry like any other.
#[test]
fn nobody_founds_a_cluster_by_an_entry_that_is_too_long() {
    let small = Options { max_entry_bytes: 48, ..options() };
    let mut node = Peer::start(1, small, Disk::blank());
    assert_eq!(node.founds(voters(1..=2)), Err(ProposeError::TooLarge { found: 7 + 2 * 21, limit: 48 }));
    assert_eq!((node.log(), node.raft.hard_state().cluster_id), (vec![], None));
    assert_eq!(node.founds(voters([1])), Ok(entry(1, 1)));
}

/// Whoever belongs to a cluster, or to one that greeted it, founds no other.
#[test]
fn a_greeted_node_founds_nothing() {
    let mut node = Peer::start(1, options(), Disk::blank());
    node.step(Input::Greeted(voters(1..=3).cluster_id()));
    assert!(matches!(node.founds(voters([1])), Err(ProposeError::AlreadyInitialized { .. })));
    assert_eq!(node.disk.log.hard_state.cluster_id, Some(voters(1..=3).cluster_id()));
    node.step(Input::Greeted(voters([7]).cluster_id()));
    assert_eq!(node.disk.log.hard_state.cluster_id, Some(voters(1..=3).cluster_id()), "the first one stays");
}

/// The founder of a cluster of three, and two blank nodes that its peers greet.
#[test]
fn blank_nodes_learn_the_configuration_from_the_founder() {
    let mut net = Network::with_disks(&options(), [Disk::blank(), Disk::blank(), Disk::blank()]);
    net.node(1).founds(voters(1..=3)).unwrap();
    net.node(1).times_out();
    net.deliver();
    assert_eq!(net.node(1).role(), RoleName::PreCandidate, "nobody else belongs to the cluster yet");
    for blank in [2, 3] {
        net.node(blank).step(Input::Greeted(voters(1..=3).cluster_id()));
    }
    net.elect(1);
    net.heartbeats(1, 1);
    assert_eq!(net.logs(), vec![vec![1, 2]; 3]);
    assert_eq!([1, 2, 3].map(|number| net.node(number).voters()), [[1, 2, 3], [1, 2, 3], [1, 2, 3]]);
}

/// A configuration that this program cannot read must not be skipped: it would go on with the wrong quorum.
#[test]
fn an_unreadable_configuration_stops_the_node() {
    let mut builder = BlockBuilder::new();
    builder.push(EntryKind::Configuration, &[b"from the future"]);
    let unreadable = builder.finish(LogIndex(3), Term(2)).unwrap();
    let mut node = Peer::with_log(&[1]);
    let sent = [blocks(2, &[2]), vec![unreadable]].concat();
    node.receives(2, append_blocks(2, entry(1, 1), sent, 0));
    assert!(matches!(node.halt(), Some(Halt::Configuration { id, .. }) if *id == entry(2, 3)));
    let acknowledged =
        node.sent().into_iter().any(|(_, message)| matches!(message, Message::AppendEntriesResponse(_)));
    assert!(!acknowledged);
    assert_eq!(node.log_on_disk(), [1], "from then on it does nothing");
}
