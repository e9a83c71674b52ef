//! The client and `kvctl` against a fake cluster that misbehaves on demand.

#![allow(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

mod deadlines;
mod fake;
mod kvctl;
mod leader;
mod many_in_flight;
mod members;
mod reads;
mod sessions;
