//! `[Raft §5.2]` Leader election. Every campaign is preceded by a pre-vote, whose own rules are in `ongaro.rs`.

use std::collections::BTreeSet;

use raft_core::configuration::MemberRole;
use raft_core::{EntryKind, Message, RoleName};

use crate::support::{
    Disk, ELECTION_TIMEOUT, HEARTBEAT, Network, Peer, append, entry, heartbeat, heartbeat_answer, members,
    options, pre_vote_answer, request_vote, vote, voters,
};

/// `[Raft Figure 2, Candidates]`: "On conversion to candidate, start election: increment currentTerm, vote for
/// self, reset election timer, send RequestVote RPCs to all other servers".
#[test]
fn a_candidate_enters_a_new_term_votes_for_itself_and_asks_everybody_else() {
    let mut node = Peer::member_of(&voters(1..=3), &[1, 1, 4]);
    node.times_out();
    node.sent();
    let deadline = node.raft.next_deadline();
    node.time_passes(HEARTBEAT);
    node.receives(2, pre_vote_answer(5, true));
    assert_eq!(
        (node.role(), node.term(), node.voted_for(), node.leader()),
        (RoleName::Candidate, 5, Some(1), None)
    );
    let request = request_vote(5, entry(4, 3));
    assert_eq!(node.sent(), [(2, request.clone()), (3, request)]);
    assert_ne!(node.raft.next_deadline(), deadline, "its own timer starts anew");
}

/// `[Raft §5.2]`: "If a follower receives no communication over a period of time called the election timeout, then
/// it [...] begins an election", and not before.
#[test]
fn a_follower_campaigns_when_its_timer_fires_and_not_before() {
    let mut node = Peer::with_log(&[1]).following_2_in(1);
    node.time_passes(ELECTION_TIMEOUT - HEARTBEAT);
    node.timer_looks();
    assert_eq!(node.role(), RoleName::Follower);
    node.times_out();
    assert_eq!(node.role(), RoleName::PreCandidate);
}

/// A clock that seems to run backwards moves nothing: an earlier reading counts as the latest one.
#[test]
fn an_earlier_reading_of_the_clock_counts_as_the_latest() {
    let mut node = Peer::with_log(&[1]).following_2_in(1);
    node.time_passes(HEARTBEAT);
    node.timer_looks();
    let latest = node.now;
    node.now = latest - ELECTION_TIMEOUT;
    node.receives(2, heartbeat(1, 0));
    let until = node.raft.next_deadline().saturating_since(latest);
    assert!((ELECTION_TIMEOUT..ELECTION_TIMEOUT * 2).contains(&until), "{until:?}");
}

/// `[Raft §5.2]`: "A candidate wins an election if it receives votes from a majority of the servers in the full
/// cluster for the same term", itself included.
#[test]
fn a_candidate_wins_with_the_majority_and_not_one_vote_earlier() {
    for (size, others_needed) in [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (7, 3)] {
        let mut node = Peer::member_of(&voters(1..=size), &[1]);
        if size == 1 {
            node.times_out();
            assert_eq!(node.role(), RoleName::Leader, "alone, its own vote is the majority");
            continue;
        }
        node = node.campaigning();
        for voter in 2..2 + others_needed {
            assert_eq!(node.role(), RoleName::Candidate, "{voter} of {size}");
            node.receives(voter, vote(2, true));
        }
        assert_eq!(node.role(), RoleName::Leader, "{size} voters");
    }
}

/// A voter counts once, and only voters count.
#[test]
fn a_vote_counts_once_and_a_strangers_never() {
    let learner = (6, MemberRole::Learner);
    let five: Vec<_> = (1..=5).map(|number| (number, MemberRole::Voter)).chain([learner]).collect();
    let mut node = Peer::member_of(&members(&five), &[1]).campaigning();
    for from in [2, 2, 2, 6, 9] {
        node.receives(from, vote(2, true));
    }
    assert_eq!(node.role(), RoleName::Candidate, "two votes of five");
    node.receives(4, vote(2, true));
    assert_eq!(node.role(), RoleName::Leader);
}

/// A vote that was given is given, whatever a late or repeated answer says; and one that was refused (by a voter that
/// still heard from a leader, say) may be given to a repeated request.
#[test]
fn a_vote_that_was_given_stands_and_one_that_was_refused_may_follow() {
    for answers in [[true, false], [false, true]] {
        let mut node = Peer::member_of(&voters(1..=5), &[1]).campaigning();
        for granted in answers {
            node.receives(2, vote(2, granted));
        }
        assert_eq!(node.role(), RoleName::Candidate);
        node.receives(3, vote(2, true));
        assert_eq!(node.role(), RoleName::Leader, "{answers:?}");
    }
}

/// A majority of refusals ends the campaign at once; the next one is up to the timer.
#[test]
fn a_candidate_that_cannot_win_any_more_stands_down() {
    let mut node = Peer::with_log(&[1]).campaigning();
    node.receives(2, vote(2, false));
    assert_eq!(node.role(), RoleName::Candidate);
    node.receives(3, vote(2, false));
    assert_eq!((node.role(), node.term(), node.voted_for()), (RoleName::Follower, 2, Some(1)));
}

/// `[Raft §5.2]`: "Each server will vote for at most one candidate in a given term, on a first-come-first-served
/// basis". Invariant (one-vote).
#[test]
fn a_node_votes_once_in_a_term_first_come_first_served() {
    let mut node = Peer::with_log(&[1]);
    node.receives(2, request_vote(2, entry(1, 1)));
    node.receives(3, request_vote(2, entry(1, 1)));
    assert_eq!(node.sent(), [(2, vote(2, true)), (3, vote(2, false))]);
    node.restarts();
    node.time_passes(ELECTION_TIMEOUT);
    node.receives(3, request_vote(2, entry(1, 1)));
    assert_eq!(node.sent(), [(3, vote(2, false))], "a restart does not make it forget");
}

/// The answer may have been lost: `[Raft Figure 2, RequestVote RPC, receiver 2]`, "votedFor is null or
/// candidateId".
#[test]
fn a_candidate_that_asks_again_gets_the_same_vote_again() {
    let mut node = Peer::with_log(&[1]);
    for _ in 0..2 {
        node.receives(2, request_vote(2, entry(1, 1)));
        assert_eq!(node.sent(), [(2, vote(2, true))]);
    }
}

/// A candidate has voted for itself.
#[test]
fn a_candidate_refuses_its_rivals() {
    let mut node = Peer::with_log(&[1]).campaigning();
    node.receives(2, request_vote(2, entry(1, 9)));
    assert_eq!(node.sent(), [(2, vote(2, false))]);
    assert_eq!(node.role(), RoleName::Candidate);
}

/// `[Raft §5.2]`: "If the leader's term [...] is at least as large as the candidate's current term, then the
/// candidate recognizes the leader as legitimate and returns to follower state."
#[test]
fn a_candidate_returns_to_follower_when_another_leads_its_term() {
    for claim in [heartbeat(2, 0), append(2, entry(1, 1), &[2], 0)] {
        let mut node = Peer::with_log(&[1]).campaigning();
        node.receives(3, claim.clone());
        assert_eq!((node.role(), node.leader(), node.term()), (RoleName::Follower, Some(3), 2), "{claim:?}");
    }
}

/// As above: "If the term in the RPC is smaller [...], then the candidate rejects the RPC and continues".
#[test]
fn a_candidate_goes_on_when_a_past_leader_speaks() {
    let mut node = Peer::with_log(&[1]).campaigning();
    node.receives(3, heartbeat(1, 0));
    assert_eq!(node.role(), RoleName::Candidate);
    assert_eq!(node.sent(), [(3, heartbeat_answer(2, 0))]);
}

/// `[Raft §5.2]`: "each candidate will time out and start a new election by incrementing its term".
#[test]
fn a_split_vote_is_followed_by_an_election_in_a_new_term() {
    let mut net = Network::of(4);
    for candidate in [1, 2] {
        net.node(candidate).times_out();
        for voter in [3, 4] {
            net.deliver_from(candidate, voter);
            net.deliver_from(voter, candidate);
        }
    }
    // Both were told that they could win, and each is the first to reach another voter.
    net.deliver_from(1, 3);
    net.deliver_from(2, 4);
    net.deliver();
    let roles = [1, 2].map(|number| (net.node(number).role(), net.node(number).term()));
    assert_eq!(roles, [(RoleName::Follower, 2); 2], "with two votes each of four, neither can win any more");
    net.elect(2);
    assert_eq!(net.node(2).term(), 3);
    assert_eq!(net.node(1).leader(), Some(2));
}

/// `[Raft §5.2]`: "election timeouts are chosen randomly from a fixed interval", here `election_timeout..2 ×`, and
/// "Each candidate restarts its randomized election timeout at the start of an election". B16 (openraft 5e15946d):
/// a new draw for each campaign, or two nodes that collided once would collide for ever.
#[test]
fn election_timeouts_are_random_within_their_interval_and_drawn_anew_each_time() {
    let mut drawn = BTreeSet::new();
    for number in 1..=3 {
        let configuration = voters(1..=3);
        let disk = Disk::with_log(&configuration, &[1]);
        let mut node = Peer::start(number, options(), disk);
        for _ in 0..20 {
            let before = node.now;
            node.times_out();
            let timeout = node.raft.next_deadline().saturating_since(node.now);
            assert!((ELECTION_TIMEOUT..ELECTION_TIMEOUT * 2).contains(&timeout), "{timeout:?}");
            assert!(node.now > before);
            drawn.insert(timeout);
        }
    }
    assert_eq!(drawn.len(), 60, "no two alike, on one node or on two");
    let spread = *drawn.last().unwrap() - *drawn.first().unwrap();
    assert!(spread > ELECTION_TIMEOUT * 3 / 4, "the whole interval is used: {spread:?}");
}

/// `[Raft §5.2]`: "A server remains in follower state as long as it receives valid RPCs from a leader or
/// candidate"; `[Raft Figure 2, Followers]`: the timer restarts with every message of the leader and with a
/// granted vote.
#[test]
fn the_leaders_messages_and_a_granted_vote_restart_the_timer() {
    for message in [heartbeat(1, 0), append(1, entry(1, 1), &[], 0), request_vote(2, entry(1, 1))] {
        let mut node = Peer::with_log(&[1]);
        node.receives(2, message.clone());
        let until = node.raft.next_deadline().saturating_since(node.now);
        assert!((ELECTION_TIMEOUT..ELECTION_TIMEOUT * 2).contains(&until), "{message:?}: {until:?}");
    }
}

/// As above: a candidate that does not get the vote does not restart the timer, or a hopeless one could keep the
/// only electable node from campaigning.
#[test]
fn a_refused_vote_does_not_restart_the_timer() {
    let mut node = Peer::with_log(&[1, 2]);
    let deadline = node.raft.next_deadline();
    node.receives(2, request_vote(7, entry(1, 9)));
    assert_eq!(node.sent_to(2), [vote(7, false)]);
    assert_eq!(node.raft.next_deadline(), deadline);
}

/// `[Raft §5.2]`: "Once a candidate wins an election, it becomes leader. It then sends heartbeat messages to all
/// of the other servers to establish its authority". Here it is the no-op of its term that does so, `[Raft §8]`.
#[test]
fn a_new_leader_speaks_to_everybody_at_once() {
    let mut node = Peer::member_of(&voters(1..=5), &[1, 1]).campaigning();
    node.receives(2, vote(2, true));
    node.receives(4, vote(2, true));
    let sent = node.sent();
    assert_eq!(sent.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [2, 3, 4, 5]);
    for (_, message) in sent {
        let Message::AppendEntries(append) = message else { panic!("{message:?}") };
        let kinds: Vec<_> = append.blocks[0].entries().map(|entry| (entry.id, entry.kind)).collect();
        assert_eq!((append.prev_entry, &kinds[..]), (entry(1, 2), &[(entry(2, 3), EntryKind::NoOp)][..]));
    }
}

/// `[Raft §5.2]`: "Leaders send periodic heartbeats [...] to all followers in order to maintain their authority."
#[test]
fn a_leader_sends_heartbeats_in_each_interval() {
    let mut node = Peer::with_log(&[1]).elected();
    for _ in 0..3 {
        let last_heartbeats = node.now;
        node.heartbeats();
        assert_eq!(node.now.saturating_since(last_heartbeats), HEARTBEAT);
        let beats = node.sent().into_iter().filter(|(_, message)| matches!(message, Message::Heartbeat(_)));
        assert_eq!(beats.map(|(to, _)| to).collect::<Vec<_>>(), [2, 3]);
        node.receives(2, heartbeat_answer(2, 0));
    }
}

/// In a whole cluster, over and over: one leader at a time, each in a later term than the one before. `[Raft
/// Figure 3]`
#[test]
fn every_node_can_be_elected_in_its_turn() {
    let mut net = Network::of(3);
    for (round, number) in [2, 1, 3, 2, 3, 1].into_iter().enumerate() {
        net.elect(number);
        assert_eq!(net.node(number).term(), round as u64 + 2);
        for follower in (1..=3).filter(|&follower| follower != number) {
            assert_eq!(
                (net.node(follower).role(), net.node(follower).leader()),
                (RoleName::Follower, Some(number))
            );
        }
    }
}

/// B7 (openraft#1839), `PreCampaignWhileLeader`: answers to a past campaign, or to a pre-vote that crossed the
/// election, start no other one.
#[test]
fn answers_that_arrive_after_the_election_change_nothing() {
    let mut node = Peer::member_of(&voters(1..=5), &[1]).campaigning();
    node.receives(2, vote(2, true));
    node.receives(3, vote(2, true));
    node.sent();
    for message in [pre_vote_answer(3, true), pre_vote_answer(2, true), vote(2, true), vote(2, false)] {
        node.receives(4, message.clone());
        node.receives(5, message);
    }
    assert_eq!((node.role(), node.term(), node.sent()), (RoleName::Leader, 2, vec![]));
}

/// B3 (raft-rs#83): asking for pre-votes forgets the leader and every vote of the campaign before.
#[test]
fn a_pre_candidate_starts_without_leader_and_without_votes() {
    let mut node = Peer::member_of(&voters(1..=5), &[1]).campaigning();
    node.receives(2, vote(2, true));
    node.times_out();
    assert_eq!((node.role(), node.term(), node.leader()), (RoleName::PreCandidate, 2, None));
    node.receives(3, vote(2, true));
    assert_eq!(node.role(), RoleName::PreCandidate, "votes of the past campaign are void");
    node.receives(3, pre_vote_answer(3, true));
    node.receives(4, pre_vote_answer(3, true));
    assert_eq!((node.role(), node.term()), (RoleName::Candidate, 3));
    node.receives(3, vote(3, true));
    assert_eq!(node.role(), RoleName::Candidate, "node 2's vote of term 2 is not carried over");
}

/// Only voters campaign.
#[test]
fn a_learner_never_campaigns() {
    let configuration = members(&[(1, MemberRole::Learner), (2, MemberRole::Voter)]);
    let mut node = Peer::member_of(&configuration, &[1]);
    for _ in 0..3 {
        node.times_out();
    }
    assert_eq!((node.role(), node.term(), node.sent()), (RoleName::Follower, 1, vec![]));
}

/// B15: a cluster of one elects itself after a restart, at once and without talking, and commits what it has.
#[test]
fn a_lone_voter_elects_itself_at_once() {
    let mut node = Peer::member_of(&voters([1]), &[1, 1, 1]);
    node.restarts();
    let restarted = node.now;
    node.times_out();
    assert_eq!((node.role(), node.term(), node.now), (RoleName::Leader, 2, restarted));
    assert_eq!(node.applied().len(), 4, "three entries and the no-op");
    assert_eq!(node.sent(), []);
}

/// Nobody to ask, nobody to lead: a node outside any configuration waits.
#[test]
fn a_blank_node_never_campaigns() {
    let mut node = Peer::start(1, options(), Disk::blank());
    for _ in 0..3 {
        node.times_out();
    }
    assert_eq!((node.role(), node.term(), node.sent()), (RoleName::Follower, 0, vec![]));
}
