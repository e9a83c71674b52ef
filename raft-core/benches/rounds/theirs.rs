//! Crate `raft` 0.7: three `RawNode`s over its own `MemStorage`, driven as its examples do.

use std::collections::VecDeque;

use raft::eraftpb::{Entry, EntryType, Message};
use raft::storage::MemStorage;
use raft::{Config, RawNode, StateRole};
use slog::{Discard, Logger, o};

use super::{Cluster, command};

struct Node {
    raft: RawNode<MemStorage>,
    inbox: VecDeque<Message>,
    applied: usize,
}

pub(crate) struct Theirs {
    nodes: Vec<Node>,
    proposed: usize,
}

const LEADER: usize = 0;

impl Node {
    fn new(id: u64) -> Self {
        let config = Config {
            id,
            election_tick: 10,
            heartbeat_tick: 3,
            max_size_per_msg: 1 << 20,
            max_inflight_msgs: 256,
            pre_vote: true,
            check_quorum: true,
            ..Config::default()
        };
        let storage = MemStorage::new_with_conf_state((vec![1, 2, 3], vec![]));
        let raft =
            RawNode::new(&config, storage, &Logger::root(Discard, o!())).expect("a sound configuration");
        Self { raft, inbox: VecDeque::new(), applied: 0 }
    }

    fn apply(&mut self, entries: &[Entry]) {
        let is_command =
            |entry: &&Entry| entry.get_entry_type() == EntryType::EntryNormal && !entry.data.is_empty();
        self.applied += entries.iter().filter(is_command).count();
    }

    /// Takes what has arrived; what it sends goes to `sent`.
    fn turn(&mut self, sent: &mut Vec<Message>) {
        for message in self.inbox.drain(..) {
            self.raft.step(message).expect("a peer's message");
        }
        while self.raft.has_ready() {
            let store = self.raft.store().clone();
            let mut ready = self.raft.ready();
            sent.append(&mut ready.take_messages());
            let committed = ready.take_committed_entries();
            self.apply(&committed);
            store.wl().append(ready.entries()).expect("contiguous entries");
            if let Some(hard_state) = ready.hs() {
                store.wl().set_hardstate(hard_state.clone());
            }
            sent.append(&mut ready.take_persisted_messages());
            let mut light = self.raft.advance(ready);
            if let Some(commit) = light.commit_index() {
                store.wl().mut_hard_state().set_commit(commit);
            }
            sent.append(&mut light.take_messages());
            let committed = light.take_committed_entries();
            self.apply(&committed);
            self.raft.advance_apply();
        }
    }
}

impl Theirs {
    fn deliver(&mut self) {
        let mut sent = Vec::new();
        loop {
            for at in 0..self.nodes.len() {
                self.nodes[at].turn(&mut sent);
                for message in sent.drain(..) {
                    let to = usize::try_from(message.to - 1).expect("three nodes");
                    self.nodes[to].inbox.push_back(message);
                }
            }
            if self.nodes.iter().all(|node| node.inbox.is_empty()) {
                return;
            }
        }
    }
}

impl Cluster for Theirs {
    fn new() -> Self {
        let mut cluster = Self { nodes: (1..=3).map(Node::new).collect(), proposed: 0 };
        cluster.nodes[LEADER].raft.campaign().expect("nobody else campaigns");
        cluster.deliver();
        assert_eq!(cluster.nodes[LEADER].raft.raft.state, StateRole::Leader);
        cluster
    }

    fn round(&mut self, batch: usize) {
        for _ in 0..batch {
            self.proposed += 1;
            let command = command(self.proposed);
            self.nodes[LEADER].raft.propose(Vec::new(), command).expect("the leader takes it");
        }
        self.deliver();
        assert_eq!(self.nodes[LEADER].applied, self.proposed, "the leader has applied the batch");
    }

    fn finish(&mut self) -> [usize; 3] {
        for _ in 0..4 {
            self.nodes[LEADER].raft.tick();
            self.deliver();
        }
        [0, 1, 2].map(|at| self.nodes[at].applied)
    }
}
