//! What a peer has said and done, and how it stands.

use std::sync::Arc;

use raft_core::message::AppendEntries;
use raft_core::snapshot::SnapshotMeta;
use raft_core::{
    Block, Effect, EntryId, Halt, LogIndex, Message, NodeId, PeerStatus, ReadError, RoleName, Ticket,
};

use super::Peer;
use crate::support::id;

impl Peer {
    /// What it said since last asked, and to whom.
    pub(crate) fn sent(&mut self) -> Vec<(u64, Message)> {
        std::mem::take(&mut self.outbox)
    }

    /// Whether something that it said waits to be taken.
    pub(crate) fn has_sent(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Messages that were looked at and not taken.
    pub(crate) fn puts_back(&mut self, messages: Vec<(u64, Message)>) {
        self.outbox.splice(0..0, messages);
    }

    /// What it said to node `to` since last asked.
    pub(crate) fn sent_to(&mut self, to: u64) -> Vec<Message> {
        let (taken, left): (Vec<_>, Vec<_>) =
            self.sent().into_iter().partition(|(receiver, _)| *receiver == to);
        self.outbox = left;
        taken.into_iter().map(|(_, message)| message).collect()
    }

    /// The AppendEntries that it sent to node `to`; what else it said to it is not left to see.
    pub(crate) fn appends_to(&mut self, to: u64) -> Vec<AppendEntries> {
        let appends = self.sent_to(to).into_iter().filter_map(|message| match message {
            Message::AppendEntries(append) => Some(append),
            _ => None,
        });
        appends.collect()
    }

    /// Everything it did since last asked.
    pub(crate) fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    pub(crate) fn role(&self) -> RoleName {
        self.raft.role()
    }

    pub(crate) fn term(&self) -> u64 {
        self.raft.hard_state().current_term.0
    }

    pub(crate) fn voted_for(&self) -> Option<u64> {
        self.raft.hard_state().voted_for.map(NodeId::get)
    }

    pub(crate) fn leader(&self) -> Option<u64> {
        self.raft.leader_id().map(NodeId::get)
    }

    pub(crate) fn commit(&self) -> u64 {
        self.raft.commit_index().0
    }

    /// Last entry in memory.
    pub(crate) fn last(&self) -> EntryId {
        self.raft.last_entry()
    }

    /// Terms of the log in memory, from the entry after the base on.
    pub(crate) fn log(&self) -> Vec<u64> {
        let from = self.raft.status().base.index.next();
        (from.0..=self.last().index.0)
            .map(|index| self.raft.term_at(LogIndex(index)).expect("between base and last").0)
            .collect()
    }

    /// Terms of the log on disk, from the entry after the base on.
    pub(crate) fn log_on_disk(&self) -> Vec<u64> {
        let entries = self.disk.log.blocks().flat_map(Block::entries);
        entries.map(|entry| entry.id.term.0).collect()
    }

    /// Identities of the entries on disk.
    pub(crate) fn disk_ids(&self) -> Vec<EntryId> {
        self.disk.log.blocks().flat_map(Block::entries).map(|entry| entry.id).collect()
    }

    /// Everything applied; after a snapshot was loaded, its last entry and everything since.
    pub(crate) fn applied(&self) -> &[EntryId] {
        &self.applied
    }

    pub(crate) fn last_applied(&self) -> LogIndex {
        self.applied.last().map_or(LogIndex::ZERO, |id| id.index)
    }

    /// How the read ended, if it did.
    pub(crate) fn outcome(&self, read: Ticket) -> Option<Result<LogIndex, ReadError>> {
        self.read.get(&read).copied()
    }

    /// How node `number` stands in this leader's eyes.
    #[track_caller]
    pub(crate) fn progress(&self, number: u64) -> PeerStatus {
        let peers = self.raft.status().peers;
        peers.into_iter().find(|peer| peer.id == id(number)).expect("a leader, and one of its peers")
    }

    /// Why it stopped, if it did.
    pub(crate) fn halt(&self) -> Option<&Halt> {
        self.halt.as_ref()
    }

    /// The numbers of the voters in force.
    pub(crate) fn voters(&self) -> Vec<u64> {
        let configuration = self.raft.configuration();
        let voters = configuration.map_or_else(Vec::new, |configuration| configuration.quorum().voters());
        voters.into_iter().map(NodeId::get).collect()
    }

    /// A snapshot that another node took, of a state that ends with `last`, under this node's configuration.
    pub(crate) fn snapshot_of(&self, last: EntryId) -> SnapshotMeta {
        let configuration = self.raft.configuration().map(Arc::clone);
        SnapshotMeta { last, configuration_index: LogIndex(1), configuration }
    }
}
