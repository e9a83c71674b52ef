//! Commands that are printed before they run, so that anybody can run them by hand.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// A cargo command in the workspace root, without what an outer `cargo run` put into the environment: build
/// scripts that look at it would run again.
pub(crate) fn cargo<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    if let Some(target) = std::env::var_os("CARGO_TARGET_DIR")
        && let Ok(target) = std::path::absolute(target)
    {
        command.env("CARGO_TARGET_DIR", target);
    }
    command.current_dir(workspace::root()).args(arguments);
    command
}

/// Prints a command the way one would type it.
pub(crate) fn echo(command: &Command) {
    eprintln!("$ {}", typed(command));
}

/// Prints and runs a command.
///
/// # Errors
/// It cannot be started, or its exit status is not 0.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    echo(command);
    let status = command.status().with_context(|| format!("cannot start `{}`", typed(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", typed(command));
    }
    Ok(())
}

/// Builds an example of raft-core in release and runs it where the caller stands; its exit status becomes this one's.
///
/// # Errors
/// It cannot be built or started, or was killed.
pub(crate) fn run_example(name: &str, features: &str, arguments: &[OsString]) -> Result<ExitCode> {
    run(&mut cargo(["build", "--release", "-p", "raft-core", "--features", features, "--example", name]))?;
    let metadata = workspace::metadata(workspace::root())?;
    let mut example = Command::new(metadata.target_directory.join("release/examples").join(name));
    example.args(arguments);
    echo(&example);
    let status = example.status().with_context(|| format!("cannot start `{}`", typed(&example)))?;
    let Some(code) = status.code() else { bail!("`{}` was killed: {status}", typed(&example)) };
    Ok(u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Environment (but for the target folder), program and arguments, quoted for a shell.
fn typed(command: &Command) -> String {
    let mut words = Vec::new();
    for (name, value) in command.get_envs() {
        if let Some(value) = value
            && name != "CARGO_TARGET_DIR"
        {
            words.push(format!("{}={}", name.to_string_lossy(), quoted(&value.to_string_lossy())));
        }
    }
    words.push(quoted(&program(command.get_program())));
    words.extend(command.get_args().map(|word| quoted(&word.to_string_lossy())));
    words.join(" ")
}

/// `cargo` for the full path that cargo hands down, else the path as short as it can be shown.
fn program(path: &OsStr) -> String {
    let path = Path::new(path);
    let cargo = path.file_name().is_some_and(|name| name == "cargo");
    if cargo { "cargo".to_owned() } else { shown(path) }
}

/// A word as a POSIX shell reads it back.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=,@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A path relative to the current folder if it lies below it.
pub(crate) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests;
