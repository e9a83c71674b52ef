//! What goes wrong, when, and for how long.

use std::time::Duration;

use super::World;
use super::network::Shape;
use super::plan::{DRIFT_PERMILLE, Range};
use super::queue::Happening;
use crate::testing::cluster::{Action, Loss, Violation};
use crate::testing::draw::Dice;
use crate::testing::sim_log::Survivors;

/// Kinds of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Links are cut, in one of many shapes.
    Partition,
    /// The leader is cut off, perhaps from all but one, for long enough that another can lead.
    Depose,
    /// Everything on a link or to a node arrives late.
    Clog,
    /// One node loses power.
    Crash,
    /// One node loses power, and starts again at once.
    Reboot,
    /// All nodes lose power.
    CrashAll,
    /// One node loses power between two effects.
    CrashAtEffect,
    /// One process stands still for long.
    Pause,
    /// All processes stand still for a moment, so that inputs gather.
    Stutter,
    /// One node's clock runs fast or slow.
    ClockRate,
    /// One node's clock jumps forward.
    ClockJump,
    /// One node's disk takes its time.
    DiskStall,
    /// One node's disk fails.
    DiskFailure,
    /// One node is told to take a snapshot.
    Snapshot,
    /// One node's disk takes no more.
    DiskFull,
    /// An entry in one node's log rots.
    Damage,
    /// One node loses its folder, and a fresh one comes.
    Wipe,
    /// An operator changes the members.
    Members,
    /// An operator moves leadership.
    Transfer,
    /// Everything is fine for a while.
    Calm,
}

/// One kind of fault in a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultPlan {
    /// Which.
    pub fault: Fault,
    /// Time between two of them.
    pub every: Range,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Partition,
        Self::Depose,
        Self::Clog,
        Self::Crash,
        Self::Reboot,
        Self::CrashAll,
        Self::CrashAtEffect,
        Self::Pause,
        Self::Stutter,
        Self::ClockRate,
        Self::ClockJump,
        Self::DiskStall,
        Self::DiskFailure,
        Self::Snapshot,
        Self::DiskFull,
        Self::Damage,
        Self::Wipe,
        Self::Members,
        Self::Transfer,
        Self::Calm,
    ];

    /// Election timeouts between two of them, in the worst of plans.
    pub(super) const fn scale(self) -> u32 {
        match self {
            Self::Stutter => 1,
            Self::Members => 3,
            Self::Partition | Self::Crash | Self::CrashAtEffect | Self::Snapshot | Self::Clog => 6,
            Self::Damage | Self::Transfer | Self::Reboot | Self::Depose => 6,
            Self::Pause | Self::ClockRate | Self::ClockJump | Self::DiskStall | Self::DiskFailure => 8,
            Self::DiskFull => 8,
            Self::Wipe => 12,
            Self::CrashAll | Self::Calm => 20,
        }
    }
}

impl World {
    /// A fault strikes, and the next one of its kind is scheduled.
    pub(super) fn onset(&mut self, number: u8) -> Result<(), Violation> {
        let Some(plan) = self.plan.faults.get(usize::from(number)) else { return Ok(()) };
        let (fault, every) = (plan.fault, plan.every);
        let wait = self.dice.between(every.min, every.max);
        self.schedule_in(wait, Happening::Onset { fault: number });
        if self.now < self.calm_until {
            return Ok(());
        }
        let timeout = self.plan.election_timeout();
        let node = self.pick_victim();
        match fault {
            Fault::Partition => self.partition(node),
            Fault::Depose => self.depose(),
            Fault::Clog => self.clog(node),
            Fault::Crash => return self.crash(node),
            Fault::Reboot => {
                self.desks[node].reboots = self.cluster.node(node).is_up();
                return self.crash(node);
            }
            Fault::CrashAll => return (0..self.cluster.node_count()).try_for_each(|node| self.crash(node)),
            Fault::CrashAtEffect => {
                let (effects, loss) = (1 + self.dice.below(6) as u32, self.draw_loss(4));
                return self.act(&Action::CrashAfter { node, effects, loss });
            }
            Fault::Pause => return self.pause(node, timeout / 10, timeout * 20),
            Fault::Stutter => {
                let all = 0..self.cluster.node_count();
                return all.into_iter().try_for_each(|node| self.pause(node, timeout / 500, timeout / 10));
            }
            Fault::ClockRate => return self.set_clocks(node),
            Fault::ClockJump => {
                let by = self.dice.span(timeout / 20, timeout * 4);
                return self.act(&Action::ClockJump { node, by });
            }
            Fault::DiskStall => {
                let stalled = self.dice.span(timeout / 5, timeout * 10);
                self.desks[node].stalled_until = self.now + stalled;
            }
            Fault::DiskFailure => {
                let loss = self.draw_loss(self.cluster.node(node).disk_queue().0);
                return self.act(&Action::FailDisk { node, loss });
            }
            Fault::Snapshot => return self.act(&Action::TriggerSnapshot { node }),
            Fault::DiskFull => return self.fill_disk(node),
            Fault::Damage => return self.damage(node),
            Fault::Wipe => return self.wipe(node),
            Fault::Members => return self.ask_for_change(),
            Fault::Transfer => return self.transfer_leadership(),
            Fault::Calm => {
                self.calm_until = self.now + self.dice.span(timeout, timeout * 8);
                self.network.heal();
            }
        }
        Ok(())
    }

    /// One clock runs otherwise; or, where leases allow for so much and no more, it runs slow and all others run fast.
    fn set_clocks(&mut self, node: usize) -> Result<(), Violation> {
        if self.plan.setup.options.lease.is_none() {
            let permille = self.dice.pick(&[500, 800, 950, 1000, 1000, 1050, 1250, 2000]);
            return self.act(&Action::ClockRate { node, permille });
        }
        if self.dice.chance(500) {
            let permille = 1000 + self.dice.below(u64::from(DRIFT_PERMILLE) + 1) as u32;
            return self.act(&Action::ClockRate { node, permille });
        }
        (0..self.cluster.node_count()).try_for_each(|other| {
            let permille = if other == node { 1000 } else { 1000 + DRIFT_PERMILLE };
            self.act(&Action::ClockRate { node: other, permille })
        })
    }

    /// Mostly the leader, or a node that takes itself for it; else any.
    fn pick_victim(&mut self) -> usize {
        let count = self.cluster.node_count();
        let place = self.dice.place(count);
        let start = if self.dice.chance(500) { self.leader_from(place) } else { None };
        start.unwrap_or(place)
    }

    /// The first node from `place` on, in a circle, that takes itself for the leader.
    pub(super) fn leader_from(&self, place: usize) -> Option<usize> {
        let count = self.cluster.node_count();
        (0..count).map(|step| (place + step) % count).find(|&node| self.cluster.node(node).leads())
    }

    fn partition(&mut self, middle: usize) {
        let shape = self.dice.pick(&Shape::ALL);
        let count = self.cluster.node_count();
        self.network.partition(&mut self.dice, shape, count, middle);
        let timeout = self.plan.election_timeout();
        let lasts = self.dice.span(timeout / 10, timeout * 10);
        self.reconnect_in(lasts);
    }

    /// The partition that has just begun ends, unless another one takes its place before.
    fn reconnect_in(&mut self, lasts: Duration) {
        self.partitions += 1;
        self.schedule_in(lasts, Happening::Reconnect { partition: self.partitions });
    }

    fn depose(&mut self) {
        let count = self.cluster.node_count();
        let place = self.dice.place(count);
        let spares = self.dice.chance(500);
        let timeout = self.plan.election_timeout();
        let lasts = self.dice.between(timeout, timeout * if spares { 8 } else { 3 });
        if let Some(leader) = self.leader_from(place) {
            let spared = (leader + 1 + self.dice.place(count.max(2) - 1)) % count;
            self.network.cut_off(leader, count, spares.then_some(spared));
            self.reconnect_in(lasts);
        }
    }

    fn clog(&mut self, node: usize) {
        let timeout = self.plan.election_timeout();
        let until = self.now + self.dice.span(timeout / 10, timeout * 6);
        let only = self.dice.chance(500).then(|| self.dice.place(self.cluster.node_count()));
        for peer in (0..self.cluster.node_count()).filter(|peer| only.is_none_or(|only| only == *peer)) {
            self.network.clog(node, peer, until);
            self.network.clog(peer, node, until);
        }
    }

    pub(super) fn crash(&mut self, node: usize) -> Result<(), Violation> {
        let loss = self.draw_loss(self.cluster.node(node).disk_queue().0);
        self.act(&Action::Crash { node, loss })
    }

    fn pause(&mut self, node: usize, min: Duration, max: Duration) -> Result<(), Violation> {
        if !self.cluster.node(node).is_awake() {
            return Ok(());
        }
        let lasts = self.dice.span(min, max);
        let incarnation = self.desks[node].incarnation;
        self.schedule_in(lasts, Happening::Resume { node: node as u8, incarnation });
        self.act(&Action::Pause { node })
    }

    fn fill_disk(&mut self, node: usize) -> Result<(), Violation> {
        let timeout = self.plan.election_timeout();
        let lasts = self.dice.span(timeout / 10, timeout * 10);
        let incarnation = self.desks[node].incarnation;
        self.schedule_in(lasts, Happening::DiskRoom { node: node as u8, incarnation });
        self.desks[node].full = self.cluster.node(node).is_up();
        self.act(&Action::DiskFull { node, full: true })
    }

    /// Damage strikes where a quorum of sound disks remains: what a majority has lost is lost. Mostly an entry rots; now
    /// and then the end of the log is gone, and rarely even which entry was the last.
    fn damage(&mut self, node: usize) -> Result<(), Violation> {
        if !self.can_lose(node) || self.cluster.is_lonely(node) {
            return Ok(());
        }
        let most = self.dice.pick(&[2, 8, 40]);
        let back = self.dice.below(most);
        if !self.dice.chance(250) {
            return self.act(&Action::Damage { node, back });
        }
        let known = !self.dice.chance(100);
        self.act(&Action::LoseTail { node, count: back + 1, known })
    }

    fn wipe(&mut self, node: usize) -> Result<(), Violation> {
        let is_member = self.cluster.members().contains(&node) && !self.cluster.node(node).is_gone();
        if !is_member || !self.can_lose(node) {
            return Ok(());
        }
        let timeout = self.plan.election_timeout();
        let wait = self.dice.span(timeout / 10, timeout * 4);
        self.schedule_in(wait, Happening::Join);
        self.act(&Action::Wipe { node })
    }

    /// Whether the node has its folder, and all that was ever in it.
    pub(super) fn is_sound(&self, node: usize) -> bool {
        let view = self.cluster.node(node);
        !view.is_gone() && view.first_damaged().is_none()
    }

    fn can_lose(&self, node: usize) -> bool {
        self.cluster.committed() > 0
            && !self.cluster.promotable().contains(&node)
            && self.cluster.is_quorum(|other| other != node && self.is_sound(other))
    }

    /// What survives of `pending` writes.
    fn draw_loss(&mut self, pending: usize) -> Loss {
        let choice = self.dice.next_u64();
        Loss { log: Survivors::choose(pending, choice), snapshot: Dice::new(choice, 0).chance(500) }
    }
}
