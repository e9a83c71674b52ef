//! The task that owns the driver.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, Sleep, sleep_until};

use super::handle::{Consistency, NodeStatus, Observation, ProposalDone, ReadDone, Request, answer, refuse};
use super::{Clock, Events};
use crate::driver::{Driver, Event, Outcome, RestoreJob, Restored};
use crate::error::{Halt, ProposeError, ReadError, TransferError};
use crate::input::Ticket;
use crate::message::ReadProof;
use crate::raft::RoleName;
use crate::state_machine::StateMachine;
use crate::storage::{LogStore, SnapshotStore};
use crate::time::Time;
use crate::transport::Transport;
use crate::types::{LogIndex, NodeId};

/// Inputs of each kind taken before a flush, at most: bounds how long one batch can grow.
const MAX_BATCH: usize = 4096;

/// Serializable reads that may wait while a snapshot is loaded.
const MAX_WAITING_FOR_STATE: usize = 1 << 16;

pub(super) struct EventLoop<L, T, S, M: StateMachine> {
    driver: Driver<L, T, S, M>,
    clock: Clock,
    requests: mpsc::Receiver<Request<M>>,
    events: Events,
    restored_sender: mpsc::Sender<Restored<M>>,
    restored: mpsc::Receiver<Restored<M>>,
    last_ticket: u64,
    /// Empty between turns; kept for its memory.
    outcomes: Vec<Outcome<M::Reply>>,
    proposals: HashMap<Ticket, ProposalDone<M>>,
    reads: HashMap<Ticket, ReadDone<M>>,
    transfers: HashMap<Ticket, oneshot::Sender<Result<NodeId, TransferError>>>,
    /// Serializable reads that arrived while the state was away.
    waiting_for_state: Vec<ReadDone<M>>,
    observed: watch::Sender<Observation>,
    applied: watch::Sender<LogIndex>,
}

impl<L, T, S, M> EventLoop<L, T, S, M>
where
    L: LogStore,
    T: Transport,
    S: SnapshotStore,
    M: StateMachine,
{
    pub(super) fn new(
        driver: Driver<L, T, S, M>,
        clock: Clock,
        requests: mpsc::Receiver<Request<M>>,
        events: Events,
    ) -> (Self, watch::Receiver<Observation>, watch::Receiver<LogIndex>) {
        let (observed, observations) = watch::channel(observe(&driver));
        let (applied, applies) = watch::channel(driver.applied().index);
        // One snapshot is loaded at a time.
        let (restored_sender, restored) = mpsc::channel(1);
        let event_loop = Self {
            driver,
            clock,
            requests,
            events,
            restored_sender,
            restored,
            last_ticket: 0,
            outcomes: Vec::new(),
            proposals: HashMap::new(),
            reads: HashMap::new(),
            transfers: HashMap::new(),
            waiting_for_state: Vec::new(),
            observed,
            applied,
        };
        (event_loop, observations, applies)
    }

    pub(super) async fn run(mut self) -> Result<(), Halt> {
        let result = self.run_until_stopped().await;
        self.refuse_all().await;
        result
    }

    async fn run_until_stopped(&mut self) -> Result<(), Halt> {
        let timer = sleep_until(Instant::now());
        tokio::pin!(timer);
        let mut flow = ControlFlow::Continue(());
        while flow.is_continue() {
            flow = self.wait(timer.as_mut()).await;
            let now = self.clock.now();
            if flow.is_continue() {
                flow = self.take_more(now);
            }
            if now >= self.driver.next_deadline() {
                self.driver.handle(now, Event::Tick);
            }
            self.driver.flush(now);
            self.finish_turn();
            if let Some(halt) = self.driver.halt() {
                return Err(halt.clone());
            }
            let until_deadline = self.driver.next_deadline().saturating_since(self.clock.now());
            // A deadline far away only means that nothing is due.
            timer.as_mut().reset(Instant::now() + until_deadline.min(Duration::from_secs(3600)));
        }
        Ok(())
    }

    /// Waits for one input of any kind.
    async fn wait(&mut self, timer: std::pin::Pin<&mut Sleep>) -> ControlFlow<()> {
        tokio::select! {
            biased;
            Some(event) = self.events.log.recv() => self.handle(Event::Log(event)),
            Some(event) = self.events.transport.recv() => self.handle(Event::Transport(event)),
            Some(event) = self.events.snapshots.recv() => self.handle(Event::Snapshot(event)),
            Some(restored) = self.restored.recv() => self.handle(Event::Restored(restored)),
            Some(request) = self.requests.recv() => return self.request(request),
            () = timer => {}
        }
        ControlFlow::Continue(())
    }

    /// Takes all else that has arrived, so that one flush and one sync serve it together.
    fn take_more(&mut self, now: Time) -> ControlFlow<()> {
        for _ in 0..MAX_BATCH {
            let Ok(event) = self.events.log.try_recv() else { break };
            self.driver.handle(now, Event::Log(event));
        }
        for _ in 0..MAX_BATCH {
            let Ok(event) = self.events.transport.try_recv() else { break };
            // At its own time: a follower's read may go by the lease, and this process may just have been paused.
            self.handle(Event::Transport(event));
        }
        // Rare, but they must not starve behind a busy disk and network.
        while let Ok(event) = self.events.snapshots.try_recv() {
            self.driver.handle(now, Event::Snapshot(event));
        }
        while let Ok(restored) = self.restored.try_recv() {
            self.driver.handle(now, Event::Restored(restored));
        }
        for _ in 0..MAX_BATCH {
            let Ok(request) = self.requests.try_recv() else { break };
            self.request(request)?;
        }
        ControlFlow::Continue(())
    }

    fn handle(&mut self, event: Event<M>) {
        self.driver.handle(self.clock.now(), event);
    }

    fn request(&mut self, request: Request<M>) -> ControlFlow<()> {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        let now = self.clock.now();
        match request {
            Request::Propose(command, done) => {
                self.proposals.insert(ticket, done);
                self.driver.propose(now, ticket, &[&command.head, &command.body]);
            }
            Request::Read(Consistency::Linearizable, done) => {
                self.reads.insert(ticket, done);
                self.driver.read(now, ticket, ReadProof::Quorum);
            }
            Request::Read(Consistency::Lease, done) => {
                self.reads.insert(ticket, done);
                self.driver.read(now, ticket, ReadProof::Lease);
            }
            Request::Read(Consistency::Serializable, done) => match self.waiting_for_state.len() {
                waiting @ MAX_WAITING_FOR_STATE.. => done(Err(ReadError::Busy { waiting })),
                _ => self.waiting_for_state.push(done),
            },
            Request::Initialize(configuration, done) => {
                self.proposals.insert(ticket, done);
                self.driver.initialize(now, ticket, configuration);
            }
            Request::ChangeMembers(changes, done) => {
                self.proposals.insert(ticket, done);
                self.driver.change_members(now, ticket, changes);
            }
            Request::Transfer(to, asker) => {
                self.transfers.insert(ticket, asker);
                self.driver.transfer_leadership(now, ticket, to);
            }
            Request::Status(asker) => {
                let status = NodeStatus { raft: self.driver.raft().status(), applied: self.driver.applied() };
                answer(asker, status);
            }
            Request::TriggerSnapshot => self.driver.trigger_snapshot(),
            Request::Shutdown => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    /// Hands out what the flush brought about.
    fn finish_turn(&mut self) {
        // First, so that whoever is answered sees a state no older than the answer.
        self.publish();
        let mut outcomes = std::mem::take(&mut self.outcomes);
        self.driver.drain_outcomes(&mut outcomes);
        for outcome in outcomes.drain(..) {
            match outcome {
                Outcome::Proposal { ticket, result } => {
                    if let Some(done) = self.proposals.remove(&ticket) {
                        done(result);
                    }
                }
                Outcome::Transfer { ticket, result } => {
                    if let Some(asker) = self.transfers.remove(&ticket) {
                        answer(asker, result);
                    }
                }
                Outcome::Read { ticket, result } => {
                    if let Some(done) = self.reads.remove(&ticket) {
                        let applied = self.driver.applied();
                        let state = self.driver.state().ok_or(ReadError::Stopped);
                        done(result.and(state).map(|state| (state, applied)));
                    }
                }
            }
        }
        self.outcomes = outcomes;
        if let Some(state) = self.driver.state() {
            for done in self.waiting_for_state.drain(..) {
                done(Ok((state, self.driver.applied())));
            }
        }
        if let Some(job) = self.driver.take_restore_job() {
            self.spawn_restore(job);
        }
        if let Some(reason) = self.driver.take_log_damage() {
            tracing::error!(%reason, "an entry of the log is damaged; asking the other members for it");
        }
        if let Some(reason) = self.driver.take_snapshot_failure() {
            tracing::warn!(%reason, "snapshot failed; the log keeps growing until one succeeds");
        }
    }

    fn spawn_restore(&self, job: RestoreJob<M>) {
        let sender = self.restored_sender.clone();
        tokio::task::spawn_blocking(move || {
            // The loop may have ended meanwhile.
            drop(sender.blocking_send(job.run()));
        });
    }

    fn publish(&self) {
        let observation = observe(&self.driver);
        self.observed.send_if_modified(|current| {
            let changed = *current != observation;
            if changed {
                log_change(current, &observation);
                *current = observation;
            }
            changed
        });
        let applied = self.driver.applied().index;
        self.applied.send_if_modified(|current| std::mem::replace(current, applied) != applied);
    }

    /// Everybody who waits gets an answer.
    async fn refuse_all(&mut self) {
        self.requests.close();
        // Until those that were sending when the queue closed are through as well.
        while let Some(request) = self.requests.recv().await {
            refuse(request);
        }
        for (_, done) in self.proposals.drain() {
            done(Err(ProposeError::Unknown));
        }
        let reads = self.reads.drain().map(|(_, done)| done);
        for done in reads.chain(self.waiting_for_state.drain(..)) {
            done(Err(ReadError::Stopped));
        }
    }
}

fn observe<L, T, S, M>(driver: &Driver<L, T, S, M>) -> Observation
where
    L: LogStore,
    T: Transport,
    S: SnapshotStore,
    M: StateMachine,
{
    let raft = driver.raft();
    let term = raft.hard_state().current_term;
    let committed_term = raft.term_at(raft.commit_index());
    Observation {
        role: raft.role(),
        term,
        leader: raft.leader_id(),
        handing_over_to: raft.handing_over_to(),
        cluster_id: raft.hard_state().cluster_id,
        configuration: raft.configuration().cloned(),
        configuration_index: raft.configuration_index(),
        configuration_committed: raft.configuration_index() <= raft.commit_index(),
        own_term_committed: raft.role() == RoleName::Leader && committed_term == Some(term),
    }
}

fn log_change(before: &Observation, after: &Observation) {
    if (before.role, before.term, before.leader) != (after.role, after.term, after.leader) {
        let leader = after.leader.map(tracing::field::display);
        tracing::info!(role = %after.role, term = %after.term, leader, "role changed");
    }
}
