//! Each rule of tidy fails on a violation that is seeded into a small workspace, and names itself.

use std::collections::BTreeMap;
use std::fs;

use tempfile::TempDir;

use crate::xtask::{Outcome, xtask};

/// A workspace as a map from path to text.
type Files = BTreeMap<String, String>;

/// The crates and what each depends on.
const CRATES: [(&str, &str); 7] = [
    ("raft-core", "bytes = \"1\"\ntokio = { version = \"1\", optional = true }"),
    ("raft-log", "raft-core.workspace = true"),
    ("raft-net", "raft-core.workspace = true"),
    ("raft-snapshot", "raft-core.workspace = true"),
    ("kv-client", "raft-net = { workspace = true, default-features = false }"),
    ("kv-service", "kv-client.workspace = true\nraft-log.workspace = true\nraft-net.workspace = true"),
    ("xtask", "anyhow = \"1\""),
];

const FEATURES: &str = "[features]\nnode = [\"dep:tokio\"]\ntesting = []";

fn manifest(name: &str, dependencies: &str, features: &str) -> String {
    format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n{dependencies}\n\n{features}\n"
    )
}

/// A workspace with which every rule agrees, small but with something for each rule to look at.
fn clean() -> Files {
    let mut files = Files::new();
    let mut put = |path: &str, text: &str| files.insert(path.to_owned(), text.to_owned());
    let names: Vec<_> = CRATES.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let paths = CRATES.iter().map(|(name, _)| match *name {
        "raft-net" => "raft-net = { path = \"raft-net\", default-features = false }\n".to_owned(),
        name => format!("{name} = {{ path = \"{name}\" }}\n"),
    });
    let root = format!(
        "[workspace]\nresolver = \"3\"\nmembers = [{}]\n\n[workspace.dependencies]\n{}",
        names.join(", "),
        paths.collect::<String>()
    );
    put("Cargo.toml", &root);
    put("Cargo.lock", "version = 4\n");
    let mut architecture = "# Map\n".to_owned();
    for (name, dependencies) in CRATES {
        let features = if name == "raft-core" { FEATURES } else { "" };
        put(&format!("{name}/Cargo.toml"), &manifest(name, dependencies, features));
        put(&format!("{name}/src/lib.rs"), "//! A crate.\n");
        architecture += &format!("## {name}\n");
        if name == "raft-core" {
            architecture += "`types`, `raft`, node/ and testing.rs\n";
        }
    }
    put("raft-core/src/lib.rs", "//! The core.\npub mod types;\npub use types::Term;\n");
    put(
        "raft-core/src/types.rs",
        "//! Words.\nuse std::time::Duration;\n/// See tokio.\npub struct Term(pub u64);\n",
    );
    put("raft-core/src/raft.rs", "//! One node. Not a HashMap.\nuse crate::Term;\n");
    put("raft-core/src/raft/tests.rs", "use std::collections::HashMap;\nfn f() { None.unwrap() }\n");
    put("raft-core/src/node/mod.rs", "//! The shell.\nuse std::thread;\nuse crate::raft::Raft;\n");
    put("raft-core/src/testing.rs", "//! The world.\nuse std::collections::HashMap;\n");
    put("raft-log/src/map.rs", "//! The map.\nfn f() { unsafe { } }\n");
    put("raft-log/tests/it/main.rs", &"fn long() {}\n".repeat(700));
    put("kv-client/src/bin/kvctl.rs", "//! A program.\nfn main() { println!(\"unwrap()\") }\n");
    put("ARCHITECTURE.md", &architecture.replace("## raft-log\n", "## raft-log\n`map`\n"));
    put("README.md", "# Read\n");
    put("CONTRIBUTING.md", "# Contribute\n");
    put("CHANGELOG.md", "# Changes\n\n## Unreleased\n");
    put("docs/adr/README.md", "* 0001-blocks.md\n");
    put("docs/adr/0001-blocks.md", "# Blocks\n");
    let architecture = files["ARCHITECTURE.md"].replace("## kv-client\n", "## kv-client\n`kvctl`\n");
    files.insert("ARCHITECTURE.md".to_owned(), architecture);
    files
}

/// One violation: the rule that must find it, the file it is reported at, and the edit that makes it.
struct Seed {
    rule: &'static str,
    at: &'static str,
    edit: fn(&mut Files),
}

fn append(files: &mut Files, path: &str, text: &str) {
    files.entry(path.to_owned()).or_default().push_str(text);
}

fn depend(files: &mut Files, on: &str, dependency: &str) {
    let path = format!("{on}/Cargo.toml");
    let text = files[&path].replace("[dependencies]\n", &format!("[dependencies]\n{dependency}\n"));
    files.insert(path, text);
}

fn replace(files: &mut Files, path: &str, old: &str, new: &str) {
    let text = files[path].replace(old, new);
    assert_ne!(text, files[path], "the seed changes nothing");
    files.insert(path.to_owned(), text);
}

const SEEDS: &[Seed] = &[
    Seed {
        rule: "workspace-members",
        at: "Cargo.toml:1",
        edit: |files| {
            replace(files, "Cargo.toml", "\"xtask\"]", "\"xtask\", \"utils\"]");
            append(files, "utils/Cargo.toml", &manifest("utils", "", ""));
            append(files, "utils/src/lib.rs", "//! An eighth crate.\n");
            append(files, "ARCHITECTURE.md", "## utils\n");
        },
    },
    Seed {
        rule: "workspace-members",
        at: "Cargo.toml:1",
        edit: |files| replace(files, "Cargo.toml", ", \"xtask\"]", "]"),
    },
    Seed {
        rule: "crate-edges",
        at: "raft-log/Cargo.toml:7",
        edit: |files| depend(files, "raft-log", "raft-net.workspace = true"),
    },
    Seed {
        rule: "crate-edges",
        at: "kv-client/Cargo.toml:7",
        edit: |files| depend(files, "kv-client", "raft-core.workspace = true"),
    },
    Seed {
        rule: "crate-edges",
        at: "kv-client/Cargo.toml:7",
        edit: |files| {
            let path = "kv-client/Cargo.toml";
            replace(files, path, "default-features = false", "features = [\"transport\"]");
            append(files, "raft-net/Cargo.toml", "[features]\ntransport = []\n");
        },
    },
    Seed {
        rule: "crate-edges",
        at: "xtask/Cargo.toml:7",
        edit: |files| depend(files, "xtask", "kv-client.workspace = true"),
    },
    Seed {
        rule: "core-dependencies",
        at: "raft-core/Cargo.toml:7",
        edit: |files| depend(files, "raft-core", "rand = \"0.10\""),
    },
    Seed {
        rule: "core-features",
        at: "raft-core/Cargo.toml:1",
        edit: |files| replace(files, "raft-core/Cargo.toml", "testing = []", "testing = [\"node\"]"),
    },
    Seed {
        rule: "core-features",
        at: "raft-core/Cargo.toml:1",
        edit: |files| append(files, "raft-core/Cargo.toml", "default = [\"node\"]\n"),
    },
    Seed {
        rule: "core-purity",
        at: "raft-core/src/raft.rs:3",
        edit: |files| append(files, "raft-core/src/raft.rs", "use std::{io, fs};\n"),
    },
    Seed {
        rule: "core-purity",
        at: "raft-core/src/raft.rs:3",
        edit: |files| {
            append(files, "raft-core/src/raft.rs", "fn f() { let t = std::time::Instant::now(); }\n")
        },
    },
    Seed {
        rule: "core-purity",
        at: "raft-core/src/raft.rs:3",
        edit: |files| append(files, "raft-core/src/raft.rs", "async fn f() {}\n"),
    },
    Seed {
        rule: "core-purity",
        at: "raft-core/src/types.rs:5",
        edit: |files| {
            append(files, "raft-core/src/types.rs", "type Votes = std::collections::HashMap<u64, bool>;\n")
        },
    },
    Seed {
        rule: "core-strata",
        at: "raft-core/src/types.rs:5",
        edit: |files| append(files, "raft-core/src/types.rs", "use crate::raft::Raft;\n"),
    },
    Seed {
        rule: "core-strata",
        at: "raft-core/src/raft/election.rs:2",
        edit: |files| {
            append(files, "raft-core/src/raft/election.rs", "//! Votes.\nuse super::super::node::Handle;\n")
        },
    },
    Seed {
        rule: "core-strata",
        at: "raft-core/src/types.rs:5",
        edit: |files| {
            append(files, "raft-core/src/lib.rs", "pub use raft::Raft;\n");
            append(files, "raft-core/src/types.rs", "type Core = crate::Raft;\n");
        },
    },
    Seed {
        rule: "core-strata",
        at: "raft-core/src/novelty.rs:1",
        edit: |files| {
            append(files, "raft-core/src/novelty.rs", "//! Unheard of.\n");
            replace(files, "ARCHITECTURE.md", "`types`", "`types`, `novelty`");
        },
    },
    Seed {
        rule: "lexes",
        at: "raft-log/src/lib.rs:1",
        edit: |files| append(files, "raft-log/src/lib.rs", "fn f( {\n"),
    },
    Seed {
        rule: "file-length",
        at: "raft-log/src/lib.rs:601",
        edit: |files| append(files, "raft-log/src/lib.rs", &"\n".repeat(600)),
    },
    Seed {
        rule: "function-length",
        at: "raft-log/src/lib.rs:3",
        edit: |files| append(files, "raft-log/src/lib.rs", &format!("\nfn f() {{{}}}\n", "\n".repeat(70))),
    },
    Seed {
        rule: "module-doc",
        at: "raft-log/src/map.rs:1",
        edit: |files| replace(files, "raft-log/src/map.rs", "//! The map.\n", "// The map.\n"),
    },
    Seed {
        rule: "unsafe",
        at: "raft-log/src/lib.rs:2",
        edit: |files| append(files, "raft-log/src/lib.rs", "unsafe fn f() {}\n"),
    },
    Seed {
        rule: "banned-code",
        at: "raft-log/src/lib.rs:3",
        edit: |files| append(files, "raft-log/src/lib.rs", "fn f() { a\n  .unwrap(); }\n"),
    },
    Seed {
        rule: "banned-code",
        at: "raft-log/tests/it/main.rs:701",
        edit: |files| append(files, "raft-log/tests/it/main.rs", "#[test] #[ignore = \"slow\"] fn f() {}\n"),
    },
    Seed {
        rule: "banned-code",
        at: "raft-log/src/lib.rs:2",
        edit: |files| append(files, "raft-log/src/lib.rs", "fn f() { println!() }\n"),
    },
    Seed {
        rule: "banned-code",
        at: "kv-client/src/bin/kvctl.rs:3",
        edit: |files| append(files, "kv-client/src/bin/kvctl.rs", "fn f() { todo!() }\n"),
    },
    Seed {
        rule: "banned-text",
        at: "README.md:2",
        edit: |files| append(files, "README.md", concat!("cd /ro", "ot/project\n")),
    },
    Seed {
        rule: "lock-file",
        at: "Cargo.lock:2",
        edit: |files| append(files, "Cargo.lock", "source = \"git+https://example.com/a\"\n"),
    },
    Seed {
        rule: "changelog",
        at: "CHANGELOG.md:1",
        edit: |files| replace(files, "CHANGELOG.md", "Unreleased", "0.1.0"),
    },
    Seed {
        rule: "adr",
        at: "docs/adr/two.md:1",
        edit: |files| {
            append(files, "docs/adr/two.md", "# Two\n");
            append(files, "docs/adr/README.md", "* two.md\n");
        },
    },
    Seed {
        rule: "adr",
        at: "docs/adr/0002-two.md:1",
        edit: |files| append(files, "docs/adr/0002-two.md", "# Two\n"),
    },
    Seed {
        rule: "documents",
        at: "CONTRIBUTING.md:1",
        edit: |files| {
            files.remove("CONTRIBUTING.md");
        },
    },
    Seed {
        rule: "architecture",
        at: "raft-log/src/recovery.rs:1",
        edit: |files| append(files, "raft-log/src/recovery.rs", "//! After a crash.\n"),
    },
    Seed {
        rule: "architecture",
        at: "ARCHITECTURE.md:1",
        edit: |files| replace(files, "ARCHITECTURE.md", "## raft-snapshot\n", ""),
    },
    Seed {
        rule: "links",
        at: "docs/adr/README.md:1",
        edit: |files| replace(files, "docs/adr/README.md", "\n", " [gone](../gone.md)\n"),
    },
];

/// Runs tidy over a workspace with these files.
fn tidy(files: &Files) -> Outcome {
    let folder: TempDir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    xtask(["tidy", "--root", folder.path().to_str().unwrap()])
}

#[test]
fn a_clean_workspace_passes() {
    tidy(&clean()).exits_with(0).says(&["rules hold"]);
}

#[test]
fn each_seeded_violation_is_found_where_it_is_and_by_its_rule_alone() {
    for seed in SEEDS {
        let mut files = clean();
        (seed.edit)(&mut files);
        let outcome = tidy(&files).exits_with(1);
        let expected = format!("{}: {}: ", seed.at, seed.rule);
        let lines: Vec<_> = outcome.stdout.lines().collect();
        assert!(
            lines.len() == 1 && lines[0].starts_with(&expected),
            "expected {expected:?} alone, found {outcome:#?}"
        );
    }
}

#[test]
fn every_rule_has_a_seeded_violation() {
    let rules = include_str!("../../src/tidy.rs").lines().filter_map(|line| {
        let (_, rest) = line.trim().split_once("Rule { name: \"")?;
        rest.split('"').next()
    });
    let rules: Vec<_> = rules.collect();
    assert!(rules.len() > 10, "{rules:?}");
    for rule in rules {
        assert!(SEEDS.iter().any(|seed| seed.rule == rule), "no seeded violation of {rule}");
    }
}
