//! Starts nodes and waits for them; takes back what it started when that fails.
//!
//! Invariant (own-starts): a launch that fails stops the processes that it started, and no others.

use std::thread;
use std::time::{Duration, Instant};

use super::{Cluster, ClusterStatus, LOOK_LIMIT, Lock, STOP_LIMIT, Started};
use crate::command;
use crate::process::{Ending, POLL};

/// How long a launch may take.
const LIMIT: Duration = Duration::from_secs(20);
/// How many lines of a log a failure shows.
const LOG_LINES: usize = 15;

/// Nodes on their way up.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    cluster: &'a mut Cluster,
    lock: &'a Lock,
    started: Vec<Started>,
    end: Instant,
}

/// What a launch waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Every node answers and one leads.
    Leader,
    /// The node at this position answers.
    Answer(usize),
}

/// Why a launch failed.
#[derive(Debug)]
pub(crate) struct Failure {
    why: String,
    /// The nodes whose logs tell more.
    positions: Vec<usize>,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { why: format!("{error:#}"), positions: Vec::new() }
    }
}

impl<'a> Launch<'a> {
    /// Starts nothing yet; the time runs.
    pub(crate) fn new(cluster: &'a mut Cluster, lock: &'a Lock) -> Self {
        Self { cluster, lock, started: Vec::new(), end: Instant::now() + LIMIT }
    }

    /// The cluster with what was started so far.
    pub(crate) const fn cluster(&mut self) -> &mut Cluster {
        self.cluster
    }

    /// Starts the node at `position` and remembers its process in the state file.
    ///
    /// # Errors
    /// It cannot be started, or not be remembered: [`abort`](Self::abort).
    pub(crate) fn start(&mut self, position: usize) -> Result<(), Failure> {
        let (kvd, peers) = (self.cluster.bin_dir.join("kvd"), self.cluster.peers());
        let node = &mut self.cluster.nodes[position];
        self.started.push(node.start(position, &kvd, &peers)?);
        Ok(self.cluster.save(self.lock)?)
    }

    /// Waits until `goal` is reached.
    ///
    /// # Errors
    /// A process has ended, or the time is over: [`abort`](Self::abort).
    pub(crate) fn wait(&mut self, goal: Goal) -> Result<ClusterStatus, Failure> {
        let kvctl = self.cluster.kvctl();
        loop {
            self.find_ended(goal)?;
            let failure = match kvctl.status(LOOK_LIMIT) {
                Err(error) => Failure { positions: goal.positions(self.cluster), ..Failure::from(error) },
                Ok(status) => match goal.missing(self.cluster, &status) {
                    None => return self.find_strangers(goal).map(|()| status),
                    Some(failure) => failure,
                },
            };
            if Instant::now() >= self.end {
                let why = format!("after {} s: {}", LIMIT.as_secs(), failure.why);
                return Err(Failure { why, ..failure });
            }
            thread::sleep(POLL);
        }
    }

    /// Fails if a process that the goal needs has ended.
    fn find_ended(&mut self, goal: Goal) -> Result<(), Failure> {
        for started in &mut self.started {
            let ended = started.child.try_wait().map_err(anyhow::Error::from)?;
            if let Some(status) = ended {
                let why = format!("{} did not start: {status}", self.cluster.nodes[started.position].name);
                return Err(Failure { why, positions: vec![started.position] });
            }
        }
        let needed = goal.positions(self.cluster);
        match needed.into_iter().find(|&position| !self.cluster.nodes[position].is_running()) {
            None => Ok(()),
            Some(position) => {
                let why = format!("{}, which ran before, has ended", self.cluster.nodes[position].name);
                Err(Failure { why, positions: vec![position] })
            }
        }
    }

    /// Fails if it is not the cluster's own processes that answer, but others at the same ports.
    fn find_strangers(&self, goal: Goal) -> Result<(), Failure> {
        for position in goal.positions(self.cluster) {
            let node = &self.cluster.nodes[position];
            if let Some(taken) = node.taken_ports().first() {
                let why = format!("{} does not answer, somebody else does: {taken}", node.name);
                return Err(Failure { why, positions: vec![position] });
            }
        }
        Ok(())
    }

    /// Says why and what the nodes concerned said last; stops what this launch started.
    ///
    /// # Errors
    /// A process cannot be stopped, or the state file not be written.
    pub(crate) fn abort(self, failure: &Failure) -> anyhow::Result<()> {
        eprintln!("\nerror: {}", failure.why);
        for &position in &failure.positions {
            self.explain(position);
        }
        for mut started in self.started {
            let node = &mut self.cluster.nodes[started.position];
            if let Some(process) = node.process.take()
                && process.end(STOP_LIMIT)? != Ending::AlreadyGone
            {
                eprintln!("stopped {}", node.name);
            }
            started.child.wait()?;
        }
        self.cluster.save(self.lock)
    }

    fn explain(&self, position: usize) {
        let node = &self.cluster.nodes[position];
        for taken in node.taken_ports() {
            eprintln!("  {taken}: stop it, or choose other ports with --base-port");
        }
        let started = self.started.iter().find(|started| started.position == position);
        let lines = node.last_log_lines(started.map_or(0, |started| started.log_start), LOG_LINES);
        if lines.is_empty() {
            eprintln!("  it left nothing in {}", command::shown(&node.log_file));
            return;
        }
        eprintln!("  the last lines of {}:", command::shown(&node.log_file));
        for line in lines {
            eprintln!("    {line}");
        }
    }
}

impl Goal {
    /// The nodes that must run for it.
    fn positions(self, cluster: &Cluster) -> Vec<usize> {
        match self {
            Self::Leader => (0..cluster.nodes.len()).collect(),
            Self::Answer(position) => vec![position],
        }
    }

    /// What is missing; `None` when the goal is reached.
    pub(crate) fn missing(self, cluster: &Cluster, status: &ClusterStatus) -> Option<Failure> {
        let answers = |address: &str| status.of(address).is_some_and(|node| node.reachable);
        let needed = self.positions(cluster);
        let silent: Vec<_> =
            needed.iter().copied().filter(|&at| !answers(&cluster.nodes[at].client_address)).collect();
        if !silent.is_empty() {
            let reasons: Vec<_> = silent.iter().map(|&at| silence(cluster, status, at)).collect();
            return Some(Failure { why: reasons.join("; "), positions: silent });
        }
        let leaderless = self == Self::Leader && status.leader().is_none();
        leaderless.then(|| Failure { why: "every node answers, none leads".to_owned(), positions: needed })
    }
}

/// Why the node at `position` does not answer.
fn silence(cluster: &Cluster, status: &ClusterStatus, position: usize) -> String {
    let node = &cluster.nodes[position];
    if node.running().is_some_and(|process| process.is_frozen()) {
        return format!("{0} is frozen: cargo xtask cont {0}", node.name);
    }
    let error = status.of(&node.client_address).and_then(|answer| answer.error.as_deref());
    format!("{} does not answer: {}", node.name, error.unwrap_or("kvctl does not say why"))
}
