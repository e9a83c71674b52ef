//! Crashes at every operation of the store, with different outcomes, and what must be there then.

use super::script::{block, configuration_block, hard_state, snapshot, write};
use super::session::Session;
use super::{LogFailure, LogHarness, LogSentence};
use crate::block::Block;
use crate::storage::Write;
use crate::testing::sim_fs::PowerLoss;
use crate::testing::suite::{Crash, Leaves};
use crate::types::{EntryId, LogIndex, Term};

/// More operations than any store needs for the few writes of a check.
const MAX_POINTS: u64 = 10_000;

/// What is submitted, in one go, when the crash strikes.
struct Workload {
    name: &'static str,
    /// Published before, where a reset needs it.
    floor: Option<EntryId>,
    writes: Vec<Write>,
}

/// Checks, and says what the harness could not do.
pub(super) fn check<H: LogHarness>(fresh: &mut impl FnMut() -> H) -> Result<Vec<LogSentence>, LogFailure> {
    for workload in workloads() {
        for point in 0..MAX_POINTS {
            let mut finished = true;
            for leaves in Leaves::all(point) {
                let name =
                    format!("a crash in {} after {point} operations that leaves {leaves:?}", workload.name);
                let session = Session::open(name, fresh())?;
                match crash_and_go_on(session, &workload, Crash { after: point, leaves })? {
                    Some(all_durable) => finished &= all_durable,
                    None => {
                        return Ok(vec![
                            LogSentence::Durable,
                            LogSentence::HardStateFirst,
                            LogSentence::Prefix,
                        ]);
                    }
                }
            }
            if finished {
                break;
            }
        }
    }
    Ok(Vec::new())
}

/// Each continues the log of [`crash_and_go_on`]: entries 1 to 10, term 3.
fn workloads() -> Vec<Workload> {
    let plain = |name, writes| Workload { name, floor: None, writes };
    let (ahead, inside) = (EntryId::new(Term(3), LogIndex(40)), EntryId::new(Term(3), LogIndex(8)));
    let after_inside = vec![append(vec![block(3, 11, 12)]), reset(inside)];
    vec![
        plain(
            "appends",
            vec![append(vec![block(3, 11, 12)]), append(vec![block(3, 13, 13), block(3, 14, 30)])],
        ),
        plain("votes", vec![vote(4, 0), vote(4, 2), vote(5, 1), vote(6, 0)]),
        plain(
            "votes with entries",
            vec![
                with_vote(append(vec![block(4, 11, 13)]), 4),
                vote(5, 1),
                with_vote(append(vec![block(6, 14, 15)]), 6),
            ],
        ),
        plain(
            "truncations",
            vec![
                truncate(6, vec![block(3, 6, 12)]),
                with_vote(truncate(9, vec![block(4, 9, 10)]), 4),
                truncate(10, Vec::new()),
                with_vote(truncate(2, vec![block(5, 2, 4)]), 5),
            ],
        ),
        plain(
            "configurations",
            vec![
                append(vec![configuration_block(3, 11, 4)]),
                with_vote(truncate(11, vec![configuration_block(4, 11, 5)]), 4),
            ],
        ),
        Workload { name: "a reset ahead", floor: Some(ahead), writes: vec![reset(ahead), vote(5, 1)] },
        Workload { name: "a reset inside", floor: Some(inside), writes: after_inside },
    ]
}

fn vote(term: u64, vote: u64) -> Write {
    Write { hard_state: Some(hard_state(term, vote)), ..write() }
}

fn with_vote(write: Write, term: u64) -> Write {
    Write { hard_state: Some(hard_state(term, term)), ..write }
}

fn append(append: Vec<Block>) -> Write {
    Write { append: append.into(), ..write() }
}

fn truncate(from: u64, append: Vec<Block>) -> Write {
    Write { truncate_from: Some(LogIndex(from)), append: append.into(), ..write() }
}

/// All that a write can hold.
fn reset(base: EntryId) -> Write {
    let append = vec![block(3, base.index.0 + 1, base.index.0 + 2)];
    Write { hard_state: Some(hard_state(4, 0)), reset: Some(base), append: append.into(), ..write() }
}

/// `None` if the harness cannot crash; else whether all was durable before the crash.
fn crash_and_go_on<H: LogHarness>(
    mut session: Session<H>,
    workload: &Workload,
    crash: Crash,
) -> Result<Option<bool>, LogFailure> {
    let append = vec![configuration_block(1, 1, 3), block(1, 2, 6), block(2, 7, 10)];
    session.submit(Write { hard_state: Some(hard_state(3, 1)), append: append.into(), ..write() });
    session.settle()?;
    if let Some(floor) = workload.floor {
        session.floor = snapshot(floor);
    }
    workload.writes.iter().for_each(|write| session.submit(write.clone()));
    let Some(all_durable) = session.crash(crash)? else { return Ok(None) };
    go_on(&mut session)?;
    Ok(Some(all_durable))
}

/// A store that recovered must take writes and survive another crash, which now finds everything durable.
fn go_on<H: LogHarness>(session: &mut Session<H>) -> Result<(), LogFailure> {
    let first = session.submitted.last().index.0 + 1;
    let term = session.durable.hard_state.current_term.0 + 1;
    let append = vec![block(term, first, first + 3)];
    session.submit(Write { hard_state: Some(hard_state(term, 3)), append: append.into(), ..write() });
    session.settle()?;
    session.expect_contents()?;
    session.crash(Crash { after: 0, leaves: Leaves::Medium(PowerLoss::NothingUnsynced) })?;
    session.settle()
}
