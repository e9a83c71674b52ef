//! The house rules, each a function from the tree of sources to what it finds wrong.
//!
//! To add a rule, write the function in the file of its kind, list it in [`RULES`], and seed a violation of it in
//! `tests/it/tidy.rs`, whose test fails as long as one is missing.

mod crates;
mod documents;
mod links;
mod purity;
mod shape;
mod strata;
mod tokens;
mod tree;
mod words;

pub(crate) use self::tree::Tree;

/// One rule.
#[derive(Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) check: fn(&Tree) -> Vec<Finding>,
}

/// A violation: where, and what is wrong; what to do instead follows a semicolon.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Relative to the root.
    pub(crate) path: String,
    /// From 1; 1 where the file as a whole is meant.
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

/// All rules, in the order in which they are checked.
pub(crate) const RULES: &[Rule] = &[
    Rule { name: "workspace-members", check: crates::workspace_members },
    Rule { name: "crate-edges", check: crates::crate_edges },
    Rule { name: "core-dependencies", check: crates::core_dependencies },
    Rule { name: "core-features", check: crates::core_features },
    Rule { name: "core-purity", check: purity::core_purity },
    Rule { name: "core-strata", check: strata::core_strata },
    Rule { name: "lexes", check: shape::lexes },
    Rule { name: "file-length", check: shape::file_length },
    Rule { name: "function-length", check: shape::function_length },
    Rule { name: "module-doc", check: shape::module_doc },
    Rule { name: "unsafe", check: words::unsafe_code },
    Rule { name: "banned-code", check: words::banned_code },
    Rule { name: "banned-text", check: words::banned_text },
    Rule { name: "lock-file", check: words::lock_file },
    Rule { name: "changelog", check: documents::changelog },
    Rule { name: "adr", check: documents::adr },
    Rule { name: "documents", check: documents::documents },
    Rule { name: "architecture", check: documents::architecture },
    Rule { name: "links", check: links::links },
];
