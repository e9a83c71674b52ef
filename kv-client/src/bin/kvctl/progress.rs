//! Progress bars; hidden where standard error is no terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar for `total` bytes; without a total, a count of them.
pub(crate) fn bytes(total: Option<u64>) -> ProgressBar {
    bar(total, "{bytes}", "{total_bytes}")
}

/// A bar for `total` keys; without a total, a count of them.
pub(crate) fn keys(total: Option<u64>) -> ProgressBar {
    bar(total, "{human_pos} keys", "{human_len}")
}

/// A bar for the entries that a node has of its leader's log.
pub(crate) fn entries() -> ProgressBar {
    bar(Some(0), "{human_pos}", "{human_len} entries")
}

fn bar(total: Option<u64>, position: &str, length: &str) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            format!("{{wide_bar}} {position} of {length}, {{elapsed}}, {{eta}} left {{msg}}"),
        ),
        None => (ProgressBar::new_spinner(), format!("{{spinner}} {position}, {{elapsed}} {{msg}}")),
    };
    bar.with_style(ProgressStyle::with_template(&template).expect("the template is well-formed"))
}
