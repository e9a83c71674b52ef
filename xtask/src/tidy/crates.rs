//! Which crates there are, and which of them may see which.

use std::collections::BTreeSet;

use super::{Finding, Tree};
use crate::workspace::Package;

/// Each crate of the workspace, and those of ours that it may depend on (but for its tests).
const EDGES: [(&str, &[&str]); 7] = [
    ("raft-core", &[]),
    ("raft-log", &["raft-core"]),
    ("raft-net", &["raft-core"]),
    ("raft-snapshot", &["raft-core"]),
    ("kv-client", &["raft-net"]),
    ("kv-service", &["raft-core", "raft-log", "raft-net", "raft-snapshot", "kv-client"]),
    ("xtask", &[]),
];

/// What raft-core may need when no feature is on.
const CORE_DEPENDENCIES: [&str; 4] = ["bytes", "crc32fast", "smallvec", "thiserror"];

/// The workspace has these crates and no other.
pub(crate) fn workspace_members(tree: &Tree) -> Vec<Finding> {
    let expected: BTreeSet<_> = EDGES.iter().map(|(name, _)| *name).collect();
    let found: BTreeSet<_> = tree.packages.iter().map(|package| package.name.as_str()).collect();
    let mut findings = Vec::new();
    for name in expected.difference(&found) {
        findings.push(Finding::new(
            "Cargo.toml",
            1,
            format!("crate {name} is missing; a decision, not an edit"),
        ));
    }
    for name in found.difference(&expected) {
        let what = format!("{name} is an eighth crate; make it a module of one of the seven");
        findings.push(Finding::new("Cargo.toml", 1, what));
    }
    for package in &tree.packages {
        if tree.manifest(package) != format!("{}/Cargo.toml", package.name) {
            let what = format!("crate {0} lies in another folder; move it to {0}/", package.name);
            findings.push(Finding::new(&tree.manifest(package), 1, what));
        }
    }
    findings
}

/// A crate depends only on those of ours that it may see; kv-client sees only the framing of raft-net.
pub(crate) fn crate_edges(tree: &Tree) -> Vec<Finding> {
    let ours = |name: &str| EDGES.iter().any(|(ours, _)| *ours == name);
    let mut findings = Vec::new();
    for package in &tree.packages {
        let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == package.name) else { continue };
        for dependency in package.dependencies.iter().filter(|dependency| !dependency.is_dev()) {
            let name = dependency.name.as_str();
            let whole_net =
                dependency.uses_default_features || dependency.features.iter().any(|f| f == "transport");
            if ours(name) && !allowed.contains(&name) {
                let what = format!("{} must not see {name}; put what both need into raft-core", package.name);
                findings.push(at_dependency(tree, package, name, what));
            } else if package.name == "kv-client" && name == "raft-net" && whole_net {
                let what = "kv-client sees the framing of raft-net only; turn its default features off";
                findings.push(at_dependency(tree, package, name, what));
            }
        }
    }
    findings
}

/// raft-core alone is small: what it always needs is in [`CORE_DEPENDENCIES`].
pub(crate) fn core_dependencies(tree: &Tree) -> Vec<Finding> {
    let Some(core) = tree.package("raft-core") else { return Vec::new() };
    let always = core.dependencies.iter().filter(|dependency| !dependency.is_dev() && !dependency.optional);
    let foreign = always.filter(|dependency| !CORE_DEPENDENCIES.contains(&dependency.name.as_str()));
    let finding = |name: &str| {
        let what = format!("raft-core always needs {name}; make it optional, behind a feature");
        at_dependency(tree, core, name, what)
    };
    foreign.map(|dependency| finding(&dependency.name)).collect()
}

/// raft-core has no default features, and `testing` brings no runtime.
pub(crate) fn core_features(tree: &Tree) -> Vec<Finding> {
    let Some(core) = tree.package("raft-core") else { return Vec::new() };
    let manifest = tree.manifest(core);
    let mut findings = Vec::new();
    if !enabled(core, "default").is_empty() {
        findings.push(Finding::new(&manifest, 1, "raft-core has default features; let users choose them"));
    }
    let testing = enabled(core, "testing");
    if let Some(runtime) = ["node", "tokio", "dep:tokio"].iter().find(|runtime| testing.contains(*runtime)) {
        let what = format!("feature testing turns on {runtime}; the simulator runs without a runtime");
        findings.push(Finding::new(&manifest, 1, what));
    }
    findings
}

/// All that a feature turns on, directly or not.
fn enabled<'a>(package: &'a Package, feature: &'a str) -> BTreeSet<&'a str> {
    let mut enabled = BTreeSet::new();
    let mut open = vec![feature];
    while let Some(next) = open.pop() {
        for name in package.features.get(next).into_iter().flatten() {
            if enabled.insert(name.as_str()) {
                open.push(name);
            }
        }
    }
    enabled
}

fn at_dependency(tree: &Tree, package: &Package, dependency: &str, what: impl Into<String>) -> Finding {
    let path = tree.manifest(package);
    let names =
        |line: &str| line.strip_prefix(dependency).is_some_and(|rest| rest.starts_with(['.', ' ', '=']));
    let line = tree.file(&path).and_then(|file| file.text.lines().position(names)).map_or(1, |at| at + 1);
    Finding::new(&path, line, what)
}
