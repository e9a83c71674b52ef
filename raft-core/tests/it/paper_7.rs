//! `[Raft §7]` Log compaction: what a snapshot lets a node forget, and how one replaces a log that is too far
//! behind.

use raft_core::snapshot::SnapshotMeta;
use raft_core::{Effect, Halt, Input, LogIndex, Message, Options, RoleName, Term};

use crate::support::{
    Disk, ELECTION_TIMEOUT, HEARTBEAT, Network, Peer, append, conflict, entry, heartbeat, heartbeat_answer,
    id, matched, offer, options, pre_vote_answer, request_vote, vote,
};

/// Node 1 has committed and applied its whole log of term 2, `[1, 2, 2, 2]`.
fn node_with_four_entries() -> Peer {
    let mut node = Peer::with_log(&[1]);
    node.receives(2, append(2, entry(1, 1), &[2, 2, 2], 4));
    node.sent();
    node.effects();
    node
}

/// A leader that has compacted its log through entry 5, follower 2 that has everything, and follower 3 that was
/// cut off after entry 2.
fn net_with_a_laggard() -> Network {
    let mut net = Network::of(3);
    net.elect(1);
    net.isolate(3);
    net.node(1).proposes_all(&["a", "b", "c"]).unwrap();
    net.deliver();
    net.heartbeats(1, 1);
    for number in [1, 2] {
        net.node(number).takes_snapshot();
        assert_eq!(net.node(number).raft.status().base, entry(2, 5));
    }
    net.heal();
    net
}

/// `[Raft §7]`: "Once a server completes writing a snapshot, it may delete all log entries up through the last
/// included index"; `lastIncludedTerm` is kept "to support the AppendEntries consistency check for the first log
/// entry following".
#[test]
fn a_snapshot_lets_the_log_forget_what_it_covers() {
    let mut node = node_with_four_entries();
    node.takes_snapshot();
    assert_eq!((node.raft.status().base, node.last(), node.log()), (entry(2, 4), entry(2, 4), vec![]));
    node.receives(2, append(2, entry(2, 4), &[2], 5));
    assert_eq!((node.log(), node.commit()), (vec![2], 5));
    node.receives(3, append(3, entry(3, 4), &[3], 5));
    assert!(node.halt().is_some(), "another term at the base contradicts a committed entry");
}

/// A tail stays, so that a follower a little behind needs no snapshot.
#[test]
fn as_many_entries_as_wanted_stay_before_a_snapshot() {
    let mut node = Peer::with_log(&[1]).with_options(Options { retained_entries: 2, ..options() });
    node.receives(2, append(2, entry(1, 1), &[2, 2, 2], 4));
    node.takes_snapshot();
    assert_eq!((node.raft.status().base, node.log()), (entry(2, 2), vec![2, 2]));
    assert_eq!(node.raft.snapshot().last, entry(2, 4));
}

/// What is not committed is not covered either.
#[test]
fn entries_behind_a_snapshot_stay() {
    let mut node = Peer::with_log(&[1]);
    node.receives(2, append(2, entry(1, 1), &[2, 2, 2], 2));
    node.takes_snapshot();
    assert_eq!((node.raft.status().base, node.log()), (entry(2, 2), vec![2, 2]));
    node.receives(3, append(3, entry(2, 2), &[3], 3));
    assert_eq!((node.log(), node.commit()), (vec![3], 3), "and can still be replaced");
}

/// A restart begins with the snapshot: what it covers is committed and not applied again.
#[test]
fn a_restart_begins_with_the_snapshot() {
    let mut node = Peer::with_log(&[1]);
    node.receives(2, append(2, entry(1, 1), &[2, 2, 2], 3));
    node.takes_snapshot();
    node.restarts();
    assert_eq!((node.commit(), node.last(), node.applied()), (3, entry(2, 4), &[entry(2, 3)][..]));
    node.receives(2, append(2, entry(2, 4), &[], 4));
    assert_eq!(node.applied(), [entry(2, 3), entry(2, 4)]);
}

/// Entries that the receiver has in a snapshot already: skipped, the rest taken.
#[test]
fn a_message_that_reaches_behind_the_base_is_taken_from_there_on() {
    let mut node = node_with_four_entries();
    node.takes_snapshot();
    node.receives(2, append(2, entry(1, 1), &[2, 2, 2, 2, 2], 6));
    assert_eq!((node.log(), node.commit()), (vec![2, 2], 6));
    node.receives(2, append(2, entry(1, 1), &[2], 6));
    assert_eq!(node.log(), [2, 2]);
    assert_eq!(node.sent_to(2).last(), Some(&matched(2, 6)));
}

/// The base itself is committed, and still compared: a message with another entry there is from a leader that cannot be.
#[test]
fn a_node_stops_when_a_leader_contradicts_the_base() {
    let mut node = node_with_four_entries();
    node.takes_snapshot();
    let base = node.raft.status().base;
    node.receives(3, append(3, entry(1, base.index.0 - 1), &[1, 1, 1], 0));
    let Some(Halt::CommittedEntryContradicted { committed, found, .. }) = node.halt() else {
        panic!("{:?}", node.halt())
    };
    assert_eq!((*committed, *found), (base, Term(1)));
}

/// `[Raft §7]`: "the leader must occasionally send snapshots to followers that lag behind. This happens when the
/// leader has already discarded the next log entry that it needs to send".
#[test]
fn a_follower_that_needs_a_forgotten_entry_gets_a_snapshot_and_then_the_rest() {
    let mut net = net_with_a_laggard();
    net.node(1).proposes("d").unwrap();
    net.heartbeats(1, 1);
    assert_eq!(net.node(1).wants_to_send_snapshots_to(), [3]);
    assert_eq!(net.node(1).progress(3).state, "snapshot");
    net.transfer_snapshot(1, 3);
    net.deliver();
    net.heartbeats(1, 1);
    assert_eq!(net.node(1).progress(3).state, "replicate");
    assert_eq!(net.commits(), [6, 6, 6]);
    assert_eq!(
        net.node(3).applied(),
        [entry(2, 5), entry(2, 6)],
        "the state is the snapshot's, and the entry after it"
    );
    assert_eq!(net.node(3).disk.log.base(), entry(2, 5));
}

/// C9 (etcd/raft#31, openraft#1828, braft#292): a leader whose log is all forgotten, and to which nobody proposes.
#[test]
fn an_idle_leader_with_an_empty_log_sends_its_snapshot() {
    let mut net = net_with_a_laggard();
    assert_eq!(net.node(1).log(), [0; 0]);
    net.heartbeats(1, 2);
    assert_eq!(net.node(1).wants_to_send_snapshots_to(), [3]);
    net.transfer_snapshot(1, 3);
    net.deliver();
    net.heartbeats(1, 1);
    assert_eq!(net.commits(), [5, 5, 5]);
    net.node(1).proposes("next").unwrap();
    net.deliver();
    assert_eq!(net.node(3).log(), [2]);
}

/// C9, with a new leader, which knows nothing of the follower yet.
#[test]
fn a_new_leader_finds_out_that_a_follower_needs_a_snapshot() {
    let mut net = net_with_a_laggard();
    net.elect(2);
    assert_eq!(net.node(2).wants_to_send_snapshots_to(), [3]);
}

/// While a snapshot is on its way, no entries are; but heartbeats are.
#[test]
fn a_peer_that_gets_a_snapshot_gets_no_entries_meanwhile() {
    let mut net = net_with_a_laggard();
    net.heartbeats(1, 2);
    net.lose_messages();
    net.node(1).proposes("d").unwrap();
    net.node(1).receives(3, conflict(2, 5, entry(2, 2)));
    net.node(1).step(Input::Unreachable(id(3)));
    net.node(1).heartbeats();
    let said = net.node(1).sent_to(3);
    assert!(matches!(said[..], [Message::Heartbeat(_)]), "{said:?}");
    assert_eq!(net.node(1).wants_to_send_snapshots_to(), [3], "once");
}

/// A transfer that failed is tried again, after a while.
#[test]
fn a_failed_transfer_is_repeated_after_an_election_timeout() {
    let mut net = net_with_a_laggard();
    net.heartbeats(1, 2);
    net.node(1).wants_to_send_snapshots_to();
    net.isolate(3);
    net.node(1).step(Input::SnapshotSent { to: id(3), complete: false });
    net.heartbeats(1, 3);
    assert_eq!(net.node(1).wants_to_send_snapshots_to(), [0; 0]);
    net.heal();
    net.heartbeats(1, 6);
    assert_eq!(net.node(1).wants_to_send_snapshots_to(), [3]);
}

/// A complete transfer whose acknowledgement never comes.
#[test]
fn a_transfer_without_acknowledgement_is_repeated() {
    let mut net = net_with_a_laggard();
    net.heartbeats(1, 2);
    net.node(1).wants_to_send_snapshots_to();
    net.node(1).step(Input::SnapshotSent { to: id(3), complete: true });
    net.heartbeats(1, 8);
    assert_eq!(net.node(1).wants_to_send_snapshots_to(), [0; 0]);
    net.heartbeats(1, 4);
    assert_eq!(net.node(1).wants_to_send_snapshots_to(), [3]);
}

/// F3 (snapshot_succeed_via_app_resp_behind): how a follower got to where entries can follow does not matter.
#[test]
fn any_acknowledgement_that_reconnects_ends_the_wait_for_a_snapshot() {
    let mut net = net_with_a_laggard();
    net.heartbeats(1, 2);
    assert_eq!(net.node(1).progress(3).state, "snapshot");
    net.node(1).proposes("d").unwrap();
    net.lose_messages();
    // It has got another node's snapshot.
    net.node(1).receives(3, matched(2, 5));
    let [append] = &net.node(1).appends_to(3)[..] else { panic!("one message") };
    assert_eq!((append.prev_entry, append.last_index()), (entry(2, 5), LogIndex(6)));
}

/// F3, where it does not reconnect: the snapshot is still needed.
#[test]
fn an_acknowledgement_behind_the_base_still_leaves_a_snapshot_to_send() {
    let mut net = net_with_a_laggard();
    net.heartbeats(1, 2);
    net.node(1).wants_to_send_snapshots_to();
    net.node(1).receives(3, matched(2, 4));
    assert_eq!(net.node(1).wants_to_send_snapshots_to(), [3]);
    assert_eq!(net.node(1).progress(3).match_index, LogIndex(4));
}

// The receiver.

/// `[Raft Figure 13, InstallSnapshot RPC, receivers 7 and 8]`: "Discard the entire log. Reset state machine using
/// snapshot contents (and load snapshot's cluster configuration)". F1 (hashicorp#697): also if the log has another
/// entry at the snapshot's last index.
#[test]
fn a_snapshot_replaces_a_log_that_does_not_reach_it_or_contradicts_it() {
    for log in [&[1][..], &[1, 1], &[1, 2, 2, 2, 2, 2, 2, 2]] {
        let mut node = Peer::with_log(log).in_term(3);
        let meta = node.snapshot_of(entry(3, 6));
        node.installs(2, &offer(3, meta.clone()));
        assert_eq!((node.last(), node.log(), node.commit()), (entry(3, 6), vec![], 6), "{log:?}");
        assert_eq!((node.applied(), node.disk.log.base()), (&[entry(3, 6)][..], entry(3, 6)), "{log:?}");
        assert_eq!(node.raft.snapshot(), &meta);
        assert_eq!(node.sent().last(), Some(&(2, matched(3, 6))), "{log:?}");
    }
}

/// F1, `[Raft Figure 13, receiver 6]`: "If existing log entry has same index and term as snapshot's last included
/// entry, retain log entries following it and reply".
#[test]
fn a_snapshot_that_the_log_contains_keeps_what_follows_it() {
    let mut node = Peer::with_log(&[1]).following_2_in(2);
    node.receives(2, append(2, entry(1, 1), &[2, 2, 2, 2], 1));
    node.sent();
    let meta = node.snapshot_of(entry(2, 3));
    node.installs(2, &offer(2, meta));
    assert_eq!(
        (node.last(), node.log().ends_with(&[2, 2])),
        (entry(2, 5), true),
        "entries 4 and 5 are still there"
    );
    assert_eq!(
        (node.commit(), node.raft.snapshot().last),
        (3, entry(2, 3)),
        "what a snapshot covers is committed"
    );
    assert_eq!(node.applied(), [entry(1, 1), entry(2, 2), entry(2, 3)], "entry by entry, as they are here");
    assert_eq!(node.sent_to(2).last(), Some(&matched(2, 5)));
}

/// F1: what the snapshot covers and this node has not applied yet must stay readable until it is.
#[test]
fn entries_that_wait_to_be_applied_survive_a_received_snapshot() {
    let tight = Options { cache_bytes: 0, max_applying_bytes: 1, max_message_bytes: 1, ..options() };
    let mut node = Peer::with_log(&[1]).with_options(tight).following_2_in(2);
    node.receives(2, append(2, entry(1, 1), &[2, 2, 2, 2], 1));
    node.applying_stalls();
    node.receives(2, heartbeat(2, 2));
    let meta = node.snapshot_of(entry(2, 4));
    node.installs(2, &offer(2, meta));
    assert_eq!((node.commit(), node.last_applied()), (4, LogIndex(2)));
    node.applying_recovers();
    assert_eq!(node.halt().map(ToString::to_string), None);
    assert_eq!(node.last_applied(), LogIndex(4));
}

/// `[Raft Figure 13, receiver 1]`: "Reply immediately if term < currentTerm". And whoever leads, or follows
/// another leader of that term, takes no snapshot either.
#[test]
fn a_snapshot_is_taken_only_from_the_present_leader() {
    let mut node = Peer::with_log(&[1]).in_term(5);
    let meta = node.snapshot_of(entry(3, 9));
    assert!(!node.accepts(2, &offer(4, meta.clone())), "of a past term");
    node.receives(3, heartbeat(5, 0));
    assert!(!node.accepts(2, &offer(5, meta.clone())), "another leads this term");
    assert!(node.accepts(3, &offer(5, meta.clone())));
    let mut leader = Peer::with_log(&[1]).elected();
    assert!(!leader.accepts(2, &offer(2, meta)));
    assert_eq!(leader.role(), RoleName::Leader);
}

/// What contradicts itself is no leader's snapshot: installed, it would leave a node that cannot start again.
#[test]
fn a_snapshot_that_contradicts_itself_or_its_leader_is_turned_down() {
    let mut node = Peer::with_log(&[1]).following_2_in(2);
    let sound = node.snapshot_of(entry(2, 50));
    let wrong = [
        SnapshotMeta { last: entry(3, 50), ..sound.clone() },
        SnapshotMeta { configuration: None, ..sound.clone() },
        SnapshotMeta { configuration_index: LogIndex(51), ..sound.clone() },
    ];
    for meta in wrong {
        assert!(!node.accepts(2, &offer(2, meta.clone())), "{meta:?}");
    }
    let absurd = 3 + Term::MAX_LEAP;
    assert!(!node.accepts(3, &offer(absurd, sound.clone())));
    assert_eq!((node.term(), node.leader()), (2, Some(2)));
    node.installs(2, &offer(2, sound));
    assert_eq!(node.last(), entry(2, 50));
}

/// A blank node takes one only when it belongs to the cluster.
#[test]
fn a_stranger_to_every_cluster_takes_no_snapshot() {
    let meta = Peer::with_log(&[1]).snapshot_of(entry(3, 9));
    let mut node = Peer::start(1, options(), Disk::blank());
    assert!(!node.accepts(2, &offer(4, meta.clone())));
    node.step(Input::Greeted(meta.configuration.as_ref().unwrap().cluster_id()));
    node.installs(2, &offer(4, meta));
    assert_eq!((node.term(), node.commit(), node.voters()), (4, 9, vec![1, 2, 3]));
}

/// A snapshot of what is committed here brings nothing; the leader is told so, and need not send it again.
#[test]
fn a_snapshot_behind_the_commit_index_is_turned_down_and_acknowledged() {
    let mut node = node_with_four_entries();
    let meta = node.snapshot_of(entry(2, 4));
    assert!(!node.accepts(2, &offer(2, meta)));
    assert_eq!(node.sent_to(2), [matched(2, 4)]);
}

/// F2 (openraft#1892): a snapshot whose last entry contradicts a committed one: some disk lied, and nothing may be
/// built on either.
#[test]
fn a_node_stops_when_a_snapshot_contradicts_a_committed_entry() {
    let mut node = node_with_four_entries();
    let meta = node.snapshot_of(entry(3, 3));
    assert!(!node.accepts(2, &offer(4, meta)));
    match node.halt() {
        Some(Halt::CommittedEntryContradicted { committed, found: Term(3), .. }) => {
            assert_eq!(*committed, entry(2, 3));
        }
        other => panic!("{other:?}"),
    }
    let acknowledged =
        node.sent().into_iter().any(|(_, message)| matches!(message, Message::AppendEntriesResponse(_)));
    assert!(!acknowledged);
}

/// One at a time: a second offer is turned down while the first one is on its way, and taken when that has failed.
#[test]
fn one_snapshot_is_received_at_a_time() {
    let mut node = Peer::with_log(&[1]);
    let [first, second] = [6, 9].map(|index| offer(2, node.snapshot_of(entry(2, index))));
    assert!(node.accepts(2, &first));
    assert!(!node.accepts(2, &second));
    assert!(!node.accepts(2, &first));
    node.transfer_ends(2, &second, true);
    assert_eq!(node.commit(), 0, "the end of a transfer that was never accepted means nothing");
    node.transfer_ends(2, &first, false);
    node.installs(2, &second);
    assert_eq!(node.commit(), 9);
}

/// A snapshot that cannot be published changes nothing, and the next one can.
#[test]
fn a_snapshot_that_cannot_be_published_changes_nothing() {
    let mut node = Peer::with_log(&[1, 1]);
    node.publishing_stalls();
    let meta = offer(2, node.snapshot_of(entry(2, 6)));
    node.installs(2, &meta);
    node.publishing_ends(false);
    assert_eq!((node.commit(), node.log()), (0, vec![1, 1]));
    node.installs(2, &meta);
    node.publishing_ends(true);
    assert_eq!(node.commit(), 6);
}

/// What overtakes a snapshot on its way: by the time it is here, or published, the log is further on.
#[test]
fn a_snapshot_that_was_overtaken_by_entries_changes_nothing() {
    let mut node = Peer::with_log(&[1]);
    let meta = offer(2, node.snapshot_of(entry(2, 3)));
    assert!(node.accepts(2, &meta));
    node.receives(2, append(2, entry(1, 1), &[2, 2, 2], 4));
    node.publishing_stalls();
    node.transfer_ends(2, &meta, true);
    assert!(!node.is_publishing(), "it is not even published");
    assert_eq!((node.commit(), node.log()), (4, vec![1, 2, 2, 2]));
}

/// The same, a moment later.
#[test]
fn a_snapshot_that_is_overtaken_while_it_is_published_keeps_the_log() {
    let mut node = Peer::with_log(&[1]);
    node.publishing_stalls();
    let meta = offer(2, node.snapshot_of(entry(2, 3)));
    node.installs(2, &meta);
    node.receives(2, append(2, entry(1, 1), &[2, 2, 2], 4));
    node.publishing_ends(true);
    assert_eq!((node.commit(), node.last(), node.log()), (4, entry(2, 4), vec![2]));
    assert_eq!(node.applied().len(), 4);
}

// Durability and crashes.

/// Invariant (publish-before-reset): until the snapshot is published the log is what the node would restart from.
#[test]
fn the_log_is_reset_only_after_the_snapshot_is_published() {
    let mut node = Peer::with_log(&[1, 1]);
    node.publishing_stalls();
    let meta = offer(2, node.snapshot_of(entry(2, 6)));
    node.installs(2, &meta);
    assert!(node.is_publishing());
    assert_eq!((node.log_on_disk(), node.commit()), (vec![1, 1], 0));
    assert_eq!(node.sent_to(2), [], "nor is anything acknowledged");
    node.publishing_ends(true);
    assert_eq!((node.disk.log.base(), node.sent_to(2)), (entry(2, 6), vec![matched(2, 6)]));
}

/// F1 (openraft#559): a crash between publishing and resetting finds the snapshot and a log that does not reach
/// it, or contradicts it, and starts from the snapshot, without a hole. A12 (etcd#10219).
#[test]
fn a_crash_between_publishing_and_resetting_loses_nothing() {
    for log in [&[1][..], &[1, 2, 2, 2, 2, 2, 2, 2]] {
        let mut node = Peer::with_log(log).in_term(3);
        let meta = node.snapshot_of(entry(3, 6));
        node.disk_stalls();
        node.installs(2, &offer(3, meta));
        assert_eq!((node.disk.snapshot.last, node.log_on_disk()), (entry(3, 6), log.to_vec()));
        node.restarts();
        assert_eq!(
            (node.last(), node.commit(), node.applied()),
            (entry(3, 6), 6, &[entry(3, 6)][..]),
            "{log:?}"
        );
        node.receives(2, append(3, entry(3, 6), &[3], 7));
        assert_eq!((node.log_on_disk(), node.commit()), (vec![3], 7), "{log:?}");
    }
}

/// A snapshot of a later term is published only when that term is durable: published, it is a promise not to go
/// back.
#[test]
fn a_snapshot_is_published_only_when_its_leaders_term_is_durable() {
    let mut node = Peer::with_log(&[1]);
    node.disk_stalls();
    node.publishing_stalls();
    let meta = node.snapshot_of(entry(3, 6));
    node.installs(2, &offer(4, meta));
    assert!(!node.is_publishing());
    node.disk_recovers();
    assert!(node.is_publishing());
}

/// The acknowledgement of a snapshot waits for the log that continues it.
#[test]
fn a_snapshot_is_acknowledged_only_when_the_log_is_reset_on_disk() {
    let mut node = Peer::with_log(&[1]).following_2_in(2);
    let meta = node.snapshot_of(entry(2, 6));
    node.disk_stalls();
    node.installs(2, &offer(2, meta));
    assert_eq!((node.commit(), node.sent()), (6, vec![]));
    node.disk_recovers();
    assert_eq!(node.sent(), [(2, matched(2, 6))]);
}

// Elections meanwhile.

/// F10: a vote that arrives during an install counts the log as it is, not as it will be, and the install goes on.
#[test]
fn a_vote_during_an_install_goes_by_the_log_that_is_there() {
    let mut node = Peer::with_log(&[1, 2, 2]);
    node.publishing_stalls();
    let meta = offer(2, node.snapshot_of(entry(2, 9)));
    node.installs(2, &meta);
    node.time_passes(ELECTION_TIMEOUT);
    node.sent();
    node.receives(3, request_vote(3, entry(2, 2)));
    assert_eq!(node.sent(), [(3, vote(3, false))]);
    node.receives(3, request_vote(4, entry(2, 5)));
    assert_eq!(node.sent(), [(3, vote(4, true))], "nothing behind entry 3 was ever acknowledged");
    node.publishing_ends(true);
    assert_eq!((node.commit(), node.term(), node.voted_for()), (9, 4, Some(3)));
}

/// F10: a node with a snapshot on its way lacks what it covers, so nobody elects it; if it tries, the snapshot
/// ends that.
#[test]
fn a_campaign_during_an_install_ends_with_it() {
    let mut net = net_with_a_laggard();
    net.heartbeats(1, 2);
    let offer = net.node(1).offers();
    net.node(3).publishing_stalls();
    net.node(3).installs(1, &offer);
    net.node(3).times_out();
    net.deliver();
    assert_eq!((net.node(3).term(), net.node(1).role()), (2, RoleName::Leader), "the others know better");
    net.node(3).times_out();
    net.node(3).receives(9, pre_vote_answer(3, true));
    assert_eq!(net.node(3).role(), RoleName::PreCandidate);
    net.node(3).publishing_ends(true);
    assert_eq!((net.node(3).role(), net.node(3).commit()), (RoleName::Follower, 5));
    net.heartbeats(1, 1);
    assert_eq!(net.node(3).leader(), Some(1));
}

/// F10: a proposal that reaches a follower during an install is refused as ever.
#[test]
fn nothing_is_admitted_during_an_install() {
    let mut node = Peer::with_log(&[1]);
    node.publishing_stalls();
    let meta = offer(2, node.snapshot_of(entry(2, 9)));
    node.installs(2, &meta);
    assert!(node.proposes("x").is_err());
    assert_eq!(node.log(), [1]);
    node.publishing_ends(true);
    assert!(node.proposes("x").is_err());
}

/// Own snapshots are taken while everything goes on: a leader compacts under its followers' feet.
#[test]
fn a_leader_that_compacts_goes_on_feeding_those_who_are_up_to_date() {
    let mut net = Network::of(3);
    net.elect(1);
    for round in 0..5 {
        net.node(1).proposes("x").unwrap();
        net.deliver();
        net.time_passes(HEARTBEAT);
        net.heartbeats(1, 1);
        net.node(1).takes_snapshot();
        assert_eq!(net.node(1).raft.status().base, entry(2, 3 + round));
    }
    assert_eq!(net.commits(), [7, 7, 7]);
    let sends =
        net.node(1).effects().into_iter().filter(|effect| matches!(effect, Effect::SendSnapshot { .. }));
    assert_eq!(sends.count(), 0);
    net.node(1).receives(2, heartbeat_answer(2, 0));
}
