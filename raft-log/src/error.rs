//! What can go wrong, by operation: opening, writing, reading. Each error says where, what was found, what was
//! expected and what to do next.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use raft_core::configuration::ConfigurationError;
use raft_core::{EntryId, LogIndex, NodeId, Term};

use crate::batch::BatchFault;
use crate::page::PageFault;

/// What to do about a folder of which something is lost or damaged.
///
/// An older copy of it is worse than none: a node that has forgotten its vote votes twice, and one that has forgotten
/// entries it acknowledged lets the cluster lose them.
const ADVICE: &str = "put back exactly this folder as it last was, never an older copy: that one has forgotten votes \
    and acknowledged entries. Failing that, replace this node by one with an empty folder, which has a new id, through a \
    change of the members";

/// What was asked of the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Make a folder.
    CreateFolder,
    /// List a folder.
    List,
    /// Lock a folder.
    Lock,
    /// Make a file.
    Create,
    /// Open a file.
    Open,
    /// Read from a file.
    Read,
    /// Write to a file.
    Write,
    /// Make a file or a folder durable.
    Sync,
    /// Drop a file from the cache.
    DropCache,
    /// Give a file its final name.
    Rename,
    /// Remove a file.
    Remove,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreateFolder => "create folder",
            Self::List => "list folder",
            Self::Lock => "lock",
            Self::Create => "create",
            Self::Open => "open",
            Self::Read => "read",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::DropCache => "drop the cache of",
            Self::Rename => "rename",
            Self::Remove => "remove",
        })
    }
}

/// The operating system refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct IoFailure {
    /// What was asked of it.
    pub action: Action,
    /// With which file or folder.
    pub path: PathBuf,
    /// Its answer.
    pub source: io::Error,
}

impl IoFailure {
    /// Adds what the system's own error leaves out.
    pub(crate) fn on(action: Action, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { action, path: path.to_owned(), source }
    }
}

/// Entries that were acknowledged and are no longer what was written.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}, offset {offset}: damaged from entry {index} on: {fault}", path.display())]
pub struct Damage {
    /// The segment file.
    pub path: PathBuf,
    /// Start of the damaged batch, in bytes.
    pub offset: u64,
    /// First entry that is damaged or can no longer be found.
    pub index: LogIndex,
    /// What was found and what was expected.
    pub fault: BatchFault,
}

/// Why a log cannot be opened or created.
///
/// The folder is as it was, but for an empty lock file. Only [`Io`](Self::Io) may come when opening has judged
/// everything and begun to mend what a crash left; it can be opened again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The operating system refused. Mend what it names.
    #[error(transparent)]
    Io(#[from] IoFailure),
    /// There is no log here. Create one, or correct the path.
    #[error("{}: no log here (expected a folder with a file named \"meta\")", dir.display())]
    NotInitialised {
        /// The folder.
        dir: PathBuf,
    },
    /// There is a log here already; it keeps its node id for ever. Open it.
    #[error("{}: a log is here already (expected none)", dir.display())]
    AlreadyInitialised {
        /// The folder.
        dir: PathBuf,
    },
    /// Another process, or this one, has the log open. Stop it first.
    #[error("{}: the log is in use by another process; stop that one first", dir.display())]
    InUse {
        /// The folder.
        dir: PathBuf,
    },
    /// Term and vote are gone while entries are still there.
    #[error(
        "{}: {segments} segment files but no file \"meta\": term and vote are lost; {ADVICE}",
        dir.display()
    )]
    MetadataMissing {
        /// The folder.
        dir: PathBuf,
        /// Segment files in it.
        segments: usize,
    },
    /// Both copies of a metadata generation are unreadable, which no crash does: term and vote may be lost.
    #[error(
        "{}: both copies in slots {} and {} are damaged ({first}; {second}), so the newest term and vote may be \
         lost; {ADVICE}",
        path.display(), slots[0], slots[1]
    )]
    MetadataDamaged {
        /// The metadata file.
        path: PathBuf,
        /// Numbers of the two slots, counted from 0; slot `n` is at offset `n` × 4096.
        slots: [usize; 2],
        /// What is wrong with the first.
        first: PageFault,
        /// What is wrong with the second.
        second: PageFault,
    },
    /// Valid metadata copies of two nodes in one file: somebody mixed two folders.
    #[error("{}: metadata of node {first} and of node {second} (expected one); {ADVICE}", path.display())]
    MetadataMixed {
        /// The metadata file.
        path: PathBuf,
        /// One node.
        first: NodeId,
        /// The other.
        second: NodeId,
    },
    /// Written by a newer program. Start that one.
    #[error("{}: format version {found} (expected at most {newest}); use the newer program", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest this program reads.
        newest: u32,
    },
    /// A file has another length than it was made with: it was cut or extended from outside.
    #[error("{}: {found} bytes (expected {expected}); {ADVICE}", path.display())]
    FileLength {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        found: u64,
        /// The length it should have.
        expected: u64,
    },
    /// The first page of a segment is damaged.
    #[error("{}, offset 0: not a segment header: {fault}; {ADVICE}", path.display())]
    SegmentHeader {
        /// The segment file.
        path: PathBuf,
        /// What was found and what was expected.
        fault: PageFault,
    },
    /// A segment of another node was copied into this folder.
    #[error("{}: a segment of node {found:016x} (expected node {expected}); {ADVICE}", path.display())]
    Foreign {
        /// The segment file.
        path: PathBuf,
        /// The node it belongs to.
        found: u64,
        /// The node whose folder this is.
        expected: NodeId,
    },
    /// The folder has been initialised, hence must hold a segment.
    #[error("{}: no segment file (expected at least one), so the log is lost; {ADVICE}", dir.display())]
    NoSegment {
        /// The folder.
        dir: PathBuf,
    },
    /// A segment must be there and is not.
    #[error("{}: segment is missing, so entries in it are lost; {ADVICE}", path.display())]
    MissingSegment {
        /// The missing file.
        path: PathBuf,
    },
    /// Acknowledged entries are damaged.
    #[error("{0}; these entries were acknowledged; {ADVICE}")]
    Damaged(Damage),
    /// A batch that repairs damage; this version cannot apply it.
    #[error("{}, offset {offset}: a fill batch (expected none); use the newer program", path.display())]
    Fill {
        /// The segment file.
        path: PathBuf,
        /// Start of the batch, in bytes.
        offset: u64,
    },
    /// A configuration entry whose bytes are what was written but cannot be read: by a newer program, or a bug.
    #[error(
        "{}, offset {offset}: configuration entry {index}: {source}; start the newer program, if one has run here",
        path.display()
    )]
    Configuration {
        /// The segment file.
        path: PathBuf,
        /// Start of the batch that holds it, in bytes.
        offset: u64,
        /// The entry.
        index: LogIndex,
        /// Why not.
        source: ConfigurationError,
    },
    /// An entry of a term that this node, by its metadata, never was in: the metadata is older than the log.
    #[error(
        "{}: the stored term is {current_term} (expected at least that of entry {last}): term and vote are lost; \
         {ADVICE}",
        path.display()
    )]
    LostMetadata {
        /// The metadata file.
        path: PathBuf,
        /// Last entry of the log, or of the snapshot it follows.
        last: EntryId,
        /// The stored term.
        current_term: Term,
    },
    /// Entries between the snapshot and the log are gone: a newer snapshot was there when the log was compacted.
    #[error(
        "{}: the log starts after entry {base}, the newest whole snapshot ends at {floor} (expected {base} or \
         later): entries between are lost, unless the snapshot that covered them can be put back; {ADVICE}",
        dir.display()
    )]
    Hole {
        /// The folder of the log.
        dir: PathBuf,
        /// Last entry of the newest snapshot.
        floor: EntryId,
        /// The entry before the first one in the log.
        base: EntryId,
    },
}

/// Why the log stopped writing. Nothing is reported durable after it; stop the node.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The operating system refused. The write may or may not be on disk; opening again decides.
    #[error(transparent)]
    Io(#[from] IoFailure),
    /// Entries that do not follow the last one: the caller broke the contract of `LogStore`.
    #[error("block starts with entry {found} (expected one that follows {last})")]
    NotContiguous {
        /// First entry of the block.
        found: EntryId,
        /// Last entry of the log.
        last: EntryId,
    },
    /// A truncation of entries that are no longer there: the caller broke the contract of `LogStore`.
    #[error("truncation from entry {from} (expected one after {base})")]
    TruncatesBase {
        /// First entry to forget.
        from: LogIndex,
        /// The entry before the first one in the log.
        base: EntryId,
    },
    /// An entry that was found damaged would have to be replaced in place, which this version of the log cannot do.
    #[error(
        "entry {index} is damaged and cannot be mended in place: replace this node by one with an empty data folder"
    )]
    CannotMend {
        /// First entry to replace.
        index: LogIndex,
    },
    /// A thread of the log panicked.
    #[error("thread {thread} panicked: {message}")]
    Panicked {
        /// Its name.
        thread: String,
        /// What it said.
        message: String,
    },
}

/// Why durable entries cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] IoFailure),
    /// The bytes are no longer what was written.
    #[error(transparent)]
    Damaged(#[from] Damage),
}
