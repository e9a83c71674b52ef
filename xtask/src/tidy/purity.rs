//! What raft-core must not name: it is handed time and randomness, and performs nothing.

use super::tokens::NamePath;
use super::{Finding, Tree};

/// Where the outside world is allowed: the shells around the core.
const SHELLS: [&str; 3] = ["node", "fs", "testing"];

/// Names that may not occur anywhere in a path, and what to use instead.
const NAMES: [(&str, &str); 9] = [
    ("tokio", "leave it to the node shell"),
    ("async", "take inputs and give effects: the shell waits"),
    ("await", "take inputs and give effects: the shell waits"),
    ("Instant", "take crate::time::Time as a parameter"),
    ("SystemTime", "take crate::time::Time as a parameter"),
    ("rand", "draw from crate::rng::Rng, which is seeded"),
    ("HashMap", "use BTreeMap or a sorted vector, whose order is the same in every run"),
    ("HashSet", "use BTreeSet or a sorted vector, whose order is the same in every run"),
    ("RandomState", "use an ordered collection, the same in every run"),
];

/// Modules of std that touch the world.
const STD_MODULES: [&str; 5] = ["fs", "net", "thread", "process", "env"];

/// Outside its shells, raft-core names no runtime, I/O, thread, clock, foreign randomness or unordered
/// collection.
pub(crate) fn core_purity(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, rust) in tree.rust() {
        let Some(inside) = file.path.strip_prefix("raft-core/src/") else { continue };
        if SHELLS.iter().any(|shell| belongs(inside, shell)) {
            continue;
        }
        for path in &rust.shipped.paths {
            if let Some((name, instead)) = impurity(path) {
                findings.push(Finding::new(&file.path, path.line, format!("{name} in the core; {instead}")));
            }
        }
    }
    findings
}

/// Whether a file below src/ is the module or below it.
fn belongs(file: &str, module: &str) -> bool {
    file.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

fn impurity(path: &NamePath) -> Option<(String, &'static str)> {
    let segments: Vec<_> = path.segments.iter().map(String::as_str).collect();
    if let ["std", module, ..] = segments.as_slice()
        && STD_MODULES.contains(module)
    {
        return Some((format!("std::{module}"), "put it behind a seam: fs, Transport, or the node shell"));
    }
    let named = |(name, _): &&(&str, _)| segments.contains(name);
    NAMES.iter().find(named).map(|(name, instead)| ((*name).to_owned(), *instead))
}
