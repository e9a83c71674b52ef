//! `[Raft §8]` Client interaction: the no-op of a new leader, and reads that are not stale. How a round of
//! heartbeats proves leadership is in `ongaro.rs`.

use raft_core::message::{AppendEntries, Heartbeat};
use raft_core::{EntryKind, LogIndex, Message, ReadError, RoleName, Term, Time};

use crate::support::{ELECTION_TIMEOUT, Network, Peer, append, entry, heartbeat_answer, matched, voters};

/// `[Raft §8]`: "at the start of its term, it may not know which [entries] are [committed]. To find out, it needs
/// to commit an entry from its term. Raft handles this by having each leader commit a blank no-op entry into the
/// log at the start of its term."
#[test]
fn each_term_opens_with_a_no_op() {
    let mut net = Network::of(3);
    for leader in [1, 2, 1] {
        net.elect(leader);
        net.node(leader).proposes("x").unwrap();
        net.deliver();
    }
    let log = net.node(3).disk.log.clone();
    let entries: Vec<_> = log.blocks().flat_map(raft_core::Block::entries).collect();
    let kinds: Vec<_> = entries.iter().map(|entry| (entry.id.term.0, entry.kind)).collect();
    let (no_op, normal) = (EntryKind::NoOp, EntryKind::Normal);
    let expected = [(2, no_op), (2, normal), (3, no_op), (3, normal), (4, no_op), (4, normal)];
    assert_eq!(kinds[0], (1, EntryKind::Configuration));
    assert_eq!(kinds[1..], expected);
    assert!(entries.iter().filter(|entry| entry.kind == no_op).all(|entry| entry.payload.is_empty()));
}

/// What an earlier leader left uncommitted on a majority is committed without any proposal.
#[test]
fn the_no_op_commits_what_earlier_terms_left() {
    let mut net = Network::with_logs(&[&[1, 2, 2], &[1, 2, 2], &[1]]);
    net.elect(2);
    assert_eq!(net.node(2).commit(), 4);
    assert_eq!(net.node(2).applied(), [entry(1, 1), entry(2, 2), entry(2, 3), entry(3, 4)]);
}

/// D1 (etcd#7331), Invariant (read-after-own-commit), `[Raft §8]`: "a leader must have the latest information on
/// which entries are committed". Until its no-op is committed it may be unaware of acknowledged writes.
#[test]
fn a_read_waits_until_an_entry_of_the_leaders_term_is_committed() {
    let mut node = Peer::with_log(&[1, 1, 1]).elected();
    let read = node.is_asked_to_read();
    node.heartbeats();
    for follower in [2, 3] {
        node.receives(follower, heartbeat_answer(2, 0));
    }
    assert_eq!(node.outcome(read), None, "everybody says that it leads, but not what is committed");
    node.receives(2, matched(2, 4));
    assert_eq!((node.commit(), node.outcome(read)), (4, None), "the round begins only now");
    node.receives(2, heartbeat_answer(2, 1));
    assert_eq!(node.outcome(read), Some(Ok(LogIndex(4))));
}

/// D2 (etcd/raft#105): the same for a cluster of one after a restart, which knows of no commit at all.
#[test]
fn a_lone_voter_serves_no_read_before_its_no_op_is_committed() {
    let mut node = Peer::member_of(&voters([1]), &[1, 1]);
    node.disk_stalls();
    node.times_out();
    node.disk_completes_one();
    assert_eq!((node.role(), node.commit()), (RoleName::Leader, 0));
    let read = node.is_asked_to_read();
    assert_eq!(node.outcome(read), None);
    node.disk_recovers();
    assert_eq!(node.outcome(read), Some(Ok(LogIndex(3))));
    let next = node.is_asked_to_read();
    assert_eq!(node.outcome(next), Some(Ok(LogIndex(3))), "from then on, nobody else need be asked");
}

/// `[Raft §8]`: "a leader must check whether it has been deposed before processing a read-only request [...] by
/// having the leader exchange heartbeat messages with a majority of the cluster".
#[test]
fn a_read_is_served_when_a_majority_has_answered_and_not_before() {
    for (size, others_needed) in [(3, 1), (4, 2), (5, 2)] {
        let mut net = Network::of(size);
        net.elect(1);
        let read = net.node(1).is_asked_to_read();
        for follower in 2..2 + others_needed {
            assert_eq!(net.node(1).outcome(read), None, "{size} voters");
            net.converse(1, follower);
        }
        assert_eq!(net.node(1).outcome(read), Some(Ok(LogIndex(2))), "{size} voters");
    }
}

/// The reason for all this: a leader that was deposed and does not know it would serve stale state.
#[test]
fn a_deposed_leader_serves_no_read() {
    let mut net = Network::of(3);
    net.elect(1);
    net.isolate(1);
    net.elect(2);
    net.node(2).proposes("newer").unwrap();
    net.deliver();
    let read = net.node(1).is_asked_to_read();
    net.deliver();
    assert_eq!(net.node(1).outcome(read), None);
    net.heal();
    net.heartbeats(2, 1);
    assert_eq!(net.node(1).outcome(read), Some(Err(ReadError::NotLeader { leader: None })));
}

/// Read rounds count from 0 in each term. A heartbeat of an earlier term comes late, when its sender leads again: the
/// follower answers in the new term, and must not echo a round of the old one.
#[test]
fn a_round_of_an_earlier_term_confirms_no_read_of_this_one() {
    let old = Heartbeat { term: Term(2), leader_commit: LogIndex(0), read_seq: 1, sent_at: Time::MAX };
    let mut follower = Peer::with_log(&[1]).following_2_in(4);
    follower.receives(2, Message::Heartbeat(old));
    let Message::AppendEntries(entries) = append(2, entry(1, 1), &[2], 0) else { panic!("an append") };
    follower
        .receives(2, Message::AppendEntries(AppendEntries { read_seq: 1, sent_at: Time::MAX, ..entries }));
    assert_eq!(follower.sent_to(2), [heartbeat_answer(4, 0), heartbeat_answer(4, 0)], "nothing is echoed");

    let mut leader = Peer::with_log(&[1, 1, 1]).in_term(3).elected();
    leader.receives(2, matched(4, 4));
    let read = leader.is_asked_to_read();
    leader.receives(2, heartbeat_answer(4, 0));
    assert_eq!(leader.outcome(read), None);
    leader.receives(2, heartbeat_answer(4, 1));
    assert_eq!(leader.outcome(read), Some(Ok(LogIndex(4))));
}

/// Linearizability of reads with writes: a read sees every write that was committed before it was asked for.
#[test]
fn a_read_covers_everything_committed_before_it() {
    let mut net = Network::of(3);
    net.elect(1);
    for expected in 3..8 {
        net.node(1).proposes("x").unwrap();
        net.deliver();
        let read = net.node(1).is_asked_to_read();
        net.deliver();
        assert_eq!(net.node(1).outcome(read), Some(Ok(LogIndex(expected))));
    }
}

/// What a leader commits after it was asked does not hold a read up; D9 (tikv#9239): its index is the one it was
/// asked at, and it is never lower.
#[test]
fn a_read_keeps_the_index_it_was_asked_at() {
    let mut net = Network::of(3);
    net.elect(1);
    let read = net.node(1).is_asked_to_read();
    net.node(1).proposes("later").unwrap();
    net.deliver();
    assert_eq!((net.node(1).commit(), net.node(1).outcome(read)), (3, Some(Ok(LogIndex(2)))));
}

/// A leader that loses its leadership in between answers "not leader", also if it is elected again.
#[test]
fn a_read_does_not_survive_its_leadership() {
    let mut node = Peer::with_log(&[1]).elected();
    node.receives(2, matched(2, 2));
    let read = node.is_asked_to_read();
    node.receives(3, append(3, entry(2, 2), &[3], 2));
    assert_eq!(node.outcome(read), Some(Err(ReadError::NotLeader { leader: None })));
    node.time_passes(ELECTION_TIMEOUT);
    node = node.elected();
    node.receives(2, matched(4, 4));
    node.receives(2, heartbeat_answer(4, 5));
    assert!(matches!(node.outcome(read), Some(Err(_))), "one answer, and it stands");
}
