//! What a seed concentrates on.
//!
//! Some rules are put to the test only where several things go wrong at once, again and again: a lease where clocks are as
//! far apart as they may be, its leader is cut off, and voters have just restarted. Plans drawn evenly hardly ever bring
//! that about. So some seeds bend their plan towards one such corner and leave the rest as it was drawn.

use std::time::Duration;

use super::nemesis::{Fault, FaultPlan};
use super::plan::{DRIFT_PERMILLE, Plan, Range};
use crate::options::Lease;
use crate::testing::draw::Dice;

/// A corner of what can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// The plan as it was drawn.
    Nothing,
    /// Lease reads at leaders that are cut off, while voters restart and clocks differ.
    Leases,
    /// Messages that outlive the term, and the process, that they belong to.
    Stragglers,
    /// An operator who asks for changes, also of leaders that are cut off, or have just been elected.
    Members,
    /// Rot that is found at a restart, while leaders come and go.
    Damage,
    /// Disks that take longer than a leadership lasts.
    SlowDisks,
    /// Logs so short that whoever falls behind needs a snapshot, over a bad network.
    Snapshots,
}

impl Focus {
    /// Seven seeds of sixteen have none.
    pub(super) fn draw(dice: &mut Dice) -> Self {
        match dice.below(16) {
            0 | 1 => Self::Leases,
            2..5 => Self::Stragglers,
            5 => Self::Members,
            6 => Self::Damage,
            7 => Self::SlowDisks,
            8 => Self::Snapshots,
            _ => Self::Nothing,
        }
    }
}

impl Plan {
    /// Bends the plan towards its focus.
    pub(super) fn concentrate(&mut self, dice: &mut Dice) {
        match self.focus {
            Focus::Nothing => {}
            Focus::Leases => self.concentrate_on_leases(dice),
            Focus::Stragglers => self.concentrate_on_stragglers(dice),
            Focus::Members => self.concentrate_on_members(dice),
            Focus::Damage => self.concentrate_on_damage(dice),
            Focus::SlowDisks => self.concentrate_on_slow_disks(dice),
            Focus::Snapshots => self.concentrate_on_snapshots(dice),
        }
    }

    /// Everything is fast, so that a new leader can be there before the lease of the old one ends. Writes are rare: with each
    /// of them the old leader would hear of the new one, and a client that waits for it reads nothing meanwhile.
    fn concentrate_on_leases(&mut self, dice: &mut Dice) {
        let timeout = self.election_timeout();
        self.setup.voters = dice.pick(&[3, 3, 3, 5]);
        self.setup.learners = 0;
        self.setup.options.lease = Some(Lease { max_drift_permille: DRIFT_PERMILLE });
        self.setup.options.heartbeat_interval = timeout / dice.pick(&[2, 2, 10]);
        self.network.delay.max = timeout / 200;
        self.network.late_permille = dice.pick(&[0, 0, 50]);
        self.network.late = Range { min: timeout / 10, max: timeout };
        self.network.loss_permille = 0;
        self.disk.sync.max = timeout / 1000;
        self.disk.late_permille = 0;
        let clients = &mut self.clients;
        (clients.count, clients.think.max, clients.patience) = (8, timeout / 5, timeout * 3);
        (clients.read_permille, clients.lease_permille) = (dice.pick(&[970, 990]), 1000);
        self.faults.clear();
        self.strike(Fault::Depose, timeout * 5);
        self.strike(Fault::ClockRate, timeout * 5);
        match dice.pick(&[Fault::Reboot, Fault::Reboot, Fault::Transfer]) {
            Fault::Reboot => self.strike(Fault::Reboot, timeout),
            often => self.strike(often, timeout * 2),
        }
    }

    /// Messages, or their second copies, arrive an age later: whoever sent them leads again by then, in another term, or has
    /// restarted.
    fn concentrate_on_stragglers(&mut self, dice: &mut Dice) {
        let timeout = self.election_timeout();
        self.network.ordered = false;
        self.network.delay.max = timeout / 20;
        (self.network.late_permille, self.network.duplicate_permille) = (dice.pick(&[20, 200]), 300);
        self.network.late = Range { min: timeout, max: timeout * 4 };
        self.network.loss_permille = 0;
        self.disk.sync.max = timeout / dice.pick(&[4, 100]);
        let clients = &mut self.clients;
        (clients.count, clients.think.max) = (8, timeout / 10);
        clients.read_permille = dice.pick(&[300, 950]);
        self.setup.voters = dice.pick(&[3, 3, 5]);
        self.strike(Fault::Reboot, timeout * 2);
        self.strike(Fault::Depose, timeout * 4);
        self.strike(Fault::Clog, timeout * 2);
    }

    /// Even numbers of voters: two single changes of the same four may have quorums apart.
    fn concentrate_on_members(&mut self, dice: &mut Dice) {
        let timeout = self.election_timeout();
        self.setup.voters = dice.pick(&[2, 4, 4, 4, 6]);
        self.setup.learners = dice.pick(&[1, 2]);
        self.network.delay.max = timeout / 15;
        self.disk.sync.max = timeout / dice.pick(&[4, 20]);
        self.strike(Fault::Members, timeout * 2);
        self.strike(Fault::Depose, timeout * 3);
        self.strike(Fault::Reboot, timeout * 4);
    }

    fn concentrate_on_damage(&mut self, dice: &mut Dice) {
        let timeout = self.election_timeout();
        self.setup.voters = dice.pick(&[3, 3, 5]);
        self.network.delay.max = timeout / 50;
        self.strike(Fault::Damage, timeout);
        self.strike(Fault::Reboot, timeout);
        self.strike(Fault::Partition, timeout * 3);
    }

    fn concentrate_on_slow_disks(&mut self, dice: &mut Dice) {
        let timeout = self.election_timeout();
        self.network.delay.max = timeout / 50;
        self.disk.sync.max = timeout / 20;
        (self.disk.late_permille, self.disk.late) = (dice.pick(&[50, 200]), timeout * 5);
        self.clients.burst_permille = 400;
        self.strike(Fault::Partition, timeout * 3);
        self.strike(Fault::Reboot, timeout * 4);
    }

    fn concentrate_on_snapshots(&mut self, dice: &mut Dice) {
        let timeout = self.election_timeout();
        self.setup.policy.every_bytes = 400;
        let options = &mut self.setup.options;
        (options.cache_bytes, options.max_applying_bytes) = (0, dice.pick(&[1, 500]));
        options.retained_entries = dice.pick(&[0, 5]);
        self.network.delay.max = timeout / 50;
        self.network.loss_permille = dice.pick(&[5, 30]);
        self.disk.sync.max = timeout / dice.pick(&[4, 20]);
        self.strike(Fault::Partition, timeout * 3);
        self.strike(Fault::Reboot, timeout * 4);
    }

    /// The fault strikes this often, whatever was drawn for it.
    fn strike(&mut self, fault: Fault, every: Duration) {
        self.faults.retain(|plan| plan.fault != fault);
        self.faults.push(FaultPlan { fault, every: Range { min: every / 8, max: every * 2 } });
    }
}
