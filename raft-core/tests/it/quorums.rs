//! Majorities and configurations by brute force: every case of a small world against a model that is too plain to be
//! wrong.

use std::collections::BTreeMap;

use raft_core::configuration::MemberRole::{
    self, Demoting, Incoming, Learner, Leaving, Outgoing, Promotable, Voter,
};
use raft_core::configuration::{ChangeError, MemberChange};
use raft_core::quorum::{Quorum, VoteResult};
use raft_core::{Configuration, NodeId};

use crate::support::{id, member, members};

/// Sets of nodes are bits: node n is bit n - 1.
type Set = u32;

fn ids(set: Set) -> Vec<NodeId> {
    (0..32).filter(|bit| set >> bit & 1 == 1).map(|bit| id(bit + 1)).collect()
}

/// More than half of `voters` are in `agreeing`. Nobody is a majority of nobody; it stands in nobody's way.
const fn majority(voters: Set, agreeing: Set) -> bool {
    voters == 0 || (voters & agreeing).count_ones() * 2 > voters.count_ones()
}

/// Every pair of sets among five nodes, either of which may be empty.
fn quorums() -> impl Iterator<Item = (Set, Set, Quorum)> {
    let sets =
        (0..1 << 5).flat_map(|incoming: Set| (0..1 << 5).map(move |outgoing: Set| (incoming, outgoing)));
    sets.map(|(incoming, outgoing)| {
        (incoming, outgoing, Quorum { incoming: ids(incoming), outgoing: ids(outgoing) })
    })
}

/// All ways to give five nodes one of `base` values.
fn assignments(base: u32) -> impl Iterator<Item = [u32; 5]> {
    (0..base.pow(5)).map(move |number| std::array::from_fn(|node| number / base.pow(node as u32) % base))
}

/// C7 (openraft#1802, which committed with two of five): what a quorum has reached is the highest value such that a majority
/// of either set has at least that.
#[test]
fn what_a_quorum_has_reached_is_what_both_majorities_have() {
    let all: Vec<[u32; 5]> = assignments(3).collect();
    for (incoming, outgoing, quorum) in quorums() {
        for values in &all {
            let at_least =
                |least: u32| (0..5).filter(|&node| values[node] >= least).map(|node| 1 << node).sum();
            let both = |least: &u32| {
                let agreeing: Set = at_least(*least);
                majority(incoming, agreeing) && majority(outgoing, agreeing)
            };
            let nobody = incoming | outgoing == 0;
            let expected = if nobody { 0 } else { (0..3).rev().find(both).expect("all have 0") };
            let found = quorum.reached(|voter| values[voter.get() as usize - 1]);
            assert_eq!(found, expected, "{incoming:05b} {outgoing:05b} {values:?}");
        }
    }
}

/// A vote is won when both majorities have granted, and lost when one of them no longer can.
#[test]
fn a_vote_is_won_by_both_majorities_and_lost_by_one() {
    let all: Vec<[u32; 5]> = assignments(3).collect();
    for (incoming, outgoing, quorum) in quorums() {
        for answers in &all {
            let with = |wanted: &[u32]| {
                (0..5).filter(|&node| wanted.contains(&answers[node])).map(|node| 1 << node).sum::<Set>()
            };
            let (granted, possible) = (with(&[2]), with(&[0, 2]));
            let wins = |set: Set| majority(incoming, set) && majority(outgoing, set);
            let expected = match (incoming | outgoing, wins(granted), wins(possible)) {
                (0, ..) | (_, _, false) => VoteResult::Lost,
                (_, true, _) => VoteResult::Won,
                (_, false, true) => VoteResult::Pending,
            };
            let answer =
                |voter: NodeId| [None, Some(false), Some(true)][answers[voter.get() as usize - 1] as usize];
            assert_eq!(quorum.vote(answer), expected, "{incoming:05b} {outgoing:05b} {answers:?}");
        }
    }
}

/// Who votes in the configuration as it is meant, by the roles alone: new voters and old ones.
fn electorate(configuration: &Configuration) -> (Set, Set) {
    let set = |roles: &[MemberRole]| {
        let counted = configuration.members().iter().filter(|member| roles.contains(&member.role));
        counted.map(|member| 1 << (member.id.get() - 1)).sum::<Set>()
    };
    let new = set(&[Voter, Incoming]);
    let joint = set(&[Incoming, Outgoing, Demoting, Leaving]) != 0;
    (new, if joint { set(&[Voter, Outgoing, Demoting]) } else { 0 })
}

/// Invariant (overlap): no set of nodes is a quorum of one while the rest is a quorum of the other.
fn overlap(one: &Configuration, other: &Configuration) -> bool {
    let decides = |(new, old): (Set, Set), agreeing: Set| majority(new, agreeing) && majority(old, agreeing);
    let (one, other) = (electorate(one), electorate(other));
    (0..1 << NODES).all(|set: Set| !(decides(one, set) && decides(other, !set)))
}

/// Invariant (nested): one lists every member of the other.
fn nested(one: &Configuration, other: &Configuration) -> bool {
    let listed = |one: &Configuration, other: &Configuration| {
        one.members().iter().all(|member| other.member(member.id).is_some())
    };
    listed(one, other) || listed(other, one)
}

/// Nodes of the world in which configurations change.
const NODES: u32 = 4;

/// Each node's role, where it is a member.
type Roles = BTreeMap<u64, MemberRole>;

fn roles(configuration: &Configuration) -> Roles {
    configuration.members().iter().map(|member| (member.id.get(), member.role)).collect()
}

/// All ways to pick one of `choices` for each node.
fn pick<T: Copy>(choices: &[T]) -> Vec<Vec<(u64, T)>> {
    let base = choices.len();
    let pick = |number: usize, node: u32| choices[number / base.pow(node) % base];
    let all = 0..base.pow(NODES);
    all.map(|number| (0..NODES).map(|node| (u64::from(node) + 1, pick(number, node))).collect()).collect()
}

/// What is wished for a node, if anything.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wish {
    Nothing,
    Be(MemberRole),
    Leave,
}

impl Wish {
    fn change(self, number: u64) -> Option<MemberChange> {
        match self {
            Self::Nothing => None,
            Self::Be(role) => Some(MemberChange::Put(member(number, role))),
            Self::Leave => Some(MemberChange::Remove(id(number))),
        }
    }
}

/// Who should be what in the end, or why not.
fn wished(before: &Roles, wishes: &[(u64, Wish)]) -> Result<Roles, ChangeError> {
    let mut after = before.clone();
    for &(number, wish) in wishes {
        match wish {
            Wish::Nothing => {}
            Wish::Be(Promotable) if before.get(&number) == Some(&Voter) => {
                return Err(ChangeError::Role { id: id(number), role: Promotable });
            }
            Wish::Be(role) => drop(after.insert(number, role)),
            Wish::Leave => {
                after.remove(&number).ok_or(ChangeError::UnknownMember { id: id(number) })?;
            }
        }
    }
    match after.values().any(|role| *role == Voter) {
        false => Err(ChangeError::NoVoter),
        true if after == *before => Err(ChangeError::Unchanged),
        true => Ok(after),
    }
}

/// Every wish about every configuration of four nodes, 144,000 of them: E1, E16 and `[Raft §6]` as arithmetic. The next
/// configuration is the wished one, or a joint one that leads to it; each step overlaps the one before and is nested with
/// it; and wishes are refused for the first reason there is.
#[test]
fn every_change_goes_to_what_was_wished_in_steps_that_overlap() {
    let configurations = pick(&[None, Some(Voter), Some(Learner), Some(Promotable)]);
    let wishes =
        pick(&[Wish::Nothing, Wish::Be(Voter), Wish::Be(Learner), Wish::Be(Promotable), Wish::Leave]);
    let (mut at_once, mut joint) = (0, 0);
    for listed in &configurations {
        let listed: Vec<(u64, MemberRole)> =
            listed.iter().filter_map(|(number, role)| Some((*number, (*role)?))).collect();
        if !listed.iter().any(|(_, role)| *role == Voter) {
            continue;
        }
        let before = members(&listed);
        for wishes in &wishes {
            let changes: Vec<_> = wishes.iter().filter_map(|(number, wish)| wish.change(*number)).collect();
            let (found, expected) = (before.changed(&changes), wished(&roles(&before), wishes));
            let next = match (found, expected) {
                (Ok(next), Ok(expected)) => {
                    let last = if next.is_joint() { next.left() } else { next.clone() };
                    assert_eq!(roles(&last), expected, "{before:?} {wishes:?}");
                    assert!(overlap(&next, &last) && nested(&next, &last), "{next:?} {last:?}");
                    next
                }
                (found, expected) => {
                    assert_eq!(found.err(), expected.err(), "{before:?} {wishes:?}");
                    continue;
                }
            };
            assert!(overlap(&before, &next) && nested(&before, &next), "{before:?} {next:?}");
            let changed = (electorate(&before).0 ^ electorate(&next).0).count_ones();
            match next.is_joint() {
                true => joint += 1,
                false => at_once += 1,
            }
            assert!(
                next.is_joint() || changed <= 1,
                "{before:?} {next:?}: more than one vote changes at once"
            );
        }
    }
    assert!(at_once > 1_000 && joint > 10_000, "{at_once} {joint}");
}

/// The model can tell: two disjoint majorities, as two single-server changes without the wait make them (Ongaro 2015).
#[test]
fn the_model_sees_majorities_that_do_not_meet() {
    let founded = members(&[(1, Voter), (2, Voter), (3, Voter), (4, Voter)]);
    let grown = members(&[(1, Voter), (2, Voter), (3, Voter), (4, Voter), (5, Voter)]);
    let shrunk = members(&[(2, Voter), (3, Voter), (4, Voter)]);
    assert!(overlap(&founded, &grown) && overlap(&founded, &shrunk));
    let one = members(&[(1, Voter), (2, Voter)]);
    let other = members(&[(3, Voter), (4, Voter)]);
    assert!(!overlap(&one, &other) && !nested(&one, &other));
}
