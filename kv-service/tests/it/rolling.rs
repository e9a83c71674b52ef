//! Every node is stopped and started again, one after the other: nobody waits for an election.

use crate::cluster::{Cluster, eventually};
use crate::load::Load;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_asked_to_stop_hands_over_first_and_a_rolling_restart_has_no_election_gap() {
    let mut cluster = Cluster::start_with(3, &["--election-timeout", "3s"]);
    cluster.leader().await;
    let load = Load::start(&cluster);
    load.more(200).await;
    load.outage();
    for _ in 0..3 {
        let leader = cluster.leader().await;
        let term = cluster.nodes[leader].serves().await.term;
        assert!(cluster.nodes[leader].terminate().await.success());
        load.more(100).await;
        let outage = load.outage();
        println!("leader stopped: longest time without an acknowledged write {outage:.1?}");
        cluster.nodes[leader].says("leadership handed over").await;
        assert_eq!(cluster.led().await.term, term + 1, "one campaign, at once");
        let head = cluster.led().await.log.applied_index;
        cluster.nodes[leader].start();
        let node = &cluster.nodes[leader];
        eventually("the stopped node to catch up", async || {
            (node.status().await?.log.applied_index >= head).then_some(())
        })
        .await;
        load.outage();
    }
    load.check(&cluster).await;
    cluster.settle().await;
}
