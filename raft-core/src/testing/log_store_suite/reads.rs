//! What reads answer: ranges, sizes, and races with writes.

use super::model::entries_of;
use super::script::{block, configuration_block, hard_state, snapshot, two_term_block, write};
use super::session::Session;
use super::{Checked, LogHarness, LogSentence};
use crate::storage::Write;
use crate::types::{EntryId, LogIndex, Term};

pub(super) fn check<H: LogHarness>(fresh: &mut impl FnMut() -> H) -> Checked {
    ranges(Session::open("reads of every range", fresh())?)?;
    race_with_truncation(Session::open("a read that races with a truncation", fresh())?)?;
    behind_a_reset(Session::open("reads around a reset", fresh())?)
}

fn ranges<H: LogHarness>(mut session: Session<H>) -> Checked {
    let append = vec![configuration_block(1, 1, 3), block(1, 2, 5), two_term_block(1, 2, 6, 8, 10)];
    session.submit(Write { hard_state: Some(hard_state(2, 1)), append: append.into(), ..write() });
    session.submit(Write { append: vec![block(2, 11, 11), block(2, 12, 17)].into(), ..write() });
    session.settle()?;
    for from in 1..=17 {
        for through in from..=17 {
            session.expect_read(from, through, usize::MAX)?;
        }
        for max_bytes in [0, 1, 100, 700, 3000, 10_000] {
            session.expect_read(from, 17, max_bytes)?;
        }
        // Entries that do not exist are left out, not made up.
        session.expect_read(from, 30, usize::MAX)?;
    }
    session.expect_read(18, 20, usize::MAX)
}

/// Either the old entries or the new ones may come, each with its own identity.
fn race_with_truncation<H: LogHarness>(mut session: Session<H>) -> Checked {
    session.submit(Write {
        hard_state: Some(hard_state(2, 1)),
        append: vec![block(1, 1, 12)].into(),
        ..write()
    });
    session.settle()?;
    let old = session.durable.clone();
    let request = session.ask(1, 12, usize::MAX);
    let append = vec![block(2, 6, 9)];
    session.submit(Write { truncate_from: Some(LogIndex(6)), append: append.into(), ..write() });
    let blocks = session.answer(&request)?.unwrap_or_default();
    let found = entries_of(&blocks);
    let contiguous = found.iter().zip(1..).all(|(entry, index)| entry.id.index.0 == index);
    let known =
        found.iter().all(|entry| old.entries.contains(entry) || session.submitted.entries.contains(entry));
    if found.len() < 5 || !contiguous || !known {
        let ids: Vec<_> = found.iter().map(|entry| entry.id.to_string()).collect();
        return Err(session.failure(LogSentence::Reads, format!("the answer holds entries {ids:?}")));
    }
    session.settle()?;
    session.expect_contents()?;
    session.expect_read(6, 9, usize::MAX)
}

fn behind_a_reset<H: LogHarness>(mut session: Session<H>) -> Checked {
    session.submit(Write {
        hard_state: Some(hard_state(2, 1)),
        append: vec![block(1, 1, 12)].into(),
        ..write()
    });
    session.settle()?;
    let base = EntryId::new(Term(2), LogIndex(20));
    session.floor = snapshot(base);
    session.submit(Write { reset: Some(base), ..write() });
    session.settle()?;
    for index in [1, 12, 13, 20] {
        session.expect_compacted(index)?;
    }
    session.submit(Write { append: vec![block(2, 21, 25)].into(), ..write() });
    session.settle()?;
    session.expect_read(21, 25, usize::MAX)?;
    session.expect_compacted(20)
}
