//! The members change while clients write: not one acknowledged write is lost, none is applied twice.
//!
//! `KV_CHANGES` sets how many rounds (default 1).

use std::time::Duration;

use kv_client::KvStore;
use rustix::process::Signal;

use crate::cluster::{Cluster, Node, eventually};
use crate::load::Load;

fn rounds() -> usize {
    std::env::var("KV_CHANGES").map_or(1, |text| text.parse().expect("KV_CHANGES is a number"))
}

/// What a step cost the clients, after some more writes.
async fn told(load: &Load, step: &str, took: Duration) {
    load.more(100).await;
    println!(
        "{step}: done after {took:.1?}, longest time without an acknowledged write {:.1?}",
        load.outage()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_grows_from_three_to_five_and_shrinks_to_three_under_load() {
    let mut cluster = Cluster::start(3);
    cluster.leader().await;
    let load = Load::start(&cluster);
    load.more(200).await;
    load.outage();
    for _ in 0..rounds() {
        for _ in 0..2 {
            let at = cluster.add();
            let said = cluster.admit(at, &[]).await.succeeds();
            told(&load, &format!("{} added", cluster.nodes[at].name), said.took).await;
        }
        assert_eq!(cluster.voters().await.len(), 5);
        // A follower, then the leader itself.
        for leads in [false, true] {
            let leader = cluster.leader().await;
            let is_member = |at: &usize| cluster.nodes[*at].is_running();
            let gone = match leads {
                true => leader,
                false => (0..cluster.nodes.len()).filter(is_member).find(|at| *at != leader).unwrap(),
            };
            let name = cluster.nodes[gone].name.clone();
            let said = cluster.kvctl(&["member", "remove", &name]).await.succeeds();
            assert!(said.out.contains(&name) && said.out.contains("no member any more"), "{said:?}");
            told(&load, &format!("{name} removed (leader: {leads})"), said.took).await;
            cluster.nodes[gone].says("this node is no member of its cluster").await;
            assert!(cluster.nodes[gone].terminate().await.success());
        }
        assert_eq!(cluster.voters().await.len(), 3);
    }
    let written = load.check(&cluster).await;
    cluster.settle().await;
    println!("{written} tokens acknowledged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_lost_its_folder_is_replaced_under_load_at_the_same_name_and_addresses() {
    let mut cluster = Cluster::start(3);
    cluster.leader().await;
    let load = Load::start(&cluster);
    load.more(200).await;
    for round in 0..rounds() {
        // A follower, then whoever leads.
        let leader = cluster.leader().await;
        let lost = if round.is_multiple_of(2) { (leader + 1) % 3 } else { leader };
        let name = cluster.nodes[lost].name.clone();
        let before = cluster.nodes[lost].serves().await.node_id;
        load.outage();
        cluster.nodes[lost].wipe();
        cluster.nodes[lost].start();
        cluster.nodes[lost].says("stranger").await;
        let added = cluster.admit(lost, &[]).await;
        added.fails(1, &["is the name of member", "kvctl member replace"]);
        let said = cluster.kvctl(&["member", "replace", &name]).await.succeeds();
        told(&load, &format!("{name} wiped and replaced"), said.took).await;
        let again = cluster.kvctl(&["member", "replace", &name]).await.succeeds();
        assert!(again.err.contains("not lost") && !again.out.contains("since entry"), "{again:?}");
        let led = cluster.led().await;
        let member = led.members.iter().find(|member| member.name == name).unwrap();
        assert!(member.voter && member.node_id != before && led.members.len() == 3, "{:?}", led.members);
        let status = cluster.nodes[lost].serves().await;
        assert_eq!((status.node_id, status.note), (member.node_id.clone(), None));
    }
    load.check(&cluster).await;
    cluster.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_moves_where_it_is_wanted_under_load() {
    let cluster = Cluster::start(3);
    cluster.leader().await;
    let load = Load::start(&cluster);
    load.more(200).await;
    load.outage();
    for _ in 0..rounds() {
        let leader = cluster.leader().await;
        let name = cluster.nodes[(leader + 1) % 3].name.clone();
        let said = cluster.kvctl(&["leader", "move", &name]).await.succeeds();
        assert!(said.out.contains(&format!("{name} (")), "{said:?}");
        assert_eq!(cluster.led().await.name, name);
        told(&load, &format!("leadership moved to {name}"), said.took).await;

        let said = cluster.kvctl(&["leader", "move", "-o", "json"]).await.succeeds();
        let told_leader: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        let led = cluster.led().await;
        assert_eq!(told_leader["leader_id"], led.node_id.as_str());
        assert_ne!(led.name, name);
        told(&load, "leadership moved to whoever lacks the least", said.took).await;

        let again = cluster.kvctl(&["leader", "move", &led.name]).await.succeeds();
        assert!(again.out.contains(&led.name), "it leads already: {again:?}");
    }
    load.check(&cluster).await;
    cluster.settle().await;
}

#[tokio::test]
async fn a_learner_learns_is_promoted_and_is_seen_in_the_list() {
    let mut cluster = Cluster::start(1);
    cluster.client().put(b"key", b"value").await.unwrap();
    let at = cluster.add();
    cluster.admit(at, &["--learner"]).await.succeeds();
    cluster.nodes[at].has_applied("key", b"value").await;
    assert_eq!(cluster.voters().await, ["n1"]);
    let listed = cluster.kvctl(&["member", "list"]).await.succeeds().out;
    assert!(listed.contains("LEADER") && listed.contains("learner"), "{listed}");
    cluster.kvctl(&["member", "promote", "n2"]).await.succeeds();
    assert_eq!(cluster.voters().await, ["n1", "n2"]);
    let listed = cluster.kvctl(&["member", "list", "-o", "json"]).await.succeeds().out;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let members = listed["members"].as_array().unwrap();
    assert!(members.iter().all(|member| member["role"] == "voter" && member["lag"].is_u64()), "{listed}");
    cluster.admit(at, &[]).await.succeeds();
    cluster.settle().await;
}

#[tokio::test]
async fn a_learner_is_replaced_by_a_learner() {
    let mut cluster = Cluster::start(1);
    cluster.client().put(b"key", b"value").await.unwrap();
    let at = cluster.add();
    cluster.admit(at, &["--learner"]).await.succeeds();
    let before = cluster.nodes[at].serves().await.node_id;
    cluster.nodes[at].wipe();
    cluster.nodes[at].start();
    cluster.nodes[at].says("stranger").await;
    let said = cluster.kvctl(&["member", "replace", "n2"]).await.succeeds();
    assert!(said.out.contains("is a learner, since entry"), "{said:?}");
    cluster.nodes[at].has_applied("key", b"value").await;
    assert_eq!(cluster.voters().await, ["n1"]);
    assert_ne!(cluster.nodes[at].serves().await.node_id, before);
}

#[tokio::test]
async fn a_replacement_under_way_is_waited_for_when_it_is_asked_for_again() {
    let mut cluster = Cluster::start(3);
    let lost = cluster.follower().await;
    let name = cluster.nodes[lost].name.clone();
    cluster.nodes[lost].wipe();
    cluster.nodes[lost].start();
    let id = cluster.nodes[lost].serves().await.node_id;
    let Node { client, peer, .. } = &cluster.nodes[lost];
    let replace = ["member", "replace", &name, "--peer", peer, "--client", client, "--id", &id];
    // Admitted, and then out of reach: it cannot have caught up, but it is in.
    cluster.nodes[lost].signal(Signal::STOP);
    let begun = cluster.kvctl(&[&replace[..], &["--wait", "100ms"]].concat()).await;
    begun.fails(6, &["not finished"]);
    cluster.nodes[lost].signal(Signal::CONT);
    let said = cluster.kvctl(&["member", "replace", &name]).await.succeeds();
    assert!(said.out.contains(&format!("{name} ({id}) is a voter")), "{said:?}");
    assert_eq!(cluster.voters().await.len(), 3);
}

#[tokio::test]
async fn a_node_in_the_place_of_one_with_another_name_is_asked_for_twice_and_comes_once() {
    let mut cluster = Cluster::start(3);
    let gone = cluster.follower().await;
    let name = cluster.nodes[gone].name.clone();
    let at = cluster.add();
    let Node { name: newcomer, client, peer, .. } = &cluster.nodes[at];
    let replace = ["member", "replace", &name, "--name", newcomer, "--peer", peer, "--client", client];
    let said = cluster.kvctl(&replace).await.succeeds();
    assert!(said.out.contains("is a voter, since entry"), "{said:?}");
    let again = cluster.kvctl(&replace).await.succeeds();
    assert!(again.err.contains("is no member") && !again.out.contains("since entry"), "{again:?}");
    cluster.kvctl(&["member", "replace", &name]).await.fails(3, &["no member has the name"]);
    let voters = cluster.voters().await;
    assert!(voters.len() == 3 && !voters.contains(&name) && voters.contains(newcomer), "{voters:?}");
}

#[tokio::test]
async fn a_member_that_was_started_with_other_addresses_is_reachable_again_once_it_is_added_with_them() {
    let mut cluster = Cluster::start(3);
    let learner = cluster.add();
    cluster.admit(learner, &["--learner"]).await.succeeds();
    let voter = (cluster.leader().await + 1) % 3;
    for (at, flags) in [(voter, &[][..]), (learner, &["--learner"])] {
        let before = cluster.nodes[at].serves().await.node_id;
        cluster.nodes[at].kill();
        cluster.nodes[at].move_away();
        cluster.nodes[at].start();
        cluster.client().put(b"key", cluster.nodes[at].name.as_bytes()).await.unwrap();
        cluster.admit(at, flags).await.succeeds();
        cluster.nodes[at].has_applied("key", cluster.nodes[at].name.as_bytes()).await;
        let led = cluster.led().await;
        let member = led.members.iter().find(|member| member.node_id == before).unwrap();
        let known = (&member.peer_address, &member.client_address, member.voter);
        assert_eq!(known, (&cluster.nodes[at].peer, &cluster.nodes[at].client, at == voter));
        let again = cluster.admit(at, flags).await.succeeds();
        assert!(!again.out.contains("since entry"), "{again:?}");
    }
    assert_eq!(cluster.voters().await.len(), 3);
}

#[tokio::test]
async fn a_member_that_was_away_when_it_was_removed_is_told_so_and_can_come_back() {
    let mut cluster = Cluster::start(3);
    let away = cluster.follower().await;
    let name = cluster.nodes[away].name.clone();
    cluster.client().put(b"key", b"value").await.unwrap();
    cluster.nodes[away].has_applied("key", b"value").await;
    cluster.nodes[away].kill();
    cluster.kvctl(&["member", "remove", &name]).await.succeeds();
    cluster.client().put(b"key", b"other").await.unwrap();
    cluster.nodes[away].start();
    let note = eventually("a note", async || cluster.nodes[away].status().await?.note).await;
    assert!(note.contains("no member") && note.contains("says so") && note.contains("member add"), "{note}");
    cluster.nodes[away].says("no member of its cluster (any more)").await;
    cluster.admit(away, &[]).await.succeeds();
    cluster.nodes[away].has_applied("key", b"other").await;
    eventually("the note to go", async || cluster.nodes[away].status().await?.note.is_none().then_some(()))
        .await;
    assert_eq!(cluster.voters().await.len(), 3);
}

#[tokio::test]
async fn a_removed_member_says_so_again_after_a_restart_and_answers_no_reads() {
    let mut cluster = Cluster::start(3);
    let removed = cluster.follower().await;
    let name = cluster.nodes[removed].name.clone();
    cluster.client().put(b"key", b"value").await.unwrap();
    cluster.nodes[removed].has_applied("key", b"value").await;
    cluster.kvctl(&["member", "remove", &name]).await.succeeds();
    for _ in 0..2 {
        let note = eventually("a note", async || cluster.nodes[removed].status().await?.note).await;
        assert!(note.contains("no member") && note.contains("kvctl member add"), "{note}");
        let node = &cluster.nodes[removed];
        let status = node.serves().await;
        assert_eq!((status.leader_id, node.applied("key").await), (None, None));
        assert!(cluster.nodes[removed].terminate().await.success());
        cluster.nodes[removed].start();
        cluster.nodes[removed].serves().await;
    }
    let listed = cluster.kvctl(&["status"]).await.succeeds().out;
    assert!(listed.contains("no member"), "{listed}");
}
