//! `[Raft §5.3]`, the leader's side: finding where two logs meet in few rounds, windows, admission, and entries
//! that are no longer in memory.

use std::io;
use std::sync::Arc;

use raft_core::message::AppendEntries;
use raft_core::storage::ReadFailure;
use raft_core::{
    Block, BlockBuilder, Effect, EntryKind, Halt, Input, LogIndex, Message, Options, ProposeError, RoleName,
    Term,
};

use crate::support::{
    Disk, ELECTION_TIMEOUT, HEARTBEAT, Network, Peer, append, append_blocks, blocks, commands, conflict,
    entry, heartbeat, heartbeat_answer, id, matched, options, request_vote, voters,
};

/// A leader of term 2 whose followers 2 and 3 match through its no-op, entry 2.
fn leader(options: Options) -> Peer {
    let mut node = Peer::with_log(&[1]).with_options(options).elected();
    node.receives(2, matched(2, 2));
    node.receives(3, matched(2, 2));
    node.sent();
    node
}

fn bytes(appends: &[AppendEntries]) -> usize {
    appends.iter().flat_map(|append| &append.blocks).map(Block::encoded_bytes).sum()
}

// Where logs meet.

/// C14 (TestFastLogRejection): "one AppendEntries RPC will be required for each term with conflicting entries,
/// rather than one RPC per entry". `[Raft §5.3]`
#[test]
fn a_hundred_thousand_conflicting_entries_cost_one_round_a_term() {
    let run = |term: u64| std::iter::repeat_n(term, 10_000);
    let leaders: Vec<u64> = [1].into_iter().chain((1..=10).flat_map(|n| run(2 * n))).collect();
    let followers: Vec<u64> = [1].into_iter().chain((1..=10).flat_map(|n| run(2 * n + 1))).collect();
    let mut net = Network::with_logs(&[&leaders, &followers, &leaders]);
    net.cut(1, 2);
    net.elect(1);
    net.heal();
    net.time_passes(HEARTBEAT);
    net.node(1).timer_looks();
    let said = net.converse(1, 2);
    let probes = said.iter().filter(|message| matches!(message, Message::AppendEntries(_))).count();
    assert_eq!(net.node(2).log(), net.node(1).log());
    assert!(probes <= 12, "{probes} rounds for ten terms");
}

/// C13 (yugabyte#32876): the refusal of a short message names where the logs can meet, not the end of the
/// follower's log; otherwise batches of one would never reach the conflict.
#[test]
fn a_divergent_tail_is_overwritten_by_the_smallest_messages() {
    let options = Options { max_message_bytes: 1, max_inflight_messages: 1, ..options() };
    let tail: Vec<u64> = [1].into_iter().chain([2; 40]).collect();
    let mut net = Network::with_options(&options, &[&[1, 3, 3, 3], &tail, &[1, 3, 3, 3]]);
    net.elect(1);
    net.heartbeats(1, 1);
    assert_eq!(net.logs(), vec![vec![1, 3, 3, 3, 4]; 3]);
}

/// C3 (CCF#5325): a hint is where logs *may* meet. Only an acknowledgement says that they do, and only it counts
/// towards a commit.
#[test]
fn a_hint_is_not_a_match() {
    let mut node = Peer::with_log(&[1, 1, 1]).elected();
    node.receives(2, conflict(2, 3, entry(1, 2)));
    node.receives(3, conflict(2, 3, entry(1, 2)));
    let progress = node.progress(2);
    assert_eq!((progress.match_index, progress.next_index), (LogIndex(0), LogIndex(3)));
    assert_eq!(node.commit(), 0);
}

/// C5 (etcd/raft#149), C6 (openraft cecb5de8), C8 (openraft#1500), Invariant (progress): answers that were
/// overtaken, repeated or delayed move nothing back, and the next entry to send stays behind what matches.
#[test]
fn overtaken_answers_move_nothing_back() {
    let mut node = leader(options());
    node.proposes_all(&["a", "b", "c"]).unwrap();
    node.receives(2, matched(2, 5));
    for stale in [matched(2, 2), matched(2, 4), conflict(2, 1, entry(0, 0)), conflict(2, 5, entry(1, 1))] {
        node.receives(2, stale.clone());
        let progress = node.progress(2);
        // One that claims less than is known may come from a node that started again: then it is asked where it stands.
        assert_eq!((progress.match_index, progress.next_index), (LogIndex(5), LogIndex(6)), "{stale:?}");
    }
    // A refusal of what is really in flight: back to the last entry that is known to match.
    node.proposes("d").unwrap();
    node.proposes("e").unwrap();
    node.receives(2, conflict(2, 6, entry(1, 1)));
    let progress = node.progress(2);
    assert_eq!(
        (progress.match_index, progress.next_index, progress.state),
        (LogIndex(5), LogIndex(6), "probe")
    );
}

/// C6: while probing, only the answer to the present question counts.
#[test]
fn a_refusal_of_a_past_probe_is_ignored() {
    let mut node = Peer::with_log(&[1, 1, 1, 1, 1]).elected();
    node.receives(2, conflict(2, 5, entry(1, 3)));
    node.sent();
    node.receives(2, conflict(2, 5, entry(1, 1)));
    assert_eq!(node.progress(2).next_index, LogIndex(4));
    assert_eq!(node.sent(), [], "the probe in flight is not repeated");
}

/// C6: an acknowledgement of entries that the leader does not have is no acknowledgement.
#[test]
fn nobody_matches_what_the_leader_does_not_have() {
    let mut node = leader(options());
    node.receives(2, matched(2, 99));
    node.receives(3, matched(2, 99));
    assert_eq!((node.progress(2).match_index, node.commit()), (LogIndex(2), 2));
    assert_eq!(node.halt().map(ToString::to_string), None);
}

/// C5 (TestLogReplicationWithReorderedMessage): entries that arrive in the wrong order get there in the end.
#[test]
fn reordered_entries_arrive() {
    let mut net = Network::of(2);
    net.elect(1);
    for command in ["a", "b", "c"] {
        net.node(1).proposes(command).unwrap();
    }
    let mut messages = net.node(1).sent_to(2);
    messages.reverse();
    for message in messages {
        net.node(2).receives(1, message);
    }
    net.deliver();
    assert_eq!(net.node(2).log(), [1, 2, 2, 2, 2]);
    assert_eq!(net.node(1).commit(), 5);
}

/// C12 (heartbeat_resp_recovers_from_probing): a follower that lacks nothing is probed once more, and then fed
/// without waiting again.
#[test]
fn a_follower_that_has_everything_leaves_probing() {
    let mut net = Network::of(3);
    net.elect(1);
    net.node(1).step(Input::Unreachable(id(2)));
    assert_eq!(net.node(1).progress(2).state, "probe");
    net.heartbeats(1, 1);
    assert_eq!(net.node(1).progress(2).state, "replicate");
}

/// C17 (etcd#21178): a follower that was told of a commit index beyond its log.
#[test]
fn a_commit_index_beyond_the_log_is_harmless() {
    let mut node = Peer::with_log(&[1]);
    node.receives(2, heartbeat(2, 1_000));
    node.receives(2, append(2, entry(1, 1), &[], 1_000));
    node.receives(2, heartbeat(2, 1_000));
    assert_eq!((node.commit(), node.applied().len()), (1, 1));
}

/// C17: a follower that has lost what it acknowledged (which no honest disk does) is not taken at its word, and
/// not asked again and again without a pause.
#[test]
fn a_follower_that_takes_back_its_acknowledgement_is_asked_once_an_election_timeout() {
    let mut node = leader(options());
    node.receives(2, matched(2, 2));
    node.step(Input::Unreachable(id(2)));
    let mut asked = 0;
    for _ in 0..20 {
        node.heartbeats();
        node.receives(3, heartbeat_answer(2, 0));
        for _ in 0..10 {
            let appends = node.appends_to(2);
            asked += appends.len();
            for append in appends {
                node.receives(2, conflict(2, append.prev_entry.index.0, entry(0, 0)));
            }
        }
    }
    assert!((1..=5).contains(&asked), "asked {asked} times in four election timeouts");
    assert_eq!(node.progress(2).match_index, LogIndex(2));
    assert!(node.progress(2).lost_acknowledged, "operators can see it");
    assert!(!node.progress(3).lost_acknowledged);
    node.receives(2, matched(2, 2));
    assert!(!node.progress(2).lost_acknowledged, "it has found it again");
}

// Windows.

/// A leader does not wait for answers, up to its window of messages.
#[test]
fn messages_follow_each_other_up_to_the_window() {
    let mut node = leader(Options { max_inflight_messages: 3, ..options() });
    for command in ["a", "b", "c", "d", "e"] {
        node.proposes(command).unwrap();
    }
    let sent: Vec<_> = node.appends_to(2).iter().flat_map(|append| commands(&append.blocks)).collect();
    assert_eq!(sent, ["a", "b", "c"]);
    node.receives(2, matched(2, 4));
    let sent: Vec<_> = node.appends_to(2).iter().map(|append| commands(&append.blocks)).collect();
    assert_eq!(sent, [["d", "e"]], "an acknowledgement makes room, and what has gathered leaves together");
    assert_eq!(node.appends_to(3).len(), 3, "one peer's window is not another's");
}

/// A probe is one message, and waits for its answer.
#[test]
fn a_leader_that_does_not_know_where_logs_meet_sends_one_message_at_a_time() {
    let mut node = Peer::with_log(&[1, 1]).elected();
    for command in ["a", "b"] {
        node.proposes(command).unwrap();
    }
    assert_eq!(node.appends_to(2), [], "the first one, with the no-op, is on its way");
    node.receives(2, matched(2, 3));
    assert_eq!(node.appends_to(2).len(), 1);
}

/// A message is cut before the block that would exceed the limit, and never sent empty.
#[test]
fn a_message_holds_as_many_blocks_as_its_limit_allows() {
    let one = blocks(3, &[2])[0].encoded_bytes();
    let mut node = leader(Options { max_message_bytes: 2 * one, ..options() });
    node.step(Input::Unreachable(id(2)));
    for _ in 0..5 {
        node.proposes("3@2").unwrap();
    }
    node.heartbeats();
    node.receives(2, matched(2, 2));
    let counts: Vec<_> = node.appends_to(2).iter().map(|append| append.blocks.len()).collect();
    assert_eq!(counts, [2, 2, 2, 1], "the probe, and what follows its acknowledgement of the entry before");
    node.proposes(&"x".repeat(10 * one)).unwrap();
    assert_eq!(node.appends_to(2).len(), 1, "one block always fits");
}

/// C10 (etcd#14633): a dead follower's window stays shut; what is in flight to it never exceeds the limit by more
/// than one message, however long it is dead and whatever is proposed.
#[test]
fn a_dead_follower_costs_a_window_and_then_a_message_an_election_timeout() {
    let one = blocks(3, &[2])[0].encoded_bytes();
    let window = 4 * one;
    let mut node = leader(Options { max_message_bytes: one, max_inflight_bytes: window, ..options() });
    let mut sent = Vec::new();
    for round in 0..50 {
        node.proposes("3@2").unwrap();
        node.heartbeats();
        node.receives(3, matched(2, round + 3));
        sent.extend(node.appends_to(2));
    }
    let after_the_window = &sent[4..];
    assert_eq!(bytes(&sent[..4]), window);
    let first: Vec<_> = after_the_window.iter().map(|append| append.prev_entry).collect();
    assert!(first.iter().all(|prev| *prev == entry(2, 2)), "the same entry again and again: {first:?}");
    assert!((7..=10).contains(&first.len()), "{} probes in ten election timeouts", first.len());
}

/// C11 (etcd/raft#54): what was in flight when the leader started over is not counted any more.
#[test]
fn the_window_is_whole_again_after_starting_over() {
    let mut node = leader(Options { max_inflight_messages: 2, ..options() });
    for round in 0..5 {
        node.proposes("a").unwrap();
        node.proposes("b").unwrap();
        node.step(Input::Unreachable(id(2)));
        node.heartbeats();
        node.receives(3, heartbeat_answer(2, 0));
        node.sent();
        node.receives(2, matched(2, node.last().index.0));
        for command in ["c", "d", "e"] {
            node.proposes(command).unwrap();
        }
        assert_eq!(node.appends_to(2).len(), 2, "round {round}");
        node.receives(2, matched(2, node.last().index.0));
        node.receives(3, matched(2, node.last().index.0));
        node.sent();
    }
}

/// C20 (openraft#584, #471, #216): through the smallest window, past lost messages and restarts, a follower's
/// match index only rises and everything gets there.
#[test]
fn everything_gets_through_the_smallest_window() {
    let smallest =
        Options { max_message_bytes: 1, max_inflight_messages: 1, max_inflight_bytes: 1, ..options() };
    let mut net = Network::with_options(&smallest, &[&[1], &[1], &[1]]);
    net.elect(1);
    let mut before = LogIndex(0);
    for round in 0..60 {
        net.node(1).proposes_all(&["a", "b"]).unwrap();
        match round % 7 {
            3 => net.lose_messages(),
            5 => net.restart(2),
            _ => {}
        }
        net.heartbeats(1, 1);
        let match_index = net.node(1).progress(2).match_index;
        assert!(match_index >= before, "from {before} back to {match_index}");
        before = match_index;
    }
    net.heartbeats(1, 12);
    assert_eq!(net.commits(), [122; 3]);
}

// Admission.

/// A leader turns proposals away while too much is uncommitted, says how much, and takes them again after commits.
#[test]
fn a_leader_with_too_much_uncommitted_is_busy() {
    let mut node = leader(Options { max_uncommitted_bytes: 1_000, ..options() });
    node.proposes(&"x".repeat(600)).unwrap();
    let Err(ProposeError::Busy { uncommitted, limit }) = node.proposes(&"y".repeat(600)) else {
        panic!("admitted");
    };
    assert!((600..700).contains(&uncommitted) && limit == 1_000, "{uncommitted} of {limit}");
    assert_eq!(node.last(), entry(2, 3), "what is turned away is not appended");
    node.receives(2, matched(2, 3));
    assert_eq!(node.proposes(&"y".repeat(600)), Ok(entry(2, 4)));
}

/// One batch is always admitted, or a large one could never be.
#[test]
fn a_batch_above_the_limit_is_admitted_when_nothing_waits() {
    let mut node = leader(Options { max_uncommitted_bytes: 10, ..options() });
    assert_eq!(node.proposes(&"x".repeat(600)), Ok(entry(2, 3)));
    assert!(matches!(node.proposes("y"), Err(ProposeError::Busy { .. })));
}

/// C15 (etcd/raft#11): what a new leader inherits counts as well; a change of term is no way around the limit.
#[test]
fn uncommitted_entries_of_earlier_terms_count() {
    let options = Options { max_uncommitted_bytes: 1_000, ..options() };
    let mut node = Peer::with_log(&[1]).with_options(options);
    let mut large = BlockBuilder::new();
    large.push(EntryKind::Normal, &["x".repeat(600).as_bytes()]);
    let large = large.finish(LogIndex(2), Term(2)).unwrap();
    node.receives(2, append_blocks(2, entry(1, 1), vec![large], 1));
    node.time_passes(ELECTION_TIMEOUT);
    node = node.elected();
    assert!(matches!(node.proposes(&"y".repeat(600)), Err(ProposeError::Busy { .. })));
    node.receives(2, matched(3, 3));
    assert_eq!(node.commit(), 3);
    node.proposes(&"y".repeat(600)).unwrap();
}

/// C15 (etcd#10199): what was truncated away while another led does not count any more, nor below zero.
#[test]
fn uncommitted_entries_that_were_truncated_do_not_count() {
    let mut node = leader(Options { max_uncommitted_bytes: 1_000, ..options() });
    node.proposes(&"x".repeat(600)).unwrap();
    node.receives(2, append(3, entry(2, 2), &[3, 3], 2));
    assert_eq!(node.log(), [1, 2, 3, 3]);
    node.time_passes(ELECTION_TIMEOUT);
    node = node.elected();
    node.proposes(&"y".repeat(600)).unwrap();
    node.receives(2, matched(4, node.last().index.0));
    assert_eq!(node.commit(), node.last().index.0);
    node.proposes(&"z".repeat(600)).unwrap();
}

// Entries that are no longer in memory.

/// A leader whose recent entries alone are in memory reads older ones back for those who lack them.
#[test]
fn older_entries_are_read_back_from_the_log() {
    let small = Options { cache_bytes: 0, max_message_bytes: 100, ..options() };
    let log = [1, 1, 1, 2, 2, 2, 2];
    let mut net = Network::with_options(&small, &[&log, &[1], &log]);
    net.elect(1);
    net.heartbeats(1, 2);
    assert_eq!(net.node(2).log(), [1, 1, 1, 2, 2, 2, 2, 3]);
    let on_disk = net.node(1).disk_ids();
    assert_eq!(net.node(2).applied(), on_disk);
    let reads = net.node(1).effects().into_iter().filter(|effect| matches!(effect, Effect::Read(_)));
    assert!(reads.count() > 2);
}

/// Memory holds the newest entries up to its bound, and whatever is not durable; nothing more.
#[test]
fn memory_holds_no_more_than_its_bound() {
    let one = blocks(3, &[2])[0].encoded_bytes();
    let mut node = leader(Options { cache_bytes: 3 * one, ..options() });
    node.reads_stall();
    for _ in 0..8 {
        node.proposes("3@2").unwrap();
    }
    node.receives(2, matched(2, 7));
    for peer in [2, 3] {
        node.step(Input::Unreachable(id(peer)));
    }
    node.sent();
    node.heartbeats();
    let [append] = &node.appends_to(2)[..] else { panic!("one message") };
    assert_eq!((append.prev_entry.index, append.last_index()), (LogIndex(7), LogIndex(10)), "from memory");
    assert_eq!(node.appends_to(3), []);
    let reads = node.pending_reads();
    let ranges: Vec<_> = reads.iter().map(|request| (request.from.0, request.through.0)).collect();
    assert_eq!(ranges, [(3, 7), (3, 10)], "to apply them, and for follower 3");
}

/// A leader of term 3 with entries `[1, 2, 2, 2]` before it, none of them in memory, that has asked its log for
/// those which follower 2 lacks; the log does not answer yet.
fn leader_that_reads() -> Peer {
    let mut node =
        Peer::with_log(&[1, 2, 2, 2]).with_options(Options { cache_bytes: 0, ..options() }).elected();
    node.reads_stall();
    node.receives(2, conflict(3, 4, entry(1, 1)));
    let [request] = node.pending_reads()[..] else { panic!("one read") };
    assert_eq!(request.from, LogIndex(2));
    node
}

/// At most one read a peer is under way, whatever happens meanwhile.
#[test]
fn a_peer_that_is_being_read_for_is_not_read_for_twice() {
    let mut node = leader_that_reads();
    node.heartbeats();
    node.proposes("x").unwrap();
    assert_eq!(node.pending_reads().len(), 1);
    node.read_is_answered(None);
    assert_eq!(node.appends_to(2).len(), 1);
}

/// C23: a read that races with truncations may answer with entries that are no longer this log's; A9: or with
/// nonsense. Neither leaves the node; it asks again.
#[test]
fn a_read_that_answers_with_other_entries_is_repeated() {
    for nonsense in [blocks(2, &[3, 3, 3]), blocks(3, &[2, 2]), blocks(2, &[2, 2, 2, 2, 2, 2]), Vec::new()] {
        let mut node = leader_that_reads();
        node.read_is_answered(Some(nonsense.clone()));
        assert_eq!(node.appends_to(2), [], "{nonsense:?}");
        assert_eq!(node.pending_reads().len(), 1, "{nonsense:?}");
        node.read_is_answered(None);
        let [append] = &node.appends_to(2)[..] else { panic!("one message") };
        assert_eq!((append.prev_entry, append.last_index()), (entry(1, 1), LogIndex(5)));
    }
}

/// C23 (openraft log_stream.md): the answer to a read of an earlier leadership never leaves in a later one.
#[test]
fn a_read_of_an_earlier_leadership_is_void() {
    let mut node = leader_that_reads();
    node.receives(3, append(4, entry(1, 1), &[4, 4, 4], 0));
    assert_eq!(node.log(), [1, 4, 4, 4]);
    node.time_passes(ELECTION_TIMEOUT);
    node = node.elected();
    node.receives(2, conflict(5, 4, entry(1, 1)));
    node.sent();
    node.read_is_answered(Some(blocks(2, &[2, 2, 2])));
    assert_eq!(node.sent(), [], "entries of term 2 are no longer this log's");
    assert_eq!((node.role(), node.pending_reads().len()), (RoleName::Leader, 1));
}

/// A9 (openraft#1795): a log that cannot be read is not the end of the log. What cannot be read is not sent, and the leader,
/// which cannot serve its peers, hands over.
#[test]
fn an_unreadable_entry_is_not_sent_and_the_leader_hands_over() {
    let mut node = leader_that_reads();
    let [request] = node.pending_reads()[..] else { panic!("one read") };
    let reason = Arc::new(io::Error::other("rot"));
    let answer = Err(ReadFailure::Damaged { index: LogIndex(3), reason });
    node.step(Input::LogRead { id: request.id, answer });
    assert_eq!(node.appends_to(2), []);
    node.heartbeats();
    assert!(node.raft.handing_over_to().is_some());
}

/// A lone member has nobody who could send the entry again: it stops.
#[test]
fn an_unreadable_entry_to_apply_stops_a_lone_node() {
    let mut node = Peer::start(1, options(), Disk::with_log(&voters([1]), &[1, 1, 1]));
    node.reads_stall();
    node.times_out();
    let [request] = node.pending_reads()[..] else { panic!("one read") };
    let reason = Arc::new(io::Error::other("rot"));
    let answer = Err(ReadFailure::Damaged { index: LogIndex(1), reason });
    node.step(Input::LogRead { id: request.id, answer });
    assert!(matches!(node.halt(), Some(Halt::LogUnreadable { from: LogIndex(1), .. })), "{:?}", node.halt());
    assert_eq!(node.applied(), []);
}

/// Entries are handed out for applying only as fast as they are applied, and in the end all of them.
#[test]
fn a_slow_state_machine_is_not_flooded() {
    let one = blocks(3, &[2])[0].encoded_bytes();
    let mut node = leader(Options { max_applying_bytes: 2 * one, max_message_bytes: one, ..options() });
    node.applying_stalls();
    for _ in 0..10 {
        node.proposes("3@2").unwrap();
    }
    node.receives(2, matched(2, 12));
    assert_eq!((node.commit(), node.last_applied()), (12, LogIndex(4)));
    node.applying_recovers();
    assert_eq!(node.last_applied(), LogIndex(12));
}

/// A leader that grants nothing still answers: a vote request in the middle of all this disturbs no window.
#[test]
fn a_vote_request_does_not_disturb_replication() {
    let mut node = leader(options());
    node.proposes("x").unwrap();
    let before = node.raft.status();
    node.receives(3, request_vote(7, entry(6, 9)));
    assert_eq!(node.raft.status(), before);
}
