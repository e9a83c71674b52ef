//! Files of a data folder that are damaged or gone: what makes do without them, and what refuses to start.

use std::fs;
use std::path::{Path, PathBuf};

use kv_client::KvStore;

use crate::bad_starts::{refused, says};
use crate::cluster::{Cluster, Node, eventually};

/// Snapshots further apart than a log file is long, so that one decides which log files are left.
const FLAGS: [&str; 6] = ["--snapshot-bytes", "1MiB", "--snapshot-every", "128", "--log-retain", "1"];
const VALUE: &[u8] = &[b'v'; 16 << 10];

/// A stopped node with two snapshots behind it, of 400 keys.
async fn stopped_with_snapshots() -> Cluster {
    let mut cluster = Cluster::start_with(1, &FLAGS);
    let client = cluster.client();
    for number in 0..400 {
        client.put(format!("key-{number}").as_bytes(), VALUE).await.expect("one node is a cluster");
    }
    let node = &mut cluster.nodes[0];
    eventually("a log that was compacted, and two snapshots", async || {
        // Where the disk is slow, a snapshot took longer than all those keys: the next one falls due at a later entry.
        client.put(b"more", VALUE).await.expect("one node is a cluster");
        let compacted = !node.dir.join("log/0000000000000001.seg").exists();
        let taken = node.status().await?.log.snapshot_index >= 384;
        (compacted && taken && snapshots(node).len() == 2).then_some(())
    })
    .await;
    assert!(node.terminate().await.success());
    cluster
}

/// The files with this ending in a folder, by name.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of the node");
    let paths = entries.map(|entry| entry.expect("an entry of it").path());
    let mut found: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == ending)).collect();
    found.sort();
    found
}

/// The published snapshots, oldest first.
fn snapshots(node: &Node) -> Vec<PathBuf> {
    files(&node.dir.join("snap"), "snap")
}

/// Flips a bit; the file's name.
fn rot(path: &Path, at: usize) -> String {
    let mut bytes = fs::read(path).expect("a file of the node");
    bytes[at] ^= 1;
    fs::write(path, bytes).expect("a file of the node");
    path.file_name().expect("it has a name").to_string_lossy().into_owned()
}

#[tokio::test]
async fn a_damaged_newest_snapshot_is_made_up_for_by_the_older_one_and_the_log() {
    let mut cluster = stopped_with_snapshots().await;
    let name = rot(snapshots(&cluster.nodes[0]).last().unwrap(), 1000);
    cluster.nodes[0].start();
    for number in 0..400 {
        cluster.nodes[0].has_applied(&format!("key-{number}"), VALUE).await;
    }
    cluster.nodes[0].says(&name).await;
    cluster.client().put(b"key", b"value").await.unwrap();
}

#[tokio::test]
async fn with_every_snapshot_damaged_the_node_is_refused_and_each_is_named() {
    let cluster = stopped_with_snapshots().await;
    let node = &cluster.nodes[0];
    let names: Vec<_> = snapshots(node).iter().map(|path| rot(path, 1000)).collect();
    // Again and again: the damaged files are left where they are, to be looked at or put back.
    for _ in 0..2 {
        says(
            &refused(node),
            &[&names[0], &names[1], "checksum", "never an older copy", "kvctl member replace"],
        );
    }
}

#[tokio::test]
async fn a_damaged_log_and_a_damaged_snapshot_are_named_together() {
    let cluster = stopped_with_snapshots().await;
    let node = &cluster.nodes[0];
    let snapshot = rot(snapshots(node).last().unwrap(), 1000);
    // In the header of the first batch, right behind the segment's own.
    let segment = rot(&files(&node.dir.join("log"), "seg")[0], 4096 + 20);
    says(&refused(node), &[&snapshot, &segment]);
}

#[tokio::test]
async fn a_folder_that_lost_its_log_is_refused_even_if_its_snapshots_are_damaged() {
    let cluster = stopped_with_snapshots().await;
    let node = &cluster.nodes[0];
    fs::remove_dir_all(node.dir.join("log")).unwrap();
    says(&refused(node), &["snapshot of entry", "no log", "never an older copy"]);
    let names: Vec<_> = snapshots(node).iter().map(|path| rot(path, 1000)).collect();
    says(&refused(node), &[&names[0], &names[1], "no log", "never an older copy"]);
}
