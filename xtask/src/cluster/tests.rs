use std::process::Command;

use super::*;
use crate::process::Process;

fn location(dir: &Path) -> Location {
    Location { dir: Some(dir.to_owned()) }
}

#[test]
fn a_plan_numbers_nodes_from_1_and_ports_from_the_base_port() {
    let cluster = Cluster::plan(Path::new("/c"), 3, 7101, Path::new("/bin"));
    assert_eq!(cluster.endpoints(), "127.0.0.1:7101,127.0.0.1:7102,127.0.0.1:7103");
    assert_eq!(cluster.peers(), "127.0.0.1:7201,127.0.0.1:7202,127.0.0.1:7203");
    assert_eq!(cluster.node("n2").unwrap().data_dir, Path::new("/c/n2/data"));
    assert_eq!(cluster.node("n4").unwrap_err().to_string(), "no node n4: the cluster has n1, n2, n3");
}

#[test]
fn a_saved_cluster_is_loaded_again_with_its_processes() {
    let dir = tempfile::tempdir().unwrap();
    let location = location(dir.path());
    assert!(location.cluster().unwrap_err().to_string().contains("cargo xtask cluster-up --dir"));
    let lock = location.lock().unwrap();
    let mut cluster = Cluster::plan(dir.path(), 2, 7101, Path::new("/bin"));
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    cluster.nodes[1].process = Some(Process::of(child.id()).unwrap());
    cluster.save(&lock).unwrap();

    let loaded = location.cluster().unwrap();
    assert_eq!(loaded, cluster);
    assert!(!loaded.nodes[0].is_running() && loaded.nodes[1].is_running() && loaded.any_running());
    loaded.nodes[1].running().unwrap().kill().unwrap();
    assert!(!loaded.any_running());
    child.wait().unwrap();
}

#[test]
fn a_file_that_is_no_cluster_file_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("cluster.json"), "{").unwrap();
    let error = Cluster::load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("cluster.json is not a cluster file"), "{error}");
    assert_eq!(fs::read_to_string(dir.path().join("cluster.json")).unwrap(), "{");
}

#[test]
fn two_changes_at_once_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let lock = location(dir.path()).lock().unwrap();
    let error = location(dir.path()).lock().unwrap_err().to_string();
    assert!(error.starts_with("another xtask is at work"), "{error}");
    drop(lock);
    location(dir.path()).lock().unwrap();
}

#[test]
fn wiping_removes_what_belongs_to_the_cluster_and_nothing_else() {
    let parent = tempfile::tempdir().unwrap();
    for (stranger, survives) in [(None, false), (Some("notes.txt"), true)] {
        let dir = parent.path().join("kv");
        let lock = location(&dir).lock().unwrap();
        let cluster = Cluster::plan(&dir, 2, 7101, Path::new("/bin"));
        cluster.save(&lock).unwrap();
        fs::create_dir_all(&cluster.nodes[0].data_dir).unwrap();
        if let Some(name) = stranger {
            fs::write(dir.join(name), "mine").unwrap();
        }
        lock.wipe(&cluster).unwrap();
        let left: Vec<_> =
            fs::read_dir(&dir).into_iter().flatten().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(dir.exists(), survives);
        assert_eq!(left, stranger.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn the_last_log_lines_are_those_of_the_last_start() {
    let dir = tempfile::tempdir().unwrap();
    let node = &Cluster::plan(dir.path(), 1, 7101, Path::new("/bin")).nodes[0];
    fs::create_dir_all(node.log_file.parent().unwrap()).unwrap();
    fs::write(&node.log_file, "earlier\none\ntwo\nthree\n").unwrap();
    assert_eq!(node.last_log_lines(8, 15), ["one", "two", "three"]);
    assert_eq!(node.last_log_lines(8, 2), ["two", "three"]);
    assert_eq!(node.last_log_lines(99, 2), [""; 0]);
}

#[test]
fn a_port_that_somebody_else_holds_is_named_with_its_holder() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let mut node = Cluster::plan(Path::new("/c"), 1, port, Path::new("/bin")).nodes.remove(0);
    let own = std::process::id();
    let taken = node.taken_ports();
    assert!(taken[0].starts_with(&format!("port {port} is held by pid {own} (")), "{taken:?}");
    node.process = Some(Process::of(own).unwrap());
    assert_eq!(node.taken_ports(), [""; 0]);
}

const STATUS: &str = r#"{"nodes": [
    {"client_address": "127.0.0.1:7101", "reachable": true, "name": "n1", "role": "leader", "term": 3,
     "commit_index": 9, "applied_index": 8, "log": {"syncs": 4, "entries": 9, "bytes_written": 36864}},
    {"client_address": "127.0.0.1:7102", "reachable": true, "role": "leader", "term": 4},
    {"client_address": "127.0.0.1:7103", "reachable": false, "error": "connection refused"}]}"#;

#[test]
fn the_leader_is_the_one_of_the_highest_term() {
    let status: ClusterStatus = serde_json::from_str(STATUS).unwrap();
    assert_eq!(status.leader().unwrap().client_address, "127.0.0.1:7102");
    assert_eq!(status.of("127.0.0.1:7101").unwrap().log.syncs, 4);
}

#[test]
fn the_table_shows_a_line_for_each_node_also_when_it_is_down() {
    let status: ClusterStatus = serde_json::from_str(STATUS).unwrap();
    let mut cluster = Cluster::plan(Path::new("/c"), 3, 7101, Path::new("/bin"));
    cluster.nodes[0].process = Some(Process::of(std::process::id()).unwrap());
    cluster.nodes[2].process = cluster.nodes[0].process;
    let table = render(&cluster, Some(&status));
    let words: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    let pid = std::process::id().to_string();
    let first = [
        "n1",
        "leader",
        "127.0.0.1:7101",
        "127.0.0.1:7201",
        "3",
        "9",
        "8",
        &pid,
        "/c/n1/data",
        "/c/n1/kvd.log",
    ];
    assert_eq!(words[1], first);
    assert_eq!(words[2][..2], ["n2", "down"]);
    assert_eq!(words[3][..3], ["n3", "no", "answer"]);
}
