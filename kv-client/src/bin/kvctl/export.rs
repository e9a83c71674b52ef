//! `export`: all pairs as JSON lines.

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use kv_client::{Client, Scan};
use tempfile::NamedTempFile;

use crate::cli::{Global, ReadArgs};
use crate::format;
use crate::jsonl::Pair;
use crate::{progress, value};

/// What a new file gets, less the umask.
const FILE_MODE: u32 = 0o666;

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Where to write; a file appears when it is complete, in place of an older one; - for standard output
    ///
    /// The keys are read page by page: each page shows the store as it was when that page was read, not the whole
    /// export as it was at one moment. Keys that are written meanwhile may be in it or not.
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Only keys that begin with this
    #[arg(long, default_value = "")]
    prefix: OsString,
    #[command(flatten)]
    read: ReadArgs,
}

pub(crate) async fn export(client: &Client, global: &Global, args: ExportArgs) -> Result<()> {
    let prefix = value::key(args.prefix);
    let total = if prefix.is_empty() { number_of_keys(client, global).await } else { None };
    let scan = Scan::prefix(client, &prefix, args.read.options());
    if args.file.as_os_str() == "-" {
        return copy(scan, total, &mut BufWriter::new(io::stdout().lock())).await;
    }
    to_file(scan, total, &args.file).await.with_context(|| args.file.display().to_string())
}

/// About how many keys there are, for the progress bar; it does without if nobody says.
async fn number_of_keys(client: &Client, global: &Global) -> Option<u64> {
    let status = client.status(global.endpoints.first()?).await.ok()?;
    Some(status.store.keys)
}

/// Writes beside the file, and renames when all of it is durable.
async fn to_file(scan: Scan<'_>, total: Option<u64>, path: &Path) -> Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mode = Permissions::from_mode(FILE_MODE);
    let file: NamedTempFile = tempfile::Builder::new().permissions(mode).tempfile_in(folder)?;
    let mut out = BufWriter::new(file);
    copy(scan, total, &mut out).await?;
    let file = out.into_inner().map_err(|error| error.into_error())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    // The new name is durable with its folder.
    Ok(File::open(folder)?.sync_all()?)
}

async fn copy(mut scan: Scan<'_>, total: Option<u64>, out: &mut impl Write) -> Result<()> {
    let started = Instant::now();
    let bar = progress::keys(total);
    let (mut keys, mut bytes) = (0_u64, 0);
    while let Some(page) = scan.next_page().await? {
        for record in &page.records {
            format::json(out, &Pair::new(&record.key, Some(&record.value)))?;
            bytes += record.key.len() + record.value.len();
        }
        keys += page.records.len() as u64;
        bar.inc(page.records.len() as u64);
    }
    out.flush()?;
    bar.finish_and_clear();
    let (megabytes, seconds) = (bytes as f64 / 1e6, started.elapsed().as_secs_f64());
    eprintln!("exported {keys} keys ({megabytes:.1} MB) in {seconds:.2} s");
    Ok(())
}
