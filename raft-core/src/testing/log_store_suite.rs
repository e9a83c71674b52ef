//! The conformance suite of [`LogStore`]: each sentence of its contract, put to the test.
//!
//! An implementer writes a [`LogHarness`], a few lines that open, run, crash and damage the store, and calls
//! [`check_log_store`]. The suite keeps a model of its own, a plain list of entries, and compares what the store
//! reports, answers and recovers with it. Crashes are tried at every operation of the store on its medium, with
//! different outcomes, and after each recovery the store must go on and survive another.

mod crashes;
mod faults;
mod judge;
mod model;
mod reads;
mod recovery;
mod script;
mod session;
mod walk;

use std::fmt;

use super::suite::{Crash, Passed, SuiteFailure};
use crate::snapshot::SnapshotMeta;
use crate::storage::{LogEvent, LogStore, Recovered, StoreError};

/// How the suite handles one implementation. A harness stands for one medium, empty at first; the suite asks for
/// many.
pub trait LogHarness {
    /// The implementation.
    type Store: LogStore;

    /// Opens the store on the medium as it is, with the newest published snapshot. The suite has given back the
    /// store that was open before.
    ///
    /// # Errors
    /// The store refuses to open.
    fn open(&mut self, floor: &SnapshotMeta) -> Result<(Self::Store, Recovered), StoreError>;

    /// Lets the store work until it has nothing left to do, or has failed; the events since the last call, in
    /// order.
    fn run(&mut self, store: &mut Self::Store) -> Vec<LogEvent>;

    /// Closes an idle store in good order.
    fn close(&mut self, store: Self::Store) {
        drop(store);
    }

    /// Lets the store work as [`run`](Self::run) does, but for `crash.after` operations on its medium only; then
    /// its process dies, and the medium holds what `crash.leaves` says. The events until then. `None` if the
    /// harness cannot do that: the suite then skips what needs it.
    fn crash(&mut self, store: Self::Store, crash: Crash) -> Option<Vec<LogEvent>> {
        let _ = (store, crash);
        None
    }

    /// Makes the next sync of the medium fail. `false` if the harness cannot do that.
    fn fail_next_sync(&mut self, store: &mut Self::Store) -> bool {
        let _ = store;
        false
    }

    /// Flips a bit in every copy of `pattern` that the medium holds, while no store is open; how many there were.
    /// `None` if the harness cannot do that.
    fn damage(&mut self, pattern: &[u8]) -> Option<usize> {
        let _ = pattern;
        None
    }
}

/// A sentence of the contract of [`LogStore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LogSentence {
    /// Order of effects.
    Order,
    /// Truth of the report.
    Durable,
    /// Form of the report.
    Cumulative,
    /// Order within a write.
    HardStateFirst,
    /// What a crash leaves.
    Prefix,
    /// What opening tells.
    Recovered,
    /// Errors are final.
    Poisoned,
    /// Contents of answers.
    Reads,
    /// Size of answers.
    MaxBytes,
    /// Integrity of answers.
    Verified,
    /// What a fill does.
    Fills,
    /// Answers before the log's start.
    Compacted,
    /// What compaction may drop.
    Compaction,
}

impl fmt::Display for LogSentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Order => {
                "writes take effect in the order of submit, their parts in the order of the fields"
            }
            Self::Durable => "Durable never names a write that could be lost, nor one after such a write",
            Self::Cumulative => {
                "Durable is cumulative and in the order of submit, and in the end names every write"
            }
            Self::HardStateFirst => {
                "the hard state is durable before any entry of the write can survive a crash"
            }
            Self::Prefix => "of writes not yet durable a crash leaves what amounts to a prefix of the queue",
            Self::Recovered => {
                "opening tells hard state, base, last entry, term runs, configurations and damage"
            }
            Self::Poisoned => "a failed write or sync is reported once, and nothing is durable after it",
            Self::Reads => {
                "a read is answered once, with the durable entries of its range, contiguous from `from`"
            }
            Self::MaxBytes => {
                "an answer stops before the block that would exceed max_bytes, but is never empty"
            }
            Self::Verified => "the payloads in an answer are verified",
            Self::Fills => {
                "a fill that is durable has mended the entry, and changed no other; else the store fails"
            }
            Self::Compacted => {
                "a read before the log's start is answered by Compacted with the first entry there"
            }
            Self::Compaction => "compaction drops entries through the given index, and no other",
        })
    }
}

/// What the suite found wrong.
pub type LogFailure = SuiteFailure<LogSentence>;

type Checked = Result<(), LogFailure>;

/// Runs the whole suite. `fresh` makes a harness over an empty medium.
///
/// # Errors
/// The first sentence that the store breaks, and how.
pub fn check_log_store<H: LogHarness>(
    mut fresh: impl FnMut() -> H,
) -> Result<Passed<LogSentence>, LogFailure> {
    recovery::check(&mut fresh)?;
    reads::check(&mut fresh)?;
    let mut skipped = faults::check(&mut fresh)?;
    let uncrashed = crashes::check(&mut fresh)?;
    walk::check(&mut fresh, uncrashed.is_empty())?;
    skipped.extend(uncrashed);
    Ok(Passed { skipped })
}
