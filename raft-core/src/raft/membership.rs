//! Changes of the members: one configuration at a time, in force from the moment it is appended. `[Raft §6]`
//!
//! Invariant (one-change): a leader appends a configuration only when the one before it is committed, and an entry of its
//! own term as well. Without the latter two leaders in turn could each hold a majority that the other does not know of
//! (the error of the dissertation's single-server changes, found by Ongaro in 2015).
//! Invariant (joint-is-left): whoever leads when a joint configuration is committed appends the one that follows it.

use std::sync::Arc;

use super::Raft;
use super::role::Role;
use crate::block::EntryKind;
use crate::configuration::{ChangeError, Configuration, Member, MemberChange, MemberRole};
use crate::effect::Effect;
use crate::error::ProposeError;
use crate::message::{Heartbeat, Message};
use crate::progress::{CatchUp, Progress};
use crate::types::{EntryId, NodeId};

impl Raft {
    pub(super) fn change_members(&mut self, changes: &[MemberChange]) -> Result<EntryId, ProposeError> {
        let Role::Leader(leader) = &self.role else {
            return Err(ProposeError::NotLeader { leader: self.leader_id() });
        };
        if let Some(transfer) = leader.transfer {
            return Err(ProposeError::HandingOver { to: transfer.to });
        }
        let Some(latest) = self.configurations.latest() else { return Err(ProposeError::Unknown) };
        let index = self.configurations.latest_index();
        if self.commit_index < leader.term_start && !mutant!(ChangeBeforeOwnCommit) {
            return Err(ProposeError::Change(ChangeError::TooEarly));
        }
        let is_done = index <= self.commit_index || mutant!(ChangeDuringChange);
        if !is_done || latest.is_joint() {
            return Err(ProposeError::Change(ChangeError::InProgress { index }));
        }
        let next = latest.changed(changes).map_err(ProposeError::Change)?;
        let (found, limit) = (next.encoded().len(), self.options.max_entry_bytes);
        if found > limit {
            return Err(ProposeError::Change(ChangeError::TooLarge { found, limit }));
        }
        Ok(self.append_configuration(next))
    }

    fn append_configuration(&mut self, configuration: Configuration) -> EntryId {
        let id = self.append_own(EntryKind::Configuration, &configuration.encoded());
        self.configurations.push(id.index, Arc::new(configuration));
        self.follow_configuration();
        id
    }

    /// Feeds exactly those that must be reached.
    pub(super) fn follow_configuration(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(configuration) = self.configurations.to_reach(self.commit_index) else { return };
        leader.progress.retain(|id| configuration.member(id).is_some());
        let last = self.terms.last().index;
        for member in configuration.members().iter().filter(|member| member.id != self.id) {
            let new = || Progress::new(last.next(), self.now);
            let progress = leader.progress.get_or_insert_with(member.id, new);
            let begin = || CatchUp { target: last, began: self.now };
            let promotable = member.role == MemberRole::Promotable;
            progress.catch_up = promotable.then(|| progress.catch_up.unwrap_or_else(begin));
        }
    }

    /// What the newest configuration took from somebody is final now. Those who leave with it are told so, once.
    pub(super) fn configuration_is_committed(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        let Some(latest) = self.configurations.latest() else { return };
        let leaving = leader.progress.ids().filter(|id| latest.member(*id).is_none());
        let leaving: Vec<NodeId> = leaving.collect();
        let farewell = Heartbeat {
            term: self.hard_state.current_term,
            leader_commit: self.commit_index,
            read_seq: leader.reads.round(),
            sent_at: self.now,
        };
        for to in leaving {
            self.effects.push(Effect::Send { to, message: Message::Heartbeat(farewell) });
        }
        self.follow_configuration();
    }

    /// The next step that the configuration itself asks for, once it is agreed on.
    pub(super) fn advance_configuration(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        let Some(latest) = self.configurations.latest() else { return };
        let agreed = self.configurations.latest_index() <= self.commit_index;
        if !agreed || self.commit_index < leader.term_start {
            return;
        }
        if latest.is_joint() && mutant!(JointNeverLeft) {
            return;
        }
        if latest.is_joint() {
            let next = latest.left();
            self.append_configuration(next);
        } else if !latest.quorum().contains(self.id) {
            self.hand_over_if_necessary();
        } else if leader.transfer.is_none() {
            self.promote();
        }
    }

    /// A learner that has caught up becomes a voter. One at a time: the next one after that change is committed.
    fn promote(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        let last = self.terms.last().index;
        let mut caught_up = None;
        for (id, progress) in leader.progress.iter_mut() {
            let Some(round) = &mut progress.catch_up else { continue };
            if progress.match_index < round.target || mutant!(LearnerNeverPromoted) {
                continue;
            }
            if self.now <= round.began + self.options.election_timeout {
                caught_up = caught_up.or(Some(id));
            }
            *round = CatchUp { target: last, began: self.now };
        }
        let latest = self.configurations.latest().zip(caught_up);
        let Some((latest, member)) = latest.and_then(|(latest, id)| Some((latest, latest.member(id)?)))
        else {
            return;
        };
        let voter = Member { role: MemberRole::Voter, ..member.clone() };
        if let Ok(next) = latest.changed(&[MemberChange::Put(voter)]) {
            self.append_configuration(next);
        }
    }
}
