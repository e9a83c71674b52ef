//! Commands committed and applied by three nodes in one thread with the log in memory: this crate beside crate `raft`, in
//! turns within one run.
//!
//! `cargo bench -p raft-core --bench rounds [-- SECONDS]`. A round proposes a batch of fresh 256-byte commands at the leader
//! and carries messages until the leader has applied it; at the end of a measurement all three nodes have applied
//! everything, and hold it in their logs.

mod ours;
mod theirs;

use std::time::{Duration, Instant};

/// Bytes of one command.
const COMMAND_BYTES: usize = 256;
const BATCHES: [usize; 3] = [1, 16, 256];
/// Measurements of each side at each batch; the median counts.
const TURNS: usize = 7;
/// Entries a log holds at most before the cluster is made anew, so that memory stays bounded.
const LONGEST_LOG: usize = 400_000;

/// Three nodes, one of which leads.
trait Cluster {
    fn new() -> Self;

    /// Proposes `batch` commands and carries messages until the leader has applied them.
    fn round(&mut self, batch: usize);

    /// Carries messages until everybody has applied everything: commands applied on each node.
    fn finish(&mut self) -> [usize; 3];
}

/// Commands are of fresh bytes, made where the clock runs, as a server's would be.
fn command(number: usize) -> Vec<u8> {
    let mut bytes = vec![0x5A; COMMAND_BYTES];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// Commands per second.
fn measure<C: Cluster>(batch: usize, duration: Duration) -> f64 {
    let (mut commands, mut spent) = (0, Duration::ZERO);
    while spent < duration {
        let mut cluster = C::new();
        let (mut proposed, began) = (0, Instant::now());
        while proposed < LONGEST_LOG && (proposed % 1024 != 0 || spent + began.elapsed() < duration) {
            cluster.round(batch);
            proposed += batch;
        }
        assert_eq!(cluster.finish(), [proposed; 3], "everybody has applied everything");
        spent += began.elapsed();
        commands += proposed;
    }
    commands as f64 / spent.as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn main() {
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let duration = Duration::from_secs_f64(seconds.unwrap_or(0.5));
    println!(
        "commands of {COMMAND_BYTES} bytes, 3 nodes, 1 thread, medians of {TURNS} turns of {duration:?}"
    );
    println!("{:>6}  {:>14}  {:>14}  {:>6}", "batch", "raft-core /s", "raft 0.7 /s", "ratio");
    for batch in BATCHES {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            ours.push(measure::<ours::Ours>(batch, duration));
            theirs.push(measure::<theirs::Theirs>(batch, duration));
        }
        let (ours, theirs) = (median(ours), median(theirs));
        println!("{batch:>6}  {ours:>14.0}  {theirs:>14.0}  {:>6.2}", ours / theirs);
    }
}
