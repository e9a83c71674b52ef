//! The table of the local cluster.

use comfy_table::{Table, presets};

use super::{Cluster, ClusterStatus, Node, NodeStatus};
use crate::command::shown;

/// One line a node. `status` is what the nodes say of themselves, if anybody could be asked.
pub(crate) fn render(cluster: &Cluster, status: Option<&ClusterStatus>) -> String {
    let header = [
        "NODE",
        "ROLE",
        "CLIENT ADDRESS",
        "PEER ADDRESS",
        "TERM",
        "COMMIT",
        "APPLIED",
        "PID",
        "DATA FOLDER",
        "LOG FILE",
    ];
    let rows =
        cluster.nodes.iter().map(|node| row(node, status.and_then(|status| status.of(&node.client_address))));
    columns(header, rows)
}

/// Aligned columns without lines, as one can cut and grep them.
pub(crate) fn columns<const N: usize>(header: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

fn row(node: &Node, status: Option<&NodeStatus>) -> [String; 10] {
    let answer = status.filter(|status| status.reachable && node.is_running());
    let number = |field: fn(&NodeStatus) -> Option<u64>| {
        answer.and_then(field).map_or_else(|| "-".to_owned(), |number| number.to_string())
    };
    [
        node.name.clone(),
        role(node, answer),
        node.client_address.clone(),
        node.peer_address.clone(),
        number(|answer| answer.term),
        number(|answer| answer.commit_index),
        number(|answer| answer.applied_index),
        node.running().map_or_else(|| "-".to_owned(), |process| process.pid.to_string()),
        shown(&node.data_dir),
        shown(&node.log_file),
    ]
}

/// The role, or why none is known.
fn role(node: &Node, answer: Option<&NodeStatus>) -> String {
    match (node.running(), answer) {
        (None, _) => "down".to_owned(),
        (Some(process), _) if process.is_frozen() => "frozen".to_owned(),
        (Some(_), None) => "no answer".to_owned(),
        (Some(_), Some(answer)) => answer.role.clone().unwrap_or_else(|| "unknown".to_owned()),
    }
}
