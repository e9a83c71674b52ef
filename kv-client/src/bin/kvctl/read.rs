//! `get`.

use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal, Write};

use anyhow::Result;
use clap::Args;
use kv_client::command::prefix_end;
use kv_client::protocol::{KeyMeta, MAX_PAGE_KEYS, RangeQuery};
use kv_client::{Client, KvStore, Record, Scan};
use serde::Serialize;

use crate::cli::ReadArgs;
use crate::exit::KeyNotFound;
use crate::format::{self, Format};
use crate::jsonl::Pair;
use crate::value;

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// The key
    #[arg(required_unless_present = "prefix", conflicts_with = "prefix")]
    key: Option<OsString>,
    /// All keys that begin with this, in place of one key; empty for all keys
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<OsString>,
    /// No more keys than this
    #[arg(long, requires = "prefix", value_name = "N")]
    limit: Option<u64>,
    /// Begin after this key
    #[arg(long, requires = "prefix", value_name = "KEY")]
    after: Option<OsString>,
    /// Leave the values out
    #[arg(long, requires = "prefix")]
    keys_only: bool,
    #[command(flatten)]
    read: ReadArgs,
}

/// A pair with all that is known of it.
#[derive(Serialize)]
struct Found<'a> {
    #[serde(flatten)]
    pair: Pair<'a>,
    #[serde(flatten)]
    meta: KeyMeta,
}

pub(crate) async fn get(client: &Client, output: Option<Format>, args: GetArgs) -> Result<()> {
    let format = Format::or_default(output);
    match args.key {
        Some(key) => one(client, format, value::key(key), &args.read).await,
        None => many(client, format, args).await,
    }
}

/// Prints a value: its bytes, and on a terminal a line end, so that the prompt has a line of its own.
async fn one(client: &Client, format: Format, key: Vec<u8>, read: &ReadArgs) -> Result<()> {
    let Some(found) = client.get(&key, read.options()).await?.value else {
        return Err(KeyNotFound(key).into());
    };
    let mut out = io::stdout().lock();
    match format {
        Format::Json => {
            let pair = Pair::new(&key, Some(&found.bytes));
            format::json(&mut out, &Found { pair, meta: found.meta })?;
        }
        Format::Table | Format::Raw => {
            out.write_all(&found.bytes)?;
            if out.is_terminal() {
                out.write_all(b"\n")?;
            }
        }
    }
    Ok(out.flush()?)
}

async fn many(client: &Client, format: Format, args: GetArgs) -> Result<()> {
    let mut left = args.limit.unwrap_or(u64::MAX);
    let prefix = args.prefix.map(value::key).unwrap_or_default();
    let query = RangeQuery {
        end: prefix_end(&prefix),
        start: prefix,
        after: args.after.map(value::key).unwrap_or_default(),
        limit: left.min(u64::from(MAX_PAGE_KEYS)) as u32,
        keys_only: args.keys_only,
    };
    let mut scan = Scan::new(client, query, args.read.options());
    let mut out = BufWriter::new(io::stdout().lock());
    let mut rows = Vec::new();
    while left > 0
        && let Some(record) = scan.next().await?
    {
        left -= 1;
        match format {
            Format::Table => rows.push(row(&record)),
            Format::Json => {
                let value = (!args.keys_only).then_some(&record.value[..]);
                format::json(&mut out, &Found { pair: Pair::new(&record.key, value), meta: record.meta })?;
            }
            Format::Raw => raw(&mut out, &record, args.keys_only)?,
        }
    }
    if !rows.is_empty() {
        writeln!(out, "{}", format::table(["KEY", "VALUE", "REVISION", "VERSION"], rows))?;
    }
    Ok(out.flush()?)
}

fn row(record: &Record) -> [String; 4] {
    let Record { key, value, meta } = record;
    [format::cell(key), format::cell(value), meta.mod_revision.to_string(), meta.version.to_string()]
}

/// Key, tab, value, line end; the bytes as they are.
fn raw(out: &mut impl Write, record: &Record, keys_only: bool) -> io::Result<()> {
    out.write_all(&record.key)?;
    if !keys_only {
        out.write_all(b"\t")?;
        out.write_all(&record.value)?;
    }
    out.write_all(b"\n")
}
