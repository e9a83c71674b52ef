//! Cluster time: what a leader writes into its entries, so that leases and sessions expire alike on every node.
//!
//! A leader anchors once a term, when its no-op is applied: cluster time then, `CLOCK_BOOTTIME` then. From there
//! on an entry carries the anchor and what has elapsed since. Before that it carries 0, which leaves the time as
//! it was last applied, for apply takes the greater of the two. So cluster time never goes back, and stands still
//! while there is no leader. No two machines' clocks are ever compared.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use raft_core::error::ReadError;
use raft_core::node::{Clock, Consistency, NodeHandle};
use raft_core::time::Time;
use raft_core::types::Term;

use crate::store::Store;

/// Pause before asking again a node that could not answer.
const PAUSE: Duration = Duration::from_millis(10);

/// Cluster time as one leader counts it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClusterTime {
    anchor: Option<Anchor>,
}

/// One moment on both clocks.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    term: Term,
    cluster_micros: u64,
    at: Time,
}

impl ClusterTime {
    /// The no-op of `term` is applied: cluster time is `cluster_micros` now, at `at`. The first anchor of a term
    /// stays.
    pub fn anchor(&mut self, term: Term, cluster_micros: u64, at: Time) {
        if self.anchor.is_none_or(|anchor| anchor.term < term) {
            self.anchor = Some(Anchor { term, cluster_micros, at });
        }
    }

    /// Whether `term` has its anchor.
    #[must_use]
    pub fn is_anchored(&self, term: Term) -> bool {
        self.anchor.is_some_and(|anchor| anchor.term == term)
    }

    /// What an entry of `term` carries, in microseconds: 0 before the anchor of that term.
    #[must_use]
    pub fn micros(&self, term: Term, now: Time) -> u64 {
        let Some(anchor) = self.anchor.filter(|anchor| anchor.term == term) else { return 0 };
        let elapsed = now.saturating_since(anchor.at).as_micros();
        anchor.cluster_micros.saturating_add(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }
}

/// A [`ClusterTime`] shared between whoever [keeps](keep) it and those who stamp entries.
#[derive(Clone, Debug, Default)]
pub struct ClusterClock {
    time: Arc<Mutex<ClusterTime>>,
    clock: Clock,
}

impl ClusterClock {
    /// What an entry proposed now in `term` carries, in microseconds.
    #[must_use]
    pub fn micros(&self, term: Term) -> u64 {
        self.time().micros(term, self.clock.now())
    }

    /// A panic cannot leave the value half changed.
    fn time(&self) -> MutexGuard<'_, ClusterTime> {
        self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Anchors `clock` whenever this node has become leader; returns when the node has stopped.
pub async fn keep(clock: ClusterClock, node: NodeHandle<Store>) {
    let mut observed = node.observe();
    loop {
        let (term, leads) = {
            let observation = observed.borrow_and_update();
            (observation.term, observation.own_term_committed)
        };
        if leads && !clock.time().is_anchored(term) {
            // Sees the no-op of this term applied.
            match node.read(Consistency::Linearizable, |store| store.stats().cluster_time_micros).await {
                Ok(micros) => clock.time().anchor(term, micros, clock.clock.now()),
                Err(ReadError::Stopped) => return,
                // Until it has worked, or the observation says that the term is over.
                Err(error) => {
                    tracing::debug!(%term, %error, "cluster time has no anchor yet");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            }
        }
        if observed.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn an_entry_carries_the_anchor_and_what_has_elapsed_since() {
        let mut time = ClusterTime::default();
        time.anchor(Term(3), 7_000_000, at(100));
        assert_eq!(time.micros(Term(3), at(100)), 7_000_000);
        assert_eq!(time.micros(Term(3), at(350)), 7_250_000);
        assert_eq!(time.micros(Term(3), at(50)), 7_000_000, "a clock reading that is older than the anchor");
    }

    #[test]
    fn before_the_anchor_of_its_term_an_entry_leaves_the_time_as_it_is() {
        let mut time = ClusterTime::default();
        assert_eq!(time.micros(Term(1), at(100)), 0);
        time.anchor(Term(3), 7_000_000, at(100));
        assert_eq!(time.micros(Term(5), at(9_000)), 0, "the time without a leader must not count");
    }

    #[test]
    fn a_term_is_anchored_once_and_never_by_an_older_one() {
        let mut time = ClusterTime::default();
        time.anchor(Term(3), 7_000_000, at(100));
        time.anchor(Term(3), 7_000_000, at(900));
        assert_eq!(time.micros(Term(3), at(1_100)), 8_000_000);
        time.anchor(Term(2), 1, at(1_100));
        assert!(time.is_anchored(Term(3)));
        time.anchor(Term(4), 8_000_000, at(2_000));
        assert_eq!((time.micros(Term(4), at(2_001)), time.micros(Term(3), at(2_001))), (8_001_000, 0));
    }
}
