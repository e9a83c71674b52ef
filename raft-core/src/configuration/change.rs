//! From one configuration to the next: at once, where every old majority meets every new one, else through a joint
//! configuration. `[Raft §6]`, `[Ongaro §4.1, §4.3]`
//!
//! Invariant (overlap): any quorum of a configuration and any quorum of its successor have a voter in common.
//! Invariant (nested): of a configuration and its successor, one lists every member of the other; so there is always one
//! list of everybody who must still be reached.

use std::collections::BTreeMap;

use super::{Configuration, ConfigurationError, Member, MemberRole};
use crate::types::{LogIndex, NodeId};

/// One wish. Several make one change: all of them take effect, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberChange {
    /// The member joins with this role, or, if it is one already, has this role, name and addresses from now on.
    /// Voter, learner or promotable; the other roles are the change's own.
    Put(Member),
    /// The member leaves.
    Remove(NodeId),
}

/// Why a change was not begun. Nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// It would change nothing.
    #[error("the members are as wished already")]
    Unchanged,
    /// Nobody of that id to remove.
    #[error("node {id} is no member")]
    UnknownMember {
        /// The id.
        id: NodeId,
    },
    /// One member wished twice.
    #[error("node {id} is named twice in one change")]
    NamedTwice {
        /// The id.
        id: NodeId,
    },
    /// A role that is not for wishing.
    #[error(
        "node {id}: role {role:?} cannot be wished for (expected Voter or Learner, or Promotable for a non-voter)"
    )]
    Role {
        /// The member.
        id: NodeId,
        /// The role.
        role: MemberRole,
    },
    /// Nobody would be left to vote.
    #[error("no voter would be left (expected at least one)")]
    NoVoter,
    /// More members than a cluster can be led with, those included that leave with this change. Make it in several.
    #[error("{found} members, with those that leave (expected at most {limit})")]
    TooManyMembers {
        /// How many there would be.
        found: usize,
        /// [`Configuration::MAX_MEMBERS`].
        limit: usize,
    },
    /// The names and addresses are too long for an entry. Shorten them, or raise
    /// [`Options::max_entry_bytes`](crate::Options::max_entry_bytes) as for a command.
    #[error("the configuration would take {found} bytes (expected at most {limit})")]
    TooLarge {
        /// Its length.
        found: usize,
        /// The longest entry allowed.
        limit: usize,
    },
    /// A name that another member has, or a text that is empty or too long.
    #[error("node {id}: its name is taken or empty, or a text is longer than 65535 bytes")]
    BadText {
        /// The member.
        id: NodeId,
    },
    /// The member's program is older than what the cluster has agreed to speak.
    #[error(
        "node {id} speaks cluster version {found} at most (expected at least {needed}): upgrade its program first"
    )]
    TooOld {
        /// The member.
        id: NodeId,
        /// Its newest version.
        found: u32,
        /// The cluster's.
        needed: u32,
    },
    /// The change before this one is not committed. Wait for it.
    #[error("the change at entry {index} is not finished")]
    InProgress {
        /// Where it stands.
        index: LogIndex,
    },
    /// The leader has not committed an entry of its own term: it cannot know yet which configuration is committed.
    /// Wait a moment.
    #[error("the leader is too new to know which members are agreed on")]
    TooEarly,
}

impl Configuration {
    /// What comes after this configuration so that `changes` come true. A joint one if more than one member changes;
    /// [`left`](Self::left) is what follows it.
    ///
    /// # Errors
    /// [`ChangeError`] says which wish cannot be met.
    pub fn changed(&self, changes: &[MemberChange]) -> Result<Self, ChangeError> {
        let (found, limit) = (changes.len(), Self::MAX_MEMBERS);
        if found > limit {
            // Each of them would be listed, whether it stays or leaves.
            return Err(ChangeError::TooManyMembers { found, limit });
        }
        let wished = self.wished(changes)?;
        let old: BTreeMap<NodeId, &Member> = self.members.iter().map(|member| (member.id, member)).collect();
        let gone = old.keys().filter(|id| !wished.contains_key(id)).count();
        let put = wished.iter().filter(|(id, member)| old.get(id) != Some(member)).count();
        let newest =
            wished.values().map(|member| member.newest_version).min().unwrap_or(self.cluster_version);
        let cluster_version = newest.max(self.cluster_version);
        let members = match gone + put {
            0 => return Err(ChangeError::Unchanged),
            1 => wished.into_values().collect(),
            _ => joint(&old, &wished),
        };
        Self::new(cluster_version, members).map_err(|error| match error {
            ConfigurationError::Name { id, .. } => ChangeError::BadText { id },
            ConfigurationError::TooMany { found, limit } => ChangeError::TooManyMembers { found, limit },
            // Ids are unique by construction, and nothing is decoded here.
            _ => ChangeError::NoVoter,
        })
    }

    fn wished(&self, changes: &[MemberChange]) -> Result<BTreeMap<NodeId, Member>, ChangeError> {
        let mut wished: BTreeMap<_, _> =
            self.members.iter().map(|member| (member.id, member.clone())).collect();
        for (at, change) in changes.iter().enumerate() {
            let id = change.id();
            if changes[..at].iter().any(|earlier| earlier.id() == id) {
                return Err(ChangeError::NamedTwice { id });
            }
            match change {
                MemberChange::Put(member) => {
                    self.check_wish(member)?;
                    wished.insert(id, member.clone());
                }
                MemberChange::Remove(_) => {
                    wished.remove(&id).ok_or(ChangeError::UnknownMember { id })?;
                }
            }
        }
        let has_voter = wished.values().any(|member| member.role == MemberRole::Voter);
        if has_voter { Ok(wished) } else { Err(ChangeError::NoVoter) }
    }

    fn check_wish(&self, member: &Member) -> Result<(), ChangeError> {
        let (id, role) = (member.id, member.role);
        let votes = self.quorum.contains(id);
        if role.is_joint() || (role == MemberRole::Promotable && votes) {
            return Err(ChangeError::Role { id, role });
        }
        let (found, needed) = (member.newest_version, self.cluster_version);
        if found < needed {
            return Err(ChangeError::TooOld { id, found, needed });
        }
        Ok(())
    }

    /// What follows a joint configuration, which must be committed first.
    #[must_use]
    pub fn left(&self) -> Self {
        let members = self.members.iter().filter(|member| member.role.stays()).map(|member| {
            let role = match member.role {
                MemberRole::Incoming => MemberRole::Voter,
                MemberRole::Demoting => MemberRole::Learner,
                role => role,
            };
            Member { role, ..member.clone() }
        });
        Self::new(self.cluster_version, members.collect())
            .expect("a part of a checked list, with its incoming voters")
    }
}

impl MemberChange {
    /// Whom it is about.
    #[must_use]
    pub const fn id(&self) -> NodeId {
        match self {
            Self::Put(member) => member.id,
            Self::Remove(id) => *id,
        }
    }
}

/// Both at once: everybody of `old` and of `new`, each with what it counts for in either.
fn joint(old: &BTreeMap<NodeId, &Member>, new: &BTreeMap<NodeId, Member>) -> Vec<Member> {
    let leaving = old.iter().filter(|(id, _)| !new.contains_key(id)).map(|(_, &member)| {
        let role = if member.role == MemberRole::Voter { MemberRole::Outgoing } else { MemberRole::Leaving };
        Member { role, ..member.clone() }
    });
    let staying = new.iter().map(|(id, member)| {
        let voted = old.get(id).is_some_and(|member| member.role == MemberRole::Voter);
        let role = match (voted, member.role) {
            (true, MemberRole::Learner) => MemberRole::Demoting,
            (false, MemberRole::Voter) => MemberRole::Incoming,
            (_, role) => role,
        };
        Member { role, ..member.clone() }
    });
    leaving.chain(staying).collect()
}
