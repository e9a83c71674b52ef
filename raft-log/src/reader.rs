//! Reading durable entries back: from the map where there is one, always verified.

use std::sync::Arc;

use bytes::Bytes;
use raft_core::block::{Block, BlockError, ROW_BYTES};
use raft_core::fs::Fs;
use raft_core::storage::{ReadFailure, ReadRequest};
use raft_core::{LogIndex, NodeId};

use crate::batch::{BatchBlock, BatchFault, BatchHeader, HEADER, Place};
use crate::durable::{Durable, Found};
use crate::error::{Damage, ReadError};
use crate::index::Position;
use crate::segment::Segment;
use crate::stats::LogStats;

/// Answers reads from the durable part of the log. Cheap to clone; works beside the writer, on any thread.
pub struct LogReader<F: Fs> {
    node_id: NodeId,
    durable: Arc<Durable<F>>,
    stats: Arc<LogStats>,
}

impl<F: Fs> Clone for LogReader<F> {
    fn clone(&self) -> Self {
        Self { node_id: self.node_id, durable: self.durable.clone(), stats: self.stats.clone() }
    }
}

/// Blocks found so far, and how many more bytes the answer may have.
struct Answer {
    blocks: Vec<Block>,
    room: usize,
}

impl Answer {
    /// Takes `block`, or as much of the first one as fits; `false` if nothing more fits.
    fn push(&mut self, block: Block) -> bool {
        let bytes = block.encoded_bytes();
        if bytes <= self.room {
            self.room -= bytes;
            self.blocks.push(block);
            return true;
        }
        if self.blocks.is_empty() {
            let last = last_that_fits(&block, self.room);
            self.blocks.push(block.slice(block.first_index(), last));
        }
        false
    }
}

/// The last entry of the part of `block` that has at most `room` bytes; at least the first one.
fn last_that_fits(block: &Block, room: usize) -> LogIndex {
    let mut bytes = block.encoded_bytes() - block.table().len() - block.payload().len();
    let fits = block.entries().take_while(|entry| {
        bytes += ROW_BYTES + entry.payload.len();
        bytes <= room
    });
    block.first_index().plus((fits.count() as u64).saturating_sub(1))
}

impl<F: Fs> LogReader<F> {
    pub(crate) const fn new(node_id: NodeId, durable: Arc<Durable<F>>, stats: Arc<LogStats>) -> Self {
        Self { node_id, durable, stats }
    }

    /// The entries that `request` asks for, as far as they are durable: none if the first one is not yet.
    ///
    /// # Errors
    /// The first entry is compacted or damaged. Damage further on ends the answer before it.
    ///
    /// Costs a lookup and the checksums of what is given; bytes are not copied where files can be mapped.
    pub fn read(&self, request: ReadRequest) -> Result<Vec<Block>, ReadFailure> {
        let mut answer = Answer { blocks: Vec::new(), room: request.max_bytes };
        let mut next = request.from;
        let outcome = loop {
            if next > request.through {
                break Ok(());
            }
            match self.durable.find(next) {
                Found::Nothing => break Ok(()),
                Found::Compacted { first } => break Err(ReadFailure::Compacted { first }),
                Found::At(segment, position) => {
                    let through = position.last.min(request.through);
                    match self.read_batch(&segment, &position, next, through, &mut answer) {
                        Ok(true) => next = through.next(),
                        Ok(false) => break Ok(()),
                        Err((index, reason)) => {
                            break Err(ReadFailure::Damaged { index, reason: Arc::new(reason) });
                        }
                    }
                }
            }
        };
        let damaged = matches!(outcome, Err(ReadFailure::Damaged { .. }));
        self.stats.reads.add(1);
        self.stats.damaged_reads.add(u64::from(damaged));
        match outcome {
            Err(failure) if answer.blocks.is_empty() => Err(failure),
            _ => Ok(answer.blocks),
        }
    }

    /// Adds the entries `from..=through` of one batch; `false` once the answer is full. An error names the first
    /// entry that could not be added.
    fn read_batch(
        &self,
        segment: &Segment<F>,
        position: &Position,
        from: LogIndex,
        through: LogIndex,
        answer: &mut Answer,
    ) -> Result<bool, (LogIndex, ReadError)> {
        let damage = |index: LogIndex, fault: BatchFault| {
            let (path, offset) = (segment.path.clone(), position.offset);
            (index, Damage { path, offset, index, fault }.into())
        };
        let place = Place { node_id: self.node_id, segment: segment.sequence, offset: position.offset };
        let head = segment.view(position.offset, HEADER as u64 + position.table_bytes);
        let head = head.map_err(|error| (from, error.into()))?;
        let table = head.slice(HEADER..);
        let blocks = read_header(&head, place, segment.capacity - position.offset)
            .and_then(|header| header.blocks(&table))
            .map_err(|fault| damage(from, fault))?;
        let payloads = position.offset + head.len() as u64;
        for block in blocks.iter().filter(|block| block.last_index() >= from && block.header.first <= through)
        {
            let first = from.max(block.header.first);
            let payload = segment.view(payloads + block.payload.start, u64::from(block.header.payload_bytes));
            let payload = payload.map_err(|error| (first, error.into()))?;
            let whole = assemble(block, &table, payload).map_err(|error| damage(first, error.into()))?;
            let wanted = whole.slice(first, through.min(block.last_index()));
            let (good, error) = verified(wanted);
            if good.is_some_and(|good| !answer.push(good)) {
                return Ok(false);
            }
            if let Some((index, error)) = error {
                return Err(damage(index, error.into()));
            }
        }
        Ok(true)
    }
}

fn read_header(head: &Bytes, place: Place, room: u64) -> Result<BatchHeader, BatchFault> {
    BatchHeader::read(head.first_chunk().expect("the view starts with a header"), place, room)
}

/// One block of a batch, by its table section and the block's own payload.
pub(crate) fn assemble(block: &BatchBlock, table: &Bytes, payload: Bytes) -> Result<Block, BlockError> {
    Block::from_parts(block.header.clone(), table.slice(block.table.clone()), payload)
}

/// The part of `block` before the first payload that differs from its checksum, and that entry.
pub(crate) fn verified(block: Block) -> (Option<Block>, Option<(LogIndex, BlockError)>) {
    match block.verify() {
        Ok(()) => (Some(block), None),
        Err(BlockError::PayloadChecksum { id, found, expected }) => {
            let good =
                (id.index > block.first_index()).then(|| block.slice(block.first_index(), id.index.prev()));
            (good, Some((id.index, BlockError::PayloadChecksum { id, found, expected })))
        }
        Err(error) => (None, Some((block.first_index(), error))),
    }
}
