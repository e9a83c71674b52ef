//! `bench`: puts and linearizable gets against the running local cluster, and what they cost.
//!
//! `kvctl bench` makes the load and measures latencies; here the cluster's own counters and CPU times are read
//! before and after. On one machine the load generator takes its share of the cores: figures are comparable only
//! with others of the same machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::cluster::{Cluster, LOOK_LIMIT, Location, columns};
use crate::command::{echo, quoted};
use crate::machine::Machine;

const VALUE_BYTES: &str = "256";
const OPERATIONS: [&str; 2] = ["put", "get"];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Seconds for each measurement
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Numbers of concurrent callers
    #[arg(long, value_delimiter = ',', value_name = "N,N,..", default_values_t = [1, 64, 256])]
    callers: Vec<u32>,
    /// Callers share this many connections; measured beside one connection for each
    #[arg(long, default_value_t = 8)]
    connections: u32,
    /// Save machine, command and measurements as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    location: Location,
}

/// What `kvctl bench -o json` prints.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Load {
    op: String,
    callers: u32,
    connections: u32,
    seconds: f64,
    operations: u64,
    errors: u64,
    ops_per_second: f64,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
}

/// The cluster's counters at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    term: u64,
    /// Of the leader's log.
    entries: u64,
    /// Of the leader's log.
    syncs: u64,
    /// Of all nodes together.
    cpu: Duration,
}

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
struct Measurement {
    #[serde(flatten)]
    load: Load,
    /// On the leader; `None` without a sync, or when the leader changed.
    entries_per_sync: Option<f64>,
    /// Of all nodes; `None` without an operation.
    cpu_us_per_operation: Option<f64>,
    leader_changed: bool,
}

/// What `--json` saves.
#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    command: String,
    value_bytes: &'static str,
    nodes: usize,
    measurements: Vec<Measurement>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let cluster = args.location.cluster()?;
    Counters::read(&cluster)?;
    let mut measurements = Vec::new();
    for op in OPERATIONS {
        for (callers, connections) in loads(&args.callers, args.connections) {
            measurements.push(measure(&cluster, op, callers, connections, args.seconds)?);
        }
    }
    let words: Vec<_> = std::env::args().skip(1).map(|word| quoted(&word)).collect();
    let report = Report {
        machine: Machine::here(),
        command: format!("cargo xtask {}", words.join(" ")),
        value_bytes: VALUE_BYTES,
        nodes: cluster.nodes.len(),
        measurements,
    };
    print(&report);
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report).context("report")? + "\n";
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Pairs of callers and connections: shared connections and one each, without repeats.
fn loads(callers: &[u32], connections: u32) -> BTreeSet<(u32, u32)> {
    callers
        .iter()
        .flat_map(|&callers| [(callers, connections.clamp(1, callers)), (callers, callers)])
        .collect()
}

fn measure(cluster: &Cluster, op: &str, callers: u32, connections: u32, seconds: u32) -> Result<Measurement> {
    let mut command = cluster.kvctl().command();
    command.args(["-o", "json", "bench", "--op", op, "--value-bytes", VALUE_BYTES]);
    for (option, value) in [("--callers", callers), ("--connections", connections), ("--seconds", seconds)] {
        command.args([option, &value.to_string()]);
    }
    echo(&command);
    let before = Counters::read(cluster)?;
    let output = command.stderr(Stdio::inherit()).output().context("cannot start kvctl")?;
    let after = Counters::read(cluster)?;
    ensure!(output.status.success(), "kvctl bench: {}", output.status);
    let load: Load =
        serde_json::from_slice(&output.stdout).context("kvctl bench printed something else than JSON")?;
    Ok(Measurement::new(load, before, after))
}

impl Counters {
    /// # Errors
    /// Nobody leads, or a node does not run: a cluster like that is not measured.
    fn read(cluster: &Cluster) -> Result<Self> {
        let mut cpu = Duration::ZERO;
        for node in &cluster.nodes {
            let time = node.running().and_then(|process| process.cpu_time());
            cpu += time
                .with_context(|| format!("{} does not run: cargo xtask restart {}", node.name, node.name))?;
        }
        let status = cluster.kvctl().status(LOOK_LIMIT)?;
        let leader = status.leader().context("no leader: see cargo xtask cluster-status")?;
        Ok(Self { term: leader.term.unwrap_or(0), entries: leader.log.entries, syncs: leader.log.syncs, cpu })
    }
}

impl Measurement {
    fn new(load: Load, before: Counters, after: Counters) -> Self {
        let leader_changed = before.term != after.term;
        let syncs = after.syncs.saturating_sub(before.syncs);
        let entries = after.entries.saturating_sub(before.entries);
        let cpu = after.cpu.saturating_sub(before.cpu);
        Self {
            entries_per_sync: (syncs > 0 && !leader_changed).then(|| entries as f64 / syncs as f64),
            cpu_us_per_operation: (load.operations > 0)
                .then(|| cpu.as_micros() as f64 / load.operations as f64),
            leader_changed,
            load,
        }
    }

    fn row(&self) -> [String; 11] {
        let number = |number: f64| format!("{number:.0}");
        let tenth =
            |number: Option<f64>| number.map_or_else(|| "-".to_owned(), |number| format!("{number:.1}"));
        [
            self.load.op.clone(),
            self.load.callers.to_string(),
            self.load.connections.to_string(),
            number(self.load.ops_per_second),
            number(self.load.p50_us),
            number(self.load.p99_us),
            number(self.load.p999_us),
            tenth(self.entries_per_sync),
            tenth(self.cpu_us_per_operation),
            self.load.errors.to_string(),
            if self.leader_changed { "leader changed".to_owned() } else { String::new() },
        ]
    }
}

fn print(report: &Report) {
    let header = [
        "OP",
        "CALLERS",
        "CONNECTIONS",
        "OPS/S",
        "P50 US",
        "P99 US",
        "P99.9 US",
        "ENTRIES/SYNC",
        "CPU US/OP",
        "ERRORS",
        "",
    ];
    println!("{}\n", columns(header, report.measurements.iter().map(Measurement::row)));
    println!(
        "{} nodes, values of {} bytes; entries/sync of the leader, CPU of all nodes",
        report.nodes, VALUE_BYTES
    );
    println!("machine: {}", report.machine);
    println!("command: {}", report.command);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(operations: u64) -> Load {
        Load {
            op: "put".to_owned(),
            callers: 64,
            connections: 8,
            seconds: 5.0,
            operations,
            errors: 0,
            ops_per_second: 2000.0,
            p50_us: 900.4,
            p99_us: 3000.0,
            p999_us: 9000.0,
        }
    }

    #[test]
    fn callers_share_connections_and_have_one_each_and_never_more_than_that() {
        let loads: Vec<_> = loads(&[1, 64], 8).into_iter().collect();
        assert_eq!(loads, [(1, 1), (64, 8), (64, 64)]);
    }

    #[test]
    fn costs_are_differences_of_the_counters() {
        let before = Counters { term: 2, entries: 10, syncs: 10, cpu: Duration::from_secs(1) };
        let after = Counters { term: 2, entries: 5010, syncs: 110, cpu: Duration::from_secs(2) };
        let measurement = Measurement::new(load(10_000), before, after);
        let expected = ["put", "64", "8", "2000", "900", "3000", "9000", "50.0", "100.0", "0", ""];
        assert_eq!(measurement.row(), expected);
        assert_eq!(Measurement::new(load(10_000), before, before).row()[7], "-");
    }

    #[test]
    fn counters_of_two_leaders_are_not_subtracted() {
        let before = Counters { term: 2, entries: 10, syncs: 10, ..Counters::default() };
        let after = Counters { term: 3, entries: 900, syncs: 20, ..Counters::default() };
        let row = Measurement::new(load(1), before, after).row();
        assert_eq!((row[7].as_str(), row[10].as_str()), ("-", "leader changed"));
    }
}
