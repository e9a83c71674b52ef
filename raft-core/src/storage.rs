//! What the driver needs from a log and from a snapshot store: submit and complete, nothing that waits.
//!
//! Each store gets an event sink when it is opened and reports through it, from whatever thread it likes. The driver's
//! shell turns events into inputs of the loop. Conformance suites for both traits are in `testing`.

use std::error::Error;
use std::io::Read;
use std::sync::Arc;

use crate::block::{Block, Blocks, TermRun};
use crate::configuration::Configuration;
use crate::snapshot::{ChunkSink, ChunkSource, SnapshotInfo, SnapshotMeta, SnapshotOffer, SnapshotView};
use crate::types::{EntryId, HardState, LogIndex, WriteId};

/// Where a store's events go. Called from the store's own threads; must not block.
pub type Sink<E> = Arc<dyn Fn(E) + Send + Sync>;

/// Why a store failed, in the store's own words: where, what was found, what was expected, what to do.
pub type StoreError = Arc<dyn Error + Send + Sync>;

/// One write effect: any part may be absent. The parts take effect in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Write {
    /// Its place in the queue.
    pub id: WriteId,
    /// Term, vote and cluster to remember.
    pub hard_state: Option<HardState>,
    /// Forget the whole log; it starts again after this entry, which a published snapshot covers.
    pub reset: Option<EntryId>,
    /// Forget this entry and all that follow it. May lie behind the last entry there: then there is nothing to forget.
    pub truncate_from: Option<LogIndex>,
    /// Contiguous entries that follow what is there then.
    pub append: Blocks,
    /// Entries that take the place of damaged ones of the same index and term; nothing else changes.
    pub fill: Blocks,
}

/// Asks for entries that are no longer in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReadRequest {
    /// Echoed in the answer.
    pub id: u64,
    /// First entry wanted.
    pub from: LogIndex,
    /// Last entry wanted (inclusive).
    pub through: LogIndex,
    /// Stop before the block that would exceed this many encoded bytes; at least one entry is always given.
    pub max_bytes: usize,
}

/// Why entries cannot be read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ReadFailure {
    /// The log starts later: the peer needs a snapshot.
    Compacted {
        /// First entry that is still there.
        first: LogIndex,
    },
    /// The entry at `index` is damaged.
    Damaged {
        /// First damaged entry.
        index: LogIndex,
        /// Segment, offset, expected and found.
        reason: StoreError,
    },
}

/// What a [`LogStore`] reports.
#[derive(Clone, Debug)]
pub enum LogEvent {
    /// This write and all before it are durable.
    Durable(WriteId),
    /// Answer to a [`ReadRequest`]: contiguous blocks from `from` on, payload checksums verified.
    Read {
        /// The request's id.
        id: u64,
        /// Entries, or why not.
        answer: Result<Vec<Block>, ReadFailure>,
    },
    /// The disk is full, or is not any more: writes wait meanwhile, in order, and none is lost. Reported at each change.
    Full(bool),
    /// The log is poisoned: no further write will ever be reported durable. Stop the node.
    Failed(StoreError),
}

/// What a log store knows after opening: the input of [`Raft::new`](crate::Raft::new), which refuses what breaks these
/// rules.
///
/// * A store is opened with a *floor*: the last entry of the newest published snapshot. A log that does not hold exactly
///   this entry is forgotten and starts again after it, durably, before opening returns.
/// * `hard_state.current_term` is no earlier than the term of any entry, nor than the floor's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The last durable hard state.
    pub hard_state: HardState,
    /// The entry before the first one in the log; at or below the floor that was given at opening.
    pub base: EntryId,
    /// Last entry in the log; equals `base` when the log is empty.
    pub last: EntryId,
    /// Terms of the entries after `base`.
    pub runs: Vec<TermRun>,
    /// Configuration entries after `base`, ascending.
    pub configurations: Vec<(LogIndex, Configuration)>,
    /// Entries after `base` whose index and term are known, but whose bytes are damaged; ascending.
    pub damaged: Vec<LogIndex>,
    /// What this node may have acknowledged.
    pub floor: VoteFloor,
}

/// The last entry that a node may ever have acknowledged: others may count on it, so its vote goes to nobody who lacks it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum VoteFloor {
    /// The last entry of its log; of a log without damage always.
    #[default]
    LastEntry,
    /// This one: damage has swallowed the end of the log. A store says so at each opening until its last entry is no earlier
    /// than this one, whatever was written since.
    Entry(EntryId),
    /// Nobody knows: this node must not vote. A store says so for good.
    Unknown,
}

/// The log, and the term and vote beside it.
///
/// # Contract
/// * **Order.** Writes take effect, and become durable, in the order of `submit`. [`LogEvent::Durable`] is cumulative
///   and never names a write whose bytes, or those of any write before it, could be lost by a power cut. One sync may
///   cover many writes.
/// * **Within a write** the hard state is durable before any entry of the write can survive a crash.
/// * **Fills** replace the bytes of entries that were reported damaged, and change nothing else. A store that cannot mend
///   itself fails instead.
/// * **Crash.** After a crash at any moment, opening finds every durable write, and of later ones only what amounts to
///   a prefix of the queue (the last one in part: its hard state without its entries, or its first entries only).
/// * **Errors.** A failed write or sync poisons the store: it reports [`LogEvent::Failed`] once, nothing durable after
///   it, and never retries a sync.
/// * **Reads** answer with entries of submitted writes that are durable; each payload is verified. The answer holds all
///   of the range that is there (past the durable end: what there is, perhaps nothing) unless `max_bytes` ends it
///   before; its first entry may exceed `max_bytes`. A read that races with a truncation may answer old entries: the
///   core compares terms.
/// * **Compaction** drops entries `..=through` when it suits the store, never one behind the last `through`; a published
///   snapshot covers them. They are durable by then, and no write truncates them.
/// * None of the calls waits for a disk.
pub trait LogStore {
    /// Queues a write.
    fn submit(&mut self, write: Write);

    /// Queues a read; answered by [`LogEvent::Read`] with the same id.
    fn read(&mut self, request: ReadRequest);

    /// Allows the store to drop entries through `through` (inclusive).
    fn compact(&mut self, through: LogIndex);
}

/// What a [`SnapshotStore`] reports.
#[derive(Clone, Debug)]
pub enum SnapshotEvent {
    /// A created snapshot is published, verified and durable.
    Created(SnapshotInfo),
    /// A received snapshot is published, verified and durable.
    Published(SnapshotInfo),
    /// Nothing was published; what was there before still is. The node goes on.
    Failed {
        /// The snapshot that was to be created or published.
        last: EntryId,
        /// Whether it had been received from a leader.
        received: bool,
        /// Why not.
        reason: StoreError,
    },
}

/// Snapshot files.
///
/// # Contract
/// * **Publish is atomic.** A crash at any moment leaves the old set or the new one, never a file that opening takes
///   for a snapshot and that does not verify.
/// * **Order.** [`SnapshotEvent::Created`] and [`SnapshotEvent::Published`] come after the file *and its name* are
///   durable and the file, read back, has its digest.
/// * **Retention.** The newest two are kept; an older one goes only after a newer one is published.
/// * **Errors** never lose a published snapshot. A snapshot that fails verification at opening is set aside and named
///   in the report, never loaded.
/// * None of the calls waits for a disk, except through the objects that are handed out, on the caller's thread.
pub trait SnapshotStore {
    /// The newest published snapshot.
    fn latest(&self) -> Option<SnapshotInfo>;

    /// Writes, verifies and publishes `view` in the background; [`SnapshotEvent::Created`] or `Failed` follows. One at
    /// a time; a further call waits its turn.
    fn create(&mut self, meta: SnapshotMeta, view: Box<dyn SnapshotView>);

    /// Opens the newest published snapshot for sending; lazily.
    fn source(&self) -> Option<(SnapshotInfo, Box<dyn ChunkSource>)>;

    /// Takes a snapshot from a leader; lazily. A second sink for the same digest resumes the first one's work.
    fn sink(&mut self, offer: &SnapshotOffer) -> Box<dyn ChunkSink>;

    /// Makes a finished sink's snapshot the newest, in the background; [`SnapshotEvent::Published`] or `Failed`
    /// follows.
    fn publish(&mut self, info: SnapshotInfo);

    /// The state inside the newest published snapshot, as [`SnapshotView::write_to`] wrote it; lazily.
    fn reader(&self) -> Option<(SnapshotMeta, Box<dyn Read + Send>)>;
}
