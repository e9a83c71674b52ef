//! A run as a sequence chart: one HTML page that needs nothing else.
//!
//! Time runs down, one row a step. Each node has a lane that shows its role; what it is at (term, log, commit, disk) stands
//! beside the lane wherever it changes. Messages run from the row in which they were sent to the row in which they arrived.
//! The last row is the violation, in words.

mod page;
#[cfg(test)]
mod tests;

use super::cluster::{Action, Cluster, Delivery, MessageKind, NodeView, Setup, Violation, summary};
use super::replay::{Diverged, Played, Player, retrace};
use super::world::{Recording, Step};
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

/// Draws a run, which leads to `violation` if there is one, as an HTML page called `title`: all of it, or its end.
///
/// # Errors
/// [`Diverged`]: what could be drawn is not the run.
pub fn draw(
    title: &str,
    setup: &Setup,
    recording: &Recording,
    violation: Option<&Violation>,
) -> Result<String, Diverged> {
    let story = tell(setup, recording)?;
    Ok(page::page(title, &story, violation))
}

fn tell(setup: &Setup, recording: &Recording) -> Result<Story, Diverged> {
    let steps = &recording.steps;
    let hidden = steps.len().saturating_sub(MOST_ROWS);
    let mut teller = Teller::default();
    retrace(setup, recording, |player, played| match played.checked_sub(hidden) {
        None => {}
        Some(0) => teller.begin(player, hidden, steps.first().map_or(Time::ZERO, |step| step.at)),
        Some(_) => teller.go_on(player, &steps[played - 1]),
    })?;
    Ok(teller.end())
}

/// Writes the story down while the run goes on.
#[derive(Default)]
struct Teller {
    story: Story,
    under_way: Vec<Letter>,
}

/// A message that was sent in a row that is drawn.
struct Letter {
    from: usize,
    to: usize,
    /// Among all that were ever sent on its link.
    place: usize,
    kind: MessageKind,
    row: usize,
    arrived: bool,
}

impl Teller {
    fn begin(&mut self, player: &Player, hidden: usize, at: Time) {
        let text = match hidden {
            0 => "the cluster starts".to_owned(),
            _ => format!("after {hidden} steps"),
        };
        self.story.rows.push(Row { at, node: None, text, looks: look(player.cluster()), lost: Vec::new() });
    }

    fn go_on(&mut self, player: &Player, step: &Step) {
        let row = self.story.rows.len();
        let Played { delivered, sent, .. } = player.played();
        if let (Some(place), Action::Deliver(delivery)) = (*delivered, &step.action) {
            self.arrive(player, delivery, place, row);
        }
        for &(from, to, place) in sent {
            let kind = player.message(from, to, place).map(MessageKind::of);
            self.under_way.extend(kind.map(|kind| Letter { from, to, place, kind, row, arrived: false }));
        }
        self.story.rows.push(Row {
            at: step.at,
            node: step.action.node(),
            text: step.action.to_string(),
            looks: look(player.cluster()),
            lost: Vec::new(),
        });
    }

    fn arrive(&mut self, player: &Player, delivery: &Delivery, place: usize, row: usize) {
        let &Delivery { from, to, kind, .. } = delivery;
        let is_it = |letter: &&mut Letter| (letter.from, letter.to, letter.place) == (from, to, place);
        let letter = self.under_way.iter_mut().find(is_it);
        let sent = letter.map(|letter| {
            letter.arrived = true;
            letter.row
        });
        let says = player.message(from, to, place).map_or_else(String::new, summary);
        self.story.arrows.push(Arrow { from, to, sent, arrived: row, kind, says });
    }

    fn end(mut self) -> Story {
        for letter in self.under_way.into_iter().filter(|letter| !letter.arrived) {
            self.story.rows[letter.row].lost.push((letter.to, letter.kind));
        }
        self.story
    }
}

fn look(cluster: &Cluster) -> Vec<Look> {
    (0..cluster.node_count()).map(|place| look_at(&cluster.node(place))).collect()
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
