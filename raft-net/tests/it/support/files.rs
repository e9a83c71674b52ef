use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use raft_core::snapshot::{ChunkSet, ChunkSink, ChunkSource, SnapshotInfo, SnapshotMeta, SnapshotOffer};
use raft_core::types::{EntryId, LogIndex, Term};

/// Bytes of a chunk.
pub(crate) const CHUNK: usize = 1000;

/// A snapshot file of `length` bytes, as it is offered.
pub(crate) fn offer(length: u64) -> SnapshotOffer {
    let meta = SnapshotMeta { last: EntryId::new(Term(1), LogIndex(99)), ..SnapshotMeta::NONE };
    let info = SnapshotInfo { meta, length, chunk_bytes: CHUNK as u32, digest: [7; 32] };
    SnapshotOffer { term: Term(2), info }
}

/// Its bytes.
pub(crate) fn content(offer: &SnapshotOffer) -> Vec<u8> {
    (0..offer.info.length).map(|at| (at * 31 % 251) as u8).collect()
}

pub(crate) fn chunk(offer: &SnapshotOffer, number: u64) -> Bytes {
    let (offset, length) = offer.info.chunk_range(number).unwrap();
    Bytes::from(content(offer)).slice(offset as usize..offset as usize + length)
}

/// A sender's file. Fails at chunk `broken`.
pub(crate) struct Source {
    pub offer: SnapshotOffer,
    pub broken: Option<u64>,
}

impl ChunkSource for Source {
    fn read_chunk(&mut self, number: u64) -> io::Result<Bytes> {
        match self.broken == Some(number) {
            true => Err(io::Error::other("the file is damaged")),
            false => Ok(chunk(&self.offer, number)),
        }
    }
}

pub(crate) fn source(offer: &SnapshotOffer) -> Box<Source> {
    Box::new(Source { offer: offer.clone(), broken: None })
}

/// What a receiver's file has come to.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub bytes: Vec<u8>,
    pub written: Vec<u64>,
    pub finished: bool,
    pub dropped: bool,
}

/// Where a sink fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Have,
    Write(u64),
    Finish,
}

/// A receiver's file.
pub(crate) struct Sink {
    pub offer: SnapshotOffer,
    pub have: ChunkSet,
    pub fault: Option<Fault>,
    pub received: Arc<Mutex<Received>>,
    /// Called at the start of `finish`.
    pub finishing: Box<dyn FnMut() + Send>,
}

impl Sink {
    pub(crate) fn new(offer: &SnapshotOffer) -> Self {
        let bytes = vec![0; offer.info.length as usize];
        let received = Arc::new(Mutex::new(Received { bytes, ..Received::default() }));
        let (offer, have, fault) = (offer.clone(), ChunkSet::default(), None);
        Self { offer, have, fault, received, finishing: Box::new(|| ()) }
    }

    fn fail_if(&self, here: Fault) -> io::Result<()> {
        match self.fault == Some(here) {
            true => Err(io::Error::other(format!("disk full at {here:?}"))),
            false => Ok(()),
        }
    }
}

impl ChunkSink for Sink {
    fn have(&mut self) -> io::Result<ChunkSet> {
        self.fail_if(Fault::Have)?;
        Ok(self.have.clone())
    }

    fn write_chunk(&mut self, number: u64, bytes: &[u8]) -> io::Result<()> {
        self.fail_if(Fault::Write(number))?;
        let (offset, length) = self.offer.info.chunk_range(number).ok_or(io::ErrorKind::InvalidData)?;
        assert_eq!(bytes.len(), length);
        let mut received = self.received.lock().unwrap();
        received.bytes[offset as usize..offset as usize + length].copy_from_slice(bytes);
        received.written.push(number);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        (self.finishing)();
        self.fail_if(Fault::Finish)?;
        self.received.lock().unwrap().finished = true;
        Ok(())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.received.lock().unwrap().dropped = true;
    }
}
