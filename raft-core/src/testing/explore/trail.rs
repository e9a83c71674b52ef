//! How each state was met, and a counterexample told from its beginning.

use std::fmt;

use super::action::Action;
use super::history::View;
use super::model::Model;
use super::state::State;
use super::violation::Violation;
use crate::configuration::MemberChange;
use crate::testing::cluster::{MessageKind, summary};

/// For each state, in the order of their discovery: the state before, and what led on from there.
#[derive(Default)]
pub(super) struct Trail {
    steps: Vec<(u32, Action)>,
}

impl Trail {
    /// The first state, to which nothing leads.
    pub(super) fn begin(&mut self) {
        self.push(0, Action::Lose { place: 0 });
    }

    pub(super) fn push(&mut self, before: u64, action: Action) {
        let before = u32::try_from(before).expect("the memory ends before the numbers");
        self.steps.push((before, action));
    }

    /// The actions from the first state to the one of this number.
    pub(super) fn to(&self, number: u64) -> impl Iterator<Item = Action> + use<> {
        let mut actions = Vec::new();
        let mut number = usize::try_from(number).expect("states are counted in memory");
        while number > 0 {
            let (before, action) = self.steps[number];
            actions.push(action);
            number = before as usize;
        }
        actions.into_iter().rev()
    }
}

/// A shortest way to break a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterexample {
    /// The promise.
    pub violation: Violation,
    /// What happens, and what becomes of the nodes by it.
    pub steps: Vec<String>,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (step, number) in self.steps.iter().zip(1..) {
            writeln!(f, "{number:>3}. {step}")?;
        }
        write!(f, "     {}", self.violation)
    }
}

impl Counterexample {
    /// Nothing had to happen.
    pub(super) fn at_start(violation: Violation) -> Box<Self> {
        Box::new(Self { violation, steps: Vec::new() })
    }

    /// Tells `actions` again from the first state; the last one breaks the promise.
    pub(super) fn new(model: &mut Model, actions: Vec<Action>, violation: Violation) -> Box<Self> {
        let mut steps = Vec::new();
        let mut state = model.initial().expect("exploration began there");
        for action in actions {
            let told = tell(model, &state, action);
            match model.apply(&state, action) {
                Ok(next) => {
                    let next = next.expect("this action was possible before");
                    steps.push(format!("{told}{}", changes(model, &state, &next)));
                    state = next;
                }
                Err(_) => steps.push(told),
            }
        }
        Box::new(Self { violation, steps })
    }
}

fn tell(model: &Model, state: &State, action: Action) -> String {
    match action {
        Action::Deliver { place, .. } | Action::Lose { place } => {
            let envelope = model.envelope(state.messages()[usize::from(place)]);
            let (from, to, message) = (envelope.from.get(), envelope.to.get(), &envelope.message);
            format!("{action} {from} to {to}: {} ({})", MessageKind::of(message), summary(message))
        }
        Action::Change { wish, .. } => {
            let wishes = model.wish(wish).iter().map(|change| match change {
                MemberChange::Put(member) => format!("add node {}", member.id.get()),
                MemberChange::Remove(id) => format!("remove node {}", id.get()),
            });
            format!("{action} {}", wishes.collect::<Vec<_>>().join(" and "))
        }
        _ => action.to_string(),
    }
}

fn changes(model: &Model, before: &State, after: &State) -> String {
    let pairs = before.nodes().iter().zip(after.nodes()).filter(|(before, after)| before != after);
    pairs.map(|(_, after)| format!("\n       {}", model.view(*after))).collect()
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let terms = |log: &[super::disk::Tag]| {
            log.iter().map(|tag| tag.term.to_string()).collect::<Vec<_>>().join(" ")
        };
        let (log, disk) = (terms(&self.log), terms(&self.disk));
        if !self.is_up {
            return write!(f, "node {} is down, disk [{disk}]", self.id.get());
        }
        let role = if self.leads { "leads" } else { "is in" };
        write!(f, "node {} {role} term {}, log [{log}], ", self.id.get(), self.term)?;
        if log != disk {
            write!(f, "disk [{disk}], ")?;
        }
        write!(f, "commit {}", self.commit)
    }
}
