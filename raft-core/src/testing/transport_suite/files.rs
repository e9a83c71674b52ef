//! Snapshot files of the suite, and where they end up.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::snapshot::{ChunkSet, ChunkSink, ChunkSource, SnapshotInfo, SnapshotMeta, SnapshotOffer};
use crate::types::{EntryId, LogIndex, Term};

/// Bytes of a chunk.
const CHUNK: u32 = 700;

/// The offer of the file that ends at `index`, of this length.
pub(super) fn offer(index: u64, length: u64) -> SnapshotOffer {
    let meta = SnapshotMeta { last: EntryId::new(Term(3), LogIndex(index)), ..SnapshotMeta::NONE };
    let digest = [index as u8; 32];
    SnapshotOffer { term: Term(7), info: SnapshotInfo { meta, length, chunk_bytes: CHUNK, digest } }
}

/// The bytes of that file.
pub(super) fn content(info: &SnapshotInfo) -> Vec<u8> {
    (0..info.length).map(|at| (at * 131 + info.meta.last.index.0) as u8).collect()
}

/// A sender's file, which cannot be read at chunk `broken`.
pub(super) struct Source {
    pub(super) info: SnapshotInfo,
    pub(super) broken: Option<u64>,
}

impl ChunkSource for Source {
    fn read_chunk(&mut self, number: u64) -> io::Result<Bytes> {
        let range = self.info.chunk_range(number).filter(|_| self.broken != Some(number));
        let (offset, length) = range.ok_or_else(|| io::Error::other("this chunk cannot be read"))?;
        Ok(Bytes::from(content(&self.info)).slice(offset as usize..offset as usize + length))
    }
}

/// What has become of a receiver's file.
#[derive(Clone, Debug, Default)]
pub(super) struct Received {
    pub(super) bytes: Vec<u8>,
    /// Chunks that were written.
    pub(super) written: Vec<u64>,
    pub(super) finished: bool,
}

/// A receiver's file, which fails where it is told to.
pub(super) struct Sink {
    info: SnapshotInfo,
    have: ChunkSet,
    fails: Option<Failing>,
    received: Arc<Mutex<Received>>,
}

/// Where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failing {
    Have,
    Write(u64),
    Finish,
}

/// A look at a sink that the transport has.
pub(super) struct Look(Arc<Mutex<Received>>);

impl Look {
    pub(super) fn now(&self) -> MutexGuard<'_, Received> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    /// A sink that has these chunks already.
    pub(super) fn new(info: &SnapshotInfo, have: &[u64], fails: Option<Failing>) -> (Box<Self>, Look) {
        let mut set = ChunkSet::default();
        let mut bytes = vec![0; info.length as usize];
        for &number in have {
            set.insert(number);
            if let Some((offset, length)) = info.chunk_range(number) {
                let range = offset as usize..offset as usize + length;
                bytes[range.clone()].copy_from_slice(&content(info)[range]);
            }
        }
        let received = Arc::new(Mutex::new(Received { bytes, ..Received::default() }));
        let look = Look(Arc::clone(&received));
        (Box::new(Self { info: info.clone(), have: set, fails, received }), look)
    }

    fn fail_if(&self, here: Failing) -> io::Result<()> {
        match self.fails == Some(here) {
            true => Err(io::Error::other(format!("no more at {here:?}"))),
            false => Ok(()),
        }
    }
}

impl ChunkSink for Sink {
    fn have(&mut self) -> io::Result<ChunkSet> {
        self.fail_if(Failing::Have)?;
        Ok(self.have.clone())
    }

    fn write_chunk(&mut self, number: u64, bytes: &[u8]) -> io::Result<()> {
        self.fail_if(Failing::Write(number))?;
        let range = self.info.chunk_range(number).filter(|(_, length)| *length == bytes.len());
        let (offset, length) = range.ok_or(io::ErrorKind::InvalidData)?;
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        received.bytes[offset as usize..offset as usize + length].copy_from_slice(bytes);
        received.written.push(number);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.fail_if(Failing::Finish)?;
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        if received.bytes != content(&self.info) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        received.finished = true;
        Ok(())
    }
}
