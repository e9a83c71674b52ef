//! What the files of a log say, and whether to believe them. Nothing here writes.
//!
//! The chain of batches is followed from the first segment on to where it breaks off. Then the highest watermark
//! in any whole header, also behind that place, decides:
//!
//! | the chain breaks off at | it is | because |
//! |---|---|---|
//! | a batch at or below the watermark | damage: refuse | it was durable, no crash explains it |
//! | a batch above it, in the last segment | a torn tail: cut off | nobody was told that it is durable |
//! | a batch in a segment that has followers | damage: refuse | invariant (sealed) |
//! | bytes with right checksums that make no sense | damage: refuse | a crash does not compute checksums |
//!
//! A batch whose payload differs from its checksum counts as the place where the chain breaks off. Payloads of the
//! last segment with batches are all checked; those of others only on request, or when they hold a configuration.
//!
//! The newest batches lie above the watermark until another batch or a mark follows: rot in them looks like a torn
//! tail, and is reported as one. Opening, closing and an idle log write marks, so that only a crash within
//! [`LogOptions::idle_mark`](crate::LogOptions::idle_mark) of a write leaves such batches.
//! Likewise, rot that takes a batch together with every later one takes the witnesses of its durability with it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use raft_core::block::Block;
use raft_core::configuration::Configuration;
use raft_core::fs::Fs;
use raft_core::{EntryId, EntryKind, LogIndex, NodeId};

use crate::batch::{BatchFault, BatchHeader, BatchKind, Link};
use crate::error::{Damage, IoFailure, OpenError};
use crate::folder::Folder;
use crate::index::{Change, Index, Position};
use crate::options::Verify;
use crate::reader::{assemble, verified};
use crate::report::{RecoveryReport, TornTail};
use crate::scan::{Remains, Scan, Scanned, Stop, scan, survey};
use crate::segment::{FIRST_BATCH, Segment};
use crate::span::Span;

/// What was found, still untouched.
pub(crate) struct Recovery<F: Fs> {
    node_id: NodeId,
    verify: Verify,
    pub(crate) segments: VecDeque<Arc<Segment<F>>>,
    pub(crate) span: Span,
    pub(crate) index: Index,
    /// The configuration entries in the log.
    configurations: Vec<ConfigurationEntry>,
    watermark: u64,
    /// Header of the last batch.
    pub(crate) newest: Option<BatchHeader>,
    /// Where the next batch goes.
    pub(crate) offset: u64,
    /// Pages to wipe, from `offset` on.
    pub(crate) dirty_pages: Vec<u64>,
    /// A segment that got its name when the last one was full, and was never used.
    pub(crate) unused: Option<Arc<Segment<F>>>,
    pub(crate) report: RecoveryReport,
}

/// A configuration entry, not read yet.
struct ConfigurationEntry {
    index: LogIndex,
    payload: Bytes,
    /// Where its batch is.
    segment: u64,
    offset: u64,
}

/// The blocks of a batch, or its first damaged entry and how that is damaged.
type Payloads = Result<Vec<Block>, (LogIndex, BatchFault)>;

/// Opens the segments of a folder: contiguous, all of this node. The last two, which alone can hold bytes that
/// were never synced, are synced first and read from the medium.
pub(crate) fn open_segments<F: Fs>(
    folder: &Folder<F>,
    node_id: NodeId,
    sequences: &[u64],
) -> Result<VecDeque<Arc<Segment<F>>>, OpenError> {
    if sequences.is_empty() {
        return Err(OpenError::NoSegment { dir: folder.path.clone() });
    }
    if let Some(pair) = sequences.windows(2).find(|pair| pair[0] + 1 != pair[1]) {
        return Err(OpenError::MissingSegment { path: folder.segment_path(pair[0] + 1) });
    }
    let settled_from = sequences.len().saturating_sub(2);
    let open = |(at, &sequence)| Segment::open(folder, node_id, sequence, at >= settled_from).map(Arc::new);
    sequences.iter().enumerate().map(open).collect()
}

impl<F: Fs> Recovery<F> {
    /// Reads all segments.
    pub(crate) fn run(
        folder: &Folder<F>,
        node_id: NodeId,
        verify: Verify,
        segments: VecDeque<Arc<Segment<F>>>,
    ) -> Result<Self, OpenError> {
        let mut recovery = Self {
            node_id,
            verify,
            segments,
            span: Span::new(EntryId::ZERO),
            index: Index::new(LogIndex::ZERO),
            configurations: Vec::new(),
            watermark: 0,
            newest: None,
            offset: FIRST_BATCH,
            dirty_pages: Vec::new(),
            unused: None,
            report: RecoveryReport::default(),
        };
        recovery.walk(folder)?;
        recovery.report.segments = recovery.segments.len();
        Ok(recovery)
    }

    /// What the next batch must say; `None` if the log starts in a segment that is not its first and holds
    /// nothing.
    pub(crate) fn link(&self) -> Option<Link> {
        let first = self.segments[0].sequence == 1;
        self.newest.map(|header| header.next_link()).or_else(|| first.then_some(Link::FIRST))
    }

    /// The configuration entries in the log, ascending.
    pub(crate) fn configurations(&self) -> Result<Vec<(LogIndex, Configuration)>, OpenError> {
        let decode = |entry: &ConfigurationEntry| match Configuration::decode(&entry.payload) {
            Ok(configuration) => Ok((entry.index, configuration)),
            Err(source) => {
                let segment = (entry.segment - self.segments[0].sequence) as usize;
                let (path, offset) = (self.segments[segment].path.clone(), entry.offset);
                Err(OpenError::Configuration { path, offset, index: entry.index, source })
            }
        };
        self.configurations.iter().map(decode).collect()
    }

    fn walk(&mut self, folder: &Folder<F>) -> Result<(), OpenError> {
        let last = self.segments.len() - 1;
        for at in 0..=last {
            let segment = self.segments[at].clone();
            let Scan { batches, stop } = scan(&segment, self.node_id, self.link())?;
            match stop {
                None => {
                    self.believe_all(&segment, batches)?;
                    if at == last {
                        return Err(OpenError::MissingSegment {
                            path: folder.segment_path(segment.sequence + 1),
                        });
                    }
                }
                Some(stop) if at == last => self.find_end(&segment, batches, stop)?,
                Some(stop) if at + 1 == last && self.is_unused(last)? => {
                    self.unused = self.segments.pop_back();
                    return self.find_end(&segment, batches, stop);
                }
                Some(stop) => {
                    self.believe_all(&segment, batches)?;
                    return Err(self.damaged(&segment, stop, None));
                }
            }
        }
        Ok(())
    }

    /// Whether the segment was made and never written to. The first byte written to it comes after the seal of the
    /// one before it is durable.
    fn is_unused(&self, at: usize) -> Result<bool, IoFailure> {
        Ok(survey(&self.segments[at], self.node_id, FIRST_BATCH)?.dirty_pages.is_empty())
    }

    /// Takes in the batches of a sealed segment, all of which were durable before the seal.
    fn believe_all(&mut self, segment: &Segment<F>, batches: Vec<Scanned>) -> Result<(), OpenError> {
        let end = batches.last().map_or(FIRST_BATCH, |seal| seal.offset + seal.header.disk_bytes());
        for batch in batches {
            let check = self.verify == Verify::All;
            match self.payloads(segment, &batch, check)? {
                Ok(blocks) => self.believe(segment, &batch, &blocks)?,
                Err((index, fault)) => {
                    return Err(self.damaged(segment, Stop { offset: batch.offset, fault }, Some(index)));
                }
            }
        }
        segment.publish(end);
        Ok(())
    }

    /// Takes in the batches of the segment in which the log ends, as far as they are whole.
    fn find_end(&mut self, segment: &Segment<F>, batches: Vec<Scanned>, stop: Stop) -> Result<(), OpenError> {
        let Remains { watermark, mut dirty_pages } = survey(segment, self.node_id, stop.offset)?;
        let known = batches.iter().map(|batch| batch.header.durable).max();
        self.watermark = self.watermark.max(watermark).max(known.unwrap_or(0));
        let (mut stop, mut damaged_index) = (stop, None);
        for batch in batches {
            match self.payloads(segment, &batch, true)? {
                Ok(blocks) => self.believe(segment, &batch, &blocks)?,
                Err((index, fault)) => {
                    (stop, damaged_index) = (Stop { offset: batch.offset, fault }, Some(index));
                    dirty_pages = survey(segment, self.node_id, stop.offset)?.dirty_pages;
                    break;
                }
            }
        }
        let was_durable = self.link().is_none_or(|link| link.sequence <= self.watermark);
        if was_durable || stop.fault.is_whole() {
            return Err(self.damaged(segment, stop, damaged_index));
        }
        segment.publish(stop.offset);
        self.offset = stop.offset;
        self.report.watermark = self.watermark;
        if !dirty_pages.is_empty() {
            self.report.torn_tail = Some(TornTail {
                path: segment.path.clone(),
                offset: stop.offset,
                pages: dirty_pages.len(),
                after: self.span.last(),
                fault: stop.fault,
            });
        }
        self.dirty_pages = dirty_pages;
        Ok(())
    }

    /// The blocks of a batch, read in and checked, if `check` or if they hold a configuration; else none.
    fn payloads(&self, segment: &Segment<F>, batch: &Scanned, check: bool) -> Result<Payloads, IoFailure> {
        let mut blocks = Vec::new();
        for block in &batch.blocks {
            if !check && !block.has_configuration(&batch.table) {
                continue;
            }
            let offset = batch.offset + batch.header.payload_offset() + block.payload.start;
            let payload = segment.load(offset, block.header.payload_bytes as usize)?;
            let damage = match assemble(block, &batch.table, payload.into()) {
                Ok(whole) => {
                    let (good, damage) = verified(whole);
                    blocks.extend(good);
                    damage
                }
                Err(error) => Some((block.header.first, error)),
            };
            if let Some((index, error)) = damage {
                return Ok(Err((index, error.into())));
            }
        }
        Ok(Ok(blocks))
    }

    /// Takes in one batch.
    fn believe(&mut self, segment: &Segment<F>, batch: &Scanned, blocks: &[Block]) -> Result<(), OpenError> {
        let (offset, header) = (batch.offset, &batch.header);
        if header.kind == BatchKind::Fill {
            return Err(OpenError::Fill { path: segment.path.clone(), offset });
        }
        let refuse = |recovery: &Self, fault| Err(recovery.damaged(segment, Stop { offset, fault }, None));
        if let Err(fault) = self.move_to_base(header) {
            return refuse(self, fault);
        }
        for block in &batch.blocks {
            let found = EntryId::new(block.header.runs[0].term, block.header.first);
            if !self.span.is_followed_by(found) {
                return refuse(self, BatchFault::Base { found, expected: self.span.last() });
            }
            self.span.append(&block.header.runs, block.last_id());
        }
        let position = batch.blocks.first().zip(batch.blocks.last()).map(|(first, last)| Position {
            first: first.header.first,
            last: last.last_index(),
            segment: segment.sequence,
            offset,
            table_bytes: header.table_bytes,
        });
        self.index.apply(Change { kind: header.kind, base: header.base.index, position });
        let entries = blocks.iter().flat_map(Block::entries);
        let configurations = entries.filter(|entry| entry.kind == EntryKind::Configuration);
        self.configurations.extend(configurations.map(|entry| ConfigurationEntry {
            index: entry.id.index,
            payload: Bytes::copy_from_slice(entry.payload),
            segment: segment.sequence,
            offset,
        }));
        self.watermark = self.watermark.max(header.durable);
        self.newest = Some(*header);
        self.report.batches += 1;
        Ok(())
    }

    /// Makes the log end, or start, with the base of a batch, as its kind wants it.
    fn move_to_base(&mut self, header: &BatchHeader) -> Result<(), BatchFault> {
        let base = header.base;
        // The first batch there is tells where the log starts: those before it were compacted. So were the entries
        // that a truncation below the start of the log would keep.
        let starts_here = self.newest.is_none()
            || header.kind == BatchKind::Reset
            || header.kind == BatchKind::Truncate && base.index < self.span.base().index;
        if starts_here {
            self.span = Span::new(base);
            self.index = Index::new(base.index);
            self.configurations.clear();
            return Ok(());
        }
        let expected = match header.kind {
            BatchKind::Truncate => self.span.entry(base.index).unwrap_or(self.span.last()),
            _ => self.span.last(),
        };
        if base != expected {
            return Err(BatchFault::Base { found: base, expected });
        }
        self.span.truncate_after(base);
        self.configurations.retain(|entry| entry.index <= base.index);
        Ok(())
    }

    /// Entries from `index` on, or if not known those after the last whole batch, are damaged.
    fn damaged(&self, segment: &Segment<F>, stop: Stop, index: Option<LogIndex>) -> OpenError {
        let index = index.unwrap_or(self.span.last().index.next());
        OpenError::Damaged(Damage {
            path: segment.path.clone(),
            offset: stop.offset,
            index,
            fault: stop.fault,
        })
    }
}
