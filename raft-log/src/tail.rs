//! The end of the log: batches are framed into a buffer, written and made durable together, segment after segment.
//!
//! Invariant (watermark): a batch says which batches were durable when it was framed, and says so truthfully: the
//! number moves in one place, after the sync.
//!
//! Invariant (sealed): a segment's last batch, its seal, is framed when all others are durable, and the next
//! segment with its name is durable before the seal can be. So in a sealed segment every bad byte is damage, and a
//! seal without a next segment is a lost segment; only the last segment can have a torn tail.

use std::sync::Arc;
use std::time::{Duration, Instant};

use raft_core::fs::Fs;
use raft_core::{EntryId, NodeId};

use crate::batch::{BatchKind, Draft, Link, Place};
use crate::durable::Durable;
use crate::error::IoFailure;
use crate::index::{Change, Position};
use crate::options::LogOptions;
use crate::page::PAGE;
use crate::segment::{FIRST_BATCH, Segment};
use crate::spare::Preparer;
use crate::stats::LogStats;

/// Pages at the end of a segment that hold no entries: one for a mark, so that opening and closing can mark a full
/// segment without disk space, one for the seal.
pub(crate) const RESERVED_PAGES: u64 = 2;

/// Where recovery found the end of the log.
pub(crate) struct End<F: Fs> {
    pub(crate) segment: Arc<Segment<F>>,
    /// Where the next batch goes.
    pub(crate) offset: u64,
    pub(crate) link: Link,
    pub(crate) last: EntryId,
    /// Whether everything but a mark lies below the watermark.
    pub(crate) marked: bool,
}

/// Frames, writes and syncs batches.
pub(crate) struct Tail<F: Fs> {
    preparer: Preparer<F>,
    /// Whether the next segment has been asked for.
    asked: bool,
    node_id: NodeId,
    options: LogOptions,
    durable: Arc<Durable<F>>,
    stats: Arc<LogStats>,
    segment: Arc<Segment<F>>,
    /// Bytes of the segment that are written and durable; the buffer goes there.
    offset: u64,
    /// What the next batch must say.
    link: Link,
    /// Every batch through this one is durable.
    watermark: u64,
    /// Last entry framed.
    last: EntryId,
    /// Whether the newest batch is a mark that leaves nothing but itself above the watermark.
    marked: bool,
    buffer: Vec<u8>,
    changes: Vec<Change>,
}

impl<F: Fs> Tail<F> {
    pub(crate) fn new(
        preparer: Preparer<F>,
        node_id: NodeId,
        options: LogOptions,
        durable: Arc<Durable<F>>,
        stats: Arc<LogStats>,
        end: End<F>,
    ) -> Self {
        let End { segment, offset, link, last, marked } = end;
        let (watermark, buffer, changes) = (link.sequence - 1, Vec::new(), Vec::new());
        Self {
            preparer,
            asked: false,
            node_id,
            options,
            durable,
            stats,
            segment,
            offset,
            link,
            watermark,
            last,
            marked,
            buffer,
            changes,
        }
    }

    /// Frames a batch. Writes only if the segment is full.
    pub(crate) fn frame(&mut self, draft: &Draft) -> Result<(), IoFailure> {
        let bytes = draft.disk_bytes();
        if self.end() + bytes + RESERVED_PAGES * PAGE as u64 > self.segment.capacity {
            self.rotate(bytes)?;
        }
        self.encode(draft);
        Ok(())
    }

    /// Frames a mark, after which everything that is durable now lies below the watermark on disk as well. The
    /// only place without room for it is behind a mark, where it would add nothing.
    pub(crate) fn frame_mark(&mut self) {
        if self.end() + 2 * PAGE as u64 <= self.segment.capacity {
            self.encode(&Draft { kind: BatchKind::Mark, sealed: false, base: self.last, blocks: Vec::new() });
        }
    }

    /// Writes what is framed and makes it durable: one write, one sync.
    pub(crate) fn commit(&mut self) -> Result<(), IoFailure> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.segment.write(&self.buffer, self.offset)?;
        let started = Instant::now();
        self.segment.sync()?;
        self.count(started.elapsed());
        self.offset += self.buffer.len() as u64;
        self.watermark = self.link.sequence - 1;
        self.segment.publish(self.offset);
        self.durable.publish(self.changes.drain(..));
        self.buffer.clear();
        // Framing one oversized write must not keep its memory for ever.
        self.buffer.shrink_to(2 * self.options.group_bytes);
        self.think_ahead();
        Ok(())
    }

    /// Asks for the next segment once this one is half full.
    fn think_ahead(&mut self) {
        if !self.asked && self.offset >= self.segment.capacity / 2 {
            self.asked = true;
            self.preparer.want(self.segment.sequence + 1, self.options.capacity_for(PAGE as u64));
        }
    }

    /// Makes a piece of the next segment, if it is time; `false` if nothing is left to do.
    pub(crate) fn prepare(&self) -> bool {
        self.preparer.step()
    }

    pub(crate) const fn options(&self) -> &LogOptions {
        &self.options
    }

    pub(crate) const fn preparer(&self) -> &Preparer<F> {
        &self.preparer
    }

    /// Makes durable that the pages behind the end of the log are empty.
    pub(crate) fn sync_wiped(&self) -> Result<(), IoFailure> {
        self.segment.sync()
    }

    fn count(&self, sync: Duration) {
        let micros = u64::try_from(sync.as_micros()).unwrap_or(u64::MAX);
        self.stats.log_syncs.add(1);
        self.stats.last_sync_micros.set(micros);
        self.stats.total_sync_micros.add(micros);
        self.stats.bytes_written.add(self.buffer.len() as u64);
        self.stats.batches.add(self.link.sequence - 1 - self.watermark);
        self.stats.entries.add(self.changes.iter().filter_map(Change::entries).sum());
    }

    /// Whether a mark now would add nothing.
    pub(crate) const fn is_marked(&self) -> bool {
        self.marked
    }

    /// Whether batches are framed that are not durable yet.
    pub(crate) const fn is_dirty(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Where the next batch is going to be.
    const fn end(&self) -> u64 {
        self.offset + self.buffer.len() as u64
    }

    /// Seals the segment and goes on in the next one, which can hold a batch of `bytes`.
    fn rotate(&mut self, bytes: u64) -> Result<(), IoFailure> {
        self.commit()?;
        let next = self.preparer.take(self.segment.sequence + 1, self.options.capacity_for(bytes))?;
        self.asked = true;
        self.encode(&Draft { kind: BatchKind::Mark, sealed: true, base: self.last, blocks: Vec::new() });
        self.commit()?;
        self.stats.segments_created.add(1);
        self.segment = Arc::new(next);
        self.offset = FIRST_BATCH;
        self.asked = false;
        self.durable.add_segment(self.segment.clone());
        Ok(())
    }

    fn encode(&mut self, draft: &Draft) {
        let offset = self.end();
        let place = Place { node_id: self.node_id, segment: self.segment.sequence, offset };
        let header = draft.encode(place, self.link, self.watermark, &mut self.buffer);
        let position = draft.blocks.first().zip(draft.blocks.last()).map(|(first, last)| Position {
            first: first.first_index(),
            last: last.last_index(),
            segment: self.segment.sequence,
            offset,
            table_bytes: header.table_bytes,
        });
        self.changes.push(Change { kind: draft.kind, base: draft.base.index, position });
        self.link = header.next_link();
        self.marked = header.is_fresh_mark();
        self.last = draft.blocks.last().map_or(draft.base, raft_core::Block::last_id);
    }
}
