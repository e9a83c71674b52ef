//! A failing run made short: as few actions as still lead to the same kind of violation.
//!
//! First whole kinds of action go, and all that happens to one node; then ever smaller parts of the list (delta
//! debugging), until no single action can be spared. What a replay skips is dropped, and all that follows the violation.
//! If that leaves a long run, very short random ones are tried instead: many a failure that took thousands of steps to come
//! about can be had in a hundred.

use super::cluster::{Action, MessageKind, Setup, TransferStep, Violation};
use super::draw::draw;
use super::replay::{Diverged, Replayed, replay, retrace};
use super::world::{Plan, Recorded, Recording, Step, record_faults};

/// A short failing run.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The cluster.
    pub setup: Setup,
    /// Its actions.
    pub recording: Recording,
    /// What they lead to.
    pub violation: Violation,
    /// How many replays it took.
    pub replays: u64,
}

/// A failing run on its way to a short one.
struct Shrinker<'a> {
    setup: &'a Setup,
    steps: Vec<Step>,
    traces: Vec<u64>,
    violation: Violation,
    replays: u64,
    /// Steps that may be replayed yet, all attempts together.
    budget: u64,
}

/// Shortens a run that leads to `violation`, replaying no more than about `budget` steps in all. `None` if a replay
/// does not lead there: a cluster that does not recover shows only in a whole run.
///
/// # Errors
/// [`Diverged`] if the first replay, of the whole run, is another run.
pub fn shrink(
    setup: &Setup,
    recording: Recording,
    violation: &Violation,
    budget: u64,
) -> Result<Option<Shrunk>, Diverged> {
    retrace(setup, &recording, |_, _| {})?;
    let (violation, Recording { steps, traces }) = (violation.clone(), recording);
    let mut shrinker = Shrinker { setup, steps, traces, violation, replays: 0, budget };
    let all = shrinker.steps.clone();
    if !shrinker.try_with(all) {
        return Ok(None);
    }
    loop {
        let before = shrinker.steps.len();
        shrinker.drop_kinds();
        shrinker.drop_parts();
        if shrinker.steps.len() == before || shrinker.budget == 0 {
            break;
        }
    }
    let Shrinker { setup, steps, traces, violation, replays, .. } = shrinker;
    Ok(Some(Shrunk { setup: setup.clone(), recording: Recording { steps, traces }, violation, replays }))
}

/// Looks for a run with at most `wanted` actions that leads to a violation like `violation`, among `attempts` very short
/// random runs. The shortest one found.
///
/// # Errors
/// [`Diverged`] if the replay of one of them is another run.
pub fn search(
    seed: u64,
    violation: &Violation,
    wanted: usize,
    attempts: u64,
) -> Result<Option<Shrunk>, Diverged> {
    let mut shortest: Option<Shrunk> = None;
    for attempt in 0..attempts {
        let seed = draw(seed, STREAM, attempt);
        let plan = Plan::draw(seed).tiny(60 + attempt % 8 * 40);
        let Recorded { outcome: Err(found), recording } = record_faults(seed, &plan) else { continue };
        if !found.is_like(violation) {
            continue;
        }
        let shrunk = shrink(&plan.setup, recording, &found, SEARCH_BUDGET)?;
        if length(shrunk.as_ref()) < length(shortest.as_ref()) {
            shortest = shrunk;
        }
        if length(shortest.as_ref()) <= wanted {
            break;
        }
    }
    Ok(shortest)
}

/// How many actions are left. Nothing is longer than anything.
#[must_use]
pub fn length(shrunk: Option<&Shrunk>) -> usize {
    shrunk.map_or(usize::MAX, |shrunk| shrunk.recording.steps.len())
}

/// Steps replayed for each short run that fails.
const SEARCH_BUDGET: u64 = 400_000;

const STREAM: u64 = 4;

impl Shrinker<'_> {
    /// Takes `steps` if they lead to the same kind of violation: those that happen, up to it.
    fn try_with(&mut self, steps: Vec<Step>) -> bool {
        if self.budget == 0 {
            return false;
        }
        let Replayed { violation: found, happened, traces } = replay(self.setup, &steps);
        self.replays += 1;
        self.budget = self.budget.saturating_sub(happened.len() as u64 + 20);
        let Some((last, violation)) = found.filter(|(_, violation)| violation.is_like(&self.violation))
        else {
            return false;
        };
        let played = steps.into_iter().zip(traces).zip(happened).take(last + 1);
        (self.steps, self.traces) = played.filter(|(_, happened)| *happened).map(|(kept, _)| kept).unzip();
        self.violation = violation;
        true
    }

    fn try_without(&mut self, drop: impl Fn(&Action) -> bool) {
        let kept: Vec<Step> = self.steps.iter().filter(|step| !drop(&step.action)).cloned().collect();
        if kept.len() < self.steps.len() {
            self.try_with(kept);
        }
    }

    fn drop_kinds(&mut self) {
        let nodes = self.steps.iter().filter_map(|step| step.action.node()).max().unwrap_or(0);
        for node in 0..=nodes {
            self.try_without(|action| action.node() == Some(node));
        }
        for kind in 0..KINDS {
            self.try_without(|action| kind_of(action) == kind);
        }
    }

    /// Tries to do without each part of the list, from the whole down to single steps.
    fn drop_parts(&mut self) {
        let mut length = self.steps.len().div_ceil(2);
        while length > 0 && self.budget > 0 {
            let mut end = self.steps.len();
            while end > 0 && self.budget > 0 {
                let begin = end.saturating_sub(length);
                let mut rest = self.steps[..begin].to_vec();
                rest.extend_from_slice(&self.steps[end..]);
                self.try_with(rest);
                end = begin.min(self.steps.len());
            }
            length /= 2;
        }
    }
}

const KINDS: u8 = 15;

/// Actions that tend to be superfluous together.
const fn kind_of(action: &Action) -> u8 {
    match action {
        Action::Read { .. } => 0,
        Action::Snapshot { .. } | Action::TriggerSnapshot { .. } | Action::Restore { .. } => 1,
        Action::Transfer { step: TransferStep::Offer, .. } => 2,
        Action::Pause { .. } | Action::Resume { .. } => 3,
        Action::ClockRate { .. } | Action::ClockJump { .. } => 4,
        Action::Crash { .. } | Action::CrashAfter { .. } | Action::Restart { .. } => 5,
        Action::FailDisk { .. } | Action::DiskFull { .. } => 6,
        Action::Unreachable { .. } => 7,
        Action::ChangeMembers { .. } | Action::Join { .. } | Action::Wipe { .. } => 8,
        Action::TransferLeadership { .. } => 9,
        Action::Damage { .. } | Action::LoseTail { .. } => 10,
        Action::AnswerReads { .. } => 11,
        Action::Propose { .. } => 12,
        Action::Deliver(delivery) => match delivery.kind {
            MessageKind::Heartbeat | MessageKind::HeartbeatResponse => 13,
            MessageKind::ReadIndex | MessageKind::ReadIndexResponse => 14,
            _ => u8::MAX,
        },
        _ => u8::MAX,
    }
}
