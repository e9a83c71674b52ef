//! A follower's answers to its leader. `[Raft Figure 2, AppendEntries RPC, receiver implementation]`
//!
//! Invariant (commit-what-matches): a follower commits no further than the last entry known to be in *this* term's
//! leader's log, whatever commit index it is told: behind it, its log may still differ.
//! Invariant (truncate-on-conflict): entries are removed only where a received entry has the same index and another term;
//! an old message that holds a prefix of the log removes nothing.

use super::Raft;
use super::role::{Echo, Role};
use crate::block::Block;
use crate::error::Halt;
use crate::message::{
    AppendEntries, AppendEntriesResponse, AppendOutcome, Heartbeat, HeartbeatResponse, Message,
};
use crate::time::Time;
use crate::types::{EntryId, LogIndex, NodeId, Term};

impl Raft {
    pub(super) fn on_append_entries(&mut self, from: NodeId, request: AppendEntries) {
        let echo = Echo { read_seq: request.read_seq, sent_at: request.sent_at };
        let prev = request.prev_entry;
        if request.term < self.hard_state.current_term {
            // Receiver 1: reply false if term < currentTerm; the deposed leader learns of the later term. A heartbeat's
            // answer, which says nothing about the log: should the sender lead the current term by now, what it sent in an
            // earlier one is no measure of where it stands.
            return self.answer_heartbeat(from, if mutant!(EchoOfEarlierTerm) { echo } else { Echo::NONE });
        }
        if !request.is_well_formed() || !self.follow(from, request.term) {
            return;
        }
        // What lies before the base is committed, hence in every later leader's log.
        let meets = prev.index < self.terms.base().index
            || self.terms.contains(prev)
            || (mutant!(PreviousTermUnchecked) && prev.index <= self.terms.last().index);
        if !meets {
            // Receiver 2: reply false if the log has no entry at prevLogIndex whose term matches prevLogTerm.
            if prev.index <= self.commit_index {
                return self.contradicted(from, prev);
            }
            return self.report_conflict(from, prev.index, self.terms.last_not_after(prev), echo);
        }
        let last_sent = request.last_index();
        for block in request.blocks {
            if let Err(halt) = self.accept_block(from, block) {
                return self.halt(halt);
            }
        }
        if let Role::Follower(follower) = &mut self.role {
            follower.matched = follower.matched.max(last_sent);
            follower.unanswered = Some(echo);
        }
        if mutant!(CommitAsToldByAppend) {
            self.commit_index = self.commit_index.max(request.leader_commit.min(self.terms.last().index));
        }
        self.commit_as_told(request.leader_commit);
    }

    /// Receiver 3 and 4: delete a conflicting entry and all that follow it; append what is not in the log yet.
    fn accept_block(&mut self, from: NodeId, block: Block) -> Result<(), Halt> {
        let mut new_from = self.terms.first_mismatch(&block);
        if mutant!(TruncateAlways) && block.first_index() > self.commit_index {
            new_from = Some(block.first_index());
        }
        let known_through = new_from.map_or(block.last_index(), LogIndex::prev);
        if block.first_index() <= known_through {
            self.mend(&block.slice(block.first_index(), known_through))?;
        }
        let Some(new_from) = new_from else { return Ok(()) };
        if new_from <= self.terms.last().index {
            if new_from <= self.commit_index {
                let committed = self.terms.term_at(new_from).unwrap_or_default();
                return Err(Halt::CommittedEntryContradicted {
                    leader: from,
                    term: self.hard_state.current_term,
                    committed: EntryId::new(committed, new_from),
                    found: block.runs()[0].term,
                });
            }
            if mutant!(ConflictKept) {
                return Ok(());
            }
            self.terms.truncate(new_from);
            if !mutant!(CachedAfterTruncation) {
                self.cache.truncate(new_from);
            }
            self.writes.truncate(new_from);
            if !mutant!(ConfigurationNotRolledBack) {
                self.configurations.truncate(new_from);
            }
            self.damage.truncate(new_from);
        }
        let new = block.into_tail(new_from);
        self.adopt_configurations(&new)?;
        self.append_to_log(new);
        Ok(())
    }

    /// Entries that are in the log by index and term, but whose bytes are damaged, are replaced.
    fn mend(&mut self, known: &Block) -> Result<(), Halt> {
        for fill in self.damage.fill(known, self.writes.open_id()) {
            self.adopt_configurations(&fill)?;
            self.writes.fill(fill);
        }
        Ok(())
    }

    /// That there is a hole, or is none any more, is news to the leader even if nothing else is.
    pub(super) fn report_hole(&mut self) {
        if let Role::Follower(follower) = &mut self.role {
            follower.unanswered.get_or_insert(Echo::NONE);
        }
    }

    /// `leader` has another entry than the one that is committed here.
    pub(super) fn contradicted(&mut self, leader: NodeId, found: EntryId) {
        let committed = EntryId::new(self.terms.term_at(found.index).unwrap_or_default(), found.index);
        let term = self.hard_state.current_term;
        self.halt(Halt::CommittedEntryContradicted { leader, term, committed, found: found.term });
    }

    pub(super) fn on_heartbeat(&mut self, from: NodeId, heartbeat: Heartbeat) {
        let Heartbeat { term, leader_commit, read_seq, sent_at } = heartbeat;
        if term < self.hard_state.current_term {
            let echo = if mutant!(EchoOfEarlierTerm) { Echo { read_seq, sent_at } } else { Echo::NONE };
            return self.answer_heartbeat(from, echo);
        }
        if self.follow(from, term) {
            if mutant!(CommitAsToldByHeartbeat) {
                self.commit_index = self.commit_index.max(leader_commit.min(self.terms.last().index));
            }
            self.commit_as_told(leader_commit);
            self.tell_if_behind(leader_commit);
            self.answer_heartbeat(from, Echo { read_seq, sent_at });
        }
    }

    /// Since it started again in this term this node cannot know how far the logs match: its leader has to show it. And
    /// what it said of a hole may be lost.
    fn tell_if_behind(&mut self, leader_commit: LogIndex) {
        let has_hole = self.damage.first_hole(self.terms.last()).is_some();
        if let Role::Follower(follower) = &mut self.role
            && (follower.matched < leader_commit || has_hole)
        {
            follower.unanswered.get_or_insert(Echo::NONE);
        }
    }

    /// Invariant (echo-in-term): an answer echoes only what the leader of its own term sent. Read rounds count from 0 in
    /// each term: the echo of an old one would confirm reads of a later term that nobody has heard of.
    fn answer_heartbeat(&mut self, to: NodeId, echo: Echo) {
        let Echo { read_seq, sent_at } = self.promise(echo);
        let term = self.hard_state.current_term;
        self.send(to, Message::HeartbeatResponse(HeartbeatResponse { term, read_seq, sent_at }));
    }

    /// A leader of `term`, which is not past, was heard from: follows it. False if that cannot be, because this node or
    /// another leads that term.
    pub(super) fn follow(&mut self, from: NodeId, term: Term) -> bool {
        if term == self.hard_state.current_term && self.leader_id().is_some_and(|leader| leader != from) {
            return false;
        }
        self.become_follower(term, Some(from));
        self.leader_contact = Some(self.now);
        self.reset_election_deadline();
        true
    }

    /// Receiver 5: "set commitIndex = min(leaderCommit, index of last new entry)".
    pub(super) fn commit_as_told(&mut self, leader_commit: LogIndex) {
        let Role::Follower(follower) = &self.role else { return };
        self.commit_index = self.commit_index.max(leader_commit.min(follower.matched));
    }

    fn report_conflict(&mut self, to: NodeId, prev_index: LogIndex, hint: EntryId, echo: Echo) {
        self.respond(to, AppendOutcome::Conflict { prev_index, hint }, echo);
    }

    /// Tells the leader how far the logs match, as far as a crash could not undo it.
    ///
    /// Invariant (ack-durable): an acknowledgement of match m leaves only when the term and the log through m are
    /// durable. One leaves per completed sync, for the newest request.
    pub(super) fn acknowledge(&mut self) {
        let (durable, durable_last) = self.durable();
        let vouched_for = if mutant!(AckBeforeDurable) { LogIndex(u64::MAX) } else { self.vouched_for() };
        let Role::Follower(follower) = &mut self.role else { return };
        let (Some(leader), Some(echo)) = (follower.leader, follower.unanswered) else { return };
        if durable.current_term != self.hard_state.current_term && !mutant!(AckBeforeTermDurable) {
            return;
        }
        let match_index = follower.matched.min(vouched_for);
        // While an entry is being mended there is nothing new to say of it, and to ask for it again would not help.
        let complete = durable_last >= follower.matched && !self.damage.is_filling();
        if complete || match_index > follower.acknowledged {
            follower.acknowledged = match_index;
            if complete {
                follower.unanswered = None;
            }
            self.respond(leader, AppendOutcome::Matched { match_index }, echo);
        }
    }

    /// Invariant (promise-kept): when a leader's message left is echoed only by who would keep its promise over a crash.
    /// A node keeps it if it starts in any term but 0.
    fn promise(&self, echo: Echo) -> Echo {
        let (durable, _) = self.durable();
        if durable.current_term == Term(0) { Echo { sent_at: Time::ZERO, ..echo } } else { echo }
    }

    fn respond(&mut self, to: NodeId, outcome: AppendOutcome, echo: Echo) {
        let Echo { read_seq, sent_at } = self.promise(echo);
        let term = self.hard_state.current_term;
        let hole = self.damage.first_hole(self.terms.last());
        let response = AppendEntriesResponse { term, outcome, hole, read_seq, sent_at };
        self.send(to, Message::AppendEntriesResponse(response));
    }
}
