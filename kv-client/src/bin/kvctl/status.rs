//! `status`: every node's own account of itself, side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use kv_client::protocol::{NodeStatus, Role, StateHash};
use kv_client::{Client, NodeError, Problem};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::cli::Global;
use crate::exit::Kind;
use crate::format::{self, Format};

/// How many digits of a hash the table shows.
const HASH_DIGITS: usize = 8;

/// A node that was asked.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Where it was asked.
    pub(crate) address: String,
    pub(crate) status: Result<NodeStatus, NodeError>,
}

/// A node of the cluster, as far as it is known.
#[derive(Debug)]
struct Row {
    name: Option<String>,
    client_address: String,
    status: Result<NodeStatus, NodeError>,
}

/// Nodes that differ in what they applied.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Mismatch {
    index: u64,
    /// Names of nodes by their hash.
    hashes: BTreeMap<String, BTreeSet<String>>,
}

/// Asks the endpoints, and whomever those name. The exit code says whether the cluster serves and its states
/// agree, and that all are of one cluster; that some node is down is in the table.
pub(crate) async fn status(client: &Client, global: &Global) -> Result<ExitCode> {
    let rows = rows(ask_all(client, &global.endpoints).await);
    let mismatches = mismatches(rows.iter().flat_map(|row| &row.status));
    let mut out = io::stdout().lock();
    match global.output {
        Some(Format::Json) => format::json(&mut out, &document(&rows, &mismatches))?,
        _ => print_table(&mut out, &rows)?,
    }
    for Mismatch { index, hashes } in &mismatches {
        eprintln!("ALARM: states differ at index {index}:");
        for (hash, names) in hashes {
            eprintln!("  {hash} on {}", names.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
        }
    }
    if !mismatches.is_empty() {
        eprintln!(
            "hint: export from each node with --consistency serializable, and compare before you trust one"
        );
        return Ok(Kind::Damaged.into());
    }
    let leads = |status: &NodeStatus| status.role == Role::Leader;
    let answers = || rows.iter().flat_map(|row| &row.status);
    let error = if answers().any(leads) {
        return Ok(of_one_cluster(&rows));
    } else if answers().next().is_some() {
        "no leader: writes and linearizable reads wait until a majority of the voters reach each other"
    } else {
        "no node answers"
    };
    eprintln!("error: {error}");
    Ok(Kind::Unavailable.into())
}

/// The exit code for a cluster that serves, by whether all that answered belong to it.
fn of_one_cluster(rows: &[Row]) -> ExitCode {
    let strays: Vec<_> = rows.iter().filter(|row| row.is_stray()).map(Row::name).collect();
    if strays.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: of another cluster: {}", strays.join(", "));
    Kind::Other.into()
}

/// Asks all nodes at once; those that only other nodes know as soon as they are named.
pub(crate) async fn ask_all(client: &Client, endpoints: &[String]) -> Vec<Asked> {
    let mut known: BTreeSet<String> = endpoints.iter().cloned().collect();
    let mut asking: JoinSet<_> = known.iter().map(|address| ask(client, address)).collect();
    let mut nodes = Vec::new();
    while let Some(joined) = asking.join_next().await {
        let node = joined.expect("asking neither panics nor is aborted");
        let members = node.status.iter().flat_map(|status| &status.members);
        for address in members.map(|member| &member.client_address) {
            if known.insert(address.clone()) {
                asking.spawn(ask(client, address));
            }
        }
        nodes.push(node);
    }
    nodes
}

fn ask(client: &Client, address: &str) -> impl Future<Output = Asked> + use<> {
    let (client, address) = (client.clone(), address.to_owned());
    async move { Asked { status: client.status(&address).await, address } }
}

/// One row for each node, by name, however many addresses reach it; those that nobody could name come last.
fn rows(asked: Vec<Asked>) -> Vec<Row> {
    let mut names = BTreeMap::new();
    for member in asked.iter().flat_map(|node| &node.status).flat_map(|status| &status.members) {
        names.insert(member.client_address.clone(), member.name.clone());
    }
    let mut ids = BTreeSet::new();
    let mut rows = Vec::new();
    for Asked { address, status } in asked {
        let (name, client_address) = match &status {
            Ok(status) if !status.node_id.is_empty() && !ids.insert(status.node_id.clone()) => continue,
            Ok(status) if status.client_address.is_empty() => (Some(status.name.clone()), address),
            Ok(status) => (Some(status.name.clone()), status.client_address.clone()),
            Err(_) => (names.get(&address).cloned(), address),
        };
        rows.push(Row { name, client_address, status });
    }
    rows.sort_by_cached_key(|row| (row.name.is_none(), row.name.clone(), row.client_address.clone()));
    rows
}

/// Compares what nodes say of their states at equal indexes.
fn mismatches<'a>(statuses: impl Iterator<Item = &'a NodeStatus>) -> Vec<Mismatch> {
    let mut by_index: BTreeMap<u64, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for status in statuses {
        let now = std::iter::once(&status.store.state_hash);
        for StateHash { index, hash } in status.store.checkpoints.iter().chain(now) {
            if !hash.is_empty() {
                let names = by_index.entry(*index).or_default().entry(hash.clone()).or_default();
                names.insert(status.name.clone());
            }
        }
    }
    by_index.retain(|_, hashes| hashes.len() > 1);
    by_index.into_iter().map(|(index, hashes)| Mismatch { index, hashes }).collect()
}

/// What `-o json` prints: each node's account with the numbers that scripts want most at its top.
fn document(rows: &[Row], mismatches: &[Mismatch]) -> Value {
    let cluster_id = rows.iter().find_map(|row| row.status.as_ref().ok()?.cluster_id.clone());
    json!({
        "cluster_id": cluster_id,
        "nodes": rows.iter().map(node_document).collect::<Vec<_>>(),
        "hash_mismatches": mismatches,
    })
}

fn node_document(row: &Row) -> Value {
    let status = match &row.status {
        Ok(status) => status,
        Err(error) => {
            return json!({
                "name": row.name,
                "client_address": row.client_address,
                "reachable": false,
                "error": error.problem.to_string(),
            });
        }
    };
    let mut document = json!(status);
    document["reachable"] = true.into();
    document["client_address"] = row.client_address.as_str().into();
    let log = &status.log;
    let flat = [
        ("commit_index", log.commit_index),
        ("applied_index", log.applied_index),
        ("last_index", log.last_index),
        ("snapshot_index", log.snapshot_index),
    ];
    for (name, number) in flat {
        document[name] = number.into();
    }
    document["state_hash"] = status.store.state_hash.hash.as_str().into();
    document["log"]["entries"] = log.entries_written.into();
    document
}

const HEADER: [&str; 11] =
    ["NODE", "ROLE", "CLIENT", "PEER", "TERM", "COMMIT", "APPLIED", "LAST", "REVISION", "KEYS", "HASH"];

fn print_table(out: &mut impl Write, rows: &[Row]) -> Result<()> {
    writeln!(out, "{}", format::table(HEADER, rows.iter().map(cells)))?;
    for row in rows {
        match &row.status {
            Ok(NodeStatus { note: Some(note), .. }) => writeln!(out, "{}: {note}", row.name())?,
            Ok(_) => {}
            Err(error) if row.is_stray() => writeln!(out, "{}: {}", row.name(), error.problem)?,
            Err(error) => writeln!(out, "{} does not answer: {}", row.name(), error.problem)?,
        }
    }
    Ok(())
}

fn cells(row: &Row) -> [String; 11] {
    let Ok(status) = &row.status else {
        let mut cells = HEADER.map(|_| "-".to_owned());
        cells[0] = row.name().to_owned();
        cells[1] = if row.is_stray() { "other cluster" } else { "unreachable" }.to_owned();
        cells[2].clone_from(&row.client_address);
        return cells;
    };
    let (log, store) = (&status.log, &status.store);
    let StateHash { index, hash } = &store.state_hash;
    [
        row.name().to_owned(),
        role(status).to_owned(),
        row.client_address.clone(),
        status.peer_address.clone(),
        status.term.to_string(),
        log.commit_index.to_string(),
        log.applied_index.to_string(),
        log.last_index.to_string(),
        store.revision.to_string(),
        store.keys.to_string(),
        format!("{}@{index}", hash.get(..HASH_DIGITS).unwrap_or(hash)),
    ]
}

/// What it does; of one that does not vote, what it is.
fn role(status: &NodeStatus) -> &'static str {
    let own = status.members.iter().find(|member| member.node_id == status.node_id);
    match status.role {
        Role::Follower if status.members.is_empty() => "waiting",
        Role::Follower if own.is_none() => "no member",
        Role::Follower if own.is_some_and(|own| !own.voter) => "learner",
        Role::Follower => "follower",
        Role::PreCandidate => "pre-candidate",
        Role::Candidate => "candidate",
        Role::Leader => "LEADER",
        Role::Unknown => "unknown",
    }
}

impl Row {
    /// Whether it answered, as a node of another cluster than the first that did.
    const fn is_stray(&self) -> bool {
        matches!(&self.status, Err(NodeError { problem: Problem::WrongCluster { .. }, .. }))
    }

    /// Its name, or else its address.
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.client_address)
    }
}
