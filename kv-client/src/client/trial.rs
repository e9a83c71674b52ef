//! One call: its deadline, its attempts, and what is known of their effect.
//!
//! Invariant (unknown stays unknown): once an attempt at a write may have been applied, no later refusal makes the
//! write "not applied"; only the outcome itself settles it.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::node::Node;
use crate::error::{Cause, Error, NodeError, Problem};

/// Pause after the first failed attempt, before jitter; doubles with each further one.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);

/// Longest pause, before jitter.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Hints at the leader that are followed at once, one after the other. More of them come from nodes that disagree,
/// as they do during an election.
const PROMPT_REDIRECTS: u32 = 2;

/// A call under way.
#[derive(Debug)]
pub(super) struct Trial {
    budget: Duration,
    deadline: Instant,
    attempts: u32,
    pauses: u32,
    redirects: u32,
    maybe_applied: bool,
    last: Option<Box<NodeError>>,
}

impl Trial {
    /// A call that may take this long.
    pub(super) fn new(budget: Duration) -> Self {
        Self::until(Instant::now() + budget, budget)
    }

    /// A call on behalf of this one.
    pub(super) fn nested(&self) -> Self {
        Self::until(self.deadline, self.budget)
    }

    const fn until(deadline: Instant, budget: Duration) -> Self {
        Self { budget, deadline, attempts: 0, pauses: 0, redirects: 0, maybe_applied: false, last: None }
    }

    pub(super) const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether an attempt may have been applied.
    pub(super) const fn maybe_applied(&self) -> bool {
        self.maybe_applied
    }

    /// Begins an attempt; gives its deadline.
    ///
    /// # Errors
    /// There is no time for another one.
    pub(super) fn attempt(&mut self, timeout: Duration) -> Result<Instant, Error> {
        let now = Instant::now();
        if now >= self.deadline {
            return Err(self.overdue());
        }
        self.attempts += 1;
        Ok(self.deadline.min(now + timeout))
    }

    /// Notes what an attempt failed with.
    pub(super) fn failed(&mut self, node: &Node, problem: Problem, maybe_applied: bool) {
        self.maybe_applied |= maybe_applied;
        self.last = Some(Box::new(NodeError { address: node.address().to_owned(), problem }));
    }

    /// Waits before the next attempt, longer each time, and each caller for a time of its own.
    pub(super) async fn pause(&mut self) {
        let nominal = SHORTEST_PAUSE.saturating_mul(1 << self.pauses.min(8)).min(LONGEST_PAUSE);
        self.pauses += 1;
        self.redirects = 0;
        let pause = rand::random_range(nominal / 2..=nominal);
        sleep_until(self.deadline.min(Instant::now() + pause)).await;
    }

    /// Waits before going where a node pointed; at first not at all.
    pub(super) async fn pause_before_redirect(&mut self) {
        match self.redirects < PROMPT_REDIRECTS {
            true => self.redirects += 1,
            false => self.pause().await,
        }
    }

    /// The error of a call whose deadline has passed.
    pub(super) fn overdue(&self) -> Error {
        let last = self.last.clone();
        self.fail(Cause::DeadlinePassed { deadline: self.budget, attempts: self.attempts, last })
    }

    /// The error of a call whose last attempt failed for good.
    pub(super) fn refused(&self) -> Error {
        self.last.clone().map_or_else(|| self.overdue(), |last| self.fail(Cause::Refused(last)))
    }

    /// The error of a call that ends for this cause.
    pub(super) const fn fail(&self, cause: Cause) -> Error {
        match self.maybe_applied {
            true => Error::Unknown(cause),
            false => Error::NotApplied(cause),
        }
    }
}
