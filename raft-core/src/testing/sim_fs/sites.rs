//! The places in the code under test that sync, and those that a test leaves out.

use std::collections::BTreeSet;
use std::panic::Location;

/// A call of [`File::sync_data`](crate::fs::File::sync_data) or [`Fs::sync_dir`](crate::fs::Fs::sync_dir) in the
/// code under test: file, line and column.
pub type SyncSite = &'static Location<'static>;

/// Belongs to the code, not to a disk: shared by all disks that come from one another.
#[derive(Debug, Default)]
pub(super) struct SyncSites {
    seen: BTreeSet<SyncSite>,
    suppressed: BTreeSet<SyncSite>,
}

impl SyncSites {
    /// All sites met so far, in order of file and line.
    pub(super) fn seen(&self) -> Vec<SyncSite> {
        self.seen.iter().copied().collect()
    }

    pub(super) fn suppress(&mut self, site: SyncSite) {
        self.suppressed.insert(site);
    }

    /// Takes note of `site`; whether its syncs are left out.
    pub(super) fn meet(&mut self, site: SyncSite) -> bool {
        self.seen.insert(site);
        self.suppressed.contains(&site)
    }
}
