//! A link in a document leads somewhere: to a file or folder of the workspace, and to a heading where it names one.

use super::{Finding, Tree};

/// Every relative link of every Markdown file, outside code.
pub(crate) fn links(tree: &Tree) -> Vec<Finding> {
    let documents = tree.files.iter().filter(|file| file.path.ends_with(".md"));
    documents
        .flat_map(|file| targets(&file.text).map(|(line, target)| (file.path.as_str(), line, target)))
        .filter(|(from, _, target)| !target.contains("://") && !leads_somewhere(tree, from, target))
        .map(|(from, line, target)| {
            Finding::new(from, line, format!("the link to {target} leads nowhere; mend or remove it"))
        })
        .collect()
}

/// Lines and targets of the links `[text](target)`.
fn targets(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    let prose = (1..).zip(text.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        is_code ^= fence;
        !is_code && !fence
    });
    prose.flat_map(|(number, line)| {
        let after = line.split("](").skip(1);
        after.filter_map(move |rest| rest.split_once(')')).map(move |(target, _)| (number, target))
    })
}

fn leads_somewhere(tree: &Tree, from: &str, target: &str) -> bool {
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() { from.to_owned() } else { resolve(from, path) };
    let Some(file) = tree.file(&path) else {
        // A folder, or a file that is not text.
        return heading.is_empty() && tree.root_holds(&path);
    };
    heading.is_empty() || file.text.lines().filter_map(anchor).any(|anchor| anchor == heading)
}

/// `path` as seen from the folder of `from`.
fn resolve(from: &str, path: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// What a heading is linked by; `None` for another line.
fn anchor(line: &str) -> Option<String> {
    let title = line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#'))?;
    let kept = title.trim().chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
    Some(kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_in_prose_and_not_in_code() {
        let text = "a [b](c.md) and [d](e/f#g)\n```sh\n[no](no.md)\n```\n[h](#i)\n";
        assert_eq!(targets(text).collect::<Vec<_>>(), [(1, "c.md"), (1, "e/f#g"), (5, "#i")]);
    }

    #[test]
    fn paths_are_seen_from_the_folder_of_the_document() {
        for (from, path, expected) in [
            ("README.md", "docs/adr", "docs/adr"),
            ("docs/a.md", "../raft-core/", "raft-core"),
            ("docs/a.md", "b.md", "docs/b.md"),
        ] {
            assert_eq!(resolve(from, path), expected);
        }
    }

    #[test]
    fn a_heading_is_linked_by_its_words() {
        assert_eq!(
            anchor("## When a majority is lost, forever").as_deref(),
            Some("when-a-majority-is-lost-forever")
        );
        assert_eq!(anchor("#[test]"), None);
    }
}
