//! Elections: pre-vote, vote, and who may grant either. `[Raft §5.2, §5.4.1]`, `[Ongaro §4.2.3, §9.6]`
//!
//! Invariant (one-vote): at most one vote in a term, durable before the candidate hears of it.
//! Invariant (vote-requests-are-durable): a candidate's term and own vote are durable before anyone hears of its
//! candidacy; otherwise, after a crash, it could vote for another in the same term and two leaders could arise.

use super::Raft;
use super::role::{Candidate, Follower, PreCandidate, Role, RoleName};
use crate::effect::Effect;
use crate::error::ReadError;
use crate::forwarded::Forwarded;
use crate::message::{Message, RequestVote, RequestVoteResponse};
use crate::quorum::VoteResult;
use crate::reads::Reader;
use crate::types::{EntryId, HardState, NodeId, Term};
use crate::votes::Votes;

impl Raft {
    /// No leader was heard from for a whole election timeout. `[Raft §5.2]`
    pub(super) fn election_timeout(&mut self) {
        self.reset_election_deadline();
        // The own vote of the last campaign is still on its way to the disk: another term would not help.
        let (durable, _) = self.durable();
        let disk_is_behind = matches!(self.role, Role::Candidate(_)) && durable != self.hard_state;
        if !self.may_campaign() {
            self.forget_leader();
        } else if !disk_is_behind {
            self.pre_campaign();
        }
    }

    /// Nobody leads, as far as a node can tell that has not heard from anybody for so long.
    fn forget_leader(&mut self) {
        let Role::Follower(follower) = &mut self.role else { return };
        follower.leader = None;
        let outcome = Err(ReadError::NotLeader { leader: None });
        for ticket in follower.forwarded.take() {
            self.effects.push(Effect::ReadReady { ticket, outcome });
        }
    }

    /// Whoever could not serve as a leader does not become one. Who is to leave still may campaign until that is agreed on:
    /// nobody else may have the entry that says so. `[Ongaro §4.2.2]`
    pub(super) fn may_campaign(&self) -> bool {
        let before = self.configurations.before_uncommitted(self.commit_index);
        let is_still_needed = before.is_some_and(|members| members.quorum().contains(self.id));
        (self.is_voter() || is_still_needed)
            && !self.disk_is_stuck()
            && (self.damage.is_whole(self.terms.last()) || mutant!(CampaignWithHole))
    }

    /// Asks whether a campaign would succeed, so that a node that cannot win disturbs nobody. `[Ongaro §9.6]`
    fn pre_campaign(&mut self) {
        let follower = match &self.role {
            Role::Follower(follower) | Role::PreCandidate(PreCandidate { follower, .. }) => {
                Follower { forwarded: Forwarded::default(), ..follower.clone() }
            }
            Role::Candidate(_) | Role::Leader(_) => Follower::new(None),
        };
        self.leave_role();
        self.leader_contact = None;
        self.role = Role::PreCandidate(PreCandidate { votes: Votes::default(), follower });
        let term = self.hard_state.current_term.next();
        for (to, message) in self.vote_requests(term, true, false) {
            self.send(to, message);
        }
        self.count_pre_vote(self.id, true);
    }

    /// `[Raft §5.2]`: "increments its current term and transitions to candidate state. It then votes for itself and
    /// issues RequestVote RPCs".
    pub(super) fn campaign(&mut self, forced: bool) {
        self.leave_role();
        self.leader_contact = None;
        let term = self.hard_state.current_term.next();
        self.set_hard_state(HardState { current_term: term, voted_for: Some(self.id), ..self.hard_state });
        self.role = Role::Candidate(Candidate { votes: Votes::default(), forced });
        self.reset_election_deadline();
        for (to, message) in self.vote_requests(term, false, forced) {
            if mutant!(CandidacyBeforeDurable) {
                self.send(to, message);
                continue;
            }
            self.hold_until_vote_is_durable(to, message);
        }
        if mutant!(OwnVoteBeforeDurable) {
            self.count_vote(self.id, true);
        }
    }

    fn vote_requests(&self, term: Term, pre: bool, forced: bool) -> Vec<(NodeId, Message)> {
        let last_entry = self.terms.last();
        let request = Message::RequestVote(RequestVote { term, last_entry, pre, forced });
        let voters =
            self.configuration().map_or_else(Vec::new, |configuration| configuration.quorum().voters());
        let others = voters.into_iter().filter(|voter| *voter != self.id);
        others.map(|voter| (voter, request.clone())).collect()
    }

    fn hold_until_vote_is_durable(&mut self, to: NodeId, message: Message) {
        let until = self.writes.hard_state_write();
        if self.writes.is_durable(until) {
            self.send(to, message);
        } else {
            self.held.push(until, self.hard_state.current_term, to, message);
        }
    }

    pub(super) fn on_request_vote(&mut self, from: NodeId, request: RequestVote) {
        let RequestVote { term, last_entry, pre, forced } = request;
        // `[Ongaro §4.2.3]`: within the minimum election timeout of hearing from a leader, a server neither grants a
        // vote nor lets the request's term disturb it. A campaign that the leader itself asked for is exempt.
        let bound_to_leader = !forced && self.hears_from_leader() && !mutant!(PromiseIgnored);
        let bound_to_leader = match () {
            () if mutant!(ForcedVoteRefused) => self.hears_from_leader(),
            () if mutant!(QuestionDisturbs) => bound_to_leader && !pre,
            () => bound_to_leader,
        };
        if !bound_to_leader && !pre && term > self.hard_state.current_term {
            self.become_follower(term, None);
        }
        let current_term = self.hard_state.current_term;
        let granted = !bound_to_leader
            && self.is_up_to_date(last_entry)
            && match pre {
                true => term > current_term,
                false => term == current_term && self.may_vote_for(from),
            };
        if pre {
            let term = if granted { term } else { current_term };
            let response = RequestVoteResponse { term, granted, pre };
            return self.send(from, Message::RequestVoteResponse(response));
        }
        let response = Message::RequestVoteResponse(RequestVoteResponse { term: current_term, granted, pre });
        if !granted {
            return self.send(from, response);
        }
        if self.hard_state.voted_for.is_none() || mutant!(VoteTwice) {
            self.set_hard_state(HardState { voted_for: Some(from), ..self.hard_state });
            self.become_follower(current_term, None);
        }
        self.reset_election_deadline();
        if mutant!(VoteBeforeDurable) {
            return self.send(from, response);
        }
        self.hold_until_vote_is_durable(from, response);
    }

    /// `[Raft §5.4.1]`: "the voter denies its vote if its own log is more up-to-date". What this node has acknowledged and
    /// lost since counts like what it has.
    fn is_up_to_date(&self, last_entry: EntryId) -> bool {
        let last = self.terms.last();
        if mutant!(VoteWithoutLogCheck) {
            return true;
        }
        if mutant!(VoteByLength) {
            return last_entry.index >= last.index;
        }
        if mutant!(HoleForgottenByVote) {
            return last_entry.index >= self.vouched_for();
        }
        let floor = match self.damage.floor_above(last) {
            Some(_) if mutant!(LostTailForgottenByVote) => Some(last),
            None if mutant!(UnknownFloorVotes) => Some(last),
            floor => floor,
        };
        let suffices = floor.is_some_and(|floor| last_entry >= floor);
        if !suffices && last_entry >= last {
            mark!(VoteBelowFloorRefused);
        }
        suffices
    }

    /// `[Raft Figure 2, RequestVote, receiver 2]`: "votedFor is null or candidateId".
    fn may_vote_for(&self, candidate: NodeId) -> bool {
        self.hard_state.voted_for.is_none_or(|voted_for| voted_for == candidate) || mutant!(VoteTwice)
    }

    fn hears_from_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
            || self.leader_contact.is_some_and(|at| self.now < at + self.options.election_timeout)
    }

    pub(super) fn on_request_vote_response(&mut self, from: NodeId, response: RequestVoteResponse) {
        let RequestVoteResponse { term, granted, pre } = response;
        if pre && granted {
            if mutant!(PreVoteCountsAsVote) {
                self.count_vote(from, true);
            }
            // An answer to an older question would name an older term.
            if term == self.hard_state.current_term.next() {
                self.count_pre_vote(from, true);
            }
            return;
        }
        if term > self.hard_state.current_term && mutant!(TermCountsAsVote) {
            return self.count_vote(from, true);
        }
        if term > self.hard_state.current_term {
            return self.become_follower(term, None);
        }
        if term < self.hard_state.current_term {
            return;
        }
        if pre {
            self.count_pre_vote(from, false);
        } else {
            self.count_vote(from, granted);
        }
    }

    fn count_pre_vote(&mut self, from: NodeId, granted: bool) {
        let Role::PreCandidate(candidate) = &mut self.role else { return };
        let Some(configuration) = self.configurations.latest() else { return };
        candidate.votes.record(from, granted);
        match candidate.votes.result(configuration.quorum()) {
            VoteResult::Won => self.campaign(false),
            VoteResult::Lost => self.become_follower(self.hard_state.current_term, None),
            VoteResult::Pending => {}
        }
    }

    fn count_vote(&mut self, from: NodeId, granted: bool) {
        let Role::Candidate(candidate) = &mut self.role else { return };
        let Some(configuration) = self.configurations.latest() else { return };
        candidate.votes.record(from, granted);
        match candidate.votes.result(configuration.quorum()) {
            VoteResult::Won => self.become_leader(),
            VoteResult::Lost => self.become_follower(self.hard_state.current_term, None),
            VoteResult::Pending => {}
        }
    }

    /// A candidate counts its own vote only once a crash cannot undo it.
    pub(super) fn count_own_vote(&mut self) {
        if matches!(self.role, Role::Candidate(_)) && self.durable().0 == self.hard_state {
            self.count_vote(self.id, true);
        }
    }

    /// `[Raft §5.1]`: "If a candidate or leader discovers that its term is out of date, it immediately reverts to
    /// follower state." Within the current term: a candidate that lost, a leader without quorum.
    pub(super) fn become_follower(&mut self, term: Term, leader: Option<NodeId>) {
        let new_term = term > self.hard_state.current_term;
        if new_term {
            self.set_hard_state(HardState { current_term: term, voted_for: None, ..self.hard_state });
        }
        if mutant!(TermWithoutStepDown) && matches!(self.role, Role::Leader(_)) {
            return;
        }
        match &mut self.role {
            Role::Follower(follower) if !new_term => follower.leader = leader.or(follower.leader),
            // The leader lives after all, or the others think so: how far the logs match need not be learned again.
            Role::PreCandidate(candidate) if !new_term => {
                let follower = Follower { leader, ..candidate.follower.clone() };
                self.role = Role::Follower(follower);
            }
            _ => {
                let led = self.leave_role();
                self.role = Role::Follower(Follower::new(leader));
                if led {
                    self.reset_election_deadline();
                }
            }
        }
    }

    /// Lets go of what the role has promised to answer. Whether it was leading.
    fn leave_role(&mut self) -> bool {
        let refused = Err(ReadError::NotLeader { leader: None });
        match std::mem::replace(&mut self.role, Role::Follower(Follower::new(None))) {
            Role::Leader(leader) => {
                self.forget_peer_fetches();
                for reader in leader.reads.into_readers() {
                    self.answer_read(reader, refused);
                }
                true
            }
            Role::Follower(mut follower) => {
                for ticket in follower.forwarded.take() {
                    self.answer_read(Reader::Local(ticket), refused);
                }
                false
            }
            Role::PreCandidate(_) | Role::Candidate(_) => false,
        }
    }

    /// Who leads the current term, as far as this node knows.
    #[must_use]
    pub fn leader_id(&self) -> Option<NodeId> {
        match &self.role {
            Role::Follower(follower) => follower.leader,
            Role::Leader(_) => Some(self.id),
            Role::PreCandidate(_) | Role::Candidate(_) => None,
        }
    }

    /// The role's name.
    #[must_use]
    pub fn role(&self) -> RoleName {
        self.role.name()
    }
}
