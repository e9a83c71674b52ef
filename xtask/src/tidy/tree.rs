//! What the rules look at: the text files of a workspace, and its manifests as cargo reads them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use proc_macro2::TokenStream;

use super::tokens::{self, Function, NamePath, Token};
use crate::workspace::{self, Package};

/// A workspace.
#[derive(Debug)]
pub(crate) struct Tree {
    root: PathBuf,
    /// Its text files, by path.
    pub(crate) files: Vec<SourceFile>,
    pub(crate) packages: Vec<Package>,
}

/// A text file.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// Relative to the root.
    pub(crate) path: String,
    pub(crate) text: String,
    /// `None` for a file of another language, or one that cannot be taken apart.
    pub(crate) rust: Option<Rust>,
}

/// A Rust file, taken apart.
#[derive(Debug)]
pub(crate) struct Rust {
    /// Whether only tests or benches compile it.
    pub(crate) is_test: bool,
    /// The whole file.
    pub(crate) tokens: Vec<Token>,
    /// The file without what only tests compile.
    pub(crate) shipped: Code,
    test_modules: Vec<String>,
}

/// Views of a token stream.
#[derive(Debug, Default)]
pub(crate) struct Code {
    pub(crate) tokens: Vec<Token>,
    pub(crate) paths: Vec<NamePath>,
    pub(crate) functions: Vec<Function>,
}

/// Built, downloaded or private: not part of the sources.
const SKIPPED_FOLDERS: [&str; 3] = ["target", ".git", ".kv"];
const SUFFIXES: [&str; 6] = ["rs", "toml", "md", "lock", "sh", "json"];
const SCRIPTS: [&str; 1] = [".ci/run"];

impl Tree {
    /// Reads the workspace whose root manifest is in `root`.
    ///
    /// # Errors
    /// A file cannot be read, or cargo does not accept a manifest.
    pub(crate) fn load(root: &Path) -> Result<Self> {
        let metadata = workspace::metadata(root)?;
        let root = metadata.workspace_root;
        let mut tree = Self { files: Vec::new(), packages: metadata.packages, root };
        tree.walk(&tree.root.clone())?;
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        tree.mark_test_modules();
        Ok(tree)
    }

    /// The file at `path`.
    pub(crate) fn file(&self, path: &str) -> Option<&SourceFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether there is anything at `path`, text or not.
    pub(crate) fn root_holds(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// The Rust files, with their parts.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&SourceFile, &Rust)> {
        self.files.iter().filter_map(|file| Some((file, file.rust.as_ref()?)))
    }

    /// The package called `name`.
    pub(crate) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// Path of a package's manifest, relative to the root.
    pub(crate) fn manifest(&self, package: &Package) -> String {
        self.relative(&package.manifest_path)
    }

    fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    fn walk(&mut self, folder: &Path) -> Result<()> {
        let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
            let kind =
                entry.file_type().with_context(|| format!("cannot read {}", entry.path().display()))?;
            let skipped = SKIPPED_FOLDERS.iter().any(|name| entry.file_name() == *name);
            if kind.is_dir() && !skipped {
                self.walk(&entry.path())?;
            } else if kind.is_file() {
                self.read(&entry.path())?;
            }
        }
        Ok(())
    }

    fn read(&mut self, path: &Path) -> Result<()> {
        let name = self.relative(path);
        let suffix = path.extension().and_then(|suffix| suffix.to_str());
        if suffix.is_some_and(|suffix| SUFFIXES.contains(&suffix)) || SCRIPTS.contains(&name.as_str()) {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            self.files.push(SourceFile::new(name, text));
        }
        Ok(())
    }

    /// A module that is declared under `#[cfg(test)]` is a test file, whatever its name.
    fn mark_test_modules(&mut self) {
        let declared: Vec<_> =
            self.rust().flat_map(|(file, rust)| file.module_paths(&rust.test_modules)).collect();
        for file in &mut self.files {
            let covers = |module: &String| {
                file.path
                    .strip_prefix(module.as_str())
                    .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
            };
            if let Some(rust) = &mut file.rust
                && declared.iter().any(covers)
            {
                rust.mark_as_test();
            }
        }
    }
}

impl SourceFile {
    fn new(path: String, text: String) -> Self {
        let rust = if path.ends_with(".rs") { text.parse().ok().map(Rust::new) } else { None };
        let mut file = Self { path, text, rust };
        if file.is_named_as_test()
            && let Some(rust) = &mut file.rust
        {
            rust.mark_as_test();
        }
        file
    }

    fn is_named_as_test(&self) -> bool {
        let mut folders: Vec<_> = self.path.split('/').collect();
        let name = folders.pop();
        name == Some("tests.rs") || folders.iter().any(|folder| ["tests", "benches"].contains(folder))
    }

    /// Where modules that this file declares may lie, without `.rs`.
    fn module_paths(&self, names: &[String]) -> Vec<String> {
        let (folder, file) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        let stem = file.trim_end_matches(".rs");
        let own = format!("{folder}/{stem}");
        names.iter().flat_map(|name| [format!("{folder}/{name}"), format!("{own}/{name}")]).collect()
    }
}

impl Rust {
    fn new(stream: TokenStream) -> Self {
        let tokens = tokens::flat(&stream);
        let shipped = tokens::shipped(stream);
        let code = Code {
            tokens: tokens::flat(&shipped.stream),
            paths: tokens::paths(&shipped.stream),
            functions: tokens::functions(&shipped.stream),
        };
        Self { is_test: false, tokens, shipped: code, test_modules: shipped.test_modules }
    }

    fn mark_as_test(&mut self) {
        self.is_test = true;
        self.shipped = Code::default();
    }
}
