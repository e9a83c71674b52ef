use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroU64;

use super::*;
use crate::raft::RoleName;
use crate::rng::Rng;

/// Everything that can happen, losses included.
fn successors(model: &mut Model, state: &State) -> Vec<State> {
    let mut actions = Vec::new();
    model.actions(state, &mut actions);
    let places = 0..u8::try_from(state.messages().len()).unwrap();
    actions.extend(places.map(|place| Action::Lose { place }));
    actions.into_iter().filter_map(|action| model.apply(state, action).unwrap()).collect()
}

/// All states, told apart by `print`.
fn reach(model: &mut Model, print: impl Fn(&Model, &State) -> u128) -> Vec<State> {
    let initial = model.initial().unwrap();
    let (mut seen, mut states) = (HashSet::from([print(model, &initial)]), vec![initial]);
    let mut next = 0;
    while let Some(state) = states.get(next).copied() {
        next += 1;
        for successor in successors(model, &state) {
            if seen.insert(print(model, &successor)) {
                states.push(successor);
            }
        }
    }
    states
}

/// Goes far from the first state on ways drawn at random: it meets more of what a single node can be in than a search does.
fn wander(model: &mut Model, walks: u64, steps: u64) {
    for walk in 0..walks {
        let mut rng = Rng::new(walk);
        let mut state = model.initial().unwrap();
        for _ in 0..steps {
            let successors = successors(model, &state);
            let Some(count) = NonZeroU64::new(successors.len() as u64) else { break };
            state = successors[usize::try_from(rng.below(count.get())).unwrap()];
        }
    }
}

fn check_that_nodes_of_equal_fingerprints_do_the_same(bounds: Bounds) -> usize {
    let mut model = Model::new(Bounds { symmetry: false, ..bounds });
    wander(&mut model, 60, 120);
    let mut reactions: BTreeMap<u32, Vec<(Event, &Reaction)>> = BTreeMap::new();
    for ((before, event), reaction) in &model.reactions {
        reactions.entry(*before).or_default().push((*event, reaction));
    }
    let react = |node: &Node, event: Event| {
        let (node, sent) = node.react(model.stimulus(event)).unwrap();
        let sent: Vec<u128> =
            sent.iter().map(|envelope| envelope.fingerprint_as(&model.renamings[0])).collect();
        (node, sent)
    };
    let mut compared = 0;
    for ((before, event), reaction) in &model.reactions {
        // As this way leads there: other clocks, other ids of writes than those of the node that was kept.
        let (twin, _) = react(model.nodes.get(*before), *event);
        let kept = model.nodes.get(reaction.node);
        for (event, expected) in reactions.get(&reaction.node).into_iter().flatten() {
            let (node, sent) = react(&twin, *event);
            let print = node.fingerprint_as(&model.renamings[0]);
            let expected_sent = expected.sent.iter().map(|message| model.messages.print(*message, 0));
            let alike =
                print == model.nodes.print(expected.node, 0) && sent.iter().copied().eq(expected_sent);
            assert!(alike, "{event:?} tells apart\n{kept:?}\n{twin:?}");
            compared += 1;
        }
    }
    compared
}

#[test]
fn nodes_of_equal_fingerprints_do_the_same() {
    let apart = vec![vec![1, 2, 2], vec![1], vec![1, 3]];
    let wide =
        Bounds { terms: 6, entries: 3, messages: 6, crashes: 3, reads: 3, repeats: 3, ..Bounds::default() };
    let compared = [
        wide.clone(),
        Bounds { questions: true, ..wide.clone() },
        Bounds { late_timers: true, ..wide.clone() },
        Bounds { slow_disks: false, logs: apart, ..wide.clone() },
        Bounds { changes: 2, crashes: 1, ..wide },
    ]
    .map(check_that_nodes_of_equal_fingerprints_do_the_same);
    assert!(compared.iter().all(|compared| *compared > 10_000), "{compared:?} reactions compared");
}

/// A request of a higher term that is refused leaves a write behind, and the timer as late as it was.
#[test]
fn a_late_timer_starts_a_campaign_although_a_write_has_just_begun() {
    let campaigns = |late_timers| {
        let mut model = Model::new(Bounds { terms: 3, late_timers, ..Bounds::default() });
        wander(&mut model, 60, 120);
        let busy = |node: u32| model.views[node as usize].pending > 0;
        let ends_in_question =
            |reaction: &Reaction| model.nodes.get(reaction.node).raft().is_some_and(asks_or_campaigns);
        let timeouts = model.reactions.iter().filter(|((_, event), _)| *event == Event::Timeout);
        timeouts.filter(|((node, _), reaction)| busy(*node) && ends_in_question(reaction)).count()
    };
    assert_eq!(campaigns(false), 0);
    assert!(campaigns(true) > 10);
}

fn asks_or_campaigns(raft: &crate::Raft) -> bool {
    matches!(raft.role(), RoleName::PreCandidate | RoleName::Candidate)
}

#[test]
fn of_states_that_differ_in_who_is_who_all_and_only_one_is_looked_at() {
    let bounds = Bounds { messages: 2, entries: 0, crashes: 1, heartbeats: false, ..Bounds::default() };
    let mut model = Model::new(bounds.clone());
    let all = reach(&mut model, |model, state| model.fingerprint_under(state, 0));
    let families: HashSet<u64> = all.iter().map(|state| model.fingerprint(state)).collect();
    let mut model = Model::new(bounds);
    let looked_at = reach(&mut model, |model, state| u128::from(model.fingerprint(state)));
    let found: HashSet<u64> = looked_at.iter().map(|state| model.fingerprint(state)).collect();
    assert!(found == families, "{} and {} families", found.len(), families.len());
    assert_eq!(looked_at.len(), families.len());
    assert!(all.len() > looked_at.len() * 5, "{} of {}", looked_at.len(), all.len());
}
