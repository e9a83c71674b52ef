//! One node: a [`Raft`], and a disk, a clock and a state machine that do what the test says.

mod inputs;
mod looks;
mod stores;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use raft_core::snapshot::SnapshotInfo;
use raft_core::storage::{ReadRequest, Write};
use raft_core::{
    Block, Configuration, Effect, EntryId, Halt, Input, LogIndex, Message, NodeId, Options, ProposeError,
    Raft, ReadError, RoleName, Term, Ticket, Time, TransferError,
};

use super::{Disk, ELECTION_TIMEOUT, id, options, voters};

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
