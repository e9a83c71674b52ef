//! `lint`: rustfmt, clippy, rustdoc, each crate's features by themselves, and tidy.

use std::process::ExitCode;

use anyhow::Result;

use super::tidy;
use crate::command;
use crate::workspace::{self, Package};

pub(crate) fn run() -> Result<ExitCode> {
    command::run(&mut command::cargo(["fmt", "--all", "--check"]))?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
    command::run(&mut command::cargo(clippy))?;
    for package in workspace::metadata(workspace::root())?.packages {
        check_features(&package)?;
    }
    let mut doc = command::cargo(["doc", "--workspace", "--no-deps", "--all-features"]);
    command::run(doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    tidy::run(&tidy::Args::default())
}

/// Checks a crate that has features without any, and with each one alone: whoever picks a single crate picks so.
fn check_features(package: &Package) -> Result<()> {
    if package.features.is_empty() {
        return Ok(());
    }
    let check = ["check", "-p", &package.name, "--no-default-features"];
    command::run(&mut command::cargo(check))?;
    for feature in package.features.keys().filter(|feature| *feature != "default") {
        command::run(command::cargo(check).args(["--features", feature]))?;
    }
    Ok(())
}
