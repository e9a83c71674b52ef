//! Several nodes, and the messages between them.

use std::collections::BTreeSet;
use std::time::Duration;

use raft_core::{Input, Message, Options, RoleName};

use super::{Disk, ELECTION_TIMEOUT, Peer, id, options, voters};

/// Deliveries after which the nodes will evidently never stop talking.
const MOST_DELIVERIES: usize = 10_000;

/// See the module. A message waits at its sender until it is delivered or lost.
pub(crate) struct Network {
    peers: Vec<Peer>,
    cut: BTreeSet<(u64, u64)>,
    /// Nodes without power.
    down: BTreeSet<u64>,
}

impl Network {
    /// Voters `1..=count`, which have heard from no leader for a while; their logs hold the configuration alone.
    pub(crate) fn of(count: usize) -> Self {
        Self::with_logs(&vec![&[1][..]; count])
    }

    /// One voter for each log.
    pub(crate) fn with_logs(logs: &[&[u64]]) -> Self {
        Self::with_options(&options(), logs)
    }

    /// One voter for each log, all with these options.
    pub(crate) fn with_options(options: &Options, logs: &[&[u64]]) -> Self {
        let configuration = voters(1..=logs.len() as u64);
        let disks = logs.iter().map(|terms| Disk::with_log(&configuration, terms));
        Self::with_disks(options, disks)
    }

    /// One node for each disk.
    pub(crate) fn with_disks(options: &Options, disks: impl IntoIterator<Item = Disk>) -> Self {
        let numbered = (1..).zip(disks);
        let peers = numbered.map(|(number, disk)| Peer::start(number, options.clone(), disk)).collect();
        let mut network = Self { peers, cut: BTreeSet::new(), down: BTreeSet::new() };
        network.time_passes(ELECTION_TIMEOUT);
        network
    }

    /// Nodes `1..=founders` are a cluster, which node 1 leads; the next ones up to `count` belong to none yet, but were
    /// greeted.
    pub(crate) fn founded(founders: u64, count: u64) -> Self {
        let configuration = voters(1..=founders);
        let disks = (1..=count).map(|number| match number <= founders {
            true => Disk::with_log(&configuration, &[1]),
            false => Disk::blank(),
        });
        let mut net = Self::with_disks(&options(), disks);
        for number in founders + 1..=count {
            net.node(number).step(Input::Greeted(configuration.cluster_id()));
        }
        net.elect(1);
        net
    }

    /// Node `number`.
    pub(crate) fn node(&mut self, number: u64) -> &mut Peer {
        &mut self.peers[usize::try_from(number - 1).expect("a small number")]
    }

    pub(crate) fn numbers(&self) -> std::ops::RangeInclusive<u64> {
        1..=self.peers.len() as u64
    }

    /// All clocks run on; no timer fires.
    pub(crate) fn time_passes(&mut self, duration: Duration) {
        self.peers.iter_mut().for_each(|peer| peer.time_passes(duration));
    }

    /// Delivers every message, and every message that follows from it, until all is quiet.
    pub(crate) fn deliver(&mut self) {
        let mut deliveries = 0;
        while self.deliver_one() {
            deliveries += 1;
            assert!(deliveries < MOST_DELIVERIES, "the nodes never stop talking");
        }
    }

    /// Delivers the oldest message of some node. Whether there was one.
    pub(crate) fn deliver_one(&mut self) -> bool {
        let Some((from, to, message)) = self.next_message() else { return false };
        self.node(to).receives(from, message);
        true
    }

    /// The oldest message of some node that can arrive; those that cannot are lost on the way.
    fn next_message(&mut self) -> Option<(u64, u64, Message)> {
        for from in self.numbers() {
            let mut outbox = self.node(from).sent().into_iter();
            while let Some((to, message)) = outbox.next() {
                if self.numbers().contains(&to) && !self.is_cut(from, to) {
                    let rest = outbox.collect();
                    self.node(from).puts_back(rest);
                    return Some((from, to, message));
                }
            }
        }
        None
    }

    /// Whether what node `from` says cannot reach node `to` now.
    pub(crate) fn is_cut(&self, from: u64, to: u64) -> bool {
        self.cut.contains(&(from, to)) || self.down.contains(&to)
    }

    /// Delivers what node `from` has to say to node `to`, and nothing that follows from it.
    pub(crate) fn deliver_from(&mut self, from: u64, to: u64) {
        for message in self.node(from).sent_to(to) {
            self.node(to).receives(from, message);
        }
    }

    /// Delivers what nodes `one` and `other` have to say to each other until they are quiet; what `one` said.
    pub(crate) fn converse(&mut self, one: u64, other: u64) -> Vec<Message> {
        let mut said = Vec::new();
        loop {
            let messages = self.node(one).sent_to(other);
            for message in &messages {
                self.node(other).receives(one, message.clone());
            }
            let answers = self.node(other).sent_to(one);
            if messages.is_empty() && answers.is_empty() {
                return said;
            }
            said.extend(messages);
            assert!(said.len() < MOST_DELIVERIES, "the nodes never stop talking");
            for answer in answers {
                self.node(one).receives(other, answer);
            }
        }
    }

    /// Loses every message on its way.
    pub(crate) fn lose_messages(&mut self) {
        self.peers.iter_mut().for_each(|peer| drop(peer.sent()));
    }

    /// From now on, nothing that node `from` says reaches node `to`.
    pub(crate) fn cut(&mut self, from: u64, to: u64) {
        self.cut.insert((from, to));
    }

    /// From now on, node `number` neither hears nor is heard.
    pub(crate) fn isolate(&mut self, number: u64) {
        for other in self.numbers() {
            self.cut(number, other);
            self.cut(other, number);
        }
    }

    /// Everybody hears everybody again, and knows that messages may have been lost.
    pub(crate) fn heal(&mut self) {
        for (from, to) in std::mem::take(&mut self.cut) {
            if from != to {
                self.node(from).step(Input::Unreachable(id(to)));
            }
        }
    }

    /// Node `number` loses power: what was not durable is gone, and what others say to it meanwhile.
    pub(crate) fn crash(&mut self, number: u64) {
        self.node(number).restarts();
        self.down.insert(number);
    }

    /// Whether node `number` has no power.
    pub(crate) fn is_down(&self, number: u64) -> bool {
        self.down.contains(&number)
    }

    /// Node `number` starts again, having lost power now if it had any; its connections break.
    pub(crate) fn restart(&mut self, number: u64) {
        if !self.down.remove(&number) {
            self.node(number).restarts();
        }
        for other in self.numbers().filter(|&other| other != number) {
            self.node(other).step(Input::Unreachable(id(number)));
        }
    }

    /// The others' promises to their leader lapse, node `number` times out, campaigns and wins; at the second
    /// attempt if the first one only teaches it a later term.
    #[track_caller]
    pub(crate) fn elect(&mut self, number: u64) {
        for _ in 0..2 {
            self.time_passes(ELECTION_TIMEOUT);
            self.node(number).times_out();
            self.deliver();
            if self.node(number).role() == RoleName::Leader {
                return;
            }
        }
        panic!("node {number} is not elected");
    }

    /// Node `leader`'s heartbeat timer fires `times` times, and everything that follows is delivered.
    #[track_caller]
    pub(crate) fn heartbeats(&mut self, leader: u64, times: usize) {
        for _ in 0..times {
            self.time_passes(super::HEARTBEAT);
            self.node(leader).heartbeats();
            self.deliver();
        }
    }

    /// Every timer fires in its time, and everything is delivered, until node by node somebody leads; who it is.
    pub(crate) fn run_until_a_leader_emerges(&mut self) -> u64 {
        for _ in 0..100 {
            self.next_timer_fires();
            self.deliver();
            let leader = self.numbers().find(|&number| self.node(number).role() == RoleName::Leader);
            if let Some(leader) = leader {
                return leader;
            }
        }
        panic!("nobody leads after 100 timeouts");
    }

    /// The clocks of all nodes run on to the next deadline, and every timer that is due fires.
    pub(crate) fn next_timer_fires(&mut self) {
        let up: Vec<u64> = self.numbers().filter(|number| !self.is_down(*number)).collect();
        let Some(soonest) = up.iter().map(|&number| self.node(number).raft.next_deadline()).min() else {
            return;
        };
        for number in up {
            let peer = self.node(number);
            peer.now = peer.now.max(soonest);
            if peer.raft.next_deadline() <= peer.now {
                peer.timer_looks();
            }
        }
    }

    /// Node `from` sends its newest snapshot to node `to`, which installs it.
    #[track_caller]
    pub(crate) fn transfer_snapshot(&mut self, from: u64, to: u64) {
        let offer = self.node(from).offers();
        let complete = self.node(to).accepts(from, &offer);
        if complete {
            self.node(to).transfer_ends(from, &offer, true);
        }
        self.node(from).step(Input::SnapshotSent { to: id(to), complete });
    }

    /// The commit indexes, node by node.
    pub(crate) fn commits(&self) -> Vec<u64> {
        self.peers.iter().map(Peer::commit).collect()
    }

    /// The logs, node by node.
    pub(crate) fn logs(&self) -> Vec<Vec<u64>> {
        self.peers.iter().map(Peer::log).collect()
    }
}
