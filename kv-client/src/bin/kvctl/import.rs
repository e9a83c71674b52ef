//! `import`: puts, many in flight, from JSON lines.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use indicatif::ProgressBar;
use kv_client::{Client, KvStore};
use tokio::fs::File;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::task::JoinSet;

use crate::{jsonl, progress};

/// Longest line: a longest key and value, every byte of them written as a JSON escape of six, and the rest.
const MOST_LINE_BYTES: u64 = 7 << 20;

/// Values in flight together have about this many bytes at most, however many they are.
const MOST_BYTES_IN_FLIGHT: usize = 32 << 20;

/// Room for one read.
const READ_BYTES: usize = 256 * 1024;

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Lines {"key":"..","value":".."}, either one also as .._b64 in base64; - for standard input
    ///
    /// Each line is a put. Lines of one key take effect in their order; others side by side. An import that ended
    /// early can simply be run again.
    file: PathBuf,
    /// Most puts in flight
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=1024))]
    window: u16,
}

pub(crate) async fn import(client: &Client, args: ImportArgs) -> Result<()> {
    let (input, total): (Box<dyn AsyncRead + Unpin>, _) = match args.file.to_str() {
        Some("-") => (Box::new(tokio::io::stdin()), None),
        _ => {
            let name = || args.file.display().to_string();
            let file = File::open(&args.file).await.with_context(name)?;
            let meta = file.metadata().await.with_context(name)?;
            (Box::new(file), meta.is_file().then_some(meta.len()))
        }
    };
    let mut lines = Lines { input: BufReader::with_capacity(READ_BYTES, input), line: Vec::new(), number: 0 };
    let mut import = Import {
        client,
        bar: progress::bytes(total),
        puts: JoinSet::new(),
        keys: HashSet::new(),
        bytes_in_flight: 0,
        imported: 0,
        bytes: 0,
        first_error: None,
    };
    let started = Instant::now();
    let read = import.run(&mut lines, usize::from(args.window)).await;
    import.bar.finish_and_clear();
    let summary = import.summary(started.elapsed());
    if let Err(error) = read {
        bail!(error.context(format!("import ended early: {summary}; run it again to go on")));
    }
    println!("{summary}");
    Ok(())
}

/// A put that has ended.
struct Put {
    line: u64,
    key: Vec<u8>,
    value_bytes: usize,
    result: Result<(), kv_client::Error>,
}

struct Import<'a> {
    client: &'a Client,
    bar: ProgressBar,
    puts: JoinSet<Put>,
    /// Of the puts in flight.
    keys: HashSet<Vec<u8>>,
    bytes_in_flight: usize,
    imported: u64,
    bytes: u64,
    /// The failed put of the lowest line.
    first_error: Option<(u64, kv_client::Error)>,
}

impl Import<'_> {
    /// Reads until the end or the first error, and waits for all puts that were begun.
    async fn run(&mut self, lines: &mut Lines<impl AsyncBufRead + Unpin>, window: usize) -> Result<()> {
        let mut read = Ok(());
        while self.first_error.is_none() {
            match lines.next().await {
                Ok(Some((key, value))) => self.put(lines.number, key, value, window).await,
                Ok(None) => break,
                Err(error) => {
                    read = Err(error);
                    break;
                }
            }
            self.bar.inc(lines.line.len() as u64);
        }
        while self.finish_one().await {}
        match self.first_error.take() {
            Some((line, error)) => Err(anyhow!(error).context(format!("line {line}"))),
            None => read,
        }
    }

    /// Begins a put, once there is room for it and none of the same key is in flight.
    async fn put(&mut self, line: u64, key: Vec<u8>, value: Vec<u8>, window: usize) {
        while self.puts.len() >= window
            || self.bytes_in_flight >= MOST_BYTES_IN_FLIGHT
            || self.keys.contains(&key)
        {
            self.finish_one().await;
        }
        self.keys.insert(key.clone());
        self.bytes_in_flight += value.len();
        let client = self.client.clone();
        self.puts.spawn(async move {
            let result = client.put(&key, &value).await.map(drop);
            Put { line, key, value_bytes: value.len(), result }
        });
    }

    /// Waits until a put ends; `false` if none is in flight.
    async fn finish_one(&mut self) -> bool {
        let Some(joined) = self.puts.join_next().await else { return false };
        let put = joined.expect("a put neither panics nor is aborted");
        self.keys.remove(&put.key);
        self.bytes_in_flight -= put.value_bytes;
        match put.result {
            Ok(()) => {
                self.imported += 1;
                self.bytes += (put.key.len() + put.value_bytes) as u64;
                self.bar.set_message(format!("{} keys", self.imported));
            }
            Err(error) if self.first_error.as_ref().is_none_or(|(line, _)| put.line < *line) => {
                self.first_error = Some((put.line, error));
            }
            Err(_of_a_later_line) => {}
        }
        true
    }

    fn summary(&self, elapsed: Duration) -> String {
        let (keys, megabytes) = (self.imported, self.bytes as f64 / 1e6);
        format!("imported {keys} keys ({megabytes:.1} MB) in {:.2} s", elapsed.as_secs_f64())
    }
}

/// The lines of the input; blank ones are passed over.
struct Lines<R> {
    input: R,
    line: Vec<u8>,
    /// Of `line`, from 1.
    number: u64,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    async fn next(&mut self) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        loop {
            self.number += 1;
            let number = self.number;
            match self.read().await.with_context(|| format!("line {number}"))? {
                0 => return Ok(None),
                _ if self.line.trim_ascii().is_empty() => {}
                _ => return jsonl::parse(&self.line).map(Some).with_context(|| format!("line {number}")),
            }
        }
    }

    async fn read(&mut self) -> io::Result<usize> {
        self.line.clear();
        let read = (&mut self.input).take(MOST_LINE_BYTES).read_until(b'\n', &mut self.line).await?;
        if read as u64 == MOST_LINE_BYTES && self.line.last() != Some(&b'\n') {
            let message = format!("longer than {MOST_LINE_BYTES} bytes, more than any pair needs");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(read)
    }
}
