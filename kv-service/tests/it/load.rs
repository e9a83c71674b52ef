//! Writers whose every write is accounted for: what was acknowledged is there once, what was refused is not, and of what
//! nobody knows there is at most one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kv_client::{Client, Error, KvStore, ReadOptions};
use tokio::task::JoinHandle;

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
struct Shared {
    stop: AtomicBool,
    acknowledged: AtomicU64,
    pace: Mutex<Pace>,
}

/// The longest time without an acknowledged write.
struct Pace {
    last: Instant,
    longest: Duration,
}

/// Some writers at work.
pub(crate) struct Load {
    shared: Arc<Shared>,
    writers: Vec<JoinHandle<Account>>,
}

impl Load {
    /// Writers that wait as long as a test does.
    pub(crate) fn start(cluster: &Cluster) -> Self {
        Self::with_patience(cluster, PATIENCE)
    }

    /// Writers that wait so long; every other one is less patient still, so that some outcomes are unknown.
    pub(crate) fn with_patience(cluster: &Cluster, patience: Duration) -> Self {
        let pace = Mutex::new(Pace { last: Instant::now(), longest: Duration::ZERO });
        let shared =
            Arc::new(Shared { stop: AtomicBool::default(), acknowledged: AtomicU64::default(), pace });
        let writer = |number: usize| {
            let patience = if number.is_multiple_of(2) { patience } else { Duration::from_millis(300) };
            let client = cluster.client().with_deadline(patience);
            tokio::spawn(write(number, client, Arc::clone(&shared)))
        };
        let writers = (0..WRITERS).map(writer).collect();
        Self { shared, writers }
    }

    /// Waits for this many more acknowledged writes.
    pub(crate) async fn more(&self, count: u64) {
        let before = self.acknowledged();
        eventually("acknowledged writes", async || (self.acknowledged() >= before + count).then_some(()))
            .await;
    }

    /// The longest time without an acknowledged write since this was last asked, the present one included.
    pub(crate) fn outage(&self) -> Duration {
        let mut pace = self.shared.pace.lock().expect("no writer panics while it holds it");
        std::mem::take(&mut pace.longest).max(pace.last.elapsed())
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// Ends the load, and checks what the cluster has against what the writers were told.
    pub(crate) async fn check(self, cluster: &Cluster) -> u64 {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut accounts = Vec::new();
        for writer in self.writers {
            accounts.push(writer.await.expect("a writer ends well"));
        }
        check_tokens(&cluster.client(), &accounts).await;
        check_counter(&cluster.client(), &accounts).await;
        self.shared.acknowledged.load(Ordering::Relaxed)
    }
}

async fn write(writer: usize, client: Client, shared: Arc<Shared>) -> Account {
    let mut account = Account::default();
    let key = format!("tokens-{writer}");
    for token in 0..TOKENS_PER_WRITER {
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
        match client.append(key.as_bytes(), format!("{token};").as_bytes()).await {
            Ok(_) => {
                account.acknowledged.push(token);
                shared.count();
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

impl Shared {
    fn count(&self) {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        let mut pace = self.pace.lock().expect("no writer panics while it holds it");
        let now = Instant::now();
        pace.longest = pace.longest.max(now - pace.last);
        pace.last = now;
    }
}

async fn check_tokens(client: &Client, accounts: &[Account]) {
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

async fn check_counter(client: &Client, accounts: &[Account]) {
    let found = client.get(b"counter", ReadOptions::default()).await.expect("the cluster serves");
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
