//! The cluster: which actions a state allows, and which state each of them leads to.

#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};

use smallvec::SmallVec;

use super::action::Action;
use super::bounds::Bounds;
use super::disk::Disk;
use super::history::{Ballot, History, View};
use super::node::{Envelope, Node, Stimulus};
use super::state::State;
use super::symmetry::{Renaming, renamings};
use super::tables::{Interned, Table};
use super::violation::Violation;
use crate::block::{Block, BlockBuilder, EntryKind};
use crate::configuration::{Configuration, Member, MemberChange, MemberRole};
use crate::message::Message;
use crate::types::{HardState, LogIndex, NodeId, Term};

/// Something that happens to one node, by numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Event {
    Deliver(u32),
    Timeout,
    Overdue,
    Heartbeat,
    Sync,
    Crash { keeps: u8, part: bool },
    Restart,
    Propose,
    Read(LogIndex),
    Change(u8),
}

type Sent = SmallVec<[u32; 4]>;

/// What a node does about an event.
#[derive(Clone, Debug)]
struct Reaction {
    node: u32,
    sent: Sent,
    /// The history has to hear of it.
    counts: bool,
}

/// See the module.
pub(super) struct Model {
    bounds: Bounds,
    nodes: Interned<Node>,
    views: Vec<View>,
    messages: Interned<Envelope>,
    histories: Interned<History>,
    reactions: Table<(u32, Event), Reaction>,
    renamings: Vec<Renaming>,
    wishes: Vec<Vec<MemberChange>>,
}

impl Model {
    pub(super) fn new(bounds: Bounds) -> Self {
        let voters = u64::from(bounds.nodes);
        let spare = u64::from(bounds.changes > 0);
        let renamings = renamings(voters, voters + spare, u64::from(bounds.crashes) + 1, bounds.symmetry);
        let count = renamings.len();
        Self {
            bounds,
            nodes: Interned::new(count),
            views: Vec::new(),
            messages: Interned::new(count),
            histories: Interned::new(count),
            reactions: Table::default(),
            renamings,
            wishes: if spare > 0 { wishes(voters) } else { Vec::new() },
        }
    }

    /// A cluster that has just been founded, or whose logs are as the bounds wish; nobody leads. Who waits to join knows
    /// nothing.
    pub(super) fn initial(&mut self) -> Result<State, Violation> {
        let voters = u64::from(self.bounds.nodes);
        let configuration =
            Configuration::new(1, (1..=voters).map(member).collect()).expect("nodes have names");
        let logs = match self.bounds.logs.is_empty() {
            true => vec![vec![1]; usize::from(self.bounds.nodes)],
            false => self.bounds.logs.clone(),
        };
        let term = logs.iter().flatten().max().copied().unwrap_or_default();
        // Whoever has an entry of a term led it, or voted for its leader; no vote in it is left.
        let leader =
            (1..).zip(&logs).find(|(_, log)| term > 1 && log.contains(&term)).map(|(number, _)| id(number));
        let cluster_id = Some(configuration.cluster_id());
        let hard_state = HardState { cluster_id, current_term: Term(term), voted_for: leader };
        let mut disks: Vec<Disk> =
            logs.iter().map(|terms| Disk::new(hard_state, log(&configuration, terms))).collect();
        if self.bounds.changes > 0 {
            disks.push(Disk::new(HardState { cluster_id, ..HardState::default() }, Vec::new()));
        }
        let mut nodes = Vec::new();
        for (disk, number) in disks.into_iter().zip(1..) {
            let node = Node::start(id(number), disk, !self.bounds.slow_disks)?;
            nodes.push(self.number_node(node));
        }
        let history = self.number_history(History::default());
        Ok(State::new(&nodes, history))
    }

    /// Everything that can happen next, but for losses: a message that is not delivered is as good as lost, unless its
    /// place is needed.
    pub(super) fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.clear();
        let history = self.histories.get(state.history);
        for (place, message) in (0u8..).zip(state.messages()) {
            if !self.views[state.nodes()[slot_of(self.messages.get(*message).to)] as usize].is_up {
                continue;
            }
            actions.push(Action::Deliver { place, again: false });
            if history.repeats < self.bounds.repeats {
                actions.push(Action::Deliver { place, again: true });
            }
        }
        for (slot, &node) in (0u8..).zip(state.nodes()) {
            self.actions_at(slot, node, history, actions);
        }
    }

    fn actions_at(&self, slot: u8, node: u32, history: &History, actions: &mut Vec<Action>) {
        let (bounds, view) = (&self.bounds, &self.views[node as usize]);
        if !view.is_up {
            return actions.push(Action::Restart { slot });
        }
        // If the whole time passes at once, a disk that takes so long counts as stuck: such a node does not campaign.
        let may_campaign = view.term <= Term(u64::from(bounds.terms));
        if view.leads || (may_campaign && (view.pending == 0 || bounds.late_timers)) {
            actions.push(Action::Timeout { slot });
        }
        if bounds.late_timers && may_campaign && !view.leads && !view.is_overdue {
            actions.push(Action::Overdue { slot });
        }
        if view.pending > 0 {
            actions.push(Action::Sync { slot });
        }
        if history.crashes < bounds.crashes {
            self.crashes_at(slot, node, actions);
        }
        if history.reads < bounds.reads && view.can_read {
            actions.push(Action::Read { slot });
        }
        if view.leads {
            self.actions_of_leader(slot, view, actions);
        }
    }

    fn crashes_at(&self, slot: u8, node: u32, actions: &mut Vec<Action>) {
        let node = self.nodes.get(node);
        for keeps in 0..=node.pending() {
            let part = [false, true].into_iter().filter(|part| !part || node.can_tear(keeps));
            let keeps = u8::try_from(keeps).expect("few writes wait");
            actions.extend(part.map(|part| Action::Crash { slot, keeps, part }));
        }
    }

    fn actions_of_leader(&self, slot: u8, view: &View, actions: &mut Vec<Action>) {
        let of_kind = |kind| view.log.iter().filter(|tag| tag.kind == kind).count();
        if self.bounds.heartbeats {
            actions.push(Action::Heartbeat { slot });
        }
        if of_kind(EntryKind::Normal) < usize::from(self.bounds.entries) {
            actions.push(Action::Propose { slot });
        }
        if of_kind(EntryKind::Configuration) <= usize::from(self.bounds.changes) {
            let wishes = (0u8..).zip(&self.wishes);
            actions.extend(wishes.map(|(wish, _)| Action::Change { slot, wish }));
        }
    }

    /// The state that `action` leads to; `None` if more messages would be in flight than may be.
    ///
    /// # Errors
    /// It breaks a promise.
    pub(super) fn apply(&mut self, state: &State, action: Action) -> Result<Option<State>, Violation> {
        let mut next = *state;
        let (slot, event) = match action {
            Action::Lose { place } => {
                next.remove_message(usize::from(place));
                return Ok(Some(next));
            }
            Action::Deliver { place, again } => {
                let message = next.messages()[usize::from(place)];
                if again {
                    self.count(&mut next, |history| history.repeats += 1);
                } else {
                    next.remove_message(usize::from(place));
                }
                (slot_of(self.messages.get(message).to), Event::Deliver(message))
            }
            Action::Timeout { slot } => (usize::from(slot), Event::Timeout),
            Action::Overdue { slot } => (usize::from(slot), Event::Overdue),
            Action::Heartbeat { slot } => (usize::from(slot), Event::Heartbeat),
            Action::Sync { slot } => (usize::from(slot), Event::Sync),
            Action::Crash { slot, keeps, part } => {
                self.count(&mut next, |history| history.crashes += 1);
                (usize::from(slot), Event::Crash { keeps, part })
            }
            Action::Restart { slot } => (usize::from(slot), Event::Restart),
            Action::Propose { slot } => (usize::from(slot), Event::Propose),
            Action::Read { slot } => {
                let floor = self.histories.get(next.history).committed();
                self.count(&mut next, |history| history.reads += 1);
                (usize::from(slot), Event::Read(floor))
            }
            Action::Change { slot, wish } => (usize::from(slot), Event::Change(wish)),
        };
        let sent = self.happen(&mut next, slot, event)?;
        let all_fit = self.post(&mut next, slot, sent)?;
        Ok(all_fit.then_some(next))
    }

    /// Puts what `slot` has sent on its way, but for questions that are answered at once. Whether there is room for it.
    fn post(&mut self, state: &mut State, slot: usize, sent: Sent) -> Result<bool, Violation> {
        let (mut all_fit, mut answers) = (true, Sent::new());
        for message in sent {
            let envelope = self.messages.get(message);
            let is_question = matches!(&envelope.message, Message::RequestVote(request) if request.pre);
            if is_question && !self.bounds.questions {
                let to = slot_of(envelope.to);
                if self.views[state.nodes()[to] as usize].is_up {
                    answers.extend(self.happen(state, to, Event::Deliver(message))?);
                }
            } else {
                all_fit &= state.add_message(message, usize::from(self.bounds.messages));
            }
        }
        Ok(all_fit & self.answer(state, slot, answers)?)
    }

    /// Lets the answers to a question arrive, those that grant what is asked for first, until there is no need for more: so
    /// that it does not matter who is who.
    fn answer(&mut self, state: &mut State, slot: usize, mut answers: Sent) -> Result<bool, Violation> {
        let refuses = |answer: &u32| !matches!(&self.messages.get(*answer).message, Message::RequestVoteResponse(answer) if answer.granted);
        answers.sort_by_key(refuses);
        let mut all_fit = true;
        for answer in answers {
            if self.views[state.nodes()[slot] as usize].asks {
                let sent = self.happen(state, slot, Event::Deliver(answer))?;
                all_fit &= self.post(state, slot, sent)?;
            }
        }
        Ok(all_fit)
    }

    /// Lets something happen to one node; gives what it sends.
    fn happen(&mut self, state: &mut State, slot: usize, event: Event) -> Result<Sent, Violation> {
        let before = state.nodes()[slot];
        let reaction = match self.reactions.get(&(before, event)) {
            Some(reaction) => reaction.clone(),
            None => {
                let reaction = self.work_out(before, event)?;
                self.reactions.insert((before, event), reaction.clone());
                reaction
            }
        };
        state.set_node(slot, reaction.node);
        if reaction.counts {
            let mut history = self.histories.get(state.history).clone();
            let others = state.nodes().iter().enumerate().filter(|(other, _)| *other != slot);
            let others = others.map(|(_, node)| &self.views[*node as usize]);
            let [was, is] = [before, reaction.node].map(|node| &self.views[node as usize]);
            // Whoever is asked for other members counts by them at once; else they follow from what was committed before.
            let before = if matches!(event, Event::Change(_)) { is } else { was };
            let in_force = [before, is].map(Ballot::of);
            history.witness([was, is], in_force, others)?;
            state.history = self.number_history(history);
        }
        Ok(reaction.sent)
    }

    fn stimulus(&self, event: Event) -> Stimulus<'_> {
        match event {
            Event::Deliver(message) => Stimulus::Deliver(self.messages.get(message)),
            Event::Timeout => Stimulus::Timeout,
            Event::Overdue => Stimulus::Overdue,
            Event::Heartbeat => Stimulus::Heartbeat,
            Event::Sync => Stimulus::Sync,
            Event::Crash { keeps, part } => Stimulus::Crash { keeps: usize::from(keeps), part },
            Event::Restart => Stimulus::Restart,
            Event::Propose => Stimulus::Propose,
            Event::Read(floor) => Stimulus::Read { floor },
            Event::Change(wish) => Stimulus::Change(&self.wishes[usize::from(wish)]),
        }
    }

    fn work_out(&mut self, before: u32, event: Event) -> Result<Reaction, Violation> {
        let (node, stimulus) = (self.nodes.get(before), self.stimulus(event));
        let reacted = catch_unwind(AssertUnwindSafe(|| node.react(stimulus)));
        let (node, sent) = reacted.unwrap_or_else(|panic| Err(Violation::panicked(&*panic)))?;
        let node = self.number_node(node);
        let sent = sent.into_iter().map(|envelope| self.number_message(envelope)).collect();
        let (was, is) = (&self.views[before as usize], &self.views[node as usize]);
        let facts = |view: &View| (view.leads, view.term, view.commit, view.is_up);
        let counts = facts(was) != facts(is) || was.log != is.log;
        Ok(Reaction { node, sent, counts })
    }

    fn count(&mut self, state: &mut State, change: impl FnOnce(&mut History)) {
        let mut history = self.histories.get(state.history).clone();
        change(&mut history);
        state.history = self.number_history(history);
    }

    fn number_node(&mut self, node: Node) -> u32 {
        let renamings = &self.renamings;
        let number = self.nodes.number(node, |node, at| node.fingerprint_as(&renamings[at]));
        if number as usize == self.views.len() {
            self.views.push(View::new(self.nodes.get(number)));
        }
        number
    }

    fn number_message(&mut self, envelope: Envelope) -> u32 {
        let renamings = &self.renamings;
        self.messages.number(envelope, |envelope, at| envelope.fingerprint_as(&renamings[at]))
    }

    fn number_history(&mut self, history: History) -> u32 {
        let renamings = &self.renamings;
        self.histories.number(history, |history, at| history.fingerprint_as(&renamings[at]))
    }

    /// The same for all states that differ only in who is who.
    pub(super) fn fingerprint(&self, state: &State) -> u64 {
        let prints = (0..self.renamings.len()).map(|renaming| self.fingerprint_under(state, renaming));
        let smallest = prints.min().unwrap_or_default();
        (smallest ^ (smallest >> 64)) as u64
    }

    /// Fingerprints of the parts are added up: each of them names the nodes that it is about.
    fn fingerprint_under(&self, state: &State, renaming: usize) -> u128 {
        let nodes = state.nodes().iter().map(|node| self.nodes.print(*node, renaming));
        let messages = state.messages().iter().map(|message| self.messages.print(*message, renaming));
        let history = self.histories.print(state.history, renaming);
        nodes.chain(messages).fold(history, u128::wrapping_add)
    }

    /// Local states and messages so far.
    pub(super) fn sizes(&self) -> [usize; 2] {
        [self.nodes.len(), self.messages.len()]
    }

    pub(super) fn view(&self, node: u32) -> &View {
        &self.views[node as usize]
    }

    pub(super) fn envelope(&self, message: u32) -> &Envelope {
        self.messages.get(message)
    }

    pub(super) fn wish(&self, wish: u8) -> &[MemberChange] {
        &self.wishes[usize::from(wish)]
    }
}

fn id(number: u64) -> NodeId {
    NodeId::new(number).expect("nodes are numbered from 1")
}

fn slot_of(id: NodeId) -> usize {
    usize::try_from(id.get() - 1).expect("nodes are numbered from 1")
}

fn member(number: u64) -> Member {
    let (peer_address, client_address) = (String::new(), String::new());
    let (role, name) = (MemberRole::Voter, format!("n{number}"));
    Member { id: id(number), role, newest_version: 1, name, peer_address, client_address }
}

/// The first configuration, and behind it the first entries of terms.
fn log(configuration: &Configuration, terms: &[u64]) -> Vec<Block> {
    let entry = |(index, term): (u64, &u64)| {
        let (mut entries, mut payload) = (BlockBuilder::new(), Vec::new());
        if index == 1 {
            configuration.encode(&mut payload);
        }
        let kind = if index == 1 { EntryKind::Configuration } else { EntryKind::NoOp };
        entries.push(kind, &[&payload]);
        entries.finish(LogIndex(index), Term(*term)).expect("it has an entry")
    };
    (1..).zip(terms).map(entry).collect()
}

/// The node that waits joins, or a voter leaves, or both at once.
fn wishes(voters: u64) -> Vec<Vec<MemberChange>> {
    let joins = MemberChange::Put(member(voters + 1));
    let leaves = (1..=voters).map(|number| MemberChange::Remove(id(number)));
    let replaces = leaves.clone().map(|leaves| vec![leaves, joins.clone()]);
    [vec![joins.clone()]].into_iter().chain(leaves.map(|leaves| vec![leaves])).chain(replaces).collect()
}
