//! What only a leader does: admit proposals, commit by counting, confirm reads, keep its quorum.
//!
//! Invariant (commit-own-term): the commit index never moves to an entry of an earlier term by counting alone: stored on
//! a majority, it can still be overwritten by a later leader. `[Raft §5.4.2, Figure 8]`
//! Invariant (leader-append-only): a leader never removes or changes an entry of its log. `[Raft Figure 3]`

use std::collections::BTreeMap;

use super::Raft;
use super::role::{Leader, Role};
use crate::block::{BlockBuilder, EntryKind};
use crate::effect::Effect;
use crate::error::{ProposeError, ReadError};
use crate::input::Ticket;
use crate::message::{Heartbeat, HeartbeatResponse, Message};
use crate::progress::{Progress, ProgressState};
use crate::reads::Reads;
use crate::types::{EntryId, LogIndex, NodeId};
use crate::uncommitted::Uncommitted;

/// Reads that may wait for a quorum at a time.
const MAX_WAITING_READS: usize = 1 << 16;

impl Raft {
    /// `[Raft §5.2]`. The term opens with a no-op: entries of earlier terms commit only along with one of this term
    /// (`[Raft §5.4.2]`), and reads wait for such a commit (`[Raft §8]`).
    pub(super) fn become_leader(&mut self) {
        let term_start = self.terms.last().index.next();
        let members = self.configuration().map_or(&[][..], |configuration| configuration.members());
        let peers = members.iter().map(|member| member.id).filter(|id| *id != self.id);
        let progress: BTreeMap<_, _> = peers.map(|id| (id, Progress::new(term_start, self.now))).collect();
        let mut uncommitted = Uncommitted::default();
        for (last, bytes) in self.cache.sizes_after(self.commit_index) {
            uncommitted.push(last, bytes);
        }
        let heartbeat_at = self.now + self.options.heartbeat_interval;
        let reads = Reads::default();
        self.role = Role::Leader(Box::new(Leader { term_start, progress, reads, uncommitted, heartbeat_at }));
        let mut no_op = BlockBuilder::new();
        no_op.push(EntryKind::NoOp, &[]);
        self.append_own(no_op);
    }

    /// `[Raft §5.3]`: "The leader appends the command to its log as a new entry". Peers and disk get it together.
    pub(super) fn propose(&mut self, entries: BlockBuilder) -> Result<EntryId, ProposeError> {
        let Role::Leader(leader) = &self.role else {
            return Err(ProposeError::NotLeader { leader: self.leader_id() });
        };
        let uncommitted = leader.uncommitted.bytes();
        let limit = self.options.max_uncommitted_bytes;
        if uncommitted > 0 && uncommitted + entries.encoded_bytes() > limit {
            return Err(ProposeError::Busy { uncommitted, limit });
        }
        let first = EntryId::new(self.hard_state.current_term, self.terms.last().index.next());
        self.append_own(entries);
        Ok(first)
    }

    fn append_own(&mut self, entries: BlockBuilder) {
        let Role::Leader(leader) = &mut self.role else { return };
        let first = self.terms.last().index.next();
        let Some(block) = entries.finish(first, self.hard_state.current_term) else { return };
        leader.uncommitted.push(block.last_index(), block.encoded_bytes());
        self.append_to_log(&block);
    }

    /// The end of a batch: commit what a quorum has, start a read round, send what there is to send.
    pub(super) fn settle_leader(&mut self) {
        self.advance_commit();
        let Role::Leader(leader) = &mut self.role else { return };
        if leader.reads.begin_round() {
            self.send_heartbeats();
        }
        self.replicate();
        self.confirm_reads();
    }

    /// `[Raft Figure 2, Leaders]`: "If there exists an N such that N > commitIndex, a majority of matchIndex\[i\] ≥ N, and
    /// log\[N\].term == currentTerm: set commitIndex = N". The leader counts itself only as far as its disk is.
    fn advance_commit(&mut self) {
        let durable_last = self.writes.durable_last();
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(configuration) = self.configurations.latest() else { return };
        let match_of = |voter: NodeId| match leader.progress.get(&voter) {
            Some(progress) => progress.match_index,
            None if voter == self.id => durable_last,
            None => LogIndex::ZERO,
        };
        let reached = configuration.quorum().reached(match_of);
        if reached > self.commit_index && reached >= leader.term_start {
            self.commit_index = reached;
            leader.uncommitted.committed(reached);
            leader.reads.unpark(reached);
        }
    }

    /// Up to where this node must have applied to serve a read that arrives now. `[Ongaro §6.4]`
    pub(super) fn read(&mut self, ticket: Ticket) {
        let commit_index = self.commit_index;
        let Role::Leader(leader) = &mut self.role else {
            return self.refuse_read(ticket, ReadError::NotLeader { leader: self.leader_id() });
        };
        let waiting = leader.reads.len();
        if waiting >= MAX_WAITING_READS {
            return self.refuse_read(ticket, ReadError::Busy { waiting });
        }
        let own_term_committed = commit_index >= leader.term_start;
        leader.reads.push(ticket, own_term_committed.then_some(commit_index));
    }

    fn confirm_reads(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(configuration) = self.configurations.latest() else { return };
        let own_round = leader.reads.round();
        let round_of = |voter: NodeId| match leader.progress.get(&voter) {
            Some(progress) => progress.read_seq,
            None if voter == self.id => own_round,
            None => 0,
        };
        let round = configuration.quorum().reached(round_of);
        for (ticket, index) in leader.reads.confirm(round) {
            self.effects.push(Effect::ReadReady { ticket, outcome: Ok(index) });
        }
    }

    pub(super) fn tick_leader(&mut self) {
        let now = self.now;
        let election_timeout = self.options.election_timeout;
        let Role::Leader(leader) = &mut self.role else { return };
        if now < leader.heartbeat_at {
            return;
        }
        leader.heartbeat_at = now + self.options.heartbeat_interval;
        for progress in leader.progress.values_mut() {
            let stalled = match &progress.state {
                ProgressState::Replicate(inflights) => {
                    inflights.oldest_sent_at().is_some_and(|at| now >= at + election_timeout)
                }
                ProgressState::Snapshot { retry_at } => now >= *retry_at,
                ProgressState::Probe { .. } => false,
            };
            if stalled {
                progress.probe();
            }
        }
        if self.has_lost_its_quorum() {
            // CheckQuorum: a leader that cannot hear a quorum could not commit, nor hear of its successor.
            // `[Ongaro §6.2]`
            return self.become_follower(self.hard_state.current_term, None);
        }
        self.send_heartbeats();
    }

    fn has_lost_its_quorum(&self) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        let Some(configuration) = self.configurations.latest() else { return false };
        let heard_at = |voter: NodeId| match leader.progress.get(&voter) {
            Some(progress) => progress.heard_at,
            None if voter == self.id => self.now,
            None => crate::time::Time::ZERO,
        };
        self.now >= configuration.quorum().reached(heard_at) + self.options.election_timeout
    }

    fn send_heartbeats(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        let heartbeat = Message::Heartbeat(Heartbeat {
            term: self.hard_state.current_term,
            leader_commit: self.commit_index,
            read_seq: leader.reads.round(),
            sent_at: self.now,
        });
        for &to in leader.progress.keys() {
            self.effects.push(Effect::Send { to, message: heartbeat.clone() });
        }
    }

    pub(super) fn on_heartbeat_response(&mut self, from: NodeId, response: HeartbeatResponse) {
        if response.term > self.hard_state.current_term {
            return self.become_follower(response.term, None);
        }
        if response.term == self.hard_state.current_term {
            self.heard_from(from, response.read_seq);
        }
    }

    /// An answer of the current term: the peer follows, and has seen this read round.
    pub(super) fn heard_from(&mut self, from: NodeId, read_seq: u64) {
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.progress.get_mut(&from) else { return };
        progress.heard_at = self.now;
        // Nobody can have seen a round that has not begun.
        if read_seq <= leader.reads.round() {
            progress.read_seq = progress.read_seq.max(read_seq);
        }
    }
}
