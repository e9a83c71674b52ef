//! The leader is killed again and again under load; not one acknowledged write is lost, none is applied twice.
//!
//! `KV_KILLS` sets how many times (default 4).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kv_client::{Client, Error, KvStore, ReadOptions};

use crate::cluster::{Cluster, PATIENCE, eventually};

const WRITERS: usize = 16;
/// A writer's key keeps every token it ever wrote, and values are bounded.
const TOKENS_PER_WRITER: u64 = 60_000;

/// What one writer was told.
#[derive(Default)]
struct Account {
    acknowledged: Vec<u64>,
    unknown: Vec<u64>,
    not_applied: Vec<u64>,
    increments: u64,
    increments_unknown: u64,
}

/// Shared by all writers.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    acknowledged: AtomicU64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_and_none_is_applied_twice_while_leaders_are_killed() {
    let kills = std::env::var("KV_KILLS").map_or(4, |text| text.parse().expect("KV_KILLS is a number"));
    let mut cluster = Cluster::start(3);
    cluster.leader().await;
    let load = Arc::new(Load::default());
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(writer, client_of(writer, &cluster), Arc::clone(&load))))
        .collect();
    let mut outages = Vec::new();
    for _ in 0..kills {
        more_acknowledged(&load, 200).await;
        let leader = cluster.leader().await;
        cluster.nodes[leader].kill();
        let began = Instant::now();
        more_acknowledged(&load, 1).await;
        outages.push(began.elapsed());
        more_acknowledged(&load, 200).await;
        let head = applied_elsewhere(&cluster, leader).await;
        cluster.nodes[leader].start();
        let node = &cluster.nodes[leader];
        eventually("the killed node to catch up", async || {
            (node.status().await?.log.applied_index >= head).then_some(())
        })
        .await;
    }
    load.stop.store(true, Ordering::Relaxed);
    let mut accounts = Vec::new();
    for writer in writers {
        accounts.push(writer.await.expect("a writer ends well"));
    }
    check_tokens(&cluster, &accounts).await;
    check_counter(&cluster, &accounts).await;
    cluster.settle().await;
    report(&mut outages, &load);
}

/// Every other writer is impatient, so that some outcomes are unknown.
fn client_of(writer: usize, cluster: &Cluster) -> Client {
    let patience = if writer.is_multiple_of(2) { PATIENCE } else { Duration::from_millis(300) };
    cluster.client().with_deadline(patience)
}

async fn write(writer: usize, client: Client, load: Arc<Load>) -> Account {
    let mut account = Account::default();
    let key = format!("tokens-{writer}");
    for token in 0..TOKENS_PER_WRITER {
        if load.stop.load(Ordering::Relaxed) {
            break;
        }
        match client.append(key.as_bytes(), format!("{token};").as_bytes()).await {
            Ok(_) => {
                account.acknowledged.push(token);
                load.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Err(Error::Unknown(_)) => account.unknown.push(token),
            Err(Error::NotApplied(_)) => account.not_applied.push(token),
            Err(error) => panic!("writer {writer}: {error}"),
        }
        match client.increment(b"counter", 1).await {
            Ok(_) => account.increments += 1,
            Err(Error::Unknown(_)) => account.increments_unknown += 1,
            Err(Error::NotApplied(_)) => {}
            Err(error) => panic!("writer {writer}: {error}"),
        }
    }
    account
}

async fn more_acknowledged(load: &Load, count: u64) {
    let before = load.acknowledged.load(Ordering::Relaxed);
    eventually("acknowledged writes", async || {
        (load.acknowledged.load(Ordering::Relaxed) >= before + count).then_some(())
    })
    .await;
}

/// How far the nodes but `dead` have applied.
async fn applied_elsewhere(cluster: &Cluster, dead: usize) -> u64 {
    let mut head = 0;
    for at in (0..cluster.nodes.len()).filter(|&at| at != dead) {
        head = head.max(cluster.nodes[at].serves().await.log.applied_index);
    }
    head
}

async fn check_tokens(cluster: &Cluster, accounts: &[Account]) {
    let client = cluster.client();
    for (writer, account) in accounts.iter().enumerate() {
        let read = client.get(format!("tokens-{writer}").as_bytes(), ReadOptions::default()).await;
        let read = read.expect("the cluster serves");
        let bytes = read.value.expect("every writer wrote something").bytes;
        let text = std::str::from_utf8(&bytes).expect("tokens are text");
        let applied: Vec<u64> =
            text.split_terminator(';').map(|token| token.parse().expect("tokens are numbers")).collect();
        let times = |token: &u64| applied.iter().filter(|applied| *applied == token).count();
        for token in &account.acknowledged {
            assert_eq!(times(token), 1, "writer {writer}: acknowledged token {token}");
        }
        for token in &account.unknown {
            assert!(times(token) <= 1, "writer {writer}: token {token} of unknown outcome is there twice");
        }
        for token in &account.not_applied {
            assert_eq!(times(token), 0, "writer {writer}: token {token} was called not applied");
        }
        let known = account.acknowledged.len() + account.unknown.len();
        assert!(applied.len() <= known, "writer {writer}: {} tokens applied, {known} written", applied.len());
    }
}

async fn check_counter(cluster: &Cluster, accounts: &[Account]) {
    let found = cluster.client().get(b"counter", ReadOptions::default()).await.expect("the cluster serves");
    let text = found.value.expect("somebody counted").bytes;
    let counter = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
    let counter: u64 = counter.expect("a number");
    let sure: u64 = accounts.iter().map(|account| account.increments).sum();
    let unsure: u64 = accounts.iter().map(|account| account.increments_unknown).sum();
    assert!(
        (sure..=sure + unsure).contains(&counter),
        "{counter}, but {sure} acknowledged, {unsure} unknown"
    );
}

fn report(outages: &mut [Duration], load: &Load) {
    outages.sort_unstable();
    let written = load.acknowledged.load(Ordering::Relaxed);
    let (shortest, longest) = (outages.first(), outages.last());
    let median = outages.get(outages.len() / 2);
    println!(
        "{} kills, {written} tokens acknowledged; outages: shortest {shortest:?}, median {median:?}, longest {longest:?}",
        outages.len()
    );
}
