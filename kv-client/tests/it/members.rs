//! Calls of an operator whose answers are lost.

use kv_client::protocol::{
    Answer, Body, ChangeRefusal, MemberChange, MoveRefusal, Reason, Refusal, WishedMember, WishedRole,
};
use kv_client::{Cause, Error};

use crate::fake::{Action, Fake, Seen};

fn is_change(seen: &Seen) -> bool {
    matches!(seen.request.body, Body::ChangeMembers { .. } | Body::MoveLeader { .. })
}

/// Does one thing after the other with the requests of an operator, and the last for ever.
fn one_by_one(fake: &Fake, actions: impl IntoIterator<Item = Action> + Send) {
    let mut actions: Vec<_> = actions.into_iter().collect();
    actions.reverse();
    fake.script(move |seen| match is_change(seen) {
        true => actions.pop().unwrap_or(Action::Serve),
        false => Action::Serve,
    });
}

const fn unchanged(refusal: ChangeRefusal) -> Action {
    Action::Refuse(Refusal::MembersUnchanged(refusal))
}

fn remove() -> Vec<MemberChange> {
    vec![MemberChange::Remove { id: 3 }]
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_answer_is_lost_is_found_done_by_the_next_attempt() {
    for found in [ChangeRefusal::Unchanged, ChangeRefusal::UnknownMember { id: 3 }] {
        let fake = Fake::three();
        let in_progress = unchanged(ChangeRefusal::InProgress { index: 9 });
        one_by_one(&fake, [Action::ServeAndClose, in_progress, unchanged(found)]);
        assert_eq!(fake.client(&["n0"]).change_members(remove(), false).await.unwrap(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_learner_that_votes_by_the_time_of_the_next_attempt_is_as_wished() {
    let wished = WishedMember {
        id: 4,
        name: "n4".to_owned(),
        peer_address: "n4".to_owned(),
        client_address: "n4".to_owned(),
        newest_version: 1,
        role: WishedRole::Promotable,
    };
    let votes_already = || unchanged(ChangeRefusal::VotesAlready { id: 4 });
    let fake = Fake::three();
    one_by_one(&fake, [Action::ServeAndClose, votes_already()]);
    let put = || vec![MemberChange::Put(wished.clone())];
    assert_eq!(fake.client(&["n0"]).change_members(put(), false).await.unwrap(), None);
    one_by_one(&fake, [votes_already()]);
    let error = fake.client(&["n0"]).change_members(put(), false).await.unwrap_err();
    assert!(matches!(error, Error::NotApplied(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_refused_at_once_is_not_tried_again() {
    for refusal in [ChangeRefusal::InProgress { index: 9 }, ChangeRefusal::Unchanged, ChangeRefusal::NoVoter]
    {
        let fake = Fake::three();
        one_by_one(&fake, [unchanged(refusal.clone())]);
        let error = fake.client(&["n0"]).change_members(remove(), false).await.unwrap_err();
        let Error::NotApplied(Cause::Refused(refused)) = &error else { panic!("{error:?}") };
        assert!(refused.to_string().contains(&refusal.to_string()), "{error}");
        assert_eq!(fake.seen().iter().filter(|seen| is_change(seen)).count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_too_new_or_handing_over_is_asked_again() {
    let fake = Fake::three();
    let handing_over = Action::Refuse(Refusal::NotApplied(Reason::HandingOver));
    one_by_one(&fake, [unchanged(ChangeRefusal::TooEarly), handing_over]);
    assert!(fake.client(&["n0"]).change_members(remove(), false).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_move_to_anybody_is_not_repeated_once_it_may_have_happened_and_one_to_somebody_is() {
    let fake = Fake::three();
    one_by_one(&fake, [Action::Close, Action::Say(Answer::LeaderMoved { to: 2 })]);
    let error = fake.client(&["n0"]).move_leader(None).await.unwrap_err();
    assert!(matches!(error, Error::Unknown(_)), "{error}");
    let leads = Refusal::LeaderNotMoved(MoveRefusal::LeadsAlready { id: 2 });
    one_by_one(&fake, [Action::Close, Action::Refuse(leads)]);
    assert_eq!(fake.client(&["n0"]).move_leader(Some(2)).await.unwrap(), 2);
}
