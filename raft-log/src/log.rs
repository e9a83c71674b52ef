//! The log as a plain value: calls queue, [`SegmentedLog::step`] works. Production runs it on a thread, simulation
//! by hand.

use std::collections::VecDeque;
use std::sync::Arc;

use raft_core::LogIndex;
use raft_core::fs::Fs;
use raft_core::storage::{LogEvent, LogStore, ReadRequest, Sink, Write};
use raft_core::{NodeId, WriteId};

use crate::error::WriteError;
use crate::options::LogOptions;
use crate::reader::LogReader;
use crate::spare::Preparer;
use crate::stats::LogStats;
use crate::writer::Writer;

/// A [`LogStore`] over segment files. Made by [`open`](crate::open).
///
/// Its queues are bounded by what submits to them: the core admits a bounded number of bytes that are not durable,
/// and asks for a bounded number of reads at a time.
pub struct SegmentedLog<F: Fs> {
    writer: Writer<F>,
    reader: LogReader<F>,
    writes: VecDeque<Write>,
    reads: VecDeque<ReadRequest>,
    compact_through: LogIndex,
    /// A write failed; nothing is written any more.
    poisoned: bool,
    sink: Sink<LogEvent>,
}

impl<F: Fs> SegmentedLog<F> {
    pub(crate) fn new(writer: Writer<F>, node_id: NodeId, sink: Sink<LogEvent>) -> Self {
        let reader = LogReader::new(node_id, writer.durable.clone(), writer.stats.clone());
        // A log that was reset at opening has segments before the reset.
        let compact_through = writer.span.base().index;
        let (writes, reads) = (VecDeque::new(), VecDeque::new());
        Self { writer, reader, writes, reads, compact_through, poisoned: false, sink }
    }

    /// Works once on what is queued: compaction, then one group commit (as many writes as may share a sync), then
    /// all reads. `true` while more writes wait: call again.
    pub fn step(&mut self) -> bool {
        if let Err(error) = self.write() {
            self.poison(error);
        }
        for request in std::mem::take(&mut self.reads) {
            let answer = self.reader.read(request);
            (self.sink)(LogEvent::Read { id: request.id, answer });
        }
        !self.writes.is_empty()
    }

    /// Writes down that everything reported durable is durable, so that from now on rot in it cannot be taken for
    /// a torn tail. Meant for a log that is idle or about to close; costs a page and a sync, or nothing if it is
    /// written down already.
    pub fn mark(&mut self) {
        if self.is_marked() {
            return;
        }
        self.writer.tail.frame_mark();
        match self.writer.commit() {
            Ok(()) => self.writer.stats.marks.add(1),
            Err(error) => self.poison(error.into()),
        }
    }

    /// Whether a mark now would add nothing.
    pub(crate) const fn is_marked(&self) -> bool {
        self.poisoned || self.writer.tail.is_marked()
    }

    /// Makes a piece of the next segment, once the one being written to is half full; `false` if nothing is left to
    /// do. [`LogThread`](crate::LogThread) has a thread for it; without, a write pauses where a segment ends.
    pub fn prepare(&mut self) -> bool {
        !self.poisoned && self.writer.tail.prepare()
    }

    pub(crate) fn preparer(&self) -> Preparer<F> {
        self.writer.tail.preparer().clone()
    }

    pub(crate) const fn options(&self) -> &LogOptions {
        self.writer.tail.options()
    }

    /// A reader for other threads.
    #[must_use]
    pub fn reader(&self) -> LogReader<F> {
        self.reader.clone()
    }

    /// Counters, readable from any thread.
    #[must_use]
    pub fn stats(&self) -> Arc<LogStats> {
        self.writer.stats.clone()
    }

    pub(crate) fn sink(&self) -> Sink<LogEvent> {
        self.sink.clone()
    }

    fn write(&mut self) -> Result<(), WriteError> {
        if self.poisoned {
            return Ok(());
        }
        self.writer.compact(self.compact_through)?;
        if let Some(id) = self.commit_group()? {
            (self.sink)(LogEvent::Durable(id));
        }
        Ok(())
    }

    /// The last write that became durable, if any was queued.
    fn commit_group(&mut self) -> Result<Option<WriteId>, WriteError> {
        let (mut last, mut count) = (None, 0);
        while let Some(write) = self.writes.pop_front_if(|write| !self.writer.must_commit_before(write)) {
            last = Some(write.id);
            count += 1;
            self.writer.add(write)?;
        }
        self.writer.commit()?;
        self.writer.stats.writes.add(count);
        Ok(last)
    }

    /// The one way to fail: said once, and nothing is durable after it. A sync is never tried again: the kernel
    /// has marked the pages as clean that it could not write.
    fn poison(&mut self, error: WriteError) {
        tracing::error!(%error, "the log stops");
        self.poisoned = true;
        self.writes.clear();
        (self.sink)(LogEvent::Failed(Arc::new(error)));
        // Only now: it waits for a piece that is being written, perhaps to a disk that hangs.
        self.writer.tail.preparer().close();
    }
}

impl<F: Fs> Drop for SegmentedLog<F> {
    fn drop(&mut self) {
        self.writer.tail.preparer().close();
    }
}

impl<F: Fs> LogStore for SegmentedLog<F> {
    fn submit(&mut self, write: Write) {
        if !self.poisoned {
            self.writes.push_back(write);
        }
    }

    fn read(&mut self, request: ReadRequest) {
        self.reads.push_back(request);
    }

    fn compact(&mut self, through: LogIndex) {
        self.compact_through = self.compact_through.max(through);
    }
}
