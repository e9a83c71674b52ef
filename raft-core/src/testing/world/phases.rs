//! The course of a run: faults, a healed quorum, everything healed, peace.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::queue::Happening;
use super::{Report, World};
use crate::quorum::Quorum;
use crate::raft::{PeerStatus, Status};
use crate::testing::cluster::{Action, Loss, Violation};
use crate::time::Time;
use crate::types::{LogIndex, NodeId};

/// Election timeouts within which a healed quorum serves again, and within which all come to the same state.
const BOUND: u32 = 20;

/// Election timeouts that the faults may last at most, however little happens.
const LONGEST: u32 = 5_000;

/// How a node stays broken while others are healed.
#[derive(Clone, Copy)]
enum Broken {
    Down,
    Paused,
    CutOff,
    Mute,
    Deaf,
    /// Its disk takes nothing any more, and does not say so.
    Stuck,
    /// The same, and says so.
    Full,
}

impl Broken {
    const ALL: [Self; 7] =
        [Self::Down, Self::Paused, Self::CutOff, Self::Mute, Self::Deaf, Self::Stuck, Self::Full];
}

impl World {
    /// Runs the plan to its end.
    ///
    /// # Errors
    /// The first [`Violation`].
    pub fn run(&mut self) -> Result<Report, Violation> {
        self.run_faults()?;
        let core = self.heal_quorum()?;
        let mut recovered_in = None;
        if self.is_core(&core) {
            recovered_in = Some(self.await_service(&core)?);
            self.go_on_without_the_rest()?;
            self.heal_all()?;
            self.await_convergence()?;
            self.keep_the_peace()?;
            self.obey()?;
        }
        Ok(self.report(recovered_in))
    }

    /// What it has amounted to so far, with the time in which a healed quorum served, if there was one to heal.
    pub(super) fn report(&self, recovered_in: Option<u64>) -> Report {
        let tally = self.cluster.tally();
        Report {
            events: tally.events,
            elections: self.cluster.elections(),
            crashes: tally.crashes,
            committed: self.cluster.committed(),
            acknowledged: tally.acknowledged,
            reads: tally.reads,
            configurations: tally.configurations,
            installs: tally.installs,
            nodes: self.cluster.node_count() as u64,
            simulated: self.now.saturating_since(Time::ZERO),
            judged: recovered_in.is_some(),
            recovered_in: recovered_in.unwrap_or_default(),
            trace_hash: self.cluster.trace_hash(),
        }
    }

    /// The first phase alone.
    pub(super) fn run_faults(&mut self) -> Result<(), Violation> {
        let end = Time::ZERO + self.plan.election_timeout() * LONGEST;
        while self.cluster.tally().events < self.plan.events && self.now < end {
            self.next()?;
        }
        Ok(())
    }

    /// Lets the next thing happen.
    fn next(&mut self) -> Result<(), Violation> {
        if let Some((at, what)) = self.queue.pop() {
            self.now = at;
            self.happen(at, what)?;
        }
        Ok(())
    }

    pub(super) fn run_until(
        &mut self,
        end: Time,
        mut done: impl FnMut(&Self) -> bool,
    ) -> Result<bool, Violation> {
        while self.now < end {
            if done(self) {
                return Ok(true);
            }
            let slice = self.now + self.plan.election_timeout() / 20;
            while self.now < slice {
                self.next()?;
            }
        }
        Ok(done(self))
    }

    /// Heals a random quorum; all others stay broken.
    fn heal_quorum(&mut self) -> Result<Vec<usize>, Violation> {
        let core = self.draw_quorum();
        self.endpoints.clone_from(&core);
        self.plan.clear_up();
        self.network.heal();
        let voidable = |what| {
            matches!(
                what,
                Happening::Onset { .. }
                    | Happening::Reconnect { .. }
                    | Happening::Restart { .. }
                    | Happening::Resume { .. }
                    | Happening::DiskRoom { .. }
                    | Happening::Join
                    | Happening::AskForChange
            )
        };
        self.queue.retain(|what| !voidable(what));
        for node in 0..self.cluster.node_count() {
            if core.contains(&node) {
                self.heal_node(node)?;
            } else {
                self.break_node(node, &core)?;
            }
        }
        Ok(core)
    }

    /// A quorum, and now and then a few more.
    fn draw_quorum(&mut self) -> Vec<usize> {
        let mut nodes: Vec<usize> = (0..self.cluster.node_count()).collect();
        for at in (1..nodes.len()).rev() {
            let other = self.dice.place(at + 1);
            nodes.swap(at, other);
        }
        nodes.retain(|&node| self.is_sound(node));
        let promotable = self.cluster.promotable();
        // A learner that becomes a voter right now must not be missed then. And perhaps nobody but the founder belongs to
        // the cluster yet.
        nodes.sort_by_key(|node| !promotable.contains(node) && (self.plan.setup.founded || *node != 0));
        let least = (1..=nodes.len()).find(|&count| self.is_core(&nodes[..count])).unwrap_or(nodes.len());
        let more = if self.dice.chance(250) { self.dice.place(nodes.len() - least + 1) } else { 0 };
        nodes.truncate(least + more);
        nodes
    }

    /// Whether these can go on by themselves. In a corner not even all that are sound can: a voter's disk has rotted; what
    /// only that disk and a learner hold cannot be led by the learner; and a change of members that was not committed gives
    /// the learner a vote, which it refuses to whoever holds less. That is a lost quorum: for the operator to recover.
    fn is_core(&self, nodes: &[usize]) -> bool {
        let is_in = |node| nodes.contains(&node);
        let promotable = self.cluster.promotable();
        promotable.into_iter().all(|node| is_in(node) || !self.is_sound(node))
            && self.cluster.is_quorum(is_in)
            && self.cluster.could_elect(is_in)
    }

    fn heal_node(&mut self, node: usize) -> Result<(), Violation> {
        let desk = &mut self.desks[node];
        (desk.stalled_until, desk.stuck, desk.abandoned) = (self.now, false, false);
        // What was to happen when the disk would go on happens soon.
        (desk.syncing, desk.reading, desk.snapshotting) = (false, false, false);
        if self.cluster.node(node).is_gone() {
            return Ok(());
        }
        self.act(&Action::ClockRate { node, permille: 1000 })?;
        if self.cluster.node(node).is_up() {
            self.disk_room(node)?;
            return self.act(&Action::Resume { node });
        }
        let seed = self.desks[node].dice.next_u64();
        self.act(&Action::Restart { node, seed })
    }

    fn break_node(&mut self, node: usize, core: &[usize]) -> Result<(), Violation> {
        self.desks[node].abandoned = true;
        let how = self.dice.pick(&Broken::ALL);
        let (mute, deaf) = match how {
            Broken::Down => return self.act(&Action::Crash { node, loss: Loss::default() }),
            Broken::Paused => return self.act(&Action::Pause { node }),
            Broken::Stuck => {
                self.desks[node].stuck = true;
                return Ok(());
            }
            Broken::Full => {
                self.desks[node].full = true;
                return self.act(&Action::DiskFull { node, full: true });
            }
            Broken::CutOff => (true, true),
            Broken::Mute => (true, false),
            Broken::Deaf => (false, true),
        };
        for &peer in core {
            self.network.set_cut(node, peer, mute);
            self.network.set_cut(peer, node, deaf);
        }
        Ok(())
    }

    /// The healed quorum commits something new, and confirms reads, within the bound.
    fn await_service(&mut self, core: &[usize]) -> Result<u64, Violation> {
        let (begin, before) = (self.now, self.cluster.tally());
        let bound = self.bound();
        let reads = self.plan.clients.read_permille > 0;
        let served = self.run_until(begin + bound, |world| {
            let tally = world.cluster.tally();
            tally.acknowledged > before.acknowledged && (!reads || tally.reads > before.reads)
        })?;
        let healthy_for = self.now.saturating_since(begin);
        if served {
            let timeout = self.plan.election_timeout().as_nanos().max(1);
            return Ok(u64::try_from(healthy_for.as_nanos() * 1000 / timeout).unwrap_or(u64::MAX));
        }
        let who = format!("the quorum of places {core:?}");
        let what = format!("it does not serve; {}", self.describe_nodes());
        Err(Violation::NotRecovered { at: self.now, who, healthy_for, what })
    }

    /// The bound, and time for entries to be sent one by one to whoever lacks them.
    pub(super) fn bound(&self) -> Duration {
        let nodes = (0..self.cluster.node_count()).map(|place| self.cluster.node(place));
        let last = nodes.clone().map(|node| node.disk().1.index).max().unwrap_or_default();
        let lag: u64 =
            nodes.map(|node| last.since(node.applied().map_or(LogIndex::ZERO, |(at, _)| at))).sum();
        let timeout = self.plan.election_timeout();
        timeout * BOUND + timeout / 20 * u32::try_from(lag).unwrap_or(u32::MAX)
    }

    /// Now and then for long enough that those who are missing fall far behind.
    fn go_on_without_the_rest(&mut self) -> Result<(), Violation> {
        let longer = self.plan.election_timeout() * self.dice.pick(&[0, 0, 0, 2, 10]);
        self.run_until(self.now + longer, |_| false).map(drop)
    }

    fn heal_all(&mut self) -> Result<(), Violation> {
        self.network.heal();
        self.endpoints = (0..self.cluster.node_count()).filter(|node| self.is_sound(*node)).collect();
        self.closing = true;
        (0..self.cluster.node_count()).try_for_each(|node| self.heal_node(node))
    }

    fn await_convergence(&mut self) -> Result<(), Violation> {
        let begin = self.now;
        let bound = self.bound();
        if self.run_until(begin + bound, Self::has_converged)? {
            return Ok(());
        }
        let healthy_for = self.now.saturating_since(begin);
        let what = format!("not all have applied the same; {}", self.describe_nodes());
        Err(Violation::NotRecovered { at: self.now, who: "everything".to_owned(), healthy_for, what })
    }

    /// All have applied everything that anybody has, which is all that clients know of, and nothing waits: no request, no
    /// answer that a process owes since it started, no
    /// second half of a change of members, no learner that could be a voter, no leader that should have left.
    fn has_converged(&self) -> bool {
        let (index, state, acknowledged) = self.cluster.head();
        let idle = self.clients.iter().all(|client| client.request.is_none());
        let equal = |place: usize| {
            let node = self.cluster.node(place);
            node.is_gone() || node.applied() == Some((index, state))
        };
        let settled = self.cluster.owed() == 0
            && !self.cluster.is_joint()
            && !self.cluster.promotable().into_iter().any(|node| self.is_sound(node))
            && !self.cluster.is_led_from_outside();
        idle && settled && index >= acknowledged && self.cluster.members().into_iter().all(equal)
    }

    pub(super) fn describe_nodes(&self) -> String {
        let describe = |place: usize| {
            let node = self.cluster.node(place);
            let Some(raft) = node.raft() else {
                let why = if node.is_gone() { "gone" } else { "down" };
                return format!("n{} {why}", place + 1);
            };
            let status = raft.status();
            let awake = if node.is_awake() { "" } else { " (paused)" };
            format!(
                "n{} owes {:?}, {}{awake} term {} log {}..{} commit {} applied {:?}, disk queue {:?}, damaged {:?}{}, handing over {:?}, voters {}{}",
                place + 1,
                node.owed(),
                status.role,
                status.hard_state.current_term,
                status.base,
                status.last,
                status.commit_index,
                node.applied().map(|(index, _)| index.0),
                node.disk_queue(),
                node.first_damaged(),
                describe_ailments(&status),
                raft.handing_over_to().map(NodeId::get),
                raft.configuration().map_or_else(String::new, |members| describe_quorum(members.quorum())),
                describe_peers(&status.peers)
            )
        };
        (0..self.cluster.node_count()).map(describe).collect::<Vec<_>>().join(", ")
    }
}

fn describe_quorum(quorum: &Quorum) -> String {
    let places = |ids: &[NodeId]| ids.iter().map(|id| id.get()).collect::<Vec<_>>();
    format!("{:?} (before: {:?})", places(&quorum.incoming), places(&quorum.outgoing))
}

/// What the node itself knows to be wrong with it.
fn describe_ailments(status: &Status) -> String {
    let hole = status.first_hole.map(|index| format!(" (knows of {index})"));
    let vote = if status.may_vote { "" } else { ", never votes" };
    let disk = if status.disk_is_stuck { ", disk stuck" } else { "" };
    format!("{}{vote}{disk}", hole.unwrap_or_default())
}

fn describe_peers(peers: &[PeerStatus]) -> String {
    let describe = |peer: &PeerStatus| {
        format!(" n{} {} {}/{}", peer.id.get(), peer.state, peer.match_index, peer.next_index)
    };
    peers.iter().map(describe).collect()
}

/// Turns a panic into a violation: the code under test has found its own state wrong.
pub(in crate::testing) fn guarded<T>(run: impl FnOnce() -> Result<T, Violation>) -> Result<T, Violation> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(Violation::Panicked { message: text.unwrap_or("no message").to_owned() })
    })
}
