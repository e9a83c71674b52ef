//! Tests of the store from outside, over the simulated file system and the real one.

#![allow(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

mod conformance;
mod corruption;
mod crash;
mod golden;
mod lying_disk;
mod opening;
mod publication;
mod support;
mod syncs;
mod threads;
mod transfer;
