//! `[Raft §5.3]` Log replication: how entries travel, where logs meet, when they commit. How a leader paces itself
//! and finds where logs meet quickly is in `paper_5_3_pace.rs`.

use raft_core::{Block, BlockBuilder, Effect, EntryKind, Halt, LogIndex, ProposeError, RoleName};

use crate::support::{
    Network, Peer, append, append_blocks, blocks, commands, conflict, entry, heartbeat, matched,
};

/// `[Raft §5.3]`: "The leader appends the command to its log as a new entry, then issues AppendEntries RPCs in
/// parallel to each of the other servers to replicate the entry." The leader's own disk works meanwhile.
#[test]
fn a_leader_appends_a_command_and_sends_it_to_everybody_while_its_own_disk_works() {
    let mut node = Peer::with_log(&[1, 1]).elected();
    for follower in [2, 3] {
        node.receives(follower, matched(2, 3));
    }
    node.disk_stalls();
    assert_eq!(node.proposes_all(&["x", "y"]), Ok(entry(2, 4)));
    for follower in [2, 3] {
        let [append] = &node.appends_to(follower)[..] else { panic!("one message") };
        assert_eq!(
            (append.prev_entry, commands(&append.blocks)),
            (entry(2, 3), vec!["x".into(), "y".into()])
        );
    }
    assert_eq!((node.log(), node.log_on_disk()), (vec![1, 1, 2, 2, 2], vec![1, 1, 2]));
}

/// What a client proposes is a command. A configuration that came this way would be in force nowhere on the leader and
/// everywhere else.
#[test]
fn only_commands_can_be_proposed() {
    let mut node = Peer::with_log(&[1]).elected();
    let last = node.last();
    for kind in [EntryKind::Configuration, EntryKind::NoOp] {
        let mut entries = BlockBuilder::new();
        entries.push(EntryKind::Normal, &[b"x"]);
        entries.push(kind, &[b"y"]);
        let mut split = entries.split();
        entries.push(EntryKind::Normal, &[b"z"]);
        assert_eq!(node.proposes_entries(split.split()), Err(ProposeError::NotCommands));
        assert_eq!(node.proposes_entries(split), Err(ProposeError::Empty));
        assert!(node.halt().is_none());
        assert!(entries.clone().finish(LogIndex(1), last.term).is_some());
    }
    assert_eq!((node.last(), node.voters()), (last, vec![1, 2, 3]));
    assert_eq!(node.proposes("x"), Ok(entry(2, 3)));
}

/// No entry has no place in the log.
#[test]
fn a_proposal_of_nothing_is_refused() {
    let mut node = Peer::with_log(&[1]).elected();
    assert_eq!(node.proposes_all(&[]), Err(ProposeError::Empty));
}

/// `[Raft §5.1]`: only the leader takes commands; "if a client contacts a follower, the follower redirects it".
#[test]
fn whoever_does_not_lead_names_the_leader_it_knows() {
    let mut node = Peer::with_log(&[1]).following_2_in(1);
    assert_eq!(node.proposes("x"), Err(ProposeError::NotLeader { leader: node.raft.leader_id() }));
    assert_eq!(node.leader(), Some(2));
    node.times_out();
    assert_eq!(
        node.proposes("x"),
        Err(ProposeError::NotLeader { leader: None }),
        "a pre-candidate knows none"
    );
    assert_eq!(node.log(), [1]);
}

/// `[Raft Figure 2, AppendEntries RPC, receiver 2]`: "Reply false if log doesn't contain an entry at prevLogIndex
/// whose term matches prevLogTerm". The refusal names the last entry that can be the same in both logs.
#[test]
fn a_follower_refuses_entries_that_do_not_follow_its_log() {
    for (prev, hint) in [
        (entry(2, 4), entry(2, 3)), // beyond the end
        (entry(9, 9), entry(2, 3)),
        (entry(1, 3), entry(1, 2)), // of another term
        (entry(3, 2), entry(1, 2)),
    ] {
        let mut node = Peer::with_log(&[1, 1, 2]);
        node.receives(2, append(9, prev, &[9], 9));
        assert_eq!(node.sent(), [(2, conflict(9, prev.index.0, hint))], "{prev}");
        assert_eq!((node.log(), node.commit()), (vec![1, 1, 2], 0), "{prev}");
    }
}

/// The consistency check "acts as an induction step": where the entry before is there, the logs are equal up to
/// it.
#[test]
fn a_follower_takes_entries_that_follow_its_log() {
    for prev in [entry(0, 0), entry(1, 1), entry(1, 2), entry(2, 3)] {
        let mut node = Peer::with_log(&[1, 1, 2]);
        node.receives(2, append(9, prev, &[], 0));
        assert_eq!(node.sent(), [(2, matched(9, prev.index.0))], "{prev}");
        assert_eq!(node.log(), [1, 1, 2], "{prev}");
    }
}

/// `[Raft Figure 2, AppendEntries RPC, receivers 3 and 4]`: "If an existing entry conflicts with a new one (same
/// index but different terms), delete the existing entry and all that follow it. Append any new entries not
/// already in the log".
#[test]
fn a_follower_deletes_what_conflicts_and_appends_what_is_new() {
    for (prev, sent, log) in [
        (entry(2, 4), &[4, 4][..], &[1, 1, 2, 2, 4, 4][..]),
        (entry(2, 3), &[4], &[1, 1, 2, 4]),
        (entry(1, 2), &[3, 4], &[1, 1, 3, 4]),
        (entry(1, 2), &[2, 3], &[1, 1, 2, 3]),
        (entry(1, 1), &[4], &[1, 4]),
    ] {
        let mut node = Peer::with_log(&[1, 1, 2, 2]);
        node.receives(2, append(4, prev, sent, 0));
        assert_eq!((&node.log()[..], &node.log_on_disk()[..]), (log, log), "{sent:?} after {prev}");
        assert_eq!(node.sent(), [(2, matched(4, log.len() as u64))], "{sent:?} after {prev}");
    }
}

/// C4 (openraft 9540c904), Invariant (truncate-on-conflict): a message that was overtaken holds a prefix of what
/// is there already, and must not take back what follows it: it may have been acknowledged.
#[test]
fn an_overtaken_message_removes_nothing() {
    let mut node = Peer::with_log(&[1]);
    node.receives(2, append(4, entry(1, 1), &[4, 4, 4], 0));
    node.receives(2, append(4, entry(1, 1), &[4], 0));
    node.receives(2, append(4, entry(4, 2), &[], 0));
    assert_eq!(node.log(), [1, 4, 4, 4]);
    assert_eq!(node.sent().last(), Some(&(2, matched(4, 4))), "nor does an acknowledgement fall");
}

/// `[Raft §5.5]`: "Raft RPCs are idempotent".
#[test]
fn a_repeated_message_changes_nothing() {
    let mut node = Peer::with_log(&[1, 2]);
    let message = append(4, entry(1, 1), &[4, 4], 2);
    node.receives(2, message.clone());
    let (log, writes) = (node.log(), node.effects().len());
    assert!(writes > 0);
    node.receives(2, message);
    assert_eq!((node.log(), node.commit()), (log, 2));
    let wrote = node.effects().into_iter().any(|effect| matches!(effect, Effect::Write(_)));
    assert!(!wrote, "there is nothing to write");
    assert_eq!(node.sent(), [(2, matched(4, 3)), (2, matched(4, 3))]);
}

/// `[Raft Figure 2, Leaders]`: "If there exists an N such that N > commitIndex, a majority of matchIndex\[i\] ≥ N
/// [...]: set commitIndex = N".
#[test]
fn an_entry_commits_when_a_majority_holds_it() {
    for (size, others_needed) in [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (7, 3)] {
        let mut net = Network::of(size);
        net.elect(1);
        net.node(1).proposes("x").unwrap();
        for follower in 2..2 + others_needed {
            assert_eq!(net.node(1).commit(), 2, "{} of {size} hold it", follower - 1);
            net.converse(1, follower);
        }
        assert_eq!(net.node(1).commit(), 3, "{size} voters");
        assert_eq!(net.node(1).applied(), [entry(1, 1), entry(2, 2), entry(2, 3)]);
    }
}

/// `[Raft §5.3]`: the leader "includes that index in future AppendEntries RPCs (including heartbeats) so that the
/// other servers eventually find out"; they then apply the entry "in log order".
#[test]
fn followers_learn_what_is_committed_from_the_next_message() {
    let mut net = Network::of(3);
    net.elect(1);
    net.node(1).proposes("x").unwrap();
    net.deliver();
    assert_eq!(net.commits(), [3, 2, 2]);
    net.node(1).proposes("y").unwrap();
    net.deliver();
    assert_eq!(net.commits(), [4, 3, 3], "the entries themselves carry it");
    net.heartbeats(1, 1);
    assert_eq!(net.commits(), [4, 4, 4], "and so do heartbeats");
    let applied = [entry(1, 1), entry(2, 2), entry(2, 3), entry(2, 4)];
    for number in 1..=3 {
        assert_eq!(net.node(number).applied(), applied, "node {number}");
    }
}

/// `[Raft Figure 2, AppendEntries RPC, receiver 5]`: "commitIndex = min(leaderCommit, index of last new entry)".
/// C2 (etcd#1203), Invariant (commit-what-matches): what follows the last new entry may differ from the leader's
/// log.
#[test]
fn a_follower_commits_no_further_than_its_log_is_known_to_match() {
    for (prev, sent, leader_commit, commit) in [
        (entry(1, 4), &[4][..], 3, 3),
        (entry(1, 4), &[4], 9, 5),
        (entry(1, 2), &[], 9, 2),
        (entry(1, 1), &[1], 4, 2),
        (entry(1, 2), &[1, 1], 3, 3),
        (entry(0, 0), &[], 3, 0),
    ] {
        let mut node = Peer::with_log(&[1, 1, 1, 1]);
        node.receives(2, append(4, prev, sent, leader_commit));
        assert_eq!(node.commit(), commit, "{sent:?} after {prev}, committed through {leader_commit}");
    }
}

/// C2: what matched with one leader says nothing about the next one's log.
#[test]
fn a_new_leaders_heartbeat_commits_nothing_before_the_logs_have_met() {
    let mut node = Peer::with_log(&[1]);
    node.receives(2, append(2, entry(1, 1), &[2, 2], 1));
    assert_eq!(node.commit(), 1);
    node.receives(3, heartbeat(3, 3));
    assert_eq!(node.commit(), 1, "entries 2 and 3 may not be the ones that are committed");
    node.receives(3, append(3, entry(1, 1), &[3], 3));
    assert_eq!((node.log(), node.commit()), (vec![1, 3], 2));
}

/// C16 (etcd/raft#138): a follower that lost touch for a moment, but not its term, still knows how far it matches.
#[test]
fn a_follower_learns_the_commit_index_after_an_aborted_campaign_without_a_new_entry() {
    let mut net = Network::of(3);
    net.elect(1);
    net.node(1).proposes("x").unwrap();
    net.deliver();
    assert_eq!(net.commits(), [3, 2, 2]);
    net.node(3).times_out();
    assert_eq!(net.node(3).role(), RoleName::PreCandidate);
    net.deliver();
    net.heartbeats(1, 2);
    assert_eq!((net.node(3).role(), net.node(3).term()), (RoleName::Follower, 2));
    assert_eq!(net.commits(), [3, 3, 3]);
}

/// Invariant (commit-monotone): a commit index never falls, whatever a leader that knows less says.
#[test]
fn a_commit_index_never_falls() {
    let mut node = Peer::with_log(&[1]);
    node.receives(2, append(2, entry(1, 1), &[2, 2, 2], 4));
    assert_eq!(node.commit(), 4);
    node.receives(2, append(2, entry(1, 1), &[2], 2));
    node.receives(2, heartbeat(2, 1));
    node.receives(3, append(3, entry(2, 4), &[3], 0));
    assert_eq!(node.commit(), 4);
}

/// `[Raft §5.3]`, Log Matching: "If two entries in different logs have the same index and term, then the logs are
/// identical in all preceding entries." The logs of Figure 7, and the leader of term 8 that brings them in line:
/// missing entries (a, b), extra ones (c, d), both (e, f).
#[test]
fn figure_7_a_leader_brings_every_follower_in_line() {
    let mut net = Network::with_logs(&[
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6],
        &[1, 1, 1, 4],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
        &[1, 1, 1, 4, 4, 4, 4],
        &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ]);
    net.elect(1);
    assert_eq!(net.node(1).term(), 8);
    net.heartbeats(1, 1);
    for (number, log) in (1..).zip(net.logs()) {
        assert_eq!(log, [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 8], "node {number}");
    }
    assert_eq!(net.commits(), [11; 7]);
}

/// `[Raft Figure 2, Leaders]`: "If last log index ≥ nextIndex for a follower: send AppendEntries RPC with log
/// entries starting at nextIndex"; `[Raft §5.3]`: nextIndex starts "just after the last one in its log".
#[test]
fn a_leader_first_tries_the_entries_behind_its_own_last_one() {
    let mut node = Peer::with_log(&[1, 1, 1]).elected();
    let progress = node.progress(2);
    assert_eq!((progress.match_index, progress.next_index), (LogIndex(0), LogIndex(4)));
    node.receives(2, conflict(2, 3, entry(1, 1)));
    let [append] = &node.appends_to(2)[..] else { panic!("one message") };
    assert_eq!(
        (append.prev_entry, commands(&append.blocks)),
        (entry(1, 1), vec!["2@1".into(), "3@1".into(), String::new()])
    );
}

/// `[Raft §5.3]`: "the leader retries AppendEntries RPCs indefinitely [...] until all followers eventually store
/// all log entries", also when it has answered the client.
#[test]
fn entries_are_sent_again_until_every_follower_has_them() {
    let mut net = Network::of(3);
    net.elect(1);
    net.isolate(3);
    for command in ["a", "b", "c"] {
        net.node(1).proposes(command).unwrap();
        net.deliver();
    }
    assert_eq!(net.node(1).commit(), 5);
    net.heartbeats(1, 10);
    net.heal();
    net.heartbeats(1, 2);
    assert_eq!(net.commits(), [5, 5, 5]);
    assert_eq!(net.node(3).applied().len(), 5);
}

/// As above, without anybody telling the leader that a message was lost.
#[test]
fn a_lost_message_is_sent_again() {
    let mut net = Network::of(3);
    net.elect(1);
    net.node(1).proposes("lost").unwrap();
    net.converse(1, 2);
    net.lose_messages();
    net.node(1).proposes("later").unwrap();
    net.deliver();
    assert_eq!(net.node(3).log(), [1, 2, 2, 2], "at once, when what follows is refused");
    net.node(1).proposes("silent").unwrap();
    net.converse(1, 2);
    net.lose_messages();
    net.heartbeats(1, 6);
    assert_eq!(net.node(3).log(), [1, 2, 2, 2, 2], "within an election timeout, if nothing follows");
}

/// A follower that restarts knows neither what is committed nor how far it matches; both come with the leader's
/// probe.
#[test]
fn a_restarted_follower_catches_up_without_a_new_entry() {
    let mut net = Network::of(3);
    net.elect(1);
    net.node(1).proposes("x").unwrap();
    net.deliver();
    net.restart(3);
    assert_eq!(net.node(3).commit(), 0);
    net.heartbeats(1, 2);
    assert_eq!(net.node(3).commit(), 3);
    assert_eq!(net.node(3).applied().len(), 3, "its state machine starts from scratch");
}

/// A9 (openraft#1795): a message whose entries do not follow each other, or that no leader of its term can have
/// sent, is not answered, let alone stored.
#[test]
fn a_malformed_message_is_ignored() {
    let gap = append_blocks(4, entry(1, 1), blocks(3, &[4]), 0);
    let hole = append_blocks(4, entry(1, 1), [blocks(2, &[4]), blocks(4, &[4])].concat(), 0);
    let falling = append_blocks(4, entry(1, 1), [blocks(2, &[4]), blocks(3, &[3])].concat(), 0);
    let from_the_future = append(4, entry(1, 1), &[5], 0);
    let before_its_predecessor = append(4, entry(3, 2), &[2], 0);
    for message in [gap, hole, falling, from_the_future, before_its_predecessor] {
        let mut node = Peer::with_log(&[1, 3]);
        node.receives(2, message.clone());
        assert_eq!((node.log(), node.leader(), node.sent()), (vec![1, 3], None, vec![]), "{message:?}");
    }
}

/// `[Raft Figure 3]`, State Machine Safety: a leader whose log contradicts a committed entry cannot exist; if one
/// seems to, some disk lied, and this node must not go on.
#[test]
fn a_node_stops_when_a_leader_contradicts_a_committed_entry() {
    for message in [append(4, entry(1, 1), &[4], 0), append(4, entry(4, 2), &[4], 0)] {
        let mut node = Peer::with_log(&[1]);
        node.receives(2, append(2, entry(1, 1), &[2, 2], 3));
        node.sent();
        node.receives(3, message.clone());
        let found = match node.halt() {
            Some(Halt::CommittedEntryContradicted { committed, found, .. }) => (*committed, found.0),
            other => panic!("{other:?} after {message:?}"),
        };
        assert_eq!(found, (entry(2, 2), 4));
        assert_eq!(node.log(), [1, 2, 2]);
        node.receives(3, heartbeat(4, 9));
        node.times_out();
        assert_eq!(node.sent(), [], "a stopped node says nothing");
        assert!(node.raft.is_halted());
    }
}

/// Invariant (leader-append-only), `[Raft Figure 3]`, while everything happens that can happen to a leader.
#[test]
fn a_leader_never_removes_or_changes_an_entry_of_its_log() {
    let mut node = Peer::with_log(&[1, 1, 1]).elected();
    node.proposes("x").unwrap();
    let log = node.log();
    for message in [
        append(2, entry(0, 0), &[2, 2, 2, 2, 2], 5),
        append(1, entry(1, 1), &[1], 5),
        conflict(2, 3, entry(1, 1)),
        matched(2, 2),
        matched(2, 99),
        heartbeat(1, 9),
    ] {
        node.receives(2, message);
    }
    assert_eq!((node.role(), node.log()), (RoleName::Leader, log));
}

/// The order of the log is the order of the proposals, across batches and terms, on every node.
#[test]
fn commands_keep_their_order() {
    let mut net = Network::of(3);
    net.elect(1);
    for batch in [&["a", "b"][..], &["c"], &["d", "e", "f"]] {
        net.node(1).proposes_all(batch).unwrap();
    }
    net.deliver();
    net.elect(2);
    net.node(2).proposes("g").unwrap();
    net.deliver();
    for number in 1..=3 {
        let blocks: Vec<Block> = net.node(number).disk.log.blocks().cloned().collect();
        let all = commands(&blocks)[1..].concat();
        assert_eq!(all, "abcdefg", "node {number}");
    }
}
