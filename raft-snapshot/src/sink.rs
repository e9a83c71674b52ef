//! Receives a snapshot.
//!
//! The partial file carries the digest of the offer in its name, and a later sink for the same digest, in this
//! process or the next, goes on with it: every page proves itself, so the chunks that are there are found by
//! reading them. Whatever goes wrong with the file itself removes it, so that a full disk gets its room back
//! and no page that a failed sync left in the cache is believed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft_core::fs::{File, Fs};
use raft_core::snapshot::{ChunkSet, ChunkSink, SnapshotInfo};
use raft_core::types::EntryId;

use crate::error::{FsError, TransferError};
use crate::flaw::Flaw;
use crate::folder::{drop_cache, failed, sync_file};
use crate::format::{TRAILER_BYTES, check};
use crate::inbox::Received;
use crate::layout::{Layout, read_range};
use crate::name::Name;
use crate::options::{MAX_CHUNK_BYTES, Options};
use crate::page::Pages;
use crate::scan::Verified;
use crate::shared::Shared;

/// Most chunks of a snapshot that is taken, so that a set of chunks stays below 2 MiB.
const MAX_CHUNKS: u64 = 1 << 24;

/// Takes the file of one offer. Nothing is touched before [`have`](ChunkSink::have).
pub(crate) struct FileSink<F: Fs> {
    shared: Arc<Shared<F>>,
    info: SnapshotInfo,
    /// Its place among the sinks of the store.
    ticket: u64,
    stage: Stage<F::File>,
}

/// How far a sink is.
enum Stage<F> {
    /// `have` comes next.
    Offered,
    /// Chunks are written.
    Receiving { file: F, held: ChunkSet },
    /// The file is complete, verified and durable.
    Finished,
    /// The file is given up.
    Failed,
}

impl<F: Fs> FileSink<F> {
    pub(crate) const fn new(shared: Arc<Shared<F>>, info: SnapshotInfo, ticket: u64) -> Self {
        Self { shared, info, ticket, stage: Stage::Offered }
    }

    const fn last(&self) -> EntryId {
        self.info.meta.last
    }

    fn part(&self) -> PathBuf {
        self.shared.folder.path_of(Name::Receiving(self.last(), self.info.digest))
    }

    /// Gives the file up.
    fn abandon(&mut self) {
        self.stage = Stage::Failed;
        self.shared.folder.discard(&self.part());
    }

    /// Removes what earlier transfers left, but for the file that waits to be published.
    fn remove_other_parts(&self, finished: Option<&Path>) -> Result<(), FsError> {
        for name in self.shared.folder.names()? {
            let path = self.shared.folder.path_of(name);
            if matches!(name, Name::Receiving(..)) && path != self.part() && Some(&*path) != finished {
                self.shared.folder.remove(&path)?;
            }
        }
        Ok(())
    }

    /// Opens the partial file, at its full length, and finds the chunks in it.
    fn open_part(&self, part: &Path) -> io::Result<(F::File, ChunkSet)> {
        let file = self.shared.folder.open_or_create(part)?;
        file.set_len(self.info.length).map_err(failed("set the length of the file", part))?;
        drop_cache(&file, part)?;
        let held = held_chunks(&file, &self.info, &self.shared.options).map_err(|flaw| flaw.of(part))?;
        Ok((file, held))
    }

    /// Makes the file durable, and reads it back.
    fn prove(&self, file: &F::File, part: &Path) -> io::Result<Verified<F::File>> {
        sync_file(file, part)?;
        let snapshot: Verified<_> = self.shared.read_back::<io::Error>(part)?;
        check_offered(&self.info, &snapshot.info).map_err(|flaw| flaw.of(part))?;
        self.shared.folder.sync()?;
        Ok(Verified { info: self.info.clone(), ..snapshot })
    }
}

impl<F: Fs> ChunkSink for FileSink<F> {
    fn have(&mut self) -> io::Result<ChunkSet> {
        check_numbers(&self.info)?;
        let shared = Arc::clone(&self.shared);
        let mut inbox = shared.inbox();
        inbox.take_over(self.ticket, self.last())?;
        if !shared.is_newer(self.last()) {
            return Err(TransferError::NotNewer { last: self.last(), latest: shared.last() }.into());
        }
        if let Some(Received { part, snapshot }) = &mut inbox.finished
            && snapshot.info.digest == self.info.digest
        {
            check_offered(&self.info, &snapshot.info).map_err(|flaw| flaw.of(&*part))?;
            snapshot.info.chunk_bytes = self.info.chunk_bytes;
            self.stage = Stage::Finished;
            return Ok(all_chunks(&self.info));
        }
        self.remove_other_parts(inbox.finished.as_ref().map(|received| &*received.part))?;
        let (file, held) = self.open_part(&self.part()).inspect_err(|_| self.abandon())?;
        self.stage = Stage::Receiving { file, held: held.clone() };
        Ok(held)
    }

    fn write_chunk(&mut self, number: u64, bytes: &[u8]) -> io::Result<()> {
        let last = self.last();
        let shared = Arc::clone(&self.shared);
        let inbox = shared.inbox();
        inbox.check_owner(self.ticket, last)?;
        let Stage::Receiving { file, held } = &mut self.stage else {
            return Err(TransferError::OutOfOrder { last, called: "write_chunk" }.into());
        };
        let (offset, expected) = self.info.chunk_range(number).unwrap_or_default();
        if bytes.is_empty() || bytes.len() != expected {
            let (found, expected, chunks) = (bytes.len() as u64, expected as u64, self.info.chunk_count());
            return Err(TransferError::Chunk { number, found, expected, chunks }.into());
        }
        let written = file.write_all_at(bytes, offset);
        held.insert(number);
        let written = written.map_err(failed("write to the file", &self.part()));
        Ok(written.inspect_err(|_| self.abandon())?)
    }

    fn finish(&mut self) -> io::Result<()> {
        let last = self.last();
        let shared = Arc::clone(&self.shared);
        let mut inbox = shared.inbox();
        inbox.check_owner(self.ticket, last)?;
        let file = match &self.stage {
            Stage::Finished => return Ok(()),
            Stage::Receiving { file, held } => {
                check_complete(&self.info, held)?;
                file
            }
            _ => return Err(TransferError::OutOfOrder { last, called: "finish" }.into()),
        };
        let part = self.part();
        let snapshot = self.prove(file, &part).inspect_err(|_| self.abandon())?;
        inbox.finished = Some(Received { part, snapshot });
        self.stage = Stage::Finished;
        Ok(())
    }
}

/// The chunks of a partial file that hold what the file will hold: all pages that they touch prove themselves.
///
/// Where nothing was written there are zeros. Once in 2³² pages they have the checksum of zero that lies behind
/// them, so zeros prove nothing: else such a chunk would never be sent.
fn held_chunks(file: &impl File, info: &SnapshotInfo, options: &Options) -> Result<ChunkSet, Flaw> {
    let mut held = ChunkSet::default();
    let Some(pages) = unless_damaged(pages_of(file, info, options))? else { return Ok(held) };
    for number in 0..info.chunk_count() {
        let (offset, length) = info.chunk_range(number).expect("a chunk of this file");
        let chunk = unless_damaged(read_range(file, &pages, offset, length))?;
        if chunk.is_some_and(|chunk| chunk.iter().any(|&byte| byte != 0)) {
            held.insert(number);
        }
    }
    Ok(held)
}

/// The pages of a partial file by its preamble; without one, as this node would cut them.
fn pages_of(file: &impl File, info: &SnapshotInfo, options: &Options) -> Result<Pages, Flaw> {
    match unless_damaged(Layout::read(file, info.length, options.state_version))? {
        Some(layout) => Ok(layout.pages),
        None => {
            let end = info.length.saturating_sub(TRAILER_BYTES as u64);
            Pages::new(info.meta.last, options.page_bytes, end)
        }
    }
}

/// `None` for what is damaged, or not written yet.
fn unless_damaged<T>(read: Result<T, Flaw>) -> Result<Option<T>, Flaw> {
    match read {
        Err(flaw) if flaw.is_damage() => Ok(None),
        read => read.map(Some),
    }
}

fn all_chunks(info: &SnapshotInfo) -> ChunkSet {
    let mut all = ChunkSet::default();
    (0..info.chunk_count()).for_each(|number| all.insert(number));
    all
}

/// Checks that the numbers of an offer can be worked with.
fn check_numbers(info: &SnapshotInfo) -> Result<(), TransferError> {
    let within = |field, found: u64, least: u64, greatest: u64| match (least..=greatest).contains(&found) {
        true => Ok(()),
        false => Err(TransferError::Offer { last: info.meta.last, field, found, least, greatest }),
    };
    within("chunk size", info.chunk_bytes.into(), 1, MAX_CHUNK_BYTES.into())?;
    within("chunk count", info.chunk_count(), 1, MAX_CHUNKS)
}

fn check_complete(info: &SnapshotInfo, held: &ChunkSet) -> Result<(), TransferError> {
    let chunks = info.chunk_count();
    match (0..chunks).find(|&number| !held.contains(number)) {
        None => Ok(()),
        Some(number) => Err(TransferError::Missing { last: info.meta.last, number, chunks }),
    }
}

/// Checks that the file received is the one that was offered, and stands for what the offer said.
fn check_offered(offered: &SnapshotInfo, found: &SnapshotInfo) -> Result<(), Flaw> {
    if found.digest != offered.digest {
        return Err(Flaw::Digest { found: found.digest, expected: offered.digest });
    }
    check("length", 0, found.length, offered.length)?;
    if found.meta != offered.meta {
        let (found, expected) = (Box::new(found.meta.clone()), Box::new(offered.meta.clone()));
        return Err(Flaw::Meta { found, expected });
    }
    Ok(())
}
