//! What each request's answer has to be.

use std::sync::Arc;

use bytes::Bytes;

use crate::command::Outcome;
use crate::error::Problem;
use crate::protocol::{Answer, KeyValue, KeyValues, Member, NodeStatus};
use crate::store::{Page, Record, Versioned};

/// A tail shorter than this is copied out of the read buffer, so that keeping it keeps no more than itself.
const COPY_BELOW: usize = 4096;

/// The outcome of a command.
pub(super) fn outcome(answer: Answer, _tail: Bytes) -> Result<Outcome, Problem> {
    match answer {
        Answer::Applied(outcome) => Ok(outcome),
        _ => Err(Problem::Unexpected { expected: "outcome of a command" }),
    }
}

/// A value, if the key is there.
pub(super) fn value(answer: Answer, tail: Bytes) -> Result<Option<Versioned>, Problem> {
    match answer {
        Answer::Value(meta) => Ok(meta.map(|meta| Versioned { bytes: own(tail), meta })),
        _ => Err(Problem::Unexpected { expected: "value" }),
    }
}

/// A page of a range.
pub(super) fn page(answer: Answer, tail: Bytes) -> Result<Page, Problem> {
    let Answer::Page { count, more } = answer else { return Err(Problem::Unexpected { expected: "page" }) };
    let tail = own(tail);
    let record = |pair: KeyValue<'_>| Record {
        key: tail.slice_ref(pair.key),
        value: tail.slice_ref(pair.value),
        meta: pair.meta,
    };
    let records = KeyValues::new(&tail).map(|pair| pair.map(record)).collect::<Result<Vec<_>, _>>();
    let records = records.map_err(Problem::Page)?;
    if records.len() != count as usize || (more && records.is_empty()) {
        return Err(Problem::Unexpected { expected: "page with as many records as it says" });
    }
    Ok(Page { records, more })
}

/// How a node is.
pub(super) fn status(answer: Answer, tail: Bytes) -> Result<NodeStatus, Problem> {
    match answer {
        Answer::Status => NodeStatus::decode(&tail).map_err(|error| Problem::Status(Arc::new(error))),
        _ => Err(Problem::Unexpected { expected: "status" }),
    }
}

/// Who the members are.
pub(super) fn members(answer: Answer, _tail: Bytes) -> Result<Vec<Member>, Problem> {
    match answer {
        Answer::Members(members) => Ok(members),
        _ => Err(Problem::Unexpected { expected: "list of members" }),
    }
}

/// That the members have changed.
pub(super) fn members_changed(answer: Answer, _tail: Bytes) -> Result<(), Problem> {
    match answer {
        Answer::MembersChanged => Ok(()),
        _ => Err(Problem::Unexpected { expected: "word that the members have changed" }),
    }
}

/// Who leads now.
pub(super) fn leader_moved(answer: Answer, _tail: Bytes) -> Result<u64, Problem> {
    match answer {
        Answer::LeaderMoved { to } => Ok(to),
        _ => Err(Problem::Unexpected { expected: "word of who leads" }),
    }
}

fn own(tail: Bytes) -> Bytes {
    if tail.len() < COPY_BELOW { Bytes::copy_from_slice(&tail) } else { tail }
}
