//! One node of the local cluster: its addresses, its folder, its process.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::command;
use crate::ports::{self, Listener};
use crate::process::Process;

/// A node's peer port is its client port plus this.
pub(crate) const PEER_PORT_OFFSET: u16 = 100;

/// A longer log is looked at from its last so many bytes on.
const LOG_TAIL_BYTES: u64 = 64 * 1024;

/// One node, running or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) client_address: String,
    pub(crate) peer_address: String,
    /// Holds the data folder and the log file, nothing else.
    dir: PathBuf,
    pub(crate) data_dir: PathBuf,
    pub(crate) log_file: PathBuf,
    /// The process last started for it, unless it was stopped since.
    pub(crate) process: Option<Process>,
}

/// A process that this call of xtask started.
#[derive(Debug)]
pub(crate) struct Started {
    /// Its node's place in the cluster.
    pub(crate) position: usize,
    pub(crate) child: Child,
    /// Length of the log file before the start.
    pub(crate) log_start: u64,
}

impl Node {
    /// Node number `number` (from 1) below `dir`.
    pub(crate) fn plan(dir: &Path, number: u16, client_port: u16) -> Self {
        let name = format!("n{number}");
        let dir = dir.join(&name);
        Self {
            client_address: format!("127.0.0.1:{client_port}"),
            peer_address: format!("127.0.0.1:{}", client_port + PEER_PORT_OFFSET),
            data_dir: dir.join("data"),
            log_file: dir.join("kvd.log"),
            name,
            dir,
            process: None,
        }
    }

    /// Whether its process runs (or is frozen).
    pub(crate) fn is_running(&self) -> bool {
        self.running().is_some()
    }

    /// Its process, if that runs (or is frozen).
    pub(crate) fn running(&self) -> Option<Process> {
        self.process.filter(|process| process.is_running())
    }

    /// Starts its process in a group of its own, so that it outlives xtask and the terminal's Ctrl-C.
    ///
    /// # Errors
    /// The folder cannot be written or the program not be started.
    pub(crate) fn start(&mut self, position: usize, kvd: &Path, join: &str) -> Result<Started> {
        fs::create_dir_all(&self.dir).with_context(|| format!("cannot create {}", self.dir.display()))?;
        let open = OpenOptions::new().create(true).append(true).open(&self.log_file);
        let log = open.with_context(|| format!("cannot write {}", self.log_file.display()))?;
        let log_start = log.metadata().map_or(0, |metadata| metadata.len());
        let mut command = Command::new(kvd);
        command.args(["run", "--name", &self.name, "--dir"]).arg(&self.data_dir);
        command.args(["--client", &self.client_address, "--peer", &self.peer_address, "--join", join]);
        command::echo(&command);
        let output = log.try_clone().context("cannot share the log file")?;
        command.stdin(Stdio::null()).stdout(output).stderr(log).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot start {}", kvd.display()))?;
        self.process = Some(Process::of(child.id())?);
        Ok(Started { position, child, log_start })
    }

    /// The last lines of its log, at most `count`, of what was written from byte `start` on.
    pub(crate) fn last_log_lines(&self, start: u64, count: usize) -> Vec<String> {
        let text = read_tail(&self.log_file, start).unwrap_or_default();
        let lines: Vec<_> = String::from_utf8_lossy(&text).lines().map(str::to_owned).collect();
        lines[lines.len().saturating_sub(count)..].to_vec()
    }

    /// Which of its ports somebody else listens on, one sentence each.
    pub(crate) fn taken_ports(&self) -> Vec<String> {
        let own = self.process.map(|process| process.pid);
        let taken = |address: &String| {
            let port = address.rsplit_once(':')?.1.parse().ok()?;
            match ports::listener(port) {
                Listener::None => None,
                Listener::Known(holder) if Some(holder.pid) == own => None,
                Listener::Known(holder) => Some(format!("port {port} is held by {holder}")),
                Listener::Hidden => Some(format!("port {port} is held by a process of another user")),
            }
        };
        [&self.client_address, &self.peer_address].into_iter().filter_map(taken).collect()
    }

    /// Removes its data folder and its log file.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub(crate) fn remove_folder(&self) -> Result<()> {
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", self.dir.display()))
            }
            _ => Ok(()),
        }
    }
}

fn read_tail(path: &Path, start: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(start.max(length.saturating_sub(LOG_TAIL_BYTES))))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
