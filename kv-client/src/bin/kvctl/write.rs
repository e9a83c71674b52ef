//! `put`, `del`, `append`, `incr`, `cas`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};

use anyhow::Result;
use clap::Args;
use kv_client::command::Expect;
use kv_client::{Client, KvStore, Response};

use crate::exit::{KeyNotFound, Usage};
use crate::format::{self, Format};
use crate::value;

#[derive(Debug, Args)]
pub(crate) struct PutArgs {
    /// The key
    key: OsString,
    #[arg(help = value::HELP)]
    value: OsString,
    /// Only if the key does not exist
    #[arg(long, conflicts_with = "if_revision")]
    if_absent: bool,
    /// Only if the key was last changed at this revision
    #[arg(long, value_name = "REVISION")]
    if_revision: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct DelArgs {
    /// The key
    key: OsString,
    /// Only if the key was last changed at this revision
    #[arg(long, value_name = "REVISION")]
    if_revision: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct AppendArgs {
    /// The key
    key: OsString,
    #[arg(help = value::HELP)]
    value: OsString,
}

#[derive(Debug, Args)]
pub(crate) struct IncrArgs {
    /// The key
    key: OsString,
    /// What to add
    #[arg(default_value_t = 1, allow_negative_numbers = true)]
    by: i64,
}

#[derive(Debug, Args)]
#[command(
    override_usage = "kvctl cas [OPTIONS] <KEY> <OLD> <NEW>\n       kvctl cas [OPTIONS] <KEY> --absent <NEW>"
)]
pub(crate) struct CasArgs {
    /// The key
    key: OsString,
    /// The value it must have, and the value to set; with --absent, the latter alone
    #[arg(num_args = 1..=2, required = true, value_names = ["OLD", "NEW"])]
    values: Vec<OsString>,
    /// The key must not exist
    #[arg(long)]
    absent: bool,
}

pub(crate) async fn put(client: &Client, output: Option<Format>, args: PutArgs) -> Result<()> {
    let (key, value) = (value::key(args.key), value::value(args.value)?);
    let expect = if args.if_absent { Expect::Absent } else { at_revision(args.if_revision) };
    let response = client.put_if(&key, &value, expect).await?;
    print(output, &response, None)
}

pub(crate) async fn del(client: &Client, output: Option<Format>, args: DelArgs) -> Result<()> {
    let key = value::key(args.key);
    let response = client.delete_if(&key, at_revision(args.if_revision)).await?;
    if !response.value {
        return Err(KeyNotFound(key).into());
    }
    print(output, &response, None)
}

pub(crate) async fn append(client: &Client, output: Option<Format>, args: AppendArgs) -> Result<()> {
    let (key, value) = (value::key(args.key), value::value(args.value)?);
    let response = client.append(&key, &value).await?;
    print(output, &response, Some(("length", response.value.into())))
}

pub(crate) async fn incr(client: &Client, output: Option<Format>, args: IncrArgs) -> Result<()> {
    let response = client.increment(&value::key(args.key), args.by).await?;
    print(output, &response, Some(("value", response.value.into())))
}

pub(crate) async fn cas(client: &Client, output: Option<Format>, args: CasArgs) -> Result<()> {
    let (old, new) = match <[_; 2]>::try_from(args.values) {
        Ok(_) if args.absent => {
            return Err(Usage("cas --absent takes the key and the new value alone").into());
        }
        Ok([old, new]) if value::is_stdin(&old) && value::is_stdin(&new) => {
            return Err(Usage("cas: only one of the two values can be on standard input").into());
        }
        Ok([old, new]) => (Some(value::value(old)?), new),
        Err(mut new) if args.absent => (None, new.remove(0)),
        Err(_new) => return Err(Usage("cas takes the key, the old and the new value; or --absent").into()),
    };
    let (key, new) = (value::key(args.key), value::value(new)?);
    let response = client.compare_and_swap(&key, old.as_deref(), &new).await?;
    print(output, &response, None)
}

fn at_revision(revision: Option<u64>) -> Expect {
    revision.map_or(Expect::Anything, Expect::ModRevision)
}

/// Prints what a write came to: the number that it made, or else, on a terminal, the revision it made.
fn print<T>(
    output: Option<Format>,
    response: &Response<T>,
    made: Option<(&'static str, serde_json::Value)>,
) -> Result<()> {
    let mut out = io::stdout().lock();
    match (Format::or_default(output), made) {
        (Format::Json, made) => {
            let numbers =
                [("revision", response.revision), ("term", response.term), ("index", response.index)];
            let numbers = numbers.map(|(name, number)| (name, number.into()));
            let fields: BTreeMap<_, _> = made.into_iter().chain(numbers).collect();
            format::json(&mut out, &fields)?;
        }
        (_, Some((_, number))) => writeln!(out, "{number}")?,
        (Format::Table, None) => writeln!(out, "revision {}", response.revision)?,
        (Format::Raw, None) => {}
    }
    Ok(())
}
