//! State exploration: everything that can happen to a small cluster, looked at breadth first.
//!
//! Simulation follows one history at a time through a large world; exploration follows all histories of a small one. The
//! nodes are the real [`Raft`](crate::Raft), each with a disk of a few lines; there is no driver, no store and no network but
//! a set of messages in flight. What can happen next is chosen in every possible way: a message arrives, late, early, twice or
//! never; a timer fires; a disk completes a write; a node crashes, keeping any prefix of what it has asked its disk for;
//! it starts again; a command, a read or other members are asked for. After each action the promises of
//! `[Raft Figure 3]` are checked, and that nobody promises what a crash would undo. See [`Bounds`] for how far it looks.
//!
//! It rests on [`Raft::fingerprint`](crate::Raft::fingerprint): states of equal fingerprints have the same future, and one of
//! them is followed. Breadth first makes the first violation that is found one of the shortest.
//!
//! Left out: leases (which depend on how fast clocks run), snapshots, damage, transfers of leadership.

mod action;
mod bounds;
mod disk;
mod history;
#[cfg(feature = "mutants")]
mod hunts;
mod model;
mod node;
mod oracle;
mod seen;
mod state;
mod symmetry;
mod tables;
mod trail;
mod violation;

pub use bounds::Bounds;
#[cfg(feature = "mutants")]
pub use hunts::hunt;
pub use trail::Counterexample;
pub use violation::Violation;

use action::Action;
use model::Model;
use seen::Seen;
use state::State;
use trail::Trail;

/// How far it has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Different states met.
    pub states: u64,
    /// Actions tried.
    pub actions: u64,
    /// Actions on the way from the first state to those met last.
    pub depth: u32,
    /// States met at that depth.
    pub newest: u64,
    /// Nothing is left to look at within the bounds.
    pub is_complete: bool,
    /// Different states of single nodes.
    pub local_states: usize,
    /// Different messages.
    pub messages: usize,
}

/// Looks at every state within `bounds`, level by level, and tells `watch` at the end of each.
///
/// # Errors
/// A shortest way to break a promise.
pub fn explore(bounds: &Bounds, mut watch: impl FnMut(&Report)) -> Result<Report, Box<Counterexample>> {
    let mut search = Search::begin(bounds)?;
    while !search.level.is_empty() && search.report.states < bounds.states {
        search.next_level(bounds.states)?;
        watch(&search.report);
    }
    search.report.is_complete = search.level.is_empty();
    Ok(search.report)
}

struct Search {
    model: Model,
    seen: Seen,
    trail: Trail,
    /// The states met last, in the order in which the trail knows them.
    level: Vec<State>,
    report: Report,
}

impl Search {
    fn begin(bounds: &Bounds) -> Result<Self, Box<Counterexample>> {
        let mut model = Model::new(bounds.clone());
        let initial = model.initial().map_err(Counterexample::at_start)?;
        let (mut seen, mut trail) = (Seen::new(), Trail::default());
        seen.insert(model.fingerprint(&initial));
        trail.begin();
        let report = Report { states: 1, newest: 1, ..Report::default() };
        Ok(Self { model, seen, trail, level: vec![initial], report })
    }

    fn next_level(&mut self, limit: u64) -> Result<(), Box<Counterexample>> {
        let level = std::mem::take(&mut self.level);
        let first = self.report.states - level.len() as u64;
        let mut actions = Vec::new();
        for (state, number) in level.iter().zip(first..) {
            self.model.actions(state, &mut actions);
            let mut all_fit = true;
            for &action in &actions {
                all_fit &= self.try_out(state, number, action)?;
            }
            let places = 0..u8::try_from(state.messages().len()).expect("few messages are in flight");
            for place in places.filter(|_| !all_fit) {
                self.try_out(state, number, Action::Lose { place })?;
            }
            if self.report.states >= limit {
                break;
            }
        }
        self.report.depth += u32::from(!self.level.is_empty());
        self.report.newest = self.level.len() as u64;
        [self.report.local_states, self.report.messages] = self.model.sizes();
        Ok(())
    }

    /// Whether there is room for what the action sends.
    fn try_out(&mut self, state: &State, number: u64, action: Action) -> Result<bool, Box<Counterexample>> {
        self.report.actions += 1;
        let next = match self.model.apply(state, action) {
            Ok(Some(next)) => next,
            Ok(None) => return Ok(false),
            Err(violation) => {
                let actions = self.trail.to(number).chain([action]).collect();
                return Err(Counterexample::new(&mut self.model, actions, violation));
            }
        };
        if self.seen.insert(self.model.fingerprint(&next)) {
            self.trail.push(number, action);
            self.level.push(next);
            self.report.states += 1;
        }
        Ok(true)
    }
}
