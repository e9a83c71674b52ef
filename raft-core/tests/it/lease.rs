//! Reads that ask no quorum: by lease `[Ongaro §6.4.1]`; and those that a follower serves after asking its leader.

use std::time::Duration;

use raft_core::configuration::{MemberChange, MemberRole};
use raft_core::message::{Heartbeat, HeartbeatResponse, ReadIndex, ReadIndexResponse};
use raft_core::storage::Write;
use raft_core::{HardState, Lease, LogIndex, Message, Options, ReadError, ReadProof, RoleName, Term, Time};

use crate::support::{
    Disk, ELECTION_TIMEOUT, HEARTBEAT, Network, Peer, append, entry, heartbeat, heartbeat_answer, id,
    matched, member, options, timeout_now, voters,
};

/// A tenth of drift between any two clocks.
const DRIFT: u32 = 100;

fn leader_with_lease() -> Peer {
    let lease = Some(Lease { max_drift_permille: DRIFT });
    let mut node = Peer::with_log(&[1]).with_options(Options { lease, ..options() }).elected();
    node.receives(2, matched(2, 2));
    node
}

/// Follower 2 answers the newest heartbeat.
fn hears_from_2(node: &mut Peer) {
    node.heartbeats();
    let sent_at = node.now;
    node.receives(2, Message::HeartbeatResponse(HeartbeatResponse { term: Term(2), read_seq: 0, sent_at }));
    node.sent();
}

/// `[Ongaro §6.4.1]`: the lease reaches from the *sending* of what a quorum answered, and less than an election timeout.
#[test]
fn a_lease_ends_before_the_voters_promise_does() {
    let mut node = leader_with_lease();
    hears_from_2(&mut node);
    let lease = ELECTION_TIMEOUT * (1000 - DRIFT) / 1000;
    node.time_passes(lease - Duration::from_nanos(1));
    let read = node.is_asked_to_read_by(ReadProof::Lease);
    assert_eq!(node.outcome(read), Some(Ok(LogIndex(2))), "at once");
    let asks = |(_, message): &(u64, Message)| matches!(message, Message::Heartbeat(_));
    assert!(!node.sent().iter().any(asks), "nobody is asked");
    node.time_passes(Duration::from_nanos(1));
    let late = node.is_asked_to_read_by(ReadProof::Lease);
    assert_eq!(node.outcome(late), None);
    node.receives(3, heartbeat_answer(2, 1));
    assert_eq!(node.outcome(late), Some(Ok(LogIndex(2))), "a quorum was asked instead");
}

/// Whoever wants a quorum asked gets it asked.
#[test]
fn a_read_may_insist_on_a_quorum() {
    let mut node = leader_with_lease();
    hears_from_2(&mut node);
    let read = node.is_asked_to_read();
    assert_eq!(node.outcome(read), None);
}

/// Off unless it is asked for: it rests on clocks.
#[test]
fn without_the_option_there_is_no_lease() {
    let mut node = Peer::with_log(&[1]).elected();
    node.receives(2, matched(2, 2));
    hears_from_2(&mut node);
    let read = node.is_asked_to_read_by(ReadProof::Lease);
    assert_eq!(node.outcome(read), None);
}

/// D6 (etcd/raft#99): who was asked to take over campaigns without waiting for the promise to lapse.
#[test]
fn a_lease_is_off_for_the_rest_of_the_term_after_a_transfer() {
    let mut node = leader_with_lease();
    hears_from_2(&mut node);
    node.hands_over_to(Some(2)).unwrap();
    let read = node.is_asked_to_read_by(ReadProof::Lease);
    assert_eq!(node.outcome(read), None);
    for _ in 0..20 {
        node.receives(3, heartbeat_answer(2, 1));
        hears_from_2(&mut node);
    }
    assert_eq!(node.raft.handing_over_to(), None, "given up");
    let read = node.is_asked_to_read_by(ReadProof::Lease);
    assert_eq!((node.role(), node.outcome(read)), (RoleName::Leader, None));
}

/// D1: a leader that has committed nothing in its term may not know what is committed.
#[test]
fn no_lease_serves_before_the_term_has_a_commit() {
    let lease = Some(Lease { max_drift_permille: DRIFT });
    let mut node = Peer::with_log(&[1]).with_options(Options { lease, ..options() }).elected();
    hears_from_2(&mut node);
    let read = node.is_asked_to_read_by(ReadProof::Lease);
    assert_eq!(node.outcome(read), None);
}

/// An answer that echoes a time to come, or one of another term, extends nothing.
#[test]
fn a_lease_believes_no_echo_from_the_future() {
    let mut node = leader_with_lease();
    let sent_at = node.now + ELECTION_TIMEOUT * 10;
    node.time_passes(ELECTION_TIMEOUT);
    node.receives(2, Message::HeartbeatResponse(HeartbeatResponse { term: Term(2), read_seq: 0, sent_at }));
    let read = node.is_asked_to_read_by(ReadProof::Lease);
    assert_eq!(node.outcome(read), None);
}

// Followers.

/// D13: the reads of one turn are one request; the answer serves them all, once the follower has applied that far.
#[test]
fn a_follower_asks_its_leader_once_for_all_reads_of_a_turn() {
    let mut node = Peer::with_log(&[1]).following_2_in(2);
    node.receives(2, append(2, entry(1, 1), &[2, 2], 1));
    node.sent();
    let reads = [(); 3].map(|()| node.is_asked_to_read());
    let requests = requests(&node.sent_to(2));
    assert_eq!(requests.len(), 3, "one a turn");
    for (read, request) in reads.into_iter().zip(&requests).rev() {
        node.receives(2, answer(2, request, Some(3)));
        assert_eq!(node.outcome(read), Some(Ok(LogIndex(3))));
    }
    assert_eq!(node.commit(), 3, "what may be read is committed");
}

fn requests(messages: &[Message]) -> Vec<ReadIndex> {
    let requests = messages.iter().filter_map(|message| match message {
        Message::ReadIndex(request) => Some(*request),
        _ => None,
    });
    requests.collect()
}

fn answer(term: u64, request: &ReadIndex, index: Option<u64>) -> Message {
    let response =
        ReadIndexResponse { term: Term(term), request: request.request, index: index.map(LogIndex) };
    Message::ReadIndexResponse(response)
}

/// A refusal, a new leader and silence all end a read; none leaves it waiting for ever.
#[test]
fn a_forwarded_read_ends_in_any_case() {
    let mut node = Peer::with_log(&[1]).following_2_in(2);
    let unconfirmed = Some(Err(ReadError::Unconfirmed { leader: id(2) }));
    let refused = node.is_asked_to_read();
    let request = requests(&node.sent_to(2))[0];
    node.receives(2, answer(2, &request, None));
    assert_eq!(node.outcome(refused), unconfirmed);
    let unanswered = node.is_asked_to_read();
    let request = requests(&node.sent_to(2))[0];
    for _ in 0..20 {
        node.time_passes(HEARTBEAT);
        node.receives(2, heartbeat(2, 0));
        node.timer_looks();
    }
    assert_eq!(node.outcome(unanswered), unconfirmed);
    node.receives(2, answer(2, &request, Some(1)));
    let orphaned = node.is_asked_to_read();
    node.receives(3, heartbeat(3, 0));
    assert_eq!(node.outcome(orphaned), Some(Err(ReadError::NotLeader { leader: None })));
}

/// The answer to an older request, or of an older term, serves no newer read; and a restart reuses no name.
#[test]
fn an_answer_serves_the_reads_it_was_asked_for_alone() {
    let mut node = Peer::with_log(&[1]).following_2_in(2);
    node.is_asked_to_read();
    let old = requests(&node.sent_to(2))[0];
    node.restarts();
    let mut node = node.following_2_in(2);
    let read = node.is_asked_to_read();
    let new = requests(&node.sent_to(2))[0];
    assert_ne!(old.request, new.request);
    node.receives(2, answer(2, &old, Some(1)));
    node.receives(3, answer(2, &new, Some(1)));
    node.receives(2, answer(1, &new, Some(1)));
    assert_eq!(node.outcome(read), None);
    node.receives(2, answer(2, &new, Some(1)));
    assert_eq!(node.outcome(read), Some(Ok(LogIndex(1))));
}

/// The leader treats a follower's reads like its own: parked, proven, refused when it steps down.
#[test]
fn a_leader_answers_followers_as_it_answers_its_own_readers() {
    let mut node = Peer::with_log(&[1]).elected();
    let ask = ReadIndex { term: Term(2), request: 7, proof: ReadProof::Quorum };
    node.receives(2, Message::ReadIndex(ask));
    assert_eq!(node.sent_to(2), [], "no entry of the term is committed yet");
    node.receives(3, matched(2, 2));
    node.receives(3, heartbeat_answer(2, 1));
    assert!(node.sent_to(2).contains(&answer(2, &ask, Some(2))));
    let late = ReadIndex { request: 8, ..ask };
    node.receives(2, Message::ReadIndex(late));
    node.receives(3, heartbeat(3, 0));
    assert!(node.sent_to(2).contains(&answer(3, &late, None)), "refused, in the new term");
    node.receives(2, Message::ReadIndex(late));
    assert_eq!(node.sent_to(2), [answer(3, &late, None)]);
}

/// End to end, by way of the leader that is asked, and after a transfer by way of the next one.
#[test]
fn followers_serve_reads_whoever_leads() {
    let mut net = Network::of(3);
    net.elect(1);
    for leader in [2, 3] {
        let read = net.node(leader).is_asked_to_read();
        net.deliver();
        assert!(matches!(net.node(leader).outcome(read), Some(Ok(_))));
        let previous = net.node(2).leader().expect("somebody leads");
        let now_leads = net.node(previous).hands_over_to(Some(leader));
        assert_eq!(now_leads, Ok(id(leader)));
        net.deliver();
        assert!(!net.node(previous).sent_to(leader).contains(&timeout_now(9)));
    }
}

// Leases while other things happen.

/// Node `from` answers a message that was sent at `sent_at`.
fn answers(node: &mut Peer, from: u64, sent_at: Time) {
    let response = HeartbeatResponse { term: Term(2), read_seq: 0, sent_at };
    node.receives(from, Message::HeartbeatResponse(response));
}

/// D11: in the middle of a change a lease needs both majorities, and ends with the one that ends first.
#[test]
fn a_lease_in_a_joint_configuration_is_the_shorter_of_two() {
    let mut node = leader_with_lease();
    let wishes = [(4, true), (5, true), (2, false), (3, false)].map(|(number, joins)| match joins {
        true => MemberChange::Put(member(number, MemberRole::Voter)),
        false => MemberChange::Remove(id(number)),
    });
    node.changes_members(&wishes).unwrap();
    let began = node.now;
    answers(&mut node, 2, began);
    let old_alone = node.is_asked_to_read_by(ReadProof::Lease);
    assert_eq!(node.outcome(old_alone), None);
    node.time_passes(HEARTBEAT);
    let later = node.now;
    answers(&mut node, 4, later);
    let both = node.is_asked_to_read_by(ReadProof::Lease);
    assert_eq!(node.outcome(both), Some(Ok(LogIndex(2))));
    let lease = ELECTION_TIMEOUT * (1000 - DRIFT) / 1000;
    node.time_passes(lease - HEARTBEAT);
    assert_eq!(node.now, began + lease);
    let ended = node.is_asked_to_read_by(ReadProof::Lease);
    assert_eq!(node.outcome(ended), None, "the old majority's has ended, the new one's has not");
}

/// A majority that is left behind by a change prolongs nothing.
#[test]
fn a_lease_does_not_rest_on_voters_who_have_left() {
    let mut node = leader_with_lease();
    node.changes_members(&[MemberChange::Remove(id(2))]).unwrap();
    let now = node.now;
    answers(&mut node, 2, now);
    let read = node.is_asked_to_read_by(ReadProof::Lease);
    assert_eq!(node.outcome(read), None, "node 2 promised in vain");
    answers(&mut node, 3, now);
    let read = node.is_asked_to_read_by(ReadProof::Lease);
    assert!(matches!(node.outcome(read), Some(Ok(_))));
}

/// D7, B19: a voter whose promise a lease rests on restarts, and keeps it; so nobody else is elected before the lease ends.
#[test]
fn a_lease_holds_over_the_restart_of_a_voter() {
    let lease = Some(Lease { max_drift_permille: DRIFT });
    let mut net = Network::with_options(&Options { lease, ..options() }, &[&[1][..]; 3]);
    net.elect(1);
    net.heartbeats(1, 1);
    net.isolate(1);
    net.restart(2);
    net.node(3).times_out();
    net.deliver();
    assert_eq!(net.node(3).role(), RoleName::PreCandidate, "node 2 keeps its promise");
    let read = net.node(1).is_asked_to_read_by(ReadProof::Lease);
    assert!(matches!(net.node(1).outcome(read), Some(Ok(_))));
    net.time_passes(ELECTION_TIMEOUT);
    let late = net.node(1).is_asked_to_read_by(ReadProof::Lease);
    assert_eq!(net.node(1).outcome(late), None);
    net.elect(3);
}

/// A forwarded read may go by the leader's lease: one round trip, and nobody else is asked.
#[test]
fn a_follower_may_read_by_its_leaders_lease() {
    let mut node = leader_with_lease();
    hears_from_2(&mut node);
    let ask = ReadIndex { term: Term(2), request: 7, proof: ReadProof::Lease };
    node.receives(3, Message::ReadIndex(ask));
    assert_eq!(node.sent(), [(3, answer(2, &ask, Some(2)))]);
    node.time_passes(ELECTION_TIMEOUT);
    node.receives(3, Message::ReadIndex(ReadIndex { request: 8, ..ask }));
    assert!(!node.sent().iter().any(|(_, message)| matches!(message, Message::ReadIndexResponse(_))));
}

/// D5 (etcd/raft#166): what counts is when the answered message left, however late the answer is.
#[test]
fn a_late_answer_brings_a_short_lease() {
    let mut node = leader_with_lease();
    node.heartbeats();
    let sent_at = node.now;
    let lease = ELECTION_TIMEOUT * (1000 - DRIFT) / 1000;
    node.time_passes(lease - Duration::from_nanos(1));
    answers(&mut node, 2, sent_at);
    let read = node.is_asked_to_read_by(ReadProof::Lease);
    assert_eq!(node.outcome(read), Some(Ok(LogIndex(2))));
    node.time_passes(Duration::from_nanos(1));
    let read = node.is_asked_to_read_by(ReadProof::Lease);
    assert_eq!(node.outcome(read), None);
}

/// Whoever left this node alone may lead by a lease that counts on it, and does not know yet that it is deposed: the last
/// voter keeps its promise over a restart like any other.
#[test]
fn the_last_voter_keeps_its_promise_over_a_restart() {
    let lease = Some(Lease { max_drift_permille: DRIFT });
    let mut net = Network::with_options(&Options { lease, ..options() }, &[&[1], &[1]]);
    net.elect(2);
    net.heartbeats(2, 2);
    net.node(2).changes_members(&[MemberChange::Remove(id(2))]).unwrap();
    net.deliver_from(2, 1);
    net.node(1).sent();
    assert_eq!(net.node(1).voters(), [1]);
    net.time_passes(Duration::from_millis(10));
    net.node(1).restarts();
    net.node(1).timer_looks();
    assert_eq!(net.node(1).role(), RoleName::Follower);
    let read = net.node(2).is_asked_to_read_by(ReadProof::Lease);
    assert!(matches!(net.node(2).outcome(read), Some(Ok(_))));
    net.time_passes(2 * ELECTION_TIMEOUT);
    net.node(1).timer_looks();
    assert_eq!(net.node(1).role(), RoleName::Leader);
    let read = net.node(2).is_asked_to_read_by(ReadProof::Lease);
    assert!(!matches!(net.node(2).outcome(read), Some(Ok(_))), "{:?}", net.node(2).outcome(read));
}

/// A restart in term 0 forgets that a leader was heard from: until its first term is durable, a node promises nothing.
#[test]
fn who_would_forget_its_promise_gives_none() {
    let mut disk = Disk::blank();
    let cluster_id = Some(voters(1..=3).cluster_id());
    let hard_state = Some(HardState { cluster_id, ..HardState::default() });
    disk.log.apply(&Write { hard_state, ..Write::default() });
    let mut node = Peer::start(3, options(), disk);
    node.disk_stalls();
    let sent_at = node.now;
    let heartbeat =
        Message::Heartbeat(Heartbeat { term: Term(2), leader_commit: LogIndex(2), read_seq: 0, sent_at });
    let promised_at = |messages: Vec<Message>| {
        messages.into_iter().find_map(|message| match message {
            Message::HeartbeatResponse(answer) => Some(answer.sent_at),
            _ => None,
        })
    };
    node.receives(1, heartbeat.clone());
    assert_eq!(promised_at(node.sent_to(1)), Some(Time::ZERO));
    node.disk_recovers();
    node.sent();
    node.receives(1, heartbeat);
    assert_eq!(promised_at(node.sent_to(1)), Some(sent_at));
}
