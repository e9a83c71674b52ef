//! What the conformance suites share: how a store is crashed, and what a suite answers.

use std::fmt;

use super::draw::draw;
use super::sim_fs::PowerLoss;

/// A crash that a suite asks of a harness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    /// The store gets this many more operations on its medium done; the next one does not return.
    pub after: u64,
    /// What the next process finds.
    pub leaves: Leaves,
}

/// What a crash leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// All that was written: the process died, the machine lives on.
    Cache,
    /// What was durable, and of the rest what this choice spares.
    Medium(PowerLoss),
}

impl Leaves {
    /// The outcomes that a suite tries at every crash point. Coins differ from point to point.
    #[must_use]
    pub const fn all(point: u64) -> [Self; 8] {
        [
            Self::Cache,
            Self::Medium(PowerLoss::NothingUnsynced),
            Self::Medium(PowerLoss::EverythingUnsynced),
            Self::Medium(PowerLoss::Coin(draw(point, 5, 0))),
            Self::Medium(PowerLoss::Coin(draw(point, 5, 1))),
            Self::Medium(PowerLoss::Coin(draw(point, 5, 2))),
            Self::Medium(PowerLoss::Torn(draw(point, 5, 3))),
            Self::Medium(PowerLoss::Torn(draw(point, 5, 4))),
        ]
    }
}

/// A store broke its contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuiteFailure<S> {
    /// The sentence of the contract.
    pub sentence: S,
    /// Which check of the suite, and where in it.
    pub check: String,
    /// What was found, and what was expected.
    pub found: String,
}

impl<S: fmt::Display> fmt::Display for SuiteFailure<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sentence, check, found } = self;
        write!(f, "{check}: the contract says \"{sentence}\", but {found}")
    }
}

impl<S: fmt::Debug + fmt::Display> std::error::Error for SuiteFailure<S> {}

/// A store kept its contract, as far as its harness could put it to the test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed<S> {
    /// Sentences that the harness has no means to test.
    pub skipped: Vec<S>,
}
