//! One segment: a file of fixed length, a header page, batches, zeros.
//!
//! ```text
//! page 0   stamped page (see `page`): 16 sequence u64 | 24 node id u64 | 32 length of the file u64
//! page 1…  batches, one after the other, each on whole pages (see `batch`)
//!          zeros to the end of the file
//! ```
//! The file is filled with zeros and durable before it gets its name (see `spare`): later writes only overwrite, so
//! a full disk shows while the log can still refuse, and a shorter file is always somebody else's doing.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use raft_core::NodeId;
use raft_core::fs::{File, Fs};

use crate::error::{Action, IoFailure, OpenError};
use crate::folder::Folder;
use crate::map::Map;
use crate::page::{Magic, PAGE, Page, PageFault};

const MAGIC: Magic = Magic(*b"RAFTSEGM");
/// Bytes read at once.
const WINDOW_BYTES: usize = 1 << 20;

/// Offset of the first batch.
pub(crate) const FIRST_BATCH: u64 = PAGE as u64;

/// An open segment, shared by the writer and by readers.
pub(crate) struct Segment<F: Fs> {
    pub(crate) sequence: u64,
    pub(crate) path: PathBuf,
    /// Length of the file.
    pub(crate) capacity: u64,
    file: F::File,
    /// End of the bytes that are durable and in the log. They never change: see [`crate::map`].
    durable_end: AtomicU64,
    /// Made at the first read; `None` where files cannot be mapped.
    map: OnceLock<Option<Map>>,
}

impl<F: Fs> Segment<F> {
    /// The header page of a segment.
    pub(crate) fn header(node_id: NodeId, sequence: u64, capacity: u64) -> [u8; PAGE] {
        let mut header = Page::new(MAGIC);
        header.put_u64(16, sequence);
        header.put_u64(24, node_id.get());
        header.put_u64(32, capacity);
        header.stamp()
    }

    /// A segment without batches.
    pub(crate) const fn new(sequence: u64, path: PathBuf, capacity: u64, file: F::File) -> Self {
        let durable_end = AtomicU64::new(FIRST_BATCH);
        Self { sequence, path, capacity, file, durable_end, map: OnceLock::new() }
    }

    /// Opens a segment of this folder and checks its header. Changes nothing.
    ///
    /// If `settle`, what another process may have left in the cache becomes durable first, and everything is read
    /// from the medium: after a failed sync the cache holds pages that never reached it and never will.
    pub(crate) fn open(
        folder: &Folder<F>,
        node_id: NodeId,
        sequence: u64,
        settle: bool,
    ) -> Result<Self, OpenError> {
        let path = folder.segment_path(sequence);
        let file = folder.open(&path)?;
        if settle {
            file.sync_data().map_err(IoFailure::on(Action::Sync, &path))?;
            file.drop_cache().map_err(IoFailure::on(Action::DropCache, &path))?;
        }
        let found = file.len().map_err(IoFailure::on(Action::Read, &path))?;
        if found < FIRST_BATCH {
            return Err(OpenError::FileLength { path, found, expected: FIRST_BATCH });
        }
        let mut bytes = [0; PAGE];
        file.read_exact_at(&mut bytes, 0).map_err(IoFailure::on(Action::Read, &path))?;
        let header = match Page::check(bytes, MAGIC) {
            Ok(header) => header,
            Err(PageFault::NewerFormat { found, newest }) => {
                return Err(OpenError::NewerFormat { path, found, newest });
            }
            Err(fault) => return Err(OpenError::SegmentHeader { path, fault }),
        };
        let (named, owner, capacity) = (header.u64(16), header.u64(24), header.u64(32));
        if owner != node_id.get() {
            return Err(OpenError::Foreign { path, found: owner, expected: node_id });
        }
        if named != sequence {
            let fault = PageFault::Field { field: "sequence number", found: named, expected: sequence };
            return Err(OpenError::SegmentHeader { path, fault });
        }
        if found != capacity {
            return Err(OpenError::FileLength { path, found, expected: capacity });
        }
        Ok(Self::new(sequence, path, capacity, file))
    }

    /// Writes whole pages past the durable end.
    ///
    /// # Panics
    /// If they reach below it: see [`crate::map`].
    pub(crate) fn write(&self, pages: &[u8], offset: u64) -> Result<(), IoFailure> {
        let end = offset + pages.len() as u64;
        assert!(self.durable_end() <= offset && end <= self.capacity, "durable bytes never change");
        self.file.write_all_at(pages, offset).map_err(IoFailure::on(Action::Write, &self.path))
    }

    #[track_caller]
    pub(crate) fn sync(&self) -> Result<(), IoFailure> {
        self.file.sync_data().map_err(IoFailure::on(Action::Sync, &self.path))
    }

    /// From now on the bytes before `end` are in the log: durable, and never to change.
    pub(crate) fn publish(&self, end: u64) {
        self.durable_end.store(end, Ordering::Release);
    }

    /// End of the last durable batch.
    pub(crate) fn durable_end(&self) -> u64 {
        self.durable_end.load(Ordering::Acquire)
    }

    /// Reads into memory, anywhere in the file.
    pub(crate) fn load(&self, offset: u64, length: usize) -> Result<Vec<u8>, IoFailure> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset).map_err(IoFailure::on(Action::Read, &self.path))?;
        Ok(bytes)
    }

    /// Durable bytes, from the map if there is one.
    ///
    /// # Panics
    /// If they reach past the durable end: see [`crate::map`].
    pub(crate) fn view(&self, offset: u64, length: u64) -> Result<Bytes, IoFailure> {
        assert!(offset + length <= self.durable_end(), "only durable bytes are read");
        let failure = IoFailure::on(Action::Read, &self.path);
        let (Ok(start), Ok(length)) = (usize::try_from(offset), usize::try_from(length)) else {
            return Err(failure(std::io::ErrorKind::FileTooLarge.into()));
        };
        let map = self.map.get_or_init(|| self.file.descriptor().and_then(|file| Map::new(file).ok()));
        // If the map has an error to tell, reading the file tells it better, or does without the map.
        match map.as_ref().and_then(|map| map.view(start, length).ok()) {
            Some(bytes) => Ok(bytes),
            None => Ok(self.load(offset, length)?.into()),
        }
    }
}

/// Whether the file at `path` is a segment without a single batch, of whatever node.
pub(crate) fn is_blank<F: Fs>(folder: &Folder<F>, path: &Path) -> Result<bool, IoFailure> {
    let file = folder.open(path)?;
    let mut bytes = vec![0; WINDOW_BYTES];
    let end = file.len().map_err(IoFailure::on(Action::Read, path))?;
    let mut at = FIRST_BATCH;
    while at < end {
        let piece = &mut bytes[..(end - at).min(WINDOW_BYTES as u64) as usize];
        file.read_exact_at(piece, at).map_err(IoFailure::on(Action::Read, path))?;
        if piece.iter().any(|&byte| byte != 0) {
            return Ok(false);
        }
        at += piece.len() as u64;
    }
    Ok(true)
}
