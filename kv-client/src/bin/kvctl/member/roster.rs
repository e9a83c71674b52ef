//! The members as their leader sees them.

use std::time::Duration;

use anyhow::Result;
use kv_client::Client;
use kv_client::protocol::{MemberRole, MemberStatus, NodeStatus, Role, WishedMember, WishedRole};
use tokio::time::{Instant, sleep};

use crate::cli::Global;
use crate::status;

/// Pause before the nodes are asked once more.
const PAUSE: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub(crate) struct Roster {
    /// The leader's account of itself.
    pub(crate) leader: NodeStatus,
}

/// Nobody leads.
#[derive(Debug, thiserror::Error)]
#[error("no leader was found within {within:?}: is a majority of the voters up?")]
pub(crate) struct NoLeader {
    within: Duration,
}

/// Nobody is called that.
#[derive(Debug, thiserror::Error)]
#[error("no member has the name or id {wanted} (members: {})", .members.join(", "))]
pub(crate) struct NoSuchMember {
    wanted: String,
    members: Vec<String>,
}

/// An id that is none.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no node's id (expected 16 hex digits, not all 0)")]
pub(crate) struct NotAnId(String);

impl Roster {
    /// Asks the nodes until one leads.
    pub(crate) async fn of(client: &Client, global: &Global) -> Result<Self> {
        let end = Instant::now() + global.timeout;
        loop {
            if let Some(leader) = leader(client, global).await {
                return Ok(Self { leader });
            }
            if Instant::now() + PAUSE >= end {
                return Err(NoLeader { within: global.timeout }.into());
            }
            sleep(PAUSE).await;
        }
    }

    /// The member with this name or id.
    pub(crate) fn member(&self, wanted: &str) -> Result<&MemberStatus, NoSuchMember> {
        self.with_id(wanted).or_else(|| self.named(wanted)).ok_or_else(|| NoSuchMember {
            wanted: wanted.to_owned(),
            members: self
                .leader
                .members
                .iter()
                .map(|member| format!("{} ({})", member.name, member.node_id))
                .collect(),
        })
    }

    /// The member with this id.
    pub(crate) fn with_id(&self, id: &str) -> Option<&MemberStatus> {
        self.leader.members.iter().find(|member| member.node_id == id)
    }

    /// The member with this name; one that stays before one that is about to leave.
    pub(crate) fn named(&self, name: &str) -> Option<&MemberStatus> {
        let namesakes = self.leader.members.iter().filter(|member| member.name == name);
        namesakes.min_by_key(|member| is_about_to_go(member))
    }
}

/// Whether it is no member any more once the change under way is complete.
pub(crate) const fn is_about_to_go(member: &MemberStatus) -> bool {
    matches!(member.role, MemberRole::Outgoing | MemberRole::Leaving)
}

/// Whoever leads the latest term, as far as anybody says so.
async fn leader(client: &Client, global: &Global) -> Option<NodeStatus> {
    let asked = status::ask_all(client, &global.endpoints).await;
    let statuses = asked.into_iter().filter_map(|node| node.status.ok());
    statuses.filter(|status| status.role == Role::Leader).max_by_key(|status| status.term)
}

/// A member as it is, but for its role.
pub(crate) fn as_wished(member: &MemberStatus, role: WishedRole) -> Result<WishedMember, NotAnId> {
    Ok(WishedMember {
        id: parse_id(&member.node_id)?,
        name: member.name.clone(),
        peer_address: member.peer_address.clone(),
        client_address: member.client_address.clone(),
        newest_version: member.newest_version,
        role,
    })
}

/// The number behind 16 hex digits.
pub(crate) fn parse_id(text: &str) -> Result<u64, NotAnId> {
    let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = if is_hex { u64::from_str_radix(text, 16).unwrap_or(0) } else { 0 };
    if id == 0 { Err(NotAnId(text.to_owned())) } else { Ok(id) }
}
