//! The strata of raft-core: a module names modules of its own stratum or of lower ones.

use std::collections::BTreeMap;

use super::tokens::NamePath;
use super::tree::SourceFile;
use super::{Finding, Tree};

/// The modules of raft-core from the bottom up. Private modules of a module belong to it.
const STRATA: [&[&str]; 5] = [
    &[
        "block",
        "configuration",
        "fingerprint",
        "message",
        "mutants",
        "quorum",
        "rng",
        "snapshot",
        "time",
        "types",
    ],
    &[
        "cache",
        "configurations",
        "damage",
        "effect",
        "error",
        "fs",
        "forwarded",
        "held",
        "input",
        "options",
        "progress",
        "reads",
        "state_machine",
        "storage",
        "term_runs",
        "transport",
        "uncommitted",
        "votes",
        "writes",
    ],
    &["raft"],
    &["driver"],
    &["node", "testing"],
];

const SRC: &str = "raft-core/src/";

/// Every module of raft-core is in the table, and none looks up.
pub(crate) fn core_strata(tree: &Tree) -> Vec<Finding> {
    let exports = root_exports(tree);
    let mut findings = Vec::new();
    for (file, rust) in tree.rust() {
        let Some(module) = module(file).filter(|module| *module != "lib") else { continue };
        let Some(own) = stratum(module) else {
            let what =
                format!("module {module} has no stratum; add it to STRATA in xtask/src/tidy/strata.rs");
            findings.push(Finding::new(&file.path, 1, what));
            continue;
        };
        for path in &rust.shipped.paths {
            let Some(name) = root_name(file, path) else { continue };
            let target = exports.get(name).map_or(name, String::as_str);
            if let Some(other) = stratum(target).filter(|other| *other > own) {
                let what = format!(
                    "{module} (stratum {own}) names {target} (stratum {other}); pass a value down, or move the \
                     shared type to the lower stratum"
                );
                findings.push(Finding::new(&file.path, path.line, what));
            }
        }
    }
    findings
}

/// The top-level module that a file belongs to.
fn module(file: &SourceFile) -> Option<&str> {
    let inside = file.path.strip_prefix(SRC)?;
    inside.split('/').next().map(|first| first.trim_end_matches(".rs"))
}

fn stratum(module: &str) -> Option<usize> {
    STRATA.iter().position(|modules| modules.contains(&module))
}

/// The name that a path looks up in the crate's root: after `crate`, or after as many `super` as lead there.
fn root_name<'a>(file: &SourceFile, path: &'a NamePath) -> Option<&'a str> {
    let depth = depth(file);
    let supers = path.segments.iter().take_while(|segment| *segment == "super").count();
    let skip = if path.segments.first()? == "crate" { 1 } else { supers };
    let reaches_root = supers == depth || path.segments.first()? == "crate";
    if reaches_root { path.segments.get(skip).map(String::as_str) } else { None }
}

/// How many modules a file lies below the root.
fn depth(file: &SourceFile) -> usize {
    let inside = file.path.strip_prefix(SRC).unwrap_or(&file.path);
    inside.trim_end_matches(".rs").trim_end_matches("/mod").split('/').count()
}

/// Names that lib.rs exports from modules: `crate::Block` is in `block`.
fn root_exports(tree: &Tree) -> BTreeMap<String, String> {
    let library = tree.file(&format!("{SRC}lib.rs")).and_then(|file| file.rust.as_ref());
    let paths = library.into_iter().flat_map(|rust| &rust.shipped.paths);
    let export = |path: &NamePath| {
        let names: Vec<_> = path.segments.iter().filter(|name| *name != "crate" && *name != "self").collect();
        let (module, name) = (names.first()?, names.last()?);
        (names.len() > 1 && stratum(module).is_some()).then(|| ((*name).clone(), (*module).clone()))
    };
    paths.filter_map(export).collect()
}
