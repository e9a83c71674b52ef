//! Tests of the log as a whole, over simulated and real files.
#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed, as it should")]

mod bad_input;
mod conformance;
mod corruption;
mod crash;
mod golden;
mod group_commit;
mod hook_fs;
mod model;
mod support;
mod thread;
mod world;
