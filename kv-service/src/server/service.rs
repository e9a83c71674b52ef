//! What a request comes to: checked, handed to the node, and its outcome put into words of the protocol.
//!
//! One value shared by all connections. Callbacks run on the node's task and encode the answer where it belongs,
//! so that a request costs no wake-up of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use kv_client::command::{Command, Envelope, SessionTag};
use kv_client::protocol::{
    Answer, BadRequest, Body, Consistency, Leader, Member, ProtocolRange, Query, Reason, Refusal, Request,
    Welcome, decode_head,
};
use raft_core::RoleName;
use raft_core::configuration::Configuration;
use raft_core::driver::Applied;
use raft_core::error::{ProposeError, ReadError};
use raft_core::node::{self, NodeHandle, Observation};
use raft_core::types::{ClusterId, EntryId, LogIndex, NodeId};
use raft_log::LogStats;
use raft_net::Local;
use raft_net::frame::Frame;
use smallvec::SmallVec;
use tokio::sync::watch;
use tokio::time::Instant;

use super::admin::Wish;
use super::budget::{Budget, Share};
use super::error::ConnectionError;
use super::outbox::{Answered, Demand, Outbox};
use super::waiting::{self, Lagging, Ticket};
use crate::clock::ClusterClock;
use crate::store::{self, Store};

/// See the module.
pub(crate) struct Service {
    pub(super) node: NodeHandle<Store>,
    pub(super) observed: watch::Receiver<Observation>,
    pub(super) local: Local,
    pub(super) log: Arc<LogStats>,
    /// Clusters that `kvd recover` made its own one of.
    pub(super) ancestors: Vec<ClusterId>,
    /// Why this node does not take part.
    pub(super) note: watch::Receiver<Option<String>>,
    pub(super) started: Instant,
    /// How many clients may be connected at a time.
    pub(super) max_clients: u32,
    /// Memory for their requests.
    pub(super) budget: Budget,
    /// Members not heard from for so long are out of reach.
    pub(super) election_timeout: Duration,
    clock: ClusterClock,
    request_timeout: Duration,
    stopping: watch::Receiver<bool>,
    seen: Seen,
}

/// What a [`Service`] is made of.
pub(crate) struct Parts {
    pub(crate) node: NodeHandle<Store>,
    pub(crate) local: Local,
    pub(crate) log: Arc<LogStats>,
    /// Clusters that `kvd recover` made its own one of.
    pub(crate) ancestors: Vec<ClusterId>,
    pub(crate) note: watch::Receiver<Option<String>>,
    pub(crate) clock: ClusterClock,
    /// How long a request may wait if its client does not say.
    pub(crate) request_timeout: Duration,
    /// How many clients may be connected at a time.
    pub(crate) max_clients: u32,
    /// Memory for their requests.
    pub(crate) budget: Budget,
    /// Consensus's.
    pub(crate) election_timeout: Duration,
    /// Whether the node is being shut down.
    pub(crate) stopping: watch::Receiver<bool>,
}

/// The newest applied state that any request has seen: for answers that do not look at the state themselves.
#[derive(Debug, Default)]
struct Seen {
    revision: AtomicU64,
    index: AtomicU64,
}

/// A read on its way.
struct Read {
    share: Share,
    ticket: Ticket,
    consistency: Consistency,
    min_revision: u64,
    query: Query,
}

impl Service {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { node, local, log, note, clock, request_timeout, max_clients, .. } = parts;
        let Parts { ancestors, budget, election_timeout, stopping, .. } = parts;
        let observed = node.observe();
        let (started, seen) = (Instant::now(), Seen::default());
        Self {
            node,
            observed,
            local,
            log,
            ancestors,
            note,
            started,
            max_clients,
            budget,
            election_timeout,
            clock,
            request_timeout,
            stopping,
            seen,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.local.name
    }

    /// What this node says to a client that it serves.
    pub(crate) fn welcome(&self, protocol: u16) -> Welcome {
        let cluster_id = self.observed.borrow().cluster_id.map(|cluster_id| cluster_id.0);
        Welcome { protocol, cluster_id, node_id: self.local.node_id.get(), name: self.local.name.clone() }
    }

    /// Takes one request. Its answer comes into `outbox`, at its deadline at the latest. `share` is given back
    /// when the node has done with it.
    ///
    /// # Errors
    /// The frame has not even a request's id: the client cannot be answered.
    pub(crate) async fn take(
        self: &Arc<Self>,
        frame: Frame,
        share: Share,
        outbox: &Arc<Outbox>,
    ) -> Result<(), ConnectionError> {
        let Request { id, deadline_ms, body } = match decode_head(&frame.head) {
            Ok(request) => request,
            Err(error) => {
                let id = decode_id(&frame.head).ok_or(error)?;
                let protocol = ProtocolRange::OURS;
                let refusal = Refusal::BadRequest(BadRequest::Undecodable { protocol });
                outbox.answer_now(id, self.refused(refusal));
                return Ok(());
            }
        };
        let checked = check(&body, &frame.tail);
        if let Err(error) = checked {
            outbox.answer_now(id, self.refused(Refusal::BadRequest(BadRequest::Command(error))));
            return Ok(());
        }
        let deadline = self.deadline(deadline_ms);
        let wait = |then| outbox.add(waiting::Request { id, deadline, then });
        match body {
            Body::Write { tag } => {
                let ticket = wait(Refusal::Unknown(Reason::DeadlinePassed));
                self.write(ticket, tag, frame.tail, share, outbox).await;
            }
            Body::Read { consistency, min_revision, query } => {
                let ticket = wait(Refusal::NotApplied(Reason::DeadlinePassed));
                self.read(Read { share, ticket, consistency, min_revision, query }, outbox).await;
            }
            Body::Status => {
                let ticket = wait(Refusal::NotApplied(Reason::DeadlinePassed));
                let (service, outbox) = (Arc::clone(self), Arc::clone(outbox));
                tokio::spawn(async move {
                    let answered = service.answer_status().await;
                    outbox.answer(ticket, answered);
                });
            }
            Body::ChangeMembers { changes, force } => {
                let ticket = wait(Refusal::Unknown(Reason::DeadlinePassed));
                self.administer(Wish::Members { changes, force }, ticket, deadline, outbox);
            }
            Body::MoveLeader { to } => {
                let ticket = wait(Refusal::Unknown(Reason::DeadlinePassed));
                self.administer(Wish::Leader { to }, ticket, deadline, outbox);
            }
            Body::Members => {
                let members = Answer::Members(self.members());
                outbox.answer_now(id, self.answered(Ok(members), Bytes::new()));
            }
        }
        Ok(())
    }

    fn deadline(&self, millis: u32) -> Instant {
        let wait = match millis {
            0 => self.request_timeout,
            millis => Duration::from_millis(millis.into()),
        };
        Instant::now() + wait
    }

    async fn write(
        self: &Arc<Self>,
        ticket: Ticket,
        tag: Option<SessionTag>,
        body: Bytes,
        share: Share,
        outbox: &Arc<Outbox>,
    ) {
        let envelope = Envelope { tag, cluster_time_micros: self.cluster_time() };
        let command = node::Command { head: SmallVec::from_slice(&envelope.to_bytes()), body };
        let (service, outbox) = (Arc::clone(self), Arc::clone(outbox));
        let done = move |result: Result<_, _>| {
            outbox.answer(ticket, service.written(result));
            drop(share);
        };
        self.node.submit(command, done).await;
    }

    fn cluster_time(&self) -> u64 {
        let observation = self.observed.borrow();
        if observation.role == RoleName::Leader { self.clock.micros(observation.term) } else { 0 }
    }

    fn written(&self, result: Result<Applied<store::Applied>, ProposeError>) -> Answered {
        match result {
            Ok(Applied { id, reply }) => {
                self.seen.note(reply.revision, id.index);
                Answered {
                    revision: reply.revision,
                    term: id.term.0,
                    index: id.index.0,
                    result: Ok(Answer::Applied(reply.outcome)),
                    tail: Bytes::new(),
                }
            }
            Err(error) => self.refused(self.write_refusal(error)),
        }
    }

    async fn read(self: &Arc<Self>, read: Read, outbox: &Arc<Outbox>) {
        let (service, outbox) = (Arc::clone(self), Arc::clone(outbox));
        let consistency = match read.consistency {
            Consistency::Linearizable => node::Consistency::Linearizable,
            Consistency::Serializable => node::Consistency::Serializable,
            Consistency::Lease => node::Consistency::Lease,
        };
        self.node.submit_read(consistency, move |state| service.look(read, &outbox, state)).await;
    }

    /// Looks up what a read asks for. Runs on the node's task.
    fn look(&self, read: Read, outbox: &Outbox, state: Result<(&Store, EntryId), ReadError>) {
        let Read { share, ticket, consistency, min_revision, query } = read;
        let (store, applied) = match state {
            Ok(state) => state,
            Err(error) => return outbox.answer(ticket, self.refused(self.read_refusal(error))),
        };
        if let Some(reason) = self.nothing_to_read(applied) {
            return outbox.answer(ticket, self.refused(Refusal::NotApplied(reason)));
        }
        match outbox.demand(ticket) {
            Demand::Wanted => {}
            Demand::Full => return outbox.answer(ticket, self.refused(Refusal::Busy)),
            Demand::Over => return,
        }
        let found = store.stats().revision;
        self.seen.note(found, applied.index);
        if found < min_revision {
            let refusal = Refusal::RevisionNotReached { wanted: min_revision, found };
            return match consistency {
                // All that was ever acknowledged is there: such a revision never was.
                Consistency::Linearizable | Consistency::Lease => {
                    outbox.answer(ticket, self.refused(refusal))
                }
                Consistency::Serializable => {
                    let seen = applied.index;
                    outbox.set_aside(Lagging { share, ticket, min_revision, query, seen }, refusal);
                }
            };
        }
        let (answer, tail) = look_up(store, &query);
        let (term, index) = (applied.term.0, applied.index.0);
        outbox.answer(ticket, Answered { revision: found, term, index, result: Ok(answer), tail });
    }

    /// Why the state says nothing, though it could be read: nothing was ever applied to it, or nothing is any more, for
    /// the node was removed. To answer that there is no such key would be a lie about the cluster's state, however old
    /// an answer may be.
    fn nothing_to_read(&self, applied: EntryId) -> Option<Reason> {
        let observation = self.observed.borrow();
        let own = |members: &Arc<Configuration>| members.member(self.local.node_id).is_some();
        match applied == EntryId::ZERO {
            true if observation.cluster_id.is_none() => Some(Reason::NoCluster),
            true => Some(Reason::NothingApplied),
            false => (!observation.configuration.as_ref().is_some_and(own)).then_some(Reason::NoMember),
        }
    }

    /// Returns when more is applied than the reads had seen that were set aside; `None`: there are none.
    pub(crate) async fn more_applied(&self, seen: Option<LogIndex>) {
        let Some(seen) = seen else { return std::future::pending().await };
        if self.node.wait_applied(seen.next()).await.is_err() {
            // The node has stopped: their deadlines answer the reads.
            std::future::pending::<()>().await;
        }
    }

    /// Submits the reads that were set aside once more.
    pub(crate) async fn look_again(self: &Arc<Self>, outbox: &Arc<Outbox>) {
        for Lagging { share, ticket, min_revision, query, .. } in outbox.take_lagging() {
            let consistency = Consistency::Serializable;
            self.read(Read { share, ticket, consistency, min_revision, query }, outbox).await;
        }
    }

    /// An answer that turns a request away.
    pub(crate) fn refused(&self, refusal: Refusal) -> Answered {
        self.answered(Err(refusal), Bytes::new())
    }

    /// An answer that is about no particular state.
    pub(super) fn answered(&self, result: Result<Answer, Refusal>, tail: Bytes) -> Answered {
        Answered {
            revision: self.seen.revision.load(Ordering::Relaxed),
            term: self.observed.borrow().term.0,
            index: self.seen.index.load(Ordering::Relaxed),
            result,
            tail,
        }
    }

    pub(super) fn write_refusal(&self, error: ProposeError) -> Refusal {
        match error {
            ProposeError::NotLeader { leader } => self.not_leader(leader),
            ProposeError::Busy { .. } => Refusal::Busy,
            ProposeError::HandingOver { .. } => Refusal::NotApplied(Reason::HandingOver),
            ProposeError::NotApplied { .. } => Refusal::NotApplied(Reason::LeadershipLost),
            ProposeError::Stopped => Refusal::NotApplied(Reason::Stopping),
            _ if *self.stopping.borrow() => Refusal::Unknown(Reason::Stopping),
            _ => Refusal::Unknown(Reason::LeadershipLost),
        }
    }

    fn read_refusal(&self, error: ReadError) -> Refusal {
        match error {
            ReadError::NotLeader { leader } => self.not_leader(leader),
            ReadError::Busy { .. } => Refusal::Busy,
            ReadError::Stopped => Refusal::NotApplied(Reason::Stopping),
            _ => Refusal::NotApplied(Reason::LeadershipLost),
        }
    }

    /// A leader that is this node itself has ceased to lead.
    pub(super) fn not_leader(&self, leader: Option<NodeId>) -> Refusal {
        match leader.filter(|leader| *leader != self.local.node_id) {
            Some(leader) => Refusal::NotLeader { leader: self.address_of(leader) },
            None => Refusal::NoLeader,
        }
    }

    fn address_of(&self, leader: NodeId) -> Option<Leader> {
        let observation = self.observed.borrow();
        let member = observation.configuration.as_ref()?.member(leader)?;
        Some(Leader { id: leader.get(), client_address: member.client_address.clone() })
    }

    fn members(&self) -> Vec<Member> {
        let observation = self.observed.borrow();
        let Some(configuration) = &observation.configuration else { return Vec::new() };
        let members = configuration.members().iter().map(|member| Member {
            id: member.id.get(),
            name: member.name.clone(),
            voter: configuration.quorum().contains(member.id),
            peer_address: member.peer_address.clone(),
            client_address: member.client_address.clone(),
        });
        members.collect()
    }
}

impl Seen {
    fn note(&self, revision: u64, index: LogIndex) {
        self.revision.fetch_max(revision, Ordering::Relaxed);
        self.index.fetch_max(index.0, Ordering::Relaxed);
    }
}

/// Whether the request may be handed on.
fn check(body: &Body, tail: &[u8]) -> Result<(), kv_client::command::CommandError> {
    match body {
        Body::Write { tag } => {
            Command::validate(tail)?;
            tag.map_or(Ok(()), |tag| tag.check().map(|_| ()))
        }
        Body::Read { query, .. } => query.check(),
        Body::Status | Body::Members | Body::ChangeMembers { .. } | Body::MoveLeader { .. } => Ok(()),
    }
}

/// The id of a request whose rest cannot be read.
fn decode_id(head: &[u8]) -> Option<u64> {
    postcard::take_from_bytes(head).ok().map(|(id, _rest)| id)
}

fn look_up(store: &Store, query: &Query) -> (Answer, Bytes) {
    match query {
        Query::Get { key } => match store.get(key) {
            Some(found) => (Answer::Value(Some(found.meta)), found.value),
            None => (Answer::Value(None), Bytes::new()),
        },
        Query::Range(range) => {
            let page = store.range(range);
            (Answer::Page { count: page.count, more: page.more }, page.records.into())
        }
    }
}
