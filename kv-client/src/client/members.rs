//! Calls of an operator: other members, another leader.

use bytes::Bytes;

use super::Client;
use super::perform::Route;
use super::view;
use crate::error::{Cause, Error, Problem};
use crate::protocol::{Body, ChangeRefusal, MemberChange, MoveRefusal, Refusal};
use crate::store::Response;

impl Client {
    /// Changes the members: all of `changes`, or nothing. Returns when the change is complete; the response has its
    /// entry. A learner that is to become a voter becomes one later, by itself.
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
    ) -> Result<Response<()>, Error> {
        let mut trial = self.trial();
        let body = Body::ChangeMembers { changes, force };
        loop {
            let done =
                self.perform(&mut trial, &Route::Leader, &body, &Bytes::new(), view::members_changed).await;
            let Err(error) = &done else { return done };
            // Of an attempt that was not answered, the next one may find the effect.
            match refusal(error).filter(|_| trial.maybe_applied()) {
                Some(Refusal::MembersUnchanged(ChangeRefusal::Unchanged)) => {
                    return Ok(Response { value: (), revision: 0, term: 0, index: 0 });
                }
                Some(Refusal::MembersUnchanged(ChangeRefusal::InProgress { .. })) => trial.pause().await,
                _ => return done,
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
