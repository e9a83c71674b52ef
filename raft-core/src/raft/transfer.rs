//! Handing leadership over: because an operator wishes it, because this node's disk is stuck, full or damaged, or because it
//! is no member any more. `[Ongaro §3.10]`
//!
//! The leader stops taking proposals, brings its successor up to date, and asks it to campaign at once. It leads on until
//! that succeeds. If it does not within an election timeout, a leader that can stay stays.

use super::Raft;
use super::role::{Role, Transfer};
use crate::effect::Effect;
use crate::error::TransferError;
use crate::input::Ticket;
use crate::message::{Message, TimeoutNow};
use crate::types::{NodeId, Term};

impl Raft {
    pub(super) fn transfer_leadership(&mut self, ticket: Ticket, to: Option<NodeId>) {
        let outcome = self.begin_transfer(to);
        self.effects.push(Effect::TransferBegun { ticket, outcome });
    }

    fn begin_transfer(&mut self, to: Option<NodeId>) -> Result<NodeId, TransferError> {
        let Role::Leader(leader) = &self.role else {
            return Err(TransferError::NotLeader { leader: self.leader_id() });
        };
        if let Some(Transfer { to, .. }) = leader.transfer {
            return Err(TransferError::InProgress { to });
        }
        let voters = self.configurations.latest().map_or(&[][..], |members| &members.quorum().incoming);
        let to = match to {
            Some(id) if id == self.id => return Err(TransferError::LeadsAlready { id }),
            Some(to) if !voters.contains(&to) => return Err(TransferError::NotVoter { to }),
            Some(to) => to,
            None => self.best_successor(voters).ok_or(TransferError::Nobody)?,
        };
        let until = self.now + self.options.election_timeout;
        if let Role::Leader(leader) = &mut self.role {
            leader.transfer = Some(Transfer { to, until, asked: false });
        }
        Ok(to)
    }

    /// The other voter that lacks the least, among those heard from lately whose logs are whole.
    fn best_successor(&self, voters: &[NodeId]) -> Option<NodeId> {
        let Role::Leader(leader) = &self.role else { return None };
        let lately = |id: &NodeId| {
            let progress = leader.progress.get(*id)?;
            let heard = self.now < progress.heard_at + self.options.election_timeout;
            (heard && !progress.has_hole).then_some((progress.match_index, *id))
        };
        voters.iter().filter_map(lately).max().map(|(_, id)| id)
    }

    /// Asks the successor to campaign, as soon as it has the whole log.
    pub(super) fn hand_over(&mut self) {
        let last = self.terms.last().index;
        let term = self.hard_state.current_term;
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(Transfer { to, asked, .. }) = &mut leader.transfer else { return };
        let to = *to;
        let is_ready = leader.progress.get(to).is_some_and(|progress| progress.match_index == last);
        if !*asked && is_ready {
            *asked = true;
            leader.lease_is_off = !mutant!(LeaseAfterTransfer);
            self.send(to, Message::TimeoutNow(TimeoutNow { term }));
        }
    }

    /// Repeats a request that may be lost, gives up what takes too long, and begins what is necessary.
    pub(super) fn tick_transfer(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        match &mut leader.transfer {
            Some(transfer) if self.now < transfer.until => transfer.asked = false,
            Some(_) => {
                leader.transfer = None;
                if self.must_leave() {
                    self.become_follower(self.hard_state.current_term, None);
                }
            }
            None => self.hand_over_if_necessary(),
        }
    }

    /// A leader whose disk does not keep up or has lost something serves nobody, and one that is not a member any more must
    /// not stay.
    pub(super) fn hand_over_if_necessary(&mut self) {
        if !self.must_leave() {
            return;
        }
        match self.begin_transfer(None) {
            Err(TransferError::Nobody) if !self.is_voter() => {
                self.become_follower(self.hard_state.current_term, None);
            }
            // To whom else? It leads on.
            Err(_) | Ok(_) => {}
        }
    }

    fn must_leave(&self) -> bool {
        let agreed = self.configurations.latest_index() <= self.commit_index;
        let is_whole = self.damage.is_whole(self.terms.last());
        let is_stuck = self.disk_is_stuck() && !mutant!(StuckDiskKept);
        let is_removed = agreed && !self.is_voter() && !mutant!(RemovedLeaderStays);
        is_stuck || !is_whole || is_removed
    }

    /// As a leader: to whom it is handing leadership over.
    #[must_use]
    pub fn handing_over_to(&self) -> Option<NodeId> {
        match &self.role {
            Role::Leader(leader) => leader.transfer.map(|transfer| transfer.to),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => None,
        }
    }

    /// Whether a write has been waiting for longer than an election timeout, or the disk is full.
    pub(super) fn disk_is_stuck(&self) -> bool {
        let oldest = self.writes.oldest_pending();
        self.disk_is_full || oldest.is_some_and(|at| self.now >= at + self.options.election_timeout)
    }

    /// The leader asks this node to take over.
    pub(super) fn on_timeout_now(&mut self, from: NodeId, term: Term) {
        let by_leader = term == self.hard_state.current_term && self.leader_id() == Some(from);
        let by_leader = by_leader || mutant!(OrderOfEarlierTermObeyed);
        if by_leader && self.may_campaign() {
            self.campaign(true);
        }
    }
}
