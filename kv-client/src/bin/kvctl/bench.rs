//! `bench`: a closed loop of callers, each waiting for its answer before it asks again.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use hdrhistogram::Histogram;
use kv_client::{Client, KvStore, ReadOptions};
use rand::rngs::SmallRng;
use rand::{Rng, RngExt};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cli::Global;
use crate::clients::Clients;
use crate::format::{self, Format};

/// Requests of this long at the start are not counted: connections, sessions and leaders are found meanwhile.
const WARM_UP: Duration = Duration::from_millis(500);

/// Longest latency that is told apart.
const MOST_MICROS: u64 = 600_000_000;

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// What to do again and again
    #[arg(long, value_enum, default_value_t)]
    op: Operation,
    /// How many callers, each with one request at a time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    callers: u32,
    /// How many connections they share, each with a session of its own
    #[arg(long, value_name = "C", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// How long, after a warm-up of half a second
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    seconds: f64,
    /// Length of the values, random and new for each put
    #[arg(long, value_name = "B", default_value_t = 256)]
    value_bytes: usize,
    /// How many keys, picked at random; gets write them first
    #[arg(long, value_name = "K", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Operation {
    /// Put
    #[default]
    Put,
    /// Linearizable get
    Get,
}

/// What was measured; times in microseconds.
#[derive(Debug, Serialize)]
struct Report {
    op: Operation,
    callers: u32,
    connections: u32,
    seconds: f64,
    operations: u64,
    errors: u64,
    ops_per_second: f64,
    p50_us: u64,
    p99_us: u64,
    p999_us: u64,
    max_us: u64,
}

/// What all callers share.
struct Load {
    op: Operation,
    keys: u64,
    value_bytes: usize,
    from: Instant,
    end: Instant,
    tally: Mutex<Tally>,
}

struct Tally {
    micros: Histogram<u64>,
    errors: u64,
    last_error: Option<kv_client::Error>,
}

pub(crate) async fn bench(to: &Clients<'_>, global: &Global, args: BenchArgs) -> Result<()> {
    let connections = args.connections.min(args.callers);
    let clients = (0..connections).map(|_| to.connect()).collect::<Result<Vec<_>>>()?;
    if args.op == Operation::Get {
        fill(&clients, &args).await?;
    }
    let from = Instant::now() + WARM_UP;
    let seconds = Duration::try_from_secs_f64(args.seconds).context("--seconds")?;
    let micros = Histogram::new_with_max(MOST_MICROS, 3).context("histogram")?;
    let load = Arc::new(Load {
        op: args.op,
        keys: args.keys,
        value_bytes: args.value_bytes,
        from,
        end: from + seconds,
        tally: Mutex::new(Tally { micros, errors: 0, last_error: None }),
    });
    let mut callers: JoinSet<()> = (0..args.callers)
        .zip(clients.iter().cycle())
        .map(|(_, client)| call(client.clone(), Arc::clone(&load)))
        .collect();
    while let Some(joined) = callers.join_next().await {
        joined.context("a caller")?;
    }
    let tally = load.tally.lock().expect("all callers are done");
    print(global.output, &args, connections, &tally)?;
    match &tally.last_error {
        Some(error) if tally.micros.is_empty() => Err(error.clone().into()),
        _ => Ok(()),
    }
}

/// Writes every key once.
async fn fill(clients: &[Client], args: &BenchArgs) -> Result<()> {
    let mut puts = JoinSet::new();
    for (number, client) in (0..args.keys).zip(clients.iter().cycle()) {
        if puts.len() >= args.callers as usize {
            puts.join_next().await.context("a put in flight")???;
        }
        let (client, value_bytes) = (client.clone(), args.value_bytes);
        puts.spawn(async move {
            client.put(&key(number), &payload(&mut rand::make_rng(), value_bytes)).await.map(drop)
        });
    }
    while let Some(joined) = puts.join_next().await {
        joined??;
    }
    Ok(())
}

/// One caller, until the time is over.
async fn call(client: Client, load: Arc<Load>) {
    let mut rng: SmallRng = rand::make_rng();
    loop {
        let started = Instant::now();
        if started >= load.end {
            return;
        }
        let key = key(rng.random_range(0..load.keys));
        let done = match load.op {
            Operation::Put => client.put(&key, &payload(&mut rng, load.value_bytes)).await.map(drop),
            Operation::Get => client.get(&key, ReadOptions::default()).await.map(drop),
        };
        load.count(started, done);
    }
}

impl Load {
    /// Counts what was begun after the warm-up and ended in time.
    fn count(&self, started: Instant, done: Result<(), kv_client::Error>) {
        let now = Instant::now();
        let mut tally = self.tally.lock().expect("no caller panics while it counts");
        match done {
            Ok(()) if started >= self.from && now <= self.end => {
                let micros = u64::try_from((now - started).as_micros()).unwrap_or(u64::MAX);
                tally.micros.saturating_record(micros.max(1));
            }
            Ok(()) => {}
            Err(error) => {
                tally.errors += 1;
                tally.last_error = Some(error);
            }
        }
    }
}

fn key(number: u64) -> Vec<u8> {
    format!("bench/{number:010}").into_bytes()
}

fn payload(rng: &mut SmallRng, bytes: usize) -> Vec<u8> {
    let mut payload = vec![0; bytes];
    rng.fill_bytes(&mut payload);
    payload
}

fn print(output: Option<Format>, args: &BenchArgs, connections: u32, tally: &Tally) -> Result<()> {
    let Tally { micros, errors, .. } = tally;
    let operations = micros.len();
    let report = Report {
        op: args.op,
        callers: args.callers,
        connections,
        seconds: args.seconds,
        operations,
        errors: *errors,
        ops_per_second: operations as f64 / args.seconds,
        p50_us: micros.value_at_quantile(0.5),
        p99_us: micros.value_at_quantile(0.99),
        p999_us: micros.value_at_quantile(0.999),
        max_us: micros.max(),
    };
    if output == Some(Format::Json) {
        return format::json(&mut io::stdout().lock(), &report);
    }
    let header =
        ["OP", "CALLERS", "CONNECTIONS", "OPS/S", "P50 US", "P99 US", "P99.9 US", "MAX US", "ERRORS"];
    let row = [
        format!("{:?}", report.op).to_lowercase(),
        report.callers.to_string(),
        report.connections.to_string(),
        format!("{:.0}", report.ops_per_second),
        report.p50_us.to_string(),
        report.p99_us.to_string(),
        report.p999_us.to_string(),
        report.max_us.to_string(),
        report.errors.to_string(),
    ];
    println!("{}", format::table(header, [row]));
    Ok(())
}
