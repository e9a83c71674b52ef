//! One request, sent until a node serves it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::Client;
use super::node::Node;
use super::trial::Trial;
use crate::connection::{Answered, Failed};
use crate::error::{Error, Problem};
use crate::protocol::{Answer, Body, ChangeRefusal, HelloRefusal, Leader, Reason, Refusal};
use crate::store::Response;

/// Whom to ask.
#[derive(Debug)]
pub(super) enum Route {
    /// The leader, once found: who answers is taken for it.
    Leader,
    /// Any node.
    Any,
    /// This node.
    Node(Arc<Node>),
}

/// What to do after an attempt failed.
enum Next {
    /// Ask the leader, whom the node named.
    Follow(Leader),
    /// Ask another node.
    Elsewhere,
    /// Ask the same node.
    Again,
    /// Nothing helps.
    GiveUp,
}

impl Client {
    /// Asks for something that changes nothing.
    pub(super) async fn ask<T>(
        &self,
        trial: &mut Trial,
        route: &Route,
        body: &Body,
        view: impl Fn(Answer, Bytes) -> Result<T, Problem>,
    ) -> Result<Response<T>, Error> {
        self.perform(trial, route, body, &Bytes::new(), view).await
    }

    /// Sends a request until a node answers it; `view` takes the answer and the tail of its frame.
    pub(super) async fn perform<T>(
        &self,
        trial: &mut Trial,
        route: &Route,
        body: &Body,
        tail: &Bytes,
        view: impl Fn(Answer, Bytes) -> Result<T, Problem>,
    ) -> Result<Response<T>, Error> {
        let is_write = body.is_write();
        loop {
            let deadline = trial.attempt(self.cluster.options().attempt_timeout)?;
            let node = match route {
                Route::Leader | Route::Any => self.cluster.leader_or_next(),
                Route::Node(node) => Arc::clone(node),
            };
            let (problem, maybe_applied) = match self.send(&node, body, tail, deadline).await {
                Ok(Answered { reply, tail }) => match reply.result {
                    Ok(answer) => {
                        // Followers serve linearizable reads as well.
                        if matches!(route, Route::Leader) && is_write {
                            self.cluster.leads(&node);
                        }
                        let value = view(answer, tail).map_err(|problem| {
                            trial.failed(&node, problem, is_write);
                            trial.refused()
                        })?;
                        let (revision, term, index) = (reply.revision, reply.term, reply.index);
                        return Ok(Response { value, revision, term, index });
                    }
                    Err(refusal) => {
                        let maybe_applied = refusal.may_be_applied();
                        (Problem::Refused(refusal), maybe_applied)
                    }
                },
                Err(Failed { sent, problem }) => (problem, sent),
            };
            let next = Next::after(&problem);
            trial.failed(&node, problem, is_write && maybe_applied);
            if trial.maybe_applied() && !may_be_repeated(body) {
                return Err(trial.refused());
            }
            self.turn(trial, route, &node, next).await?;
        }
    }

    /// Sends a request to a node, once.
    pub(super) async fn send(
        &self,
        node: &Arc<Node>,
        body: &Body,
        tail: &Bytes,
        deadline: Instant,
    ) -> Result<Answered, Failed> {
        let connection = match timeout_at(deadline, node.connection(&self.cluster)).await {
            Ok(dialed) => dialed.map_err(Failed::unsent)?,
            Err(_elapsed) => {
                return Err(Failed::unsent(Problem::ConnectTimeout(self.cluster.options().connect_timeout)));
            }
        };
        connection.call(body.clone(), tail.clone(), deadline).await
    }

    /// Turns to the node to ask next, at the time to ask it.
    async fn turn(
        &self,
        trial: &mut Trial,
        route: &Route,
        node: &Arc<Node>,
        next: Next,
    ) -> Result<(), Error> {
        match (route, next) {
            (_, Next::GiveUp) => return Err(trial.refused()),
            (Route::Leader | Route::Any, Next::Follow(leader)) => {
                self.cluster.follow(&leader);
                trial.pause_before_redirect().await;
                return Ok(());
            }
            (Route::Leader | Route::Any, Next::Elsewhere) => self.cluster.doubt(node),
            (_, Next::Again) | (Route::Node(_), _) => {}
        }
        trial.pause().await;
        Ok(())
    }
}

/// Whether a request may be sent once more though it may have had its effect.
const fn may_be_repeated(body: &Body) -> bool {
    // It would move on from where it went.
    !matches!(body, Body::MoveLeader { to: None })
}

impl Next {
    fn after(problem: &Problem) -> Self {
        match problem {
            Problem::Refused(refusal) => match refusal {
                Refusal::NotLeader { leader: Some(leader) } => Self::Follow(leader.clone()),
                Refusal::Busy
                | Refusal::NotApplied(Reason::HandingOver)
                | Refusal::MembersUnchanged(ChangeRefusal::TooEarly) => Self::Again,
                Refusal::BadRequest(_) | Refusal::MembersUnchanged(_) | Refusal::LeaderNotMoved(_) => {
                    Self::GiveUp
                }
                Refusal::NotLeader { leader: None }
                | Refusal::NoLeader
                | Refusal::NotApplied(_)
                | Refusal::Unknown(_)
                | Refusal::RevisionNotReached { .. } => Self::Elsewhere,
            },
            // Credentials are those of the cluster: what one node says of them, each would.
            Problem::HelloRefused(HelloRefusal::Credentials { .. }) => Self::GiveUp,
            _ => Self::Elsewhere,
        }
    }
}
