//! xtask as a program: exit status and output, on clusters of stand-ins and on workspaces made for one test.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;
mod tidy;
mod xtask;
