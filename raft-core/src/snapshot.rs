//! Plain types of snapshots, shared by the core, the stores that keep them and the transports that move them.
//!
//! A snapshot travels as the bytes of its file, cut into chunks of equal size: offer → have → chunks → done. The
//! driver decides who, when and whether; the transport moves chunks between a [`ChunkSource`] and a [`ChunkSink`]; the
//! snapshot store owns files and digest.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::configuration::Configuration;
use crate::fingerprint::Mixer;
use crate::types::{EntryId, LogIndex, Term};

/// What a snapshot stands for: the state after applying `last`, and the configuration in force there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotMeta {
    /// Last entry that the snapshot includes.
    pub last: EntryId,
    /// Index of the entry that set `configuration`; 0 with none.
    pub configuration_index: LogIndex,
    /// The newest configuration at or before `last`; `None` only "before the log" of a node that has none.
    pub configuration: Option<Arc<Configuration>>,
}

impl SnapshotMeta {
    /// The floor of a node without snapshot: before the log, no configuration.
    pub const NONE: Self =
        Self { last: EntryId::ZERO, configuration_index: LogIndex::ZERO, configuration: None };

    /// Whether a leader of `term` can have such a snapshot: none of its entries is of a later term, and its configuration is
    /// there and in the log before its end. One that breaks this would leave a node that cannot start again.
    pub(crate) fn is_sound(&self, term: Term) -> bool {
        self.last.term <= term && self.configuration.is_some() && self.configuration_index <= self.last.index
    }

    pub(crate) fn mix(&self, mixer: &mut Mixer<'_>) {
        let Self { last, configuration_index, configuration } = self;
        mixer.entry(*last);
        mixer.index(*configuration_index);
        mixer.option(configuration.as_deref(), |mixer, configuration| configuration.mix(mixer));
    }
}

/// A snapshot file as it is offered to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// What it stands for.
    pub meta: SnapshotMeta,
    /// Bytes of the whole file.
    pub length: u64,
    /// Bytes of each chunk but the last, which holds the rest. Never 0.
    pub chunk_bytes: u32,
    /// BLAKE3 over the whole file: its identity. The same index gives the same bytes on every node.
    pub digest: [u8; 32],
}

impl SnapshotInfo {
    /// The digest is the file's identity, with its length and chunks.
    pub(crate) fn mix(&self, mixer: &mut Mixer<'_>) {
        let Self { meta, length: _, chunk_bytes: _, digest } = self;
        meta.mix(mixer);
        mixer.list(digest, |mixer, byte| mixer.add(u64::from(*byte)));
    }

    /// Number of chunks.
    #[must_use]
    pub const fn chunk_count(&self) -> u64 {
        self.length.div_ceil(self.chunk_bytes as u64)
    }

    /// Offset and length in bytes of chunk `number`; `None` past the last.
    #[must_use]
    pub fn chunk_range(&self, number: u64) -> Option<(u64, usize)> {
        if number >= self.chunk_count() {
            return None;
        }
        let offset = number * u64::from(self.chunk_bytes);
        let length = u64::from(self.chunk_bytes).min(self.length - offset);
        Some((offset, usize::try_from(length).expect("a chunk is below 4 GiB")))
    }
}

/// A leader offers its newest snapshot. `[Raft Figure 13]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotOffer {
    /// The leader's term.
    pub term: Term,
    /// The file.
    pub info: SnapshotInfo,
}

/// Which chunks the receiver has already, so that a transfer resumes where it stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ChunkSet {
    bits: Vec<u8>,
}

impl ChunkSet {
    /// Whether chunk `number` is in the set.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        let byte = usize::try_from(number / 8).ok().and_then(|at| self.bits.get(at));
        byte.is_some_and(|byte| byte & (1 << (number % 8)) != 0)
    }

    /// Adds chunk `number`.
    ///
    /// # Panics
    /// If `number / 8` does not fit the address space; chunk numbers come from a checked [`SnapshotInfo`].
    pub fn insert(&mut self, number: u64) {
        let at = usize::try_from(number / 8).expect("chunk numbers fit the address space");
        if at >= self.bits.len() {
            self.bits.resize(at + 1, 0);
        }
        self.bits[at] |= 1 << (number % 8);
    }
}

/// Reads a snapshot file chunk by chunk. Synchronous: called on a background thread, opened at the first call.
pub trait ChunkSource: Send {
    /// The bytes of chunk `number`, as long as [`SnapshotInfo::chunk_range`] says.
    ///
    /// # Errors
    /// The file is gone or damaged: give the transfer up.
    fn read_chunk(&mut self, number: u64) -> io::Result<Bytes>;
}

/// Takes a snapshot file chunk by chunk, in any order. Synchronous: called on a background thread.
///
/// Dropped before [`finish`](Self::finish), it leaves nothing that a later start could take for a snapshot.
pub trait ChunkSink: Send {
    /// The chunks that need not be sent. Called first, once.
    ///
    /// # Errors
    /// The store cannot take a snapshot (disk full, say): refuse the offer with this reason.
    fn have(&mut self) -> io::Result<ChunkSet>;

    /// Writes chunk `number`.
    ///
    /// # Errors
    /// Wrong length or number ([`io::ErrorKind::InvalidData`]), or the disk's own error: give the transfer up.
    fn write_chunk(&mut self, number: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes the file durable under a name that recovery ignores, and checks its digest. After that the store's
    /// `publish` can make it the newest snapshot.
    ///
    /// # Errors
    /// Chunks are missing, or the digest differs ([`io::ErrorKind::InvalidData`]), or the disk's own error.
    fn finish(&mut self) -> io::Result<()>;
}

/// A frozen state that a background thread writes out. Dropped when written.
pub trait SnapshotView: Send {
    /// Writes the state in canonical order: equal states give equal bytes on every node.
    ///
    /// # Errors
    /// Passes on what `out` says.
    fn write_to(&self, out: &mut dyn io::Write) -> io::Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_the_file_once_and_the_last_one_holds_the_rest() {
        for (length, chunk_bytes) in [(1, 4), (4, 4), (5, 4), (12, 4), (13, 5)] {
            let info = SnapshotInfo { meta: SnapshotMeta::NONE, length, chunk_bytes, digest: [0; 32] };
            let mut end = 0;
            for number in 0..info.chunk_count() {
                let (offset, bytes) = info.chunk_range(number).unwrap();
                assert_eq!(offset, end);
                end += bytes as u64;
            }
            assert_eq!(end, length);
            assert_eq!(info.chunk_range(info.chunk_count()), None);
        }
    }

    #[test]
    fn a_chunk_set_holds_what_was_inserted() {
        let mut set = ChunkSet::default();
        for number in [0, 9, 64] {
            set.insert(number);
        }
        let held: Vec<_> = (0..100).filter(|&number| set.contains(number)).collect();
        assert_eq!(held, [0, 9, 64]);
    }
}
