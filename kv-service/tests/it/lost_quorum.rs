//! Two of three are lost for ever; the survivor goes on alone, and the cluster is made whole again.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kv_client::KvStore;

use crate::bad_starts::{refused, says};
use crate::cluster::{Cluster, Node, eventually, kvd};
use crate::load::Load;
use crate::operator::Said;

/// `kvd recover`, with nobody there to confirm.
fn recover(node: &Node, flags: &[&str]) -> Said {
    let began = Instant::now();
    let mut command = recovering(node, flags);
    Said::of(command.stdin(Stdio::null()).output().expect("kvd starts"), began.elapsed())
}

fn recovering(node: &Node, flags: &[&str]) -> Command {
    let mut command = kvd();
    command.args(["recover", "--dir"]).arg(&node.dir).args(flags);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_survivor_goes_on_alone_and_the_others_come_back_with_empty_folders() {
    let mut cluster = Cluster::start(3);
    cluster.leader().await;
    // A client stays with its cluster: none of these follows into the next one.
    let load = Load::with_patience(&cluster, Duration::from_secs(2));
    load.more(500).await;
    // All that is acknowledged is applied on whoever leads.
    let survivor = cluster.leader().await;
    let others = [(survivor + 1) % 3, (survivor + 2) % 3];
    let before = cluster.nodes[survivor].serves().await;
    others.iter().for_each(|&at| cluster.nodes[at].kill());
    let began = Instant::now();
    recover(&cluster.nodes[survivor], &["--yes"]).fails(1, &["in use by another process"]);
    cluster.nodes[survivor].kill();

    let asked = recover(&cluster.nodes[survivor], &[]);
    assert_eq!(asked.code, Some(4), "{asked:?}");
    let told = [&before.node_id, before.cluster_id.as_ref().unwrap(), "are lost", "nothing was changed"];
    says(&asked.out, &told.map(|text| text as &str));
    let done = recover(&cluster.nodes[survivor], &["--yes"]).succeeds();
    for at in others {
        let Node { name, peer, client, .. } = &cluster.nodes[at];
        says(
            &done.out,
            &[&format!(
                "kvctl -e {} member add {name} --peer {peer} --client {client}",
                before.client_address
            )],
        );
    }
    recover(&cluster.nodes[survivor], &["--yes"]).fails(1, &["only voter", "just start it"]);
    // One that is not lost after all, and knows nothing of this, keeps nobody from going on.
    let behind = others[1];
    cluster.nodes[behind].start();
    cluster.nodes[behind].serves().await;
    cluster.nodes[survivor].start();
    cluster.nodes[survivor].says("a node of a cluster that is over").await;
    cluster.nodes[survivor].own_client().put(b"key", b"alone").await.unwrap();
    println!("alone again after {:.1?}", began.elapsed());
    let after = cluster.nodes[survivor].serves().await;
    assert!(after.cluster_id != before.cluster_id && after.term > before.term && after.members.len() == 1);
    cluster.nodes[behind].says("this node's cluster is over").await;
    cluster.nodes[behind].kill();
    let written = load.check(&cluster).await;
    println!("{written} tokens acknowledged");

    // With its old folder a lost member is fenced off, and told what to do.
    let stale = others[0];
    let said = refused(&cluster.nodes[stale]);
    says(
        &said,
        &[before.cluster_id.as_ref().unwrap(), after.cluster_id.as_ref().unwrap(), "kvctl member add"],
    );
    for at in others {
        fs::remove_dir_all(&cluster.nodes[at].dir).unwrap();
        cluster.nodes[at].start();
        cluster.admit(at, &[]).await.succeeds();
    }
    assert_eq!(cluster.voters().await, ["n1", "n2", "n3"]);
    cluster.client().put(b"key", b"whole again").await.unwrap();
    cluster.settle().await;
}

/// The survivor was added later: no first member lists it, and with the flags that they had they would found a cluster.
#[tokio::test]
async fn the_commands_that_are_printed_bring_the_first_members_back_to_a_survivor_that_they_do_not_list() {
    let mut cluster = Cluster::start(2);
    cluster.client().put(b"key", b"value").await.unwrap();
    let survivor = cluster.add();
    cluster.admit(survivor, &[]).await.succeeds();
    cluster.nodes[survivor].has_applied("key", b"value").await;
    let learner = cluster.add();
    cluster.admit(learner, &["--learner"]).await.succeeds();
    cluster.nodes.iter_mut().for_each(Node::kill);
    let done = recover(&cluster.nodes[survivor], &["--yes"]).succeeds();
    let printed = |start: &str, name: &str| {
        let has_it = |line: &&str| line.starts_with(start) && line.contains(&format!(" {name} "));
        done.out.lines().map(str::trim).find(has_it).map(str::to_owned).expect("a command")
    };
    cluster.nodes[survivor].start();
    let alone = cluster.nodes[survivor].serves().await;
    for at in [0, 1, learner] {
        let name = cluster.nodes[at].name.clone();
        cluster.nodes[at].run_instead(&printed("kvd run", &name));
        fs::remove_dir_all(&cluster.nodes[at].dir).unwrap();
        cluster.nodes[at].start();
    }
    for at in [0, 1, learner] {
        cluster.nodes[at].says("stranger").await;
        let add = printed("kvctl", &cluster.nodes[at].name);
        let words: Vec<_> = add.split(' ').skip_while(|word| *word != "member").collect();
        cluster.kvctl(&words).await.succeeds();
        assert_eq!(cluster.nodes[at].serves().await.cluster_id, alone.cluster_id);
    }
    assert_eq!(cluster.voters().await, ["n1", "n2", "n3"], "the learner learns again");
    cluster.settle().await;
}

#[tokio::test]
async fn a_cluster_that_is_alive_is_not_left_unless_somebody_insists() {
    let mut cluster = Cluster::start(3);
    let away = cluster.follower().await;
    let learner = cluster.add();
    cluster.admit(learner, &["--learner"]).await.succeeds();
    let count = cluster.nodes.len();
    for at in [away, learner] {
        eventually("that it knows all members", async || {
            (cluster.nodes[at].status().await?.members.len() == count).then_some(())
        })
        .await;
        cluster.nodes[at].kill();
        let before = cluster.leader().await;
        let refused = recover(&cluster.nodes[at], &["--yes"]);
        let role = if at == learner { "learner. WARNING" } else { "voter\n" };
        says(&refused.out, &[&format!("role               {role}")]);
        refused.fails(1, &["answers and knows a leader", "nothing was changed", "--others-are-lost"]);
        assert!(cluster.nodes[before].is_running());
    }
    let name = cluster.nodes[away].name.clone();
    cluster.kvctl(&["member", "remove", &name]).await.succeeds();
    recover(&cluster.nodes[away], &["--yes"]).fails(1, &["nothing was changed", "--others-are-lost"]);
    says(&recover(&cluster.nodes[away], &["--others-are-lost"]).out, &["Not confirmed"]);
    let done = recover(&cluster.nodes[away], &["--yes", "--others-are-lost"]).succeeds();
    says(&done.out, &["is the only voter"]);
    // What one survivor has done is heard by the next.
    cluster.nodes[away].start();
    cluster.nodes[away].own_client().put(b"key", b"alone").await.unwrap();
    (0..3).filter(|at| *at != away).for_each(|at| cluster.nodes[at].kill());
    recover(&cluster.nodes[learner], &["--yes"])
        .fails(1, &["nothing was changed", "went on alone already, as cluster"]);
}

#[tokio::test]
async fn a_folder_without_a_node_is_not_recovered_and_none_is_made() {
    let cluster = Cluster::plan(1, &[]);
    recover(&cluster.nodes[0], &["--yes"]).fails(1, &["holds no node"]);
    assert!(!cluster.nodes[0].dir.exists());
    fs::create_dir(&cluster.nodes[0].dir).unwrap();
    recover(&cluster.nodes[0], &["--yes"]).fails(1, &["holds no node"]);
    fs::write(cluster.nodes[0].dir.join("letter"), "not a node's").unwrap();
    recover(&cluster.nodes[0], &["--yes"]).fails(1, &["holds no node"]);
    let names = fs::read_dir(&cluster.nodes[0].dir).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["letter"]);
}

#[tokio::test]
async fn a_survivor_is_recovered_when_somebody_types_yes_and_not_for_any_other_word() {
    let mut cluster = Cluster::start(2);
    cluster.client().put(b"key", b"value").await.unwrap();
    let node = cluster.leader().await;
    cluster.nodes.iter_mut().for_each(Node::kill);
    for (answer, code) in [("y\n", 4), ("yes\n", 0)] {
        let mut command = recovering(&cluster.nodes[node], &[]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), answer.as_bytes()).unwrap();
        assert_eq!(Said::of(child.wait_with_output().unwrap(), Duration::ZERO).code, Some(code));
    }
    cluster.nodes[node].start();
    cluster.nodes[node].own_client().put(b"key", b"alone").await.unwrap();
}
