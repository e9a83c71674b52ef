//! Transports against one another and against peers that misbehave, in memory under paused time, and over
//! loopback.

#![allow(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

mod bad_input;
mod conformance;
mod greetings;
mod lanes;
mod members;
mod refusals;
mod snapshots;
mod support;
mod tcp;
