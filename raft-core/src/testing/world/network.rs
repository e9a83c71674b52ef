//! Which messages arrive, and when: loss, delay with a heavy tail, duplicates, order, directed cuts, clogged links.

use std::time::Duration;

use super::plan::NetworkPlan;
use crate::testing::draw::Dice;
use crate::time::Time;

/// Nodes that links can join.
pub(super) const MAX_NODES: usize = 16;

const STREAM: u64 = 1 << 32;

/// One direction between two nodes.
#[derive(Clone)]
struct Link {
    dice: Dice,
    cut: bool,
    clogged_until: Time,
    /// When the last message arrives.
    last: Time,
}

/// See the module.
pub(super) struct Network {
    links: Vec<Link>,
    nodes: usize,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Lost { reported: bool },
    Arrives { at: Time, again: Option<Time> },
}

/// Forms of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One node alone.
    Isolated,
    /// Two sides.
    Split,
    /// One node is not heard.
    Mute,
    /// One node does not hear.
    Deaf,
    /// Two sides that share one node.
    Bridge,
    /// Each node sees its two neighbours.
    Ring,
    /// As a ring, with open ends.
    Chain,
    /// One node and one other do not reach each other.
    Severed,
    /// Each direction by itself.
    Random,
}

impl Shape {
    pub(super) const ALL: [Self; 9] = [
        Self::Isolated,
        Self::Split,
        Self::Mute,
        Self::Deaf,
        Self::Bridge,
        Self::Ring,
        Self::Chain,
        Self::Severed,
        Self::Random,
    ];
}

impl Network {
    pub(super) fn new(seed: u64, nodes: usize) -> Self {
        let links = (0..nodes * nodes).map(|link| Link {
            dice: Dice::new(seed, STREAM + link as u64),
            cut: false,
            clogged_until: Time::ZERO,
            last: Time::ZERO,
        });
        Self { links: links.collect(), nodes }
    }

    fn link(&mut self, from: usize, to: usize) -> &mut Link {
        &mut self.links[from * self.nodes + to]
    }

    /// What becomes of a message that is sent at `now`.
    pub(super) fn fate(&mut self, plan: &NetworkPlan, now: Time, from: usize, to: usize) -> Fate {
        let link = self.link(from, to);
        if link.cut || (plan.loss_permille > 0 && link.dice.chance(plan.loss_permille)) {
            let reported = plan.reported_permille > 0 && link.dice.chance(plan.reported_permille);
            return Fate::Lost { reported };
        }
        let mut at = now.max(link.clogged_until) + link.delay(plan);
        if plan.ordered {
            at = at.max(link.last);
            link.last = at;
        }
        let again = plan.duplicate_permille > 0 && link.dice.chance(plan.duplicate_permille);
        let again = again.then(|| now.max(link.clogged_until) + link.second_delay(plan));
        Fate::Arrives { at, again }
    }

    pub(super) fn is_cut(&self, from: usize, to: usize) -> bool {
        self.links[from * self.nodes + to].cut
    }

    pub(super) fn set_cut(&mut self, from: usize, to: usize, cut: bool) {
        self.link(from, to).cut = cut;
    }

    pub(super) fn clog(&mut self, from: usize, to: usize, until: Time) {
        let link = self.link(from, to);
        link.clogged_until = link.clogged_until.max(until);
    }

    pub(super) fn heal(&mut self) {
        for link in &mut self.links {
            (link.cut, link.clogged_until) = (false, Time::ZERO);
        }
    }

    /// When the last of the messages arrives that are on their way in order, which nothing overtakes.
    pub(super) fn last_arrival(&self) -> Time {
        self.links.iter().map(|link| link.last).max().unwrap_or_default()
    }

    /// Cuts `node` off from the first `count` nodes, but for the spared one.
    pub(super) fn cut_off(&mut self, node: usize, count: usize, spared: Option<usize>) {
        self.heal();
        for peer in (0..count).filter(|peer| Some(*peer) != spared) {
            self.set_cut(node, peer, true);
            self.set_cut(peer, node, true);
        }
    }

    /// Cuts links among the first `count` nodes; `middle` is the one that matters most.
    pub(super) fn partition(&mut self, dice: &mut Dice, shape: Shape, count: usize, middle: usize) {
        self.heal();
        let side = dice.next_u64() | 1 << middle;
        let other = dice.place(count);
        let near = |from: usize, to: usize| from.abs_diff(to) == 1;
        for from in 0..count {
            for to in (0..count).filter(|to| *to != from) {
                let apart = (side >> from) & 1 != (side >> to) & 1;
                let cut = match shape {
                    Shape::Isolated => from == middle || to == middle,
                    Shape::Split => apart,
                    Shape::Mute => from == middle,
                    Shape::Deaf => to == middle,
                    Shape::Bridge => apart && from != middle && to != middle,
                    Shape::Ring => !near(from, to) && from.abs_diff(to) != count - 1,
                    Shape::Chain => !near(from, to),
                    Shape::Severed => [(middle, other), (other, middle)].contains(&(from, to)),
                    Shape::Random => dice.chance(400),
                };
                self.set_cut(from, to, cut);
            }
        }
    }
}

impl Link {
    fn delay(&mut self, plan: &NetworkPlan) -> Duration {
        if plan.late_permille > 0 && self.dice.chance(plan.late_permille) {
            return self.dice.span(plan.late.min, plan.late.max);
        }
        self.dice.between(plan.delay.min, plan.delay.max)
    }

    /// Of the second copy: where messages are late at all, half of them are.
    fn second_delay(&mut self, plan: &NetworkPlan) -> Duration {
        if plan.late_permille > 0 && self.dice.chance(500) {
            return self.dice.span(plan.late.min, plan.late.max);
        }
        self.delay(plan) * 2
    }
}
