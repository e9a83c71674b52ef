//! The shell around the log in production: one thread writes; one reads, so that a cold read never delays a write;
//! one makes the next segment ahead, so that zeros do not either.
//!
//! While a sync runs, the next group gathers in the channel.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};

use raft_core::LogIndex;
use raft_core::fs::Fs;
use raft_core::storage::{LogEvent, LogStore, ReadRequest, Sink, Write};

use crate::error::WriteError;
use crate::log::SegmentedLog;
use crate::reader::LogReader;
use crate::spare::Preparer;
use crate::stats::LogStats;

const WRITER: &str = "raft-log";
const READER: &str = "raft-log-read";
const PREPARER: &str = "raft-log-ahead";

/// What the writing thread is told.
enum Command {
    Submit(Write),
    Compact(LogIndex),
}

/// A [`SegmentedLog`] with its threads. Events reach the sink from these threads.
///
/// The channels to them are unbounded for the compiler and bounded by the contract of
/// [`LogStore`]: the core admits a bounded number of bytes that are not durable, and asks for a bounded number of
/// reads at a time. (A bounded channel would make the caller wait for the disk, which `LogStore` forbids.)
///
/// Dropped, it finishes what is queued, marks the log as cleanly closed, and joins its threads.
#[derive(Debug)]
pub struct LogThread {
    /// `None` once dropping has begun.
    commands: Option<Sender<Command>>,
    reads: Option<Sender<ReadRequest>>,
    threads: Vec<JoinHandle<()>>,
    stats: Arc<LogStats>,
}

impl LogThread {
    /// Starts the threads.
    ///
    /// # Errors
    /// The operating system has no thread to give.
    pub fn spawn<F: Fs>(log: SegmentedLog<F>) -> io::Result<Self> {
        let (stats, reader, preparer, sink) = (log.stats(), log.reader(), log.preparer(), log.sink());
        let (commands, queue) = channel();
        let (reads, requests) = channel();
        let mut this = Self { commands: Some(commands), reads: Some(reads), threads: Vec::new(), stats };
        this.start(WRITER, sink.clone(), move || write_all(log, &queue))?;
        this.start(PREPARER, sink.clone(), move || prepare_all(&preparer))?;
        this.start(READER, sink.clone(), move || read_all(&reader, &requests, &sink))?;
        Ok(this)
    }

    /// Counters, readable from any thread.
    #[must_use]
    pub fn stats(&self) -> Arc<LogStats> {
        self.stats.clone()
    }

    /// Starts a thread whose panic becomes [`LogEvent::Failed`].
    fn start(
        &mut self,
        name: &str,
        sink: Sink<LogEvent>,
        body: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let thread = name.to_owned();
        let guarded = move || {
            // Nothing that the body owned is used after a panic.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(body)) {
                let message = panic_message(&*panic);
                tracing::error!(%thread, %message, "a thread of the log panicked");
                sink(LogEvent::Failed(Arc::new(WriteError::Panicked { thread, message })));
            }
        };
        self.threads.push(Builder::new().name(name.to_owned()).spawn(guarded)?);
        Ok(())
    }
}

impl LogStore for LogThread {
    fn submit(&mut self, write: Write) {
        send(self.commands.as_ref(), Command::Submit(write));
    }

    fn read(&mut self, request: ReadRequest) {
        send(self.reads.as_ref(), request);
    }

    fn compact(&mut self, through: LogIndex) {
        send(self.commands.as_ref(), Command::Compact(through));
    }
}

/// A thread that is gone has said why, by [`LogEvent::Failed`]; what is sent to it then has no answer, as the
/// contract of [`LogStore`] allows.
fn send<T>(channel: Option<&Sender<T>>, message: T) {
    if channel.is_some_and(|channel| channel.send(message).is_err()) {
        tracing::debug!("a command came after the log had stopped");
    }
}

impl Drop for LogThread {
    fn drop(&mut self) {
        self.commands = None;
        self.reads = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("the event sink of the log panicked");
            }
        }
    }
}

/// Group commit after group commit, until the channel is closed and empty.
fn write_all<F: Fs>(mut log: SegmentedLog<F>, queue: &Receiver<Command>) {
    while let Some(first) = next(&mut log, queue) {
        take(&mut log, first);
        loop {
            queue.try_iter().for_each(|command| take(&mut log, command));
            if !log.step() {
                break;
            }
        }
    }
    log.mark();
}

/// Waits for a command; `None` once the channel is closed. A log that is idle meanwhile is marked, once.
fn next<F: Fs>(log: &mut SegmentedLog<F>, queue: &Receiver<Command>) -> Option<Command> {
    if !log.is_marked() {
        match queue.recv_timeout(log.options().idle_mark) {
            Ok(command) => return Some(command),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => log.mark(),
        }
    }
    queue.recv().ok()
}

fn take<F: Fs>(log: &mut SegmentedLog<F>, command: Command) {
    match command {
        Command::Submit(write) => log.submit(write),
        Command::Compact(through) => log.compact(through),
    }
}

fn read_all<F: Fs>(reader: &LogReader<F>, requests: &Receiver<ReadRequest>, sink: &Sink<LogEvent>) {
    for request in requests {
        let answer = reader.read(request);
        sink(LogEvent::Read { id: request.id, answer });
    }
}

/// Segment after segment, each when it is wanted, until the log is closed.
fn prepare_all<F: Fs>(preparer: &Preparer<F>) {
    while preparer.wait() {
        while preparer.step() {}
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
