//! Calls of an operator: other members, another leader.

use bytes::Bytes;

use super::Client;
use super::perform::Route;
use super::view;
use crate::error::{Cause, Error, Problem};
use crate::protocol::{Body, ChangeRefusal, MemberChange, MoveRefusal, Refusal};

impl Client {
    /// Changes the members: all of `changes`, or nothing. Returns when the change is complete: the index of its first
    /// entry, or `None` if the members were found as wished after an attempt that was not answered. A learner that is to
    /// become a voter becomes one later, by itself.
    ///
    /// `force`: even if too few of the voters that there would be can be reached for anything to be committed.
    ///
    /// # Errors
    /// [`Error::NotApplied`]: with [`Refusal::MembersUnchanged`] the leader says why. [`Error::Unknown`]: it may come to
    /// pass, now or later; [`status`](Self::status) of the leader shows the members.
    pub async fn change_members(
        &self,
        changes: Vec<MemberChange>,
        force: bool,
    ) -> Result<Option<u64>, Error> {
        let mut trial = self.trial();
        let body = Body::ChangeMembers { changes, force };
        loop {
            let done =
                self.perform(&mut trial, &Route::Leader, &body, &Bytes::new(), view::members_changed).await;
            let error = match done {
                Ok(response) => return Ok(Some(response.index)),
                Err(error) => error,
            };
            // Of an attempt that was not answered, the next one may find the effect; who was to vote may vote by then.
            match refusal(&error).filter(|_| trial.maybe_applied()) {
                Some(Refusal::MembersUnchanged(
                    ChangeRefusal::Unchanged
                    | ChangeRefusal::UnknownMember { .. }
                    | ChangeRefusal::VotesAlready { .. },
                )) => return Ok(None),
                Some(Refusal::MembersUnchanged(ChangeRefusal::InProgress { .. })) => trial.pause().await,
                _ => return Err(error),
            }
        }
    }

    /// Lets node `to` lead, or whichever other voter lacks the least. Returns who leads then.
    ///
    /// # Errors
    /// [`Error::NotApplied`]: with [`Refusal::LeaderNotMoved`] the leader says why. [`Error::Unknown`]: leadership may
    /// have moved; [`status`](Self::status) shows it.
    pub async fn move_leader(&self, to: Option<u64>) -> Result<u64, Error> {
        let mut trial = self.trial();
        let body = Body::MoveLeader { to };
        let moved = self.perform(&mut trial, &Route::Leader, &body, &Bytes::new(), view::leader_moved).await;
        match moved {
            Err(error) => match refusal(&error) {
                Some(&Refusal::LeaderNotMoved(MoveRefusal::LeadsAlready { id })) => Ok(id),
                _ => Err(error),
            },
            Ok(response) => Ok(response.value),
        }
    }
}

/// Why a node refused for good.
fn refusal(error: &Error) -> Option<&Refusal> {
    let (Error::NotApplied(Cause::Refused(refused)) | Error::Unknown(Cause::Refused(refused))) = error else {
        return None;
    };
    match &refused.problem {
        Problem::Refused(refusal) => Some(refusal),
        _ => None,
    }
}
