//! What an operator does: commands of `kvctl`, and what they say.

use std::process::Output;
use std::time::{Duration, Instant};

use kv_client::protocol::{MemberRole, NodeStatus, Role};

use crate::cluster::{Cluster, Node, eventually, kvctl};

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) took: Duration,
}

impl Said {
    pub(crate) fn of(output: Output, took: Duration) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("programs speak UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr), took }
    }

    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Fails with this exit code and these words.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "{word:?} is missing: {self:?}");
        }
    }
}

impl Cluster {
    /// Runs `kvctl` with the running nodes as its endpoints.
    pub(crate) async fn kvctl(&self, arguments: &[&str]) -> Said {
        let running = self.nodes.iter().filter(|node| node.is_running());
        let endpoints: Vec<_> = running.map(|node| node.client.as_str()).collect();
        let mut command = kvctl();
        command.args(["-e", &endpoints.join(","), "--timeout", "20s"]).args(arguments);
        let began = Instant::now();
        let output = tokio::task::spawn_blocking(move || command.output().expect("kvctl starts"));
        Said::of(output.await.expect("it ends"), began.elapsed())
    }

    /// `kvctl member add` for a node that runs.
    pub(crate) async fn admit(&self, at: usize, flags: &[&str]) -> Said {
        let Node { name, client, peer, .. } = &self.nodes[at];
        let arguments = ["member", "add", name, "--peer", peer, "--client", client];
        self.kvctl(&[&arguments, flags].concat()).await
    }

    /// The leader's account of itself, once it has one that all agree on.
    pub(crate) async fn led(&self) -> NodeStatus {
        let leader = self.leader().await;
        self.nodes[leader].serves().await
    }

    /// Names of the voters, ascending, once no change is under way.
    pub(crate) async fn voters(&self) -> Vec<String> {
        eventually("a configuration that is not joint", async || {
            let leader = self.nodes[self.leader().await].status().await?;
            let settled =
                |role| matches!(role, MemberRole::Voter | MemberRole::Learner | MemberRole::Promotable);
            if leader.role != Role::Leader || !leader.members.iter().all(|member| settled(member.role)) {
                return None;
            }
            let voters = leader.members.into_iter().filter(|member| member.voter);
            let mut names: Vec<_> = voters.map(|member| member.name).collect();
            names.sort();
            Some(names)
        })
        .await
    }
}
