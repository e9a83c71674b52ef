//! Linearizable reads: up to where a node must have applied to serve them. `[Ongaro §6.4]`
//!
//! A leader proves that it still leads, by asking a quorum or by its lease; a follower asks its leader.
//!
//! Invariant (lease): a lease reaches from the moment a message was *sent* that a quorum has answered, for less than the
//! election timeout during which each of them refuses its vote to others ([`hears_from_leader`](Raft::on_request_vote)).
//! It is off for the rest of the term once anybody was asked to campaign without that wait. `[Ongaro §6.4.1]`

use super::Raft;
use super::role::{Follower, Role};
use crate::effect::Effect;
use crate::error::ReadError;
use crate::input::Ticket;
use crate::message::{Message, ReadIndex, ReadIndexResponse, ReadProof};
use crate::reads::Reader;
use crate::time::Time;
use crate::types::{LogIndex, NodeId};

/// Reads that may wait for a quorum, or for the leader's answer, at a time.
const MAX_WAITING_READS: usize = 1 << 16;

impl Raft {
    pub(super) fn read(&mut self, ticket: Ticket, proof: ReadProof) {
        match &mut self.role {
            Role::Leader(_) => self.take_read(Reader::Local(ticket), proof),
            Role::Follower(Follower { leader: Some(_), forwarded, .. }) => {
                let waiting = forwarded.len();
                if waiting >= MAX_WAITING_READS {
                    return self.answer_read(Reader::Local(ticket), Err(ReadError::Busy { waiting }));
                }
                forwarded.gather(ticket, proof);
            }
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {
                self.answer_read(Reader::Local(ticket), Err(ReadError::NotLeader { leader: None }));
            }
        }
    }

    fn take_read(&mut self, reader: Reader, proof: ReadProof) {
        let holds_lease = proof == ReadProof::Lease && self.holds_lease();
        let Role::Leader(leader) = &mut self.role else { return };
        let waiting = leader.reads.len();
        let own_term_committed = self.commit_index >= leader.term_start || mutant!(ReadBeforeOwnCommit);
        if own_term_committed && holds_lease {
            self.answer_read(reader, Ok(self.commit_index));
        } else if waiting >= MAX_WAITING_READS {
            self.answer_read(reader, Err(ReadError::Busy { waiting }));
        } else {
            leader.reads.push(reader, own_term_committed.then_some(self.commit_index));
        }
    }

    fn holds_lease(&self) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        let (Some(lease), Some(configuration)) = (self.options.lease, self.configurations.latest()) else {
            return false;
        };
        let answered_at = |voter: NodeId| match leader.progress.get(voter) {
            Some(progress) => progress.answered_at,
            None if voter == self.id => self.now,
            None => Time::ZERO,
        };
        let since = configuration.quorum().reached(answered_at);
        !leader.lease_is_off && self.now < since + lease.lasts(self.options.election_timeout)
    }

    /// Answers the reads that a quorum has confirmed.
    pub(super) fn confirm_reads(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        if !leader.reads.is_waiting() {
            return;
        }
        let Some(configuration) = self.configurations.latest() else { return };
        let own_round = leader.reads.round();
        let round_of = |voter: NodeId| match leader.progress.get(voter) {
            Some(progress) => progress.read_seq,
            None if voter == self.id => own_round,
            None => 0,
        };
        let round = match mutant!(ReadWithoutQuorum) {
            true => own_round,
            false => configuration.quorum().reached(round_of),
        };
        let confirmed: smallvec::SmallVec<[_; 8]> = leader.reads.confirm(round).collect();
        for (reader, index) in confirmed {
            self.answer_read(reader, Ok(index));
        }
    }

    pub(super) fn answer_read(&mut self, reader: Reader, outcome: Result<LogIndex, ReadError>) {
        match reader {
            Reader::Local(ticket) => self.effects.push(Effect::ReadReady { ticket, outcome }),
            Reader::Follower { id, request } => {
                let term = self.hard_state.current_term;
                let response = ReadIndexResponse { term, request, index: outcome.ok() };
                self.send(id, Message::ReadIndexResponse(response));
            }
        }
    }

    pub(super) fn on_read_index(&mut self, from: NodeId, request: ReadIndex) {
        let ReadIndex { term, request, proof } = request;
        if term > self.hard_state.current_term {
            self.become_follower(term, None);
        }
        let reader = Reader::Follower { id: from, request };
        if term == self.hard_state.current_term && matches!(self.role, Role::Leader(_)) {
            self.take_read(reader, proof);
        } else {
            self.answer_read(reader, Err(ReadError::NotLeader { leader: None }));
        }
    }

    pub(super) fn on_read_index_response(&mut self, from: NodeId, response: ReadIndexResponse) {
        let ReadIndexResponse { term, request, index } = response;
        if term > self.hard_state.current_term {
            return self.become_follower(term, None);
        }
        let Role::Follower(follower) = &mut self.role else { return };
        if term < self.hard_state.current_term || follower.leader != Some(from) {
            return;
        }
        let outcome = index.ok_or(ReadError::Unconfirmed { leader: from });
        for ticket in follower.forwarded.answered(request) {
            self.effects.push(Effect::ReadReady { ticket, outcome });
        }
        // What may be read is committed; the next heartbeat would say no more.
        self.commit_as_told(index.unwrap_or_default());
    }

    /// The end of a batch on a follower: its new reads go to the leader together.
    pub(super) fn forward_reads(&mut self) {
        let Role::Follower(Follower { leader: Some(leader), forwarded, .. }) = &mut self.role else { return };
        let (to, request) = (*leader, self.next_request);
        let Some(proof) = forwarded.send(request, self.now) else { return };
        self.next_request = self.next_request.wrapping_add(1);
        let term = self.hard_state.current_term;
        self.send(to, Message::ReadIndex(ReadIndex { term, request, proof }));
    }

    /// Refuses the reads that the leader has not answered within an election timeout.
    pub(super) fn expire_forwarded_reads(&mut self) {
        let Role::Follower(Follower { leader: Some(leader), forwarded, .. }) = &mut self.role else { return };
        let outcome = Err(ReadError::Unconfirmed { leader: *leader });
        for ticket in forwarded.expire(self.now, self.options.election_timeout) {
            self.effects.push(Effect::ReadReady { ticket, outcome });
        }
    }
}
