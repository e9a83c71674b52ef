//! The documents a newcomer starts from are there and complete.

use std::collections::BTreeSet;

use super::{Finding, Tree};

const DOCUMENTS: [&str; 3] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"];
const ADR_FOLDER: &str = "docs/adr/";
const ADR_INDEX: &str = "docs/adr/README.md";

/// CHANGELOG.md has a section for what the next release brings.
pub(crate) fn changelog(tree: &Tree) -> Vec<Finding> {
    let path = "CHANGELOG.md";
    let Some(file) = tree.file(path) else {
        return vec![Finding::new(path, 1, "is missing; write it, newest first, with a section Unreleased")];
    };
    let unreleased = |line: &str| line.starts_with("## ") && line.contains("Unreleased");
    if file.text.lines().any(unreleased) {
        return Vec::new();
    }
    vec![Finding::new(path, 1, "has no section Unreleased; add one on top")]
}

/// Decision records are named alike and listed.
pub(crate) fn adr(tree: &Tree) -> Vec<Finding> {
    let records = tree.files.iter().filter_map(|file| {
        file.path.strip_prefix(ADR_FOLDER).filter(|name| *name != "README.md").map(|name| (file, name))
    });
    let Some(index) = tree.file(ADR_INDEX) else {
        return vec![Finding::new(ADR_INDEX, 1, "is missing; list the decision records there")];
    };
    let mut findings = Vec::new();
    for (file, name) in records {
        if !is_adr_name(name) {
            findings.push(Finding::new(&file.path, 1, "is not named NNNN-title.md; rename it"));
        }
        if !index.text.contains(name) {
            findings.push(Finding::new(&file.path, 1, format!("is not listed; add it to {ADR_INDEX}")));
        }
    }
    findings
}

fn is_adr_name(name: &str) -> bool {
    let Some((number, title)) = name.strip_suffix(".md").and_then(|stem| stem.split_once('-')) else {
        return false;
    };
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    number.len() == 4
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && !title.is_empty()
        && title.bytes().all(plain)
}

/// The first documents are there.
pub(crate) fn documents(tree: &Tree) -> Vec<Finding> {
    let missing =
        DOCUMENTS.iter().filter(|path| tree.file(path).is_none_or(|file| file.text.trim().is_empty()));
    missing.map(|path| Finding::new(path, 1, "is missing or empty; a newcomer starts there")).collect()
}

/// ARCHITECTURE.md has a section for each crate, and that names each of its modules and programs.
pub(crate) fn architecture(tree: &Tree) -> Vec<Finding> {
    let path = "ARCHITECTURE.md";
    let Some(file) = tree.file(path) else { return Vec::new() };
    let mut findings = Vec::new();
    for package in &tree.packages {
        let section = section(&file.text, &package.name);
        if section.is_empty() {
            findings.push(Finding::new(
                path,
                1,
                format!("no heading names {}; add its section", package.name),
            ));
            continue;
        }
        for (module, source) in modules(tree, &package.name) {
            if !mentions(&section, &module) {
                let what =
                    format!("ARCHITECTURE.md does not name `{module}` under {}; add a line", package.name);
                findings.push(Finding::new(&source, 1, what));
            }
        }
    }
    findings
}

/// The top-level modules and programs of a crate, each with one of its files.
fn modules(tree: &Tree, package: &str) -> BTreeSet<(String, String)> {
    let mut seen = BTreeSet::new();
    let mut modules = BTreeSet::new();
    for (file, rust) in tree.rust() {
        let Some(inside) = file.path.strip_prefix(&format!("{package}/src/")) else { continue };
        let inside = inside.strip_prefix("bin/").unwrap_or(inside);
        let module = inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs");
        if !rust.is_test && !["lib", "main"].contains(&module) && seen.insert(module) {
            modules.insert((module.to_owned(), file.path.clone()));
        }
    }
    modules
}

/// The lines under every heading that names `package`, down to the next heading that is no deeper.
fn section(text: &str, package: &str) -> String {
    let mut section = String::new();
    let mut level = None;
    for line in text.lines() {
        if let Some(depth) = heading(line)
            && level.is_none_or(|level| depth <= level)
        {
            level = line.contains(package).then_some(depth);
        }
        if level.is_some() {
            section.push_str(line);
            section.push('\n');
        }
    }
    section
}

/// How deep a heading is; `None` for another line.
fn heading(line: &str) -> Option<usize> {
    let depth = line.bytes().take_while(|byte| *byte == b'#').count();
    (depth > 0 && line[depth..].starts_with(' ')).then_some(depth)
}

/// Whether `text` names a module as one does: `name` in backquotes, or name.rs, name/ or name::.
fn mentions(text: &str, module: &str) -> bool {
    text.match_indices(module).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = &text[at + module.len()..];
        let starts = before.is_none_or(|c| !c.is_alphanumeric() && c != '_');
        let quoted = before == Some('`') && after.starts_with('`');
        starts && (quoted || [".rs", "/", "::"].iter().any(|end| after.starts_with(end)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_named_by_four_digits_and_a_title() {
        assert!(is_adr_name("0001-blocks-not-entries.md"));
        for bad in ["1-a.md", "0001.md", "0001-.md", "0001-A.md", "0001-a.txt", "abcd-a.md"] {
            assert!(!is_adr_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_section_goes_down_to_the_next_heading_that_is_no_deeper() {
        let text = "# Map\na\n## raft-core\nb\n### raft\nc\n## raft-log\nd\n## More on raft-core\ne\n";
        assert_eq!(section(text, "raft-core"), "## raft-core\nb\n### raft\nc\n## More on raft-core\ne\n");
        assert_eq!(section(text, "xtask"), "");
    }

    #[test]
    fn a_word_of_the_prose_does_not_name_a_module() {
        for text in ["`log`", "log.rs", "src/log/mod.rs", "log::Log"] {
            assert!(mentions(text, "log"), "{text}");
        }
        for text in ["the log of a node", "`log_store`", "backlog/", "`log entry`"] {
            assert!(!mentions(text, "log"), "{text}");
        }
    }
}
