//! Whole runs, and what is written down of them: every action, and the trace hash after it, so that whoever replays them can
//! tell that it is the same run.

use super::phases::guarded;
use super::{Plan, Report, World};
use crate::testing::cluster::{Action, Violation};
use crate::time::Time;

/// An action and when it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// True time.
    pub at: Time,
    /// What.
    pub action: Action,
}

/// What happened in a run. There are as many trace hashes as steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// The actions, in order.
    pub steps: Vec<Step>,
    /// The trace hash after each of them.
    pub traces: Vec<u64>,
}

/// A run that was recorded.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// How it ended.
    pub outcome: Result<Report, Violation>,
    /// What happened.
    pub recording: Recording,
}

impl Recording {
    /// The trace hash at the end; zero if nothing happened.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        self.traces.last().copied().unwrap_or_default()
    }

    /// An action is about to happen.
    pub(super) fn begin(&mut self, at: Time, action: Action) {
        self.steps.push(Step { at, action });
    }

    /// It has happened.
    pub(super) fn end(&mut self, trace: u64) {
        self.traces.push(trace);
    }

    /// Nothing happens any more. A violation interrupts the last action.
    pub(super) fn break_off(&mut self, trace: u64) {
        if self.traces.len() < self.steps.len() {
            self.traces.push(trace);
        }
    }
}

/// One run of `plan` under `seed`.
///
/// # Errors
/// As [`World::run`].
pub fn run_seed(seed: u64, plan: &Plan) -> Result<Report, Violation> {
    trace_seed(seed, plan).0
}

/// As [`run_seed`], with the trace hash at the end, whatever the end is.
pub fn trace_seed(seed: u64, plan: &Plan) -> (Result<Report, Violation>, u64) {
    match guarded(|| World::new(seed, plan.clone())) {
        Ok(mut world) => (guarded(|| world.run()), world.cluster.trace_hash()),
        Err(violation) => (Err(violation), 0),
    }
}

/// As [`run_seed`], recorded.
#[must_use]
pub fn record_seed(seed: u64, plan: &Plan) -> Recorded {
    record(seed, plan, World::run)
}

/// As [`record_seed`], but only as long as there are faults.
#[must_use]
pub fn record_faults(seed: u64, plan: &Plan) -> Recorded {
    record(seed, plan, |world| world.run_faults().map(|()| world.report(None)))
}

fn record(seed: u64, plan: &Plan, run: impl FnOnce(&mut World) -> Result<Report, Violation>) -> Recorded {
    match guarded(|| World::new(seed, plan.clone())) {
        Ok(mut world) => {
            world.record();
            let outcome = guarded(|| run(&mut world));
            Recorded { outcome, recording: world.take_recording() }
        }
        Err(violation) => Recorded { outcome: Err(violation), recording: Recording::default() },
    }
}
