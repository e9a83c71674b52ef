//! What an operator does: founds, replaces, adds, removes, promotes, moves leadership.

use super::World;
use super::network::MAX_NODES;
use super::queue::Happening;
use crate::configuration::{Configuration, Member, MemberChange, MemberRole};
use crate::quorum::VoteResult;
use crate::testing::cluster::{Action, Violation, Wish, node_id, place_of};

/// Voters at most.
const MAX_VOTERS: usize = 7;

impl World {
    /// A fresh node, for whoever was lost or is to be added.
    pub(super) fn join(&mut self) -> Result<(), Violation> {
        if self.cluster.node_count() == MAX_NODES {
            return Ok(());
        }
        let seed = self.dice.next_u64();
        self.act(&Action::Join { seed })
    }

    pub(super) fn transfer_leadership(&mut self) -> Result<(), Violation> {
        let count = self.cluster.node_count();
        let place = self.dice.place(count);
        let node = self.leader_from(place).unwrap_or(place);
        let to = self.dice.chance(500).then(|| self.dice.place(count));
        self.act(&Action::TransferLeadership { node, to })
    }

    /// While nobody leads, an operator asks again and again: the next leader may hear of it before it has committed anything.
    pub(super) fn ask_for_change(&mut self) -> Result<(), Violation> {
        let place = self.dice.place(self.cluster.node_count());
        if let Some(leader) = self.leader_from(place) {
            self.asks_for_change = false;
            return self.change_members(leader);
        }
        if !self.asks_for_change {
            self.asks_for_change = true;
            self.schedule_in(self.plan.election_timeout() / 50, Happening::AskForChange);
        }
        Ok(())
    }

    /// One wish or two, such that the nodes that are sound can go on whatever becomes of it.
    fn change_members(&mut self, node: usize) -> Result<(), Violation> {
        // Whoever stands still would begin the change later, when it may do harm.
        if !self.cluster.node(node).is_awake() {
            return Ok(());
        }
        let Some(members) = self.cluster.node(node).raft().and_then(|raft| raft.configuration()).cloned()
        else {
            return Ok(());
        };
        let mut wishes: Vec<Wish> = Vec::new();
        for _ in 0..self.dice.pick(&[1, 1, 2, 3]) {
            let wish = self.draw_wish(&members);
            wishes.extend(wish.filter(|wish| wishes.iter().all(|other| other.node != wish.node)));
        }
        if wishes.is_empty() || !self.is_survivable(&members, &wishes) {
            return Ok(());
        }
        self.act(&Action::ChangeMembers { node, wishes })
    }

    fn draw_wish(&mut self, members: &Configuration) -> Option<Wish> {
        let gone = members.members().iter().map(|member| place_of(member.id));
        if let Some(node) = gone.clone().find(|&node| self.cluster.node(node).is_gone()) {
            return Some(Wish { node, role: None });
        }
        let voters = members.quorum().incoming.len();
        let node = self.dice.place(self.cluster.node_count());
        let (member, gone) = (members.member(node_id(node)), self.cluster.node(node).is_gone());
        if gone || (member.is_none_or(|member| member.role != MemberRole::Voter) && !self.is_sound(node)) {
            return None;
        }
        let joins = [MemberRole::Voter, MemberRole::Learner, MemberRole::Promotable];
        let role = match member.map(|member| member.role) {
            None if voters >= MAX_VOTERS => return None,
            None => Some(self.dice.pick(&joins)),
            Some(MemberRole::Voter) if voters > 1 => self.dice.pick(&[None, Some(MemberRole::Learner)]),
            Some(MemberRole::Learner | MemberRole::Promotable) => {
                self.dice.pick(&[None, Some(MemberRole::Voter), Some(MemberRole::Promotable)])
            }
            Some(_) => return None,
        };
        Some(Wish { node, role })
    }

    fn is_survivable(&self, members: &Configuration, wishes: &[Wish]) -> bool {
        let change = |wish: &Wish| match wish.role {
            Some(role) => MemberChange::Put(Member {
                id: node_id(wish.node),
                role,
                newest_version: 1,
                name: format!("n{}", wish.node + 1),
                peer_address: String::new(),
                client_address: String::new(),
            }),
            None => MemberChange::Remove(node_id(wish.node)),
        };
        let changes: Vec<MemberChange> = wishes.iter().map(change).collect();
        let Ok(next) = members.changed(&changes) else { return true };
        [&next, &next.left()]
            .into_iter()
            .all(|members| members.quorum().vote(|id| Some(self.is_sound(place_of(id)))) == VoteResult::Won)
    }
}
