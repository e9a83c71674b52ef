//! Rules of the dissertation that go beyond the paper: leader stickiness `[Ongaro §4.2.3]`, reads `[Ongaro §6.4]`,
//! a leader's quorum `[Ongaro §6.2]`, pre-vote `[Ongaro §9.6]`, and campaigns that a leader asks for `[Ongaro
//! §3.10]`.

use std::time::Duration;

use raft_core::configuration::MemberRole::{Learner, Voter};
use raft_core::{Effect, Input, LogIndex, Message, ReadError, ReadProof, RoleName, Term, Ticket};

use crate::support::{
    Disk, ELECTION_TIMEOUT, Network, Peer, append, entry, forced_request_vote, heartbeat, heartbeat_answer,
    matched, members, options, pre_vote, pre_vote_answer, request_vote, timeout_now, vote, voters,
};

// PreVote, §9.6.

/// `[Ongaro §9.6]`: "a candidate only increments its term if it first learns from a majority of the cluster that
/// they would be willing to grant the candidate their votes".
#[test]
fn a_pre_candidate_changes_nothing_and_asks_for_the_next_term() {
    let mut node = Peer::with_log(&[1, 3, 3]);
    node.effects();
    node.times_out();
    assert_eq!((node.role(), node.term(), node.voted_for()), (RoleName::PreCandidate, 3, None));
    let question = pre_vote(4, entry(3, 3));
    assert_eq!(node.sent(), [(2, question.clone()), (3, question)]);
    assert!(!node.effects().iter().any(|effect| matches!(effect, Effect::Write(_))));
}

/// A majority says yes: campaign. A majority says no: wait for the next timeout.
#[test]
fn a_pre_candidate_campaigns_with_a_majority_and_gives_up_against_one() {
    let five = || {
        let mut node = Peer::member_of(&voters(1..=5), &[1]);
        node.times_out();
        node
    };
    let mut node = five();
    for (voter, granted) in [(2, false), (3, true), (3, true), (4, false)] {
        assert_eq!(node.role(), RoleName::PreCandidate);
        node.receives(voter, pre_vote_answer(if granted { 2 } else { 1 }, granted));
    }
    assert_eq!(node.role(), RoleName::PreCandidate, "one of four others is left");
    node.receives(5, pre_vote_answer(1, false));
    assert_eq!((node.role(), node.term()), (RoleName::Follower, 1));
    let mut node = five();
    node.receives(2, pre_vote_answer(2, true));
    node.receives(5, pre_vote_answer(2, true));
    assert_eq!((node.role(), node.term()), (RoleName::Candidate, 2));
}

/// A pre-vote is no vote: it binds nobody, and the voter's term, vote and timer stay.
#[test]
fn granting_a_pre_vote_changes_nothing() {
    let mut node = Peer::with_log(&[1]).in_term(3);
    let (deadline, hard_state) = (node.raft.next_deadline(), node.raft.hard_state());
    for asker in [2, 3] {
        node.receives(asker, pre_vote(9, entry(1, 1)));
        assert_eq!(node.sent(), [(asker, pre_vote_answer(9, true))]);
    }
    assert_eq!((node.raft.next_deadline(), node.raft.hard_state()), (deadline, hard_state));
}

/// A pre-vote for a term that is not ahead cannot succeed; the answer names the term to catch up with.
#[test]
fn a_pre_vote_for_a_term_that_is_not_ahead_is_refused_with_the_current_one() {
    let mut node = Peer::with_log(&[1]).in_term(5).having_voted_for(3);
    for term in [3, 5] {
        node.receives(2, pre_vote(term, entry(1, 1)));
        assert_eq!(node.sent(), [(2, pre_vote_answer(5, false))]);
    }
    node.receives(2, pre_vote(6, entry(1, 1)));
    assert_eq!(node.sent(), [(2, pre_vote_answer(6, true))]);
}

/// B6 (TestCandidateDeliversPreCandidateSelfVote...): neither its own pre-vote nor anybody's counts as a vote.
#[test]
fn pre_votes_are_not_counted_as_votes() {
    let mut node = Peer::member_of(&voters(1..=5), &[1]).campaigning();
    for voter in 2..=5 {
        node.receives(voter, pre_vote_answer(2, true));
        node.receives(voter, pre_vote_answer(3, true));
    }
    assert_eq!((node.role(), node.term()), (RoleName::Candidate, 2));
}

/// An answer to the question of a past term.
#[test]
fn a_pre_vote_for_another_term_does_not_count() {
    let mut node = Peer::with_log(&[1]).in_term(5);
    node.times_out();
    for term in [4, 5, 7] {
        node.receives(2, pre_vote_answer(term, true));
    }
    assert_eq!((node.role(), node.term()), (RoleName::PreCandidate, 5));
}

/// `[Ongaro §9.6]`, what it is for: "a server whose network connectivity has been restored does not disrupt a
/// leader".
#[test]
fn a_node_that_was_cut_off_does_not_disturb_the_cluster_when_it_comes_back() {
    let mut net = Network::of(3);
    net.elect(1);
    net.isolate(3);
    for _ in 0..10 {
        net.node(3).times_out();
        net.deliver();
    }
    assert_eq!(net.node(3).term(), 2, "it asked ten times, and nobody answered");
    net.heartbeats(1, 2);
    net.heal();
    net.node(3).times_out();
    net.heartbeats(1, 2);
    assert_eq!(
        (net.node(1).role(), net.node(1).term(), net.node(3).leader()),
        (RoleName::Leader, 2, Some(1))
    );
}

/// B1 (etcd#8243): two of three are up, one with a higher term and a log that is behind, the other with the newer
/// log and a lower term.
#[test]
fn a_leader_emerges_between_a_higher_term_and_a_newer_log() {
    let configuration = voters(1..=3);
    let mut behind = Disk::with_log(&configuration, &[1]);
    behind.log.hard_state.current_term = Term(9);
    let newer = Disk::with_log(&configuration, &[1, 2, 2]);
    let mut net = Network::with_disks(&options(), [behind, newer, Disk::with_log(&configuration, &[1])]);
    net.isolate(3);
    assert_eq!(net.run_until_a_leader_emerges(), 2);
    assert_eq!(net.node(2).term(), 10);
    assert_eq!(net.node(1).log(), [1, 2, 2, 10]);
}

/// B2 (etcd#8501, openraft#1796): the same with cohorts: long logs at a low term against short logs at a high one.
#[test]
fn a_leader_emerges_between_two_cohorts() {
    let configuration = voters(1..=5);
    let long = Disk::with_log(&configuration, &[1, 2, 2, 2]);
    let mut short = Disk::with_log(&configuration, &[1]);
    short.log.hard_state.current_term = Term(9);
    short.log.hard_state.voted_for = None;
    let disks = [long.clone(), long, short.clone(), short.clone(), short];
    let mut net = Network::with_disks(&options(), disks);
    net.isolate(5);
    let leader = net.run_until_a_leader_emerges();
    assert!(
        [1, 2].contains(&leader),
        "node {leader} lacks entries that two of four hold, so it lacks a majority"
    );
    net.heartbeats(leader, 1);
    assert_eq!(net.node(3).log()[..4], [1, 2, 2, 2]);
}

/// The first thing a node of a low term learns from a refusal is the term; adopting it is what makes B1 and B2
/// end.
#[test]
fn a_refused_pre_vote_teaches_the_term() {
    let mut node = Peer::with_log(&[1]);
    node.times_out();
    node.receives(2, pre_vote_answer(9, false));
    assert_eq!((node.role(), node.term(), node.voted_for()), (RoleName::Follower, 9, None));
}

// Leader stickiness, §4.2.3.

/// `[Ongaro §4.2.3]`: "if a server receives a RequestVote request within the minimum election timeout of hearing
/// from a current leader, it does not update its term or grant its vote."
#[test]
fn a_node_that_hears_from_its_leader_votes_for_nobody() {
    for claim in [heartbeat(2, 0), append(2, entry(1, 1), &[], 0)] {
        let mut node = Peer::with_log(&[1]);
        node.receives(2, claim);
        node.sent();
        node.time_passes(ELECTION_TIMEOUT - Duration::from_nanos(1));
        node.receives(3, request_vote(7, entry(6, 9)));
        node.receives(3, pre_vote(7, entry(6, 9)));
        assert_eq!(node.sent(), [(3, vote(2, false)), (3, pre_vote_answer(2, false))]);
        assert_eq!((node.term(), node.leader()), (2, Some(2)));
        node.time_passes(Duration::from_nanos(1));
        node.receives(3, request_vote(7, entry(6, 9)));
        assert_eq!(node.sent(), [(3, vote(7, true))], "after that, it is free");
    }
}

/// The leader hears from itself all the time.
#[test]
fn a_leader_votes_for_nobody() {
    let mut node = Peer::with_log(&[1]).elected();
    node.receives(3, request_vote(7, entry(6, 9)));
    node.receives(3, pre_vote(7, entry(6, 9)));
    assert_eq!(node.sent(), [(3, vote(2, false)), (3, pre_vote_answer(2, false))]);
    assert_eq!((node.role(), node.term()), (RoleName::Leader, 2));
}

/// A node whose timer fired has given its leader up: it votes for whoever may lead, and stands back.
#[test]
fn a_pre_candidate_is_bound_to_nobody() {
    for term in [2, 3] {
        let mut node = Peer::with_log(&[1]).following_2_in(2);
        node.times_out();
        node.sent();
        node.receives(3, pre_vote(3, entry(1, 1)));
        node.receives(3, request_vote(term, entry(1, 1)));
        assert_eq!(node.sent(), [(3, pre_vote_answer(3, true)), (3, vote(term, true))]);
        assert_eq!(node.role(), RoleName::Follower);
    }
}

/// A candidate has given its leader up as well, also when that leader itself has asked for the campaign just now.
#[test]
fn a_candidate_is_bound_to_nobody() {
    let mut node = Peer::with_log(&[1]).following_2_in(2);
    node.receives(2, timeout_now(2));
    node.sent();
    node.receives(3, request_vote(4, entry(1, 1)));
    assert_eq!(node.sent(), [(3, vote(4, true))]);
}

/// B19 (no library does this): whoever promised its leader silence and restarts keeps its promise; otherwise the
/// leader could lose its majority while it counts on it.
#[test]
fn a_restart_does_not_free_a_node_from_its_promise() {
    let mut node = Peer::with_log(&[1]).following_2_in(2);
    node.restarts();
    node.receives(3, request_vote(3, entry(1, 1)));
    node.receives(3, pre_vote(3, entry(1, 1)));
    assert_eq!(node.sent(), [(3, vote(2, false)), (3, pre_vote_answer(2, false))]);
    node.time_passes(ELECTION_TIMEOUT);
    node.receives(3, request_vote(3, entry(1, 1)));
    assert_eq!(node.sent(), [(3, vote(3, true))]);
}

/// A node that has never been in a term has promised nobody anything.
#[test]
fn a_node_without_a_past_votes_at_once() {
    let mut node = Peer::start(2, options(), Disk::blank());
    node.step(Input::Greeted(voters(1..=3).cluster_id()));
    node.receives(1, request_vote(2, entry(1, 1)));
    assert_eq!(node.sent(), [(1, vote(2, true))]);
}

// CheckQuorum, §6.2.

/// `[Ongaro §6.2]`: "a leader steps down if an election timeout elapses without a successful round of heartbeats
/// to a majority of its cluster". B13 (openraft t14): also one that is heard, but hears nobody.
#[test]
fn a_leader_that_hears_no_majority_steps_down_within_an_election_timeout() {
    let mut net = Network::of(3);
    net.elect(1);
    for voter in [2, 3] {
        net.cut(voter, 1);
    }
    net.heartbeats(1, 4);
    assert_eq!(net.node(1).role(), RoleName::Leader);
    net.heartbeats(1, 1);
    assert_eq!(net.node(1).role(), RoleName::Follower);
    assert_eq!((net.node(1).term(), net.node(1).leader()), (2, None), "in its own term");
}

/// Any answer counts, of any kind, and a majority is enough.
#[test]
fn a_leader_that_hears_a_majority_goes_on() {
    for answer in [heartbeat_answer(2, 0), matched(2, 2)] {
        let mut node = Peer::member_of(&voters(1..=5), &[1]).elected();
        for _ in 0..20 {
            node.heartbeats();
            node.receives(2, answer.clone());
            node.receives(3, answer.clone());
        }
        assert_eq!(node.role(), RoleName::Leader, "{answer:?}");
        for _ in 0..5 {
            node.heartbeats();
            node.receives(2, answer.clone());
            node.receives(7, answer.clone());
        }
        assert_eq!(node.role(), RoleName::Follower, "two of five, and a stranger: {answer:?}");
    }
}

/// Having stepped down it is bound to nobody, and its own timer starts anew.
#[test]
fn a_leader_that_stepped_down_votes_and_waits_its_turn() {
    let mut node = Peer::with_log(&[1]).elected();
    for _ in 0..5 {
        node.heartbeats();
    }
    assert_eq!(node.role(), RoleName::Follower);
    let wait = node.raft.next_deadline().saturating_since(node.now);
    assert!((ELECTION_TIMEOUT..ELECTION_TIMEOUT * 2).contains(&wait), "{wait:?}");
    node.sent();
    node.receives(3, request_vote(3, entry(2, 2)));
    assert_eq!(node.sent(), [(3, vote(3, true))]);
}

/// A cluster of one is its own majority.
#[test]
fn a_lone_leader_never_steps_down() {
    let mut node = Peer::member_of(&voters([1]), &[1]);
    node.times_out();
    node.time_passes(ELECTION_TIMEOUT * 100);
    node.heartbeats();
    assert_eq!(node.role(), RoleName::Leader);
}

/// B13: a node that hears its leader but is not heard does not campaign, and disturbs nobody.
#[test]
fn a_node_that_is_not_heard_follows_all_the_same() {
    let mut net = Network::of(3);
    net.elect(1);
    for other in [1, 2] {
        net.cut(3, other);
    }
    for _ in 0..20 {
        net.heartbeats(1, 1);
        net.node(3).timer_looks();
    }
    assert_eq!(
        (net.node(3).role(), net.node(3).term(), net.node(1).role()),
        (RoleName::Follower, 2, RoleName::Leader)
    );
}

/// B4 (TestFreeStuckCandidateWithCheckQuorum): a node whose term has run ahead cannot be fed by a leader of a
/// lower one, nor can it win against voters that are bound. Its answers free it: they depose the leader, once.
#[test]
fn a_candidate_whose_term_ran_ahead_is_freed_by_its_answers() {
    for entries in [false, true] {
        let mut net = Network::of(3);
        net.elect(1);
        net.lose_messages();
        // It had the pre-votes it needed just before the others heard of the leader.
        net.node(3).times_out();
        net.node(3).receives(2, pre_vote_answer(3, true));
        net.deliver();
        assert_eq!(
            (net.node(3).role(), net.node(3).term()),
            (RoleName::Candidate, 3),
            "bound voters refuse it"
        );
        assert_eq!(net.node(1).role(), RoleName::Leader);
        if entries {
            net.node(1).proposes("x").unwrap();
            net.deliver();
        } else {
            net.heartbeats(1, 1);
        }
        assert_eq!((net.node(1).role(), net.node(1).term()), (RoleName::Follower, 3));
        let leader = net.run_until_a_leader_emerges();
        net.heartbeats(leader, 2);
        assert!(
            (1..=3).all(|number| net.node(number).leader() == Some(leader)),
            "all follow one leader again"
        );
    }
}

// Reads, §6.4.

/// `[Ongaro §6.4]`: "the leader [...] issues a new round of heartbeats". One round serves all reads that wait for
/// it.
#[test]
fn reads_of_one_turn_share_a_round() {
    let mut net = Network::of(3);
    net.elect(1);
    let tickets: Vec<_> = (100..150).map(Ticket).collect();
    for &ticket in &tickets {
        net.node(1).takes(Input::Read { ticket, proof: ReadProof::Quorum });
    }
    net.node(1).settles();
    let said = net.node(1).sent();
    assert_eq!(said.len(), 2, "one heartbeat a follower");
    let Message::Heartbeat(beat) = &said[0].1 else { panic!("{said:?}") };
    net.node(1).receives(2, heartbeat_answer(2, beat.read_seq));
    assert!(tickets.iter().all(|&ticket| net.node(1).outcome(ticket) == Some(Ok(LogIndex(2)))));
}

/// D3 (etcd#20418, raft#397): an answer to a round that began before the read proves nothing about it: the leader
/// may have been deposed in between.
#[test]
fn a_read_is_not_proven_by_an_answer_to_an_earlier_round() {
    let mut node = Peer::with_log(&[1]).elected();
    node.receives(2, matched(2, 2));
    let first = node.is_asked_to_read();
    let second = node.is_asked_to_read();
    for _ in 0..3 {
        node.receives(2, heartbeat_answer(2, 1));
        node.receives(3, heartbeat_answer(2, 1));
    }
    assert_eq!((node.outcome(first), node.outcome(second)), (Some(Ok(LogIndex(2))), None));
    node.receives(3, heartbeat_answer(2, 2));
    assert_eq!(node.outcome(second), Some(Ok(LogIndex(2))));
}

/// D3: a number that the leader of an earlier term gave out means nothing in this one, though both count from 1.
#[test]
fn a_read_is_not_proven_by_an_answer_of_an_earlier_term() {
    let mut node = Peer::with_log(&[1]).elected();
    node.receives(2, matched(2, 2));
    node.is_asked_to_read();
    node.receives(3, heartbeat(3, 0));
    node.time_passes(ELECTION_TIMEOUT);
    node = node.elected();
    node.receives(2, matched(4, 3));
    let read = node.is_asked_to_read();
    node.receives(2, heartbeat_answer(2, 1));
    node.receives(3, heartbeat_answer(3, 1));
    assert_eq!(node.outcome(read), None);
    node.receives(3, heartbeat_answer(4, 1));
    assert_eq!(node.outcome(read), Some(Ok(LogIndex(3))));
}

/// Entries carry the number of the round as well, so that reads under load cost no message.
#[test]
fn an_acknowledgement_of_entries_proves_a_read_as_well() {
    let mut net = Network::of(3);
    net.elect(1);
    let read = net.node(1).is_asked_to_read();
    net.lose_messages();
    net.node(1).proposes("x").unwrap();
    assert_eq!(net.node(1).outcome(read), None);
    net.converse(1, 2);
    assert_eq!(net.node(1).outcome(read), Some(Ok(LogIndex(2))));
}

/// A round whose messages were lost is carried by the next heartbeats.
#[test]
fn a_lost_round_is_repeated_by_the_next_heartbeats() {
    let mut net = Network::of(3);
    net.elect(1);
    let read = net.node(1).is_asked_to_read();
    net.lose_messages();
    net.heartbeats(1, 1);
    assert_eq!(net.node(1).outcome(read), Some(Ok(LogIndex(2))));
}

/// A stranger's or a learner's answer proves nothing.
#[test]
fn only_voters_prove_a_read() {
    let configuration = members(&[(1, Voter), (2, Voter), (3, Voter), (4, Learner)]);
    let mut node = Peer::member_of(&configuration, &[1]).elected();
    node.receives(2, matched(2, 2));
    let read = node.is_asked_to_read();
    for nobody in [4, 9] {
        node.receives(nobody, heartbeat_answer(2, 1));
    }
    assert_eq!(node.outcome(read), None);
}

/// D4 (etcd#9566, restate#2950): a read that cannot be proven ends with an error within an election timeout; none
/// hangs.
#[test]
fn a_read_that_cannot_be_proven_is_refused_within_an_election_timeout() {
    let mut net = Network::of(3);
    net.elect(1);
    net.isolate(1);
    let parked = net.node(1).is_asked_to_read();
    net.heartbeats(1, 4);
    assert_eq!(net.node(1).outcome(parked), None);
    net.heartbeats(1, 1);
    assert_eq!(net.node(1).outcome(parked), Some(Err(ReadError::NotLeader { leader: None })));
}

/// D4: reads that wait for the leader's first commit are refused with the others.
#[test]
fn a_parked_read_is_refused_when_the_leader_steps_down() {
    let mut node = Peer::with_log(&[1]).elected();
    let parked = node.is_asked_to_read();
    node.receives(2, heartbeat(3, 0));
    assert_eq!(node.outcome(parked), Some(Err(ReadError::NotLeader { leader: None })));
}

/// Reads that wait take memory; their number is bounded.
#[test]
fn too_many_waiting_reads_are_turned_away() {
    let mut node = Peer::with_log(&[1]).elected();
    node.receives(2, matched(2, 2));
    let most = 1 << 16;
    for ticket in 0..most + 3 {
        node.takes(Input::Read { ticket: Ticket(1_000 + ticket), proof: ReadProof::Quorum });
    }
    node.settles();
    let refused: Vec<_> = (0..most + 3).filter_map(|ticket| node.outcome(Ticket(1_000 + ticket))).collect();
    assert_eq!(refused, [Err(ReadError::Busy { waiting: 1 << 16 }); 3]);
}

// Campaigns that a leader asks for, §3.10.

/// `[Ongaro §3.10]`: the target of a transfer "starts a new election (incrementing its term and becoming a
/// candidate)" at once, and its request says that voters need not hold it off for their leader's sake. B17.
#[test]
fn a_node_campaigns_at_once_when_its_leader_asks_it_to() {
    let mut net = Network::of(3);
    net.elect(1);
    let question = timeout_now(2);
    net.node(2).receives(1, question);
    assert_eq!((net.node(2).role(), net.node(2).term()), (RoleName::Candidate, 3));
    net.deliver();
    assert_eq!(
        (net.node(2).role(), net.node(1).role(), net.node(1).leader()),
        (RoleName::Leader, RoleName::Follower, Some(2))
    );
}

/// The exemption lies in the request. The election restriction is not lifted with it. B18 (openraft 1e00adfe).
#[test]
fn a_forced_campaign_is_held_off_by_a_newer_log_alone() {
    let mut node = Peer::with_log(&[1, 1]).following_2_in(2);
    node.receives(3, forced_request_vote(3, entry(1, 1)));
    assert_eq!(node.sent(), [(3, vote(3, false))]);
    node.receives(3, forced_request_vote(4, entry(1, 2)));
    assert_eq!(node.sent(), [(3, vote(4, true))]);
}

/// Nobody else can ask for it: not another node, not a leader of another term; and B9 (openraft 4490c678): whoever
/// leads already campaigns against nobody.
#[test]
fn only_the_present_leader_can_ask_for_a_campaign() {
    let mut node = Peer::with_log(&[1]).following_2_in(2);
    node.receives(3, timeout_now(2));
    node.receives(2, timeout_now(1));
    node.receives(2, timeout_now(3));
    assert_eq!((node.role(), node.term()), (RoleName::Follower, 2));
    let mut leader = Peer::with_log(&[1]).elected();
    leader.receives(2, timeout_now(2));
    leader.receives(1, timeout_now(2));
    assert_eq!((leader.role(), leader.term()), (RoleName::Leader, 2));
    let mut learner = Peer::member_of(&members(&[(1, Learner), (2, Voter)]), &[1]).following_2_in(2);
    learner.receives(2, timeout_now(2));
    assert_eq!((learner.role(), learner.term()), (RoleName::Follower, 2), "nobody would vote for it");
}
