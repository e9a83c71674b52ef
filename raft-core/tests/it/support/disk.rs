//! What a node's disk holds.

use raft_core::snapshot::SnapshotMeta;
use raft_core::storage::Write;
use raft_core::testing::sim_log::LogImage;
use raft_core::{Block, Configuration, HardState};

use super::{blocks, configuration_block, entry};

/// What survives a crash.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    pub(crate) log: LogImage,
    pub(crate) snapshot: SnapshotMeta,
}

impl Disk {
    /// The disk of a member of `configuration` whose log has entries of these terms, the configuration first, and
    /// whose current term is the last entry's.
    pub(crate) fn with_log(configuration: &Configuration, terms: &[u64]) -> Self {
        let mut append = vec![configuration_block(entry(terms[0], 1), configuration)];
        append.extend(blocks(2, &terms[1..]));
        Self::with_blocks(configuration, append)
    }

    /// [`with_log`](Self::with_log) with entries of any kind.
    pub(crate) fn with_blocks(founded_with: &Configuration, append: Vec<Block>) -> Self {
        let current_term = append.last().expect("a log is not empty").last_id().term;
        let cluster_id = Some(founded_with.cluster_id());
        let hard_state = Some(HardState { cluster_id, current_term, voted_for: None });
        let mut log = LogImage::default();
        log.apply(&Write { hard_state, append: append.into(), ..Write::default() });
        Self { log, snapshot: SnapshotMeta::NONE }
    }

    /// The disk of a node that belongs to no cluster.
    pub(crate) fn blank() -> Self {
        Self { log: LogImage::default(), snapshot: SnapshotMeta::NONE }
    }
}
