//! Who the members are and what each of them counts for.
//!
//! A configuration is an entry of the log, in force from the moment it is appended. `[Raft §6]` Its layout is part of
//! the log and snapshot formats:
//!
//! ```text
//! version u8 = 1 | cluster version u32 | members u16 | members × (
//!     id u64 | role u8 | newest cluster version it speaks u32 |
//!     name length u16, name | peer address length u16, peer address | client address length u16, client address)
//! ```
//! All numbers little-endian, texts UTF-8, members ascending by id.
//!
//! Invariant (configuration): ids strictly ascend, names are not empty and unique among those who stay (a replacement may
//! have the name of the one it replaces), there is at least one voter of the new configuration and, while joint, of the old
//! one, and there are at most [`Configuration::MAX_MEMBERS`] members. [`Configuration::new`] is the one gateway.

mod change;
mod codec;
#[cfg(test)]
mod tests;

pub use change::{ChangeError, MemberChange};

use crate::fingerprint::Mixer;
use crate::quorum::Quorum;
use crate::types::{ClusterId, NodeId};

/// What a member counts for.
///
/// Outside a joint configuration every member is `Voter`, `Learner` or `Promotable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MemberRole {
    /// Votes (in both configurations, while joint).
    Voter = 0,
    /// Receives the log, does not vote.
    Learner = 1,
    /// A learner that the leader makes a voter once it has caught up.
    Promotable = 2,
    /// While joint: votes in the new configuration only.
    Incoming = 3,
    /// While joint: votes in the old configuration only, then is no member.
    Outgoing = 4,
    /// While joint: votes in the old configuration only, then is a learner.
    Demoting = 5,
    /// While joint: a learner that then is no member.
    Leaving = 6,
}

impl MemberRole {
    /// Whether the role votes in the new configuration (or the only one).
    #[must_use]
    pub const fn is_incoming_voter(self) -> bool {
        matches!(self, Self::Voter | Self::Incoming)
    }

    /// Whether the member will still be there when a joint configuration has been left.
    #[must_use]
    pub const fn stays(self) -> bool {
        !matches!(self, Self::Outgoing | Self::Leaving)
    }

    /// Whether the role only exists inside a joint configuration.
    #[must_use]
    pub const fn is_joint(self) -> bool {
        matches!(self, Self::Incoming | Self::Outgoing | Self::Demoting | Self::Leaving)
    }
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// Its id, minted with its data folder.
    pub id: NodeId,
    /// What it counts for.
    pub role: MemberRole,
    /// Newest cluster version that its program speaks.
    pub newest_version: u32,
    /// Label chosen by the operator; unique, not an identity.
    pub name: String,
    /// `host:port` where other members reach it; names are looked up at each dial.
    pub peer_address: String,
    /// `host:port` where clients reach it.
    pub client_address: String,
}

/// A checked list of members. Shared by `Arc` where it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Configuration {
    cluster_version: u32,
    members: Vec<Member>,
    quorum: Quorum,
}

/// A list of members that breaks the configuration invariant, or bytes that are no configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigurationError {
    /// Nobody could ever be elected.
    #[error("configuration of {members} members has no voter (expected at least one)")]
    NoVoter {
        /// Members listed.
        members: usize,
    },
    /// Nobody could ever agree to it: a joint configuration that none of the old voters is in.
    #[error("joint configuration of {members} members has no old voter (expected at least one)")]
    NoOldVoter {
        /// Members listed.
        members: usize,
    },
    /// More members than a cluster can be led with.
    #[error("configuration of {found} members (expected at most {limit})")]
    TooMany {
        /// Members listed.
        found: usize,
        /// [`Configuration::MAX_MEMBERS`].
        limit: usize,
    },
    /// One id twice.
    #[error("configuration lists node {id} twice (expected each id once)")]
    DuplicateId {
        /// The id.
        id: NodeId,
    },
    /// One name twice, or an empty one, or a text too long to store.
    #[error(
        "configuration: member {id} has name {name:?} (expected a unique name and addresses of 1 to 65535 bytes)"
    )]
    Name {
        /// The member.
        id: NodeId,
        /// Its name.
        name: String,
    },
    /// The bytes end inside a field.
    #[error("configuration: {found} bytes end inside {field} (the entry or snapshot is damaged)")]
    Truncated {
        /// The field.
        field: &'static str,
        /// Bytes there in all.
        found: usize,
    },
    /// A field with a value it cannot have.
    #[error("configuration: {field} is {found} (written by a newer program, or damaged)")]
    Field {
        /// The field.
        field: &'static str,
        /// Its value.
        found: u64,
    },
}

impl Configuration {
    /// Members that a configuration lists at most; a joint one lists those that leave and those that join.
    pub const MAX_MEMBERS: usize = 256;

    /// A configuration of `members` in any order.
    ///
    /// # Errors
    /// [`ConfigurationError`] names what breaks the invariant; mend the list.
    pub fn new(cluster_version: u32, mut members: Vec<Member>) -> Result<Self, ConfigurationError> {
        Self::check_count(members.len())?;
        members.sort_by_key(|member| member.id);
        if let Some(pair) = members.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(ConfigurationError::DuplicateId { id: pair[0].id });
        }
        let staying = members.iter().filter(|member| member.role.stays());
        let mut names: Vec<_> = staying.map(|member| member.name.as_str()).collect();
        names.sort_unstable();
        let twice = |member: &Member| {
            member.role.stays()
                && names.windows(2).any(|pair| pair[0] == member.name && pair[1] == member.name)
        };
        let texts = |member: &Member| {
            let lengths = [member.name.len(), member.peer_address.len(), member.client_address.len()];
            !member.name.is_empty() && lengths.iter().all(|&length| length <= usize::from(u16::MAX))
        };
        if let Some(bad) = members.iter().find(|member| !texts(member) || twice(member)) {
            return Err(ConfigurationError::Name { id: bad.id, name: bad.name.clone() });
        }
        let ids = |counts: fn(MemberRole) -> bool| {
            members.iter().filter(|member| counts(member.role)).map(|member| member.id).collect::<Vec<_>>()
        };
        let counts = |role: MemberRole| {
            role.is_incoming_voter() || (mutant!(LearnerCounts) && role == MemberRole::Learner)
        };
        let incoming = ids(counts);
        if incoming.is_empty() {
            return Err(ConfigurationError::NoVoter { members: members.len() });
        }
        let joint = members.iter().any(|member| member.role.is_joint());
        let old = |role| matches!(role, MemberRole::Voter | MemberRole::Outgoing | MemberRole::Demoting);
        let outgoing = if joint { ids(old) } else { Vec::new() };
        if joint && outgoing.is_empty() {
            return Err(ConfigurationError::NoOldVoter { members: members.len() });
        }
        Ok(Self { cluster_version, members, quorum: Quorum { incoming, outgoing } })
    }

    const fn check_count(found: usize) -> Result<(), ConfigurationError> {
        let limit = Self::MAX_MEMBERS;
        if found > limit { Err(ConfigurationError::TooMany { found, limit }) } else { Ok(()) }
    }

    /// Addresses and names are for people, and for the shell that connects.
    pub(crate) fn mix(&self, mixer: &mut Mixer<'_>) {
        let Self { cluster_version, members, quorum: _ } = self;
        mixer.add(u64::from(*cluster_version));
        mixer.set(members, |mixer, member| {
            let Member { id, role, newest_version, name: _, peer_address: _, client_address: _ } = member;
            mixer.node(*id);
            mixer.add(*role as u64);
            mixer.add(u64::from(*newest_version));
        });
    }

    /// The lowest of the members' newest versions when this configuration was made: gates new encodings.
    #[must_use]
    pub const fn cluster_version(&self) -> u32 {
        self.cluster_version
    }

    /// The members, ascending by id.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The voters that make elections and commits.
    #[must_use]
    pub const fn quorum(&self) -> &Quorum {
        &self.quorum
    }

    /// Whether two majorities are needed.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        !self.quorum.outgoing.is_empty()
    }

    /// The member with this id.
    #[must_use]
    pub fn member(&self, id: NodeId) -> Option<&Member> {
        self.members.binary_search_by_key(&id, |member| member.id).ok().map(|at| &self.members[at])
    }

    /// The member with this name, one that stays before one that leaves.
    #[must_use]
    pub fn member_named(&self, name: &str) -> Option<&Member> {
        let mut named = self.members.iter().filter(|member| member.name == name);
        let first = named.next();
        first.filter(|member| member.role.stays()).or_else(|| named.next()).or(first)
    }

    /// The cluster that this configuration founds: 128-bit FNV-1a of its encoding. The random ids in it make two
    /// clusters differ.
    #[must_use]
    pub fn cluster_id(&self) -> ClusterId {
        ClusterId(self.encoded().iter().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash, &byte| {
            (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013B)
        }))
    }
}
