//! What happens to a peer: messages, timers, clients and operators.

use std::time::Duration;

use raft_core::configuration::MemberChange;
use raft_core::{
    BlockBuilder, Configuration, EntryId, EntryKind, Input, Message, NodeId, ProposeError, ReadProof,
    RoleName, Ticket, TransferError,
};

use super::Peer;
use crate::support::id;

impl Peer {
    /// Takes one input; nothing follows from it yet.
    pub(crate) fn takes(&mut self, input: Input) {
        self.raft.step(self.now, input);
    }

    /// Takes one input and does what follows.
    pub(crate) fn step(&mut self, input: Input) {
        self.takes(input);
        self.settles();
    }

    /// Hears `message` from node `from`.
    pub(crate) fn receives(&mut self, from: u64, message: Message) {
        self.step(Input::Message { from: id(from), message });
    }

    /// Its clock runs on; no timer fires yet.
    pub(crate) fn time_passes(&mut self, duration: Duration) {
        self.now = self.now + duration;
    }

    /// Its election timer fires, now or as soon as it may.
    #[track_caller]
    pub(crate) fn times_out(&mut self) {
        assert_ne!(self.role(), RoleName::Leader, "a leader has no election timer");
        self.timer_fires();
    }

    /// Its heartbeat timer fires, now or as soon as it may.
    #[track_caller]
    pub(crate) fn heartbeats(&mut self) {
        assert_eq!(self.role(), RoleName::Leader, "only a leader sends heartbeats");
        self.timer_fires();
    }

    /// Whatever timer it has fires, now or as soon as it may.
    pub(crate) fn timer_fires(&mut self) {
        self.now = self.now.max(self.raft.next_deadline());
        self.step(Input::Tick);
    }

    /// The loop turns without an event.
    pub(crate) fn timer_looks(&mut self) {
        self.step(Input::Tick);
    }

    /// A client proposes one command.
    pub(crate) fn proposes(&mut self, command: &str) -> Result<EntryId, ProposeError> {
        self.proposes_all(&[command])
    }

    /// A client proposes some commands in one batch; the identity of the first.
    pub(crate) fn proposes_all(&mut self, commands: &[&str]) -> Result<EntryId, ProposeError> {
        let mut entries = BlockBuilder::new();
        for command in commands {
            entries.push(EntryKind::Normal, &[command.as_bytes()]);
        }
        self.proposes_entries(entries)
    }

    /// A program proposes these entries; the identity of the first.
    pub(crate) fn proposes_entries(&mut self, entries: BlockBuilder) -> Result<EntryId, ProposeError> {
        let ticket = self.next_ticket();
        self.step(Input::Propose { ticket, entries });
        self.proposed.remove(&ticket).expect("every proposal is answered at once")
    }

    /// A client wants to read; see [`outcome`](Self::outcome).
    pub(crate) fn is_asked_to_read(&mut self) -> Ticket {
        self.is_asked_to_read_by(ReadProof::Quorum)
    }

    /// The same, with this proof.
    pub(crate) fn is_asked_to_read_by(&mut self, proof: ReadProof) -> Ticket {
        let ticket = self.next_ticket();
        self.step(Input::Read { ticket, proof });
        ticket
    }

    /// An operator changes the members.
    pub(crate) fn changes_members(&mut self, changes: &[MemberChange]) -> Result<EntryId, ProposeError> {
        let ticket = self.next_ticket();
        self.step(Input::ChangeMembers { ticket, changes: changes.to_vec() });
        self.proposed.remove(&ticket).expect("every proposal is answered at once")
    }

    /// An operator wishes node `to` to lead, or anybody else.
    pub(crate) fn hands_over_to(&mut self, to: Option<u64>) -> Result<NodeId, TransferError> {
        let ticket = self.next_ticket();
        self.step(Input::TransferLeadership { ticket, to: to.map(id) });
        self.transfers.remove(&ticket).expect("every wish is answered at once")
    }

    pub(super) fn next_ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }

    /// Founds a cluster.
    pub(crate) fn founds(&mut self, configuration: Configuration) -> Result<EntryId, ProposeError> {
        let ticket = self.next_ticket();
        self.step(Input::Initialize { ticket, configuration });
        self.proposed.remove(&ticket).expect("every proposal is answered at once")
    }
}
