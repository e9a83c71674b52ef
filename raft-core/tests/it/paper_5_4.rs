//! `[Raft §5.4]` Safety: who may be elected, and what may be called committed.

use raft_core::{Options, RoleName};

use crate::support::{
    Disk, ELECTION_TIMEOUT, Network, Peer, append, entry, heartbeat, matched, options, pre_vote,
    pre_vote_answer, request_vote, vote, voters,
};

/// `[Raft §5.4.1]`: "If the logs have last entries with different terms, then the log with the later term is more
/// up-to-date. If the logs end with the same term, then whichever log is longer is more up-to-date." The voter
/// "denies its vote if its own log is more up-to-date than that of the candidate", and so it answers a pre-vote.
#[test]
fn a_vote_is_granted_to_a_log_that_is_at_least_as_up_to_date_and_to_no_other() {
    for (last, granted) in [
        (entry(3, 4), true),  // equal
        (entry(3, 5), true),  // longer
        (entry(3, 3), false), // shorter
        (entry(4, 1), true),  // a later term, however short
        (entry(4, 9), true),
        (entry(2, 9), false), // an earlier term, however long
        (entry(1, 1), false),
        (entry(0, 0), false),
    ] {
        let mut node = Peer::with_log(&[1, 1, 3, 3]);
        node.receives(2, pre_vote(7, last));
        let answered = if granted { 7 } else { 3 };
        assert_eq!(node.sent(), [(2, pre_vote_answer(answered, granted))], "{last}");
        node.receives(2, request_vote(7, last));
        assert_eq!(node.sent(), [(2, vote(7, granted))], "{last}");
        assert_eq!(node.voted_for(), granted.then_some(2), "{last}");
    }
}

/// What the voter compares with is its whole log, also what no disk holds yet.
#[test]
fn a_voters_log_counts_from_the_moment_it_is_appended() {
    let mut node = Peer::with_log(&[1]).following_2_in(2);
    node.disk_stalls();
    node.receives(2, append(2, entry(1, 1), &[2, 2], 0));
    node.time_passes(ELECTION_TIMEOUT);
    node.receives(3, request_vote(3, entry(2, 2)));
    assert_eq!(node.sent_to(3), [vote(3, false)]);
}

/// `[Raft Figure 3]`, Leader Completeness: a node that lacks a committed entry is not elected, whoever else is up.
#[test]
fn only_a_node_with_all_committed_entries_is_elected() {
    let mut net = Network::of(5);
    net.elect(1);
    net.isolate(4);
    net.isolate(5);
    net.node(1).proposes("x").unwrap();
    net.deliver();
    assert_eq!(net.node(1).commit(), 3);
    net.heal();
    net.isolate(1);
    net.time_passes(ELECTION_TIMEOUT);
    for behind in [4, 5] {
        net.node(behind).times_out();
        net.deliver();
        assert_eq!((net.node(behind).term(), net.node(behind).leader()), (2, None), "refused by 2 and 3");
    }
    net.elect(2);
    net.node(2).heartbeats();
    net.deliver();
    assert_eq!(net.node(5).log(), [1, 2, 2, 3]);
}

/// `[Raft §5.4.2, Figure 8]` at (c), as entries and terms are named there, after an entry of term 1 that all have.
/// In (a) S1 led term 2 and reached S2; in (b) S5 led term 3 with the votes of S3 and S4 and crashed. Here S1
/// leads term 4, and the entry of term 2 stands on S1, S2 and S3; that of term 4 on S1 alone.
fn figure_8_c() -> Network {
    let configuration = voters(1..=5);
    let disks = [&[1, 2][..], &[1, 2], &[1], &[1], &[1, 3]].map(|log| Disk::with_log(&configuration, log));
    // One entry a message, so that they can be told apart.
    let mut net = Network::with_disks(&Options { max_message_bytes: 1, ..options() }, disks);
    for voter in [3, 4] {
        net.node(voter).receives(5, heartbeat(3, 0));
    }
    net.isolate(5);
    net.node(1).times_out();
    net.deliver();
    assert_eq!(net.node(1).term(), 3, "S3 and S4 told it of S5's term");
    net.time_passes(ELECTION_TIMEOUT);
    net.node(1).times_out();
    net.converse(1, 2);
    net.converse(1, 4);
    net.deliver_from(1, 2);
    net.deliver_from(2, 1);
    assert_eq!((net.node(1).role(), net.node(1).term()), (RoleName::Leader, 4));
    // S2's disk is slow: it vouches for the entry of term 2 alone. S3 gets that entry and nothing else.
    net.node(2).disk_stalls();
    for follower in [2, 3, 3] {
        net.deliver_from(1, follower);
        net.deliver_from(follower, 1);
    }
    net.lose_messages();
    net.node(2).restarts();
    assert_eq!(net.logs(), [&[1, 2, 4][..], &[1, 2], &[1, 2], &[1], &[1, 3]].map(<[_]>::to_vec));
    net
}

/// C1 (logcabin#44), Invariant (commit-own-term), `[Raft §5.4.2]`: "a leader cannot immediately conclude that an
/// entry from a previous term is committed once it is stored on a majority of servers."
#[test]
fn figure_8_an_entry_of_an_earlier_term_is_not_committed_by_counting() {
    let mut net = figure_8_c();
    for holder in [2, 3] {
        assert_eq!(
            net.node(1).progress(holder).match_index.0,
            2,
            "S1 knows that S{holder} holds the entry of term 2"
        );
    }
    assert_eq!(net.node(1).commit(), 0);
    assert_eq!(net.node(1).applied(), []);
}

/// Figure 8 (d): "If S1 crashes as in (d), S5 could be elected leader (with votes from S2, S3, and S4) and
/// overwrite the entry with its own entry from term 3."
#[test]
fn figure_8_d_the_entry_is_overwritten_and_nobody_has_called_it_committed() {
    let mut net = figure_8_c();
    net.heal();
    net.isolate(1);
    net.elect(5);
    net.heartbeats(5, 1);
    assert_eq!(net.node(5).term(), 5);
    for number in 2..=5 {
        assert_eq!(net.node(number).log(), [1, 3, 5], "S{number}");
        assert_eq!((net.node(number).commit(), net.node(number).halt().is_none()), (3, true), "S{number}");
    }
}

/// Figure 8 (e): "if S1 replicates an entry from its current term on a majority of the servers before crashing, as
/// in (e), then this entry is committed (S5 cannot win an election). At this point all preceding entries in the
/// log are committed as well."
#[test]
fn figure_8_e_an_entry_of_the_current_term_commits_everything_before_it() {
    let mut net = figure_8_c();
    net.heartbeats(1, 6);
    assert_eq!(net.node(1).commit(), 3);
    assert_eq!(net.node(1).applied(), [entry(1, 1), entry(2, 2), entry(4, 3)]);
    net.heal();
    net.isolate(1);
    for _ in 0..3 {
        net.time_passes(ELECTION_TIMEOUT);
        net.node(5).times_out();
        net.deliver();
        assert_ne!(net.node(5).role(), RoleName::Leader);
    }
    net.elect(3);
    net.heartbeats(3, 1);
    for number in 2..=5 {
        assert_eq!(net.node(number).log()[..3], [1, 2, 4], "S{number}");
    }
}

/// `[Raft §5.4.2]`: a leader commits entries of earlier terms "indirectly because of the Log Matching Property".
#[test]
fn inherited_entries_commit_with_the_first_entry_of_the_new_term() {
    let mut node = Peer::with_log(&[1, 1, 2, 2]).elected();
    for match_index in 1..=4 {
        node.receives(2, matched(3, match_index));
        node.receives(3, matched(3, match_index));
        assert_eq!(node.commit(), 0, "all three hold entry {match_index}");
    }
    node.receives(2, matched(3, 5));
    assert_eq!(node.commit(), 5);
    assert_eq!(node.applied().len(), 5);
}

/// `[Raft Figure 3]`, State Machine Safety, over a change of leaders: what one node applied at an index, every
/// node applies there, also the one that proposed something else.
#[test]
fn all_nodes_apply_the_same_entries() {
    let mut net = Network::of(3);
    net.elect(1);
    net.isolate(1);
    net.node(1).proposes_all(&["lost", "lost too"]).unwrap();
    net.elect(2);
    net.node(2).proposes("kept").unwrap();
    net.deliver();
    net.heal();
    net.heartbeats(2, 2);
    let applied = [entry(1, 1), entry(2, 2), entry(3, 3), entry(3, 4)];
    for number in 1..=3 {
        assert_eq!(net.node(number).applied(), applied, "node {number}");
    }
}

/// `[Raft §5.4.3]`: a leader of a later term holds what an earlier one committed, so its entries never touch it.
#[test]
fn committed_entries_survive_any_sequence_of_leaders() {
    let mut net = Network::of(5);
    let mut committed = Vec::new();
    for (round, leader) in [1, 3, 2, 5, 4, 1].into_iter().enumerate() {
        net.elect(leader);
        let away = leader % 5 + 1;
        net.isolate(away);
        net.node(leader).proposes_all(&["a", "b"]).unwrap();
        net.deliver();
        let log = net.node(leader).log();
        assert_eq!(log[..committed.len()], committed, "round {round}");
        committed = log;
        assert_eq!(net.node(leader).commit(), committed.len() as u64);
        net.heal();
        net.heartbeats(leader, 2);
    }
    assert_eq!(net.logs(), vec![committed; 5]);
}
