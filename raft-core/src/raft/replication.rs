//! Feeding followers: find where the logs meet, then send without waiting for answers. `[Raft §5.3]`
//!
//! Entries come from the cache; older ones are asked for by a read effect, whose answer is believed only if its terms
//! are this log's own. A follower that needs entries behind the log's base gets a snapshot. `[Raft §7]`

use super::Raft;
use super::role::Role;
use crate::block::{Block, Blocks};
use crate::effect::Effect;
use crate::message::{AppendEntries, AppendEntriesResponse, AppendOutcome, Message};
use crate::progress::ProgressState;
use crate::storage::{ReadFailure, ReadRequest};
use crate::time::Time;
use crate::types::{EntryId, LogIndex, NodeId};

/// What a read of the log is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fetch {
    /// Committed entries to apply.
    Apply,
    /// Entries for a peer.
    Peer(NodeId),
}

/// What to do next for one peer.
enum Next {
    Nothing,
    Snapshot,
    Fetch(LogIndex),
    Send(EntryId, Blocks),
}

impl Raft {
    /// Sends every peer what its window allows.
    pub(super) fn replicate(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        let peers: smallvec::SmallVec<[NodeId; 8]> = leader.progress.ids().collect();
        for peer in peers {
            loop {
                match self.next_for(peer) {
                    Next::Nothing => break,
                    Next::Snapshot => self.needs_snapshot(peer),
                    Next::Fetch(from) => self.fetch_for(peer, from),
                    Next::Send(prev_entry, blocks) => self.send_append(peer, prev_entry, blocks),
                }
            }
        }
    }

    fn next_for(&self, peer: NodeId) -> Next {
        let Role::Leader(leader) = &self.role else { return Next::Nothing };
        let Some(progress) = leader.progress.get(peer) else { return Next::Nothing };
        let options = &self.options;
        let allowed = progress.may_send(self.now, options.max_inflight_messages, options.max_inflight_bytes);
        if !allowed || progress.fetching.is_some() {
            return Next::Nothing;
        }
        let last = self.terms.last().index;
        let nothing_new = progress.next_index > last;
        if nothing_new && matches!(progress.state, ProgressState::Replicate(_)) {
            return Next::Nothing;
        }
        let prev = progress.next_index.prev();
        let Some(term) = self.terms.term_at(prev) else { return Next::Snapshot };
        let prev_entry = EntryId::new(term, prev);
        if nothing_new {
            return Next::Send(prev_entry, Blocks::new());
        }
        match self.cache.get(progress.next_index, last, options.max_message_bytes) {
            Some(blocks) => Next::Send(prev_entry, blocks),
            None if progress.next_index <= self.vouched_for() => Next::Fetch(progress.next_index),
            None => Next::Nothing,
        }
    }

    fn send_append(&mut self, to: NodeId, prev_entry: EntryId, blocks: Blocks) {
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.progress.get_mut(to) else { return };
        let message = AppendEntries {
            term: self.hard_state.current_term,
            prev_entry,
            leader_commit: self.commit_index,
            read_seq: leader.reads.round(),
            sent_at: self.now,
            blocks,
        };
        match &mut progress.state {
            ProgressState::Probe { retry_at } if mutant!(ProbeNeverRepeated) => *retry_at = Some(Time::MAX),
            ProgressState::Probe { retry_at } => *retry_at = Some(self.now + self.options.election_timeout),
            ProgressState::Replicate(inflights) => {
                let bytes = message.blocks.iter().map(Block::encoded_bytes).sum();
                inflights.add(message.last_index(), bytes, self.now);
                progress.next_index = message.last_index().next();
            }
            ProgressState::Snapshot { .. } => return,
        }
        self.effects.push(Effect::Send { to, message: Message::AppendEntries(message) });
    }

    pub(super) fn on_append_entries_response(&mut self, from: NodeId, response: AppendEntriesResponse) {
        if response.term > self.hard_state.current_term {
            return self.become_follower(response.term, None);
        }
        if response.term < self.hard_state.current_term && !mutant!(StaleAnswerCounts) {
            return;
        }
        self.heard_from(from, response.read_seq, response.sent_at);
        match response.outcome {
            AppendOutcome::Matched { match_index } => self.on_matched(from, match_index),
            AppendOutcome::Conflict { prev_index, hint } => self.on_conflict(from, prev_index, hint),
        }
        self.on_hole(from, response.hole);
    }

    /// The peer has lost an entry, which it may have acknowledged: it gets it again. Its match index stays: what others
    /// were told about it is still what they go by.
    fn on_hole(&mut self, from: NodeId, hole: Option<LogIndex>) {
        let last = self.terms.last().index;
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.progress.get_mut(from) else { return };
        progress.has_hole = hole.is_some();
        let Some(hole) = hole else { return };
        let is_fed = !matches!(progress.state, ProgressState::Snapshot { .. });
        if is_fed && hole <= progress.match_index && hole <= last {
            progress.probe();
            progress.next_index = hole;
        }
    }

    /// `[Raft Figure 2, Leaders]`: "If successful: update nextIndex and matchIndex for follower".
    fn on_matched(&mut self, from: NodeId, match_index: LogIndex) {
        let last = self.terms.last().index;
        let Role::Leader(leader) = &mut self.role else { return };
        // Nobody can match what this leader does not have.
        if let Some(progress) = leader.progress.get_mut(from).filter(|_| match_index <= last) {
            // Nothing is on its way, and it claims less than it has acknowledged: it has forgotten how far the logs match.
            let forgot = match_index < progress.match_index && progress.is_idle();
            progress.matched(match_index);
            if forgot {
                progress.probe();
            }
        }
    }

    /// `[Raft Figure 2, Leaders]`: "If AppendEntries fails because of log inconsistency: decrement nextIndex and retry";
    /// here by a whole term at a time.
    fn on_conflict(&mut self, from: NodeId, prev_index: LogIndex, hint: EntryId) {
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.progress.get_mut(from) else { return };
        let stale = match &progress.state {
            ProgressState::Probe { .. } => prev_index != progress.next_index.prev(),
            ProgressState::Replicate(_) => false,
            ProgressState::Snapshot { .. } => true,
        };
        if stale {
            return;
        }
        // What it has acknowledged no honest follower denies. One that has lost it gets no further question at once: the
        // answer would be the same. Nor is the match index lowered: others may have been told that it counts.
        if prev_index <= progress.match_index {
            progress.lost_acknowledged |= matches!(progress.state, ProgressState::Probe { .. });
            return;
        }
        if mutant!(HintRaisesMatch) {
            progress.match_index = progress.match_index.max(hint.index);
        }
        let hint = EntryId { index: hint.index.min(prev_index.prev()), ..hint };
        let meets = self.terms.last_not_after(hint);
        progress.probe();
        // The base may lie behind what the follower could match, or be what it refused: then it needs a snapshot.
        let behind_base = hint.index < self.terms.base().index;
        let next = if behind_base { self.terms.base().index } else { meets.index.next() };
        progress.next_index = next.max(progress.match_index.next());
    }

    /// Messages to the peer may be lost: find out again where it stands, a little later.
    pub(super) fn on_unreachable(&mut self, peer: NodeId) {
        let retry_at = self.now + self.options.heartbeat_interval;
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.progress.get_mut(peer) else { return };
        if !matches!(progress.state, ProgressState::Snapshot { .. }) {
            progress.probe();
            progress.state = ProgressState::Probe { retry_at: Some(retry_at) };
        }
    }

    fn needs_snapshot(&mut self, to: NodeId) {
        let term = self.hard_state.current_term;
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.progress.get_mut(to) else { return };
        progress.state = ProgressState::Snapshot { retry_at: Time::MAX };
        self.effects.push(Effect::SendSnapshot { to, term });
    }

    pub(super) fn on_snapshot_sent(&mut self, to: NodeId, complete: bool) {
        let now = self.now;
        let election_timeout = self.options.election_timeout;
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.progress.get_mut(to) else { return };
        let ProgressState::Snapshot { retry_at } = &mut progress.state else { return };
        if mutant!(SnapshotNeverRepeated) && !complete {
            return;
        }
        if complete {
            // Its acknowledgement ends the wait. If that is lost, or comes late because installing takes long, a second
            // offer costs little: who is still installing turns it down, who is done acknowledges.
            *retry_at = now + election_timeout * 2;
        } else {
            progress.probe();
            progress.state = ProgressState::Probe { retry_at: Some(now + election_timeout) };
        }
    }

    fn fetch_for(&mut self, peer: NodeId, from: LogIndex) {
        let id = self.fetch(Fetch::Peer(peer), from, self.terms.last().index);
        let Role::Leader(leader) = &mut self.role else { return };
        if let Some(progress) = leader.progress.get_mut(peer) {
            progress.fetching = Some(id);
        }
    }

    pub(super) fn fetch(&mut self, what: Fetch, from: LogIndex, through: LogIndex) -> u64 {
        let id = self.next_fetch;
        self.next_fetch += 1;
        self.fetches.insert(id, what);
        let through = through.min(self.vouched_for());
        let max_bytes = self.options.max_message_bytes;
        self.effects.push(Effect::Read(ReadRequest { id, from, through, max_bytes }));
        id
    }

    pub(super) fn forget_peer_fetches(&mut self) {
        self.fetches.retain(|_, fetch| *fetch == Fetch::Apply);
    }

    pub(super) fn on_log_read(&mut self, id: u64, answer: Result<Vec<Block>, ReadFailure>) {
        match self.fetches.remove(&id) {
            Some(Fetch::Apply) => self.on_apply_read(answer),
            Some(Fetch::Peer(peer)) => self.on_peer_read(id, peer, answer),
            None => {}
        }
    }

    fn on_peer_read(&mut self, id: u64, peer: NodeId, answer: Result<Vec<Block>, ReadFailure>) {
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.progress.get_mut(peer) else { return };
        if progress.fetching != Some(id) {
            return;
        }
        progress.fetching = None;
        let from = progress.next_index;
        match answer {
            Ok(blocks) => {
                let prev = self.terms.term_at(from.prev()).map(|term| EntryId::new(term, from.prev()));
                if let Some(prev_entry) = prev.filter(|_| self.are_own(&blocks, from)) {
                    self.send_append(peer, prev_entry, blocks.into());
                }
            }
            Err(ReadFailure::Compacted { .. }) => self.needs_snapshot(peer),
            Err(reason @ ReadFailure::Damaged { .. }) => self.on_unreadable(from, reason),
        }
    }

    /// Whether `blocks` are contiguous entries of this very log from `from` on. A read can race with a truncation.
    pub(super) fn are_own(&self, blocks: &[Block], from: LogIndex) -> bool {
        if mutant!(ReadBackUnchecked) {
            return !blocks.is_empty();
        }
        let mut next = from;
        for block in blocks {
            if block.first_index() != next || !self.terms.matches(block) {
                return false;
            }
            next = block.last_index().next();
        }
        next > from
    }
}
