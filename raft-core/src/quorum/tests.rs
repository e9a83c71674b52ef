use super::*;
use crate::rng::Rng;

fn ids(of: &[u64]) -> Vec<NodeId> {
    of.iter().map(|&bits| NodeId::new(bits).unwrap()).collect()
}

/// The definition itself: try every threshold, count both sets.
fn naive_reached(quorum: &Quorum, values: &[u64]) -> u64 {
    let of = |voter: &NodeId| values[usize::try_from(voter.get()).unwrap()];
    let holds = |set: &[NodeId], at: u64| {
        set.is_empty() || set.iter().filter(|voter| of(voter) >= at).count() > set.len() / 2
    };
    let all = quorum.voters();
    let reached = all.iter().map(of).filter(|&at| holds(&quorum.incoming, at) && holds(&quorum.outgoing, at));
    reached.max().unwrap_or(0)
}

#[test]
fn reached_and_vote_agree_with_the_definition_in_joint_configurations_of_up_to_seven() {
    let mut rng = Rng::new(7);
    for _ in 0..20_000 {
        let mut pick = || -> Vec<u64> { (1..=7).filter(|_| rng.below(2) == 1).collect() };
        let quorum = Quorum { incoming: ids(&pick()), outgoing: ids(&pick()) };
        let values: Vec<u64> = (0..8).map(|_| rng.below(5)).collect();
        let got = quorum.reached(|voter| values[usize::try_from(voter.get()).unwrap()]);
        assert_eq!(got, naive_reached(&quorum, &values), "{quorum:?} {values:?}");

        let answers: Vec<Option<bool>> =
            (0..8).map(|_| [None, Some(false), Some(true)][rng.below(3) as usize]).collect();
        let answer = |voter: NodeId| answers[usize::try_from(voter.get()).unwrap()];
        let wins = |set: &[NodeId], open_counts: bool| {
            let yes = set.iter().filter(|&&voter| answer(voter).unwrap_or(open_counts)).count();
            set.is_empty() || yes > set.len() / 2
        };
        let both = |open| wins(&quorum.incoming, open) && wins(&quorum.outgoing, open);
        let want = match (quorum.voters().is_empty(), both(false), both(true)) {
            (true, ..) | (_, _, false) => VoteResult::Lost,
            (_, true, _) => VoteResult::Won,
            (_, false, true) => VoteResult::Pending,
        };
        assert_eq!(quorum.vote(answer), want, "{quorum:?} {answers:?}");
    }
}
