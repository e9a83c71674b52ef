//! The store with a thread of its own.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};

use raft_core::fs::StdFs;
use raft_core::snapshot::{SnapshotOffer, SnapshotView};
use raft_core::storage::{Sink, SnapshotEvent, SnapshotStore};
use raft_core::types::Term;
use raft_snapshot::{SnapshotFiles, SnapshotThread};

use crate::support::*;

/// A store on a thread over the real file system, in a folder of its own.
struct Threaded {
    store: Option<SnapshotThread<StdFs>>,
    events: Receiver<SnapshotEvent>,
    _folder: tempfile::TempDir,
}

impl Threaded {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (sender, events) = mpsc::channel();
        let sender = Mutex::new(sender);
        let sink: Sink<SnapshotEvent> = Arc::new(move |event| sender.lock().unwrap().send(event).unwrap());
        let (files, _) = SnapshotFiles::open(folder.path(), StdFs, SMALL, sink).unwrap();
        Self { store: Some(SnapshotThread::spawn(files).unwrap()), events, _folder: folder }
    }

    fn store(&mut self) -> &mut SnapshotThread<StdFs> {
        self.store.as_mut().unwrap()
    }

    fn create(&mut self, index: u64) -> SnapshotEvent {
        self.store().create(meta_at(index), Box::new(State(state_at(index))));
        self.events.recv().unwrap()
    }
}

/// A view that says when it is being written, then waits for leave.
struct Slow(Sender<()>, Mutex<Receiver<()>>);

impl Slow {
    fn new() -> (Self, Receiver<()>, Sender<()>) {
        let (begun, begins) = mpsc::channel();
        let (leave, left) = mpsc::channel();
        (Self(begun, Mutex::new(left)), begins, leave)
    }
}

impl SnapshotView for Slow {
    fn write_to(&self, out: &mut dyn io::Write) -> io::Result<()> {
        self.0.send(()).unwrap();
        self.1.lock().unwrap().recv().map_err(io::Error::other)?;
        out.write_all(&state_at(10))
    }
}

#[test]
fn a_thread_creates_publishes_and_answers_like_the_plain_store() {
    let mut threaded = Threaded::start();
    let mut plain = Store::open(&disk());
    let SnapshotEvent::Created(info) = threaded.create(10) else { panic!() };
    assert_eq!(info, plain.create(10));
    assert_eq!(threaded.store().latest(), Some(info.clone()));
    let mut state = Vec::new();
    threaded.store().reader().unwrap().1.read_to_end(&mut state).unwrap();
    assert_eq!(state, state_at(10));
    assert_eq!(threaded.store().source().unwrap().0, info);

    let (info, mut source) = elsewhere(20);
    let mut sink = threaded.store().sink(&SnapshotOffer { term: Term(3), info: info.clone() });
    transfer(&info, &mut *source, &mut *sink).unwrap();
    threaded.store().publish(info.clone());
    assert!(
        matches!(threaded.events.recv().unwrap(), SnapshotEvent::Published(published) if published == info)
    );
    assert_eq!(threaded.store().latest(), Some(info));
}

#[test]
fn a_panicking_view_fails_its_job_and_the_thread_goes_on() {
    struct Panicking;
    impl SnapshotView for Panicking {
        fn write_to(&self, _: &mut dyn io::Write) -> io::Result<()> {
            panic!("the view is confused")
        }
    }
    let mut threaded = Threaded::start();
    threaded.store().create(meta_at(10), Box::new(Panicking));
    assert!(reason(&threaded.events.recv().unwrap()).contains("confused"));
    assert!(matches!(threaded.create(20), SnapshotEvent::Created(_)));
}

#[test]
fn calls_do_not_wait_for_a_slow_view_and_those_beyond_the_bound_fail_at_once() {
    let mut threaded = Threaded::start();
    let (slow, begins, leave) = Slow::new();
    threaded.store().create(meta_at(10), Box::new(slow));
    begins.recv().unwrap();
    for index in (20..).step_by(10).take(17) {
        threaded.store().create(meta_at(index), Box::new(State(state_at(index))));
    }
    assert!(threaded.store().latest().is_none());
    assert!(reason(&threaded.events.recv().unwrap()).contains("16 jobs wait already"));
    leave.send(()).unwrap();
    for index in (10..).step_by(10).take(17) {
        let event = threaded.events.recv().unwrap();
        assert!(matches!(event, SnapshotEvent::Created(info) if info.meta.last.index.0 == index));
    }
}

#[test]
fn dropping_the_store_gives_up_what_runs_and_fails_what_waits() {
    struct Endless(Sender<()>);
    impl SnapshotView for Endless {
        fn write_to(&self, out: &mut dyn io::Write) -> io::Result<()> {
            self.0.send(()).unwrap();
            (0..100_000).try_for_each(|_| out.write_all(&[7; 1000]))
        }
    }
    let mut threaded = Threaded::start();
    let (begun, begins) = mpsc::channel();
    threaded.store().create(meta_at(10), Box::new(Endless(begun)));
    threaded.store().create(meta_at(20), Box::new(State(state_at(20))));
    begins.recv().unwrap();
    drop(threaded.store.take());
    let reasons: Vec<_> = threaded.events.iter().map(|event| reason(&event)).collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons.iter().all(|reason| reason.contains("the store is closing")), "{reasons:?}");
}

#[test]
fn jobs_queued_before_the_thread_started_are_done_first() {
    let (sender, events) = mpsc::channel();
    let sender = Mutex::new(sender);
    let sink: Sink<SnapshotEvent> = Arc::new(move |event| sender.lock().unwrap().send(event).unwrap());
    let (mut files, _) = SnapshotFiles::open(DIR.as_ref(), disk(), SMALL, sink).unwrap();
    files.create(meta_at(10), Box::new(State(state_at(10))));
    let mut store = SnapshotThread::spawn(files).unwrap();
    store.create(meta_at(20), Box::new(State(state_at(20))));
    for index in [10, 20] {
        assert!(
            matches!(events.recv().unwrap(), SnapshotEvent::Created(info) if info.meta.last.index.0 == index)
        );
    }
}
