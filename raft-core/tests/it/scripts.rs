//! Interactions told as prose: each file in `tests/scripts` sets nodes up, says what happens to them, and shows what
//! they did.
//!
//! A paragraph whose lines begin with `> ` is played; below its commands stands what came of them. Every other
//! paragraph is for the reader. After a change that is meant, `RAFT_SCRIPTS=rewrite cargo test -p raft-core --all-features
//! --test it scripts` writes down what happens now; read the difference before you commit it.
//!
//! What is shown: each message as it is *sent*, what else is visible from outside, and every node that is not as it was
//! before (its log as the terms of its entries, those that it knows to be committed in front of the bar).

mod command;
mod diff;
mod show;
mod stage;

use std::fs;
use std::path::{Path, PathBuf};

use command::Command;
use stage::Stage;

/// The script with everything shown that happens when it is played.
fn played(text: &str) -> Result<String, String> {
    let mut stage = None;
    let mut played = Vec::new();
    for paragraph in text.trim_end().split("\n\n") {
        let commands: Vec<&str> = paragraph.lines().map_while(|line| line.strip_prefix("> ")).collect();
        if commands.is_empty() {
            played.push(paragraph.to_owned());
            continue;
        }
        let mut lines = Vec::new();
        for command in &commands {
            let parsed = Command::parse(command).ok_or_else(|| format!("cannot read {command:?}"))?;
            lines.extend(stage::perform(&mut stage, parsed).map_err(|why| format!("{command:?}: {why}"))?);
        }
        lines.extend(stage.as_mut().map(Stage::changes).unwrap_or_default());
        let commands = commands.into_iter().map(|command| format!("> {command}"));
        played.push(commands.chain(lines).collect::<Vec<_>>().join("\n"));
    }
    Ok(played.join("\n\n") + "\n")
}

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_script_comes_out_as_it_is_written() {
    let rewrite = std::env::var_os("RAFT_SCRIPTS").is_some_and(|value| value == "rewrite");
    let mut wrong = Vec::new();
    for path in scripts() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let written = fs::read_to_string(&path).unwrap();
        match played(&written) {
            Ok(now) if now == written => {}
            Ok(now) if rewrite => fs::write(&path, now).unwrap(),
            Ok(now) => {
                wrong.push(format!("{name} (- as written, + as it happens)\n{}", diff::of(&written, &now)))
            }
            Err(why) => wrong.push(format!("{name}: {why}")),
        }
    }
    assert!(wrong.is_empty(), "{}\n(RAFT_SCRIPTS=rewrite accepts what happens)", wrong.join("\n"));
}

#[test]
fn a_script_that_comes_out_otherwise_is_shown_with_the_lines_that_differ() {
    let written = "> 1 node\nnode 1: leader of term 9, log | 1\n\nThe end.\n";
    let now = played(written).unwrap();
    assert_eq!(now, "> 1 node\nnode 1: follower in term 1, log | 1, voters 1\n\nThe end.\n");
    let shown =
        "  > 1 node\n- node 1: leader of term 9, log | 1\n+ node 1: follower in term 1, log | 1, voters 1\n";
    assert_eq!(
        diff::of(written, &now).lines().take(3).map(|line| format!("{line}\n")).collect::<String>(),
        shown
    );
}

#[test]
fn a_script_that_cannot_be_played_says_where() {
    assert_eq!(played("> 3 nodes\n> node 1 sings").unwrap_err(), "cannot read \"node 1 sings\"");
    assert_eq!(played("> node 1 times out").unwrap_err(), "\"node 1 times out\": no nodes yet");
    assert_eq!(
        played("> 3 nodes\n> node 4 times out").unwrap_err(),
        "\"node 4 times out\": there is no node 4"
    );
    let down = "> 3 nodes\n> crash 2\n> node 2 times out";
    assert_eq!(played(down).unwrap_err(), "\"node 2 times out\": node 2 is down");
}
