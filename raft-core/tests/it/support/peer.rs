//! One node: a [`Raft`], and a disk, a clock and a state machine that do what the test says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use raft_core::configuration::MemberChange;
use raft_core::message::AppendEntries;
use raft_core::snapshot::{SnapshotInfo, SnapshotMeta, SnapshotOffer};
use raft_core::storage::{ReadRequest, Recovered, Write};
use raft_core::transport::TransferId;
use raft_core::{
    Block, BlockBuilder, Configuration, Effect, EntryId, EntryKind, Halt, Input, LogIndex, Message, NodeId,
    Options, PeerStatus, ProposeError, Raft, ReadError, ReadProof, RoleName, Term, Ticket, Time,
    TransferError,
};

use super::{Disk, ELECTION_TIMEOUT, id, offer, options, voters};

/// See the module.
pub(crate) struct Peer {
    pub(crate) raft: Raft,
    pub(crate) disk: Disk,
    /// What its clock shows.
    pub(crate) now: Time,
    number: u64,
    options: Options,
    seed: u64,
    outbox: Vec<(u64, Message)>,
    pending_writes: VecDeque<Write>,
    disk_stalls: bool,
    pending_reads: VecDeque<ReadRequest>,
    reads_stall: bool,
    applying_stalls: bool,
    publishing_stalls: bool,
    publishing: Option<SnapshotInfo>,
    applied: Vec<EntryId>,
    last_ticket: u64,
    proposed: BTreeMap<Ticket, Result<EntryId, ProposeError>>,
    read: BTreeMap<Ticket, Result<LogIndex, ReadError>>,
    transfers: BTreeMap<Ticket, Result<NodeId, TransferError>>,
    /// Everything it did since [`effects`](Self::effects) was last asked.
    effects: Vec<Effect>,
    halt: Option<Halt>,
}

impl Peer {
    /// Starts node `number` on `disk`.
    pub(crate) fn start(number: u64, options: Options, disk: Disk) -> Self {
        let now = Time::ZERO + Duration::from_secs(1_000);
        let raft = boot(number, &options, number, now, &disk);
        Self {
            raft,
            now,
            number,
            seed: number,
            options,
            outbox: Vec::new(),
            pending_writes: VecDeque::new(),
            disk_stalls: false,
            pending_reads: VecDeque::new(),
            reads_stall: false,
            applying_stalls: false,
            publishing_stalls: false,
            publishing: None,
            applied: applied_by(&disk),
            disk,
            last_ticket: 0,
            proposed: BTreeMap::new(),
            read: BTreeMap::new(),
            transfers: BTreeMap::new(),
            effects: Vec::new(),
            halt: None,
        }
    }

    /// Node 1 of three voters, with a log of these terms. No leader was heard from for a while.
    pub(crate) fn with_log(terms: &[u64]) -> Self {
        Self::member_of(&voters(1..=3), terms)
    }

    /// Node 1 of the cluster founded with `configuration`.
    pub(crate) fn member_of(configuration: &Configuration, terms: &[u64]) -> Self {
        let mut peer = Self::start(1, options(), Disk::with_log(configuration, terms));
        peer.time_passes(ELECTION_TIMEOUT);
        peer
    }

    /// Has this durable term and no vote in it, instead of what its log suggests.
    pub(crate) fn in_term(mut self, term: u64) -> Self {
        self.disk.log.hard_state.current_term = Term(term);
        self.disk.log.hard_state.voted_for = None;
        self.restarts();
        self.time_passes(ELECTION_TIMEOUT);
        self
    }

    /// Has durably voted for node `number` in its term.
    pub(crate) fn having_voted_for(mut self, number: u64) -> Self {
        self.disk.log.hard_state.voted_for = Some(id(number));
        self.restarts();
        self.time_passes(ELECTION_TIMEOUT);
        self
    }

    /// Runs with other options.
    pub(crate) fn with_options(mut self, options: Options) -> Self {
        self.runs_with(options);
        self
    }

    /// Starts again with other options, and hears from no leader for a while.
    pub(crate) fn runs_with(&mut self, options: Options) {
        self.options = options;
        self.restarts();
        self.time_passes(ELECTION_TIMEOUT);
    }

    /// Follows node 2, the leader of `term`, from now on.
    pub(crate) fn following_2_in(mut self, term: u64) -> Self {
        self.receives(2, super::heartbeat(term, 0));
        self.sent();
        self
    }

    /// Has campaigned for the next term with as many pre-votes as it takes; nothing that it sent then is left to
    /// see.
    pub(crate) fn campaigning(mut self) -> Self {
        self.times_out();
        for voter in self.other_voters() {
            if self.role() == RoleName::PreCandidate {
                let term = self.term() + 1;
                self.receives(voter, super::pre_vote_answer(term, true));
            }
        }
        assert_eq!(self.role(), RoleName::Candidate);
        self.sent();
        self
    }

    /// Wins an election of the next term; nothing that it sent then is left to see.
    pub(crate) fn elected(mut self) -> Self {
        self = self.campaigning();
        for voter in self.other_voters() {
            if self.role() == RoleName::Candidate {
                let term = self.term();
                self.receives(voter, super::vote(term, true));
            }
        }
        assert_eq!(self.role(), RoleName::Leader);
        self.sent();
        self
    }

    fn other_voters(&self) -> Vec<u64> {
        let configuration = self.raft.configuration().expect("a member of a cluster");
        let voters = configuration.quorum().voters();
        voters.into_iter().map(NodeId::get).filter(|&number| number != self.number).collect()
    }

    // What happens to it.

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

    fn next_ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }

    /// Founds a cluster.
    pub(crate) fn founds(&mut self, configuration: Configuration) -> Result<EntryId, ProposeError> {
        let ticket = self.next_ticket();
        self.step(Input::Initialize { ticket, configuration });
        self.proposed.remove(&ticket).expect("every proposal is answered at once")
    }

    // Its disk.

    /// Writes wait from now on.
    pub(crate) fn disk_stalls(&mut self) {
        self.disk_stalls = true;
    }

    /// The oldest waiting write becomes durable.
    pub(crate) fn disk_completes_one(&mut self) {
        let write = self.pending_writes.pop_front().expect("a write waits");
        self.disk.log.apply(&write);
        self.step(Input::Durable(write.id));
    }

    /// All waiting writes become durable, and further ones at once.
    pub(crate) fn disk_recovers(&mut self) {
        self.disk_stalls = false;
        if let Some(newest) = self.carry_out_writes() {
            self.step(Input::Durable(newest));
        }
    }

    fn carry_out_writes(&mut self) -> Option<raft_core::WriteId> {
        let mut newest = None;
        for write in self.pending_writes.drain(..) {
            self.disk.log.apply(&write);
            newest = Some(write.id);
        }
        newest
    }

    /// Writes that wait.
    pub(crate) fn pending_writes(&self) -> Vec<Write> {
        self.pending_writes.iter().cloned().collect()
    }

    /// Reads of the log wait from now on.
    pub(crate) fn reads_stall(&mut self) {
        self.reads_stall = true;
    }

    /// Reads of the log that wait.
    pub(crate) fn pending_reads(&self) -> Vec<ReadRequest> {
        self.pending_reads.iter().copied().collect()
    }

    /// The oldest waiting read is answered with what the disk held all along, or with `answer`.
    pub(crate) fn read_is_answered(&mut self, answer: Option<Vec<Block>>) {
        let request = self.pending_reads.pop_front().expect("a read waits");
        let answer = answer.map_or_else(|| self.disk.log.read(&request), Ok);
        self.step(Input::LogRead { id: request.id, answer });
    }

    /// Handed-out entries stay unapplied from now on.
    pub(crate) fn applying_stalls(&mut self) {
        self.applying_stalls = true;
    }

    /// Everything handed out is applied, and further entries at once.
    pub(crate) fn applying_recovers(&mut self) {
        self.applying_stalls = false;
        self.step(Input::Applied(self.last_applied()));
    }

    /// Loses power and starts again: what was not durable is gone, and so is what it had to say.
    pub(crate) fn restarts(&mut self) {
        let floor = self.disk.snapshot.last;
        // As a log store opens with a floor: a log that does not reach the snapshot starts again after it.
        if self.disk.log.base().index < floor.index && self.disk.log.term_at(floor.index) != Some(floor.term)
        {
            self.disk.log.apply(&Write { reset: Some(floor), ..Write::default() });
        }
        let (now, seed) = (self.now, self.seed + 1);
        let disk = self.disk.clone();
        *self = Self::start(self.number, self.options.clone(), disk);
        self.now = now;
        self.seed = seed;
        self.raft = boot(self.number, &self.options, seed, now, &self.disk);
    }

    /// Starts on what its log store claims to have found.
    pub(crate) fn boots_from(&mut self, recovered: Recovered) {
        let snapshot = self.disk.snapshot.clone();
        self.raft =
            Raft::new(id(self.number), self.options.clone(), self.seed, self.now, recovered, snapshot)
                .expect("the stores agree");
        self.time_passes(ELECTION_TIMEOUT);
    }

    // Snapshots.

    /// Publishes a snapshot of all it has applied.
    pub(crate) fn takes_snapshot(&mut self) {
        let last = *self.applied.last().expect("something was applied");
        let meta = self.raft.snapshot_meta(last);
        self.disk.snapshot = meta.clone();
        self.step(Input::SnapshotCreated(meta));
    }

    /// Its newest snapshot, as it would offer it.
    pub(crate) fn offers(&self) -> SnapshotOffer {
        offer(self.term(), self.disk.snapshot.clone())
    }

    /// Is offered a snapshot by node `from`; whether it wants it.
    pub(crate) fn accepts(&mut self, from: u64, offer: &SnapshotOffer) -> bool {
        let transfer = TransferId(self.next_ticket().0);
        let from = id(from);
        let seen = self.effects.len();
        self.step(Input::SnapshotOffered { from, transfer, offer: offer.clone() });
        let answers = self.effects[seen..].iter().filter_map(|effect| match effect {
            Effect::AcceptSnapshot { transfer: to, .. } => Some((*to, true)),
            Effect::RefuseSnapshot { transfer: to } => Some((*to, false)),
            _ => None,
        });
        let answers: Vec<_> = answers.collect();
        assert!(matches!(answers[..], [(to, _)] if to == transfer), "one answer: {answers:?}");
        answers[0].1
    }

    /// The accepted transfer ends.
    pub(crate) fn transfer_ends(&mut self, from: u64, offer: &SnapshotOffer, complete: bool) {
        self.step(Input::SnapshotReceived { from: id(from), offer: offer.clone(), complete });
    }

    /// Accepts an offered snapshot and receives all of it.
    #[track_caller]
    pub(crate) fn installs(&mut self, from: u64, offer: &SnapshotOffer) {
        assert!(self.accepts(from, offer), "the offer is turned down");
        self.transfer_ends(from, offer, true);
    }

    /// Publishing takes until [`publishing_ends`](Self::publishing_ends).
    pub(crate) fn publishing_stalls(&mut self) {
        self.publishing_stalls = true;
    }

    /// Whether a received snapshot is being published.
    pub(crate) fn is_publishing(&self) -> bool {
        self.publishing.is_some()
    }

    /// The received snapshot is published, or cannot be.
    pub(crate) fn publishing_ends(&mut self, well: bool) {
        let info = self.publishing.take().expect("a snapshot is being published");
        if well {
            self.disk.snapshot = info.meta.clone();
        }
        self.step(Input::SnapshotPublished(well.then_some(info)));
    }

    /// The peers that it wants to send its snapshot to, since last asked.
    pub(crate) fn wants_to_send_snapshots_to(&mut self) -> Vec<u64> {
        let wants = self.effects().into_iter().filter_map(|effect| match effect {
            Effect::SendSnapshot { to, .. } => Some(to.get()),
            _ => None,
        });
        wants.collect()
    }

    // What it does.

    /// Does everything that follows from the inputs so far.
    pub(crate) fn settles(&mut self) {
        for _ in 0..10_000 {
            let mut effects = Vec::new();
            self.raft.drain(&mut effects);
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.effects.push(effect.clone());
                self.perform(effect);
            }
        }
        panic!("effects without end");
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Write(write) => {
                self.pending_writes.push_back(write);
                if !self.disk_stalls
                    && let Some(newest) = self.carry_out_writes()
                {
                    self.takes(Input::Durable(newest));
                }
            }
            Effect::Send { to, message } => self.outbox.push((to.get(), message)),
            Effect::Read(request) => {
                if self.reads_stall {
                    self.pending_reads.push_back(request);
                } else {
                    let answer = self.disk.log.read(&request);
                    self.takes(Input::LogRead { id: request.id, answer });
                }
            }
            Effect::Apply(blocks) => self.apply(&blocks),
            Effect::Restore(at) => self.applied = vec![at],
            Effect::Compact { through } => self.disk.log.compact(through),
            Effect::Proposed { ticket, outcome } => drop(self.proposed.insert(ticket, outcome)),
            Effect::ReadReady { ticket, outcome } => {
                let before = self.read.insert(ticket, outcome);
                assert_eq!(before, None, "a read is answered once");
            }
            Effect::PublishSnapshot(info) => {
                if self.publishing_stalls {
                    self.publishing = Some(info);
                } else {
                    self.disk.snapshot = info.meta.clone();
                    self.takes(Input::SnapshotPublished(Some(info)));
                }
            }
            Effect::TransferBegun { ticket, outcome } => drop(self.transfers.insert(ticket, outcome)),
            Effect::Halt(halt) => self.halt = Some(halt),
            Effect::LogDamaged { .. }
            | Effect::SendSnapshot { .. }
            | Effect::AcceptSnapshot { .. }
            | Effect::RefuseSnapshot { .. } => {}
        }
    }

    fn apply(&mut self, blocks: &[Block]) {
        for entry in blocks.iter().flat_map(Block::entries) {
            assert_eq!(entry.id.index, self.last_applied().next(), "entries are applied in order, once each");
            self.applied.push(entry.id);
        }
        if !self.applying_stalls {
            self.takes(Input::Applied(self.last_applied()));
        }
    }

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

    // What it is.

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

fn boot(number: u64, options: &Options, seed: u64, now: Time, disk: &Disk) -> Raft {
    let recovered = disk.log.recovered();
    Raft::new(id(number), options.clone(), seed, now, recovered, disk.snapshot.clone())
        .expect("the options work")
}

/// A state machine starts from the newest snapshot.
fn applied_by(disk: &Disk) -> Vec<EntryId> {
    let last = disk.snapshot.last;
    if last == EntryId::ZERO { Vec::new() } else { vec![last] }
}
