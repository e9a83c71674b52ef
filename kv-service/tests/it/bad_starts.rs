//! What must not start does not, says why, and leaves the folder as it was.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use kv_client::KvStore;

use crate::cluster::{Cluster, Node, PATIENCE, kvd, touch};
use crate::folder::contents;

/// Runs a command that ends by itself: its exit code, and all it said.
fn run(mut command: Command) -> (Option<i32>, String) {
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts");
    let end = Instant::now() + PATIENCE;
    while child.try_wait().expect("a child of this test").is_none() {
        if Instant::now() > end {
            child.kill().expect("a child can be killed");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let Output { status, stdout, stderr } = child.wait_with_output().expect("it has ended");
    (status.code(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
}

/// Starts a node that cannot: what it said. Its folder must stay as it is.
#[track_caller]
pub(crate) fn refused(node: &Node) -> String {
    let before = node.dir.is_dir().then(|| contents(&node.dir));
    let (code, said) = run(node.command());
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(before, node.dir.is_dir().then(|| contents(&node.dir)), "the folder has changed: {said}");
    said
}

#[track_caller]
pub(crate) fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in: {said}");
    }
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    let mut unknown = kvd();
    unknown.args(["run", "--frobnicate"]);
    let (code, said) = run(unknown);
    assert_eq!(code, Some(2));
    says(&said, &["--frobnicate", "Usage"]);
    let mut cluster = Cluster::plan(2, &["--heartbeat", "1h"]);
    let (code, said) = run(cluster.nodes[0].command());
    assert_eq!(code, Some(2));
    says(&said, &["heartbeat", "election_timeout"]);
    cluster.nodes[0].join_instead("127.0.0.1:1,127.0.0.1:2");
    let (code, said) = run(cluster.nodes[0].command());
    assert_eq!(code, Some(2), "{said}");
    assert!(!cluster.nodes[0].dir.exists());
}

#[tokio::test]
async fn a_port_in_use_prevents_the_start_and_no_folder_is_made() {
    let cluster = Cluster::plan(1, &[]);
    // The client port is bound first. It comes last here: for a moment after it was given up, a process that another
    // test is about to start may still hold it.
    for (flag, address) in [("--peer", &cluster.nodes[0].peer), ("--client", &cluster.nodes[0].client)] {
        let holder = TcpListener::bind(address).unwrap();
        says(&refused(&cluster.nodes[0]), &[address, flag, "in use"]);
        assert!(!cluster.nodes[0].dir.exists());
        drop(holder);
    }
}

#[tokio::test]
async fn an_address_of_another_machine_prevents_the_start_and_is_told_from_a_port_in_use() {
    let mut cluster = Cluster::plan(1, &[]);
    // Set aside for documentation: nobody has it.
    cluster.nodes[0].client = "192.0.2.1:7101".to_owned();
    says(
        &refused(&cluster.nodes[0]),
        &["192.0.2.1:7101", "does not have that address", "--advertise-client"],
    );
}

#[tokio::test]
async fn a_folder_below_a_file_prevents_the_start() {
    let mut cluster = Cluster::plan(1, &[]);
    let file = cluster.scratch().join("file");
    touch(&file);
    cluster.nodes[0].dir = file.join("data");
    says(&refused(&cluster.nodes[0]), &["data folder", "--dir"]);
    assert!(file.is_file());
}

#[tokio::test]
async fn a_folder_on_a_read_only_mount_prevents_the_start() {
    let mut cluster = Cluster::start(1);
    cluster.leader().await;
    assert!(cluster.nodes[0].terminate().await.success());
    let before = contents(&cluster.nodes[0].dir);
    // Read-only for this command and its children alone, in a mount namespace of their own.
    let dir = &cluster.nodes[0].dir;
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,ro,bind \"$1\" && shift && exec \"$@\"";
    let in_namespace = |node: &Node| {
        let inner = node.command();
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(&node.dir)
            .arg(inner.get_program())
            .args(inner.get_args());
        command
    };
    let mut probe = Command::new("unshare");
    probe.args(["--mount", "sh", "-c", script, "sh"]).arg(dir).arg("true");
    if !probe.status().is_ok_and(|status| status.success()) {
        // Past the test harness, which would keep it to itself.
        let skipped = b"SKIPPED a read-only folder: this user may not make a read-only mount\n";
        std::io::stderr().write_all(skipped).unwrap();
        return;
    }
    let (code, said) = run(in_namespace(&cluster.nodes[0]));
    assert_eq!(code, Some(1), "{said}");
    says(&said, &["Read-only", "--dir"]);
    assert_eq!(before, contents(&cluster.nodes[0].dir));
}

#[tokio::test]
async fn a_folder_in_use_prevents_a_second_start() {
    let cluster = Cluster::start(1);
    cluster.leader().await;
    let mut second = Cluster::plan(1, &[]);
    second.nodes[0].dir = cluster.nodes[0].dir.clone();
    let (code, said) = run(second.nodes[0].command());
    assert_eq!(code, Some(1));
    says(&said, &["in use by another process"]);
    cluster.client().put(b"key", b"value").await.unwrap();
}

#[tokio::test]
async fn the_folder_of_another_member_prevents_the_start() {
    let mut cluster = Cluster::start(3);
    cluster.leader().await;
    for at in [0, 1] {
        assert!(cluster.nodes[at].terminate().await.success());
    }
    let own = cluster.nodes[0].dir.clone();
    cluster.nodes[0].dir = cluster.nodes[1].dir.clone();
    says(&refused(&cluster.nodes[0]), &["n1", "n2", "--name"]);
    cluster.nodes[0].dir = own;
    cluster.nodes[0].start();
    cluster.client().put(b"key", b"value").await.unwrap();
}

#[tokio::test]
async fn the_folder_of_another_cluster_prevents_the_start_and_the_others_serve() {
    let (mut cluster, mut other) = (Cluster::start(3), Cluster::start(1));
    cluster.leader().await;
    other.leader().await;
    let foreign = other.nodes[0].serves().await.cluster_id.unwrap();
    let own = cluster.nodes[0].serves().await.cluster_id.unwrap();
    other.nodes[0].kill();
    assert!(cluster.nodes[0].terminate().await.success());
    let dir = std::mem::replace(&mut cluster.nodes[0].dir, other.nodes[0].dir.clone());
    says(&refused(&cluster.nodes[0]), &[&foreign, &own, "--dir"]);
    cluster.client().put(b"key", b"value").await.unwrap();
    cluster.nodes[0].dir = dir;
    cluster.nodes[0].start();
    cluster.nodes[0].has_applied("key", b"value").await;
}

#[tokio::test]
async fn a_truncated_or_damaged_segment_prevents_the_start_and_is_named() {
    let mut cluster = Cluster::start(3);
    let client = cluster.client();
    for number in 0..20 {
        client.put(format!("key-{number}").as_bytes(), b"value").await.unwrap();
    }
    let broken = cluster.follower().await;
    assert!(cluster.nodes[broken].terminate().await.success());
    let segment = cluster.nodes[broken].dir.join("log/0000000000000001.seg");
    let whole = fs::read(&segment).unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap();

    fs::write(&segment, &whole[..whole.len() / 2]).unwrap();
    says(&refused(&cluster.nodes[broken]), &[name, "expected"]);
    let mut flipped = whole.clone();
    // In the header of the first batch, right behind the segment's own.
    flipped[4096 + 20] ^= 1;
    fs::write(&segment, &flipped).unwrap();
    says(&refused(&cluster.nodes[broken]), &[name]);
    client.put(b"key", b"value").await.unwrap();

    fs::write(&segment, &whole).unwrap();
    cluster.nodes[broken].start();
    cluster.nodes[broken].has_applied("key", b"value").await;
}
