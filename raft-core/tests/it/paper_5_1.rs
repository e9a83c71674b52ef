//! `[Raft §5.1]` Raft basics: terms, and what every server owes them.

use raft_core::{Input, Message, RoleName, Term};

use crate::support::{
    Disk, ELECTION_TIMEOUT, Network, Peer, append, conflict, entry, heartbeat, heartbeat_answer, matched,
    options, pre_vote_answer, request_vote, vote, voters,
};

/// Everything that a node of `term` can say.
fn messages_of(term: u64) -> [Message; 7] {
    [
        request_vote(term, entry(term, 9)),
        vote(term, false),
        pre_vote_answer(term, false),
        append(term, entry(1, 1), &[], 0),
        matched(term, 1),
        heartbeat(term, 0),
        heartbeat_answer(term, 0),
    ]
}

/// `[Raft §5.1]`: "When servers start up, they begin as followers." (§5.2)
#[test]
fn a_node_starts_as_a_follower_without_a_leader() {
    let node = Peer::with_log(&[1, 1, 2]);
    assert_eq!((node.role(), node.term(), node.leader()), (RoleName::Follower, 2, None));
    assert_eq!((node.commit(), node.voted_for()), (0, None), "what is committed has to be learned again");
}

/// D12: a leader that restarts leads no more, until it is elected again.
#[test]
fn a_leader_restarts_as_a_follower() {
    let mut node = Peer::with_log(&[1]).elected();
    let term = node.term();
    node.restarts();
    assert_eq!((node.role(), node.term(), node.leader()), (RoleName::Follower, term, None));
    assert_eq!(node.voted_for(), Some(1), "its vote in this term is not given again");
}

/// `[Raft §5.1]`: "if one server's current term is smaller than the other's, then it updates its current term to
/// the larger value".
#[test]
fn a_follower_adopts_a_later_term_from_whatever_carries_one() {
    for message in messages_of(7) {
        let mut node = Peer::with_log(&[1, 1]).following_2_in(2);
        node.time_passes(ELECTION_TIMEOUT);
        node.receives(3, message.clone());
        assert_eq!((node.term(), node.role()), (7, RoleName::Follower), "{message:?}");
        assert_eq!(node.disk.log.hard_state.current_term.0, 7, "and remembers it: {message:?}");
    }
}

/// `[Raft §5.1]`: "If a candidate or leader discovers that its term is out of date, it immediately reverts to
/// follower state."
#[test]
fn a_candidate_reverts_to_follower_when_it_sees_a_later_term() {
    for message in messages_of(7) {
        let mut node = Peer::with_log(&[1, 1]).campaigning();
        node.receives(3, message.clone());
        assert_eq!((node.term(), node.role()), (7, RoleName::Follower), "{message:?}");
    }
}

/// As above. A vote request is the one message that does not depose a leader, `[Ongaro §4.2.3]`: see `ongaro.rs`.
#[test]
fn a_leader_reverts_to_follower_when_it_sees_a_later_term() {
    for message in messages_of(7).into_iter().filter(|message| !matches!(message, Message::RequestVote(_))) {
        let mut node = Peer::with_log(&[1, 1]).elected();
        node.receives(3, message.clone());
        assert_eq!((node.term(), node.role()), (7, RoleName::Follower), "{message:?}");
        assert!(node.raft.status().peers.is_empty(), "nothing of its leadership is left");
    }
}

/// `[Raft §5.1]`: "If a server receives a request with a stale term number, it rejects the request." The answer
/// names the later term, by which the sender learns that it is deposed. `[Raft Figure 2, AppendEntries RPC,
/// receiver 1]`
#[test]
fn a_request_of_a_past_term_is_refused_with_the_current_one() {
    let mut node = Peer::with_log(&[1, 1, 3]).in_term(5);
    node.receives(2, append(4, entry(1, 2), &[4], 2));
    assert_eq!(node.sent_to(2), [heartbeat_answer(5, 0)]);
    node.receives(2, heartbeat(4, 3));
    assert_eq!(node.sent_to(2), [heartbeat_answer(5, 0)]);
    node.receives(2, request_vote(4, entry(4, 9)));
    assert_eq!(node.sent_to(2), [vote(5, false)]);
    assert_eq!((node.log(), node.commit(), node.voted_for(), node.leader()), (vec![1, 1, 3], 0, None, None));
}

/// `[Raft Figure 2, RequestVote RPC, receiver 1]`: "Reply false if term < currentTerm" also if everything else
/// speaks for the candidate.
#[test]
fn a_leader_of_a_past_term_does_not_keep_a_node_from_timing_out() {
    let mut node = Peer::with_log(&[1]).in_term(5);
    let deadline = node.raft.next_deadline();
    node.receives(2, heartbeat(4, 0));
    node.receives(2, append(4, entry(1, 1), &[4], 1));
    node.receives(2, request_vote(4, entry(4, 9)));
    assert_eq!(node.raft.next_deadline(), deadline);
}

/// A term that no honest cluster reaches is not believed: one message could push everybody to where counting ends.
#[test]
fn a_term_beyond_the_limit_is_not_believed() {
    let mut node = Peer::with_log(&[1, 1]).following_2_in(5);
    for term in [Term::LIMIT.0, u64::MAX] {
        node.receives(2, heartbeat(term, 0));
        node.receives(2, append(term, entry(1, 2), &[term], 0));
        node.receives(3, request_vote(term, entry(term, 9)));
        node.receives(3, pre_vote_answer(term, false));
    }
    assert_eq!((node.term(), node.sent(), node.log()), (5, vec![], vec![1, 1]));
}

/// Nor does a node that knows a term believe one that no history can have led to from there.
#[test]
fn a_term_far_ahead_is_not_believed() {
    let mut node = Peer::with_log(&[1, 1]).following_2_in(5);
    for message in messages_of(5 + Term::MAX_LEAP + 1) {
        node.receives(3, message);
    }
    assert_eq!((node.term(), node.leader(), node.sent()), (5, Some(2), vec![]));
    node.receives(3, heartbeat(5 + Term::MAX_LEAP, 0));
    assert_eq!((node.term(), node.leader()), (5 + Term::MAX_LEAP, Some(3)));
}

/// One number gone wrong would otherwise leave everybody just below the limit, where nobody can campaign.
#[test]
fn an_absurd_answer_does_not_cost_a_cluster_its_leaders() {
    let mut net = Network::of(3);
    net.elect(1);
    let term = net.node(1).term();
    net.node(1).receives(2, heartbeat_answer(Term::LIMIT.0 - 1, 0));
    assert_eq!((net.node(1).role(), net.node(1).term()), (RoleName::Leader, term));
    net.node(1).proposes("x").unwrap();
    net.heartbeats(1, 2);
    let last = net.node(1).last().index.0;
    assert_eq!(net.commits(), [last; 3]);
    net.isolate(1);
    net.elect(2);
    assert_eq!(net.node(2).term(), term + 1);
}

/// A node that was never in a term may meet a cluster of any age.
#[test]
fn a_blank_node_believes_every_term_below_the_limit() {
    let mut node = Peer::start(1, options(), Disk::blank());
    node.step(Input::Greeted(voters(1..=3).cluster_id()));
    node.receives(2, heartbeat(Term::LIMIT.0, 0));
    assert_eq!(node.term(), 0);
    node.receives(2, heartbeat(Term::LIMIT.0 - 1, 0));
    assert_eq!(node.term(), Term::LIMIT.0 - 1);
}

/// C6: an answer of a past term says nothing about this one.
#[test]
fn an_answer_of_a_past_term_moves_nothing() {
    let mut node = Peer::with_log(&[1, 1, 1]).in_term(4).elected();
    let before = node.raft.status();
    for message in [
        matched(4, 4),
        conflict(4, 3, entry(1, 1)),
        heartbeat_answer(4, 9),
        vote(4, true),
        pre_vote_answer(4, false),
    ] {
        node.receives(2, message);
    }
    assert_eq!(node.raft.status(), before);
    assert_eq!(node.sent(), []);
}

/// `[Raft Figure 2, State]`: `votedFor` is the candidate that received the vote "in current term".
#[test]
fn a_later_term_comes_with_a_fresh_vote() {
    let mut node = Peer::with_log(&[1]).in_term(3).having_voted_for(2);
    node.receives(3, request_vote(4, entry(1, 1)));
    assert_eq!((node.term(), node.voted_for()), (4, Some(3)));
    assert_eq!(node.sent_to(3), [vote(4, true)]);
}

/// B8 (openraft#1220): a node that adopts a term while refusing its candidate has voted for nobody in it.
#[test]
fn adopting_a_term_is_not_a_vote() {
    let mut node = Peer::with_log(&[1, 2, 2]);
    node.receives(2, request_vote(5, entry(1, 9)));
    assert_eq!(node.sent_to(2), [vote(5, false)]);
    assert_eq!((node.term(), node.voted_for()), (5, None));
    node.receives(3, request_vote(5, entry(2, 3)));
    assert_eq!(node.sent_to(3), [vote(5, true)], "the vote is still there for one whose log is not behind");
}

/// B8, the other side: a candidate that adopts a voter's term has not won its vote, nor any in the new term.
#[test]
fn a_refusal_of_a_later_term_elects_nobody() {
    let mut node = Peer::with_log(&[1]).campaigning();
    node.receives(2, vote(6, true));
    node.receives(3, vote(6, true));
    assert_eq!((node.term(), node.role(), node.voted_for()), (6, RoleName::Follower, None));
}

/// `[Raft Figure 2, All Servers]`, end to end: a leader that was cut off learns of the new term and follows.
#[test]
fn a_deposed_leader_follows_its_successor() {
    let mut net = Network::of(3);
    net.elect(1);
    net.isolate(1);
    net.elect(2);
    assert_eq!(net.node(1).role(), RoleName::Leader, "it has not heard");
    net.heal();
    net.heartbeats(2, 2);
    let node = net.node(1);
    assert_eq!((node.role(), node.leader(), node.term()), (RoleName::Follower, Some(2), 3));
}

/// Two nodes never lead one term, so what claims to be another leader of it is ignored.
#[test]
fn nobody_but_its_leader_is_followed_in_a_term() {
    let mut node = Peer::with_log(&[1, 1]).following_2_in(3);
    node.receives(3, append(3, entry(1, 2), &[3], 2));
    node.receives(3, heartbeat(3, 2));
    assert_eq!((node.leader(), node.log(), node.commit()), (Some(2), vec![1, 1], 0));
    assert_eq!(node.sent(), []);
}

/// Invariant (leader-append-only), `[Raft Figure 3]`: a leader takes entries from nobody in its own term.
#[test]
fn a_leader_takes_nothing_from_another_of_its_own_term() {
    let mut node = Peer::with_log(&[1, 1]).elected();
    let log = node.log();
    node.receives(2, append(node.term(), entry(1, 1), &[2, 2, 2], 3));
    node.receives(2, heartbeat(node.term(), 3));
    assert_eq!((node.role(), node.log(), node.commit()), (RoleName::Leader, log, 0));
}

/// A node ignores what seems to come from itself, and a node of no cluster ignores everything.
#[test]
fn a_node_hears_neither_itself_nor_a_cluster_it_is_not_in() {
    let mut node = Peer::with_log(&[1]);
    let mut blank = Peer::start(1, options(), Disk::blank());
    for message in messages_of(9) {
        node.receives(1, message.clone());
        blank.receives(2, message);
    }
    assert_eq!((node.term(), node.sent()), (1, vec![]));
    assert_eq!((blank.term(), blank.sent()), (0, vec![]));
}
