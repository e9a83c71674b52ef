//! A recorded run again, or a part of it.
//!
//! Every message that was sent stays available, so that one may be delivered twice. A delivery names its message by link
//! and by what it says; if the run has changed so that nobody has said exactly that, the oldest message of the same kind
//! that has not arrived yet takes its place. What makes no sense any more is skipped.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::cluster::Action;
use super::cluster::{Cluster, Delivery, Ended, MessageKind, Sent, Setup, Violation, content};
use super::world::{Step, guarded};
use crate::message::Message;

/// A cluster that replays; see the module.
pub struct Player {
    cluster: Cluster,
    archive: BTreeMap<(usize, usize), Link>,
    sent: Vec<Sent>,
    ended: Vec<Ended>,
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
    messages: Vec<Message>,
    arrived: Vec<bool>,
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
        let mut player = Self { cluster, archive: BTreeMap::new(), sent: Vec::new(), ended: Vec::new() };
        player.collect(&mut Played::default());
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
        self.archive.get(&(from, to))?.messages.get(place)
    }

    /// Lets one step happen, if it can.
    ///
    /// # Errors
    /// The [`Violation`] that it leads to.
    pub fn play(&mut self, step: &Step) -> Result<Played, Violation> {
        let mut played = Played::default();
        if step.action.node().is_some_and(|node| node >= self.cluster.node_count()) {
            return Ok(played);
        }
        match step.action {
            Action::Deliver(delivery) => {
                if let Some((place, message)) = self.find(&delivery) {
                    let Delivery { from, to, .. } = delivery;
                    played.delivered = Some(place);
                    played.happened = self.cluster.deliver(step.at, from, to, message)?;
                }
            }
            ref other => played.happened = self.cluster.perform(step.at, other)?,
        }
        self.collect(&mut played);
        Ok(played)
    }

    fn find(&mut self, delivery: &Delivery) -> Option<(usize, Message)> {
        let link = self.archive.get_mut(&(delivery.from, delivery.to))?;
        let place = link.find(delivery)?;
        link.arrived[place] = true;
        Some((place, link.messages[place].clone()))
    }

    fn collect(&mut self, played: &mut Played) {
        self.cluster.take_ended(&mut self.ended);
        self.ended.clear();
        drop(self.cluster.take_offered());
        self.cluster.take_sent(&mut self.sent);
        for Sent { from, to, message } in self.sent.drain(..) {
            let place = self.archive.entry((from, to)).or_default().put(message);
            played.sent.push((from, to, place));
        }
    }
}

impl Link {
    fn put(&mut self, message: Message) -> usize {
        let place = self.messages.len();
        self.by_content.entry(content(&message)).or_default().push(place);
        self.waiting.entry(MessageKind::of(&message)).or_default().push_back(place);
        self.messages.push(message);
        self.arrived.push(false);
        place
    }

    fn find(&mut self, delivery: &Delivery) -> Option<usize> {
        let same = self.by_content.get(&delivery.content);
        let arrived = &self.arrived;
        let fresh = same.and_then(|places| places.iter().find(|place| !arrived[**place]));
        let exact = fresh.or_else(|| same.and_then(|places| places.last()));
        if let Some(&place) = exact {
            return Some(place);
        }
        let waiting = self.waiting.get_mut(&delivery.kind)?;
        while waiting.front().is_some_and(|place| self.arrived[*place]) {
            waiting.pop_front();
        }
        waiting.front().copied()
    }
}

/// Replays `steps`: the violation they lead to and the place of the step that does, if they do; and which steps happened.
pub fn replay(setup: &Setup, steps: &[Step]) -> (Option<(usize, Violation)>, Vec<bool>) {
    let mut happened = Vec::with_capacity(steps.len());
    let outcome = guarded(|| {
        let mut player = Player::new(setup.clone())?;
        for step in steps {
            happened.push(true);
            let played = player.play(step)?;
            if let Some(last) = happened.last_mut() {
                *last = played.happened;
            }
        }
        Ok(())
    });
    (outcome.err().map(|violation| (happened.len().saturating_sub(1), violation)), happened)
}
