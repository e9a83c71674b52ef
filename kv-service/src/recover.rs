//! `kvd recover`: one survivor of a lost quorum goes on alone. What that means is in [`raft_core::recovery`].
//!
//! Offline: the folder is locked like a running node's. It is opened as a start would open it, which mends what a crash
//! left; nothing else is written before the operator has seen the report and agreed. Then one durable write does it. A
//! crash in the middle of that write leaves a node that nobody votes for, and that can be recovered again.

mod others;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use raft_core::configuration::{Member, MemberRole};
use raft_core::node::Sinks;
use raft_core::recovery::{Recovery, RecoveryError, Report, go_on_alone};
use raft_core::storage::{LogEvent, StoreError};
use raft_core::types::{ClusterId, LogIndex};
use raft_log::LogOptions;
use rand::TryRng;
use rand::rngs::SysRng;
use tokio::runtime::Builder;

use crate::data_folder::{DataFolder, FolderError, Opened};

pub use others::Alive;

/// Why nothing was recovered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// There is no node in it.
    #[error("data folder {}: holds no node; nothing was changed: correct --dir", path.display())]
    NoNode {
        /// The folder.
        path: PathBuf,
    },
    /// This node cannot be the one.
    #[error("data folder {}: {source}", path.display())]
    Unfit {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: RecoveryError,
    },
    /// The cluster is not lost.
    #[error("nothing was changed: {0}")]
    Alive(#[from] Alive),
    /// The operating system does not let the other members be asked.
    #[error("cannot ask the other members: {0}")]
    Runtime(#[source] io::Error),
    /// The operating system has no randomness to give.
    #[error("cannot mint a cluster id: {0}")]
    Randomness(#[from] rand::rngs::SysError),
    /// The log could not be written. It may be half done: run `kvd recover` again.
    #[error("data folder {}: {reason}; run kvd recover again once the disk is in order", path.display())]
    Write {
        /// The folder.
        path: PathBuf,
        /// The log's words.
        reason: StoreError,
    },
}

/// A node that could go on alone. Holds the lock of its folder.
pub struct Survivor {
    path: PathBuf,
    folder: DataFolder,
    opened: Opened,
    events: Receiver<LogEvent>,
    recovery: Recovery,
}

impl Survivor {
    /// Looks at the node in `dir`, which must not run.
    ///
    /// # Errors
    /// [`RecoverError`]: nothing was changed but what a start would mend.
    pub fn examine(dir: &Path) -> Result<Self, RecoverError> {
        let path = dir.to_owned();
        // Before it is locked: whose folder it is not gets no lock file from us.
        if DataFolder::identify(dir)?.is_none() {
            return Err(RecoverError::NoNode { path });
        }
        let folder = DataFolder::lock(dir)?;
        let (sinks, events) = sinks();
        let opened = folder.open(&LogOptions::default(), &sinks)?;
        let new_cluster = mint_cluster_id()?;
        let recovery = go_on_alone(opened.node_id, &opened.recovered, opened.newest_snapshot(), new_cluster)
            .map_err(|source| RecoverError::Unfit { path: path.clone(), source })?;
        Ok(Self { path, folder, opened, events, recovery })
    }

    /// What going on alone would mean.
    #[must_use]
    pub const fn report(&self) -> &Report {
        &self.recovery.report
    }

    /// What the survivor counts for in the cluster that it would leave.
    fn role(&self) -> MemberRole {
        let own =
            self.opened.configuration().and_then(|configuration| configuration.member(self.opened.node_id));
        own.map_or(self.report().survivor.role, |member| member.role)
    }

    /// Asks the other members whether the cluster goes on without this one. Takes a second if they are silent.
    ///
    /// # Errors
    /// [`RecoverError::Alive`]: it does, or may; [`RecoverError::Runtime`].
    pub fn ask_others(&self) -> Result<(), RecoverError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(RecoverError::Runtime)?;
        let alive = runtime.block_on(others::ask_others(self.report()));
        alive.map_or(Ok(()), |alive| Err(alive.into()))
    }

    /// Makes it a cluster by itself, durably.
    ///
    /// # Errors
    /// [`RecoverError::Write`] or [`RecoverError::Folder`]: run it again.
    pub fn go_on(self) -> Result<Report, RecoverError> {
        let Self { path, folder, opened, events, recovery: Recovery { write, report } } = self;
        if let Some(old_cluster) = report.old_cluster {
            folder.add_ancestor(old_cluster)?;
        }
        opened.write(write);
        for event in events.try_iter() {
            if let LogEvent::Failed(reason) = event {
                return Err(RecoverError::Write { path, reason });
            }
        }
        Ok(report)
    }
}

impl fmt::Debug for Survivor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, recovery, .. } = self;
        f.debug_struct("Survivor").field("path", path).field("recovery", recovery).finish_non_exhaustive()
    }
}

/// What opening needs; only the log has anything to report.
fn sinks() -> (Sinks, Receiver<LogEvent>) {
    let (sender, events) = channel();
    let (transport, _nobody_listens) = tokio::sync::mpsc::channel(1);
    let sinks = Sinks {
        // Whoever listened has gone with what it waited for.
        log: Arc::new(move |event| drop(sender.send(event))),
        snapshots: Arc::new(drop),
        transport,
    };
    (sinks, events)
}

fn mint_cluster_id() -> Result<ClusterId, RecoverError> {
    let (high, low) = (SysRng.try_next_u64()?, SysRng.try_next_u64()?);
    Ok(ClusterId(u128::from(high) << 64 | u128::from(low)))
}

/// For the operator, before anything is done.
#[derive(Clone, Copy, Debug)]
pub struct Prospect<'a>(pub &'a Survivor);

impl fmt::Display for Prospect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { survivor, dropped, last, known_committed, new_cluster, removed_by, .. } =
            self.0.report();
        let old = self.0.report().old_cluster.map_or_else(|| "none".to_owned(), |old| old.to_string());
        writeln!(f, "Node {} ({}) would go on alone.\n", survivor.name, survivor.id)?;
        writeln!(f, "  cluster            {old}, would be {new_cluster}")?;
        writeln!(f, "  role               {}", role(self.0.role()))?;
        if let Some(index) = removed_by {
            writeln!(
                f,
                "                     WARNING: entry {index} removes it; if that was committed, the others went on without it"
            )?;
        }
        writeln!(f, "  last entry         {last} (index@term)")?;
        match known_committed.index {
            LogIndex::ZERO => writeln!(f, "  known committed    nothing: there is no snapshot")?,
            _ => writeln!(f, "  known committed    {known_committed}, the newest snapshot")?,
        }
        writeln!(f, "  dropped members    {}", names(dropped))?;
        writeln!(
            f,
            "\nWhat it costs:\n\
             * Writes that were acknowledged, but reached only the dropped members, are lost. Nobody can tell how many.\n\
             * The {} entries that are not known to be committed become final. Some may never have been committed: their callers \
             may have been told that they were not applied.\n\
             * Dropped members can never come back with the folders they have.\n\n\
             If another member survives, run this there as well and do not confirm: the one with the later last entry \
             (compare terms first) is the one to go on. If a majority can still be brought back, do that instead.\n\
             Make sure that the dropped members do not run, and empty their folders before they start again.",
            self.0.report().undecided()
        )
    }
}

/// For the operator, afterwards.
#[derive(Clone, Copy, Debug)]
pub struct Outlook<'a>(pub &'a Report);

impl fmt::Display for Outlook<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { survivor, dropped, new_cluster, configuration, .. } = self.0;
        writeln!(
            f,
            "Done: {} is the only voter of cluster {new_cluster} (entry {configuration}). Start it as before. Then, for \
             the others, one at a time: empty the data folder, start the node with these flags and what else it had but \
             for --join (without --join-existing, nodes that list only each other would found a cluster of their own), \
             and let it in:",
            survivor.name
        )?;
        let (join, to) = (&survivor.peer_address, &survivor.client_address);
        // Who was replaced lately is among them, and so is who took its place, first.
        let is_new =
            |at: usize| dropped[..at].iter().all(|other| other.peer_address != dropped[at].peer_address);
        let places = dropped.iter().enumerate().filter(|(at, _)| is_new(*at));
        places.map(|(_, member)| member).try_for_each(|member| {
            let Member { name, peer_address: peer, client_address: client, role, .. } = member;
            let as_before = match role {
                MemberRole::Learner | MemberRole::Demoting | MemberRole::Leaving => " --learner",
                _ => "",
            };
            writeln!(
                f,
                "\n  kvd run --name {name} --dir DIR --client {client} --peer {peer} --join {join} --join-existing\n  \
                 kvctl -e {to} member add {name} --peer {peer} --client {client}{as_before}"
            )
        })
    }
}

fn role(role: MemberRole) -> &'static str {
    match role {
        MemberRole::Voter => "voter",
        MemberRole::Learner | MemberRole::Promotable | MemberRole::Leaving => {
            "learner. WARNING: it was never counted on; a voter, if one survives, has all that a learner has, and more"
        }
        MemberRole::Incoming => "joining voter. WARNING: it was not counted on before the change under way",
        MemberRole::Outgoing | MemberRole::Demoting => {
            "leaving voter. WARNING: it is not counted on any more if the change under way has come to pass"
        }
    }
}

fn names(members: &[Member]) -> String {
    let names: Vec<_> = members.iter().map(|member| format!("{} ({})", member.name, member.id)).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use raft_core::types::{EntryId, NodeId};

    use super::*;

    fn member(id: u64, place: u64) -> Member {
        Member {
            id: NodeId::new(id).expect("ids are not 0"),
            role: MemberRole::Voter,
            newest_version: 1,
            name: format!("n{place}"),
            peer_address: format!("host{place}:7201"),
            client_address: format!("host{place}:7101"),
        }
    }

    #[test]
    fn who_was_replaced_lately_is_not_brought_back_beside_its_successor() {
        let report = Report {
            survivor: member(1, 1),
            dropped: vec![member(9, 2), member(3, 3), member(2, 2)],
            old_cluster: None,
            new_cluster: ClusterId(7),
            known_committed: EntryId::ZERO,
            last: EntryId::ZERO,
            configuration: EntryId::ZERO,
            removed_by: None,
        };
        let text = Outlook(&report).to_string();
        let added: Vec<_> = text.lines().filter(|line| line.contains("member add")).collect();
        assert!(added.len() == 2 && added[0].contains("add n2 ") && added[1].contains("add n3 "), "{text}");
    }
}
