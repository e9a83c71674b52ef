//! One effect, one call; one event, one input.

use std::sync::Arc;

use super::proposals::Fate;
use super::{Applied, Driver, MAX_WAITING_READS, Outcome};
use crate::block::Block;
use crate::configuration::Configuration;
use crate::effect::Effect;
use crate::error::{Halt, ProposeError, ReadError};
use crate::input::{Input, Ticket};
use crate::message::Message;
use crate::snapshot::SnapshotOffer;
use crate::state_machine::StateMachine;
use crate::storage::{LogEvent, LogStore, SnapshotEvent, SnapshotStore};
use crate::time::Time;
use crate::transport::{Transport, TransportEvent};
use crate::types::{EntryId, LogIndex, NodeId, Term};

impl<L, T, S, M> Driver<L, T, S, M>
where
    L: LogStore,
    T: Transport,
    S: SnapshotStore,
    M: StateMachine,
{
    pub(super) fn perform(&mut self, now: Time, effect: Effect) {
        match effect {
            Effect::Write(write) => self.log.submit(write),
            Effect::Send { to, message } => self.send(now, to, message),
            Effect::Read(request) => self.log.read(request),
            Effect::Apply(blocks) => self.applier.push(blocks),
            Effect::Restore(at) => self.restore(at),
            Effect::Compact { through } => self.log.compact(through),
            Effect::Proposed { outcome, .. } => self.proposed(outcome),
            Effect::ReadReady { ticket, .. } if mutant!(ReaderLeftWaiting) && ticket.0 % 16 == 0 => {}
            Effect::ReadReady { ticket, outcome } => self.read_ready(ticket, outcome),
            Effect::TransferBegun { .. } if mutant!(OperatorLeftWaiting) => {}
            Effect::TransferBegun { ticket, outcome } => {
                self.outcomes.push(Outcome::Transfer { ticket, result: outcome });
            }
            Effect::SendSnapshot { to, term } => self.send_snapshot(now, to, term),
            Effect::AcceptSnapshot { transfer, offer } => {
                let sink = self.snapshots.sink(&offer);
                self.transport.accept_snapshot(transfer, sink);
            }
            Effect::RefuseSnapshot { transfer } => self.transport.refuse_snapshot(transfer),
            Effect::PublishSnapshot(info) => self.snapshots.publish(info),
            Effect::LogDamaged { reason, .. } => self.log_damage = Some(reason),
            Effect::Halt(halt) => {
                self.halt.get_or_insert(halt);
            }
        }
    }

    fn restore(&mut self, at: EntryId) {
        // Until this has been carried out no newer snapshot can be published: it has to be offered first.
        let reader = self.snapshots.reader().filter(|(meta, _)| meta.last == at);
        self.applier.push_restore(at, reader.map(|(_, reader)| reader));
        for ticket in self.proposals.hidden_by(at.index) {
            self.outcomes.push(Outcome::Proposal { ticket, result: Err(ProposeError::Unknown) });
        }
        // Behind it nothing of an earlier term can follow any more, and perhaps nothing at all does for a long time.
        while let Some(Fate::Displaced(id, ticket)) = self.proposals.decided_by(at) {
            self.outcomes.push(refused(ticket, ProposeError::NotApplied { id }));
        }
    }

    fn send(&mut self, now: Time, to: NodeId, message: Message) {
        // Lost entries have to be sent again; whatever else is lost is said again anyway.
        let entries = matches!(message, Message::AppendEntries(_));
        if self.transport.send(to, message).is_err() && entries {
            self.raft.step(now, Input::Unreachable(to));
            self.has_new_input = true;
        }
    }

    fn read_ready(&mut self, ticket: Ticket, outcome: Result<LogIndex, ReadError>) {
        let waiting = self.reads.len();
        match outcome {
            Ok(index) if waiting < MAX_WAITING_READS => {
                // Nearly always the last; a follower's requests may be answered out of order.
                let at = self.reads.partition_point(|(earlier, _)| *earlier <= index);
                self.reads.insert(at, (index, ticket));
            }
            Ok(_) => {
                let result = Err(ReadError::Busy { waiting });
                self.outcomes.push(Outcome::Read { ticket, result });
            }
            Err(error) => self.outcomes.push(Outcome::Read { ticket, result: Err(error) }),
        }
    }

    fn proposed(&mut self, outcome: Result<EntryId, ProposeError>) {
        let Some(entries) = self.submitted.pop_front() else { return };
        let tickets = self.tickets.drain(..entries);
        match outcome {
            Ok(first) => self.proposals.appended(first, tickets),
            Err(error) => self.outcomes.extend(tickets.map(|ticket| refused(ticket, error))),
        }
    }

    fn send_snapshot(&mut self, now: Time, to: NodeId, term: Term) {
        match self.snapshots.source() {
            Some((info, source)) => self.transport.send_snapshot(to, SnapshotOffer { term, info }, source),
            None => {
                self.raft.step(now, Input::SnapshotSent { to, complete: false });
                self.has_new_input = true;
            }
        }
    }

    pub(super) fn on_log(&mut self, now: Time, event: LogEvent) {
        match event {
            LogEvent::Durable(id) => self.raft.step(now, Input::Durable(id)),
            LogEvent::Read { id, answer } => self.raft.step(now, Input::LogRead { id, answer }),
            LogEvent::Full(is_full) => self.raft.step(now, Input::DiskFull(is_full)),
            LogEvent::Failed(reason) => {
                self.halt.get_or_insert(Halt::LogFailed(reason));
            }
        }
    }

    pub(super) fn on_snapshot(&mut self, now: Time, event: SnapshotEvent) {
        match event {
            SnapshotEvent::Created(info) => {
                self.applier.snapshot_done();
                self.raft.step(now, Input::SnapshotCreated(info.meta));
            }
            SnapshotEvent::Published(info) => self.raft.step(now, Input::SnapshotPublished(Some(info))),
            SnapshotEvent::Failed { received, reason, .. } => {
                self.snapshot_failure = Some(reason);
                if received {
                    self.raft.step(now, Input::SnapshotPublished(None));
                } else {
                    self.applier.snapshot_done();
                }
            }
        }
    }

    pub(super) fn on_transport(&mut self, now: Time, event: TransportEvent) {
        let input = match event {
            TransportEvent::Message { from, message } => Input::Message { from, message },
            TransportEvent::Unreachable { peer } => Input::Unreachable(peer),
            TransportEvent::Greeted { cluster_id } => Input::Greeted(cluster_id),
            TransportEvent::SnapshotOffered { from, transfer, offer } => {
                Input::SnapshotOffered { from, transfer, offer }
            }
            TransportEvent::SnapshotReceived { from, offer, complete } => {
                Input::SnapshotReceived { from, offer, complete }
            }
            TransportEvent::SnapshotSent { to, complete, .. } => Input::SnapshotSent { to, complete },
        };
        self.raft.step(now, input);
    }

    /// Applies a budget's worth. Whether anything was.
    pub(super) fn apply(&mut self, now: Time) -> bool {
        if self.halt.is_some() {
            return false;
        }
        let Self { applier, proposals, outcomes, .. } = self;
        applier.covered_through(self.raft.snapshot().last.index);
        let applied = applier.run(|blocks, replies| {
            if proposals.is_empty() {
                return replies.clear();
            }
            for (entry, reply) in blocks.iter().flat_map(Block::entries).zip(replies.drain(..)) {
                decide(proposals, outcomes, entry.id, reply);
            }
        });
        if let Some((at, view)) = self.applier.freeze_if_due() {
            self.snapshots.create(self.raft.snapshot_meta(at), view);
        }
        match applied {
            Ok(Some(through)) => {
                self.raft.step(now, Input::Applied(through));
                true
            }
            Ok(None) => false,
            Err(halt) => {
                self.halt.get_or_insert(halt);
                false
            }
        }
    }

    pub(super) fn release_reads(&mut self) {
        if self.applier.state().is_none() {
            return;
        }
        let applied = self.applier.applied().index;
        while let Some((index, ticket)) =
            self.reads.pop_front_if(|(index, _)| *index <= applied || mutant!(ReadBeforeApplied))
        {
            self.outcomes.push(Outcome::Read { ticket, result: Ok(index) });
        }
    }

    /// Tells the transport of a cluster, of new members and new addresses. If somebody leaves, it is told when the effects
    /// are carried out, because the leaver is to hear of it as well: then true, and nothing of the members is told yet.
    pub(super) fn introduce_members(&mut self) -> bool {
        // Once others have stored the id they wait for its founder; a founder that forgot it would keep them waiting.
        let cluster = self.raft.durable().0.cluster_id;
        if let Some(cluster_id) = cluster.filter(|_| cluster != self.told_cluster) {
            self.transport.set_cluster(cluster_id);
            self.told_cluster = cluster;
        }
        let stays = |told: &Configuration, now: &Configuration| {
            told.members().iter().all(|member| now.member(member.id).is_some())
        };
        match (&self.told_configuration, self.raft.configuration_to_reach()) {
            (_, None) => false,
            (Some(told), Some(now)) if Arc::ptr_eq(told, now) => false,
            (Some(told), Some(now)) if !stays(told, now) => true,
            (_, Some(_)) => {
                self.tell_members();
                false
            }
        }
    }

    /// Tells the transport whom to reach from now on.
    pub(super) fn tell_members(&mut self) {
        self.told_configuration = self.raft.configuration_to_reach().cloned();
        if let Some(configuration) = &self.told_configuration {
            self.transport.set_configuration(configuration);
        }
    }
}

const fn refused<R>(ticket: Ticket, error: ProposeError) -> Outcome<R> {
    Outcome::Proposal { ticket, result: Err(error) }
}

/// The entry `id` is committed and applied: settles the proposals at its index.
fn decide<R>(proposals: &mut super::Proposals, outcomes: &mut Vec<Outcome<R>>, id: EntryId, reply: R) {
    let mut reply = Some(reply);
    while let Some(fate) = proposals.decided_by(id) {
        match fate {
            Fate::Committed(ticket) => {
                if let Some(reply) = reply.take() {
                    outcomes.push(Outcome::Proposal { ticket, result: Ok(Applied { id, reply }) });
                }
            }
            Fate::Displaced(id, ticket) => outcomes.push(refused(ticket, ProposeError::NotApplied { id })),
        }
    }
}
