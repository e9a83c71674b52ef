//! [`Driver`](raft_core::Driver) over simulated stores: how proposals and reads end, when snapshots are taken and
//! loaded, and what stops a node.

use std::io;
use std::sync::Arc;

use raft_core::StartError;
use raft_core::driver::Event;
use raft_core::error::{Halt, ProposeError, ReadError};
use raft_core::storage::LogEvent;
use raft_core::testing::sim_snapshots::SnapshotImage;
use raft_core::transport::TransportEvent;
use raft_core::{Block, LogIndex, Message, Options, OptionsError, RoleName};

use crate::support::cluster::{Cluster, Machine, Settings};
use crate::support::ledger::{MUTE, POISON};
use crate::support::{Disk, append, entry, heartbeat, id, options, voters};

// Proposals.

/// A proposal ends with the state machine's reply, when its entry is committed and applied, and not before.
#[test]
fn a_proposal_ends_with_its_reply() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    let [a, b] = ["a", "b"].map(|command| cluster.node(1).proposes(command));
    cluster.node(1).settles();
    assert_eq!(
        (cluster.node(1).outcome(a), cluster.node(1).outcome(b)),
        (None, None),
        "on one disk of three"
    );
    cluster.deliver();
    assert_eq!((cluster.node(1).outcome(a), cluster.node(1).outcome(b)), (Some(Ok(1)), Some(Ok(2))));
    cluster.heartbeats(1, 1);
    for number in 1..=3 {
        assert_eq!(cluster.node(number).commands(), ["a", "b"], "node {number}");
    }
}

/// Commands of one turn travel as one block, in the order in which they came.
#[test]
fn commands_of_one_turn_are_one_block() {
    let mut cluster = Cluster::alone(Settings::default());
    let blocks_before = cluster.node(1).log.with_durable(|log| log.blocks().count());
    let tickets: Vec<_> = (0..100).map(|n| cluster.node(1).proposes(&n.to_string())).collect();
    cluster.deliver();
    let node = cluster.node(1);
    assert_eq!(node.log.with_durable(|log| log.blocks().count()), blocks_before + 1);
    let replies: Vec<_> = tickets.iter().map(|&ticket| node.outcome(ticket).unwrap().unwrap()).collect();
    assert_eq!(replies, (1..=100).collect::<Vec<_>>());
}

/// A command that no message could carry never enters a log; those around it do.
#[test]
fn a_command_that_is_too_long_is_refused_alone() {
    let small = Options { max_entry_bytes: 10, ..options() };
    let mut cluster = Cluster::alone(Settings { options: small, ..Settings::default() });
    let tickets = [10, 11, 3].map(|length| cluster.node(1).proposes(&"x".repeat(length)));
    cluster.deliver();
    let outcomes = tickets.map(|ticket| cluster.node(1).outcome(ticket));
    let too_large = ProposeError::TooLarge { found: 11, limit: 10 };
    assert_eq!(outcomes, [Some(Ok(1)), Some(Err(too_large)), Some(Ok(2))]);
}

/// A batch that has reached a message's size does not grow further.
#[test]
fn a_batch_is_cut_at_the_size_of_a_message() {
    let small = Options { max_message_bytes: 100, ..options() };
    let mut cluster = Cluster::alone(Settings { options: small, ..Settings::default() });
    let tickets: Vec<_> = (0..10).map(|_| cluster.node(1).proposes(&"x".repeat(40))).collect();
    cluster.deliver();
    assert!(tickets.iter().all(|&ticket| matches!(cluster.node(1).outcome(ticket), Some(Ok(_)))));
    let counts =
        cluster.node(1).log.with_durable(|log| log.blocks().map(Block::entry_count).collect::<Vec<_>>());
    assert_eq!(counts[2..], [2, 2, 2, 2, 2], "two commands and their rows of the table");
}

/// Proposed where nobody leads, or somebody else does.
#[test]
fn a_proposal_that_reaches_a_follower_names_the_leader() {
    let mut cluster = Cluster::of(3);
    let early = cluster.node(2).proposes("early");
    cluster.deliver();
    assert_eq!(cluster.node(2).outcome(early), Some(Err(ProposeError::NotLeader { leader: None })));
    cluster.elect(1);
    let [late, too] = ["late", "too"].map(|command| cluster.node(2).proposes(command));
    cluster.deliver();
    for ticket in [late, too] {
        let refused = Some(Err(ProposeError::NotLeader { leader: Some(id(1)) }));
        assert_eq!(cluster.node(2).outcome(ticket), refused, "each of the batch");
    }
}

/// Overload is told, at once, to every proposal of the batch, and passes.
#[test]
fn proposals_beyond_the_limit_are_told_busy() {
    let limited = Options { max_uncommitted_bytes: 1_000, ..options() };
    let mut cluster = Cluster::with_settings(3, Settings { options: limited, ..Settings::default() });
    cluster.elect(1);
    let admitted = cluster.node(1).proposes(&"x".repeat(900));
    cluster.node(1).settles();
    let refused = [0, 1].map(|_| cluster.node(1).proposes(&"y".repeat(100)));
    cluster.node(1).settles();
    for ticket in refused {
        let outcome = cluster.node(1).outcome(ticket);
        assert!(matches!(outcome, Some(Err(ProposeError::Busy { limit: 1_000, .. }))), "{outcome:?}");
    }
    cluster.deliver();
    assert_eq!(cluster.node(1).outcome(admitted), Some(Ok(1)));
    let again = cluster.node(1).proposes(&"y".repeat(100));
    cluster.deliver();
    assert_eq!(cluster.node(1).outcome(again), Some(Ok(2)));
}

/// A proposal whose place another leader's entry has taken was never applied, and never will be.
#[test]
fn a_displaced_proposal_was_not_applied() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.isolate(1);
    let lost: Vec<_> = ["lost", "lost too"].map(|command| cluster.node(1).proposes(command)).to_vec();
    cluster.deliver();
    cluster.elect(2);
    let kept = cluster.node(2).proposes("kept");
    cluster.deliver();
    assert_eq!(cluster.node(2).outcome(kept), Some(Ok(1)));
    assert_eq!(cluster.node(1).outcome(lost[0]), None, "it does not know yet");
    cluster.heal();
    cluster.heartbeats(2, 2);
    for (ticket, index) in lost.into_iter().zip(3..) {
        let id = entry(2, index);
        assert_eq!(cluster.node(1).outcome(ticket), Some(Err(ProposeError::NotApplied { id })));
    }
    assert_eq!(cluster.node(1).commands(), ["kept"]);
}

/// An entry of a later term is committed *before* the proposal's place, and nothing more is proposed: entries of
/// earlier terms cannot follow it, so there is nothing to wait for.
#[test]
fn a_displaced_proposal_ends_also_if_the_new_log_is_shorter() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.isolate(1);
    let lost: Vec<_> = (0..9).map(|_| cluster.node(1).proposes("lost")).collect();
    cluster.deliver();
    cluster.elect(2);
    cluster.heal();
    cluster.heartbeats(2, 2);
    assert_eq!(cluster.node(1).driver.raft().last_entry(), entry(3, 3));
    for ticket in lost {
        assert!(matches!(cluster.node(1).outcome(ticket), Some(Err(ProposeError::NotApplied { .. }))));
    }
}

/// A deposed leader's proposal may be committed by its successor: it keeps waiting, and gets its reply.
#[test]
fn a_proposal_that_the_next_leader_commits_gets_its_reply() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    let ticket = cluster.node(1).proposes("kept");
    cluster.node(1).settles();
    let sent = cluster.node(1).sent();
    let to_2 = sent.into_iter().find_map(|(to, message)| (to == 2).then_some(message)).unwrap();
    cluster.isolate(1);
    cluster.node(2).takes(Event::Transport(TransportEvent::Message { from: id(1), message: to_2 }));
    cluster.deliver();
    cluster.elect(2);
    assert_eq!(cluster.node(1).outcome(ticket), None);
    cluster.heal();
    cluster.heartbeats(2, 2);
    assert_eq!(cluster.node(1).outcome(ticket), Some(Ok(1)));
    assert_eq!(cluster.node(3).commands(), ["kept"]);
}

/// C21 (openraft#1761): what a snapshot covers was applied or was not; this node cannot tell.
#[test]
fn a_proposal_that_a_snapshot_hides_has_an_unknown_outcome() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.isolate(1);
    let ticket = cluster.node(1).proposes("lost");
    let behind: Vec<_> = (0..8).map(|_| cluster.node(1).proposes("behind it")).collect();
    cluster.deliver();
    cluster.elect(2);
    for command in ["a", "b", "c"] {
        cluster.node(2).proposes(command);
        cluster.deliver();
    }
    cluster.node(2).driver.trigger_snapshot();
    cluster.deliver();
    assert_eq!(cluster.node(2).driver.raft().status().base, entry(3, 6));
    cluster.heal();
    cluster.heartbeats(2, 3);
    assert_eq!(cluster.node(1).outcome(ticket), Some(Err(ProposeError::Unknown)));
    assert_eq!(cluster.node(1).commands(), ["a", "b", "c"]);
    let last = cluster.node(1).outcome(behind[7]);
    assert!(
        matches!(last, Some(Err(ProposeError::NotApplied { .. }))),
        "not left to what comes next: {last:?}"
    );
    let next = cluster.node(2).proposes("d");
    cluster.deliver();
    cluster.heartbeats(2, 1);
    assert_eq!((cluster.node(2).outcome(next), cluster.node(1).commands().len()), (Some(Ok(4)), 4));
}

/// Through elections, partitions and restarts: [`Machine`] asserts that nothing ends twice; here, that everything
/// ends, and truthfully.
#[test]
fn every_proposal_ends_exactly_once_and_truthfully() {
    let mut cluster = Cluster::of(3);
    let mut asked = Vec::new();
    cluster.elect(1);
    for round in 0..12_u64 {
        let leader = round % 3 + 1;
        for step in 0..4 {
            if step == 2 {
                cluster.isolate(leader);
            }
            for _ in 0..3 {
                let command = format!("{}", asked.len());
                let ticket = cluster.node(leader).proposes(&command);
                asked.push((leader, ticket, command));
            }
            cluster.deliver();
        }
        let successor = leader % 3 + 1;
        cluster.elect(successor);
        cluster.heal();
        cluster.heartbeats(successor, 2);
    }
    let applied = cluster.node(1).commands();
    let (mut committed, mut displaced) = (0, 0);
    for (node, ticket, command) in asked {
        let position = applied.iter().position(|other| *other == command).map(|at| at + 1);
        match cluster.node(node).outcome(ticket) {
            Some(Ok(reply)) => {
                assert_eq!(position, Some(reply), "{command}");
                committed += 1;
            }
            Some(Err(ProposeError::NotApplied { .. })) => {
                assert_eq!(position, None, "{command}");
                displaced += 1;
            }
            other => panic!("{command} ended with {other:?}"),
        }
    }
    assert_eq!((committed, displaced), (72, 72));
}

/// Founding a cluster is a proposal.
#[test]
fn founding_a_cluster_ends_when_the_configuration_is_applied() {
    let blank = Disk::blank();
    let mut node = Machine::start(1, &Settings::default(), blank.log, SnapshotImage::default());
    node.settles();
    assert_eq!(node.told(), (None, None));
    let founding = voters([1]);
    let ticket = node.founds(founding.clone());
    node.settles();
    assert_eq!(node.outcome(ticket), None, "nobody leads yet");
    node.timer_fires();
    assert_eq!((node.outcome(ticket), node.role()), (Some(Ok(0)), RoleName::Leader));
    let (cluster, configuration) = node.told();
    assert_eq!(cluster, Some(founding.cluster_id()), "the transport introduces itself by it");
    assert_eq!(configuration.as_deref(), Some(&founding), "and knows whom to dial");
    let again = node.founds(founding);
    node.settles();
    assert!(matches!(node.outcome(again), Some(Err(ProposeError::AlreadyInitialized { .. }))));
}

/// Proposals before a founding in one turn keep their outcomes apart.
#[test]
fn a_proposal_and_a_founding_in_one_turn_each_get_their_own_answer() {
    let mut node = Machine::start(1, &Settings::default(), Disk::blank().log, SnapshotImage::default());
    let early = node.proposes("early");
    let founding = node.founds(voters([1]));
    node.settles();
    node.timer_fires();
    assert_eq!(node.outcome(early), Some(Err(ProposeError::NotLeader { leader: None })));
    assert_eq!(node.outcome(founding), Some(Ok(0)));
}

// Reads.

/// A read is released when a quorum has confirmed it *and* its index is applied here.
#[test]
fn a_read_is_released_only_after_its_index_is_applied() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.node(1).log_stalls = true;
    let write = cluster.node(1).proposes("x");
    cluster.deliver();
    assert_eq!(cluster.node(1).driver.raft().commit_index(), LogIndex(3), "the others' disks hold it");
    let read = cluster.node(1).is_asked_to_read();
    cluster.deliver();
    assert_eq!((cluster.node(1).applied(), cluster.node(1).read_outcome(read)), (2, None));
    cluster.node(1).log_stalls = false;
    cluster.deliver();
    assert_eq!(cluster.node(1).read_outcome(read), Some(Ok(LogIndex(3))));
    assert_eq!(
        (cluster.node(1).outcome(write), cluster.node(1).commands()),
        (Some(Ok(1)), vec!["x".to_owned()])
    );
}

/// A read of what is applied already waits for the quorum alone.
#[test]
fn a_read_on_an_idle_cluster_costs_one_round() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    let read = cluster.node(1).is_asked_to_read();
    cluster.node(1).settles();
    assert_eq!(cluster.node(1).read_outcome(read), None);
    cluster.deliver();
    assert_eq!(cluster.node(1).read_outcome(read), Some(Ok(LogIndex(2))));
}

/// Reads that cannot be served are refused, each once.
#[test]
fn reads_are_refused_where_nobody_leads_and_when_the_leader_is_deposed() {
    let mut cluster = Cluster::of(3);
    let nobody_leads = cluster.node(2).is_asked_to_read();
    cluster.elect(1);
    cluster.isolate(1);
    let deposed = cluster.node(1).is_asked_to_read();
    cluster.deliver();
    cluster.elect(2);
    cluster.heal();
    cluster.heartbeats(2, 1);
    let not_leader = |leader| Some(Err(ReadError::NotLeader { leader }));
    assert_eq!(cluster.node(2).read_outcome(nobody_leads), not_leader(None));
    assert_eq!(cluster.node(1).read_outcome(deposed), not_leader(None));
}

/// A follower serves a linearizable read from its own state, as soon as that includes what its leader names.
#[test]
fn a_follower_serves_a_read_when_it_has_applied_what_its_leader_names() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.node(1).proposes("x");
    cluster.deliver();
    assert_eq!(cluster.node(2).applied(), 2, "it does not know yet that x is committed");
    let read = cluster.node(2).is_asked_to_read();
    cluster.deliver();
    assert_eq!((cluster.node(2).read_outcome(read), cluster.node(2).applied()), (Some(Ok(LogIndex(3))), 3));
}

/// Options that cannot work are named.
#[test]
fn impossible_options_are_refused() {
    let no_room = Options { max_message_bytes: 0, ..options() };
    let too_slow = Options { heartbeat_interval: options().election_timeout, ..options() };
    let refused = [no_room, too_slow].map(|options| {
        let settings = Settings { options, ..Settings::default() };
        let log = Disk::with_log(&voters([1]), &[1]).log;
        Machine::try_start(1, &settings, log, SnapshotImage::default()).err()
    });
    assert!(matches!(
        refused[0],
        Some(StartError::Options(OptionsError::Zero { option: "max_message_bytes" }))
    ));
    assert!(matches!(refused[1], Some(StartError::Options(OptionsError::Heartbeat { .. }))));
}

// The network.

/// Entries that could not even be queued are sent again, without a storm of attempts.
#[test]
fn entries_that_could_not_be_queued_are_sent_again() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.node(1).cannot_queue_for([2, 3]);
    let ticket = cluster.node(1).proposes("x");
    cluster.deliver();
    assert_eq!(cluster.node(1).outcome(ticket), None);
    cluster.node(1).cannot_queue_for([]);
    cluster.heartbeats(1, 2);
    assert_eq!(cluster.node(1).outcome(ticket), Some(Ok(1)));
}

/// A broken connection is told by the transport.
#[test]
fn messages_lost_with_a_connection_are_sent_again() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    let ticket = cluster.node(1).proposes("x");
    cluster.node(1).settles();
    drop(cluster.node(1).sent());
    for peer in [2, 3] {
        cluster.node(1).takes(Event::Transport(TransportEvent::Unreachable { peer: id(peer) }));
    }
    cluster.heartbeats(1, 2);
    assert_eq!(cluster.node(1).outcome(ticket), Some(Ok(1)));
}

// What stops a node.

fn hears(node: &mut Machine, from: u64, message: Message) {
    node.takes(Event::Transport(TransportEvent::Message { from: id(from), message }));
}

/// C24 (openraft#1816): a state machine that swallows a reply would give everybody after it somebody else's. The node stops
/// instead, and whoever waits is answered by the shell.
#[test]
fn a_missing_reply_stops_everything() {
    let mut cluster = Cluster::alone(Settings::default());
    let [mute, after] = [MUTE, "after"].map(|command| cluster.node(1).proposes(command));
    cluster.deliver();
    let node = cluster.node(1);
    let miscounted = matches!(node.driver.halt(), Some(Halt::RepliesMiscounted { found, expected, .. }) if found < expected);
    assert!(miscounted, "{:?}", node.driver.halt());
    assert_eq!((node.outcome(mute), node.outcome(after)), (None, None));
}

/// An entry that cannot be applied stops the node: nothing is applied, acknowledged, promised or sent any more.
#[test]
fn an_entry_that_cannot_be_applied_stops_everything() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    let before = cluster.node(1).proposes("before");
    cluster.deliver();
    let [poison, after] = [POISON, "after"].map(|command| cluster.node(1).proposes(command));
    let read = cluster.node(1).is_asked_to_read();
    cluster.deliver();
    let node = cluster.node(1);
    match node.driver.halt() {
        Some(Halt::StateMachineFailed { id, reason }) => {
            assert_eq!((*id, reason.to_string().as_str()), (entry(2, 5), "poisoned"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(node.outcome(before), Some(Ok(1)));
    assert_eq!((node.outcome(poison), node.outcome(after)), (None, None), "the shell answers what is left");
    drop(node.sent());
    let late = [node.proposes("late"), node.is_asked_to_read()];
    hears(node, 2, append(9, entry(2, 3), &[9], 9));
    hears(node, 2, heartbeat(9, 9));
    for _ in 0..3 {
        node.timer_fires();
    }
    assert_eq!((node.sent(), node.applied(), node.driver.raft().commit_index()), (vec![], 3, LogIndex(5)));
    assert_eq!(
        (node.outcome(late[0]), node.read_outcome(late[1]), node.log.pending_writes()),
        (None, None, 0)
    );
    assert!(!matches!(node.read_outcome(read), Some(Ok(index)) if index > LogIndex(3)));
}

/// A log that fails is not written to any more, and what it had confirmed before is the last that was
/// acknowledged. A10 (convex#168).
#[test]
fn a_failed_log_stops_everything() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.heartbeats(1, 1);
    let node = cluster.node(2);
    node.log_stalls = true;
    hears(node, 1, append(2, entry(2, 2), &[2], 2));
    node.settles();
    node.takes(Event::Log(LogEvent::Failed(Arc::new(io::Error::other("fdatasync: EIO")))));
    node.settles();
    assert_eq!(
        node.driver.halt().map(ToString::to_string).as_deref(),
        Some("log store failed: fdatasync: EIO")
    );
    drop(node.sent());
    hears(node, 1, append(2, entry(2, 3), &[2], 3));
    hears(node, 1, heartbeat(2, 3));
    node.timer_fires();
    assert_eq!((node.sent(), node.log.pending_writes(), node.applied()), (vec![], 1, 2));
}

/// A contradiction that the core finds stops the driver as well.
#[test]
fn a_halt_of_the_core_stops_the_driver() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.heartbeats(1, 1);
    let node = cluster.node(2);
    hears(node, 3, append(9, entry(8, 2), &[9], 9));
    node.settles();
    assert!(matches!(node.driver.halt(), Some(Halt::CommittedEntryContradicted { .. })));
}

// Turns.

/// A long replay is applied a few MiB a turn, so that heartbeats do not wait for it; the driver asks for the next
/// turn itself.
#[test]
fn a_long_replay_is_spread_over_turns() {
    let mut cluster = Cluster::alone(Settings::default());
    for _ in 0..12 {
        cluster.node(1).proposes(&"x".repeat(1 << 20));
        cluster.deliver();
    }
    cluster.restart(1);
    let node = cluster.node(1);
    node.takes(Event::Tick);
    let (mut turns, mut before) = (0, node.applied());
    while node.applied() < 15 {
        node.turns();
        node.log.run();
        let step = node.applied() - before;
        assert!(step <= 6, "{step} MiB in one turn");
        turns += u64::from(step > 0);
        before = node.applied();
        assert!(turns < 100);
    }
    assert!(turns >= 3, "{turns} turns");
}
