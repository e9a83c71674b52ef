//! Values given on the command line: as text, on standard input, or in a file.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use anyhow::{Context, Result, bail};
use kv_client::command::MAX_VALUE_BYTES;

/// How values are given, for the help.
pub(crate) const HELP: &str = "Text; - for standard input; @FILE for the bytes of a file";

/// The bytes of a key.
pub(crate) fn key(argument: OsString) -> Vec<u8> {
    argument.into_vec()
}

/// Whether a value comes from standard input.
pub(crate) fn is_stdin(argument: &OsStr) -> bool {
    argument == "-"
}

/// The bytes of a value.
pub(crate) fn value(argument: OsString) -> Result<Vec<u8>> {
    if is_stdin(&argument) {
        return bounded(io::stdin().lock()).context("standard input");
    }
    match argument.as_bytes() {
        [b'@', path @ ..] => {
            let path = Path::new(OsStr::from_bytes(path));
            let read = File::open(path).map_err(Into::into).and_then(bounded);
            read.with_context(|| path.display().to_string())
        }
        _ => Ok(argument.into_vec()),
    }
}

/// Reads no more than shows that it is too long: a value, not a stream.
fn bounded(input: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(MAX_VALUE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_VALUE_BYTES {
        bail!("longer than a value may be ({MAX_VALUE_BYTES} bytes)");
    }
    Ok(bytes)
}
