//! The local cluster: which nodes it has, where they live, which processes they are.
//!
//! `DIR/cluster.json` remembers it between calls of xtask, `DIR/NAME/data` is a node's data folder and
//! `DIR/NAME/kvd.log` its output. `DIR/lock` keeps two calls from changing the same cluster at once.

mod kvctl;
mod launch;
mod node;
mod table;

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

pub(crate) use self::kvctl::{ClusterStatus, Kvctl, NodeStatus};
pub(crate) use self::launch::{Failure, Goal, Launch};
pub(crate) use self::node::{Node, PEER_PORT_OFFSET, Started};
pub(crate) use self::table::{columns, render};
use crate::command::{quoted, shown};
use crate::workspace;

/// How long one look at the cluster may take.
pub(crate) const LOOK_LIMIT: Duration = Duration::from_secs(1);
/// How long a node may take to stop by itself.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Which cluster: the folder option that all cluster commands share.
#[derive(Debug, clap::Args)]
pub(crate) struct Location {
    /// Folder of the cluster [default: .kv in the workspace root]
    #[arg(long = "dir", value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Location {
    /// The folder, absolute.
    ///
    /// # Errors
    /// The current folder cannot be determined.
    pub(crate) fn path(&self) -> Result<PathBuf> {
        let dir = self.dir.clone().unwrap_or_else(|| workspace::root().join(".kv"));
        std::path::absolute(&dir).with_context(|| format!("folder {}", dir.display()))
    }

    /// What to append to a further xtask command so that it means the same cluster.
    pub(crate) fn flag(&self) -> String {
        self.dir.as_ref().map_or_else(String::new, |dir| format!(" --dir {}", quoted(&dir.to_string_lossy())))
    }

    /// The cluster, for looking only.
    ///
    /// # Errors
    /// There is none, or its file cannot be read.
    pub(crate) fn cluster(&self) -> Result<Cluster> {
        let dir = self.path()?;
        let cluster = Cluster::load(&dir)?;
        cluster.with_context(|| {
            format!("no cluster in {}: start one with cargo xtask cluster-up{}", shown(&dir), self.flag())
        })
    }

    /// The cluster, locked for a change.
    ///
    /// # Errors
    /// As [`cluster`](Self::cluster) and [`lock`](Self::lock).
    pub(crate) fn change(&self) -> Result<(Lock, Cluster)> {
        // Looked at before the lock is taken, which would create the folder.
        self.cluster()?;
        let lock = self.lock()?;
        Ok((lock, self.cluster()?))
    }

    /// Locks the folder for a change, creating it if needed.
    ///
    /// # Errors
    /// Another xtask holds the lock, or the folder cannot be written.
    pub(crate) fn lock(&self) -> Result<Lock> {
        let dir = self.path()?;
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let path = dir.join("lock");
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { dir, _file: file }),
            Err(TryLockError::WouldBlock) => {
                bail!("another xtask is at work on the cluster in {}: wait for it", shown(&dir))
            }
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }
}

/// The right to change the cluster in a folder, until dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    dir: PathBuf,
    _file: File,
}

impl Lock {
    /// The cluster's folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Removes every node's folder, the state file and the lock file, and the cluster's folder if nothing else is in
    /// it.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub(crate) fn wipe(self, cluster: &Cluster) -> Result<()> {
        for node in &cluster.nodes {
            node.remove_folder()?;
        }
        for file in [Cluster::path(&self.dir), self.dir.join("lock")] {
            fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        }
        match fs::remove_dir(&self.dir) {
            Err(error) if error.kind() != ErrorKind::DirectoryNotEmpty => {
                Err(error).with_context(|| format!("cannot remove {}", self.dir.display()))
            }
            _ => Ok(()),
        }
    }
}

/// What `cluster.json` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cluster {
    /// Whether a client has ever been served. Until then the data folders hold nothing that anybody was told.
    pub(crate) served: bool,
    /// Folder of the `kvd` and `kvctl` that the nodes run.
    pub(crate) bin_dir: PathBuf,
    /// In the order of their names.
    pub(crate) nodes: Vec<Node>,
}

impl Cluster {
    /// A cluster of `count` nodes n1, n2, … below `dir`, with client ports from `base_port` on.
    pub(crate) fn plan(dir: &Path, count: u16, base_port: u16, bin_dir: &Path) -> Self {
        let nodes = (0..count).map(|number| Node::plan(dir, number + 1, base_port + number)).collect();
        Self { served: false, bin_dir: bin_dir.to_owned(), nodes }
    }

    /// The state file of the cluster in `dir`.
    fn path(dir: &Path) -> PathBuf {
        dir.join("cluster.json")
    }

    /// Reads the state file; `None` if there is none.
    ///
    /// # Errors
    /// It cannot be read, or is not what [`save`](Self::save) writes.
    pub(crate) fn load(dir: &Path) -> Result<Option<Self>> {
        let path = Self::path(dir);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let cluster = serde_json::from_str(&text);
        cluster.map(Some).with_context(|| {
            format!("{} is not a cluster file: stop its kvd processes, then remove it", path.display())
        })
    }

    /// Replaces the state file.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn save(&self, lock: &Lock) -> Result<()> {
        let path = Self::path(&lock.dir);
        let next = path.with_extension("json.partial");
        let text = serde_json::to_string_pretty(self).context("cluster file")? + "\n";
        let written = fs::write(&next, text).and_then(|()| fs::rename(&next, &path));
        written.with_context(|| format!("cannot write {}", path.display()))
    }

    /// The node called `name`.
    ///
    /// # Errors
    /// There is none of that name.
    pub(crate) fn node(&self, name: &str) -> Result<&Node> {
        Ok(&self.nodes[self.position(name)?])
    }

    /// Where in `nodes` the node called `name` is.
    ///
    /// # Errors
    /// There is none of that name.
    pub(crate) fn position(&self, name: &str) -> Result<usize> {
        let position = self.nodes.iter().position(|node| node.name == name);
        position.with_context(|| {
            let names: Vec<_> = self.nodes.iter().map(|node| node.name.as_str()).collect();
            format!("no node {name}: the cluster has {}", names.join(", "))
        })
    }

    /// The client addresses of all nodes, as KV_ENDPOINTS takes them.
    pub(crate) fn endpoints(&self) -> String {
        join(&self.nodes, |node| &node.client_address)
    }

    /// The peer addresses of all nodes, as `--join` takes them.
    pub(crate) fn peers(&self) -> String {
        join(&self.nodes, |node| &node.peer_address)
    }

    /// Whether any node's process runs.
    pub(crate) fn any_running(&self) -> bool {
        self.nodes.iter().any(Node::is_running)
    }

    /// The client program for this cluster.
    pub(crate) fn kvctl(&self) -> Kvctl {
        Kvctl::new(self.bin_dir.join("kvctl"), self.endpoints())
    }
}

fn join<'a>(nodes: &'a [Node], address: impl Fn(&'a Node) -> &'a String) -> String {
    let addresses: Vec<_> = nodes.iter().map(|node| address(node).as_str()).collect();
    addresses.join(",")
}

#[cfg(test)]
mod tests;
