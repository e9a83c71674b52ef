//! Nodes on a network that decides by dice what arrives, in which order, and whether at all; and what all of them have
//! agreed on so far, which must never change.

use std::collections::BTreeMap;

use raft_core::testing::draw::Dice;
use raft_core::{EntryId, LogIndex, RoleName};

use crate::support::Network;

/// Turns within which a cluster that can agree has agreed.
const PATIENCE: u64 = 40_000;

/// Turns after which a client asks again: whom it asked may not lead any more, and not know it.
const ANSWER: u64 = 2_000;

pub(super) struct Lab {
    pub(super) net: Network,
    pub(super) dice: Dice,
    /// So many of a thousand messages are lost; half as many come twice.
    pub(super) loss: u64,
    /// Every node takes a snapshot after so many entries; 0: never.
    pub(super) snapshots_every: u64,
    /// Messages that arrived.
    pub(super) deliveries: u64,
    /// Snapshots that were installed.
    pub(super) installed: u64,
    agreed: BTreeMap<LogIndex, EntryId>,
}

impl Lab {
    pub(super) fn of(count: usize, seed: u64) -> Self {
        Self {
            net: Network::of(count),
            dice: Dice::new(seed, 0),
            loss: 0,
            snapshots_every: 0,
            deliveries: 0,
            installed: 0,
            agreed: BTreeMap::new(),
        }
    }

    /// So many things happen.
    pub(super) fn turns(&mut self, count: u64) {
        (0..count).for_each(|_| self.turn());
    }

    /// A message arrives, or does not; if none is under way, the next timer fires.
    fn turn(&mut self) {
        let talking: Vec<u64> =
            self.up().into_iter().filter(|&from| self.net.node(from).has_sent()).collect();
        if talking.is_empty() {
            self.carry_snapshots();
            self.net.next_timer_fires();
        } else {
            let from = self.dice.pick(&talking);
            self.move_one(from);
        }
        self.check();
        self.take_snapshots();
    }

    fn up(&self) -> Vec<u64> {
        self.net.numbers().filter(|&number| !self.net.is_down(number)).collect()
    }

    /// A message that node `from` has sent, the oldest one while the network is good.
    fn move_one(&mut self, from: u64) {
        let mut outbox = self.net.node(from).sent();
        let at = if self.loss > 0 { self.dice.place(outbox.len()) } else { 0 };
        let (to, message) = outbox.remove(at);
        self.net.node(from).puts_back(outbox);
        if !self.net.numbers().contains(&to) || self.net.is_cut(from, to) || self.dice.chance(self.loss) {
            return;
        }
        self.deliveries += 1;
        if self.dice.chance(self.loss / 2) {
            self.net.node(to).receives(from, message.clone());
        }
        self.net.node(to).receives(from, message);
    }

    fn carry_snapshots(&mut self) {
        for from in self.up() {
            for to in self.net.node(from).wants_to_send_snapshots_to() {
                let arrives = !self.net.is_cut(from, to) && !self.dice.chance(self.loss);
                if arrives {
                    self.installed += 1;
                    self.net.transfer_snapshot(from, to);
                } else {
                    self.net
                        .node(from)
                        .step(raft_core::Input::SnapshotSent { to: crate::support::id(to), complete: false });
                }
            }
        }
    }

    fn take_snapshots(&mut self) {
        for number in self.up() {
            let node = self.net.node(number);
            let since = node.last_applied().0.saturating_sub(node.raft.snapshot().last.index.0);
            if self.snapshots_every > 0 && since >= self.snapshots_every {
                node.takes_snapshot();
            }
        }
    }

    /// State machine safety: at one index all apply the same entry. And at most one node leads a term.
    fn check(&mut self) {
        let mut leaders = BTreeMap::new();
        for number in self.up() {
            let node = self.net.node(number);
            assert!(node.halt().is_none(), "node {number}: {:?}", node.halt());
            // Whatever was applied before the last entry was looked at when that was.
            for id in node.applied().iter().rev().take(64) {
                let agreed = self.agreed.entry(id.index).or_insert(*id);
                assert_eq!(agreed, id, "node {number} applied another entry");
            }
            if node.role() == RoleName::Leader {
                let other = leaders.insert(node.term(), number);
                assert_eq!(other, None, "term {}", node.term());
            }
        }
    }

    /// Waits for a leader whom a majority follows.
    pub(super) fn leader(&mut self) -> u64 {
        self.leader_among(|_| true)
    }

    /// The same, among some.
    pub(super) fn leader_among(&mut self, wanted: impl Fn(u64) -> bool) -> u64 {
        for _ in 0..PATIENCE {
            for number in self.up().into_iter().filter(|&number| wanted(number)) {
                let term = self.net.node(number).term();
                let leads = self.net.node(number).role() == RoleName::Leader;
                let follows = |lab: &mut Self, peer: u64| {
                    lab.net.node(peer).leader() == Some(number) && lab.net.node(peer).term() == term
                };
                let followers = self.up().into_iter().filter(|&peer| follows(self, peer)).count();
                if leads && followers > self.net.numbers().count() / 2 {
                    return number;
                }
            }
            self.turn();
        }
        panic!("nobody leads");
    }

    /// A client proposes until a command is applied by a majority; where.
    pub(super) fn agree(&mut self) -> LogIndex {
        for _ in 0..PATIENCE {
            let leader = self.leader();
            let Ok(id) = self.net.node(leader).proposes("command") else {
                self.turn();
                continue;
            };
            if self.settles(id) {
                return id.index;
            }
        }
        panic!("no agreement");
    }

    /// Whether this entry, and not another one in its place, is applied by a majority before long.
    fn settles(&mut self, id: EntryId) -> bool {
        for _ in 0..ANSWER {
            let up = self.up();
            let applied =
                up.into_iter().filter(|&number| self.net.node(number).last_applied() >= id.index).count();
            if applied > self.net.numbers().count() / 2 {
                return self.agreed.get(&id.index) == Some(&id);
            }
            self.turn();
        }
        false
    }

    /// Waits until everybody has applied everything through `index`.
    pub(super) fn settle_through(&mut self, index: LogIndex) {
        for _ in 0..PATIENCE {
            if self.net.numbers().all(|number| self.net.node(number).last_applied() >= index) {
                return;
            }
            self.turn();
        }
        panic!("some never apply entry {index}");
    }

    /// All nodes are up, connected, and nothing is lost any more.
    pub(super) fn recover(&mut self) {
        self.loss = 0;
        self.net.heal();
        for number in self.net.numbers().filter(|&number| self.net.is_down(number)).collect::<Vec<_>>() {
            self.net.restart(number);
        }
    }

    /// Everybody applies what anybody has applied, and the logs are the same.
    pub(super) fn all_agree(&mut self) {
        let last = *self.agreed.keys().next_back().expect("something was agreed on");
        self.settle_through(last);
    }
}
