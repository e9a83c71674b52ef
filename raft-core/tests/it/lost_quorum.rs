//! A majority is lost for ever; one survivor goes on alone.

use raft_core::recovery::go_on_alone;
use raft_core::{ClusterId, RoleName};

use crate::support::{Disk, Peer, entry, id, options, voters};

/// Node 1's disk after the recovery of a log of these terms.
fn recovered(terms: &[u64]) -> Disk {
    let Disk { mut log, snapshot } = Disk::with_log(&voters(1..=3), terms);
    let recovery = go_on_alone(id(1), &log.recovered(), &snapshot, ClusterId(99)).unwrap();
    log.apply(&recovery.write);
    Disk { log, snapshot }
}

#[test]
fn the_survivor_leads_alone_and_all_that_it_had_is_committed() {
    let mut node = Peer::start(1, options(), recovered(&[1, 1, 2]));
    assert_eq!(node.raft.hard_state().cluster_id, Some(ClusterId(99)));
    node.timer_fires();
    assert_eq!((node.role(), node.voters()), (RoleName::Leader, vec![1]));
    assert_eq!((node.last(), node.commit()), (entry(4, 5), 5), "its log, the configuration, and a no-op");
    node.proposes("on we go").unwrap();
    assert_eq!(node.commit(), 6);
}
