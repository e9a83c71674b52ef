//! One node's consensus as a value: synchronous, deterministic, without I/O, clock or threads.
//!
//! Four kinds of method, as in the crate's introduction: getters; [`Raft::step`] takes one [`Input`]; [`Raft::drain`]
//! gives the [`Effect`]s of all steps since the last one; [`Raft::next_deadline`] says when to step with
//! [`Input::Tick`] at the latest.
//!
//! Invariant (one-term-one-role): role data lives inside [`Role`], so that nothing of a past role can linger.
//! Invariant (commit-monotone): `commit_index` never falls; applying never passes it nor what is durable here.

mod apply;
mod election;
mod fingerprint;
mod follower;
mod leader;
mod membership;
mod reading;
mod replication;
mod role;
mod snapshots;
mod status;
mod transfer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use role::RoleName;
pub use status::{PeerStatus, Status};

use crate::block::{Block, EntryKind};
use crate::cache::Cache;
use crate::configuration::Configuration;
use crate::configurations::Configurations;
use crate::damage::Damage;
use crate::effect::Effect;
use crate::error::{Halt, ProposeError, StartError};
use crate::held::Held;
use crate::input::Input;
use crate::message::Message;
use crate::options::Options;
use crate::rng::Rng;
use crate::snapshot::SnapshotMeta;
use crate::storage::{Recovered, VoteFloor};
use crate::term_runs::LogTerms;
use crate::time::Time;
use crate::types::{ClusterId, EntryId, HardState, LogIndex, NodeId, Term};
use crate::writes::Writes;
use apply::Applying;
use replication::Fetch;
use role::{Follower, Role};
use snapshots::Installing;

/// See the module.
#[derive(Clone, Debug)]
pub struct Raft {
    id: NodeId,
    options: Options,
    rng: Rng,
    now: Time,
    hard_state: HardState,
    role: Role,
    terms: LogTerms,
    cache: Cache,
    writes: Writes,
    damage: Damage,
    held: Held,
    configurations: Configurations,
    commit_index: LogIndex,
    applying: Applying,
    /// Reads of the log that are under way, by request id.
    fetches: BTreeMap<u64, Fetch>,
    next_fetch: u64,
    /// Name of the next request for reads to a leader.
    next_request: u64,
    /// The log's disk takes no more for now.
    disk_is_full: bool,
    snapshot: SnapshotMeta,
    installing: Option<Installing>,
    /// When to campaign, unless a leader is heard from before; unused while leading.
    election_deadline: Time,
    /// When a leader was last heard from, for stickiness; `None`: no promise binds this node.
    leader_contact: Option<Time>,
    effects: Vec<Effect>,
    halted: bool,
}

impl Raft {
    /// The consensus of node `id`, restarted from what its stores recovered (or never started before:
    /// [`Recovered::default`] and [`SnapshotMeta::NONE`]). `seed`, together with the id, feeds the jitter of election
    /// timeouts.
    ///
    /// `snapshot` is the newest published one; the recovered log must hold its last entry, or start right after it.
    ///
    /// # Errors
    /// [`StartError`]: options to mend, or stores that contradict each other or have lost something.
    pub fn new(
        id: NodeId,
        options: Options,
        seed: u64,
        now: Time,
        recovered: Recovered,
        snapshot: SnapshotMeta,
    ) -> Result<Self, StartError> {
        options.validate()?;
        let terms = LogTerms::new(recovered.base, &recovered.runs, recovered.last.index);
        check_recovered(recovered.hard_state.current_term, &terms, recovered.floor, snapshot.last)?;
        let mut configurations = Configurations::new(&snapshot);
        for (index, configuration) in recovered.configurations {
            if index > snapshot.configuration_index {
                configurations.push(index, Arc::new(configuration));
            }
        }
        let mut hard_state = unless_half_founded(recovered.hard_state, terms.last(), recovered.floor);
        if mutant!(VoteForgottenAtRestart) {
            hard_state.voted_for = None;
        }
        // Whoever has ever been in a term may have promised its leader silence just before the crash. The promise is
        // kept as if it had been made now.
        let may_have_promised = hard_state.current_term > Term(0) && !mutant!(PromiseForgottenAtRestart);
        let leader_contact = may_have_promised.then_some(now);
        let mut rng = Rng::new(Rng::new(seed).next_u64() ^ id.get());
        let mut raft = Self {
            id,
            next_request: if mutant!(RequestNameReused) { 0 } else { rng.next_u64() },
            disk_is_full: false,
            rng,
            now,
            hard_state,
            role: Role::Follower(Follower::new(None)),
            writes: Writes::new(hard_state, terms.last().index),
            damage: Damage::new(recovered.damaged, recovered.floor),
            terms,
            cache: Cache::default(),
            held: Held::default(),
            configurations,
            commit_index: snapshot.last.index,
            applying: Applying::new(match mutant!(ApplyAgainAtRestart) {
                true => snapshot.last.index.prev(),
                false => snapshot.last.index,
            }),
            fetches: BTreeMap::new(),
            next_fetch: 1,
            snapshot,
            installing: None,
            election_deadline: now,
            leader_contact,
            effects: Vec::new(),
            halted: false,
            options,
        };
        if raft.damage.last_hole_through(raft.snapshot.last.index).is_some() {
            raft.compact();
        }
        if !raft.is_lone_voter() || raft.may_have_followed() {
            raft.reset_election_deadline();
        }
        if raft.is_lone_voter() && !raft.damage.is_whole(raft.terms.last()) {
            let last = raft.terms.last();
            let index = raft.damage.first_hole(last).unwrap_or(last.index.next());
            return Err(StartError::NobodyToMend { index });
        }
        Ok(raft)
    }

    /// Whether this node may be bound by a promise to another leader. The only voter is not, if its cluster never had other
    /// members: whoever let it alone may still lead, by a lease that counts on it, until the promise is over.
    fn may_have_followed(&self) -> bool {
        self.leader_contact.is_some() && self.configurations.latest_index() > LogIndex(1)
    }

    /// Takes one event. Effects gather until [`drain`](Self::drain).
    ///
    /// `now` must not run backwards (an earlier reading counts as the latest one).
    pub fn step(&mut self, now: Time, input: Input) {
        self.now = self.now.max(now);
        if self.halted {
            return;
        }
        match input {
            Input::Tick => self.on_tick(),
            Input::Message { from, message } => self.on_message(from, message),
            Input::Propose { ticket, entries } => {
                let outcome = self.propose(entries);
                self.effects.push(Effect::Proposed { ticket, outcome });
            }
            Input::Read { ticket, proof } => self.read(ticket, proof),
            Input::ChangeMembers { ticket, changes } => {
                let outcome = self.change_members(&changes);
                self.effects.push(Effect::Proposed { ticket, outcome });
            }
            Input::TransferLeadership { ticket, to } => self.transfer_leadership(ticket, to),
            Input::Initialize { ticket, configuration } => {
                let outcome = self.initialize(configuration);
                self.effects.push(Effect::Proposed { ticket, outcome });
            }
            Input::Greeted(cluster_id) => self.on_greeted(cluster_id),
            Input::Durable(id) => self.on_durable(id),
            Input::DiskFull(is_full) => self.disk_is_full = is_full,
            Input::LogRead { id, answer } => self.on_log_read(id, answer),
            Input::Applied(index) => self.applying.applied(index),
            Input::Unreachable(peer) => self.on_unreachable(peer),
            Input::SnapshotCreated(meta) => self.on_snapshot_created(meta),
            Input::SnapshotOffered { from, transfer, offer } => {
                if self.believes(offer.term) && offer.info.meta.is_sound(offer.term) {
                    self.on_snapshot_offered(from, transfer, offer);
                } else {
                    self.effects.push(Effect::RefuseSnapshot { transfer });
                }
            }
            Input::SnapshotReceived { from, offer, complete } => {
                self.on_snapshot_received(from, offer, complete)
            }
            Input::SnapshotPublished(info) => self.on_snapshot_published(info),
            Input::SnapshotSent { to, complete } => self.on_snapshot_sent(to, complete),
        }
    }

    /// Ends a batch of steps: moves the effects, in order, to `effects`. Messages, acknowledgements and writes of the
    /// whole batch leave together.
    pub fn drain(&mut self, effects: &mut Vec<Effect>) {
        if !self.halted {
            self.settle();
        }
        if effects.is_empty() {
            std::mem::swap(effects, &mut self.effects);
        } else {
            effects.append(&mut self.effects);
        }
    }

    fn settle(&mut self) {
        if matches!(self.role, Role::Leader(_)) {
            self.advance_commit();
            self.advance_configuration();
        }
        let last = self.terms.last().index;
        if let Some(write) = self.writes.take(last, self.now) {
            self.effects.push(Effect::Write(write));
        }
        match &self.role {
            Role::Leader(_) => self.settle_leader(),
            Role::Follower(_) => {
                self.acknowledge();
                self.forward_reads();
            }
            Role::PreCandidate(_) | Role::Candidate(_) => {}
        }
        self.emit_applies();
        self.cache.evict(self.options.cache_bytes, self.writes.durable_last());
    }

    /// The latest moment to step with [`Input::Tick`].
    #[must_use]
    pub fn next_deadline(&self) -> Time {
        match &self.role {
            Role::Leader(leader) => leader.heartbeat_at,
            Role::Follower(follower) => {
                let forwarded = follower.forwarded.oldest().map(|at| at + self.options.election_timeout);
                forwarded.map_or(self.election_deadline, |at| at.min(self.election_deadline))
            }
            Role::PreCandidate(_) | Role::Candidate(_) => self.election_deadline,
        }
    }

    fn on_tick(&mut self) {
        match &self.role {
            Role::Leader(_) => self.tick_leader(),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {
                self.expire_forwarded_reads();
                if self.now >= self.election_deadline {
                    self.election_timeout();
                }
            }
        }
    }

    fn on_message(&mut self, from: NodeId, message: Message) {
        // A node that belongs to no cluster has nothing to say in one; what claims to come from itself does not.
        if self.hard_state.cluster_id.is_none() || from == self.id || !self.believes(message.term()) {
            return;
        }
        match message {
            Message::RequestVote(request) => self.on_request_vote(from, request),
            Message::RequestVoteResponse(response) => self.on_request_vote_response(from, response),
            Message::AppendEntries(request) => self.on_append_entries(from, request),
            Message::AppendEntriesResponse(response) => self.on_append_entries_response(from, response),
            Message::Heartbeat(heartbeat) => self.on_heartbeat(from, heartbeat),
            Message::HeartbeatResponse(response) => self.on_heartbeat_response(from, response),
            Message::TimeoutNow(request) => self.on_timeout_now(from, request.term),
            Message::ReadIndex(request) => self.on_read_index(from, request),
            Message::ReadIndexResponse(response) => self.on_read_index_response(from, response),
        }
    }

    /// Whether an honest node can be in `term` by now: see [`Term::LIMIT`] and [`Term::MAX_LEAP`].
    fn believes(&self, term: Term) -> bool {
        let current = self.hard_state.current_term;
        let is_blank = current == Term(0);
        term < Term::LIMIT && (is_blank || term.0.saturating_sub(current.0) <= Term::MAX_LEAP)
    }

    fn initialize(&mut self, configuration: Configuration) -> Result<EntryId, ProposeError> {
        let last = self.terms.last();
        if last != EntryId::ZERO || self.hard_state != HardState::default() {
            return Err(ProposeError::AlreadyInitialized { cluster_id: self.hard_state.cluster_id, last });
        }
        let (id, joint) = (self.id, configuration.is_joint());
        if joint || !configuration.quorum().contains(id) {
            return Err(ProposeError::CannotFound { id, joint });
        }
        let payload = configuration.encoded();
        let (found, limit) = (payload.len(), self.options.max_entry_bytes);
        if found > limit {
            return Err(ProposeError::TooLarge { found, limit });
        }
        let mut entries = crate::block::BlockBuilder::new();
        entries.push(EntryKind::Configuration, &[&payload]);
        let term = Term(1);
        self.set_hard_state(HardState {
            cluster_id: Some(configuration.cluster_id()),
            current_term: term,
            voted_for: None,
        });
        let block = entries.finish(LogIndex(1), term);
        let block = block.expect("the builder holds one entry");
        self.append_to_log(block);
        self.configurations.push(LogIndex(1), Arc::new(configuration));
        self.election_deadline = self.now;
        Ok(self.terms.last())
    }

    fn on_greeted(&mut self, cluster_id: ClusterId) {
        if self.hard_state.cluster_id.is_none() {
            self.set_hard_state(HardState { cluster_id: Some(cluster_id), ..self.hard_state });
        }
    }

    fn on_durable(&mut self, id: crate::types::WriteId) {
        if !self.writes.complete(id) {
            return;
        }
        let writes = &self.writes;
        if self.damage.filled(|id| writes.is_durable(id)) {
            self.report_hole();
        }
        let writes = &self.writes;
        for (to, message) in self.held.release(self.hard_state.current_term, |id| writes.is_durable(id)) {
            self.effects.push(Effect::Send { to, message });
        }
        self.count_own_vote();
        self.publish_when_durable();
    }

    /// The one place where term, vote and cluster change.
    fn set_hard_state(&mut self, hard_state: HardState) {
        self.hard_state = hard_state;
        self.writes.set_hard_state(hard_state);
    }

    /// The one place where entries enter the log.
    fn append_to_log(&mut self, block: Block) {
        self.terms.append(&block);
        self.cache.push(block.clone());
        self.writes.append(block);
    }

    /// Brings the configurations among `block`'s entries into force. `[Raft §6]`
    fn adopt_configurations(&mut self, block: &Block) -> Result<(), Halt> {
        if !block.holds_configuration() || mutant!(ConfigurationIgnored) {
            return Ok(());
        }
        for entry in block.entries().filter(|entry| entry.kind == EntryKind::Configuration) {
            let configuration = Configuration::decode(entry.payload)
                .map_err(|source| Halt::Configuration { id: entry.id, source })?;
            self.configurations.insert(entry.id.index, Arc::new(configuration));
        }
        Ok(())
    }

    fn halt(&mut self, halt: Halt) {
        self.halted = true;
        self.effects.push(Effect::Halt(halt));
    }

    fn send(&mut self, to: NodeId, message: Message) {
        self.effects.push(Effect::Send { to, message });
    }

    fn is_lone_voter(&self) -> bool {
        self.configuration().is_some_and(|configuration| configuration.quorum().voters() == [self.id])
    }

    fn is_voter(&self) -> bool {
        self.configuration().is_some_and(|configuration| configuration.quorum().contains(self.id))
    }

    fn reset_election_deadline(&mut self) {
        let spread = u64::try_from(self.options.election_timeout.as_nanos()).unwrap_or(u64::MAX);
        let jitter = Duration::from_nanos(self.rng.below(spread));
        self.election_deadline = self.now + self.options.election_timeout + jitter;
    }

    /// This node's id.
    #[must_use]
    pub const fn id(&self) -> NodeId {
        self.id
    }

    /// Term, vote and cluster in memory; on disk they follow.
    #[must_use]
    pub const fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// Highest entry known to be committed.
    #[must_use]
    pub const fn commit_index(&self) -> LogIndex {
        self.commit_index
    }

    /// Last entry of the log in memory; on disk it follows.
    #[must_use]
    pub fn last_entry(&self) -> EntryId {
        self.terms.last()
    }

    /// The term of the entry at `index`, while the log holds it.
    #[must_use]
    pub fn term_at(&self, index: LogIndex) -> Option<Term> {
        self.terms.term_at(index)
    }

    /// The configuration in force: the newest one in the log, committed or not.
    #[must_use]
    pub fn configuration(&self) -> Option<&Arc<Configuration>> {
        self.configurations.latest()
    }

    /// The entry that set the configuration in force, which is committed once the commit index is there; 0 with none.
    #[must_use]
    pub fn configuration_index(&self) -> LogIndex {
        self.configurations.latest_index()
    }

    /// Whom to keep connections to: the members of the configuration in force, and those that leave with it until that is
    /// agreed on.
    #[must_use]
    pub fn configuration_to_reach(&self) -> Option<&Arc<Configuration>> {
        self.configurations.to_reach(self.commit_index)
    }

    /// What a snapshot of the state after `applied` stands for. `applied` must not lie before the newest snapshot.
    #[must_use]
    pub fn snapshot_meta(&self, applied: EntryId) -> SnapshotMeta {
        let at = if mutant!(SnapshotForgetsMembers) { LogIndex::ZERO } else { applied.index };
        let (configuration_index, configuration) = self.configurations.at(at);
        SnapshotMeta { last: applied, configuration_index, configuration }
    }

    /// The newest published snapshot.
    #[must_use]
    pub const fn snapshot(&self) -> &SnapshotMeta {
        &self.snapshot
    }

    /// The log as a disk that lost power now would show it again at the least: hard state and last entry.
    #[must_use]
    pub const fn durable(&self) -> (HardState, LogIndex) {
        (self.writes.durable_hard_state(), self.writes.durable_last())
    }

    /// Whether an [`Effect::Halt`] was emitted; further inputs change nothing.
    #[must_use]
    pub const fn is_halted(&self) -> bool {
        self.halted
    }
}

/// A crash cut the founding of a cluster short: its id is durable, the entry that sets the members is not. Nobody has heard of
/// that cluster, for it is told only once all of it is durable; so it never was. A log that has lost entries is another case.
fn unless_half_founded(hard_state: HardState, last: EntryId, floor: VoteFloor) -> HardState {
    let never_written = last == EntryId::ZERO && floor == VoteFloor::LastEntry;
    let half = never_written && hard_state.current_term == Term(1) && hard_state.voted_for.is_none();
    if half && !mutant!(HalfFoundingKept) { HardState::default() } else { hard_state }
}

/// Invariant (stores-agree): the log holds the snapshot's last entry, and the stored term is no earlier than any entry's:
/// a leader's term is durable before its entries are, and before a snapshot from it is published.
fn check_recovered(
    current_term: Term,
    terms: &LogTerms,
    floor: VoteFloor,
    snapshot: EntryId,
) -> Result<(), StartError> {
    let (base, last) = (terms.base(), terms.last());
    if !terms.contains(snapshot) {
        let found = terms.term_at(snapshot.index);
        return Err(StartError::SnapshotNotInLog { snapshot, base, last, found });
    }
    let acknowledged = match floor {
        VoteFloor::Entry(floor) => last.max(floor),
        VoteFloor::LastEntry | VoteFloor::Unknown => last,
    };
    if acknowledged.term > current_term {
        return Err(StartError::TermLost { current_term, entry: acknowledged });
    }
    Ok(())
}
