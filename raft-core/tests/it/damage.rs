//! Entries that rot after they were acknowledged: Invariant (no-ack-over-hole).

use raft_core::message::{AppendEntriesResponse, AppendOutcome};
use raft_core::snapshot::SnapshotMeta;
use raft_core::storage::{Recovered, VoteFloor};
use raft_core::testing::sim_log::SimLog;
use raft_core::{Effect, Input, LogIndex, Message, Options, Raft, RoleName, StartError, Term, Time};

use std::sync::Arc;

use crate::support::{
    Disk, ELECTION_TIMEOUT, Network, Peer, acknowledged, append, append_blocks, configuration_block,
    conflict, entry, heartbeat, id, matched, options, pre_vote, pre_vote_answer, request_vote, timeout_now,
    vote, voters,
};

/// Node 1, whose entry at `index` has rotted; it was acknowledged and may be committed.
fn damaged_at(terms: &[u64], index: u64) -> Peer {
    let mut node = Peer::with_log(terms);
    assert!(node.disk.log.damage(LogIndex(index)));
    node.restarts();
    node.time_passes(ELECTION_TIMEOUT);
    node
}

/// Acknowledging and applying stop before the hole, and the leader is told of it.
#[test]
fn nothing_is_acknowledged_or_applied_over_a_hole() {
    let mut node = damaged_at(&[1, 1, 1, 1], 3).following_2_in(2);
    node.receives(2, append(2, entry(1, 4), &[2], 5));
    assert_eq!(acknowledged(&node.sent_to(2)), Some((2, Some(3))));
    assert_eq!(node.raft.status().first_hole, Some(LogIndex(3)));
    assert_eq!((node.commit(), node.last_applied()), (5, LogIndex(2)));
}

/// The same entry again mends it, once it is durable; then everything behind it counts again.
#[test]
fn the_same_entry_mends_the_hole() {
    let mut node = damaged_at(&[1, 1, 1, 1], 3).following_2_in(2);
    node.receives(2, append(2, entry(1, 4), &[2], 5));
    node.sent();
    node.disk_stalls();
    node.receives(2, append(2, entry(1, 2), &[1, 1], 5));
    assert_eq!(acknowledged(&node.sent_to(2)), None, "not before it is durable");
    node.disk_recovers();
    assert_eq!(acknowledged(&node.sent_to(2)), Some((5, None)));
    assert_eq!((node.log_on_disk(), node.last_applied()), (vec![1, 1, 1, 1, 2], LogIndex(5)));
    assert_eq!(node.raft.status().first_hole, None);
    node.restarts();
    assert_eq!(node.raft.durable().1, LogIndex(5));
}

/// A node with a hole neither campaigns nor takes over; its vote goes by the whole log that it had.
#[test]
fn a_node_with_a_hole_stays_in_the_background() {
    let mut node = damaged_at(&[1, 1, 1, 1], 2);
    node.times_out();
    assert_eq!((node.role(), node.sent()), (RoleName::Follower, vec![]));
    node.receives(2, heartbeat(2, 0));
    node.receives(2, timeout_now(2));
    assert_eq!((node.role(), node.term()), (RoleName::Follower, 2));
    node.time_passes(ELECTION_TIMEOUT);
    node.sent();
    node.receives(3, request_vote(3, entry(1, 3)));
    node.receives(3, request_vote(4, entry(1, 4)));
    assert_eq!(node.sent_to(3), [vote(3, false), vote(4, true)]);
}

/// The end of the log is gone: votes go to nobody who lacks what was acknowledged, until it is there again.
#[test]
fn a_lost_tail_stays_the_floor_of_the_vote() {
    let (_, recovered) = SimLog::open(Disk::with_log(&voters(1..=3), &[1, 1]).log, Arc::new(|_| {}));
    let lost = Recovered { floor: VoteFloor::Entry(entry(1, 4)), ..recovered };
    let mut node = Peer::with_log(&[1, 1]);
    node.boots_from(lost);
    node.times_out();
    assert_eq!(node.role(), RoleName::Follower);
    let status = node.raft.status();
    assert_eq!((status.first_hole, status.may_vote), (Some(LogIndex(3)), true));
    node.receives(2, pre_vote(2, entry(1, 3)));
    node.receives(2, pre_vote(2, entry(1, 4)));
    assert_eq!(node.sent_to(2), [pre_vote_answer(1, false), pre_vote_answer(2, true)]);
    node.receives(2, append(2, entry(1, 2), &[], 0));
    assert_eq!(acknowledged(&node.sent_to(2)), Some((2, Some(3))), "the leader is asked for the rest");
    node.receives(2, append(2, entry(1, 2), &[1, 1], 0));
    assert_eq!(acknowledged(&node.sent_to(2)), Some((4, None)));
    node.time_passes(ELECTION_TIMEOUT);
    node.times_out();
    assert_eq!(node.role(), RoleName::PreCandidate);
}

/// Nobody knows what was acknowledged: no vote at all.
#[test]
fn without_a_known_floor_nobody_gets_the_vote() {
    let (_, recovered) = SimLog::open(Disk::with_log(&voters(1..=3), &[1, 1]).log, Arc::new(|_| {}));
    let mut node = Peer::with_log(&[1, 1]);
    node.boots_from(Recovered { floor: VoteFloor::Unknown, ..recovered });
    node.receives(2, pre_vote(9, entry(8, 99)));
    node.receives(2, request_vote(9, entry(8, 99)));
    assert_eq!(node.sent_to(2), [pre_vote_answer(1, false), vote(9, false)]);
    assert!(!node.raft.status().may_vote);
    node.times_out();
    assert_eq!(node.role(), RoleName::Follower);
}

/// End to end: the leader, which has counted on the entry, sends it again and goes on counting.
#[test]
fn the_leader_mends_what_a_follower_has_lost() {
    let mut net = Network::of(3);
    net.elect(1);
    net.node(1).proposes_all(&["a", "b", "c", "d"]).unwrap();
    net.deliver();
    let before = net.node(1).progress(2).match_index;
    for index in [3, 5] {
        assert!(net.node(2).disk.log.damage(LogIndex(index)));
    }
    net.restart(2);
    net.heartbeats(1, 8);
    assert_eq!(net.node(1).progress(2).match_index, before, "an acknowledgement never lowers it");
    let mended = net.node(2).disk.log.clone();
    assert_eq!(mended, net.node(3).disk.log);
    assert_eq!(net.node(2).applied().len(), net.node(1).applied().len());
}

/// The end of a log is gone that the leader counts on, and perhaps not even the follower knows how far it went: it gets that
/// again.
#[test]
fn the_leader_sends_a_lost_tail_again() {
    for known in [true, false] {
        let mut net = Network::of(3);
        net.elect(1);
        net.node(1).proposes_all(&["a", "b", "c", "d"]).unwrap();
        net.deliver();
        let log = net.node(2).log_on_disk();
        assert!(net.node(2).disk.log.lose_tail(3, known));
        net.restart(2);
        net.heartbeats(1, 3);
        assert_eq!(net.node(2).log_on_disk(), log, "known: {known}");
        assert_eq!(net.node(2).raft.status().may_vote, known);
        assert_eq!(net.node(1).progress(2).has_hole, !known, "it would not lead");
    }
}

/// All that there was of a log is gone, and it knows so: not a founding that was cut short, its term stays.
#[test]
fn a_log_that_has_lost_everything_is_not_half_founded() {
    let mut net = Network::of(3);
    net.node(2).receives(1, heartbeat(1, 0));
    let last = net.node(2).disk.log.last().index.0;
    assert!(net.node(2).disk.log.lose_tail(last, true));
    net.restart(2);
    assert_eq!(net.node(2).term(), 1);
    assert!(net.node(2).raft.hard_state().cluster_id.is_some());
}

/// Behind the leader's log a snapshot mends it, and what follows the snapshot stays.
#[test]
fn a_snapshot_mends_what_the_leader_has_forgotten() {
    let mut node = damaged_at(&[1, 1, 1, 1], 2).following_2_in(2);
    node.receives(2, append(2, entry(1, 4), &[2], 4));
    node.sent();
    let offer = crate::support::offer(2, node.snapshot_of(entry(1, 3)));
    node.installs(2, &offer);
    assert_eq!((node.log(), node.last_applied()), (vec![1, 2], LogIndex(4)));
    assert_eq!(acknowledged(&node.sent_to(2)), Some((5, None)));
}

/// A snapshot reaches past a hole, and past entries of another leader that are still on the disk: they are not what it
/// covers, and must not become the base of the log. Whether the disk does what it was asked, or power fails before.
#[test]
fn a_snapshot_forgets_nothing_that_is_still_to_be_truncated() {
    for power_fails in [false, true] {
        let mut node = damaged_at(&[1, 1, 1, 1, 1], 3).following_2_in(2);
        node.disk_stalls();
        node.receives(2, append(2, entry(1, 3), &[2, 2, 2], 5));
        let offer = crate::support::offer(2, node.snapshot_of(entry(2, 5)));
        node.installs(2, &offer);
        assert!(node.disk.log.base() < entry(1, 4), "{:?}", node.disk.log.base());
        if power_fails {
            node.restarts();
            let mut node = node.following_2_in(2);
            node.receives(2, append(2, entry(2, 5), &[2], 6));
            assert_eq!((node.last(), node.last_applied()), (entry(2, 6), LogIndex(6)));
            continue;
        }
        node.disk_recovers();
        assert_eq!((node.last(), node.last_applied()), (entry(2, 6), LogIndex(5)));
        assert_eq!(acknowledged(&node.sent_to(2)), Some((6, None)));
    }
}

/// Alone, there is nobody to ask.
#[test]
fn a_lone_node_with_a_hole_does_not_start() {
    let mut log = Disk::with_log(&voters([1]), &[1, 1]).log;
    assert!(log.damage(LogIndex(2)));
    let (_, recovered) = SimLog::open(log, Arc::new(|_| {}));
    let refused = Raft::new(id(1), options(), 1, Time::ZERO, recovered, SnapshotMeta::NONE);
    let Err(StartError::NobodyToMend { index }) = refused else { panic!("{refused:?}") };
    assert_eq!((index, Term(1)), (LogIndex(2), Term(1)));
}

/// A leader finds the hole when a slow follower needs the entry: it leads no longer than it must, and its successor mends
/// both.
#[test]
fn a_hole_at_the_leader_is_mended_by_its_successor() {
    let options = Options { cache_bytes: 1, ..options() };
    let mut net = Network::with_options(&options, &[&[1][..]; 3]);
    net.elect(1);
    net.isolate(3);
    for command in ["a", "b", "c"] {
        net.node(1).proposes(command).unwrap();
        net.deliver();
    }
    assert!(net.node(1).disk.log.damage(LogIndex(4)));
    net.heal();
    for _ in 0..5 {
        if net.node(1).role() == RoleName::Leader {
            net.heartbeats(1, 1);
        }
    }
    assert_eq!(net.node(1).role(), RoleName::Follower);
    let leader = net.node(1).leader().expect("a successor");
    assert_eq!(leader, 2, "node 3 lacks entries");
    net.heartbeats(2, 5);
    let whole = net.node(2).disk_ids();
    assert_eq!([1, 3].map(|number| net.node(number).disk_ids()), [whole.clone(), whole]);
    net.restart(1);
    net.time_passes(ELECTION_TIMEOUT);
    net.node(1).times_out();
    assert_eq!(net.node(1).role(), RoleName::PreCandidate, "it may lead again");
}

/// What the next leader removes need not be mended.
#[test]
fn a_hole_in_a_tail_that_is_replaced_is_gone() {
    let mut node = damaged_at(&[1, 1, 1, 1], 4).following_2_in(2);
    node.receives(2, append(2, entry(1, 2), &[2, 2, 2], 0));
    assert_eq!(acknowledged(&node.sent_to(2)), Some((5, None)));
    assert_eq!(node.log_on_disk(), [1, 1, 2, 2, 2]);
}

/// A crash before the fill is durable leaves the hole, and the floor of the vote, where they were.
#[test]
fn a_crash_while_a_hole_is_mended_leaves_it_open() {
    let mut node = damaged_at(&[1, 1, 1, 1], 3).following_2_in(2);
    node.disk_stalls();
    node.receives(2, append(2, entry(1, 2), &[1, 1], 4));
    node.restarts();
    let mut node = node.following_2_in(2);
    node.receives(2, append(2, entry(1, 4), &[], 4));
    assert_eq!(acknowledged(&node.sent_to(2)), Some((2, Some(3))));
    node.receives(2, append(2, entry(1, 2), &[1, 1], 4));
    assert_eq!(acknowledged(&node.sent_to(2)), Some((4, None)));
}

/// The damaged entry is the one that sets the members. Until it is mended the node goes by the ones before; it counts nothing
/// meanwhile. Then the mended ones are in force, as if they had always been.
#[test]
fn a_hole_that_hides_a_configuration_brings_it_into_force_when_it_is_mended() {
    let grown = configuration_block(entry(1, 2), &voters(1..=5));
    let log = vec![configuration_block(entry(1, 1), &voters(1..=3)), grown.clone()];
    let mut node = Peer::start(1, options(), Disk::with_blocks(&voters(1..=3), log));
    assert_eq!(node.voters(), [1, 2, 3, 4, 5]);
    assert!(node.disk.log.damage(LogIndex(2)));
    node.restarts();
    node.time_passes(ELECTION_TIMEOUT);
    assert_eq!(node.voters(), [1, 2, 3]);
    node.times_out();
    assert_eq!(
        (node.role(), node.sent()),
        (RoleName::Follower, vec![]),
        "it does not campaign by old members"
    );
    let mut node = node.following_2_in(2);
    node.receives(2, append_blocks(2, entry(1, 1), vec![grown], 2));
    assert_eq!((node.voters(), node.commit()), (vec![1, 2, 3, 4, 5], 2));
    node.time_passes(ELECTION_TIMEOUT);
    node.times_out();
    assert_eq!(node.sent_to(5), [pre_vote(3, entry(1, 2))]);
}

/// Two of three are damaged in different places: nobody who could lead has to be whole from the start, only to become so.
#[test]
fn holes_on_two_nodes_are_mended_by_the_third() {
    let mut net = Network::of(3);
    net.elect(1);
    net.node(1).proposes_all(&["a", "b", "c", "d"]).unwrap();
    net.heartbeats(1, 2);
    for (number, index) in [(1, 3), (2, 5)] {
        assert!(net.node(number).disk.log.damage(LogIndex(index)));
        net.restart(number);
    }
    net.restart(3);
    assert_eq!(net.run_until_a_leader_emerges(), 3, "the others stay in the background");
    net.heartbeats(3, 6);
    let whole = net.node(3).disk.log.clone();
    for number in [1, 2] {
        assert_eq!(net.node(number).disk.log.blocks().count(), whole.blocks().count());
        assert_eq!(net.node(number).applied().len(), 7, "node {number}");
    }
}

/// The leader of a long log, all of it committed, whose memory holds nothing but the end.
fn forgetful_leader() -> Peer {
    let small = Options { cache_bytes: 1, max_message_bytes: 64, ..options() };
    Peer::with_log(&[1; 20]).with_options(small).elected()
}

/// What a leader cannot read it does not count itself for, either.
#[test]
fn a_leader_commits_nothing_over_its_own_hole() {
    let mut node = forgetful_leader();
    assert!(node.disk.log.damage(LogIndex(6)));
    node.receives(3, conflict(2, 20, entry(1, 5)));
    node.receives(2, matched(2, 21));
    assert_eq!(node.commit(), 0);
    node.receives(3, matched(2, 21));
    assert_eq!(node.commit(), 21, "the two others have it");
}

/// A hole in what was applied long ago is mended by a snapshot; the state, which is ahead of that, stays.
#[test]
fn a_snapshot_that_mends_takes_nothing_back() {
    let mut node = forgetful_leader();
    node.receives(2, matched(2, 21));
    assert!(node.disk.log.damage(LogIndex(6)));
    node.receives(3, conflict(2, 20, entry(1, 5)));
    node.receives(2, append(3, entry(2, 21), &[3], 22));
    node.effects();
    let applied = node.last_applied();
    assert_eq!(applied, LogIndex(21), "and no further before the hole is mended");
    let offer = crate::support::offer(3, node.snapshot_of(entry(1, 10)));
    node.installs(2, &offer);
    assert!(!node.effects().iter().any(|effect| matches!(effect, Effect::Restore(_))));
    assert_eq!(node.last_applied(), LogIndex(22));
}

/// The entry was compacted while it was being read: nobody needs it any more.
#[test]
fn damage_that_is_reported_late_is_no_hole() {
    let mut node = forgetful_leader();
    node.receives(2, matched(2, 21));
    node.reads_stall();
    node.receives(3, conflict(2, 20, entry(1, 5)));
    let read = node.pending_reads()[0];
    assert!(node.disk.log.damage(read.from));
    let answer = node.disk.log.read(&read);
    node.takes_snapshot();
    node.step(Input::LogRead { id: read.id, answer });
    node.receives(2, append(3, entry(2, 21), &[3], 22));
    assert_eq!(acknowledged(&node.sent_to(2)), Some((22, None)));
    assert_eq!(node.last_applied(), LogIndex(22));
}

/// The leader goes on sending the entry, the disk takes its time: one fill is on its way, and nobody talks in circles.
#[test]
fn a_hole_is_mended_once() {
    let mut net = Network::of(3);
    net.elect(1);
    net.node(1).proposes_all(&["a", "b", "c", "d"]).unwrap();
    net.deliver();
    assert!(net.node(2).disk.log.damage(LogIndex(4)));
    net.restart(2);
    net.node(2).disk_stalls();
    net.heartbeats(1, 5);
    assert_eq!(net.node(2).pending_writes().iter().filter(|write| !write.fill.is_empty()).count(), 1);
    net.node(2).disk_recovers();
    net.heartbeats(1, 2);
    let whole = net.node(3).disk.log.clone();
    assert_eq!(net.node(2).disk.log, whole);
}

/// A fill and a truncation of the same entry in one turn: what is cut off is not filled.
#[test]
fn what_is_truncated_is_not_mended() {
    let mut node = damaged_at(&[1, 1, 1, 1], 3).following_2_in(2);
    node.disk_stalls();
    node.takes(Input::Message { from: id(2), message: append(2, entry(1, 2), &[1, 1], 1) });
    node.takes(Input::Message { from: id(3), message: append(3, entry(1, 2), &[3], 1) });
    node.settles();
    let writes = node.pending_writes();
    let cut = writes.iter().find(|write| write.truncate_from.is_some()).expect("a truncation");
    assert!(cut.fill.is_empty(), "{cut:?}");
    node.disk_recovers();
    assert_eq!(node.log_on_disk(), [1, 1, 3]);
}

/// It would decline, and proposals would wait for nothing.
#[test]
fn leadership_goes_to_nobody_with_a_hole() {
    let mut node = Peer::with_log(&[1, 1, 1, 1]).elected();
    node.receives(2, matched(2, 5));
    let outcome = AppendOutcome::Matched { match_index: LogIndex(5) };
    let (read_seq, sent_at, term) = (0, Time::ZERO, Term(2));
    let hole = Some(LogIndex(3));
    node.receives(3, matched(2, 5));
    node.receives(
        3,
        Message::AppendEntriesResponse(AppendEntriesResponse { term, outcome, hole, read_seq, sent_at }),
    );
    assert_eq!(node.hands_over_to(None), Ok(id(2)));
}

/// What this node has acknowledged was written in a term that it has forgotten: so is its vote.
#[test]
fn a_floor_of_a_later_term_is_a_lost_vote() {
    let (_, recovered) = SimLog::open(Disk::with_log(&voters(1..=3), &[1, 1]).log, Arc::new(|_| {}));
    let lost = Recovered { floor: VoteFloor::Entry(entry(7, 9)), ..recovered };
    let refused = Raft::new(id(1), options(), 1, Time::ZERO, lost, SnapshotMeta::NONE);
    assert!(matches!(refused, Err(StartError::TermLost { .. })), "{refused:?}");
}
