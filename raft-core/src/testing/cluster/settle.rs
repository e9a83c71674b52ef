//! What follows from inputs: the node flushes, everything is checked, and what left it is taken along.

use super::transfers::{Transfer, TransferState};
use super::{Answer, Cluster, OPERATOR, Outgoing, Sent, Violation, digest, observe, place_of, trace};
use crate::driver::{Event, Outcome};
use crate::error::Halt;
use crate::input::Ticket;
use crate::snapshot::{ChunkSink, ChunkSource, SnapshotOffer};
use crate::transport::{TransferId, TransportEvent};
use crate::types::{EntryId, NodeId};

impl Cluster {
    /// Everything that follows from what came in at `node`.
    pub(super) fn settle(&mut self, node: usize) -> Result<(), Violation> {
        let now = self.nodes[node].clock.read(self.now);
        let Some(running) = self.nodes[node].running_mut() else { return Ok(()) };
        if running.paused.is_some() {
            return Ok(());
        }
        self.tally.events += running.flush(now, &mut self.trace);
        trace::flushed(&mut self.trace, self.now, node, running);
        self.check(node)?;
        self.carry_outgoing(node)?;
        let Some(running) = self.nodes[node].running_mut() else { return Ok(()) };
        if let Some(loss) = running.struck() {
            mark!(CrashBetweenEffects);
            self.crash(node, loss);
            return Ok(());
        }
        for outcome in running.take_outcomes() {
            self.conclude(node, outcome)?;
        }
        Ok(())
    }

    fn check(&mut self, node: usize) -> Result<(), Violation> {
        let Some(running) = self.nodes[node].running() else { return Ok(()) };
        self.checker.observe_writes(self.now, node, running)?;
        if let Some(halt) = running.driver.halt() {
            let loss = running.doomed.unwrap_or_default();
            if running.disk_failed && matches!(halt, Halt::LogFailed(_)) {
                // As it should: nothing that is written now will last.
                mark!(DiskFailed);
                self.crash(node, loss);
                return Ok(());
            }
            let (at, id, halt) = (self.now, self.nodes[node].id, halt.to_string());
            return Err(Violation::Halted { at, node: id, halt });
        }
        if running.struck().is_some() {
            return self.checker.check_struck(self.now, node, &self.nodes);
        }
        self.checker.check_node(self.now, node, &self.nodes)
    }

    fn carry_outgoing(&mut self, node: usize) -> Result<(), Violation> {
        let mut outgoing = std::mem::take(&mut self.outgoing);
        if let Some(running) = self.nodes[node].running() {
            running.take_outgoing(&mut outgoing);
        }
        let mut result = Ok(());
        for one in outgoing.drain(..) {
            result = result.and_then(|()| self.carry(node, one));
        }
        self.outgoing = outgoing;
        result
    }

    fn carry(&mut self, from: usize, outgoing: Outgoing) -> Result<(), Violation> {
        match outgoing {
            Outgoing::Message { to, message } => {
                observe::sent(&message);
                self.checker.check_sent(self.now, &self.nodes, from, to, &message)?;
                let to = place_of(to);
                let digest = digest(&message);
                trace::sent(&mut self.trace, from, to, digest);
                if to < self.nodes.len() {
                    self.sent.push(Sent { from, to, digest, message });
                }
            }
            Outgoing::Snapshot { to, offer, source } => self.begin_transfer(from, to, offer, source),
            Outgoing::Refuse { transfer } => {
                mark!(SnapshotRefused);
                if let Some((from, to)) = self.transfers.link_of(transfer) {
                    self.end_transfer(from, to, false);
                }
            }
            Outgoing::Accept { transfer, sink } => self.accept(transfer, sink),
        }
        Ok(())
    }

    fn begin_transfer(
        &mut self,
        from: usize,
        to: NodeId,
        offer: SnapshotOffer,
        source: Box<dyn ChunkSource>,
    ) {
        let link = (from, place_of(to));
        if self.transfers.by_link.contains_key(&link) {
            // At most one at a time; the sender hears of it with its next event.
            let event = TransportEvent::SnapshotSent { to, info: offer.info, complete: false };
            if let Some(running) = self.nodes[from].running() {
                running.post(Event::Transport(event));
            }
            return;
        }
        let (id, sender) = (self.transfers.next_id(), self.nodes[from].incarnation);
        let state = TransferState::Offered;
        self.transfers.by_link.insert(link, Transfer { id, offer, source, state, fresh: true, sender });
        mark!(SnapshotOffered);
        self.offered.push(link);
    }

    fn accept(&mut self, transfer: TransferId, sink: Box<dyn ChunkSink>) {
        let Some(link) = self.transfers.link_of(transfer) else { return };
        if let Some(transfer) = self.transfers.by_link.get_mut(&link) {
            mark!(SnapshotAccepted);
            transfer.state = TransferState::Accepted(sink);
        }
    }

    fn conclude(&mut self, node: usize, outcome: Outcome<u64>) -> Result<(), Violation> {
        let id = self.nodes[node].id;
        if let Some(running) = self.nodes[node].running() {
            observe::answered(&outcome, running.driver.raft().role());
        }
        let was_owed =
            self.nodes[node].running_mut().is_none_or(|running| running.owed.remove(&outcome.ticket()));
        match outcome {
            Outcome::Proposal { ticket, result } if ticket >= OPERATOR => {
                self.tally.configurations += u64::from(result.is_ok());
                self.operator_is_told(node, ticket, was_owed, result.map(|done| done.id).ok())
            }
            Outcome::Proposal { ticket, result } => {
                self.tally.acknowledged += u64::from(result.is_ok());
                let answer =
                    result.as_ref().map_or_else(|error| (*error).into(), |done| Answer::Done(done.reply));
                self.answer(ticket, answer);
                self.checker.proposal_ended(self.now, id, ticket, result)
            }
            Outcome::Transfer { ticket, .. } => self.operator_is_told(node, ticket, was_owed, None),
            Outcome::Read { ticket, result } => {
                self.tally.reads += u64::from(result.is_ok());
                let answer = result.map_or_else(Answer::from, |index| Answer::Done(index.0));
                self.answer(ticket, answer);
                let applied = self.nodes[node].running().map(|running| running.driver.applied().index);
                self.checker.read_ended(self.now, id, ticket, result, applied.unwrap_or_default())
            }
        }
    }

    /// An operator is answered once, and a change that is called done is committed where that is said.
    fn operator_is_told(
        &self,
        node: usize,
        ticket: Ticket,
        was_owed: bool,
        done: Option<EntryId>,
    ) -> Result<(), Violation> {
        let Some(running) = self.nodes[node].running() else { return Ok(()) };
        let raft = running.driver.raft();
        let is_committed = |id: EntryId| {
            let is_here = raft.term_at(id.index).is_none_or(|term| term == id.term);
            is_here && id.index <= raft.commit_index()
        };
        let truth = match done {
            _ if !was_owed => "it had been answered before",
            Some(id) if !is_committed(id) => "no such entry is committed there",
            _ => return Ok(()),
        };
        let answer =
            done.map_or_else(|| "a change of members or leaders".to_owned(), |id| format!("changed at {id}"));
        let (at, node, truth) = (self.now, self.nodes[node].id, truth.to_owned());
        Err(Violation::ClientMisled { at, node, ticket, answer, truth })
    }
}
