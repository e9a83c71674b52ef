//! A Debian machine's own package list goes in and comes out again: every stanza of dpkg's status file, the
//! package's name as key. Through `kvctl`, over a restart of everything, and from each node's own state after the
//! leader died.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::process::Output;

use crate::cluster::{Cluster, Node, eventually, kvctl};

const STATUS_FILE: &str = "/var/lib/dpkg/status";

#[tokio::test]
async fn dpkg_stanzas_go_in_and_come_out_byte_for_byte() {
    let Some(stanzas) = stanzas() else { return };
    let mut cluster = Cluster::start(3);
    cluster.leader().await;
    let input = cluster.scratch().join("in.jsonl");
    fs::write(&input, json_lines(&stanzas)).unwrap();
    run(&cluster, &[OsStr::new("import"), input.as_os_str()]);
    assert_eq!(export(&cluster, "first", &[]), stanzas);

    for node in &mut cluster.nodes {
        assert!(node.terminate().await.success(), "{} did not end well", node.name);
    }
    cluster.nodes.iter_mut().for_each(Node::start);
    cluster.leader().await;
    assert_eq!(export(&cluster, "second", &[]), stanzas);

    let leader = cluster.leader().await;
    cluster.nodes[leader].kill();
    let next = cluster.leader().await;
    let head = cluster.nodes[next].serves().await.log.applied_index;
    cluster.nodes[leader].start();
    for at in 0..cluster.nodes.len() {
        let node = &cluster.nodes[at];
        eventually("a node that has caught up", async || {
            (node.status().await?.log.applied_index >= head).then_some(())
        })
        .await;
        let from = ["--consistency", "serializable", "-e", &node.client];
        assert_eq!(export(&cluster, &node.name, &from), stanzas, "{}", node.name);
    }
    cluster.settle().await;
}

/// The stanzas by package; `None`, said aloud, where this is no Debian machine.
fn stanzas() -> Option<BTreeMap<String, String>> {
    let Ok(status) = fs::read_to_string(STATUS_FILE) else {
        eprintln!("SKIPPED: {STATUS_FILE} is not there; this test needs a Debian machine");
        return None;
    };
    let stanzas: BTreeMap<_, _> = status
        .split("\n\n")
        .filter_map(|stanza| {
            let name = stanza.lines().find_map(|line| line.strip_prefix("Package: "))?;
            Some((name.to_owned(), stanza.to_owned()))
        })
        .collect();
    assert!(stanzas.len() > 50, "{} stanzas in {STATUS_FILE}", stanzas.len());
    Some(stanzas)
}

fn json_lines(stanzas: &BTreeMap<String, String>) -> String {
    let line = |(key, value): (&String, &String)| {
        serde_json::json!({ "key": key, "value": value }).to_string() + "\n"
    };
    stanzas.iter().map(line).collect()
}

/// What `kvctl export` writes, which must be sorted by key.
fn export(cluster: &Cluster, name: &str, arguments: &[&str]) -> BTreeMap<String, String> {
    let output = cluster.scratch().join(format!("{name}.jsonl"));
    let mut all = vec![OsStr::new("export"), output.as_os_str()];
    all.extend(arguments.iter().map(OsStr::new));
    run(cluster, &all);
    let text = fs::read_to_string(output).expect("kvctl wrote it");
    let pairs: Vec<(String, String)> = text
        .lines()
        .map(|line| {
            let pair: BTreeMap<String, String> = serde_json::from_str(line).expect("a JSON line");
            (pair["key"].clone(), pair["value"].clone())
        })
        .collect();
    assert!(pairs.is_sorted_by(|a, b| a.0 < b.0), "the export is not sorted by key");
    pairs.into_iter().collect()
}

fn run(cluster: &Cluster, arguments: &[&OsStr]) -> Output {
    let endpoints: Vec<_> = cluster.nodes.iter().map(|node| node.client.as_str()).collect();
    let output =
        kvctl().env("KV_ENDPOINTS", endpoints.join(",")).args(arguments).output().expect("kvctl starts");
    assert!(output.status.success(), "kvctl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}
