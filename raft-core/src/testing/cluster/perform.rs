//! Carrying out actions: each becomes inputs of one node or two.

use std::sync::Arc;

use super::node::{SimNode, Waiting};
use super::transfers::{TransferState, copy};
use super::{
    Action, Answer, Cluster, Command, Ended, Loss, OPERATOR, Sent, TransferStep, Violation, Wish, member,
    node_id, observe, trace,
};
use crate::configuration::MemberChange;
use crate::driver::Event;
use crate::input::Ticket;
use crate::message::ReadProof;
use crate::raft::RoleName;
use crate::testing::sim_log::LogImage;
use crate::testing::sim_snapshots::SnapshotImage;
use crate::time::Time;
use crate::transport::TransportEvent;
use crate::types::LogIndex;

/// What a simulated disk says when it fails.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("simulated disk: the write or sync failed")]
struct DiskFailure;

impl Cluster {
    /// Lets `action` happen at true time `at`, which does not run backwards, and checks everything. Whether it could
    /// happen: one that makes no sense now (a crash of a node that is down, say) is skipped and changes nothing. Messages are not found here:
    /// see [`deliver`](Self::deliver).
    ///
    /// # Errors
    /// The [`Violation`] that it leads to.
    pub fn perform(&mut self, at: Time, action: &Action) -> Result<bool, Violation> {
        self.now = self.now.max(at);
        match *action {
            Action::Deliver(_) => Ok(false),
            Action::Tick { node } => self.tick(node),
            Action::Sync { node, writes } => self.with_running(node, |running| {
                running.log.complete_writes(writes);
            }),
            Action::AnswerReads { node } => {
                self.with_running(node, |running| while running.log.answer_read() {})
            }
            Action::FailDisk { node, loss } => self.fail_disk(node, loss),
            Action::Snapshot { node, fails } => self.end_snapshot_job(node, fails),
            Action::Restore { node } => self.end_restoring(node),
            Action::Transfer { from, to, step } => self.transfer_step(from, to, step),
            Action::Unreachable { node, peer } => {
                let peer = node_id(peer);
                self.input(node, Waiting::Event(Event::Transport(TransportEvent::Unreachable { peer })))
            }
            Action::Initialize { node } => self.initialize(node),
            Action::Propose { node, command } => self.propose(node, command),
            Action::Read { node, lease } => self.read(node, lease),
            Action::ChangeMembers { node, ref wishes } => self.change_members(node, wishes),
            Action::TransferLeadership { node, to } => self.transfer_leadership(node, to),
            Action::Wipe { node } => Ok(self.wipe(node)),
            Action::Join { seed } => self.join(seed),
            Action::Damage { node, back } => {
                let last = self.nodes[node].with_disk(LogImage::last).index;
                let rotted = self.nodes[node].damage(LogIndex(last.0.saturating_sub(back)));
                if rotted {
                    mark!(EntryRotted);
                }
                Ok(rotted)
            }
            Action::LoseTail { node, count, known } => Ok(self.lose_tail(node, count, known)),
            Action::DiskFull { node, full } => self.with_running(node, |running| {
                if full {
                    mark!(DiskFull);
                }
                running.log.set_full(full);
            }),
            Action::TriggerSnapshot { node } => {
                self.with_running(node, |running| running.driver.trigger_snapshot())
            }
            Action::Crash { node, loss } => Ok(self.crash(node, loss)),
            Action::CrashAfter { node, effects, loss } => Ok(self.doom(node, effects, loss)),
            Action::Restart { node, seed } => self.start(node, seed),
            Action::Pause { node } => Ok(self.pause(node)),
            Action::Resume { node } => self.resume(node),
            Action::ClockRate { node, permille } => {
                self.nodes[node].clock.set_rate(self.now, permille);
                Ok(true)
            }
            Action::ClockJump { node, by } => {
                self.nodes[node].clock.jump(self.now, by);
                Ok(true)
            }
        }
    }

    /// Lets a message arrive at true time `at`. Whether there was anybody to take it.
    ///
    /// # Errors
    /// The [`Violation`] that it leads to.
    pub fn deliver(&mut self, at: Time, sent: Sent) -> Result<bool, Violation> {
        let Sent { from, to, digest, message } = sent;
        self.now = self.now.max(at);
        let Some(running) = self.nodes[to].running() else { return Ok(false) };
        // What the handshake does: a member greets a node that belongs to no cluster before it says anything else.
        let stranger = running.driver.raft().hard_state().cluster_id.is_none();
        if let Some(cluster_id) = self.checker.cluster_id().filter(|_| stranger) {
            mark!(NodeGreeted);
            self.enter(to, Waiting::Event(Event::Transport(TransportEvent::Greeted { cluster_id })));
        }
        trace::delivered(&mut self.trace, from, to, digest);
        let from = node_id(from);
        self.input(to, Waiting::Event(Event::Transport(TransportEvent::Message { from, message })))
    }

    /// One input, and everything that follows from it.
    fn input(&mut self, node: usize, input: Waiting) -> Result<bool, Violation> {
        if self.nodes[node].running().is_none() {
            return Ok(false);
        }
        self.enter(node, input);
        self.settle(node)?;
        Ok(true)
    }

    fn enter(&mut self, node: usize, input: Waiting) {
        let now = self.nodes[node].clock.read(self.now);
        if let Some(running) = self.nodes[node].running_mut() {
            self.tally.events += u64::from(running.step(now, input, &mut self.trace));
        }
    }

    /// Whether there was anything to lose.
    fn lose_tail(&mut self, node: usize, count: u64, known: bool) -> bool {
        self.crash(node, Loss::default());
        let lost = self.nodes[node].lose_tail(count, known);
        match (lost, known) {
            (true, true) => mark!(TailLost),
            (true, false) => mark!(TailForgotten),
            (false, _) => {}
        }
        lost
    }

    fn with_running(
        &mut self,
        node: usize,
        act: impl FnOnce(&mut super::node::Running),
    ) -> Result<bool, Violation> {
        let Some(running) = self.nodes[node].running_mut() else { return Ok(false) };
        act(running);
        self.settle(node)?;
        Ok(true)
    }

    /// The timer fires. Before its time, the clock jumps to where it is due, unless leases rest on clocks.
    fn tick(&mut self, node: usize) -> Result<bool, Violation> {
        let Some(running) = self.nodes[node].running() else { return Ok(false) };
        if running.paused.is_some() {
            return Ok(false);
        }
        let due = running.driver.next_deadline();
        if self.setup.options.lease.is_some() && self.nodes[node].clock.read(self.now) < due {
            return Ok(false);
        }
        self.nodes[node].clock.advance_to(self.now, due);
        self.input(node, Waiting::Event(Event::Tick))
    }

    fn fail_disk(&mut self, node: usize, loss: Loss) -> Result<bool, Violation> {
        self.with_running(node, |running| {
            running.disk_failed = true;
            running.doomed.get_or_insert(loss);
            running.log.fail(Arc::new(DiskFailure));
        })
    }

    fn end_snapshot_job(&mut self, node: usize, fails: bool) -> Result<bool, Violation> {
        let Some(running) = self.nodes[node].running_mut() else { return Ok(false) };
        let ended = match fails {
            true => running.snapshots.fail_next(Arc::new(DiskFailure)),
            false => running.snapshots.complete_next(),
        };
        if !ended {
            return Ok(false);
        }
        if fails {
            mark!(SnapshotFailed);
        }
        self.checker.check_snapshot(self.now, &self.nodes[node])?;
        self.settle(node)?;
        Ok(true)
    }

    fn end_restoring(&mut self, node: usize) -> Result<bool, Violation> {
        let Some(job) = self.nodes[node].running_mut().and_then(|running| running.restoring.take()) else {
            return Ok(false);
        };
        mark!(StateRestored);
        self.input(node, Waiting::Event(Event::Restored(job.run())))
    }

    fn initialize(&mut self, node: usize) -> Result<bool, Violation> {
        if self.nodes[node].running().is_none() {
            return Ok(false);
        }
        let now = self.nodes[node].clock.read(self.now);
        let founder = self.founder.clone();
        self.tally.events += 1;
        let ticket = self.operator_ticket();
        self.with_running(node, |running| {
            running.owed.insert(ticket);
            running.driver.initialize(now, ticket, founder);
        })
    }

    /// For what is proposed to the cluster itself.
    fn operator_ticket(&mut self) -> Ticket {
        Ticket(OPERATOR.0 | self.next_ticket().0)
    }

    fn next_ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }

    fn propose(&mut self, node: usize, command: Command) -> Result<bool, Violation> {
        if self.nodes[node].running().is_none() {
            return Ok(false);
        }
        for _ in 0..=command.more {
            let ticket = self.next_ticket();
            self.enter(node, Waiting::Propose(ticket, command));
        }
        self.settle(node)?;
        Ok(true)
    }

    fn read(&mut self, node: usize, lease: bool) -> Result<bool, Violation> {
        if self.nodes[node].running().is_none() {
            return Ok(false);
        }
        let ticket = self.next_ticket();
        self.checker.read_begun(ticket);
        let proof = if lease { ReadProof::Lease } else { ReadProof::Quorum };
        self.input(node, Waiting::Read(ticket, proof))
    }

    fn change_members(&mut self, node: usize, wishes: &[Wish]) -> Result<bool, Violation> {
        let unknown = wishes.iter().any(|wish| wish.node >= self.nodes.len());
        if unknown || self.nodes[node].running().is_none() {
            return Ok(false);
        }
        let change = |wish: &Wish| match wish.role {
            Some(role) => MemberChange::Put(member(wish.node, role)),
            None => MemberChange::Remove(node_id(wish.node)),
        };
        let ticket = self.operator_ticket();
        self.input(node, Waiting::ChangeMembers(ticket, wishes.iter().map(change).collect()))
    }

    fn transfer_leadership(&mut self, node: usize, to: Option<usize>) -> Result<bool, Violation> {
        if self.nodes[node].running().is_none() {
            return Ok(false);
        }
        let ticket = self.operator_ticket();
        self.input(node, Waiting::TransferLeadership(ticket, to.map(node_id)))
    }

    fn wipe(&mut self, node: usize) -> bool {
        self.crash(node, Loss::default());
        mark!(FolderLost);
        !std::mem::replace(&mut self.nodes[node].gone, true)
    }

    fn join(&mut self, seed: u64) -> Result<bool, Violation> {
        let node = self.nodes.len();
        self.nodes.push(SimNode::new(node_id(node), LogImage::default(), SnapshotImage::default()));
        self.start(node, seed)
    }

    /// Power cut. Whether the node was up.
    pub(super) fn crash(&mut self, node: usize, loss: Loss) -> bool {
        if self.nodes[node].running().is_none() {
            return false;
        }
        if let Some(running) = self.nodes[node].running() {
            observe::crashed(running, loss.log);
        }
        self.nodes[node].crash(loss);
        trace::crashed(&mut self.trace, node);
        self.tally.crashes += 1;
        for ((_, to), transfer) in &mut self.transfers.by_link {
            let under_way = !matches!(transfer.state, TransferState::Ended { .. });
            if *to == node && under_way {
                transfer.state = TransferState::Ended { complete: false };
            }
        }
        true
    }

    fn doom(&mut self, node: usize, effects: u32, loss: Loss) -> bool {
        let Some(running) = self.nodes[node].running_mut() else { return false };
        running.doom(effects.max(1), loss);
        true
    }

    fn start(&mut self, node: usize, seed: u64) -> Result<bool, Violation> {
        if self.nodes[node].running().is_some() || self.nodes[node].gone {
            return Ok(false);
        }
        let machine = self.checker.machine();
        if let Err(reason) = self.nodes[node].start(self.now, seed, &self.setup, machine) {
            let (at, id, reason) = (self.now, self.nodes[node].id, reason.to_string());
            return Err(Violation::CannotStart { at, node: id, reason });
        }
        self.checker.started(self.now, node, &self.nodes[node])?;
        self.settle(node)?;
        Ok(true)
    }

    fn pause(&mut self, node: usize) -> bool {
        let Some(running) = self.nodes[node].running_mut() else { return false };
        running.paused.get_or_insert_default();
        true
    }

    fn resume(&mut self, node: usize) -> Result<bool, Violation> {
        let Some(waiting) = self.nodes[node].running_mut().and_then(|running| running.paused.take()) else {
            return Ok(false);
        };
        if waiting.len() >= 10 {
            mark!(BatchAfterPause);
        }
        if self.is_outdated_leader(node) {
            mark!(LeaderWakesUp);
        }
        waiting.into_iter().for_each(|input| self.enter(node, input));
        self.settle(node)?;
        Ok(true)
    }

    /// Whether the node takes itself for the leader, while another one leads a later term.
    fn is_outdated_leader(&self, node: usize) -> bool {
        let term_led = |node: &SimNode| {
            let raft = node.running()?.driver.raft();
            (raft.role() == RoleName::Leader).then(|| raft.hard_state().current_term)
        };
        let own = term_led(&self.nodes[node]);
        own.is_some() && self.nodes.iter().any(|other| term_led(other) > own)
    }

    fn transfer_step(&mut self, from: usize, to: usize, step: TransferStep) -> Result<bool, Violation> {
        let Some(transfer) = self.transfers.by_link.get_mut(&(from, to)) else { return Ok(false) };
        // With the process of the sender its connections are gone.
        let sender = &self.nodes[from];
        let broken = sender.running().is_none() || sender.incarnation != transfer.sender;
        let step = if broken && step != TransferStep::Report { TransferStep::Break } else { step };
        match (step, &mut transfer.state) {
            (TransferStep::Offer, TransferState::Offered) => {
                transfer.state = TransferState::Deciding;
                let (transfer, offer) = (transfer.id, transfer.offer.clone());
                let from_id = node_id(from);
                let event = TransportEvent::SnapshotOffered { from: from_id, transfer, offer };
                if !self.input(to, Waiting::Event(Event::Transport(event)))? {
                    self.end_transfer(from, to, false);
                }
                Ok(true)
            }
            (TransferStep::Chunks(limit), TransferState::Accepted(sink)) => {
                let fresh = std::mem::replace(&mut transfer.fresh, false);
                match copy(&transfer.offer.info, transfer.source.as_mut(), sink.as_mut(), limit, fresh) {
                    Some(false) => Ok(true),
                    ended => self.received(from, to, ended.is_some()),
                }
            }
            (TransferStep::Break, TransferState::Offered) => {
                self.end_transfer(from, to, false);
                Ok(true)
            }
            (TransferStep::Break, TransferState::Accepted(_)) => {
                mark!(TransferBroken);
                self.received(from, to, false)
            }
            (TransferStep::Report, TransferState::Ended { complete }) => {
                let complete = *complete;
                self.report_transfer(from, to, complete)
            }
            _ => Ok(false),
        }
    }

    pub(super) fn end_transfer(&mut self, from: usize, to: usize, complete: bool) {
        if let Some(transfer) = self.transfers.by_link.get_mut(&(from, to)) {
            transfer.state = TransferState::Ended { complete };
        }
    }

    /// The receiver's end of a transfer is over.
    fn received(&mut self, from: usize, to: usize, complete: bool) -> Result<bool, Violation> {
        let Some(transfer) = self.transfers.by_link.get(&(from, to)) else { return Ok(false) };
        let offer = transfer.offer.clone();
        self.end_transfer(from, to, complete);
        self.tally.installs += u64::from(complete);
        let event = TransportEvent::SnapshotReceived { from: node_id(from), offer, complete };
        self.input(to, Waiting::Event(Event::Transport(event)))
    }

    /// The sender learns how it went, if it is still the process that began it.
    fn report_transfer(&mut self, from: usize, to: usize, complete: bool) -> Result<bool, Violation> {
        let Some(transfer) = self.transfers.by_link.remove(&(from, to)) else { return Ok(false) };
        if self.nodes[from].incarnation != transfer.sender {
            return Ok(true);
        }
        let event = TransportEvent::SnapshotSent { to: node_id(to), info: transfer.offer.info, complete };
        self.input(from, Waiting::Event(Event::Transport(event)))
    }

    pub(super) fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.ended.push(Ended { ticket, answer });
    }
}
