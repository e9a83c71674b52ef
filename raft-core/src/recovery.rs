//! Going on alone after a majority is lost for ever: what one survivor writes into its log to be a cluster by itself.
//!
//! Not part of the protocol, and not safe in its sense: it gives up what only the lost members had, and makes final what
//! only this one has. It is for people who have nothing better, and are told what it costs ([`Report`]).
//!
//! One [`Write`] does it, to the log of a node that does not run: a configuration of the survivor as the only voter, in a
//! term after any that the survivor has seen, under a new cluster id. Started again, the survivor elects itself, and all
//! that is in its log becomes committed.
//!
//! Invariant (fenced): nobody else has the new cluster id. So the members left behind, should they come back with what they
//! know, can neither vote in the new cluster nor be taken for members of it, though they may be a majority of the old.
//! Invariant (again): done a second time, after a crash half-way say, it has the same effect.

#[cfg(test)]
mod tests;

use crate::block::{BlockBuilder, EntryKind};
use crate::configuration::{Configuration, Member, MemberRole};
use crate::snapshot::SnapshotMeta;
use crate::storage::{Recovered, VoteFloor, Write};
use crate::types::{ClusterId, EntryId, HardState, LogIndex, NodeId, WriteId};

/// What to write, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The one write, the first to a log that was just opened.
    pub write: Write,
    /// For the operator, before and after.
    pub report: Report,
}

/// What becomes of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Who goes on.
    pub survivor: Member,
    /// Everybody else: of the newest configuration that lists the survivor, of those after it, and of the one before it,
    /// for any of them may be the committed one. They are no members any more; what is acknowledged and only they had is
    /// lost.
    pub dropped: Vec<Member>,
    /// The cluster that ends.
    pub old_cluster: Option<ClusterId>,
    /// The one that begins.
    pub new_cluster: ClusterId,
    /// Last entry that is known to have been committed: that of the newest snapshot. (The log does not tell.)
    pub known_committed: EntryId,
    /// The survivor's last entry. Those after `known_committed` become final now; some may never have been committed, and
    /// whoever proposed them may have been told that they were not.
    pub last: EntryId,
    /// The entry with the new configuration.
    pub configuration: EntryId,
    /// The entry that had removed the survivor, if one did: where it was committed, the others went on without it, and what it
    /// has may be long out of date.
    pub removed_by: Option<LogIndex>,
}

impl Report {
    /// Entries of which nobody knows whether they had been committed.
    #[must_use]
    pub const fn undecided(&self) -> u64 {
        self.last.index.since(self.known_committed.index)
    }
}

/// Why a node cannot go on alone. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryError {
    /// It has no configuration: it was never a member.
    #[error("node {id} belongs to no cluster: there is nothing to recover")]
    NoCluster {
        /// The node.
        id: NodeId,
    },
    /// It was removed for certain, or never admitted: what it has may be long out of date.
    #[error(
        "node {id} is no member of its cluster by what is committed, entry {index}: recover a node that is"
    )]
    NoMember {
        /// The node.
        id: NodeId,
        /// The entry with the newest configuration that is known to be committed, or is the first in the log.
        index: LogIndex,
    },
    /// It votes alone already.
    #[error("node {id} is the only voter of its cluster already: just start it")]
    Alone {
        /// The node.
        id: NodeId,
    },
    /// Something of its log is lost, and those who might have it are about to be given up.
    #[error("the log is damaged from index {index} on: recover another survivor, whose log is whole")]
    Damaged {
        /// First entry that is damaged or missing.
        index: LogIndex,
    },
}

/// What node `id` writes to go on alone. `recovered` and `snapshot` are what its stores hold; `new_cluster` is fresh random
/// bits.
///
/// Where several members survive, it is for the one with the last [`last`](Report::last) entry; the others start afresh.
///
/// # Errors
/// [`RecoveryError`]: this node cannot be the one.
pub fn go_on_alone(
    id: NodeId,
    recovered: &Recovered,
    snapshot: &SnapshotMeta,
    new_cluster: ClusterId,
) -> Result<Recovery, RecoveryError> {
    let newest_first: Vec<_> = configurations(recovered, snapshot).collect();
    let &(newest, in_force) = newest_first.first().ok_or(RecoveryError::NoCluster { id })?;
    if in_force.quorum().voters() == [id] {
        return Err(RecoveryError::Alone { id });
    }
    // Of changes that may have been committed or not, one that removes the survivor does not bind it: nobody else is left
    // to say that it was.
    let is_member = |(_, configuration): &(_, &Configuration)| configuration.member(id).is_some();
    let listed = newest_first.iter().position(is_member);
    let oldest = newest_first.last().map_or(newest, |(index, _)| *index);
    let listed = listed.ok_or(RecoveryError::NoMember { id, index: oldest })?;
    let (_, configuration) = newest_first[listed];
    let own = configuration.member(id).expect("found by its being listed");
    if let Some(index) = first_damaged(recovered) {
        return Err(RecoveryError::Damaged { index });
    }
    let survivor = Member { role: MemberRole::Voter, ..own.clone() };
    let alone = Configuration::new(configuration.cluster_version(), vec![survivor.clone()])
        .expect("one voter, of a checked list");
    let last = recovered.last;
    let term = recovered.hard_state.current_term.max(last.term).next();
    let entry = EntryId::new(term, last.index.next());
    let write = Write {
        id: WriteId::default().next(),
        hard_state: Some(HardState {
            cluster_id: Some(new_cluster),
            current_term: term,
            voted_for: Some(id),
        }),
        append: configuration_block(&alone, entry).into(),
        ..Write::default()
    };
    let report = Report {
        survivor,
        dropped: others(id, newest_first.iter().take(listed + 2)),
        old_cluster: recovered.hard_state.cluster_id,
        new_cluster,
        known_committed: snapshot.last,
        last,
        configuration: entry,
        removed_by: (listed > 0).then(|| newest_first[listed - 1].0),
    };
    Ok(Recovery { write, report })
}

/// Everybody but `id`, as the first of the configurations that lists them does.
fn others<'a>(
    id: NodeId,
    newest_first: impl Iterator<Item = &'a (LogIndex, &'a Configuration)>,
) -> Vec<Member> {
    let mut others = Vec::<Member>::new();
    for member in newest_first.flat_map(|(_, configuration)| configuration.members()) {
        if member.id != id && others.iter().all(|other| other.id != member.id) {
            others.push(member.clone());
        }
    }
    others
}

/// The configurations and the entries that set them, the one in force first.
fn configurations<'a>(
    recovered: &'a Recovered,
    snapshot: &'a SnapshotMeta,
) -> impl Iterator<Item = (LogIndex, &'a Configuration)> {
    let in_log = recovered.configurations.iter().rev().map(|(index, configuration)| (*index, configuration));
    let in_snapshot = snapshot.configuration.as_deref().map(|it| (snapshot.configuration_index, it));
    in_log.filter(|(index, _)| *index > snapshot.configuration_index).chain(in_snapshot)
}

/// Where the log is not whole.
fn first_damaged(recovered: &Recovered) -> Option<LogIndex> {
    let after_last = recovered.last.index.next();
    recovered.damaged.first().copied().or(match recovered.floor {
        VoteFloor::LastEntry => None,
        VoteFloor::Entry(floor) => (floor > recovered.last).then_some(after_last),
        VoteFloor::Unknown => Some(after_last),
    })
}

fn configuration_block(configuration: &Configuration, at: EntryId) -> Vec<crate::block::Block> {
    let mut payload = Vec::new();
    configuration.encode(&mut payload);
    let mut entry = BlockBuilder::new();
    entry.push(EntryKind::Configuration, &[&payload]);
    entry.finish(at.index, at.term).into_iter().collect()
}
