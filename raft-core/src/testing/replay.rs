//! A recorded run again, or a part of it.
//!
//! Every message that was sent stays available, so that one may be delivered twice. A delivery names its message by link
//! and by what it says, to the last word. If the run has changed so that nobody has said exactly that, a message that
//! differs in clocks and rounds only takes its place, or else the oldest of the same kind that has not arrived yet. What
//! makes no sense any more is skipped.
//!
//! Invariant (same steps, same run): the steps of a run, all of them and in order, are the same run again; [`retrace`]
//! proves it by the trace hash after every step.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::cluster::{Action, Cluster, Delivery, Ended, MessageKind, Sent, Setup, Violation};
use super::world::{Recording, Step, guarded};
use crate::message::Message;

/// A cluster that replays; see the module.
pub struct Player {
    cluster: Cluster,
    archive: BTreeMap<(usize, usize), Link>,
    sent: Vec<Sent>,
    ended: Vec<Ended>,
    played: Played,
}

/// What a step of a replay did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Played {
    /// Whether it could happen at all.
    pub happened: bool,
    /// The message that arrived, as a place among all that were ever sent on its link.
    pub delivered: Option<usize>,
    /// Messages sent meanwhile: link, and place among all that were ever sent on it.
    pub sent: Vec<(usize, usize, usize)>,
}

/// Everything ever sent on one link.
#[derive(Default)]
struct Link {
    messages: Vec<Sent>,
    arrived: Vec<bool>,
    by_digest: HashMap<u64, Vec<usize>>,
    by_content: HashMap<u64, Vec<usize>>,
    waiting: BTreeMap<MessageKind, VecDeque<usize>>,
}

impl Player {
    /// A cluster that has just started.
    ///
    /// # Errors
    /// A [`Violation`] of the very first state.
    pub fn new(setup: Setup) -> Result<Self, Violation> {
        let cluster = Cluster::new(setup)?;
        let (archive, sent, ended) = (BTreeMap::new(), Vec::new(), Vec::new());
        let mut player = Self { cluster, archive, sent, ended, played: Played::default() };
        player.collect();
        Ok(player)
    }

    /// The cluster, for looking at.
    #[must_use]
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// A message that was sent.
    #[must_use]
    pub fn message(&self, from: usize, to: usize, place: usize) -> Option<&Message> {
        self.archive.get(&(from, to))?.messages.get(place).map(|sent| &sent.message)
    }

    /// What the last step did.
    #[must_use]
    pub const fn played(&self) -> &Played {
        &self.played
    }

    /// Lets one step happen. Whether it could.
    ///
    /// # Errors
    /// The [`Violation`] that it leads to.
    pub fn play(&mut self, step: &Step) -> Result<bool, Violation> {
        self.played = Played::default();
        if step.action.node().is_some_and(|node| node >= self.cluster.node_count()) {
            return Ok(false);
        }
        let happened = match step.action {
            Action::Deliver(delivery) => self.deliver(step, &delivery),
            ref other => self.cluster.perform(step.at, other),
        };
        self.collect();
        self.played.happened = happened.as_ref().copied().unwrap_or(true);
        happened
    }

    fn deliver(&mut self, step: &Step, delivery: &Delivery) -> Result<bool, Violation> {
        let Some(link) = self.archive.get_mut(&(delivery.from, delivery.to)) else { return Ok(false) };
        let Some(place) = link.find(delivery) else { return Ok(false) };
        self.played.delivered = Some(place);
        let happened = self.cluster.deliver(step.at, link.messages[place].clone())?;
        link.arrived[place] |= happened;
        Ok(happened)
    }

    fn collect(&mut self) {
        self.cluster.take_ended(&mut self.ended);
        self.ended.clear();
        drop(self.cluster.take_offered());
        self.cluster.take_sent(&mut self.sent);
        for sent in self.sent.drain(..) {
            let (from, to) = (sent.from, sent.to);
            let place = self.archive.entry((from, to)).or_default().put(sent);
            self.played.sent.push((from, to, place));
        }
    }
}

impl Link {
    fn put(&mut self, sent: Sent) -> usize {
        let place = self.messages.len();
        let Delivery { kind, content, digest, .. } = Delivery::of(&sent);
        self.by_digest.entry(digest).or_default().push(place);
        self.by_content.entry(content).or_default().push(place);
        self.waiting.entry(kind).or_default().push_back(place);
        self.messages.push(sent);
        self.arrived.push(false);
        place
    }

    fn find(&mut self, delivery: &Delivery) -> Option<usize> {
        let same = self.by_digest.get(&delivery.digest);
        let alike = || self.by_content.get(&delivery.content);
        if let Some(places) = same.or_else(alike) {
            let fresh = places.iter().find(|place| !self.arrived[**place]);
            return fresh.or_else(|| places.last()).copied();
        }
        let waiting = self.waiting.get_mut(&delivery.kind)?;
        while waiting.front().is_some_and(|place| self.arrived[*place]) {
            waiting.pop_front();
        }
        waiting.front().copied()
    }
}

/// What became of a replay.
#[derive(Clone, Debug, Default)]
pub struct Replayed {
    /// The violation, and the place of the step that led to it.
    pub violation: Option<(usize, Violation)>,
    /// Which of the steps up to there happened.
    pub happened: Vec<bool>,
    /// The trace hash after each of them.
    pub traces: Vec<u64>,
}

/// Replays `steps`, up to a violation if they lead to one.
#[must_use]
pub fn replay(setup: &Setup, steps: &[Step]) -> Replayed {
    let mut replayed = Replayed::default();
    let mut player = match guarded(|| Player::new(setup.clone())) {
        Ok(player) => player,
        Err(violation) => return Replayed { violation: Some((0, violation)), ..replayed },
    };
    for (number, step) in steps.iter().enumerate() {
        let happened = guarded(|| player.play(step));
        replayed.happened.push(happened.as_ref().copied().unwrap_or(true));
        replayed.traces.push(player.cluster.trace_hash());
        if let Err(violation) = happened {
            replayed.violation = Some((number, violation));
            break;
        }
    }
    replayed
}

/// A replay went another way than the run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("step {step} of {of} ({action}): the trace hash is {found:016x} (in the run {expected:016x})")]
pub struct Diverged {
    /// The first step after which it differs, counted from 1.
    pub step: usize,
    /// Steps of the run.
    pub of: usize,
    /// What happened there.
    pub action: Action,
    /// The trace hash after it, in the run.
    pub expected: u64,
    /// And in the replay.
    pub found: u64,
}

/// Replays a whole run and proves after every step that it is the same. `watch` is told before the first step and after each:
/// how many were played. The violation at the end, unless it is one that only the world can see.
///
/// # Errors
/// [`Diverged`], at the first difference. What was watched is not the run then.
pub fn retrace(
    setup: &Setup,
    recording: &Recording,
    mut watch: impl FnMut(&Player, usize),
) -> Result<Option<Violation>, Diverged> {
    let mut player = match guarded(|| Player::new(setup.clone())) {
        Ok(player) => player,
        Err(violation) => return Ok(Some(violation)),
    };
    watch(&player, 0);
    let of = recording.steps.len();
    for (number, (step, &expected)) in (1..).zip(recording.steps.iter().zip(&recording.traces)) {
        let violation = guarded(|| player.play(step)).err();
        let found = player.cluster.trace_hash();
        if found != expected || (violation.is_some() && number < of) {
            return Err(Diverged { step: number, of, action: step.action.clone(), expected, found });
        }
        watch(&player, number);
        if violation.is_some() {
            return Ok(violation);
        }
    }
    Ok(None)
}
