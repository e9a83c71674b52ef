use std::collections::{BTreeMap, HashSet};

use super::*;

fn bounds() -> Bounds {
    Bounds { terms: 2, messages: 2, crashes: 1, reads: 1, entries: 1, ..Bounds::default() }
}

/// Everything that can happen, losses included.
fn successors(model: &mut Model, state: &State) -> Vec<State> {
    let mut actions = Vec::new();
    model.actions(state, &mut actions);
    let places = 0..u8::try_from(state.messages().len()).unwrap();
    actions.extend(places.map(|place| Action::Lose { place }));
    actions.into_iter().filter_map(|action| model.apply(state, action).unwrap()).collect()
}

/// All states, or so many of them, told apart by `print`.
fn reach(model: &mut Model, limit: usize, print: impl Fn(&Model, &State) -> u128) -> Vec<State> {
    let initial = model.initial().unwrap();
    let (mut seen, mut states) = (HashSet::from([print(model, &initial)]), vec![initial]);
    let mut next = 0;
    while next < states.len() && states.len() < limit {
        let state = states[next];
        next += 1;
        for successor in successors(model, &state) {
            if seen.insert(print(model, &successor)) {
                states.push(successor);
            }
        }
    }
    states
}

#[test]
fn nodes_of_equal_fingerprints_do_the_same() {
    let mut model = Model::new(bounds());
    reach(&mut model, 60_000, |model, state| model.fingerprint_under(state, 0));
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
        assert_eq!(twin.fingerprint_as(&model.renamings[0]), model.nodes.print(reaction.node, 0));
        for (event, expected) in reactions.get(&reaction.node).into_iter().flatten() {
            let (node, sent) = react(&twin, *event);
            assert_eq!(
                node.fingerprint_as(&model.renamings[0]),
                model.nodes.print(expected.node, 0),
                "{event:?}: {twin:?}"
            );
            let expected = expected.sent.iter().map(|message| model.messages.print(*message, 0));
            assert!(sent.iter().copied().eq(expected), "{event:?}: {twin:?}");
            compared += 1;
        }
    }
    assert!(compared > 10_000, "{compared} reactions compared");
}

#[test]
fn of_states_that_differ_in_who_is_who_all_and_only_one_is_looked_at() {
    let bounds = Bounds { messages: 2, entries: 0, crashes: 1, heartbeats: false, ..Bounds::default() };
    let mut model = Model::new(bounds.clone());
    let all = reach(&mut model, usize::MAX, |model, state| model.fingerprint_under(state, 0));
    let families: HashSet<u64> = all.iter().map(|state| model.fingerprint(state)).collect();
    let mut model = Model::new(bounds);
    let looked_at = reach(&mut model, usize::MAX, |model, state| u128::from(model.fingerprint(state)));
    let found: HashSet<u64> = looked_at.iter().map(|state| model.fingerprint(state)).collect();
    assert_eq!(found, families);
    assert_eq!(looked_at.len(), families.len());
    assert!(all.len() > looked_at.len() * 5, "{} of {}", looked_at.len(), all.len());
}
