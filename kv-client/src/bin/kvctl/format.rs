//! How results are printed.

#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal, Write};

use anyhow::Result;
use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde::Serialize;

/// Longest text in a cell of a table, in characters.
const MOST_CELL_CHARS: usize = 60;

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// One JSON value a line
    Json,
    /// Bytes as they are
    Raw,
}

impl Format {
    /// What was asked for; else by what reads it.
    pub(crate) fn or_default(asked: Option<Self>) -> Self {
        asked.unwrap_or_else(|| if io::stdout().is_terminal() { Self::Table } else { Self::Raw })
    }
}

/// Prints one JSON value and a line end.
pub(crate) fn json(out: &mut impl Write, value: &impl Serialize) -> Result<()> {
    serde_json::to_writer(&mut *out, value).map_err(io::Error::from)?;
    Ok(out.write_all(b"\n")?)
}

/// Columns without borders.
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header).add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// Bytes as a short text on one line.
pub(crate) fn cell(bytes: &[u8]) -> String {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.escape_debug().to_string(),
        Err(_binary) => bytes.escape_ascii().to_string(),
    };
    match text.char_indices().nth(MOST_CELL_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
