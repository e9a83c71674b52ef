//! Reads the state out of a published snapshot.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use raft_core::fs::File;

use crate::flaw::{FileError, Flaw};
use crate::scan::{Scan, Verified};

/// The body of a published snapshot as a stream. Nothing is read before the first call.
///
/// Every page is verified before a byte of it is handed out, and the end is reported only once the whole file has
/// been found to have its digest. An error stays: the calls after it give it again.
pub(crate) struct BodyReader<F> {
    path: PathBuf,
    snapshot: Arc<Verified<F>>,
    newest_state: u32,
    scan: Option<Scan<F>>,
}

impl<F: File> BodyReader<F> {
    pub(crate) const fn new(path: PathBuf, snapshot: Arc<Verified<F>>, newest_state: u32) -> Self {
        Self { path, snapshot, newest_state, scan: None }
    }

    fn read_body(&mut self, buffer: &mut [u8]) -> Result<usize, Flaw> {
        let scan = match &mut self.scan {
            Some(scan) => scan,
            none => none.insert(Scan::begin(Arc::clone(&self.snapshot.file), self.newest_state)?),
        };
        let body = scan.fill()?;
        if body.is_empty() {
            let (found, expected) = (scan.digest(), self.snapshot.info.digest);
            return if found == expected { Ok(0) } else { Err(Flaw::Digest { found, expected }) };
        }
        let taken = body.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&body[..taken]);
        scan.consume(taken);
        Ok(taken)
    }
}

impl<F: File> Read for BodyReader<F> {
    /// A [`FileError`] is inside the error: file, offset, found and expected.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_body(buffer).map_err(|flaw| FileError::into(flaw.of(&self.path)))
    }
}
