//! The conformance suite of [`SnapshotStore`]: each sentence of its contract, put to the test.
//!
//! An implementer writes a [`SnapshotHarness`], a few lines that open, run, crash and damage the store, and calls
//! [`check_snapshot_store`]. Crashes are tried at every operation of creating, receiving and publishing, with
//! different outcomes; after each the store must hold the old snapshot or the new one, whole, and go on.

mod crashes;
mod creating;
mod faults;
mod receiving;
mod session;

use std::fmt;

use super::suite::{Crash, Passed, SuiteFailure};
use crate::storage::{SnapshotEvent, SnapshotStore, StoreError};

/// How the suite handles one implementation. A harness stands for one medium, empty at first; the suite asks for
/// many.
///
/// Snapshots of the suite are some 10 KiB: the store must be set up with chunks of at most 2 KiB.
pub trait SnapshotHarness {
    /// The implementation.
    type Store: SnapshotStore;

    /// Opens the store on the medium as it is. The suite has given back the store that was open before.
    ///
    /// # Errors
    /// The store refuses to open.
    fn open(&mut self) -> Result<Self::Store, StoreError>;

    /// Lets the store work until it has nothing left to do; the events since the last call, in order.
    fn run(&mut self, store: &mut Self::Store) -> Vec<SnapshotEvent>;

    /// Closes an idle store in good order.
    fn close(&mut self, store: Self::Store) {
        drop(store);
    }

    /// Calls `work`, which hands the store something to do, and lets the store do it as [`run`](Self::run) does,
    /// but for `crash.after` operations on its medium only, those inside `work` included; then its process dies,
    /// and the medium holds what `crash.leaves` says. The events until then. `None` if the harness cannot do that:
    /// the suite then skips what needs it.
    fn crash(
        &mut self,
        store: Self::Store,
        crash: Crash,
        work: &mut dyn FnMut(&mut Self::Store),
    ) -> Option<Vec<SnapshotEvent>> {
        let _ = (store, crash, work);
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

    /// Whether the store resumes a transfer, as its contract says. A store that does not yet is spared that check.
    fn resumes(&self) -> bool {
        true
    }
}

/// A sentence of the contract of [`SnapshotStore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SnapshotSentence {
    /// What create and publish report.
    Reported,
    /// What latest, source and reader give.
    Served,
    /// The same everywhere.
    Canonical,
    /// Truth of the report.
    DurableFirst,
    /// What a crash leaves.
    Atomic,
    /// What is kept.
    Retention,
    /// What failures leave.
    NothingLost,
    /// Rot.
    SetAside,
    /// Chunks that do not fit.
    ChunkRefused,
    /// Transfers that are not whole.
    FinishRefused,
    /// Transfers that are not finished or not published.
    Ignored,
    /// Transfers that stopped.
    Resumed,
}

impl fmt::Display for SnapshotSentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reported => {
                "create, publish: exactly one of Created, Published or Failed follows each, in turn"
            }
            Self::Served => "latest, source and reader give the newest published snapshot as it was written",
            Self::Canonical => "the same index gives the same bytes on every node",
            Self::DurableFirst => "Created and Published come after the file and its name are durable",
            Self::Atomic => {
                "a crash at any moment leaves the old set or the new one, and nothing that does not verify"
            }
            Self::Retention => {
                "the newest two are kept; an older one goes only after a newer one is published"
            }
            Self::NothingLost => "errors never lose a published snapshot, and nothing is published by them",
            Self::SetAside => "a snapshot that fails verification at opening is set aside, never loaded",
            Self::ChunkRefused => "write_chunk refuses a wrong length or number as invalid data",
            Self::FinishRefused => "finish refuses missing chunks and a wrong digest as invalid data",
            Self::Ignored => "what is not finished and published is never taken for a snapshot",
            Self::Resumed => "a second sink for the same digest resumes the first one's work",
        })
    }
}

/// What the suite found wrong.
pub type SnapshotFailure = SuiteFailure<SnapshotSentence>;

type Checked = Result<(), SnapshotFailure>;

/// Runs the whole suite. `fresh` makes a harness over an empty medium.
///
/// # Errors
/// The first sentence that the store breaks, and how.
///
/// # Panics
/// If the store's chunks are too large for the suite.
pub fn check_snapshot_store<H: SnapshotHarness>(
    mut fresh: impl FnMut() -> H,
) -> Result<Passed<SnapshotSentence>, SnapshotFailure> {
    creating::check(&mut fresh)?;
    let mut skipped = receiving::check(&mut fresh)?;
    skipped.extend(faults::check(&mut fresh)?);
    skipped.extend(crashes::check(&mut fresh)?);
    Ok(Passed { skipped })
}
