//! What one seed's run is like: the cluster, the weather, and what is spared this time.
//!
//! Swarm testing: each seed leaves out some kinds of fault and weighs the rest, so that no fault always masks another.
//! All durations derive from the election timeout, the one span that the protocol cares about.

use std::time::Duration;

use super::focus::Focus;
use super::nemesis::{Fault, FaultPlan};
use crate::driver::SnapshotPolicy;
use crate::options::{Lease, Options};
use crate::testing::cluster::Setup;
use crate::testing::draw::Dice;

/// Both ends inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Shortest.
    pub min: Duration,
    /// Longest.
    pub max: Duration,
}

/// Messages on their way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkPlan {
    /// How long most messages take.
    pub delay: Range,
    /// How many of a thousand take longer,
    pub late_permille: u64,
    /// this long.
    pub late: Range,
    /// How many of a thousand are lost.
    pub loss_permille: u64,
    /// How many of a thousand arrive twice.
    pub duplicate_permille: u64,
    /// Whether messages of one link stay in order, as in one connection.
    pub ordered: bool,
    /// How many of a thousand losses the sender's transport reports.
    pub reported_permille: u64,
}

/// Disks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskPlan {
    /// How long most syncs take.
    pub sync: Range,
    /// How many of a thousand take longer,
    pub late_permille: u64,
    /// up to so long.
    pub late: Duration,
    /// How many of a thousand snapshots fail.
    pub snapshot_fails_permille: u64,
}

/// Clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientsPlan {
    /// How many.
    pub count: u16,
    /// Time between an answer and the next request.
    pub think: Range,
    /// How long one waits for an answer before it asks elsewhere.
    pub patience: Duration,
    /// How many of a thousand requests are reads.
    pub read_permille: u64,
    /// How many of a thousand reads are content with a lease.
    pub lease_permille: u64,
    /// How many of a thousand requests are many commands at once.
    pub burst_permille: u64,
    /// The longest padding of a command.
    pub max_padding: u64,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What it concentrates on.
    pub focus: Focus,
    /// The cluster.
    pub setup: Setup,
    /// So many inputs are stepped while there are faults.
    pub events: u64,
    /// The network.
    pub network: NetworkPlan,
    /// The disks.
    pub disk: DiskPlan,
    /// The clients.
    pub clients: ClientsPlan,
    /// What goes wrong, besides.
    pub faults: Vec<FaultPlan>,
}

const STREAM: u64 = 1;
const FOCUS_STREAM: u64 = 3;

/// How much faster than another a clock may run where leases are on.
pub(super) const DRIFT_PERMILLE: u32 = 100;

impl Plan {
    /// The plan of `seed`.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed, STREAM);
        let timeout = Duration::from_millis(dice.pick(&[150, 300, 1000]));
        let setup = draw_setup(&mut dice, timeout);
        let leases = setup.options.lease.is_some();
        let mut plan = Self {
            focus: Focus::draw(&mut Dice::new(seed, FOCUS_STREAM)),
            setup,
            events: 16_000 + dice.below(20_000),
            network: draw_network(&mut dice, timeout),
            disk: draw_disk(&mut dice, timeout),
            clients: draw_clients(&mut dice, timeout, leases),
            faults: draw_faults(&mut dice, timeout, leases),
        };
        plan.concentrate(&mut dice);
        plan
    }

    /// The same with so few nodes, such short limits and so few events that a failure is easily understood.
    #[must_use]
    pub fn small(mut self) -> Self {
        self.setup.founded = true;
        self.setup.voters = self.setup.voters.min(3);
        self.setup.learners = 0;
        self.events = self.events.min(4_000);
        self
    }

    /// The same so short, with so much going wrong in it, that hardly anything in a failing run is beside the point.
    #[must_use]
    pub fn tiny(mut self, events: u64) -> Self {
        let timeout = self.election_timeout();
        self = self.small();
        self.events = events;
        let roomy = Options::default();
        let options = &mut self.setup.options;
        options.heartbeat_interval = timeout / 2;
        options.max_message_bytes = roomy.max_message_bytes;
        options.max_inflight_messages = roomy.max_inflight_messages;
        options.max_inflight_bytes = roomy.max_inflight_bytes;
        options.max_uncommitted_bytes = roomy.max_uncommitted_bytes;
        options.cache_bytes = options.cache_bytes.max(600);
        self.clients.count = self.clients.count.min(2);
        self.clients.think = Range { min: timeout / 100, max: timeout };
        for fault in &mut self.faults {
            (fault.every.min, fault.every.max) = (fault.every.min / 8, fault.every.max / 4);
        }
        self
    }

    /// The span that everything else derives from.
    #[must_use]
    pub const fn election_timeout(&self) -> Duration {
        self.setup.options.election_timeout
    }

    /// The weather after everything is healed: nothing is lost, and everything is fast.
    pub fn clear_up(&mut self) {
        let timeout = self.election_timeout();
        let (network, disk) = (&mut self.network, &mut self.disk);
        network.delay = Range { min: timeout / 1000, max: timeout / 200 };
        disk.sync = Range { min: timeout / 1000, max: timeout / 200 };
        self.clients.patience = self.clients.patience.min(timeout);
        (network.late_permille, network.loss_permille, network.duplicate_permille) = (0, 0, 0);
        (disk.late_permille, disk.snapshot_fails_permille) = (0, 0);
    }
}

fn draw_setup(dice: &mut Dice, timeout: Duration) -> Setup {
    let voters = dice.pick(&[1, 2, 3, 3, 3, 3, 3, 3, 4, 5, 5, 5, 6, 7]);
    let learners = dice.pick(&[0, 0, 0, 0, 1, 2]);
    let policy = SnapshotPolicy {
        every_bytes: dice.pick(&[400, 1_500, 6_000, 30_000, usize::MAX]),
        alignment: dice.pick(&[1, 4, 16, 64]),
    };
    Setup {
        voters,
        learners,
        founded: !dice.chance(150),
        options: draw_options(dice, timeout),
        policy,
        seed: dice.next_u64(),
    }
}

/// Small limits fill windows, empty caches and compact logs all the time; large ones leave room for other mishaps.
fn draw_options(dice: &mut Dice, timeout: Duration) -> Options {
    Options {
        election_timeout: timeout,
        heartbeat_interval: timeout / dice.pick(&[2, 4, 10]),
        max_message_bytes: dice.pick(&[1, 100, 300, 2_000, 1 << 20]),
        max_inflight_messages: dice.pick(&[1, 2, 4, 64]),
        max_inflight_bytes: dice.pick(&[1, 900, 8 << 20]),
        max_uncommitted_bytes: dice.pick(&[600, 4_000, 32 << 20]),
        cache_bytes: dice.pick(&[0, 600, 5_000, 32 << 20]),
        max_applying_bytes: dice.pick(&[1, 500, 8 << 20]),
        retained_entries: dice.pick(&[0, 5, 20, 200]),
        lease: dice.chance(300).then_some(Lease { max_drift_permille: DRIFT_PERMILLE }),
        ..Options::default()
    }
}

fn draw_network(dice: &mut Dice, timeout: Duration) -> NetworkPlan {
    let ordered = dice.chance(400);
    let delay = Range { min: timeout / 2000, max: timeout / dice.pick(&[4, 15, 50, 200, 200]) };
    NetworkPlan {
        late_permille: dice.pick(&[0, 0, 2, 20]),
        late: Range { min: delay.max, max: timeout * dice.pick(&[1, 3, 10]) },
        delay,
        loss_permille: dice.pick(&[0, 0, 5, 30, 100]),
        duplicate_permille: if ordered { 0 } else { dice.pick(&[0, 10, 100, 300]) },
        ordered,
        reported_permille: dice.pick(&[0, 500, 1000]),
    }
}

fn draw_disk(dice: &mut Dice, timeout: Duration) -> DiskPlan {
    DiskPlan {
        sync: Range { min: timeout / 5000, max: timeout / dice.pick(&[4, 20, 100, 1000, 1000]) },
        late_permille: dice.pick(&[0, 0, 5, 30]),
        late: timeout * dice.pick(&[1, 3, 10]),
        snapshot_fails_permille: dice.pick(&[0, 0, 100]),
    }
}

fn draw_clients(dice: &mut Dice, timeout: Duration, leases: bool) -> ClientsPlan {
    ClientsPlan {
        count: dice.pick(&[1, 2, 4, 8]),
        think: Range { min: timeout / 1000, max: timeout / dice.pick(&[5, 20, 60]) },
        patience: timeout / 2 * dice.pick(&[1, 2, 6]),
        read_permille: dice.pick(&[0, 100, 300, 700]),
        lease_permille: if leases { 700 } else { 0 },
        burst_permille: dice.pick(&[0, 100, 400]),
        max_padding: dice.pick(&[0, 30, 200]),
    }
}

fn draw_faults(dice: &mut Dice, timeout: Duration, leases: bool) -> Vec<FaultPlan> {
    let mut plans = Vec::new();
    for fault in Fault::ALL {
        let (spared, often) = (dice.chance(450), dice.below(4));
        // A lease rests on clocks that do not jump.
        if spared || (leases && fault == Fault::ClockJump) {
            continue;
        }
        let scale = fault.scale();
        let every = timeout * scale * (1 << often) / 2;
        plans.push(FaultPlan { fault, every: Range { min: every / 8, max: every * 2 } });
    }
    plans
}
