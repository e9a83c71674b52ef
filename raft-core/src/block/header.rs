//! The part of a block that is not table or payload: where it starts, how long it is, and the terms of its entries.

use super::{BlockError, ROW_BYTES, TermRun, TermRuns};
use crate::types::{LogIndex, Term};

/// Bytes before the runs.
const FIXED_BYTES: usize = 20;
/// Bytes of one run.
const RUN_BYTES: usize = 16;

/// See the layout in [`crate::block`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BlockHeader {
    /// Index of the first entry.
    pub first: LogIndex,
    /// Number of entries.
    pub entries: u32,
    /// Length of the payload in bytes.
    pub payload_bytes: u32,
    /// Terms; the first run starts at `first`.
    pub runs: TermRuns,
}

impl BlockHeader {
    /// Bytes that [`encode`](Self::encode) appends.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        Self::len_with(self.runs.len())
    }

    /// The same, for a header with so many runs.
    pub(super) const fn len_with(runs: usize) -> usize {
        FIXED_BYTES + runs * RUN_BYTES
    }

    /// Bytes of the table that belongs to this header.
    #[must_use]
    pub const fn table_bytes(&self) -> usize {
        self.entries as usize * ROW_BYTES
    }

    /// Appends the layout of the module to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.first.0.to_le_bytes());
        out.extend_from_slice(&self.entries.to_le_bytes());
        out.extend_from_slice(&self.payload_bytes.to_le_bytes());
        let runs = u32::try_from(self.runs.len()).expect("no more runs than entries, which are u32");
        out.extend_from_slice(&runs.to_le_bytes());
        for run in &self.runs {
            out.extend_from_slice(&run.first.0.to_le_bytes());
            out.extend_from_slice(&run.term.0.to_le_bytes());
        }
    }

    /// Reads a header from the start of `bytes`; the answer's second part is how many bytes it took.
    ///
    /// # Errors
    /// [`BlockError`] if the bytes end early or break the block invariant.
    pub fn decode(bytes: &[u8]) -> Result<(Self, usize), BlockError> {
        let short = |expected| BlockError::TruncatedHeader { found: bytes.len(), expected };
        let fixed: &[u8; FIXED_BYTES] = bytes.first_chunk().ok_or_else(|| short(FIXED_BYTES))?;
        let first = LogIndex(u64_at(fixed, 0));
        let (entries, payload_bytes, runs) = (u32_at(fixed, 8), u32_at(fixed, 12), u32_at(fixed, 16));
        if runs == 0 || runs > entries {
            return Err(BlockError::Shape { first, entries, runs });
        }
        let len = FIXED_BYTES + runs as usize * RUN_BYTES;
        let body = bytes.get(FIXED_BYTES..len).ok_or_else(|| short(len))?;
        let runs = body
            .chunks_exact(RUN_BYTES)
            .map(|run| TermRun { first: LogIndex(u64_at(run, 0)), term: Term(u64_at(run, 8)) })
            .collect();
        let header = Self { first, entries, payload_bytes, runs };
        header.check()?;
        Ok((header, len))
    }

    /// The part of the block invariant that a header can break alone.
    pub(super) fn check(&self) -> Result<(), BlockError> {
        let Self { first, entries, .. } = *self;
        let runs = u32::try_from(self.runs.len()).unwrap_or(u32::MAX);
        if runs == 0
            || runs > entries
            || first == LogIndex::ZERO
            || first.0.checked_add(u64::from(entries)).is_none()
        {
            return Err(BlockError::Shape { first, entries, runs });
        }
        let end = first.plus(u64::from(entries));
        let bad = |run: &TermRun| BlockError::Runs { first, run: run.first, term: run.term };
        if self.runs[0].first != first {
            return Err(bad(&self.runs[0]));
        }
        for pair in self.runs.windows(2) {
            let ascending = pair[0].first < pair[1].first && pair[0].term < pair[1].term;
            if !ascending || pair[1].first >= end {
                return Err(bad(&pair[1]));
            }
        }
        Ok(())
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("the caller checked the length"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("the caller checked the length"))
}
