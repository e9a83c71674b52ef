//! The labs of MIT's 6.824 (6.5840 since) as scenarios, by the names of their tests: 2A elections, 2B the log, 2C
//! persistence, 2D compaction, and of 3A what makes sense without a service.

mod lab;

use lab::Lab;
use raft_core::{LogIndex, Message, RoleName};

use crate::support::{ELECTION_TIMEOUT, Network};

// 2A.

/// 2A InitialElection: one leader, and its term does not move while nothing fails.
#[test]
fn one_leader_is_elected_and_stays() {
    let mut lab = Lab::of(3, 1);
    let leader = lab.leader();
    let term = lab.net.node(leader).term();
    lab.turns(300);
    assert_eq!((lab.leader(), lab.net.node(leader).term()), (leader, term));
}

/// 2A ReElection: a leader that is cut off is replaced; its return changes nothing; without a quorum nobody leads.
#[test]
fn a_lost_leader_is_replaced_and_comes_back_as_a_follower() {
    let mut lab = Lab::of(3, 2);
    let first = lab.leader();
    lab.net.isolate(first);
    let second = lab.leader_among(|number| number != first);
    lab.net.heal();
    lab.turns(300);
    assert_eq!(lab.leader(), second);
    lab.net.isolate(second);
    lab.net.isolate(first);
    lab.turns(600);
    assert!(lab.net.numbers().all(|number| lab.net.node(number).role() != RoleName::Leader));
    lab.net.heal();
    lab.leader();
}

/// 2A ManyElections: seven nodes, three of them cut off at random, again and again.
#[test]
fn a_majority_of_seven_always_finds_a_leader() {
    let mut lab = Lab::of(7, 3);
    for _ in 0..12 {
        let away: Vec<u64> = (0..3).map(|_| 1 + lab.dice.below(7)).collect();
        away.iter().for_each(|&number| lab.net.isolate(number));
        lab.leader_among(|number| !away.contains(&number));
        lab.net.heal();
        lab.turns(100);
    }
    lab.leader();
}

// 2B.

/// 2B BasicAgree: each command takes the next place, and nothing is committed that was not proposed.
#[test]
fn commands_are_agreed_on_in_order() {
    let mut lab = Lab::of(3, 4);
    let first = lab.agree();
    for next in 1..4 {
        assert_eq!(lab.agree(), LogIndex(first.0 + next));
    }
}

/// 2B RPCBytes: each command is sent to each peer once.
#[test]
fn a_command_is_sent_to_each_peer_once() {
    let mut net = Network::of(3);
    net.elect(1);
    net.heartbeats(1, 1);
    let command = "x".repeat(5_000);
    let mut bytes = 0;
    for _ in 0..10 {
        net.node(1).proposes(&command).unwrap();
        for follower in [2, 3] {
            for message in net.converse(1, follower) {
                let Message::AppendEntries(append) = message else { continue };
                bytes += append.blocks.iter().map(raft_core::Block::encoded_bytes).sum::<usize>();
            }
        }
    }
    assert!((100_000..105_000).contains(&bytes), "{bytes}");
}

/// 2B FollowerFailure and LeaderFailure: with one follower fewer, then without the leader; at last without a quorum.
#[test]
fn progress_needs_a_majority_and_no_more() {
    let mut lab = Lab::of(3, 5);
    lab.agree();
    let leader = lab.leader();
    let follower = 1 + leader % 3;
    lab.net.isolate(follower);
    lab.agree();
    lab.net.heal();
    lab.net.isolate(leader);
    let next = lab.leader_among(|number| number != leader);
    lab.agree();
    lab.net.isolate(next);
    let commit = lab.net.commits();
    let _no_quorum = lab.net.node(next).proposes("in vain");
    lab.turns(600);
    assert_eq!(lab.net.commits(), commit, "nobody commits alone");
}

/// 2B FailAgree: a follower that was away catches up.
#[test]
fn a_follower_that_was_away_agrees_afterwards() {
    let mut lab = Lab::of(3, 6);
    let away = 1 + lab.leader() % 3;
    lab.net.isolate(away);
    for _ in 0..5 {
        lab.agree();
    }
    lab.net.heal();
    lab.agree();
    lab.all_agree();
}

/// 2B FailNoAgree: what a leader without quorum takes is committed by nobody while it is alone, and its index is used anew.
#[test]
fn nothing_is_agreed_on_without_a_quorum() {
    let mut lab = Lab::of(5, 7);
    let leader = lab.leader();
    lab.agree();
    for away in (1..=5).filter(|&number| number != leader).take(3) {
        lab.net.isolate(away);
    }
    let lost = lab.net.node(leader).proposes("lost?").unwrap();
    let commit = lab.net.node(leader).commit();
    lab.turns(600);
    assert_eq!(lab.net.node(leader).commit(), commit);
    lab.net.heal();
    let next = lab.agree();
    assert!(next >= lost.index);
    lab.all_agree();
}

/// 2B ConcurrentStarts: many commands in one turn each have their own place.
#[test]
fn commands_of_one_moment_are_all_agreed_on() {
    let mut lab = Lab::of(3, 8);
    let leader = lab.leader();
    let places: Vec<LogIndex> =
        (0..20).map(|n| lab.net.node(leader).proposes(&format!("{n}")).unwrap().index).collect();
    assert!(places.windows(2).all(|pair| pair[1] == pair[0].next()));
    lab.settle_through(*places.last().unwrap());
    lab.all_agree();
}

/// 2B Rejoin: two leaders in turn take commands that nobody else hears of; both come back.
#[test]
fn a_partitioned_leader_rejoins() {
    let mut lab = Lab::of(3, 9);
    lab.agree();
    let first = lab.leader();
    lab.net.isolate(first);
    for n in 0..3 {
        lab.net.node(first).proposes(&format!("lost {n}")).unwrap();
    }
    let second = lab.leader_among(|number| number != first);
    lab.agree();
    lab.net.heal();
    lab.net.isolate(second);
    lab.leader_among(|number| number != second);
    lab.agree();
    lab.net.heal();
    lab.agree();
    lab.all_agree();
}

/// 2B Backup: a leader backs up quickly over long logs that differ: three cohorts, fifty lost entries each.
#[test]
fn long_logs_that_differ_are_brought_in_line_quickly() {
    let mut lab = Lab::of(5, 10);
    lab.agree();
    for _ in 0..3 {
        let leader = lab.leader();
        let ally = 1 + leader % 5;
        for away in (1..=5).filter(|&number| number != leader && number != ally) {
            lab.net.isolate(away);
        }
        for n in 0..50 {
            let _may_be_lost = lab.net.node(leader).proposes(&format!("lost {n}"));
        }
        lab.turns(100);
        lab.net.heal();
        lab.net.isolate(leader);
        lab.net.isolate(ally);
        lab.agree();
        lab.net.heal();
    }
    let before = lab.deliveries;
    lab.agree();
    lab.all_agree();
    assert!(lab.deliveries - before < 400, "{} messages", lab.deliveries - before);
}

/// 2B Count: few messages for an election, few for ten commands, few for nothing at all.
#[test]
fn messages_are_not_too_many() {
    let mut net = Network::of(3);
    net.time_passes(ELECTION_TIMEOUT);
    net.node(1).times_out();
    let mut count = 0;
    while net.deliver_one() {
        count += 1;
    }
    assert!(count <= 30, "{count} for an election");
    let commands: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    net.node(1).proposes_all(&commands).unwrap();
    count = 0;
    while net.deliver_one() {
        count += 1;
    }
    assert!(count <= 8, "{count} for ten commands");
    count = 0;
    for _ in 0..10 {
        net.node(1).heartbeats();
        while net.deliver_one() {
            count += 1;
        }
    }
    assert!(count <= 50, "{count} in a second of idleness");
}

// 2C.

/// 2C Persist1: all crash, then the leader, then a follower.
#[test]
fn what_was_agreed_on_survives_crashes() {
    let mut lab = Lab::of(3, 11);
    lab.agree();
    for number in 1..=3 {
        lab.net.restart(number);
    }
    lab.agree();
    for away in [0, 1] {
        let node = 1 + (lab.leader() + away - 1) % 3;
        lab.net.crash(node);
        lab.agree();
        lab.net.restart(node);
        lab.agree();
    }
    lab.all_agree();
}

/// 2C Persist2: five nodes, crashing in groups that never leave a majority for long.
#[test]
fn what_was_agreed_on_survives_crashes_of_groups() {
    let mut lab = Lab::of(5, 12);
    for _ in 0..5 {
        lab.agree();
        let leader = lab.leader();
        let node = |after: u64| 1 + (leader + after - 1) % 5;
        lab.net.crash(node(1));
        lab.net.crash(node(2));
        lab.agree();
        for down in [leader, node(3), node(4)] {
            lab.net.crash(down);
        }
        for up in [1, 2, 3] {
            lab.net.restart(node(up));
        }
        lab.turns(400);
        for up in [leader, node(4)] {
            lab.net.restart(up);
        }
    }
    lab.agree();
    lab.all_agree();
}

/// 2C Persist3: a follower and the leader crash while the other two are apart.
#[test]
fn a_leader_and_a_partitioned_follower_crash_and_come_back() {
    let mut lab = Lab::of(3, 13);
    lab.agree();
    let leader = lab.leader();
    let (one, other) = (1 + leader % 3, 1 + (leader + 1) % 3);
    lab.net.isolate(other);
    lab.agree();
    lab.net.crash(leader);
    lab.net.crash(one);
    lab.net.heal();
    lab.net.restart(leader);
    lab.agree();
    lab.net.restart(one);
    lab.agree();
    lab.all_agree();
}

/// 2C Figure8 and Figure8Unreliable: leaders crash right after they have taken a command, over and over; messages are lost,
/// doubled and reordered in the second round.
#[test]
fn figure_8_at_random() {
    for (seed, loss) in [(14, 0), (15, 100), (16, 250)] {
        let mut lab = Lab::of(5, seed);
        lab.loss = loss;
        for _ in 0..60 {
            let up: Vec<u64> = lab.net.numbers().filter(|&number| !lab.net.is_down(number)).collect();
            let turns = lab.dice.below(120);
            for number in up {
                if lab.net.node(number).role() == RoleName::Leader {
                    let _may_be_lost = lab.net.node(number).proposes("x");
                    lab.turns(turns);
                    if lab.dice.chance(500) {
                        lab.net.crash(number);
                    }
                }
            }
            lab.turns(turns);
            let down: Vec<u64> = lab.net.numbers().filter(|&number| lab.net.is_down(number)).collect();
            if down.len() >= 3 || (!down.is_empty() && lab.dice.chance(400)) {
                let number = lab.dice.pick(&down);
                lab.net.restart(number);
            }
        }
        lab.recover();
        lab.agree();
        lab.all_agree();
    }
}

/// 2C UnreliableAgree: a tenth of all messages is lost, others come twice or out of order.
#[test]
fn commands_are_agreed_on_over_an_unreliable_network() {
    let mut lab = Lab::of(5, 17);
    lab.loss = 100;
    for _ in 0..30 {
        lab.agree();
    }
    lab.recover();
    lab.agree();
    lab.all_agree();
}

/// 2C ReliableChurn and UnreliableChurn: nodes are cut off, crash and come back while commands keep coming.
#[test]
fn commands_survive_churn() {
    for (seed, loss) in [(18, 0), (19, 100)] {
        let mut lab = Lab::of(5, seed);
        lab.loss = loss;
        for _ in 0..40 {
            let number = 1 + lab.dice.below(5);
            match lab.dice.below(4) {
                0 => lab.net.isolate(number),
                1 => lab.net.heal(),
                2 if !lab.net.is_down(number) => lab.net.crash(number),
                _ => lab.net.restart(number),
            }
            for number in 1..=5 {
                if !lab.net.is_down(number) {
                    let _may_be_lost = lab.net.node(number).proposes("x");
                }
            }
            lab.turns(60);
        }
        lab.recover();
        lab.agree();
        lab.all_agree();
    }
}

// 2D.

/// 2D SnapshotBasic: everybody compacts now and then; nobody notices.
#[test]
fn snapshots_change_nothing() {
    let mut lab = Lab::of(3, 20);
    lab.snapshots_every = 10;
    for _ in 0..35 {
        lab.agree();
    }
    lab.all_agree();
    let base = |number| lab.net.node(number).raft.status().base.index;
    assert!([1, 2, 3].map(base).into_iter().all(|base| base > LogIndex(20)));
}

/// 2D SnapshotInstall, SnapshotInstallUnreliable, SnapshotInstallCrash, SnapshotInstallUnCrash: one node at a time is away
/// (cut off, or crashed) for so long that it needs a snapshot, over a good and over a bad network.
#[test]
fn whoever_was_away_for_too_long_gets_a_snapshot() {
    for (seed, loss, crashes) in [(21, 0, false), (22, 100, false), (23, 0, true), (24, 100, true)] {
        let mut lab = Lab::of(3, seed);
        lab.loss = loss;
        lab.snapshots_every = 8;
        for round in 0..9 {
            let leader = lab.leader();
            // In every third round it is the leader that goes.
            let away = if round % 3 == 1 { leader } else { 1 + leader % 3 };
            match crashes {
                true => lab.net.crash(away),
                false => lab.net.isolate(away),
            }
            for _ in 0..12 {
                lab.agree();
            }
            match crashes {
                true => lab.net.restart(away),
                false => lab.net.heal(),
            }
            lab.agree();
        }
        lab.recover();
        lab.all_agree();
        assert!(lab.installed > 0, "seed {seed}");
    }
}

/// 2D SnapshotAllCrash and SnapshotInit: all crash, and start from their snapshots; and once more with little in the log.
#[test]
fn everybody_starts_from_a_snapshot() {
    let mut lab = Lab::of(3, 25);
    lab.snapshots_every = 6;
    for round in 0..5 {
        let commands = if round == 3 { 1 } else { 7 + lab.dice.below(10) };
        for _ in 0..commands {
            lab.agree();
        }
        let before = lab.agree();
        for number in 1..=3 {
            lab.net.crash(number);
        }
        for number in 1..=3 {
            lab.net.restart(number);
        }
        assert!(lab.agree() > before);
    }
    lab.all_agree();
}

// 3A, without the service.

/// 3A ManyPartitions: sides that change at random while commands keep coming.
#[test]
fn commands_survive_partitions_that_change() {
    let mut lab = Lab::of(5, 26);
    lab.loss = 50;
    lab.snapshots_every = 20;
    for _ in 0..25 {
        lab.net.heal();
        let side = lab.dice.below(32);
        for from in 0..5 {
            for to in (0..5).filter(|to| (side >> from & 1) != (side >> to & 1)) {
                lab.net.cut(from + 1, to + 1);
            }
        }
        for number in 1..=5 {
            let _may_be_lost = lab.net.node(number).proposes("x");
        }
        lab.turns(150);
    }
    lab.recover();
    lab.agree();
    lab.all_agree();
}

/// 3A Speed: one command after the other, each in one round trip, without waiting for a timer.
#[test]
fn a_command_needs_one_round_trip_and_no_timer() {
    let mut net = Network::of(3);
    net.elect(1);
    net.heartbeats(1, 1);
    let before = net.node(1).now;
    for n in 0..200 {
        net.node(1).proposes("x").unwrap();
        net.deliver();
        assert_eq!(net.node(1).commit(), 3 + n);
    }
    assert_eq!(net.node(1).now, before);
}
