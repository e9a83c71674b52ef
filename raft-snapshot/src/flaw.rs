//! What can be wrong with a snapshot file.

use std::fmt;
use std::io;
use std::path::PathBuf;

use blake3::Hash;
use raft_core::configuration::ConfigurationError;
use raft_core::snapshot::SnapshotMeta;
use thiserror::Error;

/// A file that is not the snapshot it should be.
#[derive(Debug, Error)]
#[error("{}: {flaw}", path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub flaw: Flaw,
}

/// What is wrong with a snapshot file. Offsets are bytes from its start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Flaw {
    /// The medium or the file system would not tell.
    #[error("cannot read {length} bytes at offset {offset}: {source}")]
    Read {
        /// Where.
        offset: u64,
        /// How many bytes.
        length: u64,
        /// The operating system's reason.
        source: io::Error,
    },
    /// Fewer bytes than the smallest snapshot has, or than what was announced needs.
    #[error("the file is {found} bytes (expected {expected} or more): truncated")]
    Length {
        /// Bytes there.
        found: u64,
        /// Least number expected.
        expected: u64,
    },
    /// It does not begin, or not end, as snapshot files do.
    #[error(
        "offset {offset}: found {:?} (expected {:?}): truncated, damaged or no snapshot",
        found.escape_ascii().to_string(), expected.escape_ascii().to_string()
    )]
    Magic {
        /// Where.
        offset: u64,
        /// Bytes there.
        found: [u8; 8],
        /// Bytes of a snapshot.
        expected: [u8; 8],
    },
    /// Bytes changed since they were written.
    #[error("offset {offset}: checksum of {part} is {found:#010x} (expected {expected:#010x}): damaged")]
    Checksum {
        /// Which part.
        part: Part,
        /// Where it begins.
        offset: u64,
        /// CRC-32 of the bytes there.
        found: u32,
        /// CRC-32 stored with them.
        expected: u32,
    },
    /// A number that contradicts the rest of the file.
    #[error("offset {offset}: {field} is {found} (expected {expected}): damaged")]
    Field {
        /// Which number.
        field: &'static str,
        /// Where.
        offset: u64,
        /// Its value.
        found: u64,
        /// The value the rest asks for, or the nearest that is allowed.
        expected: u64,
    },
    /// All parts are whole, yet together they are not the file that was written or offered.
    #[error(
        "BLAKE3 is {} (expected {}): not the file it was",
        Hash::from_bytes(*found), Hash::from_bytes(*expected)
    )]
    Digest {
        /// Of the bytes there.
        found: [u8; 32],
        /// As stored or offered.
        expected: [u8; 32],
    },
    /// The file is whole but stands for something else than its name or its offer says.
    #[error("stands for {} (expected {})", Stands(found), Stands(expected))]
    Meta {
        /// Inside the file.
        found: Box<SnapshotMeta>,
        /// By its name or offer.
        expected: Box<SnapshotMeta>,
    },
    /// The configuration inside cannot be read.
    #[error("offset {offset}: {source}")]
    Configuration {
        /// Where its bytes begin, page checksums not counted.
        offset: u64,
        /// What is wrong with it.
        source: ConfigurationError,
    },
    /// Written by a newer program. The file is fine.
    #[error("{field} {found} is newer than this program's {supported}: start the newer program again")]
    Unsupported {
        /// What is newer.
        field: &'static str,
        /// In the file.
        found: u32,
        /// Newest that this program reads.
        supported: u32,
    },
}

impl Flaw {
    /// Whether the bytes themselves are bad: neither unreadable for now nor merely newer than this program.
    pub(crate) const fn is_damage(&self) -> bool {
        !matches!(self, Self::Read { .. } | Self::Unsupported { .. })
    }

    pub(crate) fn of(self, path: impl Into<PathBuf>) -> FileError {
        FileError { path: path.into(), flaw: self }
    }
}

/// A part of a snapshot file with a checksum of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The fixed fields at the start.
    Preamble,
    /// A page, counted from 0.
    Page(u64),
    /// The fixed fields at the end.
    Trailer,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preamble => f.write_str("the preamble"),
            Self::Page(number) => write!(f, "page {number}"),
            Self::Trailer => f.write_str("the trailer"),
        }
    }
}

/// Shows what a snapshot stands for.
struct Stands<'a>(&'a SnapshotMeta);

impl fmt::Display for Stands<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = self.0.configuration.as_ref().map_or(0, |configuration| configuration.members().len());
        let set_at = self.0.configuration_index;
        write!(f, "entry {} with the {members} members of index {set_at}", self.0.last)
    }
}

impl From<FileError> for io::Error {
    /// Kind: the operating system's for a failed read, `Unsupported` for a newer file, else `InvalidData`.
    fn from(error: FileError) -> Self {
        let kind = match &error.flaw {
            Flaw::Read { source, .. } => source.kind(),
            Flaw::Unsupported { .. } => io::ErrorKind::Unsupported,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}
