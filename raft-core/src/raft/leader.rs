//! What only a leader does: admit proposals, commit by counting, keep its quorum.
//!
//! Invariant (commit-own-term): the commit index never moves to an entry of an earlier term by counting alone: stored on
//! a majority, it can still be overwritten by a later leader. `[Raft §5.4.2, Figure 8]`
//! Invariant (leader-append-only): a leader never removes or changes an entry of its log. `[Raft Figure 3]`

use super::Raft;
use super::role::{Leader, Role, Transfer};
use crate::block::{BlockBuilder, EntryKind};
use crate::effect::Effect;
use crate::error::ProposeError;
use crate::message::{Heartbeat, HeartbeatResponse, Message};
use crate::progress::{Peers, ProgressState};
use crate::reads::Reads;
use crate::time::Time;
use crate::types::{EntryId, LogIndex, NodeId};
use crate::uncommitted::Uncommitted;

impl Raft {
    /// `[Raft §5.2]`. The term opens with a no-op: entries of earlier terms commit only along with one of this term
    /// (`[Raft §5.4.2]`), and reads wait for such a commit (`[Raft §8]`).
    pub(super) fn become_leader(&mut self) {
        let term_start = self.terms.last().index.next();
        let mut uncommitted = Uncommitted::default();
        for (last, bytes) in self.cache.sizes_after(self.commit_index) {
            uncommitted.push(last, bytes);
        }
        let lease_is_off = matches!(&self.role, Role::Candidate(candidate) if candidate.forced);
        self.role = Role::Leader(Box::new(Leader {
            term_start,
            progress: Peers::default(),
            reads: Reads::default(),
            uncommitted,
            heartbeat_at: self.now + self.options.heartbeat_interval,
            transfer: None,
            lease_is_off,
        }));
        self.follow_configuration();
        self.append_own(EntryKind::NoOp, &[]);
    }

    /// `[Raft §5.3]`: "The leader appends the command to its log as a new entry". Peers and disk get it together.
    pub(super) fn propose(&mut self, entries: BlockBuilder) -> Result<EntryId, ProposeError> {
        if entries.is_empty() {
            return Err(ProposeError::Empty);
        }
        if !entries.holds_only_commands() {
            return Err(ProposeError::NotCommands);
        }
        let Role::Leader(leader) = &self.role else {
            return Err(ProposeError::NotLeader { leader: self.leader_id() });
        };
        if let Some(Transfer { to, .. }) = leader.transfer {
            return Err(ProposeError::HandingOver { to });
        }
        let uncommitted = leader.uncommitted.bytes();
        let limit = self.options.max_uncommitted_bytes;
        if uncommitted > 0 && uncommitted + entries.encoded_bytes() > limit {
            return Err(ProposeError::Busy { uncommitted, limit });
        }
        Ok(self.append_entries(entries))
    }

    /// One entry of the leader's own.
    pub(super) fn append_own(&mut self, kind: EntryKind, payload: &[u8]) -> EntryId {
        let mut entry = BlockBuilder::new();
        entry.push(kind, &[payload]);
        self.append_entries(entry)
    }

    /// The identity of the first one.
    fn append_entries(&mut self, entries: BlockBuilder) -> EntryId {
        let first = EntryId::new(self.hard_state.current_term, self.terms.last().index.next());
        let Some(block) = entries.finish(first.index, first.term) else { return first };
        if let Role::Leader(leader) = &mut self.role {
            leader.uncommitted.push(block.last_index(), block.encoded_bytes());
        }
        self.append_to_log(block);
        first
    }

    /// The end of a batch: what goes out to the peers.
    pub(super) fn settle_leader(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        if leader.reads.begin_round() {
            self.send_heartbeats();
        }
        self.replicate();
        self.confirm_reads();
        self.hand_over();
    }

    /// `[Raft Figure 2, Leaders]`: "If there exists an N such that N > commitIndex, a majority of matchIndex\[i\] ≥ N, and
    /// log\[N\].term == currentTerm: set commitIndex = N". The leader counts itself only as far as its disk is, and can be
    /// read.
    pub(super) fn advance_commit(&mut self) {
        let durable_last = match mutant!(CommitOwnBeforeDurable) {
            true => self.terms.last().index,
            false if mutant!(OwnHoleCounts) => self.writes.durable_last(),
            false => self.vouched_for(),
        };
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(configuration) = self.configurations.latest() else { return };
        let match_of = |voter: NodeId| match leader.progress.get(voter) {
            Some(progress) => progress.match_index,
            None if voter == self.id => durable_last,
            None => LogIndex::ZERO,
        };
        let reached = configuration.quorum().reached(match_of);
        if reached > self.commit_index && (reached >= leader.term_start || mutant!(CommitEarlierTerm)) {
            let before = std::mem::replace(&mut self.commit_index, reached);
            if !mutant!(AdmissionNeverFreed) {
                leader.uncommitted.committed(reached);
            }
            leader.reads.unpark(reached);
            if (before.next()..=reached).contains(&self.configurations.latest_index()) {
                self.configuration_is_committed();
            }
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
        for (_, progress) in leader.progress.iter_mut() {
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
        if self.has_lost_its_quorum() && !mutant!(QuorumNeverMissed) {
            // CheckQuorum: a leader that cannot hear a quorum could not commit, nor hear of its successor.
            // `[Ongaro §6.2]`
            return self.become_follower(self.hard_state.current_term, None);
        }
        self.send_heartbeats();
        self.tick_transfer();
    }

    fn has_lost_its_quorum(&self) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        let Some(configuration) = self.configurations.latest() else { return false };
        let heard_at = |voter: NodeId| match leader.progress.get(voter) {
            Some(progress) => progress.heard_at,
            None if voter == self.id => self.now,
            None => Time::ZERO,
        };
        self.now >= configuration.quorum().reached(heard_at) + self.options.election_timeout
    }

    pub(super) fn send_heartbeats(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        let heartbeat = Message::Heartbeat(Heartbeat {
            term: self.hard_state.current_term,
            leader_commit: self.commit_index,
            read_seq: leader.reads.round(),
            sent_at: self.now,
        });
        for to in leader.progress.ids() {
            self.effects.push(Effect::Send { to, message: heartbeat.clone() });
        }
    }

    pub(super) fn on_heartbeat_response(&mut self, from: NodeId, response: HeartbeatResponse) {
        if response.term > self.hard_state.current_term {
            return self.become_follower(response.term, None);
        }
        if response.term == self.hard_state.current_term || mutant!(EchoOfEarlierTerm) {
            self.heard_from(from, response.read_seq, response.sent_at);
        }
    }

    /// An answer of the current term: the peer follows, and has seen this read round.
    pub(super) fn heard_from(&mut self, from: NodeId, read_seq: u64, sent_at: Time) {
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.progress.get_mut(from) else { return };
        progress.heard_at = self.now;
        // Nobody can have seen a round that has not begun, nor anything that was sent later than now.
        if read_seq <= leader.reads.round() || mutant!(EchoOfEarlierTerm) {
            progress.read_seq = progress.read_seq.max(read_seq);
        }
        if sent_at <= self.now {
            let sent_at = if mutant!(LeaseFromReceipt) { self.now } else { sent_at };
            progress.answered_at = progress.answered_at.max(sent_at);
        }
    }
}
