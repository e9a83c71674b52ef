use super::*;
use crate::testing::world::{Plan, World};

/// The story of a run, and how its nodes looked at the end of it.
fn told(seed: u64) -> (Recording, Story, Vec<Look>) {
    let plan = Plan::draw(seed);
    let mut world = World::new(seed, plan.clone()).expect("it starts");
    world.record();
    world.run().expect("nothing is wrong with this seed");
    let recording = world.take_recording();
    let story = tell(&plan.setup, &recording).expect("a replay is the same run");
    (recording, story, look(world.cluster()))
}

#[test]
fn the_chart_of_a_long_run_ends_in_the_state_in_which_the_run_ended() {
    for seed in [20_284, 7, 8, 9] {
        let (recording, story, looks) = told(seed);
        assert!(recording.steps.len() > 10 * MOST_ROWS, "seed {seed} is a short run");
        assert_eq!(story.rows.len(), MOST_ROWS + 1);
        let last = story.rows.last().map(|row| &row.looks);
        assert_eq!(last, Some(&looks), "seed {seed}");
    }
}

#[test]
fn a_run_that_replays_otherwise_is_not_drawn() {
    let plan = Plan::draw(1).small();
    let mut recording = crate::testing::world::record_seed(1, &plan).recording;
    let odd = recording.steps.len() / 2;
    recording.traces[odd] ^= 1;
    let diverged = draw("", &plan.setup, &recording, None).map(drop);
    assert_eq!(diverged.map_err(|diverged| diverged.step), Err(odd + 1));
}
