//! Sends a published snapshot.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use raft_core::fs::File;
use raft_core::snapshot::ChunkSource;

use crate::error::TransferError;
use crate::layout::read_range;
use crate::scan::Verified;

/// Chunks of a published snapshot, each verified as it is read, so that a file that rots is found out by the
/// node that has it and not by those it is sent to. Holds the file open: retention may remove its name
/// meanwhile.
pub(crate) struct FileSource<F> {
    path: PathBuf,
    snapshot: Arc<Verified<F>>,
}

impl<F: File> FileSource<F> {
    pub(crate) const fn new(path: PathBuf, snapshot: Arc<Verified<F>>) -> Self {
        Self { path, snapshot }
    }
}

impl<F: File> ChunkSource for FileSource<F> {
    fn read_chunk(&mut self, number: u64) -> io::Result<Bytes> {
        let Verified { info, pages, file } = &*self.snapshot;
        let Some((offset, length)) = info.chunk_range(number) else {
            let chunks = info.chunk_count();
            return Err(TransferError::Chunk { number, found: 0, expected: 0, chunks }.into());
        };
        read_range(&**file, pages, offset, length).map_err(|flaw| flaw.of(&self.path).into())
    }
}
