//! The shape of Rust files: how long, how many lines a function, and what each is for.

use super::{Finding, Tree};

const MOST_FILE_LINES: usize = 600;
const MOST_FUNCTION_LINES: usize = 70;

/// Every Rust file can be taken apart; the other rules would pass over it.
pub(crate) fn lexes(tree: &Tree) -> Vec<Finding> {
    let broken = tree.files.iter().filter(|file| file.path.ends_with(".rs") && file.rust.is_none());
    broken.map(|file| Finding::new(&file.path, 1, "is not Rust; rustc says where")).collect()
}

/// Files other than tests have at most [`MOST_FILE_LINES`] lines.
pub(crate) fn file_length(tree: &Tree) -> Vec<Finding> {
    let lengths =
        tree.rust().filter(|(_, rust)| !rust.is_test).map(|(file, _)| (file, file.text.lines().count()));
    let long = lengths.filter(|(_, lines)| *lines > MOST_FILE_LINES);
    let what =
        |lines| format!("{lines} lines, at most {MOST_FILE_LINES}; give one of its concepts its own file");
    long.map(|(file, lines)| Finding::new(&file.path, MOST_FILE_LINES + 1, what(lines))).collect()
}

/// Functions other than tests have at most [`MOST_FUNCTION_LINES`] lines, from `fn` through the closing brace.
pub(crate) fn function_length(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, rust) in tree.rust() {
        for function in &rust.shipped.functions {
            let lines = function.through - function.from + 1;
            if lines > MOST_FUNCTION_LINES {
                let what = format!(
                    "{} has {lines} lines, at most {MOST_FUNCTION_LINES}; name its steps as functions",
                    function.name
                );
                findings.push(Finding::new(&file.path, function.from, what));
            }
        }
    }
    findings
}

/// Files other than tests say first what they are for.
pub(crate) fn module_doc(tree: &Tree) -> Vec<Finding> {
    let silent = tree.rust().filter(|(file, rust)| !rust.is_test && !file.text.starts_with("//!"));
    let what = "does not start with //!; say what it is, why here, and its invariants";
    silent.map(|(file, _)| Finding::new(&file.path, 1, what)).collect()
}
