//! [`Driver`](raft_core::Driver) and snapshots: when they are taken, how they travel, and how the state comes back.

use std::io;
use std::sync::Arc;

use raft_core::LogIndex;
use raft_core::driver::SnapshotPolicy;
use raft_core::testing::sim_log::LogImage;

use crate::support::cluster::{Cluster, Machine, Settings};
use crate::support::{Disk, entry, voters};

// Snapshots of its own.

/// Snapshots by policy.
fn snapshots_every(every_bytes: usize, alignment: u64) -> Settings {
    Settings { policy: SnapshotPolicy { every_bytes, alignment }, ..Settings::default() }
}

/// Snapshots are taken at aligned indexes, whatever the batches, so that every node takes the same ones.
#[test]
fn snapshots_are_taken_at_aligned_indexes_and_are_the_same_everywhere() {
    let mut cluster = Cluster::with_settings(3, snapshots_every(200, 8));
    cluster.elect(1);
    for round in 0..30 {
        for n in 0..=round % 5 {
            cluster.node(1).proposes(&format!("command {round} {n}"));
        }
        cluster.deliver();
    }
    cluster.heartbeats(1, 1);
    let files = [1, 2, 3].map(|number| {
        let snapshots = cluster.node(number).snapshots.clone();
        snapshots.with_image(|image| image.files().to_vec())
    });
    assert_eq!(files[0].len(), 2, "the newest two are kept");
    for file in &files[0] {
        assert!(file.info.meta.last.index.0.is_multiple_of(8), "{}", file.info.meta.last);
    }
    assert!(files[1] == files[0] && files[2] == files[0], "byte for byte");
    let base = cluster.node(1).driver.raft().status().base;
    assert_eq!(base, files[0][1].info.meta.last, "and the log forgets what they cover");
    assert_eq!(cluster.node(1).log.with_durable(LogImage::base), base);
}

/// One at a time: while one is being written, applying goes on, and the next is taken when that is done. F9 (databend#10873).
#[test]
fn applying_goes_on_while_a_snapshot_is_written() {
    let mut cluster = Cluster::alone(snapshots_every(100, 4));
    cluster.node(1).snapshots_stall = true;
    for n in 0..40 {
        cluster.node(1).proposes(&format!("command {n}"));
        cluster.deliver();
    }
    assert_eq!((cluster.node(1).applied(), cluster.node(1).snapshots.pending()), (42, 1));
    cluster.node(1).snapshots_stall = false;
    cluster.deliver();
    let after_the_first = cluster.node(1).driver.raft().snapshot().last.index;
    assert!(after_the_first.0.is_multiple_of(4) && after_the_first.0 < 20, "{after_the_first}");
    for _ in 0..4 {
        cluster.node(1).proposes("more");
        cluster.deliver();
    }
    assert_eq!(cluster.node(1).driver.raft().snapshot().last.index, LogIndex(44));
}

/// Taken by hand: now, wherever that is; not if nothing was applied since.
#[test]
fn a_snapshot_can_be_triggered() {
    let mut cluster = Cluster::alone(Settings::default());
    cluster.node(1).proposes("x");
    cluster.deliver();
    cluster.node(1).driver.trigger_snapshot();
    cluster.deliver();
    assert_eq!(cluster.node(1).driver.raft().snapshot().last, entry(2, 3));
    cluster.node(1).driver.trigger_snapshot();
    cluster.node(1).snapshots_stall = true;
    cluster.deliver();
    assert_eq!(cluster.node(1).snapshots.pending(), 0);
    cluster.node(1).proposes("y");
    cluster.deliver();
    assert_eq!(
        cluster.node(1).snapshots.pending(),
        0,
        "nor later: it was asked for when there was nothing to take"
    );
}

/// F6 (openraft#1829): asked for while another one is written, it is taken after that one, if it would bring anything.
#[test]
fn a_snapshot_that_is_triggered_while_another_is_written_is_not_forgotten() {
    let mut cluster = Cluster::alone(Settings::default());
    cluster.node(1).proposes("x");
    cluster.deliver();
    cluster.node(1).snapshots_stall = true;
    cluster.node(1).driver.trigger_snapshot();
    cluster.deliver();
    cluster.node(1).driver.trigger_snapshot();
    cluster.node(1).proposes("y");
    cluster.deliver();
    cluster.node(1).driver.trigger_snapshot();
    cluster.node(1).snapshots_stall = false;
    cluster.deliver();
    assert_eq!(cluster.node(1).driver.raft().snapshot().last, entry(2, 4));
    assert_eq!(cluster.node(1).snapshots.pending(), 0);
    cluster.node(1).proposes("z");
    cluster.deliver();
    assert_eq!(cluster.node(1).driver.raft().snapshot().last, entry(2, 4), "and no other one later");
}

/// A snapshot that cannot be written is reported, and tried again after as much has been applied once more.
#[test]
fn a_snapshot_that_fails_is_reported_and_tried_again() {
    let mut cluster = Cluster::alone(snapshots_every(200, 4));
    cluster.node(1).snapshots_stall = true;
    let propose = |cluster: &mut Cluster| {
        for n in 0..20 {
            cluster.node(1).proposes(&format!("command {n}"));
            cluster.deliver();
        }
    };
    propose(&mut cluster);
    assert!(cluster.node(1).snapshots.fail_next(Arc::new(io::Error::other("disk full"))));
    cluster.deliver();
    let reason = cluster.node(1).driver.take_snapshot_failure().map(|reason| reason.to_string());
    assert_eq!(reason.as_deref(), Some("disk full"));
    assert!(cluster.node(1).driver.take_snapshot_failure().is_none(), "reported once");
    assert!(cluster.node(1).driver.halt().is_none());
    cluster.node(1).snapshots_stall = false;
    propose(&mut cluster);
    assert!(cluster.node(1).driver.raft().snapshot().last.index > LogIndex(8));
}

/// A restart loads the newest snapshot and applies what follows it. F7 (dragonboat#369).
#[test]
fn a_restart_loads_the_snapshot_and_applies_the_rest() {
    let mut cluster = Cluster::alone(Settings::default());
    for command in ["a", "b"] {
        cluster.node(1).proposes(command);
    }
    cluster.deliver();
    cluster.node(1).driver.trigger_snapshot();
    cluster.deliver();
    cluster.node(1).proposes("c");
    cluster.deliver();
    cluster.restart(1);
    assert_eq!(
        (cluster.node(1).commands(), cluster.node(1).applied()),
        (vec!["a".to_owned(), "b".to_owned()], 4)
    );
    cluster.elect(1);
    assert_eq!(cluster.node(1).commands(), ["a", "b", "c"]);
}

/// B15 (openraft#607): without a snapshot, from the first entry on.
#[test]
fn a_restart_without_a_snapshot_applies_everything_again() {
    let mut cluster = Cluster::alone(Settings::default());
    for n in 0..50 {
        cluster.node(1).proposes(&n.to_string());
        cluster.deliver();
    }
    let before = cluster.node(1).commands();
    for _ in 0..3 {
        cluster.restart(1);
        assert_eq!(cluster.node(1).commands(), [""; 0]);
        cluster.elect(1);
        assert_eq!(cluster.node(1).commands(), before);
    }
}

// Snapshots from a leader.

/// A cluster in which node 3 misses what node 1 has compacted.
fn cluster_with_a_laggard() -> Cluster {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.isolate(3);
    for n in 0..40 {
        cluster.node(1).proposes(&format!("command {n}"));
    }
    cluster.deliver();
    cluster.node(1).driver.trigger_snapshot();
    cluster.deliver();
    cluster.node(1).proposes("after the snapshot");
    cluster.deliver();
    cluster.heal();
    cluster
}

/// End to end: offered, received, published, loaded, and the log goes on behind it.
#[test]
fn a_laggard_is_brought_up_by_a_snapshot_and_the_entries_after_it() {
    let mut cluster = cluster_with_a_laggard();
    cluster.heartbeats(1, 4);
    let expected = cluster.node(1).commands();
    assert_eq!((expected.len(), cluster.node(3).commands()), (41, expected));
    let installed = cluster.node(3).driver.raft().snapshot().last;
    assert_eq!(installed, cluster.node(1).driver.raft().snapshot().last);
    cluster.restart(3);
    assert_eq!(cluster.node(3).applied(), installed.index.0, "and is there after a restart");
}

/// Loading runs elsewhere: meanwhile the state is away, nothing is applied or read, and consensus goes on.
#[test]
fn while_a_snapshot_is_loaded_consensus_goes_on_without_the_state() {
    let mut cluster = cluster_with_a_laggard();
    cluster.node(3).restoring_stalls = true;
    cluster.heartbeats(1, 4);
    assert!(cluster.node(3).driver.state().is_none());
    assert!(cluster.node(3).job.is_some(), "handed out once");
    cluster.node(1).proposes("meanwhile");
    cluster.deliver();
    cluster.heartbeats(1, 1);
    let raft = cluster.node(3).driver.raft().status();
    assert_eq!(
        (raft.commit_index, raft.last.index),
        (LogIndex(44), LogIndex(44)),
        "acknowledged and committed"
    );
    assert_eq!(cluster.node(3).applied(), 2);
    cluster.elect(3);
    let read = cluster.node(3).is_asked_to_read();
    cluster.deliver();
    assert_eq!(cluster.node(3).read_outcome(read), None, "confirmed, but there is no state to read");
    cluster.node(3).restores();
    cluster.deliver();
    assert_eq!(cluster.node(3).read_outcome(read), Some(Ok(LogIndex(45))));
    assert_eq!(cluster.node(3).commands().last().map(String::as_str), Some("meanwhile"));
}

/// A received snapshot that cannot be published is offered again.
#[test]
fn a_snapshot_that_cannot_be_published_is_sent_again() {
    let mut cluster = cluster_with_a_laggard();
    cluster.node(3).snapshots_stall = true;
    cluster.heartbeats(1, 3);
    assert!(cluster.node(3).snapshots.fail_next(Arc::new(io::Error::other("disk full"))));
    cluster.deliver();
    assert_eq!(
        cluster.node(3).driver.take_snapshot_failure().map(|reason| reason.to_string()).as_deref(),
        Some("disk full")
    );
    assert_eq!((cluster.node(3).applied(), cluster.node(3).driver.halt().is_none()), (2, true));
    cluster.node(3).snapshots_stall = false;
    cluster.heartbeats(1, 15);
    assert_eq!(cluster.node(3).commands().len(), 41);
}

/// A snapshot that the state machine cannot load stops the node: it cannot follow the others.
#[test]
fn a_snapshot_that_cannot_be_loaded_stops_the_node() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.isolate(3);
    cluster.node(1).proposes("unloadable");
    cluster.deliver();
    cluster.node(1).driver.trigger_snapshot();
    cluster.deliver();
    cluster.heal();
    cluster.heartbeats(1, 4);
    let halt = cluster.node(3).driver.halt().map(ToString::to_string);
    assert_eq!(halt.as_deref(), Some("state machine failed at entry 3@2: not a ledger"));
    let log = Disk::with_log(&voters(1..=3), &[1]).log;
    let (_, snapshots) = cluster.node(1).crashes();
    let refused = Machine::try_start(1, &Settings::default(), log, snapshots).err();
    let refused = refused.map(|error| error.to_string());
    assert_eq!(
        refused.as_deref(),
        Some("snapshot 3@2 cannot be loaded into the state machine"),
        "at start as well"
    );
}
