//! The life of a local cluster, with shell scripts in place of kvd and kvctl.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;

use crate::xtask::{Outcome, xtask};

/// A cluster folder and the programs for it; taken down when dropped.
struct Bed {
    folder: TempDir,
    base_port: u16,
}

impl Bed {
    fn new() -> Self {
        // The stand-ins open no ports, the numbers only tell their files apart. The system hands out none so high.
        static NEXT_PORT: AtomicU16 = AtomicU16::new(62_000);
        let bed = Self {
            folder: tempfile::tempdir().unwrap(),
            base_port: NEXT_PORT.fetch_add(10, Ordering::Relaxed),
        };
        fs::create_dir(bed.path("bin")).unwrap();
        for (name, script) in [("kvd", include_str!("fake_kvd.sh")), ("kvctl", include_str!("fake_kvctl.sh"))]
        {
            let path = bed.path("bin").join(name);
            fs::write(&path, script).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        bed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let dir = self.path("kv");
        xtask(arguments.iter().copied().chain(["--dir", dir.to_str().unwrap()]))
    }

    fn up(&self, arguments: &[&str]) -> Outcome {
        let (bin, port) = (self.path("bin"), self.base_port.to_string());
        let own = ["cluster-up", "--bin-dir", bin.to_str().unwrap(), "--base-port", &port];
        self.run(&[&own, arguments].concat())
    }

    /// The pid of each node, by the state file; `None` where none was left.
    fn pids(&self) -> Vec<Option<u64>> {
        let text = fs::read_to_string(self.path("kv/cluster.json")).unwrap();
        let cluster: serde_json::Value = serde_json::from_str(&text).unwrap();
        let nodes = cluster["nodes"].as_array().unwrap();
        nodes.iter().map(|node| node["process"]["pid"].as_u64()).collect()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.run(&["cluster-down", "--wipe"]);
    }
}

/// Whether a process runs; one that is dead but not collected has no command line.
fn runs(pid: u64) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| !words.is_empty())
}

#[test]
fn a_cluster_comes_up_once_outlives_xtask_and_goes_down() {
    let bed = Bed::new();
    let up = bed.up(&[]).exits_with(0).says(&["$ ", "kvd run --name n1", "put xtask/cluster-up"]);
    for text in ["leader", "follower", "n3", "kv/n3/kvd.log", "cargo xtask kill n1 --dir", "kvctl get hello"]
    {
        assert!(up.stdout.contains(text), "{text:?} is not in\n{}", up.stdout);
    }
    assert!(!bed.path("bin/store").exists(), "the key that was tried out is deleted again");
    let pids = bed.pids();
    assert!(pids.iter().all(|pid| runs(pid.unwrap())));

    bed.up(&[]).exits_with(0).says(&["already up", "cargo xtask env --dir"]);
    assert_eq!(bed.pids(), pids);

    bed.run(&["cluster-down"]).exits_with(0).says(&["n1 (pid", "stopped", "its data stays"]);
    assert!(!pids.iter().any(|pid| runs(pid.unwrap())));
    bed.run(&["cluster-down"]).exits_with(0);
    bed.run(&["cluster-status"]).exits_with(3).says(&["down", "no leader"]);
}

#[test]
fn the_leader_is_stopped_last() {
    let bed = Bed::new();
    bed.up(&[]).exits_with(0);
    bed.run(&["kill", "n1"]).exits_with(0);
    let down = bed.run(&["cluster-down"]).exits_with(0);
    let stopped: Vec<_> = down.stderr.lines().filter_map(|line| line.split_once(" (pid")).collect();
    let names: Vec<_> = stopped.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["n3", "n2"], "n2 leads since n1 is gone");
}

#[test]
fn a_partly_running_cluster_is_completed_and_what_runs_is_left_alone() {
    let bed = Bed::new();
    bed.up(&[]).exits_with(0);
    let before = bed.pids();
    bed.run(&["kill", "n2"]).exits_with(0).says(&["n2 (pid"]);
    assert!(!runs(before[1].unwrap()));
    bed.run(&["kill", "n2"]).exits_with(1).says(&["n2 does not run"]);
    bed.run(&["cluster-status"]).exits_with(0).says(&["down"]);

    bed.up(&[]).exits_with(0).says(&["n1 runs already", "n3 runs already"]);
    let after = bed.pids();
    assert_eq!((after[0], after[2]), (before[0], before[2]));
    assert_ne!(after[1], before[1]);
}

#[test]
fn a_node_is_killed_restarted_frozen_and_thawed_by_its_name() {
    let bed = Bed::new();
    bed.up(&["--nodes", "1"]).exits_with(0);
    let first = bed.pids();
    bed.run(&["restart", "n1"]).exits_with(0).says(&["n1 (pid", "leader"]);
    let second = bed.pids();
    assert!(!runs(first[0].unwrap()) && runs(second[0].unwrap()));
    bed.run(&["stop", "n1"]).exits_with(0);
    bed.run(&["cluster-status"]).says(&["frozen"]);
    bed.run(&["cont", "n1"]).exits_with(0);
    bed.run(&["cluster-status"]).exits_with(0).says(&["leader"]);
    bed.run(&["kill", "n9"]).exits_with(1).says(&["no node n9: the cluster has n1"]);
}

#[test]
fn a_node_that_cannot_start_is_explained_and_only_what_this_call_started_is_stopped() {
    let bed = Bed::new();
    bed.up(&[]).exits_with(0);
    let before = bed.pids();
    bed.run(&["kill", "n2"]).exits_with(0);
    bed.run(&["kill", "n3"]).exits_with(0);
    fs::write(bed.path("bin/broken-n3"), "").unwrap();
    let up = bed.up(&[]).exits_with(1);
    let up = up.says(&["error: n3 did not start: exit status: 7", "n3 cannot open its log", "stopped n2"]);
    assert_eq!(up.stderr.matches("n3 starts at").count(), 1, "only the lines of this start: {}", up.stderr);
    assert_eq!(bed.pids(), [before[0], None, None]);
    assert!(runs(before[0].unwrap()));
}

#[test]
fn a_port_in_use_is_named_with_its_holder_and_another_port_may_be_chosen_then() {
    let mut bed = Bed::new();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let free_port = std::mem::replace(&mut bed.base_port, socket.local_addr().unwrap().port());
    fs::write(bed.path("bin/broken-n1"), "").unwrap();
    let holder = format!("port {} is held by pid {} (", bed.base_port, std::process::id());
    bed.up(&[]).exits_with(1).says(&[&holder, "--base-port"]);
    assert_eq!(bed.pids(), [None, None, None]);

    fs::remove_file(bed.path("bin/broken-n1")).unwrap();
    bed.base_port = free_port;
    bed.up(&[]).exits_with(0).says(&[&format!("127.0.0.1:{free_port}")]);
}

#[test]
fn somebody_else_who_answers_at_a_node_s_port_is_not_taken_for_the_cluster() {
    let mut bed = Bed::new();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    bed.base_port = socket.local_addr().unwrap().port();
    bed.up(&[]).exits_with(1).says(&["n1 does not answer, somebody else does", "stopped n1", "stopped n3"]);
    assert!(!bed.path("bin/store").exists(), "nothing was written into somebody else's store");
    assert_eq!(bed.pids(), [None, None, None]);
}

#[test]
fn a_cluster_that_has_served_is_not_replaced_by_one_of_another_size() {
    let bed = Bed::new();
    bed.up(&[]).exits_with(0);
    bed.run(&["cluster-down"]).exits_with(0);
    bed.up(&["--nodes", "5"]).exits_with(1).says(&["has a cluster at", "cluster-down --wipe --dir"]);
    bed.run(&["cluster-down", "--wipe"]).exits_with(0).says(&["removed"]);
    assert!(!bed.path("kv").exists());
    bed.up(&["--nodes", "5"]).exits_with(0).says(&["n5"]);
}

#[test]
fn env_sets_the_endpoints_and_the_path_of_a_shell() {
    let bed = Bed::new();
    bed.run(&["env"]).exits_with(1).says(&["no cluster in", "cargo xtask cluster-up --dir"]);
    bed.up(&[]).exits_with(0);
    let script =
        format!("{}\necho \"$KV_ENDPOINTS\"; command -v kvctl", bed.run(&["env"]).exits_with(0).stdout);
    let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    let port = bed.base_port;
    let endpoints = format!("127.0.0.1:{port},127.0.0.1:{},127.0.0.1:{}", port + 1, port + 2);
    let expected = format!("{endpoints}\n{}\n", bed.path("bin/kvctl").display());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

#[test]
fn bench_prints_a_line_for_each_load_and_saves_them() {
    let bed = Bed::new();
    bed.up(&[]).exits_with(0);
    let file = bed.path("bench.json");
    let json = ["--json", file.to_str().unwrap()];
    let bench = [&["bench", "--seconds", "1", "--callers", "1,16"][..], &json].concat();
    bed.run(&bench).exits_with(0).says(&[
        "ENTRIES/SYNC",
        "machine: ",
        "command: cargo xtask bench --seconds 1",
    ]);
    let report: serde_json::Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let loads: Vec<_> = report["measurements"].as_array().unwrap().iter().collect();
    let texts: Vec<_> = loads
        .iter()
        .map(|load| format!("{} {} {}", load["op"], load["callers"], load["connections"]))
        .collect();
    let expected =
        ["\"put\" 1 1", "\"put\" 16 8", "\"put\" 16 16", "\"get\" 1 1", "\"get\" 16 8", "\"get\" 16 16"];
    assert_eq!(texts, expected);
}
