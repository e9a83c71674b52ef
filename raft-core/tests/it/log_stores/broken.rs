//! Log stores that are right but for one bug.

use std::mem;

use raft_core::block::Block;
use raft_core::snapshot::SnapshotMeta;
use raft_core::storage::{LogEvent, LogStore, ReadFailure, ReadRequest, Recovered, StoreError, Write};
use raft_core::testing::log_store_suite::LogHarness;
use raft_core::testing::sim_log::{LogImage, SimLog};
use raft_core::testing::suite::Crash;
use raft_core::types::{HardState, LogIndex};

use super::{SimHarness, survivors};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    ReportsTooEarly,
    ReportsOutOfOrder,
    ForgetsToReport,
    IgnoresTruncation,
    IgnoresReset,
    RecoversOldVote,
    LosesVoteInCrash,
    WritesEntriesBeforeVote,
    SkipsAWriteInCrash,
    GoesOnAfterFailure,
    ReadsTooMuch,
    IgnoresMaxBytes,
    IgnoresChecksums,
    CompactsTooMuch,
    IgnoresFills,
}

/// A [`SimLog`] with a bug between it and its user.
pub(super) struct BrokenLog {
    log: SimLog,
    bug: Bug,
    /// Writes as submitted, and reads as asked, since the last run.
    writes: Vec<Write>,
    reads: Vec<ReadRequest>,
    votes: Vec<HardState>,
}

impl LogStore for BrokenLog {
    fn submit(&mut self, mut write: Write) {
        self.votes.extend(write.hard_state);
        self.writes.push(write.clone());
        match self.bug {
            // A truncation with entries behind it would leave a gap, which the simulated log refuses.
            Bug::IgnoresTruncation if write.append.is_empty() => write.truncate_from = None,
            Bug::IgnoresReset if write.append.is_empty() => write.reset = None,
            Bug::IgnoresFills => write.fill.clear(),
            _ => {}
        }
        self.log.submit(write);
    }

    fn read(&mut self, mut request: ReadRequest) {
        self.reads.push(request);
        match self.bug {
            Bug::ReadsTooMuch => request.through = request.through.next(),
            Bug::IgnoresMaxBytes => request.max_bytes = usize::MAX,
            _ => {}
        }
        self.log.read(request);
    }

    fn compact(&mut self, through: LogIndex) {
        self.log.compact(if self.bug == Bug::CompactsTooMuch { through.next() } else { through });
    }
}

pub(super) struct BrokenHarness {
    inner: SimHarness,
    bug: Bug,
}

impl BrokenHarness {
    pub(super) fn new(bug: Bug) -> Self {
        Self { inner: SimHarness::default(), bug }
    }

    fn twist_reports(&self, store: &mut BrokenLog, events: &mut Vec<LogEvent>) {
        let written = mem::take(&mut store.writes);
        let reports = |event: &LogEvent| matches!(event, LogEvent::Durable(_));
        match self.bug {
            Bug::ReportsOutOfOrder if events.iter().any(reports) && written.len() > 1 => {
                events.push(LogEvent::Durable(written[0].id));
            }
            Bug::ForgetsToReport if written.len() == 1 => events.retain(|event| !reports(event)),
            Bug::GoesOnAfterFailure if events.iter().any(|event| matches!(event, LogEvent::Failed(_))) => {
                events.extend(written.last().map(|write| LogEvent::Durable(write.id)));
            }
            _ => {}
        }
    }

    /// What a reader gets that does not look at checksums.
    fn twist_reads(&self, store: &mut BrokenLog, events: &mut [LogEvent]) {
        let asked = mem::take(&mut store.reads);
        if self.bug != Bug::IgnoresChecksums {
            return;
        }
        for event in events {
            if let LogEvent::Read { id, answer: answer @ Err(ReadFailure::Damaged { .. }) } = event {
                let request = asked.iter().find(|request| request.id == *id).unwrap();
                *answer = Ok(store.log.with_durable(|image| unverified(image, request)));
            }
        }
    }
}

fn unverified(image: &LogImage, request: &ReadRequest) -> Vec<Block> {
    let overlaps =
        |block: &&Block| block.first_index() <= request.through && request.from <= block.last_index();
    let slice = |block: &Block| {
        block.slice(block.first_index().max(request.from), block.last_index().min(request.through))
    };
    image.blocks().filter(overlaps).map(slice).collect()
}

impl LogHarness for BrokenHarness {
    type Store = BrokenLog;

    fn open(&mut self, floor: &SnapshotMeta) -> Result<(BrokenLog, Recovered), StoreError> {
        let (log, recovered) = self.inner.open(floor)?;
        let (writes, reads, votes) = (Vec::new(), Vec::new(), vec![recovered.hard_state]);
        Ok((BrokenLog { log, bug: self.bug, writes, reads, votes }, recovered))
    }

    fn run(&mut self, store: &mut BrokenLog) -> Vec<LogEvent> {
        let mut events = self.inner.run(&mut store.log);
        self.twist_reports(store, &mut events);
        self.twist_reads(store, &mut events);
        events
    }

    fn close(&mut self, mut store: BrokenLog) {
        store.votes.pop();
        self.inner.close(store.log);
        if let (Bug::RecoversOldVote, Some(&old)) = (self.bug, store.votes.last()) {
            self.inner.image.hard_state = old;
        }
    }

    fn crash(&mut self, store: BrokenLog, crash: Crash) -> Option<Vec<LogEvent>> {
        let BrokenLog { log, writes, .. } = store;
        let before = log.with_durable(LogImage::clone);
        let mut events = self.inner.crash(log, crash)?;
        let (completed, queued) = writes.split_at(writes.len().min(crash.after as usize));
        let spared = &queued[..survivors(queued.len(), crash.leaves).writes];
        let replay = |writes: &[&[Write]]| {
            let mut image = before.clone();
            writes.iter().flat_map(|writes| writes.iter()).for_each(|write| image.apply(write));
            image
        };
        match (self.bug, queued, spared) {
            (Bug::ReportsTooEarly, [.., last], _) => events.push(LogEvent::Durable(last.id)),
            (Bug::LosesVoteInCrash, ..) => self.inner.image.hard_state = before.hard_state,
            (Bug::WritesEntriesBeforeVote, _, [earlier @ .., last]) if !last.append.is_empty() => {
                self.inner.image.hard_state = replay(&[completed, earlier]).hard_state;
            }
            (Bug::SkipsAWriteInCrash, _, [first, others @ ..]) if first.truncate_from.is_some() => {
                self.inner.image = replay(&[completed, others]);
            }
            _ => {}
        }
        Some(events)
    }

    fn fail_next_sync(&mut self, store: &mut BrokenLog) -> bool {
        self.inner.fail_next_sync(&mut store.log)
    }

    fn damage(&mut self, pattern: &[u8]) -> Option<usize> {
        self.inner.damage(pattern)
    }
}
