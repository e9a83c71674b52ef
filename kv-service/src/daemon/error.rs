//! Why a node cannot start, or had to stop.

use std::io;
use std::path::PathBuf;

use raft_core::error::Halt;
use raft_core::types::{ClusterId, NodeId};
use tokio::task::JoinError;

use crate::advice::LEFT_BEHIND;
use crate::config::Address;
use crate::data_folder::FolderError;

/// Why a node cannot start. Its data folder is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A port is taken, or the address is not this machine's.
    #[error(
        "cannot listen on {address} ({port} port): {source}; {}", listen_advice(.source.kind(), port)
    )]
    Listen {
        /// Which port.
        port: &'static str,
        /// The address.
        address: Address,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The data folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The folder is another member's.
    #[error(
        "data folder {}: belongs to member {found} (node {id}), but this node was started as {expected}: start it \
         with --name {found}, or with the folder of {expected}",
        dir.display()
    )]
    OtherMember {
        /// The folder.
        dir: PathBuf,
        /// The node that the folder was made for.
        id: NodeId,
        /// Its name in the configuration.
        found: String,
        /// The name on the command line.
        expected: String,
    },
    /// The folder is of another cluster.
    #[error(
        "data folder {}: belongs to cluster {found}, but {peer} at {address}, listed in --join, belongs to cluster \
         {expected}: correct --dir or --join; or, for {LEFT_BEHIND}",
        dir.display()
    )]
    OtherCluster {
        /// The folder.
        dir: PathBuf,
        /// Its cluster.
        found: ClusterId,
        /// A listed node that answered.
        peer: String,
        /// Where.
        address: String,
        /// That node's cluster.
        expected: ClusterId,
    },
    /// Consensus cannot start.
    #[error("{}", chain(.0))]
    Node(#[from] raft_core::StartError),
    /// No threads.
    #[error("cannot start a thread: {0}; raise the limit of processes")]
    Threads(#[source] io::Error),
    /// No runtime.
    #[error("cannot start the runtime: {0}; raise the limit of open files")]
    Runtime(#[source] io::Error),
    /// No signals.
    #[error("cannot watch for signals: {0}")]
    Signals(#[source] io::Error),
}

/// Why a node ended otherwise than asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// It could not start.
    #[error("cannot start: {0}")]
    Start(#[source] Box<StartError>),
    /// Going on could contradict what it or others have promised.
    #[error("stopped: {0}")]
    Halted(#[from] Halt),
    /// A bug.
    #[error("stopped by a bug: {0}")]
    Panicked(#[from] JoinError),
    /// Nobody asked it to.
    #[error("stopped by itself, without a reason: a bug")]
    Ended,
}

impl From<StartError> for RunError {
    fn from(error: StartError) -> Self {
        Self::Start(Box::new(error))
    }
}

impl RunError {
    /// The end of a node that was not asked for.
    pub(super) fn of(ended: Result<Result<(), Halt>, JoinError>) -> Self {
        match ended {
            Ok(Ok(())) => Self::Ended,
            Ok(Err(halt)) => Self::Halted(halt),
            Err(panicked) => Self::Panicked(panicked),
        }
    }
}

fn listen_advice(kind: io::ErrorKind, port: &str) -> String {
    match kind {
        io::ErrorKind::AddrInUse => format!("stop whoever holds it, or choose another --{port}"),
        io::ErrorKind::AddrNotAvailable => format!(
            "this machine does not have that address: listen on one that it has, or on 0.0.0.0, with --{port}, \
             and if others reach it by another one, name that with --advertise-{port}"
        ),
        io::ErrorKind::PermissionDenied => format!(
            "this user may not listen there: choose a --{port} from 1024 on, or grant the right \
             (CAP_NET_BIND_SERVICE)"
        ),
        _ => format!("choose another --{port}"),
    }
}

/// An error and what is behind it.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_cannot_be_had_gets_the_advice_that_fits() {
        for (kind, advice) in [
            (io::ErrorKind::AddrInUse, "stop whoever holds it"),
            (io::ErrorKind::AddrNotAvailable, "--advertise-peer"),
            (io::ErrorKind::PermissionDenied, "CAP_NET_BIND_SERVICE"),
            (io::ErrorKind::InvalidInput, "choose another --peer"),
        ] {
            let address = "127.0.0.1:1".parse().unwrap();
            let text = StartError::Listen { port: "peer", address, source: kind.into() }.to_string();
            assert!(text.contains(advice) && text.contains("127.0.0.1:1"), "{text}");
        }
    }
}
