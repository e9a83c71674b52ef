//! Changes of the members that must not be, or not now.

use kv_client::KvStore;
use kv_client::protocol::MemberChange;
use rustix::process::Signal;

use crate::cluster::{Cluster, Node, eventually};

#[tokio::test]
async fn a_change_that_leaves_too_few_voters_in_reach_is_refused_unless_forced() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader().await;
    let (dead, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let names: Vec<_> = cluster.nodes.iter().map(|node| node.name.clone()).collect();
    let silent_ms = async |cluster: &Cluster| {
        let members = cluster.nodes[leader].status().await?.members;
        members.into_iter().find(|member| member.name == names[dead])?.silent_ms
    };
    eventually("that the leader hears it", async || silent_ms(&cluster).await).await;
    cluster.nodes[dead].kill();
    let misses = async || silent_ms(&cluster).await.filter(|silent| *silent > 1000);
    eventually("that the leader misses it", misses).await;
    let refused = cluster.kvctl(&["member", "remove", &names[other]]).await;
    refused.fails(4, &["2 of the 2 voters", "only 1 do", &names[dead], "--force"]);
    cluster.client().put(b"key", b"value").await.unwrap();
    let at = cluster.add();
    let name = cluster.nodes[at].name.clone();
    cluster.admit(at, &["--voter"]).await.fails(4, &["3 of the 4 voters", &name]);
    assert_eq!(cluster.voters().await.len(), 3, "nothing has changed");

    cluster.kvctl(&["member", "remove", &names[dead]]).await.succeeds();
    assert_eq!(cluster.voters().await.len(), 2);
    cluster.client().put(b"key", b"other").await.unwrap();
}

#[tokio::test]
async fn a_second_change_hears_that_one_is_in_progress_and_the_first_one_comes_to_pass() {
    // A leader that nobody answers goes on for a while.
    let cluster = Cluster::start_with(3, &["--election-timeout", "4s"]);
    let leader = cluster.leader().await;
    let followers = [(leader + 1) % 3, (leader + 2) % 3];
    let endpoint = cluster.nodes[leader].client.clone();
    let before = cluster.nodes[leader].serves().await.log.last_index;
    let leaves = cluster.nodes[followers[0]].serves().await.node_id;
    let remove = vec![MemberChange::Remove { id: u64::from_str_radix(&leaves, 16).unwrap() }];
    let client = cluster.nodes[leader].own_client();
    followers.iter().for_each(|&at| cluster.nodes[at].signal(Signal::STOP));
    let ghost = ["--peer", "127.0.0.1:1", "--client", "127.0.0.1:1", "--id", "00000000000000ab", "--learner"];
    let add = [&["-e", &endpoint, "member", "add", "ghost"][..], &ghost].concat();
    let (first, ()) = tokio::join!(client.change_members(remove, false), async {
        eventually("the first change", async || {
            (cluster.nodes[leader].status().await?.log.last_index > before).then_some(())
        })
        .await;
        cluster.kvctl(&add).await.fails(5, &["another change is in progress", "kvctl member list"]);
        followers.iter().for_each(|&at| cluster.nodes[at].signal(Signal::CONT));
    });
    first.unwrap();
    assert_eq!(cluster.voters().await.len(), 2);
}

#[tokio::test]
async fn what_does_not_fit_is_named_before_anything_changes() {
    let mut cluster = Cluster::start(1);
    cluster.leader().await;
    cluster.kvctl(&["member", "remove", "n9"]).await.fails(3, &["no member has the name or id n9", "n1 ("]);
    cluster.kvctl(&["member", "remove", "n1"]).await.fails(4, &["no voter would be left"]);
    cluster.kvctl(&["leader", "move", "n9"]).await.fails(3, &["n9"]);
    cluster.kvctl(&["leader", "move"]).await.fails(4, &["no other voter", "add one"]);
    let ghost = ["--peer", "127.0.0.1:1", "--client", "127.0.0.1:1", "--id", "00000000000000ab", "--voter"];
    let added = cluster.kvctl(&[&["member", "add", "ghost"][..], &ghost].concat()).await;
    added.fails(1, &["nobody has confirmed", "leave out --voter", "--force"]);
    let at = cluster.add();
    let (client, peer) = (cluster.nodes[at].client.clone(), cluster.nodes[at].peer.clone());
    let named = ["member", "add", "n7", "--peer", &peer, "--client", &client];
    cluster.kvctl(&named).await.fails(1, &["its name is n2, not n7"]);
    let at_other = ["member", "add", "n2", "--peer", "127.0.0.1:1", "--client", &client];
    cluster.kvctl(&at_other).await.fails(1, &["its peer address is"]);
    let silent = ["member", "add", "n2", "--peer", &peer, "--client", "127.0.0.1:1"];
    cluster.kvctl(&silent).await.fails(1, &["cannot be asked for its id", "--id"]);
    let other = Cluster::start(1);
    other.leader().await;
    let Node { client, peer, .. } = &other.nodes[0];
    let foreign = ["member", "add", "n1", "--peer", peer, "--client", client];
    cluster.kvctl(&foreign).await.fails(1, &["belongs to cluster", "cannot be added"]);
    let both = format!("{},{client}", cluster.nodes[0].client);
    let status = cluster.kvctl(&["-e", &both, "status"]).await;
    assert!(status.out.contains("other cluster"), "{status:?}");
    status.fails(1, &["of another cluster: "]);
    assert_eq!(cluster.voters().await, ["n1"]);
    cluster.client().put(b"key", b"value").await.unwrap();
}

#[tokio::test]
async fn a_learner_that_never_answered_was_never_heard_from() {
    let cluster = Cluster::start(1);
    cluster.leader().await;
    let ghost = ["--peer", "127.0.0.1:1", "--client", "127.0.0.1:1", "--id", "00000000000000ab", "--learner"];
    cluster.kvctl(&[&["member", "add", "ghost"][..], &ghost].concat()).await.succeeds();
    let listed = cluster.kvctl(&["member", "list"]).await.succeeds().out;
    let row = listed.lines().find(|line| line.starts_with("ghost")).unwrap();
    assert!(!row.contains("ms ago"), "{listed}");
}
