//! The leader is killed again and again under load; not one acknowledged write is lost, none is applied twice.
//!
//! `KV_KILLS` sets how many times (default 4).

use std::time::{Duration, Instant};

use crate::cluster::{Cluster, eventually};
use crate::load::Load;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_and_none_is_applied_twice_while_leaders_are_killed() {
    let kills = std::env::var("KV_KILLS").map_or(4, |text| text.parse().expect("KV_KILLS is a number"));
    let mut cluster = Cluster::start(3);
    cluster.leader().await;
    let load = Load::start(&cluster);
    let mut outages = Vec::new();
    for _ in 0..kills {
        load.more(200).await;
        let leader = cluster.leader().await;
        cluster.nodes[leader].kill();
        let began = Instant::now();
        load.more(1).await;
        outages.push(began.elapsed());
        load.more(200).await;
        let head = applied_elsewhere(&cluster, leader).await;
        cluster.nodes[leader].start();
        let node = &cluster.nodes[leader];
        eventually("the killed node to catch up", async || {
            (node.status().await?.log.applied_index >= head).then_some(())
        })
        .await;
    }
    let written = load.check(&cluster).await;
    cluster.settle().await;
    report(&mut outages, written);
}

/// How far the nodes but `dead` have applied.
async fn applied_elsewhere(cluster: &Cluster, dead: usize) -> u64 {
    let mut head = 0;
    for at in (0..cluster.nodes.len()).filter(|&at| at != dead) {
        head = head.max(cluster.nodes[at].serves().await.log.applied_index);
    }
    head
}

fn report(outages: &mut [Duration], written: u64) {
    outages.sort_unstable();
    let (shortest, longest) = (outages.first(), outages.last());
    let median = outages.get(outages.len() / 2);
    println!(
        "{} kills, {written} tokens acknowledged; outages: shortest {shortest:?}, median {median:?}, longest {longest:?}",
        outages.len()
    );
}
