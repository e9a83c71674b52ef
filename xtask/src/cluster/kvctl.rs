//! The cluster as its own client program sees it.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::command;

/// `kvctl`, pointed at the nodes of one cluster.
#[derive(Clone, Debug)]
pub(crate) struct Kvctl {
    program: PathBuf,
    endpoints: String,
}

/// What `kvctl status -o json` prints.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct ClusterStatus {
    nodes: Vec<NodeStatus>,
}

/// One node's own account; all but the first fields are missing when it does not answer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NodeStatus {
    pub(crate) client_address: String,
    /// Whether it answered.
    pub(crate) reachable: bool,
    /// Why it did not.
    pub(crate) error: Option<String>,
    pub(crate) role: Option<String>,
    pub(crate) term: Option<u64>,
    pub(crate) commit_index: Option<u64>,
    pub(crate) applied_index: Option<u64>,
    pub(crate) log: LogStatus,
}

/// Counters of a node's log since its start.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LogStatus {
    /// Calls of fdatasync.
    pub(crate) syncs: u64,
    /// Entries written.
    pub(crate) entries: u64,
}

impl ClusterStatus {
    /// The node that leads: of those that say so, the one in the highest term.
    pub(crate) fn leader(&self) -> Option<&NodeStatus> {
        self.nodes.iter().filter(|node| node.reachable && node.leads()).max_by_key(|node| node.term)
    }

    /// What the node at this client address says.
    pub(crate) fn of(&self, client_address: &str) -> Option<&NodeStatus> {
        self.nodes.iter().find(|node| node.client_address == client_address)
    }
}

impl NodeStatus {
    /// Whether it takes itself for the leader.
    pub(crate) fn leads(&self) -> bool {
        self.role.as_deref() == Some("leader")
    }
}

impl Kvctl {
    /// `program` with these endpoints.
    pub(crate) const fn new(program: PathBuf, endpoints: String) -> Self {
        Self { program, endpoints }
    }

    /// A command for all endpoints; add the subcommand.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["-e", &self.endpoints]);
        command
    }

    /// Every node's state. A cluster without a leader is an answer, not an error.
    ///
    /// # Errors
    /// The program cannot be started, or prints something else.
    pub(crate) fn status(&self, timeout: Duration) -> Result<ClusterStatus> {
        let mut command = self.command();
        command.args(["-o", "json", "--timeout", &format!("{timeout:?}"), "status"]);
        let output = self.output(&mut command)?;
        let status = serde_json::from_slice(&output.stdout);
        status.with_context(|| format!("kvctl status ({}) said: {}", output.status, said(&output)))
    }

    /// Prints and runs a subcommand; gives what it wrote to stdout.
    ///
    /// # Errors
    /// The program cannot be started, or fails: then with what it said.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.command();
        command.args(arguments);
        command::echo(&command);
        let output = self.output(&mut command)?;
        if !output.status.success() {
            bail!("kvctl {}: {}: {}", arguments.join(" "), output.status, said(&output));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn output(&self, command: &mut Command) -> Result<Output> {
        command.output().with_context(|| format!("cannot start {}", self.program.display()))
    }
}

/// The words of a program that failed.
fn said(output: &Output) -> String {
    let text = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    String::from_utf8_lossy(text).trim().to_owned()
}
