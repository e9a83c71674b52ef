//! Processes as `/proc` shows them, and signals to them.
//!
//! Invariant (own-process): a signal goes only to a process whose start time is the one recorded when it was
//! started. A pid alone may meanwhile belong to somebody else.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// How often a condition is looked at while waiting for it.
pub(crate) const POLL: Duration = Duration::from_millis(50);

/// One process, told apart from later ones with the same pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// Clock ticks between the machine's start and the process's.
    pub(crate) start_time: u64,
}

/// The fields of `/proc/PID/stat` that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    /// `R`, `S`, `T` (stopped), `Z` (dead, not collected by its parent), …
    state: char,
    /// User and system time of all threads, in clock ticks.
    cpu_ticks: u64,
    start_time: u64,
}

/// How [`Process::end`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was not running.
    AlreadyGone,
    /// It followed the SIGTERM.
    Terminated,
    /// It did not in time, and got a SIGKILL.
    Killed,
}

impl Process {
    /// The process that has `pid` at this moment.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let stat = Stat::read(pid).with_context(|| format!("no process has pid {pid}"))?;
        Ok(Self { pid, start_time: stat.start_time })
    }

    fn stat(self) -> Option<Stat> {
        let stat = Stat::read(self.pid).filter(|stat| stat.start_time == self.start_time)?;
        (!matches!(stat.state, 'Z' | 'X')).then_some(stat)
    }

    /// Whether it runs, or would if it were not frozen.
    pub(crate) fn is_running(self) -> bool {
        self.stat().is_some()
    }

    /// Whether a SIGSTOP froze it.
    pub(crate) fn is_frozen(self) -> bool {
        self.stat().is_some_and(|stat| stat.state == 'T')
    }

    /// CPU time used so far by all its threads; `None` if it does not run.
    pub(crate) fn cpu_time(self) -> Option<Duration> {
        let ticks = self.stat()?.cpu_ticks;
        Some(Duration::from_micros(ticks * 1_000_000 / rustix::param::clock_ticks_per_second()))
    }

    /// Sends a signal; `false` if the process does not run.
    ///
    /// # Errors
    /// The kernel refuses, say because the process belongs to another user.
    pub(crate) fn signal(self, signal: Signal) -> Result<bool> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let Some(pid) = pid.filter(|_| self.is_running()) else { return Ok(false) };
        match kill_process(pid, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error).with_context(|| format!("cannot send {signal:?} to pid {}", self.pid)),
        }
    }

    /// Waits until it is gone, at most for `limit`; says whether it is.
    pub(crate) fn wait_gone(self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while self.is_running() {
            if Instant::now() >= end {
                return false;
            }
            thread::sleep(POLL.min(limit));
        }
        true
    }

    /// SIGTERM, and SIGKILL if it still runs after `grace`.
    ///
    /// # Errors
    /// As [`signal`](Self::signal).
    pub(crate) fn end(self, grace: Duration) -> Result<Ending> {
        if !self.signal(Signal::TERM)? {
            return Ok(Ending::AlreadyGone);
        }
        // A frozen process acts on the SIGTERM only when it goes on.
        self.signal(Signal::CONT)?;
        if self.wait_gone(grace) {
            return Ok(Ending::Terminated);
        }
        self.kill()?;
        Ok(Ending::Killed)
    }

    /// SIGKILL, and waits until it is gone; `false` if it did not run.
    ///
    /// # Errors
    /// As [`signal`](Self::signal).
    pub(crate) fn kill(self) -> Result<bool> {
        let sent = self.signal(Signal::KILL)?;
        anyhow::ensure!(self.wait_gone(Duration::from_secs(5)), "pid {} survives SIGKILL for 5 s", self.pid);
        Ok(sent)
    }
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name, in parentheses, may itself hold blanks and parentheses: the fields start after the last one.
    fn parse(text: &str) -> Option<Self> {
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<_> = fields.split_whitespace().collect();
        // proc(5) counts from 1 and the name is its field 2, so that its field n is fields[n - 3].
        let number = |n: usize| fields.get(n - 3)?.parse::<u64>().ok();
        Some(Self {
            state: fields.first()?.chars().next()?,
            cpu_ticks: number(14)? + number(15)?,
            start_time: number(22)?,
        })
    }
}

#[cfg(test)]
mod tests;
