//! Published snapshots of a simulated store: a value that survives crashes.
//!
//! ```text
//! file  last term u64 | last index u64 | configuration index u64 | configuration bytes u32, configuration | state
//! ```
//! All numbers little-endian. The digest is a quick hash, not BLAKE3: nothing but the store computes it.

use std::io;

use bytes::Bytes;

use crate::snapshot::{SnapshotInfo, SnapshotMeta, SnapshotView};
use crate::testing::draw::draw;

/// Small, so that small snapshots have several chunks.
const CHUNK_BYTES: u32 = 256;

/// How many published snapshots are kept.
const KEPT: usize = 2;

/// One snapshot file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFile {
    /// What it stands for, and what its bytes should be.
    pub info: SnapshotInfo,
    /// The bytes of the file.
    pub bytes: Bytes,
}

impl SnapshotFile {
    /// Writes `view` into a file.
    pub(super) fn create(meta: SnapshotMeta, view: &dyn SnapshotView) -> io::Result<Self> {
        let mut bytes = header(&meta);
        view.write_to(&mut bytes)?;
        let length = bytes.len() as u64;
        let info = SnapshotInfo { meta, length, chunk_bytes: CHUNK_BYTES, digest: digest(&bytes) };
        Ok(Self { info, bytes: bytes.into() })
    }

    /// The state inside.
    pub(super) fn state(&self) -> Bytes {
        self.bytes.slice(header(&self.info.meta).len()..)
    }

    /// The bytes, if they are what they should be.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] if they are not.
    pub(super) fn verify(&self) -> io::Result<&Bytes> {
        let found = digest(&self.bytes);
        if found == self.info.digest && self.bytes.len() as u64 == self.info.length {
            return Ok(&self.bytes);
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, WrongDigest { expected: self.info.digest, found }))
    }
}

/// A snapshot whose bytes are not the ones that were published or offered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("simulated snapshot: digest is {found:02x?} (expected {expected:02x?}); discard it")]
pub struct WrongDigest {
    /// The digest that goes with the name or the offer.
    pub expected: [u8; 32],
    /// The digest of the bytes.
    pub found: [u8; 32],
}

fn header(meta: &SnapshotMeta) -> Vec<u8> {
    let mut configuration = Vec::new();
    if let Some(members) = &meta.configuration {
        members.encode(&mut configuration);
    }
    let mut bytes = Vec::new();
    for number in [meta.last.term.0, meta.last.index.0, meta.configuration_index.0] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    let length = u32::try_from(configuration.len()).expect("a configuration is far below 4 GiB");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&configuration);
    bytes
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut lanes = [0; 4];
    for (number, word) in bytes.chunks(8).enumerate() {
        let mut padded = [0; 8];
        padded[..word.len()].copy_from_slice(word);
        let lane = &mut lanes[number % 4];
        *lane = draw(*lane, word.len() as u64, u64::from_le_bytes(padded));
    }
    let mut digest = [0; 32];
    for (number, out) in digest.chunks_exact_mut(8).enumerate() {
        // Each output depends on all lanes.
        let folded = lanes.iter().fold(number as u64, |hash, &lane| draw(hash, number as u64, lane));
        out.copy_from_slice(&folded.to_le_bytes());
    }
    digest
}

/// The published snapshots, oldest first, two at most. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotImage {
    files: Vec<SnapshotFile>,
}

impl SnapshotImage {
    /// The files, oldest first.
    #[must_use]
    pub fn files(&self) -> &[SnapshotFile] {
        &self.files
    }

    /// The newest file.
    #[must_use]
    pub fn latest(&self) -> Option<&SnapshotFile> {
        self.files.last()
    }

    /// Adds a file in its place by index, and drops all but the newest two.
    pub fn publish(&mut self, file: SnapshotFile) {
        self.files.retain(|other| other.info.meta.last != file.info.meta.last);
        self.files.push(file);
        self.files.sort_by_key(|file| file.info.meta.last.index);
        let surplus = self.files.len().saturating_sub(KEPT);
        self.files.drain(..surplus);
    }

    /// Takes out the files that fail verification, and names them.
    pub(super) fn set_aside_damaged(&mut self) -> Vec<SnapshotInfo> {
        let (sound, damaged) =
            std::mem::take(&mut self.files).into_iter().partition(|file| file.verify().is_ok());
        self.files = sound;
        let damaged: Vec<SnapshotFile> = damaged;
        damaged.into_iter().map(|file| file.info).collect()
    }

    /// Flips a bit in every copy of `pattern` in every file; how many there were. An empty pattern has no copies.
    pub fn damage(&mut self, pattern: &[u8]) -> usize {
        let mut copies = 0;
        for file in self.files.iter_mut().filter(|_| !pattern.is_empty()) {
            let mut bytes = file.bytes.to_vec();
            for at in 0..bytes.len() {
                if bytes[at..].starts_with(pattern) {
                    bytes[at] ^= 1;
                    copies += 1;
                }
            }
            file.bytes = bytes.into();
        }
        copies
    }
}
