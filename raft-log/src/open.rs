//! Creating and opening a log.
//!
//! Invariant (refusal changes nothing): opening first reads and judges everything; only then it writes. A folder
//! that cannot be opened is, byte for byte, as it was found.
//!
//! Invariant (never without a segment): a folder counts as initialised once its metadata file has its name, and
//! its first segment is durable before. A folder with metadata and no segment has lost one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft_core::fs::Fs;
use raft_core::snapshot::SnapshotMeta;
use raft_core::storage::{LogEvent, Recovered, Sink};
use raft_core::{EntryId, HardState, NodeId};

use crate::batch::BatchKind;
use crate::durable::Durable;
use crate::error::{Action, IoFailure, OpenError};
use crate::folder::{Folder, Listing};
use crate::log::SegmentedLog;
use crate::metadata::{Metadata, Repairs};
use crate::options::LogOptions;
use crate::page::PAGE;
use crate::recovery::{Recovery, open_segments};
use crate::report::{Opened, RecoveryReport};
use crate::segment::is_blank;
use crate::span::Span;
use crate::spare::{Preparer, Spare};
use crate::stats::LogStats;
use crate::tail::{End, Tail};
use crate::writer::{Group, Writer};

/// Makes the folder of a new node, with an empty log in it. `node_id` is freshly minted: never used before.
///
/// The folder that `dir` is in must be durable itself; `dir` is made if it is missing.
///
/// # Errors
/// [`OpenError::AlreadyInitialised`] if there is a log already, [`OpenError::MetadataMissing`] if there is what is
/// left of one, or what the operating system says. After a crash on the way, create again.
pub fn create<F: Fs>(dir: &Path, fs: F, options: &LogOptions, node_id: NodeId) -> Result<(), OpenError> {
    let folder = Folder::new(fs, dir);
    folder.fs.create_dir_all(dir).map_err(IoFailure::on(Action::CreateFolder, dir))?;
    folder.sync_parent()?;
    let _lock = folder.lock()?;
    let listing = folder.list()?.unwrap_or_default();
    if listing.metadata {
        return Err(OpenError::AlreadyInitialised { dir: dir.to_owned() });
    }
    refuse_orphans(&folder, &listing)?;
    for path in &listing.unfinished {
        folder.remove(path)?;
    }
    Spare::begin(&folder, node_id, 1, options.capacity_for(PAGE as u64))?.publish(&folder)?;
    Metadata::create(&folder, node_id)?;
    Ok(())
}

/// Whose log is in `dir`, and what it has promised: for whoever must know before anything is opened. `None` if
/// there is no log. Changes nothing.
///
/// # Errors
/// As for [`open`], as far as it concerns the metadata.
pub fn identify<F: Fs>(dir: &Path, fs: F) -> Result<Option<(NodeId, HardState)>, OpenError> {
    let folder = Folder::new(fs, dir);
    if !folder.list()?.is_some_and(|listing| listing.metadata) {
        return Ok(None);
    }
    let (metadata, _repairs) = Metadata::load(&folder)?;
    Ok(Some((metadata.node_id(), metadata.hard_state())))
}

/// Opens a log. `floor` is the newest verified snapshot, or [`SnapshotMeta::NONE`]: the log keeps what follows it
/// if it contains its last entry, and else starts again after it.
///
/// # Errors
/// See [`OpenError`]: each says what to do.
///
/// Costs reading all headers, and all of the last segment (of everything, with
/// [`Verify::All`](crate::Verify::All)).
pub fn open<F: Fs>(
    dir: &Path,
    fs: F,
    options: &LogOptions,
    floor: &SnapshotMeta,
    sink: Sink<LogEvent>,
) -> Result<(SegmentedLog<F>, Opened), OpenError> {
    let folder = Folder::new(fs, dir);
    // Before the lock file is made: a folder that is not ours gets nothing from us.
    let not_initialised = || OpenError::NotInitialised { dir: dir.to_owned() };
    let listing = folder.list()?.ok_or_else(not_initialised)?;
    if !listing.metadata {
        refuse_orphans(&folder, &listing)?;
        return Err(not_initialised());
    }
    let lock = Arc::new(folder.lock()?);
    folder.sync()?;
    let listing = folder.list()?.ok_or_else(not_initialised)?;
    let (metadata, repairs) = Metadata::load(&folder)?;
    let node_id = metadata.node_id();
    let segments = open_segments(&folder, node_id, &listing.segments)?;
    let recovery = Recovery::run(&folder, node_id, options.verify, segments)?;
    let reset_to = judge(&folder, &recovery, &metadata, floor.last)?;
    let configurations = if reset_to.is_some() { Vec::new() } else { recovery.configurations()? };

    // Everything is believed; from here on the folder changes.
    let unfinished = listing.unfinished;
    let (writer, report) =
        Mending { folder, lock, options, repairs, unfinished, reset_to }.mend(metadata, recovery)?;
    let recovered = Recovered {
        hard_state: writer.metadata.hard_state(),
        base: writer.span.base(),
        last: writer.span.last(),
        runs: writer.span.runs().to_vec(),
        configurations,
        // Damage to what may have been acknowledged is refused above.
        ..Recovered::default()
    };
    Ok((SegmentedLog::new(writer, node_id, sink), Opened { node_id, recovered, report }))
}

/// Segments without metadata are a lost vote, unless they are what a crash left of [`create`]: one, without a
/// batch.
fn refuse_orphans<F: Fs>(folder: &Folder<F>, listing: &Listing) -> Result<(), OpenError> {
    let blank = match listing.segments[..] {
        [] => true,
        [only] => only == 1 && is_blank(folder, &folder.segment_path(only))?,
        _ => false,
    };
    if blank {
        return Ok(());
    }
    Err(OpenError::MetadataMissing { dir: folder.path.clone(), segments: listing.segments.len() })
}

/// Whether log, metadata and snapshot fit together; the answer is where the log must start again, if it must.
fn judge<F: Fs>(
    folder: &Folder<F>,
    recovery: &Recovery<F>,
    metadata: &Metadata<F>,
    floor: EntryId,
) -> Result<Option<EntryId>, OpenError> {
    let span = &recovery.span;
    let current_term = metadata.hard_state().current_term;
    if let Some(last) = [span.last(), floor].into_iter().find(|entry| entry.term > current_term) {
        let path = folder.metadata_path();
        return Err(OpenError::LostMetadata { path, last, current_term });
    }
    if floor.index < span.base().index {
        let dir = folder.path.clone();
        return Err(OpenError::Hole { dir, floor, base: span.base() });
    }
    Ok((span.entry(floor.index) != Some(floor)).then_some(floor))
}

/// What opening writes, once it is sure.
struct Mending<'a, F: Fs> {
    folder: Folder<F>,
    lock: Arc<F::Lock>,
    options: &'a LogOptions,
    repairs: Repairs,
    unfinished: Vec<PathBuf>,
    reset_to: Option<EntryId>,
}

impl<F: Fs> Mending<'_, F> {
    fn mend(
        self,
        metadata: Metadata<F>,
        mut recovery: Recovery<F>,
    ) -> Result<(Writer<F>, RecoveryReport), OpenError> {
        let mut report = std::mem::take(&mut recovery.report);
        report.metadata_repaired = metadata.repair(&self.repairs)?;
        report.reset_to = self.reset_to;
        report.removed = self.remove_leftovers(&recovery)?;
        if let Some(torn) = &report.torn_tail {
            let (path, offset, last, fault) = (torn.path.display(), torn.offset, torn.after, &torn.fault);
            tracing::warn!(%path, offset, %last, %fault, "cut off what a crash left behind the end of the log");
        }
        let wiped = self.wipe(&recovery)?;
        let mut writer = self.writer(metadata, recovery);
        if let Some(base) = self.reset_to {
            writer.begin(BatchKind::Reset, base)?;
            writer.span = Span::new(base);
        } else if wiped || !writer.tail.is_marked() {
            writer.tail.frame_mark();
        }
        if wiped && !writer.tail.is_dirty() {
            // Behind a mark at the very end there is no room for another, whose sync would have covered the wiping.
            writer.tail.sync_wiped()?;
        }
        writer.commit()?;
        Ok((writer, report))
    }

    /// Removes what a crash left in the making, and a segment made ahead but never used: it will be made again,
    /// and its name with it, which an earlier failed sync of the folder may have left in the cache only.
    fn remove_leftovers(&self, recovery: &Recovery<F>) -> Result<Vec<PathBuf>, IoFailure> {
        let unused = recovery.unused.iter().map(|segment| segment.path.clone());
        let leftovers: Vec<_> = self.unfinished.iter().cloned().chain(unused).collect();
        for path in &leftovers {
            self.folder.remove(path)?;
        }
        Ok(leftovers)
    }

    /// Empties the pages behind the end of the log; durable with what is written next.
    fn wipe(&self, recovery: &Recovery<F>) -> Result<bool, IoFailure> {
        let segment = &recovery.segments[recovery.segments.len() - 1];
        for &page in &recovery.dirty_pages {
            segment.write(&[0; PAGE], page)?;
        }
        Ok(!recovery.dirty_pages.is_empty())
    }

    fn writer(&self, metadata: Metadata<F>, recovery: Recovery<F>) -> Writer<F> {
        let link = recovery.link().expect("a log that could be read has a first batch, or none yet");
        let segment = recovery.segments[recovery.segments.len() - 1].clone();
        let marked = recovery.newest.is_none_or(|newest| newest.is_fresh_mark());
        let end = End { segment, offset: recovery.offset, link, last: recovery.span.last(), marked };
        let durable = Arc::new(Durable::new(recovery.index, recovery.segments));
        let stats = Arc::new(LogStats::default());
        let folder = self.folder.clone();
        let node_id = metadata.node_id();
        let preparer = Preparer::new(folder.clone(), node_id, stats.clone(), self.lock.clone());
        Writer {
            tail: Tail::new(preparer, node_id, *self.options, durable.clone(), stats.clone(), end),
            folder,
            durable,
            stats,
            metadata,
            span: recovery.span,
            group_bytes: self.options.group_bytes,
            group: Group::default(),
        }
    }
}
