//! Failing syncs and rotten payloads.

use super::script::{block, hard_state, payload, write};
use super::session::Session;
use super::{Checked, LogFailure, LogHarness, LogSentence};
use crate::block::Block;
use crate::storage::{LogEvent, ReadFailure, Recovered, Write};
use crate::testing::sim_fs::PowerLoss;
use crate::testing::suite::{Crash, Leaves};
use crate::types::LogIndex;

/// Checks, and says what the harness could not do.
pub(super) fn check<H: LogHarness>(fresh: &mut impl FnMut() -> H) -> Result<Vec<LogSentence>, LogFailure> {
    let mut skipped = Vec::new();
    if !failed_sync(Session::open("a failed sync", fresh())?)? {
        skipped.push(LogSentence::Poisoned);
    }
    if fresh().damage(b"no such payload").is_none() {
        skipped.push(LogSentence::Verified);
        return Ok(skipped);
    }
    for index in [1, 5, 8] {
        rot(Session::open(format!("a rotten payload in entry {index}"), fresh())?, index)?;
    }
    Ok(skipped)
}

fn failed_sync<H: LogHarness>(mut session: Session<H>) -> Result<bool, LogFailure> {
    session.submit(Write {
        hard_state: Some(hard_state(1, 1)),
        append: vec![block(1, 1, 5)].into(),
        ..write()
    });
    session.settle()?;
    if !session.fail_next_sync() {
        return Ok(false);
    }
    session.submit(Write { append: vec![block(1, 6, 9)].into(), ..write() });
    session.submit(Write {
        hard_state: Some(hard_state(2, 2)),
        append: vec![block(2, 10, 11)].into(),
        ..write()
    });
    let events = session.run()?;
    if !matches!(events[..], [LogEvent::Failed(_)]) || session.queued.len() != 2 {
        let found =
            format!("after a failed sync it reports {events:?}, and {} writes not", session.queued.len());
        return Err(session.failure(LogSentence::Poisoned, found));
    }
    session.submit(Write { append: vec![block(2, 12, 12)].into(), ..write() });
    let events = session.run()?;
    if !events.is_empty() || session.queued.len() != 3 {
        let found = format!("after Failed it reports {events:?}, and {} writes not", session.queued.len());
        return Err(session.failure(LogSentence::Poisoned, found));
    }
    let crash = Crash { after: 0, leaves: Leaves::Medium(PowerLoss::NothingUnsynced) };
    session.crash(crash)?;
    Ok(true)
}

/// The store may refuse to open, or name the entry when it is read, or know its bytes from elsewhere.
fn rot<H: LogHarness>(mut session: Session<H>, index: u64) -> Checked {
    session.submit(Write {
        hard_state: Some(hard_state(1, 1)),
        append: vec![block(1, 1, 5)].into(),
        ..write()
    });
    session.settle()?;
    // What follows tells rot from a write that a crash cut short.
    for first in [6, 11, 16] {
        session.submit(Write { append: vec![block(1, first, first + 4)].into(), ..write() });
        session.settle()?;
    }
    let Ok(recovered) =
        session.try_reopen(|harness| harness.damage(&payload(1, index)).is_some_and(|copies| copies > 0))?
    else {
        return Ok(());
    };
    let rotten = LogIndex(index);
    let damaged = recovered.damaged.iter().filter(|named| **named != rotten).copied().collect();
    session.expect_recovered(&Recovered { damaged, ..recovered })?;
    let mut is_named = false;
    for from in [1, index] {
        let request = session.ask(from, 20, usize::MAX);
        match session.answer(&request)? {
            Err(ReadFailure::Damaged { index: named, .. }) if named == rotten => is_named = true,
            Ok(blocks) if blocks.iter().all(|block| block.verify().is_ok()) => {}
            other => {
                let found = format!("read {request:?} over rotten entry {index} is answered by {other:?}");
                return Err(session.failure(LogSentence::Verified, found));
            }
        }
    }
    if is_named { mend(session, index) } else { Ok(()) }
}

/// A core that has the entry from elsewhere gives it back to the store.
fn mend<H: LogHarness>(mut session: Session<H>, index: u64) -> Checked {
    session.submit(Write { fill: vec![block(1, index, index)].into(), ..write() });
    let events = session.run()?;
    if matches!(events[..], [LogEvent::Failed(_)]) {
        return Ok(());
    }
    let request = session.ask(1, 20, usize::MAX);
    let answer = session.answer(&request)?;
    let mended = answer.as_ref().is_ok_and(|blocks| {
        let entry = blocks.iter().flat_map(Block::entries).find(|entry| entry.id.index.0 == index);
        blocks.iter().all(|block| block.verify().is_ok())
            && blocks.last().is_some_and(|block| block.last_index() == LogIndex(20))
            && entry.is_some_and(|entry| entry.payload == payload(1, index))
    });
    if mended && events.is_empty() && session.queued.is_empty() {
        return Ok(());
    }
    let found = match answer {
        Ok(_) => format!("a fill of entry {index} ends with {events:?}, and other entries are read"),
        Err(failure) => format!("a fill of entry {index} ends with {events:?}, and a read with {failure:?}"),
    };
    Err(session.failure(LogSentence::Fills, found))
}
