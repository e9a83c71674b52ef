//! Walking the batches of a segment, from the file, before anything in it is believed.

use bytes::Bytes;
use raft_core::NodeId;
use raft_core::fs::Fs;

use crate::batch::{BatchBlock, BatchFault, BatchHeader, HEADER, Link, Place};
use crate::error::IoFailure;
use crate::page::PAGE;
use crate::segment::{FIRST_BATCH, Segment};

/// Bytes read at once.
const WINDOW_BYTES: u64 = 256 << 10;

/// A batch whose header and table are whole and that continues the one before it. Its payloads are not checked.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) offset: u64,
    pub(crate) header: BatchHeader,
    pub(crate) table: Bytes,
    pub(crate) blocks: Vec<BatchBlock>,
}

/// Where the chain of batches breaks off, and what stands there instead of the next one.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) offset: u64,
    pub(crate) fault: BatchFault,
}

/// The batches of a segment.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) batches: Vec<Scanned>,
    /// `None` if the last batch is a seal.
    pub(crate) stop: Option<Stop>,
}

/// Walks the chain from the segment's first batch, which must be what `link` says, or any if that is not known.
pub(crate) fn scan<F: Fs>(
    segment: &Segment<F>,
    node_id: NodeId,
    mut link: Option<Link>,
) -> Result<Scan, IoFailure> {
    let mut window = Window::new(segment, node_id);
    let (mut batches, mut offset) = (Vec::<Scanned>::new(), FIRST_BATCH);
    loop {
        if batches.last().is_some_and(|batch| batch.header.sealed) {
            return Ok(Scan { batches, stop: None });
        }
        match window.batch(offset, link)? {
            Err(fault) => return Ok(Scan { batches, stop: Some(Stop { offset, fault }) }),
            Ok(batch) => {
                link = Some(batch.header.next_link());
                offset += batch.header.disk_bytes();
                batches.push(batch);
            }
        }
    }
}

/// What lies behind the place where a chain breaks off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remains {
    /// Highest watermark in any whole batch header: what an earlier life of the log, or this one behind a hole,
    /// knew to be durable.
    pub(crate) watermark: u64,
    /// Offsets of the pages that are not all zeros.
    pub(crate) dirty_pages: Vec<u64>,
}

/// Looks at every page from `offset` to the end of the segment.
pub(crate) fn survey<F: Fs>(
    segment: &Segment<F>,
    node_id: NodeId,
    offset: u64,
) -> Result<Remains, IoFailure> {
    let mut window = Window::new(segment, node_id);
    let mut remains = Remains::default();
    for offset in (offset..segment.capacity).step_by(PAGE) {
        if window.get(offset, PAGE)?.iter().all(|&byte| byte == 0) {
            continue;
        }
        remains.dirty_pages.push(offset);
        if let Ok(header) = window.header(offset)? {
            remains.watermark = remains.watermark.max(header.durable);
        }
    }
    Ok(remains)
}

/// A piece of the file in memory that moves along.
struct Window<'a, F: Fs> {
    segment: &'a Segment<F>,
    node_id: NodeId,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a, F: Fs> Window<'a, F> {
    const fn new(segment: &'a Segment<F>, node_id: NodeId) -> Self {
        Self { segment, node_id, start: 0, bytes: Vec::new() }
    }

    /// Bytes that the caller knows to lie inside the file.
    fn get(&mut self, offset: u64, length: usize) -> Result<&[u8], IoFailure> {
        let end = offset + length as u64;
        if offset < self.start || end > self.start + self.bytes.len() as u64 {
            let ahead = WINDOW_BYTES.min(self.segment.capacity - offset) as usize;
            self.bytes = self.segment.load(offset, ahead.max(length))?;
            self.start = offset;
        }
        let at = (offset - self.start) as usize;
        Ok(&self.bytes[at..at + length])
    }

    fn header(&mut self, offset: u64) -> Result<Result<BatchHeader, BatchFault>, IoFailure> {
        let place = Place { node_id: self.node_id, segment: self.segment.sequence, offset };
        let room = self.segment.capacity.saturating_sub(offset);
        if room < PAGE as u64 {
            return Ok(Err(BatchFault::Length { found: PAGE as u64, room }));
        }
        let bytes = self.get(offset, HEADER)?;
        Ok(BatchHeader::read(bytes.first_chunk().expect("as long as was asked for"), place, room))
    }

    fn batch(&mut self, offset: u64, link: Option<Link>) -> Result<Result<Scanned, BatchFault>, IoFailure> {
        let linked = |header: BatchHeader| {
            link.map_or(Ok(()), |link| header.check_link(link))?;
            Ok(header)
        };
        let header = match self.header(offset)?.and_then(linked) {
            Ok(header) => header,
            Err(fault) => return Ok(Err(fault)),
        };
        let table = self.get(offset + HEADER as u64, header.table_bytes as usize)?;
        let table = Bytes::copy_from_slice(table);
        Ok(header.blocks(&table).map(|blocks| Scanned { offset, header, table, blocks }))
    }
}
