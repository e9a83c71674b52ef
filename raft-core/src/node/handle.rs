//! The handle by which an application uses its node.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;
use tokio::sync::{mpsc, oneshot, watch};

use crate::configuration::{Configuration, MemberChange};
use crate::driver::Applied;
use crate::error::{ProposeError, ReadError, TransferError, leader_text};
use crate::raft::{RoleName, Status};
use crate::state_machine::StateMachine;
use crate::types::{ClusterId, EntryId, LogIndex, NodeId, Term};

/// A command to propose: `head` and `body` one after the other. Both are copied once, into the batch's payload.
#[derive(Clone, Debug, Default)]
pub struct Command {
    /// What the service puts in front (session, time): small.
    pub head: SmallVec<[u8; 48]>,
    /// The client's bytes.
    pub body: Bytes,
}

impl From<Bytes> for Command {
    fn from(body: Bytes) -> Self {
        Self { head: SmallVec::new(), body }
    }
}

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Consistency {
    /// It sees every write that was acknowledged before it began: the leader asks a quorum whether it still leads. A
    /// follower serves it as well, after asking its leader.
    Linearizable,
    /// The same without asking a quorum, where the leader's options allow it: it rests on the clocks' keeping to
    /// [`Lease::max_drift_permille`](crate::Lease::max_drift_permille).
    Lease,
    /// It sees what this node has applied, which may be behind.
    Serializable,
}

/// What [`NodeHandle::observe`] watches.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Observation {
    /// This node's role.
    pub role: RoleName,
    /// Its term.
    pub term: Term,
    /// Who leads, as far as it knows.
    pub leader: Option<NodeId>,
    /// The cluster it belongs to.
    pub cluster_id: Option<ClusterId>,
    /// The configuration in force.
    pub configuration: Option<Arc<Configuration>>,
    /// The entry that set it; 0 with none.
    pub configuration_index: LogIndex,
    /// Whether it is known here to be committed; else the one before it may come back.
    pub configuration_committed: bool,
    /// As a leader: to whom it is handing leadership over.
    pub handing_over_to: Option<NodeId>,
    /// As a leader: whether an entry of its own term is committed.
    pub own_term_committed: bool,
}

/// Why leadership did not go where it was meant to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandOverError {
    /// It was not begun.
    #[error(transparent)]
    Refused(#[from] TransferError),
    /// The chosen node did not win within an election timeout. Try again; if that fails, look at that node.
    #[error("transfer: node {to} did not take over in time (leader: {})", leader_text(*.leader))]
    Elsewhere {
        /// Who should have led.
        to: NodeId,
        /// Who leads.
        leader: Option<NodeId>,
    },
    /// This node is shutting down.
    #[error("transfer: the node is stopping")]
    Stopped,
}

/// A picture of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeStatus {
    /// Its consensus.
    pub raft: Status,
    /// Last entry applied.
    pub applied: EntryId,
}

pub(super) type ProposalDone<M> =
    Box<dyn FnOnce(Result<Applied<<M as StateMachine>::Reply>, ProposeError>) + Send>;
pub(super) type ReadDone<M> = Box<dyn FnOnce(Result<(&M, EntryId), ReadError>) + Send>;

/// What a handle asks of the loop.
pub(super) enum Request<M: StateMachine> {
    Propose(Command, ProposalDone<M>),
    Read(Consistency, ReadDone<M>),
    Initialize(Configuration, ProposalDone<M>),
    ChangeMembers(Vec<MemberChange>, ProposalDone<M>),
    Transfer(Option<NodeId>, oneshot::Sender<Result<NodeId, TransferError>>),
    Status(oneshot::Sender<NodeStatus>),
    TriggerSnapshot,
    Shutdown,
}

/// Talks to a node. Cheap to clone; the node lives on when all handles are gone.
pub struct NodeHandle<M: StateMachine> {
    requests: mpsc::Sender<Request<M>>,
    observed: watch::Receiver<Observation>,
    applied: watch::Receiver<LogIndex>,
}

impl<M: StateMachine> Clone for NodeHandle<M> {
    fn clone(&self) -> Self {
        Self {
            requests: self.requests.clone(),
            observed: self.observed.clone(),
            applied: self.applied.clone(),
        }
    }
}

impl<M: StateMachine> fmt::Debug for NodeHandle<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeHandle").field("observed", &*self.observed.borrow()).finish_non_exhaustive()
    }
}

impl<M: StateMachine> NodeHandle<M> {
    pub(super) const fn new(
        requests: mpsc::Sender<Request<M>>,
        observed: watch::Receiver<Observation>,
        applied: watch::Receiver<LogIndex>,
    ) -> Self {
        Self { requests, observed, applied }
    }

    /// Founds a cluster of `configuration`, which lists this node. On one node only; the others join by being greeted.
    /// Returns when the configuration is committed.
    ///
    /// # Errors
    /// [`ProposeError::AlreadyInitialized`] or [`ProposeError::Stopped`]: nothing was done.
    /// [`ProposeError::Unknown`]: the node stopped meanwhile.
    pub async fn initialize(&self, configuration: Configuration) -> Result<EntryId, ProposeError> {
        let (done, outcome) = oneshot::channel();
        let done: ProposalDone<M> = Box::new(move |result| answer(done, result.map(|applied| applied.id)));
        self.requests
            .send(Request::Initialize(configuration, done))
            .await
            .map_err(|_| ProposeError::Stopped)?;
        outcome.await.unwrap_or(Err(ProposeError::Unknown))
    }

    /// Changes the members, all of `changes` or nothing; returns when the change is complete: when it is committed and, if
    /// more than one member changes, the configuration that follows the joint one is committed as well. No crash brings an
    /// earlier configuration back then. The answer is the change's first entry.
    ///
    /// # Errors
    /// As [`propose`](Self::propose), and [`ProposeError::Change`]: the members cannot be changed so, or not now.
    pub async fn change_members(&self, changes: Vec<MemberChange>) -> Result<EntryId, ProposeError> {
        let (done, outcome) = oneshot::channel();
        let done: ProposalDone<M> = Box::new(move |result| answer(done, result.map(|applied| applied.id)));
        let request = Request::ChangeMembers(changes, done);
        self.requests.send(request).await.map_err(|_| ProposeError::Stopped)?;
        let id = outcome.await.unwrap_or(Err(ProposeError::Unknown))?;
        let is_complete = |seen: &Observation| {
            seen.configuration_committed && seen.configuration.as_ref().is_none_or(|now| !now.is_joint())
        };
        self.observed.clone().wait_for(is_complete).await.map_err(|_| ProposeError::Unknown)?;
        Ok(id)
    }

    /// Hands leadership over to `to`, or to whoever is closest behind; returns once this node follows another one.
    ///
    /// # Errors
    /// [`HandOverError`]; the node may lead on, or another one may lead by now: [`observe`](Self::observe) shows it.
    pub async fn transfer_leadership(&self, to: Option<NodeId>) -> Result<NodeId, HandOverError> {
        let (answer, begun) = oneshot::channel();
        let mut observed = self.observed.clone();
        self.requests.send(Request::Transfer(to, answer)).await.map_err(|_| HandOverError::Stopped)?;
        let to = begun.await.map_err(|_| HandOverError::Stopped)??;
        let (role, term) = (RoleName::Leader, observed.borrow_and_update().term);
        let is_over = |seen: &Observation| {
            let handing_over = seen.role == role && seen.term == term && seen.handing_over_to.is_some();
            let follows = seen.leader.is_some() && (seen.role != role || seen.term != term);
            follows || (seen.role == role && !handing_over)
        };
        let leader = observed.wait_for(is_over).await.map_err(|_| HandOverError::Stopped)?.leader;
        leader.filter(|leader| *leader == to).ok_or(HandOverError::Elsewhere { to, leader })
    }

    /// Proposes a command; returns its reply once it is committed and applied here.
    ///
    /// Waits as long as it takes: without a quorum, for ever. For a deadline wrap it in a timeout, whose end then means
    /// what [`ProposeError::Unknown`] means: dropping the future does not take the proposal back.
    ///
    /// # Errors
    /// [`ProposeError`]; each variant says whether the command may have been applied.
    pub async fn propose(&self, command: impl Into<Command>) -> Result<Applied<M::Reply>, ProposeError> {
        let (done, outcome) = oneshot::channel();
        self.submit(command.into(), move |result| answer(done, result)).await;
        outcome.await.unwrap_or(Err(ProposeError::Unknown))
    }

    /// Proposes several commands; returns when the last one has its outcome. Those that succeed were applied in this order;
    /// one in the middle may fail where later ones succeed (when the node was busy just then, say).
    pub async fn propose_batch(
        &self,
        commands: Vec<Command>,
    ) -> Vec<Result<Applied<M::Reply>, ProposeError>> {
        let mut outcomes = Vec::with_capacity(commands.len());
        for command in commands {
            let (done, outcome) = oneshot::channel();
            self.submit(command, move |result| answer(done, result)).await;
            outcomes.push(outcome);
        }
        let mut results = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            results.push(outcome.await.unwrap_or(Err(ProposeError::Unknown)));
        }
        results
    }

    /// As [`propose`](Self::propose), for servers: `done` runs on the node's task, exactly once, and must be quick.
    /// Waits only while the node's queue is full.
    pub async fn submit(
        &self,
        command: Command,
        done: impl FnOnce(Result<Applied<M::Reply>, ProposeError>) + Send + 'static,
    ) {
        if let Err(mpsc::error::SendError(request)) =
            self.requests.send(Request::Propose(command, Box::new(done))).await
        {
            refuse(request);
        }
    }

    /// Runs `look` on the applied state and returns its answer. As with [`propose`](Self::propose), a deadline is the
    /// caller's to set.
    ///
    /// # Errors
    /// [`ReadError`], for linearizable reads on a node that does not lead, or any read on one that stops.
    pub async fn read<R: Send + 'static>(
        &self,
        consistency: Consistency,
        look: impl FnOnce(&M) -> R + Send + 'static,
    ) -> Result<R, ReadError> {
        let (done, outcome) = oneshot::channel();
        self.submit_read(consistency, move |state| answer(done, state.map(|(state, _)| look(state)))).await;
        outcome.await.unwrap_or(Err(ReadError::Stopped))
    }

    /// As [`read`](Self::read), for servers: `done` runs on the node's task, exactly once, with the state and the last
    /// entry it includes, and must be quick.
    pub async fn submit_read(
        &self,
        consistency: Consistency,
        done: impl FnOnce(Result<(&M, EntryId), ReadError>) + Send + 'static,
    ) {
        let request = Request::Read(consistency, Box::new(done));
        if let Err(mpsc::error::SendError(request)) = self.requests.send(request).await {
            refuse(request);
        }
    }

    /// The applied index here once a linearizable read that begins now may be served: it has waited until everything is
    /// applied that such a read must see.
    ///
    /// # Errors
    /// [`ReadError`]: ask the leader.
    pub async fn read_index(&self) -> Result<LogIndex, ReadError> {
        let (done, outcome) = oneshot::channel();
        self.submit_read(Consistency::Linearizable, move |state| {
            answer(done, state.map(|(_, applied)| applied.index));
        })
        .await;
        outcome.await.unwrap_or(Err(ReadError::Stopped))
    }

    /// Returns when everything through `index` is applied here.
    ///
    /// # Errors
    /// [`ReadError::Stopped`]: the node ended before.
    pub async fn wait_applied(&self, index: LogIndex) -> Result<(), ReadError> {
        let mut applied = self.applied.clone();
        applied.wait_for(|applied| *applied >= index).await.map_err(|_| ReadError::Stopped)?;
        Ok(())
    }

    /// Role, term, leader and configuration, whenever one of them changes.
    #[must_use]
    pub fn observe(&self) -> watch::Receiver<Observation> {
        self.observed.clone()
    }

    /// A picture of this moment; `None` once the node has stopped.
    pub async fn status(&self) -> Option<NodeStatus> {
        let (answer, status) = oneshot::channel();
        self.requests.send(Request::Status(answer)).await.ok()?;
        status.await.ok()
    }

    /// Takes a snapshot soon.
    pub async fn trigger_snapshot(&self) {
        // A node that has stopped takes none.
        drop(self.requests.send(Request::TriggerSnapshot).await);
    }

    /// Ends the node. Proposals and reads that wait are refused; the task returned by `start` ends.
    pub async fn shutdown(&self) {
        // A node that has stopped is what was asked for.
        drop(self.requests.send(Request::Shutdown).await);
    }
}

/// Whoever asked may have given up waiting; then nobody needs the answer.
pub(super) fn answer<T>(asker: oneshot::Sender<T>, value: T) {
    let _ = asker.send(value);
}

/// Answers a request that came too late.
pub(super) fn refuse<M: StateMachine>(request: Request<M>) {
    match request {
        Request::Propose(_, done) | Request::Initialize(_, done) | Request::ChangeMembers(_, done) => {
            done(Err(ProposeError::Stopped));
        }
        Request::Read(_, done) => done(Err(ReadError::Stopped)),
        // Whoever waits for these sees the channel close.
        Request::Transfer(..) | Request::Status(_) | Request::TriggerSnapshot | Request::Shutdown => {}
    }
}
