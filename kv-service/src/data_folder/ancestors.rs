//! The clusters that this node's own one was made of by `kvd recover`: an empty file for each, named after it.
//!
//! Whoever still belongs to one of them stayed behind. A node must not take that for a sign that its own folder is the
//! wrong one.

use std::io;

use raft_core::fs::{Fs, StdFs};
use raft_core::types::ClusterId;

use super::{DataFolder, FolderError, failed};

const PREFIX: &str = "ancestor-";
const ADVICE: &str = "make it a folder that this user can read and write";

impl DataFolder {
    /// All of them.
    pub(crate) fn ancestors(&self) -> Result<Vec<ClusterId>, FolderError> {
        let names = StdFs.read_dir(&self.path).map_err(failed("list the folder", &self.path, ADVICE))?;
        let id = |name: &String| u128::from_str_radix(name.strip_prefix(PREFIX)?, 16).ok().map(ClusterId);
        Ok(names.iter().filter_map(id).collect())
    }

    /// Notes one more, durably.
    pub(crate) fn add_ancestor(&self, cluster_id: ClusterId) -> Result<(), FolderError> {
        let path = self.path.join(format!("{PREFIX}{cluster_id}"));
        match StdFs.create_new(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => drop(created.map_err(failed("make the file", &path, ADVICE))?),
        }
        StdFs.sync_dir(&self.path).map_err(failed("sync the folder", &self.path, ADVICE))
    }
}
