//! The configurations of the log: the newest appended one is in force, and a truncation brings the one before it back.
//! `[Raft §6]`

use std::sync::Arc;

use crate::configuration::Configuration;
use crate::fingerprint::Mixer;
use crate::snapshot::SnapshotMeta;
use crate::types::LogIndex;

/// Invariant (configurations): indexes ascend; the first one lies at or before the log's base, or is "none" at 0.
#[derive(Clone, Debug)]
pub(crate) struct Configurations(Vec<(LogIndex, Option<Arc<Configuration>>)>);

impl Configurations {
    pub(crate) fn new(snapshot: &SnapshotMeta) -> Self {
        Self(vec![(snapshot.configuration_index, snapshot.configuration.clone())])
    }

    /// The one in force.
    pub(crate) fn latest(&self) -> Option<&Arc<Configuration>> {
        self.0.last().and_then(|(_, configuration)| configuration.as_ref())
    }

    /// The entry that set the one in force.
    pub(crate) fn latest_index(&self) -> LogIndex {
        self.0.last().map_or(LogIndex::ZERO, |(set_at, _)| *set_at)
    }

    /// Everybody who has to be reached: while the one in force is not committed it may yet give way to the one before it,
    /// and who is about to leave has to hear that it may. Of the two, one lists all members of the other.
    pub(crate) fn to_reach(&self, commit_index: LogIndex) -> Option<&Arc<Configuration>> {
        let latest = self.latest()?;
        let before = self.0.len().checked_sub(2).and_then(|at| self.0[at].1.as_ref());
        let leaves = |before: &&Arc<Configuration>| {
            before.members().iter().any(|member| latest.member(member.id).is_none())
        };
        before.filter(|_| self.latest_index() > commit_index).filter(leaves).or(Some(latest))
    }

    /// The one that comes back if the one in force, which is not committed, is not agreed on.
    pub(crate) fn before_uncommitted(&self, commit_index: LogIndex) -> Option<&Arc<Configuration>> {
        let before = self.0.len().checked_sub(2).and_then(|at| self.0[at].1.as_ref());
        before.filter(|_| self.latest_index() > commit_index)
    }

    /// The one in force at `index`, and the index that set it.
    pub(crate) fn at(&self, index: LogIndex) -> (LogIndex, Option<Arc<Configuration>>) {
        let after = self.0.partition_point(|(set_at, _)| *set_at <= index);
        self.0[after.saturating_sub(1)].clone()
    }

    pub(crate) fn push(&mut self, index: LogIndex, configuration: Arc<Configuration>) {
        self.0.push((index, Some(configuration)));
    }

    /// An entry that could not be read before turns out to be a configuration.
    pub(crate) fn insert(&mut self, index: LogIndex, configuration: Arc<Configuration>) {
        let at = self.0.partition_point(|(set_at, _)| *set_at < index);
        if self.0.get(at).is_none_or(|(set_at, _)| *set_at != index) {
            self.0.insert(at, (index, Some(configuration)));
        }
    }

    /// Entries from `from` on are gone.
    pub(crate) fn truncate(&mut self, from: LogIndex) {
        while self.0.len() > 1 && self.0.last().is_some_and(|(set_at, _)| *set_at >= from) {
            self.0.pop();
        }
    }

    pub(crate) fn mix(&self, mixer: &mut Mixer<'_>) {
        mixer.list(&self.0, |mixer, (set_at, configuration)| {
            mixer.index(*set_at);
            mixer.option(configuration.as_deref(), |mixer, configuration| configuration.mix(mixer));
        });
    }

    /// Nothing before `index` will be asked for.
    pub(crate) fn compact(&mut self, index: LogIndex) {
        let after = self.0.partition_point(|(set_at, _)| *set_at <= index);
        self.0.drain(..after.saturating_sub(1));
    }
}
