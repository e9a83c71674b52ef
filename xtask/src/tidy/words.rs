//! Words that may not stand in the repository, and what to write instead.

use super::tokens::{self, Token};
use super::tree::{Rust, SourceFile};
use super::{Finding, Tree};

/// The one file that may be unsafe.
const UNSAFE_FILE: &str = "raft-log/src/map.rs";

/// Sequences of tokens that are banned for one reason.
struct BannedCode {
    scope: Scope,
    sequences: &'static [&'static [&'static str]],
    instead: &'static str,
}

/// Where a ban holds.
#[derive(Clone, Copy)]
enum Scope {
    /// In every file.
    Everywhere,
    /// Outside tests.
    Shipped,
    /// Outside tests, and in library code only.
    Library,
}

const BANNED_CODE: [BannedCode; 6] = [
    BannedCode {
        scope: Scope::Everywhere,
        sequences: &[&["todo", "!"], &["unimplemented", "!"]],
        instead: "write it, or leave it out",
    },
    BannedCode {
        scope: Scope::Everywhere,
        sequences: &[&["dbg", "!"]],
        instead: "remove it, or emit a tracing event",
    },
    BannedCode {
        scope: Scope::Everywhere,
        sequences: &[&["#", "[", "ignore"]],
        instead: "make it run, or remove it",
    },
    BannedCode {
        scope: Scope::Everywhere,
        sequences: &[&["#", "[", "should_panic"]],
        instead: "assert on the error that comes back",
    },
    BannedCode {
        scope: Scope::Shipped,
        sequences: &[&[".", "unwrap", "("]],
        instead: "return the error, or expect(\"why it holds\")",
    },
    BannedCode {
        scope: Scope::Library,
        sequences: &[&["println", "!"], &["eprintln", "!"], &["print", "!"], &["eprint", "!"]],
        instead: "return it, or emit a tracing event",
    },
];

/// Text that is banned in every file, as starts of words. In two pieces each, so that this file may hold them.
const BANNED_TEXT: [(&str, &str); 9] = [
    (concat!("/wo", "rk/"), "a path of one machine; write it relative to the workspace"),
    (concat!("/ro", "ot/"), "a path of one machine; write it relative to the workspace or to $HOME"),
    (concat!("/ho", "me/"), "a path of one machine; write it relative to the workspace or to $HOME"),
    (concat!("/tmp/tar", "get"), "a path of one machine; cargo metadata tells the target folder"),
    (concat!("index.crates", ".io"), "a registry's host; leave registries to cargo's own settings"),
    (concat!("static.crates", ".io"), "a registry's host; leave registries to cargo's own settings"),
    (concat!("py", "pi.org"), "a registry's host; leave registries to the tools' own settings"),
    (concat!("registry.npm", "js.org"), "a registry's host; leave registries to the tools' own settings"),
    (concat!("deb.deb", "ian.org"), "a registry's host; leave registries to the tools' own settings"),
];

/// Where Cargo.lock may say that a package comes from.
const PACKAGE_SOURCE: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

/// `unsafe` stands in one file.
pub(crate) fn unsafe_code(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, rust) in tree.rust().filter(|(file, _)| file.path != UNSAFE_FILE) {
        for line in tokens::find(&rust.tokens, &["unsafe"]) {
            findings.push(Finding::new(
                &file.path,
                line,
                format!("unsafe; find a safe way, or use {UNSAFE_FILE}"),
            ));
        }
    }
    findings
}

/// No stubs, leftovers, hidden panics, or output from libraries.
pub(crate) fn banned_code(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, rust) in tree.rust() {
        for banned in &BANNED_CODE {
            let tokens = banned.scope.tokens(file, rust);
            for words in banned.sequences {
                let what = format!("{}; {}", words.concat(), banned.instead);
                findings
                    .extend(tokens::find(tokens, words).map(|line| Finding::new(&file.path, line, &*what)));
            }
        }
    }
    findings
}

impl Scope {
    /// What of a file the ban holds for.
    fn tokens<'a>(self, file: &SourceFile, rust: &'a Rust) -> &'a [Token] {
        match self {
            Self::Everywhere => &rust.tokens,
            Self::Library if is_program(&file.path) => &[],
            Self::Shipped | Self::Library => &rust.shipped.tokens,
        }
    }
}

/// Whether a file belongs to a program, whose output is its purpose.
fn is_program(path: &str) -> bool {
    let inside = path.split_once('/').map_or(path, |(_, inside)| inside);
    path.starts_with("xtask/")
        || ["src/bin/", "src/main.rs", "examples/", "build.rs"]
            .iter()
            .any(|program| inside.starts_with(program))
}

/// The repository speaks of the project alone, not of a machine that somebody worked on.
pub(crate) fn banned_text(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.path != "Cargo.lock") {
        for (number, line) in file.text.lines().enumerate() {
            for (text, instead) in BANNED_TEXT.iter().filter(|(text, _)| starts_a_word(line, text)) {
                findings.push(Finding::new(&file.path, number + 1, format!("{text} is {instead}")));
            }
        }
    }
    findings
}

/// Whether `text` occurs in `line` other than within or behind a word.
fn starts_a_word(line: &str, text: &str) -> bool {
    let mut before = line.match_indices(text).map(|(at, _)| line[..at].chars().next_back());
    before.any(|before| before.is_none_or(|c| !c.is_alphanumeric() && !"._-~}".contains(c)))
}

/// Packages come from crates.io.
pub(crate) fn lock_file(tree: &Tree) -> Vec<Finding> {
    let Some(file) = tree.file("Cargo.lock") else {
        return vec![Finding::new("Cargo.lock", 1, "is missing; commit it, so that every build is the same")];
    };
    let sources = file.text.lines().enumerate().filter(|(_, line)| line.starts_with("source = "));
    let foreign = sources.filter(|(_, line)| *line != PACKAGE_SOURCE);
    let what = "a package from elsewhere; use one from crates.io";
    foreign.map(|(number, _)| Finding::new(&file.path, number + 1, what)).collect()
}
