//! The end of a run: everything is well. Leadership then stays where it is, whoever comes back from wherever, and moves where
//! an operator sends it.

use super::World;
use crate::raft::{Raft, RoleName};
use crate::testing::cluster::{Action, Violation, node_id};
use crate::types::Term;

/// Election timeouts within which whoever missed the leader has shown what it makes of it.
const WATCHED: u32 = 4;

/// Election timeouts within which leadership has moved.
const MOVED: u32 = 3;

impl World {
    /// A member that does not hear the leader for a while asks for votes in vain, for the others do: it disturbs nobody, neither
    /// meanwhile nor when it is back. `[Ongaro §4.2.3, §9.6]`
    pub(super) fn keep_the_peace(&mut self) -> Result<(), Violation> {
        // What was clogged before all was healed still comes, and comes first.
        self.run_until(self.network.last_arrival(), |_| false)?;
        let Some((leader, term)) = self.settle_on_a_leader()? else { return Ok(()) };
        let others = self.others_that_can_be_spared(leader);
        if others.is_empty() {
            return Ok(());
        }
        let missing = self.dice.pick(&others);
        let (mute, timeout) = (self.dice.chance(500), self.plan.election_timeout());
        for peer in (0..self.cluster.node_count()).filter(|peer| *peer != missing) {
            self.network.set_cut(peer, missing, true);
            self.network.set_cut(missing, peer, mute);
        }
        let away = self.dice.between(timeout * 2, timeout * WATCHED);
        let leads = |raft: &Raft| raft.role() == RoleName::Leader && raft.hard_state().current_term == term;
        let stays = |world: &Self| world.cluster.node(leader).raft().is_some_and(leads);
        let mut disturbed = self.run_until(self.now + away, |world| !stays(world))?;
        if !disturbed {
            self.network.heal();
            disturbed = self.run_until(self.now + timeout * WATCHED, |world| !stays(world))?;
        }
        if disturbed {
            let (leader, missing, what) = (node_id(leader), node_id(missing), self.describe_nodes());
            return Err(Violation::Disturbed { at: self.now, leader, term, missing, what });
        }
        Ok(())
    }

    /// An operator names the next leader: it leads. `[Ongaro §3.10]`
    pub(super) fn obey(&mut self) -> Result<(), Violation> {
        let Some((leader, _)) = self.settle_on_a_leader()? else { return Ok(()) };
        let voters = self.cluster.node(leader).raft().and_then(|raft| raft.configuration());
        let votes = |node: usize| voters.is_some_and(|members| members.quorum().contains(node_id(node)));
        let able = |node: &usize| *node != leader && votes(*node) && self.is_sound(*node);
        let able: Vec<usize> = (0..self.cluster.node_count()).filter(able).collect();
        if able.is_empty() {
            return Ok(());
        }
        let to = self.dice.pick(&able);
        self.act(&Action::TransferLeadership { node: leader, to: Some(to) })?;
        let begin = self.now;
        let bound = self.plan.election_timeout() * MOVED;
        if self.run_until(begin + bound, |world| world.cluster.node(to).leads())? {
            return Ok(());
        }
        let healthy_for = self.now.saturating_since(begin);
        let what = format!("n{} was to lead, and does not; {}", to + 1, self.describe_nodes());
        Err(Violation::NotRecovered { at: self.now, who: "everything".to_owned(), healthy_for, what })
    }

    /// Waits for a leader whom every sound member follows. `None` if its log has rotted, which it may find out any moment.
    fn settle_on_a_leader(&mut self) -> Result<Option<(usize, Term)>, Violation> {
        let (begin, bound) = (self.now, self.bound());
        if !self.run_until(begin + bound, |world| world.leader_and_term().is_some())? {
            let (healthy_for, who) = (self.now.saturating_since(begin), "everything".to_owned());
            let what = format!("not all follow one leader; {}", self.describe_nodes());
            return Err(Violation::NotRecovered { at: self.now, who, healthy_for, what });
        }
        Ok(self.leader_and_term().filter(|(leader, _)| self.is_sound(*leader)))
    }

    /// The leader, if every sound member follows it and it is not about to go, and its term.
    fn leader_and_term(&self) -> Option<(usize, Term)> {
        let leader = self.leader_from(0)?;
        let term = self.cluster.node(leader).raft()?.hard_state().current_term;
        if self.cluster.node(leader).raft()?.handing_over_to().is_some() {
            return None;
        }
        let known = |raft: &Raft| (raft.leader_id(), raft.hard_state().current_term);
        let follows = |node| self.cluster.node(node).raft().map(known) == Some((Some(node_id(leader)), term));
        let mut members = self.cluster.members().into_iter().filter(|node| self.is_sound(*node));
        members.all(follows).then_some((leader, term))
    }

    /// Members without whom the leader still has a quorum.
    fn others_that_can_be_spared(&self, leader: usize) -> Vec<usize> {
        let mut members = self.cluster.members();
        members.retain(|&node| {
            let goes_on = |other: usize| other != node && self.is_sound(other);
            node != leader && self.is_sound(node) && self.cluster.is_quorum(goes_on)
        });
        members
    }
}
