//! What waits for the disk, and what must not. `[Raft Figure 2, State]`: term, vote and log are "updated on stable
//! storage before responding to RPCs"; here each effect is safe to carry out the moment it is emitted, and what
//! depends on durability is held back until the disk has spoken.

use raft_core::message::AppendEntries;
use raft_core::storage::Write;
use raft_core::testing::sim_log::Part;
use raft_core::{
    Effect, HardState, Input, LogIndex, Message, Options, ReadProof, RoleName, Term, Ticket, WriteId,
};

use crate::support::{
    Disk, ELECTION_TIMEOUT, Network, Peer, append, conflict, entry, heartbeat, heartbeat_answer, id, matched,
    options, pre_vote, pre_vote_answer, request_vote, timeout_now, vote, voters,
};

// Votes.

/// A6 (etcd#12589), Invariant (one-vote): the candidate hears of a vote only once a crash cannot undo it.
#[test]
fn a_vote_is_granted_only_when_it_is_durable() {
    let mut node = Peer::with_log(&[1]);
    node.disk_stalls();
    node.receives(2, request_vote(2, entry(1, 1)));
    assert_eq!((node.voted_for(), node.sent()), (Some(2), vec![]));
    node.disk_recovers();
    assert_eq!(node.sent(), [(2, vote(2, true))]);
}

/// A6: asked again meanwhile, it still does not answer early; nor does it forget what it decided.
#[test]
fn a_repeated_request_does_not_get_the_vote_earlier() {
    let mut node = Peer::with_log(&[1]);
    node.disk_stalls();
    for _ in 0..3 {
        node.receives(2, request_vote(2, entry(1, 1)));
        assert_eq!(node.sent(), []);
    }
    node.receives(3, request_vote(2, entry(1, 1)));
    assert_eq!(node.sent(), [(3, vote(2, false))], "a refusal promises nothing, and waits for nothing");
    node.disk_recovers();
    assert_eq!(node.sent(), [(2, vote(2, true))], "and keeps no more than one answer for each");
}

/// Power fails between the two halves of the founding write: the id of the cluster is there, its members are not. Nobody has
/// heard of it yet, and it can be founded again.
#[test]
fn a_cluster_whose_founding_was_cut_short_can_be_founded_again() {
    let configuration = voters(1..=3);
    let mut disk = Disk::blank();
    let cluster_id = Some(configuration.cluster_id());
    let hard_state = Some(HardState { cluster_id, current_term: Term(1), voted_for: None });
    disk.log.apply(&Write { hard_state, ..Write::default() });
    let mut node = Peer::start(1, options(), disk);
    assert_eq!((node.term(), node.raft.durable().0.cluster_id), (0, None));
    assert_eq!(node.founds(configuration), Ok(entry(1, 1)));
    node.restarts();
    assert_eq!(node.voters(), [1, 2, 3]);
}

/// The crash that the above is about: the vote is lost, nobody has heard of it, and another may have it.
#[test]
fn a_vote_that_a_crash_undid_was_told_to_nobody() {
    let mut node = Peer::with_log(&[1]);
    node.disk_stalls();
    node.receives(2, request_vote(2, entry(1, 1)));
    node.restarts();
    node.time_passes(ELECTION_TIMEOUT);
    assert_eq!((node.term(), node.voted_for(), node.sent()), (1, None, vec![]));
    node.receives(3, request_vote(2, entry(1, 1)));
    assert_eq!(node.sent(), [(3, vote(2, true))]);
}

/// A8 (tikv#8381): a blank node stores its vote like any other, and its cluster before it.
#[test]
fn a_blank_node_stores_cluster_and_vote_before_it_votes() {
    let cluster_id = voters(1..=3).cluster_id();
    let mut node = Peer::start(2, options(), Disk::blank());
    node.disk_stalls();
    node.takes(Input::Greeted(cluster_id));
    node.receives(1, request_vote(2, entry(1, 1)));
    assert_eq!((node.sent(), node.disk.log.hard_state), (vec![], HardState::default()));
    node.disk_recovers();
    assert_eq!(node.sent(), [(1, vote(2, true))]);
    let stored = HardState { cluster_id: Some(cluster_id), current_term: Term(2), voted_for: Some(id(1)) };
    assert_eq!(node.disk.log.hard_state, stored);
    node.restarts();
    node.time_passes(ELECTION_TIMEOUT);
    node.receives(3, request_vote(2, entry(1, 1)));
    assert_eq!(node.sent(), [(3, vote(2, false))]);
}

/// B20 (a hole in etcd's asynchronous mode), Invariant (vote-requests-are-durable): if a candidate could win
/// before its own vote is durable, it could crash, forget it, vote for another in the same term, and two would
/// have led it.
#[test]
fn nobody_hears_of_a_candidacy_before_its_term_and_vote_are_durable() {
    let mut node = Peer::with_log(&[1]);
    node.times_out();
    node.sent();
    node.disk_stalls();
    node.receives(2, pre_vote_answer(2, true));
    assert_eq!((node.role(), node.sent()), (RoleName::Candidate, vec![]));
    node.disk_recovers();
    let request = request_vote(2, entry(1, 1));
    assert_eq!(node.sent(), [(2, request.clone()), (3, request)]);
    assert_eq!(
        (node.disk.log.hard_state.current_term, node.disk.log.hard_state.voted_for),
        (Term(2), Some(id(1)))
    );
}

/// B20, the crash itself.
#[test]
fn a_candidacy_that_a_crash_undid_was_told_to_nobody() {
    let mut node = Peer::with_log(&[1]);
    node.times_out();
    node.sent();
    node.disk_stalls();
    node.receives(2, pre_vote_answer(2, true));
    node.restarts();
    node.time_passes(ELECTION_TIMEOUT);
    node.receives(3, request_vote(2, entry(1, 1)));
    assert_eq!(node.sent(), [(3, vote(2, true))]);
}

/// A1: its own vote is one of the votes that a candidate needs, and it counts only once it is durable.
#[test]
fn a_candidates_own_vote_counts_only_when_it_is_durable() {
    let mut node = Peer::member_of(&voters([1]), &[1]);
    node.disk_stalls();
    node.times_out();
    assert_eq!((node.role(), node.term()), (RoleName::Candidate, 2), "alone, and still no leader");
    node.disk_completes_one();
    assert_eq!(node.role(), RoleName::Leader);
}

/// B5 (TestCandidateSelfVoteAfterLostElection): the disk reports the own vote when the election is long lost.
#[test]
fn an_own_vote_that_becomes_durable_after_the_election_was_lost_counts_for_nothing() {
    let mut node = Peer::member_of(&voters([1, 2]), &[1]);
    node.times_out();
    node.disk_stalls();
    node.receives(2, pre_vote_answer(2, true));
    node.receives(2, heartbeat(3, 0));
    node.disk_completes_one();
    assert_eq!((node.role(), node.leader(), node.term()), (RoleName::Follower, Some(2), 3));
    node.disk_recovers();
    assert_eq!((node.role(), node.leader(), node.term()), (RoleName::Follower, Some(2), 3));
}

/// B5: nor does the vote of one campaign count in the next one.
#[test]
fn an_own_vote_of_an_earlier_campaign_counts_for_nothing() {
    let mut node = Peer::member_of(&voters([1]), &[1]);
    node.disk_stalls();
    node.times_out();
    node.receives(2, heartbeat(3, 0));
    node.receives(2, timeout_now(3));
    assert_eq!((node.role(), node.term()), (RoleName::Candidate, 4));
    node.disk_completes_one();
    node.disk_completes_one();
    assert_eq!(node.role(), RoleName::Candidate, "the votes of terms 2 and none of 3 are durable");
    node.disk_completes_one();
    assert_eq!((node.role(), node.term()), (RoleName::Leader, 4));
}

/// B10 (openraft 558e1b94): a disk that takes longer than the election timeout is not helped by another term.
#[test]
fn a_candidate_whose_disk_is_slow_does_not_campaign_again() {
    let mut node = Peer::with_log(&[1]);
    node.times_out();
    node.disk_stalls();
    node.receives(2, pre_vote_answer(2, true));
    node.sent();
    for _ in 0..5 {
        node.times_out();
        assert_eq!((node.role(), node.term(), node.sent()), (RoleName::Candidate, 2, vec![]));
    }
    node.disk_recovers();
    assert_eq!(node.sent().len(), 2, "the requests of the one campaign");
    node.times_out();
    assert_eq!(node.role(), RoleName::PreCandidate, "the disk works again: next round");
}

/// What a node has promised in a past term is nobody's business any more: the message is dropped.
#[test]
fn a_message_that_waited_into_a_later_term_is_dropped() {
    let mut node = Peer::with_log(&[1]);
    node.disk_stalls();
    node.receives(2, request_vote(2, entry(1, 1)));
    node.receives(3, request_vote(3, entry(1, 1)));
    node.disk_recovers();
    assert_eq!(node.sent(), [(3, vote(3, true))]);
}

// Acknowledgements.

/// A6 (openraft ee460f37), Invariant (ack-durable): the leader counts on what it is told.
#[test]
fn entries_are_acknowledged_only_when_they_are_durable() {
    let mut node = Peer::with_log(&[1]).following_2_in(2);
    node.receives(2, append(2, entry(1, 1), &[2], 0));
    node.sent();
    node.disk_stalls();
    node.receives(2, append(2, entry(2, 2), &[2, 2], 0));
    assert_eq!((node.log(), node.sent()), (vec![1, 2, 2, 2], vec![]));
    node.disk_recovers();
    assert_eq!(node.sent(), [(2, matched(2, 4))]);
}

/// Invariant (ack-durable): nor before the term is durable in which the entries were sent; otherwise, after a
/// crash, it could take other entries from the leader of an earlier term.
#[test]
fn nothing_is_acknowledged_before_the_leaders_term_is_durable() {
    let mut node = Peer::with_log(&[1, 1, 1]);
    node.disk_stalls();
    node.receives(2, append(2, entry(1, 3), &[], 0));
    assert_eq!(node.sent(), [], "though it has had the entries for long");
    node.disk_recovers();
    assert_eq!(node.sent(), [(2, matched(2, 3))]);
}

/// While a sync runs, what is durable already may be vouched for, and no more.
#[test]
fn an_acknowledgement_reaches_as_far_as_the_disk() {
    let mut node = Peer::with_log(&[1]).following_2_in(2);
    node.disk_stalls();
    for index in 2..=4 {
        node.receives(2, append(2, entry(if index == 2 { 1 } else { 2 }, index - 1), &[2], 0));
    }
    node.sent();
    for index in 2..=4 {
        node.disk_completes_one();
        assert_eq!(node.sent(), [(2, matched(2, index))]);
    }
}

/// One acknowledgement for all that one sync covers.
#[test]
fn one_sync_gives_one_acknowledgement() {
    let mut node = Peer::with_log(&[1]).following_2_in(2);
    node.receives(2, append(2, entry(1, 1), &[2], 0));
    node.sent();
    node.disk_stalls();
    for index in 3..=9 {
        node.receives(2, append(2, entry(2, index - 1), &[2], 0));
    }
    node.disk_recovers();
    assert_eq!(node.sent(), [(2, matched(2, 9))]);
}

/// What promises nothing waits for nothing: a slow disk must not look like a dead node.
#[test]
fn refusals_heartbeats_and_pre_votes_are_answered_while_the_disk_is_stuck() {
    let mut node = Peer::with_log(&[1]);
    node.disk_stalls();
    node.receives(2, pre_vote(2, entry(1, 1)));
    node.receives(2, request_vote(5, entry(0, 0)));
    node.receives(2, heartbeat(6, 0));
    node.receives(2, append(6, entry(6, 9), &[6], 0));
    node.receives(3, append(3, entry(1, 1), &[3], 0));
    let answers = [
        (2, pre_vote_answer(2, true)),
        (2, vote(5, false)),
        (2, heartbeat_answer(6, 0)),
        (2, conflict(6, 9, entry(1, 1))),
        (3, heartbeat_answer(6, 0)),
    ];
    assert_eq!(node.sent(), answers);
}

/// A4 (etcd/raft#8, aba_race.txt): the completion of an append that was overwritten meanwhile says nothing about
/// the entries that took its place.
#[test]
fn a_late_completion_does_not_vouch_for_entries_that_took_the_place_of_others() {
    let mut node = Peer::with_log(&[1]).following_2_in(2);
    node.disk_stalls();
    node.receives(2, append(2, entry(1, 1), &[2, 2, 2], 0));
    node.receives(3, append(3, entry(1, 1), &[3, 3, 3], 0));
    node.sent();
    node.disk_completes_one();
    assert_eq!((node.log_on_disk(), node.raft.durable().1), (vec![1, 2, 2, 2], LogIndex(1)));
    assert_eq!(node.sent(), []);
    node.disk_completes_one();
    assert_eq!((node.log_on_disk(), node.sent()), (vec![1, 3, 3, 3], vec![(3, matched(3, 4))]));
}

/// A4, there and back again: entry (2, 2) is written, overwritten, and written again.
#[test]
fn an_entry_that_comes_back_is_durable_only_when_its_last_write_is() {
    let mut node = Peer::with_log(&[1]).following_2_in(2);
    node.disk_stalls();
    node.receives(2, append(2, entry(1, 1), &[2, 2], 0));
    node.receives(3, append(3, entry(1, 1), &[3], 0));
    node.receives(2, append(4, entry(1, 1), &[2, 2], 0));
    node.sent();
    for durable in [1, 1, 3] {
        node.disk_completes_one();
        assert_eq!(node.raft.durable().1, LogIndex(durable));
    }
    assert_eq!(node.sent(), [(2, matched(4, 3))]);
}

/// A5 (openraft#1960): completions are cumulative: the newest counts, an older or unheard-of one changes nothing.
#[test]
fn completions_are_cumulative_and_never_go_back() {
    let mut node = Peer::with_log(&[1]).following_2_in(2);
    node.disk_stalls();
    for index in 2..=4 {
        node.receives(2, append(2, entry(if index == 2 { 1 } else { 2 }, index - 1), &[2], 0));
    }
    node.sent();
    let writes: Vec<WriteId> = node.pending_writes().iter().map(|write| write.id).collect();
    node.step(Input::Durable(WriteId(writes[2].0 + 1)));
    assert_eq!(node.sent(), [], "no such write");
    node.step(Input::Durable(writes[2]));
    assert_eq!(node.sent(), [(2, matched(2, 4))]);
    node.step(Input::Durable(writes[0]));
    node.step(Input::Durable(writes[1]));
    assert_eq!((node.raft.durable().1, node.sent()), (LogIndex(4), vec![]));
}

/// A3 (openraft io_ordering.md): a term is durable with, or before, its entries. A crash in between leaves a later
/// term and no entry, never an entry of a term that the node does not know to be in.
#[test]
fn no_write_holds_an_entry_of_a_term_that_is_not_stored_before_it() {
    let mut net = Network::of(3);
    for number in 1..=3 {
        net.node(number).effects();
    }
    for leader in [1, 2, 3, 1] {
        net.elect(leader);
        net.node(leader).proposes("x").unwrap();
        net.deliver();
    }
    for number in 1..=3 {
        let mut stored = Term(1);
        let mut written = 0;
        for effect in net.node(number).effects() {
            let Effect::Write(write) = effect else { continue };
            stored = write.hard_state.map_or(stored, |hard_state| hard_state.current_term);
            for block in &write.append {
                assert!(
                    block.last_id().term <= stored,
                    "node {number}: {} in term {stored}",
                    block.last_id()
                );
                written += block.entry_count();
            }
        }
        assert_eq!(written, 8, "a no-op and a command of each term");
    }
}

/// A3: after a crash that spared the term alone, the leader of an earlier term is refused.
#[test]
fn a_restart_in_a_later_term_refuses_the_leader_of_an_earlier_one() {
    let mut node = Peer::with_log(&[1]).following_2_in(1);
    node.disk_stalls();
    node.receives(3, append(5, entry(1, 1), &[5], 0));
    let [write] = &node.pending_writes()[..] else { panic!("one write holds both") };
    assert_eq!((write.hard_state.map(|stored| stored.current_term), write.append.len()), (Some(Term(5)), 1));
    let mut half = node.disk.log.clone();
    half.apply_part(write, Part::HardState);
    node.disk.log = half;
    node.restarts();
    node.receives(2, append(1, entry(1, 1), &[1], 2));
    assert_eq!((node.log(), node.sent()), (vec![1], vec![(2, heartbeat_answer(5, 0))]));
}

// Commits and applying.

/// A1 (etcd#14370): a cluster of one commits what its disk holds, by the same path as any other.
#[test]
fn a_lone_voter_commits_only_what_is_durable() {
    let mut node = Peer::member_of(&voters([1]), &[1]);
    node.times_out();
    node.disk_stalls();
    node.proposes("x").unwrap();
    assert_eq!((node.commit(), node.last_applied()), (2, LogIndex(2)));
    node.disk_recovers();
    assert_eq!((node.commit(), node.last_applied()), (3, LogIndex(3)));
}

/// A1 for three: the leader's own copy is one of a majority only once it is durable.
#[test]
fn a_leader_counts_itself_only_as_far_as_its_disk_is() {
    let mut node = Peer::member_of(&voters(1..=5), &[1]).elected();
    for follower in 2..=5 {
        node.receives(follower, matched(2, 2));
    }
    node.disk_stalls();
    node.proposes("x").unwrap();
    node.receives(2, matched(2, 3));
    node.receives(3, matched(2, 3));
    assert_eq!(node.commit(), 2, "two disks of five hold it");
    node.disk_recovers();
    assert_eq!(node.commit(), 3);
}

/// Invariant (apply-durable): a leader may learn that others have committed what its own disk does not hold yet.
/// It may say so; it must not apply it, or a crash would leave its state ahead of its log.
#[test]
fn an_entry_is_applied_only_when_it_is_committed_and_durable_here() {
    let mut node = Peer::with_log(&[1]).elected();
    node.receives(2, matched(2, 2));
    node.disk_stalls();
    node.proposes("x").unwrap();
    node.receives(2, matched(2, 3));
    node.receives(3, matched(2, 3));
    assert_eq!((node.commit(), node.last_applied()), (3, LogIndex(2)));
    node.disk_recovers();
    assert_eq!(node.last_applied(), LogIndex(3));
}

/// The same on a follower, which may be told of the commit before its own sync ends.
#[test]
fn a_follower_applies_only_what_its_own_disk_holds() {
    let mut node = Peer::with_log(&[1]).following_2_in(2);
    node.receives(2, append(2, entry(1, 1), &[], 1));
    node.disk_stalls();
    node.receives(2, append(2, entry(1, 1), &[2, 2], 3));
    assert_eq!((node.commit(), node.last_applied()), (3, LogIndex(1)));
    node.disk_recovers();
    assert_eq!(node.last_applied(), LogIndex(3));
}

/// C22 (TestLeaderMsgAppSelfAckAfterTermChange): a leader that lost its office and has it again; what its disk
/// reports about entries of the first time says nothing about those of the second.
#[test]
fn a_completion_of_an_earlier_leadership_commits_nothing_in_a_later_one() {
    let mut node = Peer::with_log(&[1]).elected();
    node.receives(2, matched(2, 2));
    node.disk_stalls();
    node.proposes_all(&["a", "b", "c"]).unwrap();
    node.receives(3, append(3, entry(2, 2), &[3], 2));
    node.receives(3, timeout_now(3));
    // The write of "a", "b", "c"; then that of term 3, which overwrote them.
    node.disk_completes_one();
    assert_eq!(node.raft.durable().1, LogIndex(2));
    node.disk_completes_one();
    // Then that of the vote in term 4, which the candidacy waits for.
    node.disk_completes_one();
    node.receives(2, vote(4, true));
    assert_eq!((node.role(), node.log()), (RoleName::Leader, vec![1, 2, 3, 4]));
    node.receives(2, matched(4, 3));
    assert_eq!((node.commit(), node.raft.durable().1), (2, LogIndex(3)), "its own no-op is not durable");
    node.disk_recovers();
    node.receives(2, matched(4, 4));
    assert_eq!(node.commit(), 4);
}

/// What is not durable stays in memory, whatever the cache may hold: nobody could read it back.
#[test]
fn what_is_not_durable_is_never_evicted() {
    let mut node = Peer::with_log(&[1]).with_options(Options { cache_bytes: 0, ..options() }).elected();
    node.receives(2, matched(2, 2));
    node.receives(3, matched(2, 2));
    node.disk_stalls();
    node.sent();
    for command in ["a", "b", "c"] {
        node.proposes(command).unwrap();
    }
    node.step(Input::Unreachable(id(3)));
    node.heartbeats();
    let sent: Vec<LogIndex> = node.appends_to(3).iter().map(AppendEntries::last_index).collect();
    assert_eq!(sent.last(), Some(&LogIndex(5)), "sent again from memory");
    let reads = node
        .effects()
        .into_iter()
        .filter(|effect| matches!(effect, Effect::Read(request) if request.through > LogIndex(2)));
    assert_eq!(reads.count(), 0);
}

// The order of effects.

/// Invariant (safe-when-emitted): whoever loses power after any number of effects has broken no promise. Here:
/// what leaves before the write is either no promise, or kept by an earlier write.
#[test]
fn effects_of_a_batch_leave_in_a_safe_order() {
    let mut node = Peer::with_log(&[1, 1]).elected();
    node.receives(2, matched(2, 3));
    node.effects();
    node.takes(Input::Read { ticket: Ticket(9), proof: ReadProof::Quorum });
    node.proposes("x").unwrap();
    let order: Vec<&str> = node.effects().iter().map(name).collect();
    assert_eq!(
        order,
        ["proposed", "write", "heartbeat", "heartbeat", "append"],
        "one peer is still being probed"
    );
}

fn name(effect: &Effect) -> &'static str {
    match effect {
        Effect::Write(_) => "write",
        Effect::Send { message: Message::AppendEntries(_), .. } => "append",
        Effect::Send { message: Message::Heartbeat(_), .. } => "heartbeat",
        Effect::Proposed { .. } => "proposed",
        _ => "other",
    }
}

/// A node that must stop says so once, after what it had to say before, and then nothing.
#[test]
fn a_stopped_node_is_silent() {
    let mut node = Peer::with_log(&[1]);
    node.receives(2, append(2, entry(1, 1), &[2, 2], 3));
    node.effects();
    node.receives(3, append(3, entry(1, 1), &[3, 3], 3));
    let halts = node.effects().iter().filter(|effect| matches!(effect, Effect::Halt(_))).count();
    assert_eq!(halts, 1);
    node.sent();
    for message in [heartbeat(9, 3), request_vote(9, entry(8, 8)), append(9, entry(2, 3), &[9], 9)] {
        node.receives(2, message);
    }
    node.times_out();
    node.step(Input::Read { ticket: Ticket(77), proof: ReadProof::Quorum });
    assert_eq!((node.effects().len(), node.sent(), node.term()), (0, vec![], 3));
}
