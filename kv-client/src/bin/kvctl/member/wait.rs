//! Waiting for a node to catch up.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use indicatif::ProgressBar;
use kv_client::Client;
use kv_client::protocol::{MemberRole, MemberStatus, NodeStatus};
use tokio::time::{Instant, sleep};

use super::Roster;
use crate::cli::Global;
use crate::progress;

/// How often the leader is asked.
const POLL: Duration = Duration::from_millis(200);

/// The change was made, but what follows from it takes longer than was to be waited.
#[derive(Debug, thiserror::Error)]
#[error("not finished within {within:?}, and goes on without kvctl: {stands}")]
pub(crate) struct NotFinished {
    within: Duration,
    stands: String,
}

/// Waits until a promotable learner votes.
pub(crate) async fn until_voter(client: &Client, global: &Global, id: &str, limit: Duration) -> Result<()> {
    until(client, global, id, limit, |_, member| member.role == MemberRole::Voter).await
}

/// Waits until a voter, or one that is to stay a learner, has all that was in the leader's log before.
pub(crate) async fn until_caught_up(
    client: &Client,
    global: &Global,
    id: &str,
    before: &Roster,
    limit: Duration,
) -> Result<()> {
    let index = before.leader.log.last_index;
    let has_it = |leader: &NodeStatus, member: &MemberStatus| {
        let leads = leader.node_id == member.node_id;
        matches!(member.role, MemberRole::Voter | MemberRole::Learner)
            && (leads || member.match_index >= Some(index))
    };
    until(client, global, id, limit, has_it).await
}

async fn until(
    client: &Client,
    global: &Global,
    id: &str,
    limit: Duration,
    is_done: impl Fn(&NodeStatus, &MemberStatus) -> bool,
) -> Result<()> {
    let end = Instant::now() + limit;
    let bar = progress::entries();
    let mut stands = "nobody has led since".to_owned();
    loop {
        // A change of leaders does not end the wait.
        if let Ok(roster) = Roster::of(client, global).await {
            let member = roster.member(id)?;
            if is_done(&roster.leader, member) {
                bar.finish_and_clear();
                return Ok(());
            }
            show(&bar, &roster.leader, member);
            stands = Stands { leader: &roster.leader, member }.to_string();
        }
        if Instant::now() + POLL >= end {
            bar.finish_and_clear();
            return Err(NotFinished { within: limit, stands }.into());
        }
        sleep(POLL).await;
    }
}

fn show(bar: &ProgressBar, leader: &NodeStatus, member: &MemberStatus) {
    bar.set_length(leader.log.last_index);
    bar.set_position(member.match_index.unwrap_or(0));
    bar.set_message(Stands { leader, member }.to_string());
}

/// How far a member has got.
struct Stands<'a> {
    leader: &'a NodeStatus,
    member: &'a MemberStatus,
}

impl fmt::Display for Stands<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { leader, member } = self;
        let role = match member.role {
            MemberRole::Voter | MemberRole::Incoming => "voter",
            _ => "learner",
        };
        let (has, last) = (member.match_index.unwrap_or(0), leader.log.last_index);
        write!(f, "{} is a {role} and has entries through {has} of {last}", member.name)?;
        match member.silent_ms {
            Some(silent @ 1000..) => write!(f, "; {} has not heard from it for {silent} ms", leader.name),
            None if member.node_id != leader.node_id => {
                write!(f, "; {} has not heard from it yet", leader.name)
            }
            _ => Ok(()),
        }
    }
}
