//! How long the state machine takes to apply a command and to answer a get: one thread, neither log nor network.
//!
//! `cargo run --release -p kv-service --example store_bench [KEYS]` prints nanoseconds per operation over KEYS
//! keys (1,000,000 if left out) of 16 bytes with values of 256 bytes, touched in random order.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use kv_client::command::{Command, Envelope, Expect, SessionTag};
use kv_service::store::Store;
use raft_core::block::{Block, BlockBuilder, EntryKind};
use raft_core::rng::Rng;
use raft_core::state_machine::StateMachine;
use raft_core::types::{LogIndex, Term};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Entries in a block: about what one sync carries under load.
const BATCH: u64 = 64;

fn main() -> Outcome<()> {
    let keys: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |count| count.parse())?;
    let mut bench = Bench { store: Store::new(), applied: LogIndex::ZERO, rng: Rng::new(1), keys };

    print("put, new keys", keys, bench.apply(keys, put, Keys::Ascending, None)?);
    print("put, present keys", keys, bench.apply(keys, put, Keys::Random, None)?);
    bench.apply(1, |_| Command::OpenSession, Keys::Random, None)?;
    let session = Some(bench.applied.0);
    print("put in a session", keys, bench.apply(keys, put, Keys::Random, session)?);
    print("append one byte", keys, bench.apply(keys, append, Keys::Random, None)?);
    print("get", keys, bench.get());

    let start = Instant::now();
    let frozen = bench.store.freeze();
    print("freeze, in all", 1, start.elapsed());
    print("put beside a frozen copy", keys / 10, bench.apply(keys / 10, put, Keys::Random, None)?);
    let mut bytes = Vec::new();
    let start = Instant::now();
    frozen.write_to(&mut bytes)?;
    print("write snapshot, by key", keys, start.elapsed());
    drop(frozen);
    let start = Instant::now();
    bench.store.restore(&mut bytes.as_slice())?;
    print("restore snapshot, by key", keys, start.elapsed());
    Ok(())
}

fn put(key: &[u8]) -> Command<'_> {
    Command::Put { key, value: &[b'v'; 256], lease: 0, expect: Expect::Anything }
}

fn append(key: &[u8]) -> Command<'_> {
    Command::Append { key, value: b"x" }
}

fn print(what: &str, operations: u64, time: Duration) {
    println!("{what:26} {:>9.0} ns", time.as_nanos() as f64 / operations as f64);
}

/// In which order keys are touched. Their bytes are scattered in either case.
#[derive(Clone, Copy)]
enum Keys {
    Ascending,
    Random,
}

struct Bench {
    store: Store,
    applied: LogIndex,
    rng: Rng,
    keys: u64,
}

impl Bench {
    /// Applies `count` commands and says how long that took, without making them.
    fn apply(
        &mut self,
        count: u64,
        command: fn(&[u8]) -> Command<'_>,
        keys: Keys,
        session: Option<u64>,
    ) -> Outcome<Duration> {
        let mut time = Duration::ZERO;
        let mut replies = Vec::new();
        for first in (0..count).step_by(BATCH as usize) {
            let block = self.block(first..count.min(first + BATCH), command, keys, session)?;
            let start = Instant::now();
            replies.clear();
            self.store.apply(&[block], &mut replies)?;
            time += start.elapsed();
            black_box(&replies);
        }
        Ok(time)
    }

    fn block(
        &mut self,
        numbers: std::ops::Range<u64>,
        command: fn(&[u8]) -> Command<'_>,
        keys: Keys,
        session: Option<u64>,
    ) -> Outcome<Block> {
        let mut builder = BlockBuilder::new();
        let mut bytes = Vec::new();
        let entries = numbers.end - numbers.start;
        for number in numbers {
            let key = self.key(number, keys);
            bytes.clear();
            command(&key).encode(&mut bytes)?;
            let lowest_unacknowledged = number.saturating_sub(BATCH);
            let tag = session.map(|session| SessionTag { session, sequence: number, lowest_unacknowledged });
            let envelope = Envelope { tag, cluster_time_micros: number };
            builder.push(EntryKind::Normal, &[&envelope.to_bytes(), &bytes]);
        }
        let block = builder.finish(self.applied.next(), Term(1)).ok_or("a block without entries")?;
        self.applied = self.applied.plus(entries);
        Ok(block)
    }

    fn get(&mut self) -> Duration {
        let mut time = Duration::ZERO;
        for _ in (0..self.keys).step_by(BATCH as usize) {
            let keys: Vec<_> = (0..BATCH).map(|_| self.key(0, Keys::Random)).collect();
            let start = Instant::now();
            for key in &keys {
                black_box(self.store.get(key));
            }
            time += start.elapsed();
        }
        time
    }

    fn key(&mut self, number: u64, keys: Keys) -> [u8; 16] {
        let number = match keys {
            Keys::Ascending => number,
            Keys::Random => self.rng.below(self.keys),
        };
        let scattered = format!("{:016x}", Rng::new(number).next_u64());
        *scattered.as_bytes().first_chunk().expect("16 digits")
    }
}
