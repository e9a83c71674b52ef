//! A run as a sequence chart: one HTML page that needs nothing else.
//!
//! Time runs down, one row a step. Each node has a lane that shows its role; what it is at (term, log, commit, disk) stands
//! beside the lane wherever it changes. Messages run from the row in which they were sent to the row in which they arrived.
//! The last row is the violation, in words.

mod page;

use super::cluster::{MessageKind, NodeView, Setup, Violation, summary};
use super::replay::Player;
use super::world::{Step, guarded};
use crate::raft::RoleName;
use crate::time::Time;
use crate::types::EntryId;

/// The longest run that is drawn whole; of a longer one its end is.
const MOST_ROWS: usize = 400;

/// How one node looks after a step.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    /// `None`: it is down.
    role: Option<RoleName>,
    awake: bool,
    term: u64,
    last: EntryId,
    commit: u64,
    disk: String,
}

/// A message that arrived.
#[derive(Clone, Debug)]
struct Arrow {
    from: usize,
    to: usize,
    /// Row in which it was sent; `None`: before the first one drawn.
    sent: Option<usize>,
    arrived: usize,
    kind: MessageKind,
    says: String,
}

#[derive(Clone, Debug)]
struct Row {
    at: Time,
    node: Option<usize>,
    text: String,
    looks: Vec<Look>,
    /// Messages sent in this row that never arrive: the receiver of each, and what it is.
    lost: Vec<(usize, MessageKind)>,
}

/// What there is to draw.
#[derive(Clone, Debug, Default)]
struct Story {
    rows: Vec<Row>,
    arrows: Vec<Arrow>,
}

/// Draws the run of `steps`, which leads to `violation`, as an HTML page called `title`.
#[must_use]
pub fn draw(title: &str, setup: &Setup, steps: &[Step], violation: Option<&Violation>) -> String {
    let mut story = Story::default();
    // The violation is known; what is wanted here is the way to it.
    drop(guarded(|| tell(&mut story, setup, steps)));
    page::page(title, &story, violation)
}

fn tell(story: &mut Story, setup: &Setup, steps: &[Step]) -> Result<(), Violation> {
    let mut player = Player::new(setup.clone())?;
    let hidden = steps.len().saturating_sub(MOST_ROWS);
    for step in &steps[..hidden] {
        player.play(step)?;
    }
    story.rows.push(Row {
        at: steps.get(hidden).map_or(Time::ZERO, |step| step.at),
        node: None,
        text: if hidden > 0 { format!("after {hidden} steps") } else { "the cluster starts".to_owned() },
        looks: look(&player),
        lost: Vec::new(),
    });
    let mut under_way: Vec<(usize, usize, usize, usize)> = Vec::new();
    for step in &steps[hidden..] {
        let row = story.rows.len();
        story.rows.push(Row {
            at: step.at,
            node: step.action.node(),
            text: step.action.to_string(),
            looks: story.rows[row - 1].looks.clone(),
            lost: Vec::new(),
        });
        let played = player.play(step)?;
        if let (Some(place), super::cluster::Action::Deliver(delivery)) = (played.delivered, &step.action) {
            let (from, to) = (delivery.from, delivery.to);
            let sent = under_way.iter().find(|sent| (sent.0, sent.1, sent.2) == (from, to, place));
            let sent = sent.map(|(_, _, _, row)| *row);
            let says = player.message(from, to, place).map_or_else(String::new, summary);
            story.arrows.push(Arrow { from, to, sent, arrived: row, kind: delivery.kind, says });
        }
        under_way.extend(played.sent.iter().map(|&(from, to, place)| (from, to, place, row)));
        story.rows[row].looks = look(&player);
    }
    mark_lost(story, &player, &under_way);
    Ok(())
}

fn mark_lost(story: &mut Story, player: &Player, under_way: &[(usize, usize, usize, usize)]) {
    for &(from, to, place, row) in under_way {
        let arrived =
            story.arrows.iter().any(|arrow| (arrow.from, arrow.to, arrow.sent) == (from, to, Some(row)));
        if let Some(message) = player.message(from, to, place).filter(|_| !arrived) {
            story.rows[row].lost.push((to, MessageKind::of(message)));
        }
    }
}

fn look(player: &Player) -> Vec<Look> {
    (0..player.cluster().node_count()).map(|place| look_at(&player.cluster().node(place))).collect()
}

fn look_at(node: &NodeView<'_>) -> Look {
    let raft = node.raft();
    let (hard_state, last) = node.disk();
    Look {
        role: raft.map(crate::Raft::role),
        awake: node.is_awake(),
        term: raft.map_or(hard_state.current_term.0, |raft| raft.hard_state().current_term.0),
        last: raft.map_or(last, crate::Raft::last_entry),
        commit: raft.map_or(0, |raft| raft.commit_index().0),
        disk: node.describe_disk(),
    }
}
