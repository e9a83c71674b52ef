//! The two images of one file: what its readers see, and what the medium holds.

use std::collections::BTreeSet;

/// Bytes that a medium writes as one: of an unsynced write, each sector survives a power cut on its own.
pub(super) const SECTOR_BYTES: usize = 512;

/// How much of an unsynced sector survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Survives {
    /// The old bytes.
    Nothing,
    /// The new bytes.
    Whole,
    /// So many new bytes, then old ones.
    First(usize),
}

/// A file without its name.
///
/// Invariant (clean): a sector that is not dirty reads alike from both images, unless a sync failed on it.
#[derive(Clone, Default)]
pub(super) struct FileData {
    cached: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
}

impl FileData {
    /// A file whose `bytes` are durable.
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        Self { cached: bytes.clone(), durable: bytes, dirty: BTreeSet::new() }
    }

    /// What readers see.
    pub(super) fn cached(&self) -> &[u8] {
        &self.cached
    }

    /// Whether the length would change if it became durable.
    pub(super) fn length_is_unsynced(&self) -> bool {
        self.cached.len() != self.durable.len()
    }

    /// Numbers of the sectors that the next sync writes, ascending.
    pub(super) const fn dirty_sectors(&self) -> &BTreeSet<usize> {
        &self.dirty
    }

    /// Writes into the cache, growing the file if needed.
    pub(super) fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if bytes.is_empty() {
            return;
        }
        if end > self.cached.len() {
            self.set_len(end);
        }
        self.cached[offset..end].copy_from_slice(bytes);
        self.dirty.extend(offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES));
    }

    /// Cuts the file or extends it by zeros, in the cache.
    pub(super) fn set_len(&mut self, length: usize) {
        let old = self.cached.len();
        self.cached.resize(length, 0);
        // Zeros over bytes that the medium still holds from before a cut are a write like any other.
        self.dirty.extend(old / SECTOR_BYTES..length.min(self.durable.len()).div_ceil(SECTOR_BYTES));
        self.dirty.split_off(&length.div_ceil(SECTOR_BYTES));
    }

    /// Makes the cache durable.
    pub(super) fn sync(&mut self) {
        self.durable.resize(self.cached.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            copy_sector(sector, &self.cached, &mut self.durable, SECTOR_BYTES);
        }
    }

    /// A sync that fails as on Linux: nothing becomes durable, yet every page counts as written from now on.
    pub(super) fn fail_sync(&mut self) {
        self.dirty.clear();
    }

    /// Forgets what was read or written and counts as clean: it comes from the medium again.
    pub(super) fn drop_cache(&mut self) {
        let mut medium = self.durable.clone();
        medium.resize(self.cached.len(), 0);
        for &sector in &self.dirty {
            copy_sector(sector, &self.cached, &mut medium, SECTOR_BYTES);
        }
        self.cached = medium;
    }

    /// Flips a bit in every copy of `pattern`, in both images; how many the cache had.
    pub(super) fn damage(&mut self, pattern: &[u8]) -> usize {
        flip_each(&mut self.durable, pattern);
        flip_each(&mut self.cached, pattern)
    }

    /// What the medium holds after a power cut of which an unsynced length survives if `keep_length`, and of each
    /// unsynced sector what `survives` says.
    pub(super) fn after_power_cut(
        &self,
        keep_length: bool,
        mut survives: impl FnMut(usize) -> Survives,
    ) -> Vec<u8> {
        let (old, new) = (self.durable.len(), self.cached.len());
        let mut image = self.durable.clone();
        image.resize(old.max(new), 0);
        for &sector in &self.dirty {
            match survives(sector) {
                Survives::Nothing => {}
                Survives::Whole => copy_sector(sector, &self.cached, &mut image, SECTOR_BYTES),
                Survives::First(bytes) => copy_sector(sector, &self.cached, &mut image, bytes),
            }
        }
        image.truncate(if keep_length { new } else { old });
        image
    }
}

/// Copies the first `bytes` bytes of a sector, as far as both images reach.
fn copy_sector(sector: usize, from: &[u8], to: &mut [u8], bytes: usize) {
    let start = sector * SECTOR_BYTES;
    let end = (start + bytes).min(from.len()).min(to.len());
    if start < end {
        to[start..end].copy_from_slice(&from[start..end]);
    }
}

/// Flips the lowest bit of the first byte of every copy of `pattern`; how many there were.
fn flip_each(image: &mut [u8], pattern: &[u8]) -> usize {
    if pattern.is_empty() {
        return 0;
    }
    let found: Vec<_> = (0..image.len()).filter(|&at| image[at..].starts_with(pattern)).collect();
    found.iter().for_each(|&at| image[at] ^= 1);
    found.len()
}
