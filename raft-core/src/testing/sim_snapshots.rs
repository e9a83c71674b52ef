//! A snapshot store in memory that publishes when the simulated world says so.
//!
//! The driver asks for snapshots to be created or published; the jobs queue. The world completes or fails them one
//! by one. At a crash it decides whether the job under way took effect, and opens the next store on the surviving
//! [`SnapshotImage`]. What was received and not published is lost then; within one process it is resumed.
//!
//! The queue is as long as the driver lets it grow. Of received snapshots the store keeps the newest only.

mod image;

pub use image::{SnapshotFile, SnapshotImage, WrongDigest};

use std::collections::VecDeque;
use std::io::{self, Cursor, ErrorKind, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::snapshot::{
    ChunkSet, ChunkSink, ChunkSource, SnapshotInfo, SnapshotMeta, SnapshotOffer, SnapshotView,
};
use crate::storage::{Sink, SnapshotEvent, SnapshotStore, StoreError};
use crate::types::EntryId;

/// A handle to a simulated snapshot store. Clones share it: the driver holds one, the world another.
#[derive(Clone)]
pub struct SimSnapshots {
    state: Shared,
}

type Shared = Arc<Mutex<State>>;

struct State {
    image: SnapshotImage,
    jobs: VecDeque<Job>,
    received: Option<Received>,
    /// The process has crashed: sinks fail, nothing is queued.
    dead: bool,
    sink: Sink<SnapshotEvent>,
}

/// Something for the background.
enum Job {
    Create { meta: SnapshotMeta, view: Box<dyn SnapshotView> },
    Publish { info: SnapshotInfo },
}

/// A snapshot on its way in.
struct Received {
    info: SnapshotInfo,
    bytes: Vec<u8>,
    have: ChunkSet,
    finished: bool,
}

/// The snapshot that was to be published never arrived whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("simulated snapshot of {last}: not received whole (expected a finished sink before publish)")]
pub struct NotReceived {
    /// The end of the snapshot.
    pub last: EntryId,
}

impl Job {
    fn carry_out(self, state: &mut State) -> SnapshotEvent {
        let (last, received) = self.subject();
        let done = match self {
            Self::Create { meta, view } => {
                SnapshotFile::create(meta, &*view).map_err(|error| Arc::new(error) as _)
            }
            Self::Publish { info } => state.take_received(&info),
        };
        match done {
            Ok(file) => {
                let info = file.info.clone();
                state.image.publish(file);
                if received { SnapshotEvent::Published(info) } else { SnapshotEvent::Created(info) }
            }
            Err(reason) => SnapshotEvent::Failed { last, received, reason },
        }
    }

    const fn subject(&self) -> (EntryId, bool) {
        match self {
            Self::Create { meta, .. } => (meta.last, false),
            Self::Publish { info } => (info.meta.last, true),
        }
    }
}

impl State {
    /// The received file that `info` describes, if its sink has finished.
    fn take_received(&mut self, info: &SnapshotInfo) -> Result<SnapshotFile, StoreError> {
        match self.received.take_if(|received| received.finished && received.info == *info) {
            Some(whole) => Ok(SnapshotFile { info: whole.info, bytes: whole.bytes.into() }),
            None => Err(Arc::new(NotReceived { last: info.meta.last })),
        }
    }
}

impl SimSnapshots {
    /// Opens the store that `image` holds; the second part names the snapshots that failed verification and were
    /// set aside. Events go to `sink`, during the calls of the world.
    #[must_use]
    pub fn open(mut image: SnapshotImage, sink: Sink<SnapshotEvent>) -> (Self, Vec<SnapshotInfo>) {
        let set_aside = image.set_aside_damaged();
        let state = State { image, jobs: VecDeque::new(), received: None, dead: false, sink };
        (Self { state: Arc::new(Mutex::new(state)) }, set_aside)
    }

    /// How many jobs wait.
    #[must_use]
    pub fn pending(&self) -> usize {
        lock(&self.state).jobs.len()
    }

    /// Carries out the oldest job; whether there was one.
    pub fn complete_next(&self) -> bool {
        self.next_job(Job::carry_out)
    }

    /// Lets the oldest job fail; whether there was one.
    pub fn fail_next(&self, reason: StoreError) -> bool {
        self.next_job(|job, _| {
            let (last, received) = job.subject();
            SnapshotEvent::Failed { last, received, reason }
        })
    }

    fn next_job(&self, end: impl FnOnce(Job, &mut State) -> SnapshotEvent) -> bool {
        let mut state = lock(&self.state);
        let Some(job) = state.jobs.pop_front() else { return false };
        let event = end(job, &mut state);
        let sink = state.sink.clone();
        drop(state);
        sink(event);
        true
    }

    /// Does all that there is to do.
    pub fn run(&self) {
        while self.complete_next() {}
    }

    /// What a crash leaves; if `completes`, the job under way has just taken effect. This store is dead from now
    /// on.
    #[must_use]
    pub fn crash(&self, completes: bool) -> SnapshotImage {
        let mut state = lock(&self.state);
        if let Some(job) = state.jobs.pop_front().filter(|_| completes) {
            // Whether it succeeds shows in the image alone: nobody is left to hear.
            drop(job.carry_out(&mut state));
        }
        state.dead = true;
        state.jobs.clear();
        state.received = None;
        state.image.clone()
    }

    /// Looks at what is published.
    pub fn with_image<T>(&self, look: impl FnOnce(&SnapshotImage) -> T) -> T {
        look(&lock(&self.state).image)
    }

    fn submit(&self, job: Job) {
        let mut state = lock(&self.state);
        if !state.dead {
            state.jobs.push_back(job);
        }
    }

    fn latest_file(&self) -> Option<SnapshotFile> {
        lock(&self.state).image.latest().cloned()
    }
}

impl SnapshotStore for SimSnapshots {
    fn latest(&self) -> Option<SnapshotInfo> {
        self.latest_file().map(|file| file.info)
    }

    fn create(&mut self, meta: SnapshotMeta, view: Box<dyn SnapshotView>) {
        self.submit(Job::Create { meta, view });
    }

    fn source(&self) -> Option<(SnapshotInfo, Box<dyn ChunkSource>)> {
        let file = self.latest_file()?;
        Some((file.info.clone(), Box::new(SimSource(file))))
    }

    fn sink(&mut self, offer: &SnapshotOffer) -> Box<dyn ChunkSink> {
        Box::new(SimSink { state: self.state.clone(), info: offer.info.clone() })
    }

    fn publish(&mut self, info: SnapshotInfo) {
        self.submit(Job::Publish { info });
    }

    fn reader(&self) -> Option<(SnapshotMeta, Box<dyn Read + Send>)> {
        let file = self.latest_file()?;
        Some((file.info.meta.clone(), Box::new(SimReader::Unverified(file))))
    }
}

/// Sends a published snapshot.
struct SimSource(SnapshotFile);

impl ChunkSource for SimSource {
    fn read_chunk(&mut self, number: u64) -> io::Result<Bytes> {
        let bytes = self.0.verify()?;
        let (offset, length) = self.0.info.chunk_range(number).ok_or(ErrorKind::InvalidInput)?;
        let offset = usize::try_from(offset).map_err(|_| ErrorKind::InvalidInput)?;
        Ok(bytes.slice(offset..offset + length))
    }
}

/// Reads the state in a published snapshot, verified at the first call.
enum SimReader {
    Unverified(SnapshotFile),
    Verified(Cursor<Bytes>),
}

impl Read for SimReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Self::Unverified(file) = self {
            file.verify()?;
            *self = Self::Verified(Cursor::new(file.state()));
        }
        match self {
            Self::Verified(state) => state.read(buffer),
            Self::Unverified(_) => unreachable!("verified above"),
        }
    }
}

/// Takes a snapshot from a leader.
struct SimSink {
    state: Shared,
    info: SnapshotInfo,
}

impl SimSink {
    /// Works on what is received of this snapshot, which [`ChunkSink::have`] began.
    fn with_received<T>(&self, work: impl FnOnce(&mut Received) -> io::Result<T>) -> io::Result<T> {
        let mut state = lock(&self.state);
        let received = state.received.as_mut().filter(|received| received.info == self.info);
        work(received.ok_or(ErrorKind::NotFound)?)
    }
}

impl ChunkSink for SimSink {
    fn have(&mut self) -> io::Result<ChunkSet> {
        let mut state = lock(&self.state);
        if state.dead {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let length = usize::try_from(self.info.length).map_err(|_| ErrorKind::FileTooLarge)?;
        let same = state.received.take_if(|received| received.info == self.info);
        let received = state.received.insert(same.unwrap_or_else(|| Received {
            info: self.info.clone(),
            bytes: vec![0; length],
            have: ChunkSet::default(),
            finished: false,
        }));
        Ok(received.have.clone())
    }

    fn write_chunk(&mut self, number: u64, bytes: &[u8]) -> io::Result<()> {
        let range = self.info.chunk_range(number).filter(|(_, length)| *length == bytes.len());
        let (offset, length) = range.ok_or(ErrorKind::InvalidData)?;
        self.with_received(|received| {
            let offset = usize::try_from(offset).expect("the whole file fits memory");
            received.bytes[offset..offset + length].copy_from_slice(bytes);
            received.have.insert(number);
            Ok(())
        })
    }

    fn finish(&mut self) -> io::Result<()> {
        self.with_received(|received| {
            if (0..received.info.chunk_count()).any(|number| !received.have.contains(number)) {
                return Err(ErrorKind::InvalidData.into());
            }
            let file = SnapshotFile { info: received.info.clone(), bytes: received.bytes.clone().into() };
            if let Err(error) = file.verify() {
                // Nobody knows which chunk is wrong: a later sink starts afresh.
                received.have = ChunkSet::default();
                return Err(error);
            }
            received.finished = true;
            Ok(())
        })
    }
}

/// The state is whole between two calls, whatever panicked meanwhile.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
