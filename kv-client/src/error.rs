//! Why a call failed, and above all: whether it may have had an effect.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use raft_net::frame::FrameError;
use raft_net::preamble::PreambleError;

use crate::command::{CommandError, Outcome};
use crate::protocol::{HeadError, HelloRefusal, PageError, Refusal};

/// Why a call failed. The three families call for three reactions.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Certainly not applied, now or later: the same call may be made again. All that a read fails with.
    #[error("not applied: {0}")]
    NotApplied(Cause),
    /// A write that may be applied, now or a little later, but never twice. Look before writing again.
    #[error("outcome unknown: {0}")]
    Unknown(Cause),
    /// The store answered, and the answer is no. Nothing changed.
    #[error("{0}")]
    Rejected(Rejection),
}

/// What kept a call from succeeding.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// No node served it in time. More time may help, or a look at the nodes.
    #[error("no answer within {deadline:?} ({attempts} attempts){}", Last(last.as_deref()))]
    DeadlinePassed {
        /// The time it had.
        deadline: Duration,
        /// How often it was tried.
        attempts: u32,
        /// What the last attempt failed with.
        last: Option<Box<NodeError>>,
    },
    /// A key, value or limit is out of bounds; the call has to change.
    #[error("{0}")]
    Invalid(CommandError),
    /// A node turned it down for good: trying again would not help.
    #[error("{0}")]
    Refused(Box<NodeError>),
    /// The session of the write was closed, or gave its place to another, and with it went the memory of whether
    /// the write was applied. Later calls open a new session.
    #[error("session {session} is gone, and with it the memory of whether the write was applied")]
    SessionLost {
        /// The session.
        session: u64,
    },
    /// The store came to an outcome that this command cannot have: a bug in one of the two programs.
    #[error("outcome {found:?} cannot be that of this command: versions of client and node do not match")]
    UnexpectedOutcome {
        /// What it was.
        found: Outcome,
    },
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
}

/// An answer that is no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The key was not as expected.
    #[error("condition failed: {}", Present(*mod_revision))]
    ConditionFailed {
        /// The key's present `mod_revision`; 0 if it is absent.
        mod_revision: u64,
    },
    /// The value is not the decimal text of an `i64`.
    #[error("the value is not a whole number of 64 bits in decimal digits")]
    NotANumber,
    /// The sum would not fit an `i64`.
    #[error("the sum would not fit 64 bits")]
    Overflow,
    /// The value would become too long.
    #[error("the value would have {length} bytes (at most {most})")]
    ValueTooLong {
        /// The length it would have, in bytes.
        length: u64,
        /// The longest allowed.
        most: u64,
    },
    /// There is no such lease.
    #[error("there is no lease {lease}")]
    LeaseUnknown {
        /// The lease asked for.
        lease: u64,
    },
}

/// What went wrong with one node.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{address}: {problem}")]
pub struct NodeError {
    /// The node's client address.
    pub address: String,
    /// What it is.
    pub problem: Problem,
}

/// What goes wrong with nodes.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// No stream to it.
    #[error("cannot connect: {0}")]
    Unreachable(Arc<io::Error>),
    /// No stream to it, or no hello from it, in time.
    #[error("no connection within {0:?}")]
    ConnectTimeout(Duration),
    /// It does not talk to this client.
    #[error("{0}")]
    HelloRefused(HelloRefusal),
    /// It belongs to another cluster than the first node that was reached.
    #[error("it belongs to cluster {found:032x} (expected {expected:032x}): remove it from the endpoints")]
    WrongCluster {
        /// Its cluster.
        found: u128,
        /// The cluster of the client.
        expected: u128,
    },
    /// The connection failed.
    #[error("connection lost: {0}")]
    Broken(Arc<io::Error>),
    /// It closed the connection.
    #[error("it closed the connection")]
    Closed,
    /// It sent nothing at all for the time of an attempt.
    #[error("no sign of life within {0:?}")]
    Silent(Duration),
    /// It did not answer this request in time.
    #[error("no reply within {0:?}")]
    NoReply(Duration),
    /// Something else answers there.
    #[error("not a node's client port: {0}")]
    Preamble(PreambleError),
    /// What it sent is not the protocol.
    #[error("a damaged stream: {0}")]
    Frame(FrameError),
    /// What it sent is not the protocol.
    #[error("versions of client and node do not match: {0}")]
    Head(HeadError),
    /// What it sent is not the protocol.
    #[error("{0}: versions of client and node do not match")]
    Page(PageError),
    /// Its status is not one.
    #[error("its status is not one: {0}")]
    Status(Arc<serde_json::Error>),
    /// It answered another question: a bug in one of the two programs.
    #[error("its answer is no {expected}: versions of client and node do not match")]
    Unexpected {
        /// The kind of answer that was expected.
        expected: &'static str,
    },
    /// It answered, and did not serve the request.
    #[error("{0}")]
    Refused(Refusal),
}

impl Problem {
    pub(crate) fn broken(error: io::Error) -> Self {
        Self::Broken(Arc::new(error))
    }

    /// Of a read that had to be filled.
    pub(crate) fn ended(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::broken(error),
        }
    }
}

/// A client needs at least one address to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no endpoint given (expected at least one host:port)")]
pub struct NoEndpoints;

/// Shows what the last attempt failed with.
struct Last<'a>(Option<&'a NodeError>);

impl std::fmt::Display for Last<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |last| write!(f, "; last, {last}"))
    }
}

/// Shows the revision that a key is at.
struct Present(u64);

impl std::fmt::Display for Present {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => f.write_str("the key is absent"),
            revision => write!(f, "the key was last changed at revision {revision}"),
        }
    }
}
