//! `tidy`: the house rules that neither the compiler nor clippy checks.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::tidy::{RULES, Tree};
use crate::workspace;

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Check the workspace in this folder [default: this workspace]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let root = args.root.as_deref().unwrap_or_else(|| workspace::root());
    let tree = Tree::load(root)?;
    let mut violations = 0;
    for rule in RULES {
        let mut findings = (rule.check)(&tree);
        findings.sort();
        for finding in &findings {
            println!("{}:{}: {}: {}", finding.path, finding.line, rule.name, finding.what);
        }
        violations += findings.len();
    }
    if violations > 0 {
        eprintln!("tidy: {violations} violations of {} rules in {} files", RULES.len(), tree.files.len());
        return Ok(ExitCode::FAILURE);
    }
    eprintln!("tidy: {} rules hold in {} files", RULES.len(), tree.files.len());
    Ok(ExitCode::SUCCESS)
}
