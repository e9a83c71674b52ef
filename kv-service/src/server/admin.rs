//! What an operator asks of the leader: other members, another leader.
//!
//! Consensus decides whether a change is sound; here it is decided whether it is wise: one that leaves too few voters that
//! can be reached is refused unless it is forced, because it would take the cluster down, itself included.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use kv_client::protocol::{
    self, Answer, ChangeRefusal, MoveRefusal, Reason, Refusal, WishedMember, WishedRole,
};
use raft_core::RoleName;
use raft_core::configuration::{ChangeError, Configuration, Member, MemberChange, MemberRole};
use raft_core::error::{ProposeError, TransferError};
use raft_core::node::HandOverError;
use raft_core::types::{EntryId, NodeId};
use tokio::time::{Instant, timeout_at};

use super::outbox::{Answered, Outbox};
use super::service::Service;
use super::waiting::Ticket;

/// What is asked for.
pub(super) enum Wish {
    Members { changes: Vec<protocol::MemberChange>, force: bool },
    Leader { to: Option<u64> },
}

impl Service {
    /// Sees to it in a task of its own, until `deadline`, when the request is answered without it.
    pub(super) fn administer(
        self: &Arc<Self>,
        wish: Wish,
        ticket: Ticket,
        deadline: Instant,
        outbox: &Arc<Outbox>,
    ) {
        let (service, outbox) = (Arc::clone(self), Arc::clone(outbox));
        tokio::spawn(async move {
            if let Ok(answered) = timeout_at(deadline, service.fulfil(wish)).await {
                outbox.answer(ticket, answered);
            }
        });
    }

    async fn fulfil(&self, wish: Wish) -> Answered {
        match wish {
            Wish::Members { changes, force } => match self.change_members(changes, force).await {
                Ok(EntryId { term, index }) => {
                    let done = self.answered(Ok(Answer::MembersChanged), Bytes::new());
                    Answered { term: term.0, index: index.0, ..done }
                }
                Err(refusal) => self.refused(refusal),
            },
            Wish::Leader { to } => self.answered(self.move_leader(to).await, Bytes::new()),
        }
    }

    async fn change_members(
        &self,
        changes: Vec<protocol::MemberChange>,
        force: bool,
    ) -> Result<EntryId, Refusal> {
        let (role, leader) = {
            let observation = self.observed.borrow();
            (observation.role, observation.leader)
        };
        if role != RoleName::Leader {
            return Err(self.not_leader(leader));
        }
        let wishes: Result<Vec<_>, _> = changes.into_iter().map(wish).collect();
        let wishes = wishes.map_err(Refusal::MembersUnchanged)?;
        tracing::info!(?wishes, force, "a change of the members is asked for");
        if !force {
            self.check_quorum(&wishes).await?;
        }
        match self.node.change_members(wishes).await {
            Ok(id) => {
                tracing::info!(entry = %id, "the members have changed");
                Ok(id)
            }
            Err(ProposeError::Change(error)) => Err(Refusal::MembersUnchanged(unchanged(error))),
            Err(error) => Err(self.write_refusal(error)),
        }
    }

    /// Whether those can be reached who would have to agree, to the change and to whatever comes after it.
    async fn check_quorum(&self, wishes: &[MemberChange]) -> Result<(), Refusal> {
        let status = self.node.status().await.ok_or(Refusal::NotApplied(Reason::Stopping))?;
        let configuration = self.observed.borrow().configuration.clone();
        // What cannot be is for consensus to say.
        let Some(Ok(next)) = configuration.map(|configuration| configuration.changed(wishes)) else {
            return Ok(());
        };
        let heard = status.raft.peers.iter().filter(|peer| peer.silent_for < self.election_timeout);
        let own = [self.local.node_id];
        // Whoever is no member yet was not heard from, whatever it may be able to do.
        let reachable: BTreeSet<_> = heard.map(|peer| peer.id).chain(own).collect();
        let quorum = next.quorum();
        // Outside a joint configuration nobody is outgoing.
        let mut halves = [&quorum.incoming, &quorum.outgoing].into_iter().filter(|voters| !voters.is_empty());
        let at_risk = halves.find_map(|voters| at_risk(&next, voters, &reachable));
        at_risk.map_or(Ok(()), |risk| Err(Refusal::MembersUnchanged(risk)))
    }

    async fn move_leader(&self, to: Option<u64>) -> Result<Answer, Refusal> {
        let to = match to {
            None => None,
            Some(to) => Some(NodeId::new(to).ok_or(not_moved(MoveRefusal::NotVoter { id: to }))?),
        };
        let refusal = match self.node.transfer_leadership(to).await {
            Ok(leader) => return Ok(Answer::LeaderMoved { to: leader.get() }),
            Err(HandOverError::Refused(error)) => match error {
                TransferError::NotLeader { leader } => return Err(self.not_leader(leader)),
                TransferError::NotVoter { to } => MoveRefusal::NotVoter { id: to.get() },
                TransferError::LeadsAlready { id } => MoveRefusal::LeadsAlready { id: id.get() },
                TransferError::InProgress { to } => MoveRefusal::InProgress { to: to.get() },
                _ if self.votes_alone() => MoveRefusal::OnlyVoter,
                _ => MoveRefusal::Nobody,
            },
            Err(HandOverError::Elsewhere { to, .. }) => MoveRefusal::NotTaken { to: to.get() },
            Err(_) => return Err(Refusal::Unknown(Reason::Stopping)),
        };
        Err(not_moved(refusal))
    }

    /// Whether nobody else could lead, whoever may be silent.
    fn votes_alone(&self) -> bool {
        let observation = self.observed.borrow();
        observation.configuration.as_ref().is_some_and(|members| members.quorum().incoming.len() == 1)
    }
}

const fn not_moved(refusal: MoveRefusal) -> Refusal {
    Refusal::LeaderNotMoved(refusal)
}

/// Why `voters` could agree on nothing.
fn at_risk(next: &Configuration, voters: &[NodeId], reachable: &BTreeSet<NodeId>) -> Option<ChangeRefusal> {
    let silent: Vec<_> = voters.iter().filter(|voter| !reachable.contains(voter)).collect();
    let answering = voters.len() - silent.len();
    let needed = voters.len() / 2 + 1;
    let name = |id: &&NodeId| next.member(**id).map_or_else(|| id.to_string(), |member| member.name.clone());
    (answering < needed).then(|| ChangeRefusal::QuorumAtRisk {
        voters: count(voters.len()),
        needed: count(needed),
        reachable: count(answering),
        silent: silent.iter().map(name).collect(),
    })
}

/// Members are fewer than 2¹⁶.
fn count(members: usize) -> u32 {
    u32::try_from(members).unwrap_or(u32::MAX)
}

/// A wish in the words of consensus.
fn wish(change: protocol::MemberChange) -> Result<MemberChange, ChangeRefusal> {
    let node = |id| NodeId::new(id).ok_or(ChangeRefusal::NoId);
    Ok(match change {
        protocol::MemberChange::Remove { id } => MemberChange::Remove(node(id)?),
        protocol::MemberChange::Put(wished) => {
            let WishedMember { id, name, peer_address, client_address, newest_version, role } = wished;
            if peer_address.is_empty() || client_address.is_empty() {
                return Err(ChangeRefusal::BadText);
            }
            let role = match role {
                WishedRole::Voter => MemberRole::Voter,
                WishedRole::Learner => MemberRole::Learner,
                WishedRole::Promotable => MemberRole::Promotable,
            };
            let id = node(id)?;
            MemberChange::Put(Member { id, role, newest_version, name, peer_address, client_address })
        }
    })
}

/// Why not, in words of the protocol.
const fn unchanged(error: ChangeError) -> ChangeRefusal {
    match error {
        ChangeError::Unchanged => ChangeRefusal::Unchanged,
        ChangeError::UnknownMember { id } => ChangeRefusal::UnknownMember { id: id.get() },
        ChangeError::NamedTwice { id } => ChangeRefusal::NamedTwice { id: id.get() },
        // The joint roles cannot be wished for here.
        ChangeError::Role { id, .. } => ChangeRefusal::VotesAlready { id: id.get() },
        ChangeError::NoVoter => ChangeRefusal::NoVoter,
        ChangeError::BadText { .. } => ChangeRefusal::BadText,
        ChangeError::TooOld { id, found, needed } => ChangeRefusal::TooOld { id: id.get(), found, needed },
        ChangeError::InProgress { index } => ChangeRefusal::InProgress { index: index.0 },
        ChangeError::TooManyMembers { found, limit } => {
            ChangeRefusal::TooManyMembers { found: found as u64, limit: limit as u64 }
        }
        ChangeError::TooLarge { found, limit } => {
            ChangeRefusal::TooLarge { found: found as u64, limit: limit as u64 }
        }
        _ => ChangeRefusal::TooEarly,
    }
}
