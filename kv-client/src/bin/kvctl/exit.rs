//! Errors as messages and exit codes.

use std::io;
use std::process::ExitCode;

use kv_client::protocol::{ChangeRefusal, MoveRefusal, Refusal};
use kv_client::{Cause, Error, Problem, Rejection};

use crate::member::{NoLeader, NoSuchMember, NotFinished};
use crate::signals::Stopped;

/// The part of the help that scripts are written by.
pub(crate) const HELP: &str = "\
Exit codes:
  0    done
  1    another error: a key or value over its limit, a file that cannot be read, a node of another cluster, ...
  2    wrong usage: arguments that cannot be understood
  3    the key, or the member, does not exist
  4    the condition failed, or neither members nor leader can be changed so; nothing changed
  5    unavailable; certainly not applied
  6    outcome unknown, applied once or not at all; or a change that goes on
  8    data damaged: nodes differ in the state they applied
  130  interrupted (SIGINT)
  143  terminated (SIGTERM)";

/// A key that had to be there.
#[derive(Debug, thiserror::Error)]
#[error("key \"{}\" does not exist", .0.escape_ascii())]
pub(crate) struct KeyNotFound(pub(crate) Vec<u8>);

/// Arguments that do not go together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) &'static str);

/// Why a command failed, as far as its exit code is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Other = 1,
    Usage = 2,
    KeyNotFound = 3,
    ConditionFailed = 4,
    Unavailable = 5,
    OutcomeUnknown = 6,
    Damaged = 8,
    Interrupted = 130,
    Terminated = 143,
}

impl From<Kind> for ExitCode {
    fn from(kind: Kind) -> Self {
        Self::from(kind as u8)
    }
}

/// Prints an error and what to do about it; gives the exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        // Whoever read the output has seen enough.
        return ExitCode::SUCCESS;
    }
    eprintln!("error: {error:#}");
    if let Some(hint) = hint(error) {
        eprintln!("hint: {hint}");
    }
    kind(error).into()
}

/// What kind of failure an error is, whatever context was put around it.
pub(crate) fn kind(error: &anyhow::Error) -> Kind {
    if find::<KeyNotFound>(error).is_some() || find::<NoSuchMember>(error).is_some() {
        return Kind::KeyNotFound;
    }
    if find::<Usage>(error).is_some() {
        return Kind::Usage;
    }
    if find::<NoLeader>(error).is_some() {
        return Kind::Unavailable;
    }
    if find::<NotFinished>(error).is_some() {
        return Kind::OutcomeUnknown;
    }
    match find::<Stopped>(error) {
        Some(Stopped::Interrupted) => return Kind::Interrupted,
        Some(Stopped::Terminated) => return Kind::Terminated,
        None => {}
    }
    match find::<Error>(error) {
        Some(Error::Rejected(Rejection::ConditionFailed { .. })) => Kind::ConditionFailed,
        Some(Error::NotApplied(Cause::Refused(refused))) => refused_kind(&refused.problem),
        Some(Error::NotApplied(Cause::Invalid(_)) | Error::Rejected(_)) | None => Kind::Other,
        Some(Error::NotApplied(_)) => Kind::Unavailable,
        Some(Error::Unknown(_)) => Kind::OutcomeUnknown,
        Some(_) => Kind::Other,
    }
}

/// An answer of the leader's that is no.
const fn refused_kind(problem: &Problem) -> Kind {
    match problem {
        Problem::Refused(Refusal::MembersUnchanged(refusal)) => match refusal {
            ChangeRefusal::InProgress { .. } | ChangeRefusal::TooEarly => Kind::Unavailable,
            ChangeRefusal::UnknownMember { .. } => Kind::KeyNotFound,
            _ => Kind::ConditionFailed,
        },
        Problem::Refused(Refusal::LeaderNotMoved(MoveRefusal::NotVoter { .. } | MoveRefusal::OnlyVoter)) => {
            Kind::ConditionFailed
        }
        _ => Kind::Unavailable,
    }
}

fn hint(error: &anyhow::Error) -> Option<&'static str> {
    if find::<NotFinished>(error).is_some() {
        return Some("kvctl member list shows how far it has got");
    }
    match find::<Error>(error)? {
        Error::NotApplied(Cause::Refused(refused)) => refused_hint(&refused.problem),
        Error::NotApplied(Cause::DeadlinePassed { .. }) => {
            Some("kvctl status shows which nodes answer and who leads; --timeout waits longer")
        }
        Error::Unknown(_) => {
            Some("look before you repeat it, with kvctl get or kvctl member list: it may be applied by now")
        }
        Error::Rejected(Rejection::ConditionFailed { .. }) => {
            Some("kvctl get KEY -o json shows the value and its mod_revision")
        }
        _ => None,
    }
}

const fn refused_hint(problem: &Problem) -> Option<&'static str> {
    match problem {
        Problem::Refused(Refusal::MembersUnchanged(ChangeRefusal::InProgress { .. })) => {
            Some("kvctl member list shows the change that is under way")
        }
        Problem::Refused(Refusal::MembersUnchanged(ChangeRefusal::QuorumAtRisk { .. })) => Some(
            "bring the silent ones back first, or remove or replace those that never will be; --force does it all the \
             same",
        ),
        _ => None,
    }
}

fn find<E: std::error::Error + 'static>(error: &anyhow::Error) -> Option<&E> {
    error.chain().find_map(|cause| cause.downcast_ref())
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    find::<io::Error>(error).is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
