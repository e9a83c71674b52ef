//! Marks that can be seen from outside: in what nodes say, and in how they change.

use super::node::Running;
use crate::configuration::{Configuration, MemberRole};
use crate::driver::Outcome;
use crate::error::{ProposeError, ReadError};
use crate::message::{AppendOutcome, Message};
use crate::raft::RoleName;
use crate::testing::sim_log::{Part, Survivors};
use crate::types::{NodeId, WriteId};

/// A message leaves a node.
pub(super) fn sent(message: &Message) {
    match message {
        Message::RequestVote(request) if request.forced => mark!(VoteForced),
        Message::RequestVoteResponse(response) if !response.granted && response.pre => mark!(PreVoteRefused),
        Message::RequestVoteResponse(response) if !response.granted => mark!(VoteRefused),
        Message::AppendEntries(request) if request.blocks.is_empty() => mark!(ProbeSent),
        Message::AppendEntries(request) if request.blocks.len() > 1 => mark!(ManyBlocksAtOnce),
        Message::AppendEntriesResponse(response) => {
            if response.hole.is_some() {
                mark!(HoleReported);
            }
            if let AppendOutcome::Conflict { prev_index, hint } = response.outcome {
                mark!(ConflictReported);
                if prev_index.since(hint.index) > 2 {
                    mark!(ConflictSkipsEntries);
                }
            }
        }
        Message::TimeoutNow(_) => mark!(TimeoutNowSent),
        Message::ReadIndexResponse(response) if response.index.is_none() => mark!(ReadForwardRefused),
        _ => {}
    }
}

/// A client is answered by a node of this role.
pub(super) fn answered(outcome: &Outcome<u64>, role: RoleName) {
    match outcome {
        Outcome::Proposal { result: Err(error), .. } => match error {
            ProposeError::NotApplied { .. } => mark!(ProposalDisplaced),
            ProposeError::Unknown => mark!(ProposalForgotten),
            ProposeError::Busy { .. } => mark!(ProposalBusy),
            ProposeError::HandingOver { .. } => mark!(HandingOverRefused),
            ProposeError::Change(_) => mark!(ChangeRefused),
            _ => {}
        },
        Outcome::Read { result: Ok(_), .. } if role == RoleName::Follower => mark!(ReadAtFollower),
        Outcome::Read { result: Err(ReadError::Unconfirmed { .. }), .. } => mark!(ReadUnconfirmed),
        _ => {}
    }
}

/// A power cut spares `survivors` of what was not durable.
pub(super) fn crashed(running: &Running, survivors: Survivors) {
    let pending = running.log.pending_writes();
    if pending > survivors.writes {
        mark!(CrashLosesWrites);
        if matches!(survivors.part, Part::Entries(1..)) {
            mark!(CrashTearsWrite);
        }
    }
    let (mut place, mut loses_vote) = (0, false);
    running.log.with_submitted_after(WriteId(0), |write| {
        let votes = write.hard_state.is_some_and(|hard_state| hard_state.voted_for.is_some());
        loses_vote |= votes && place > survivors.writes;
        place += 1;
    });
    if loses_vote {
        mark!(CrashLosesVote);
    }
}

/// A leader replaces one configuration by another.
pub(super) fn members_change(leader: NodeId, before: &Configuration, after: &Configuration) {
    if after.is_joint() {
        mark!(JointAppended);
        return;
    }
    for member in before.members() {
        let now = after.member(member.id).map(|member| member.role);
        match (member.role, now) {
            (MemberRole::Learner | MemberRole::Promotable, Some(MemberRole::Voter)) => mark!(LearnerPromoted),
            (MemberRole::Voter | MemberRole::Demoting, Some(MemberRole::Learner)) => mark!(VoterDemoted),
            (_, None) => mark!(MemberRemoved),
            _ => {}
        }
    }
    if after
        .members()
        .iter()
        .any(|member| before.member(member.id).is_none() || member.role == MemberRole::Voter)
        && after.quorum().voters().iter().any(|id| !before.quorum().contains(*id))
    {
        mark!(VoterAdded);
    }
    if before.quorum().contains(leader) && !after.quorum().contains(leader) {
        mark!(LeaderRemovesItself);
    }
}
