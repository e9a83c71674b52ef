//! What is written in good order is there after closing and opening.

use super::script::{block, configuration_block, hard_state, snapshot, two_term_block, write};
use super::session::Session;
use super::{Checked, LogHarness};
use crate::storage::Write;
use crate::types::{EntryId, LogIndex, Term};

pub(super) fn check<H: LogHarness>(fresh: &mut impl FnMut() -> H) -> Checked {
    hard_states(Session::open("recovery of hard states", fresh())?)?;
    appends(Session::open("recovery of appends", fresh())?)?;
    truncations(Session::open("recovery of truncations", fresh())?)?;
    configurations(Session::open("recovery of configurations", fresh())?)?;
    resets(Session::open("recovery of resets", fresh())?)?;
    compaction(Session::open("recovery after compaction", fresh())?)
}

/// Compares before and after closing; twice, since opening must change nothing that it tells.
fn settle_and_reopen<H: LogHarness>(session: &mut Session<H>) -> Checked {
    session.settle()?;
    session.expect_contents()?;
    session.reopen()?;
    session.reopen()
}

fn hard_states<H: LogHarness>(mut session: Session<H>) -> Checked {
    for (term, vote) in [(1, 0), (1, 7), (2, 0), (9, 1)] {
        session.submit(Write { hard_state: Some(hard_state(term, vote)), ..write() });
        settle_and_reopen(&mut session)?;
    }
    // Many in one go: the newest counts.
    for term in 10..20 {
        session.submit(Write { hard_state: Some(hard_state(term, term % 3)), ..write() });
    }
    session.submit(write());
    settle_and_reopen(&mut session)
}

fn appends<H: LogHarness>(mut session: Session<H>) -> Checked {
    let append = vec![block(1, 1, 4)];
    session.submit(Write { hard_state: Some(hard_state(1, 1)), append: append.into(), ..write() });
    settle_and_reopen(&mut session)?;
    let append = vec![block(1, 5, 5), two_term_block(1, 2, 6, 9, 12), block(2, 13, 40)];
    session.submit(Write { hard_state: Some(hard_state(2, 2)), append: append.into(), ..write() });
    settle_and_reopen(&mut session)?;
    for index in 41..60 {
        session.submit(Write { append: vec![block(2, index, index)].into(), ..write() });
    }
    settle_and_reopen(&mut session)
}

fn truncations<H: LogHarness>(mut session: Session<H>) -> Checked {
    let append = vec![block(1, 1, 10), block(1, 11, 20)];
    session.submit(Write { hard_state: Some(hard_state(1, 1)), append: append.into(), ..write() });
    session.settle()?;
    // Inside a block, and with new entries in the same write.
    let truncate_from = Some(LogIndex(15));
    let append = vec![block(2, 15, 16)];
    session.submit(Write {
        hard_state: Some(hard_state(2, 0)),
        truncate_from,
        append: append.into(),
        ..write()
    });
    settle_and_reopen(&mut session)?;
    // Alone, on the edge of a block.
    session.submit(Write { truncate_from: Some(LogIndex(11)), ..write() });
    settle_and_reopen(&mut session)?;
    // Twice before any of it is durable, down to an empty log and up again.
    session.submit(Write {
        truncate_from: Some(LogIndex(3)),
        append: vec![block(2, 3, 30)].into(),
        ..write()
    });
    session.submit(Write { truncate_from: Some(LogIndex(1)), ..write() });
    settle_and_reopen(&mut session)?;
    session.submit(Write { append: vec![block(2, 1, 3)].into(), ..write() });
    settle_and_reopen(&mut session)
}

fn configurations<H: LogHarness>(mut session: Session<H>) -> Checked {
    let append = vec![configuration_block(1, 1, 3), block(1, 2, 9), configuration_block(1, 10, 4)];
    session.submit(Write { hard_state: Some(hard_state(1, 1)), append: append.into(), ..write() });
    session.submit(Write { append: vec![block(1, 11, 15), configuration_block(1, 16, 5)].into(), ..write() });
    settle_and_reopen(&mut session)?;
    let append = vec![configuration_block(1, 12, 2)];
    session.submit(Write { truncate_from: Some(LogIndex(12)), append: append.into(), ..write() });
    settle_and_reopen(&mut session)
}

fn resets<H: LogHarness>(mut session: Session<H>) -> Checked {
    let append = vec![configuration_block(3, 1, 3), block(3, 2, 30)];
    session.submit(Write { hard_state: Some(hard_state(5, 1)), append: append.into(), ..write() });
    session.settle()?;
    // Past the end of the log.
    let base = EntryId::new(Term(4), LogIndex(100));
    session.floor = snapshot(base);
    session.submit(Write { reset: Some(base), ..write() });
    settle_and_reopen(&mut session)?;
    session.submit(Write { append: vec![block(5, 101, 120)].into(), ..write() });
    settle_and_reopen(&mut session)?;
    // All parts at once; the new start lies inside the log, which holds another entry there.
    let base = EntryId::new(Term(6), LogIndex(110));
    session.submit(Write { hard_state: Some(hard_state(6, 0)), ..write() });
    session.settle()?;
    session.floor = snapshot(base);
    let append = vec![block(6, 111, 112)];
    session.submit(Write {
        hard_state: Some(hard_state(7, 3)),
        reset: Some(base),
        append: append.into(),
        ..write()
    });
    settle_and_reopen(&mut session)
}

fn compaction<H: LogHarness>(mut session: Session<H>) -> Checked {
    session.submit(Write { hard_state: Some(hard_state(2, 1)), ..write() });
    for first in (1..200).step_by(10) {
        let term = if first < 100 { 1 } else { 2 };
        session.submit(Write { append: vec![block(term, first, first + 9)].into(), ..write() });
    }
    session.settle()?;
    for (term, index) in [(1, 34), (1, 99), (2, 101), (2, 200)] {
        let through = EntryId::new(Term(term), LogIndex(index));
        session.compact(through, snapshot(through));
        settle_and_reopen(&mut session)?;
    }
    session.submit(Write { append: vec![block(2, 201, 210)].into(), ..write() });
    settle_and_reopen(&mut session)
}
