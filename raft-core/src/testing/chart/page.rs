//! The page: SVG by hand.

use std::fmt::{self, Write as _};

use super::{Arrow, Look, Row, Story};
use crate::raft::RoleName;
use crate::testing::cluster::Violation;

const LEFT: usize = 400;
const LANE: usize = 330;
const TOP: usize = 46;
const ROW: usize = 44;

const STYLE: &str = "
body{font:14px/1.45 system-ui,sans-serif;margin:24px;color:#1b1f24;background:#fff}
h1{font-size:20px;margin:0 0 6px} p{max-width:1000px;margin:6px 0}
.bad{background:#ffebe9;border:1px solid #ff8182;border-radius:6px;padding:10px 14px;max-width:1000px}
svg{font:12px system-ui,sans-serif} .time{fill:#6e7781;font-size:11px} .step{fill:#1b1f24}
.name{font-weight:600;font-size:14px} .state{fill:#57606a;font-size:11px} .new{fill:#0550ae;font-weight:600}
.follower{stroke:#8c959f} .leader{stroke:#1a7f37} .candidate{stroke:#bc4c00} .pre-candidate{stroke:#d4a72c}
.down{stroke:#d0d7de;stroke-dasharray:3 5} .paused{stroke-dasharray:1 4}
.message{stroke:#0969da;stroke-width:1.3;fill:none} .says{fill:#0969da;font-size:10.5px}
.lost{fill:#cf222e;font-size:10.5px} .row{fill:#f6f8fa} .last{fill:#ffebe9}
.dot{fill:#1b1f24} text{dominant-baseline:middle;paint-order:stroke;stroke:#fff;stroke-width:3px}
.key span{display:inline-block;margin-right:18px} .key b{display:inline-block;width:22px;height:0;vertical-align:middle;margin-right:6px;border-top:5px solid}
";

pub(super) fn page(title: &str, story: &Story, violation: Option<&Violation>) -> String {
    let title = escape(title);
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style>\
         <h1>{title}</h1>"
    );
    if let Some(violation) = violation {
        _ = write!(
            page,
            "<p class=\"bad\"><b>{}</b>: {}<br>{}</p>",
            violation.name(),
            escape(&violation.to_string()),
            violation.promise()
        );
    }
    page.push_str(KEY);
    page.push_str(&drawing(story, violation.is_some()));
    page.push_str("</html>\n");
    page
}

const KEY: &str = "<p>Time runs down, one step a row; the text on the left says what happens, a dot marks where. Beside a \
lane stands what has changed there: the term, the last log entry (index@term), the commit index, and what the disk would \
show after a power cut.</p><p class=\"key\">\
<span><b style=\"border-color:#8c959f\"></b>follower</span><span><b style=\"border-color:#d4a72c\"></b>asks whether it would be \
elected</span><span><b style=\"border-color:#bc4c00\"></b>candidate</span><span><b style=\"border-color:#1a7f37\"></b>leader</span>\
<span><b style=\"border-color:#d0d7de;border-top-style:dashed\"></b>down</span><span style=\"color:#0969da\">&#8594; message that \
arrives</span><span style=\"color:#cf222e\">&#10005; message that does not</span></p>";

/// Words are above lines: both are drawn at once, and put together in the end.
#[derive(Default)]
struct Drawing {
    lines: String,
    words: String,
}

impl Drawing {
    fn line(&mut self, line: fmt::Arguments<'_>) {
        _ = self.lines.write_fmt(line);
    }

    /// Writes `text` at a place.
    fn word(&mut self, class: &str, x: usize, y: usize, text: &str) {
        let text = escape(text);
        _ = write!(self.words, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>");
    }
}

fn drawing(story: &Story, failed: bool) -> String {
    let nodes = story.rows.last().map_or(0, |row| row.looks.len());
    let width = LEFT + nodes * LANE;
    let height = TOP + story.rows.len() * ROW + 20;
    let mut drawing = Drawing::default();
    for (number, row) in story.rows.iter().enumerate() {
        draw_row(&mut drawing, number, row, width, failed && number + 1 == story.rows.len());
    }
    for node in 0..nodes {
        drawing.word("name", lane(node) - 8, 18, &format!("n{}", node + 1));
        draw_lane(&mut drawing, story, node);
    }
    story.arrows.iter().for_each(|arrow| draw_arrow(&mut drawing, arrow));
    let Drawing { lines, words } = drawing;
    format!(
        "<svg width=\"{width}\" height=\"{height}\" role=\"img\"><defs>{ARROWHEAD}</defs>{lines}{words}</svg>"
    )
}

const ARROWHEAD: &str = "<marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#0969da\"/></marker>";

const fn lane(node: usize) -> usize {
    LEFT + node * LANE + 60
}

const fn level(row: usize) -> usize {
    TOP + row * ROW + ROW / 2
}

fn draw_row(drawing: &mut Drawing, number: usize, row: &Row, width: usize, is_violation: bool) {
    let (top, y) = (TOP + number * ROW, level(number));
    if is_violation || number.is_multiple_of(2) {
        let class = if is_violation { "last" } else { "row" };
        drawing.line(format_args!(
            "<rect class=\"{class}\" x=\"0\" y=\"{top}\" width=\"{width}\" height=\"{ROW}\"/>"
        ));
    }
    let millis = format!("{:.3} ms", row.at.as_nanos() as f64 / 1e6);
    drawing.word("time", 8, y - 9, &millis);
    drawing.word("step", 8, y + 8, &row.text);
}

/// The lane's line, and what is new at each row.
fn draw_lane(drawing: &mut Drawing, story: &Story, node: usize) {
    let x = lane(node);
    let mut before: Option<&Look> = None;
    for (number, row) in story.rows.iter().enumerate() {
        let Some(look) = row.looks.get(node) else { continue };
        let (top, y) = (TOP + number * ROW, level(number));
        let class = class_of(look);
        let width = if look.role == Some(RoleName::Leader) { 7 } else { 4 };
        let bottom = top + ROW;
        drawing.line(format_args!(
            "<line class=\"{class}\" x1=\"{x}\" y1=\"{top}\" x2=\"{x}\" y2=\"{bottom}\" stroke-width=\"{width}\"/>"
        ));
        if row.node == Some(node) {
            drawing.line(format_args!("<circle class=\"dot\" cx=\"{x}\" cy=\"{y}\" r=\"5\"/>"));
        }
        draw_changes(drawing, x + 10, y, look, before);
        if row.node == Some(node) && !row.lost.is_empty() {
            let lost: Vec<_> = row.lost.iter().map(|(to, kind)| format!("{kind} to n{}", to + 1)).collect();
            // Below is what a message says that arrives; disks are written at other times.
            let below = if story.arrows.iter().any(|arrow| arrow.arrived == number) { 0 } else { 12 };
            drawing.word("lost", x + 10, y + below, &format!("\u{2715} {}", lost.join(", ")));
        }
        before = Some(look);
    }
}

const fn class_of(look: &Look) -> &'static str {
    match look.role {
        None => "down",
        Some(_) if !look.awake => "follower paused",
        Some(RoleName::Follower) => "follower",
        Some(RoleName::PreCandidate) => "pre-candidate",
        Some(RoleName::Candidate) => "candidate",
        Some(RoleName::Leader) => "leader",
    }
}

fn draw_changes(drawing: &mut Drawing, x: usize, y: usize, look: &Look, before: Option<&Look>) {
    if before == Some(look) {
        return;
    }
    let role = look.role.map_or_else(|| "down".to_owned(), |role| role.to_string());
    let mut changes = Vec::new();
    if before.is_none_or(|before| before.role != look.role || before.term != look.term) {
        changes.push(format!("{role}, term {}", look.term));
    }
    if before.is_none_or(|before| before.last != look.last) {
        changes.push(format!("log {}", look.last));
    }
    if before.is_none_or(|before| before.commit != look.commit) {
        changes.push(format!("commit {}", look.commit));
    }
    if !changes.is_empty() {
        drawing.word("state new", x, y - 12, &changes.join(", "));
    }
    if before.is_none_or(|before| before.disk != look.disk) {
        drawing.word("state", x, y, &format!("disk: {}", look.disk));
    }
}

fn draw_arrow(drawing: &mut Drawing, arrow: &Arrow) {
    let (x1, x2) = (lane(arrow.from), lane(arrow.to));
    let y2 = level(arrow.arrived);
    let y1 = arrow.sent.map_or(y2.saturating_sub(ROW), level);
    let gap = 6;
    let (x1, x2) = if x1 < x2 { (x1 + gap, x2 - gap) } else { (x1 - gap, x2 + gap) };
    drawing.line(format_args!(
        "<line class=\"message\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" marker-end=\"url(#head)\"/>"
    ));
    drawing.word("says", lane(arrow.to) + 10, y2 + 12, &format!("\u{2192} {}: {}", arrow.kind, arrow.says));
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
