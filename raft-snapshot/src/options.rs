//! What the operator or the embedding program may choose.

use crate::error::OptionsError;
use crate::format::{MAX_PAGE_BYTES, MIN_PAGE_BYTES};

/// Greatest [`Options::chunk_bytes`], so that a chunk always fits a message.
pub const MAX_CHUNK_BYTES: u32 = 16 << 20;

/// Choices made once, at opening.
///
/// `page_bytes` and `state_version` enter the files: they must be the same on all members, or the same state
/// gives different files and a transfer cannot go on under another leader. Files made with other page sizes are
/// read as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of each page of a new file, checksum included: 64 to 1 MiB.
    pub page_bytes: u32,
    /// Bytes of each chunk in which this node offers its files: 1 to 16 MiB. A multiple of `page_bytes` spares the
    /// sender from reading pages twice and the receiver from asking twice for what a cut transfer already brought.
    pub chunk_bytes: u32,
    /// Version of the layout that the application's views write, stored in each file. Files of a newer one are
    /// refused: raise it only once every member reads it.
    pub state_version: u32,
}

impl Default for Options {
    /// Pages of 64 KiB, chunks of four pages, state version 1.
    fn default() -> Self {
        Self { page_bytes: 64 << 10, chunk_bytes: 256 << 10, state_version: 1 }
    }
}

impl Options {
    pub(crate) fn check(&self) -> Result<(), OptionsError> {
        let within = |field, found, least, greatest| match (least..=greatest).contains(&found) {
            true => Ok(()),
            false => Err(OptionsError { field, found, least, greatest }),
        };
        within("page_bytes", self.page_bytes, MIN_PAGE_BYTES, MAX_PAGE_BYTES)?;
        within("chunk_bytes", self.chunk_bytes, 1, MAX_CHUNK_BYTES)
    }
}
