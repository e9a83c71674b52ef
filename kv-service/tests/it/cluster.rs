//! A cluster of real processes for one test: started, killed, paused, asked, and gone with the test.
//!
//! When a test fails, the last lines of every node's log are printed.

use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use kv_client::protocol::{Consistency, NodeStatus, Role};
use kv_client::{Client, KvStore, Options, ReadOptions};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Whatever a test waits for comes within this, also on a machine with too much to do; or it does not come at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(20);
const LOG_LINES_SHOWN: usize = 60;

/// Some nodes that list each other.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    dir: TempDir,
}

/// One node, running or not.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) client: String,
    pub(crate) peer: String,
    pub(crate) dir: PathBuf,
    pub(crate) log_file: PathBuf,
    join: String,
    flags: Vec<String>,
    child: Option<Child>,
}

impl Cluster {
    /// `count` nodes, all started.
    pub(crate) fn start(count: usize) -> Self {
        Self::start_with(count, &[])
    }

    /// `count` nodes with further flags, all started.
    pub(crate) fn start_with(count: usize, flags: &[&str]) -> Self {
        let mut cluster = Self::plan(count, flags);
        cluster.nodes.iter_mut().for_each(Node::start);
        cluster
    }

    /// `count` nodes, none started.
    pub(crate) fn plan(count: usize, flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a folder for the test");
        let addresses = free_addresses(2 * count);
        let (clients, peers) = addresses.split_at(count);
        let join = peers.join(",");
        let nodes = (0..count).map(|at| {
            let name = format!("n{}", at + 1);
            Node {
                client: clients[at].clone(),
                peer: peers[at].clone(),
                dir: dir.path().join(&name),
                log_file: dir.path().join(format!("{name}.log")),
                join: join.clone(),
                flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
                child: None,
                name,
            }
        });
        Self { nodes: nodes.collect(), dir }
    }

    /// Starts one more node, which lists the first members and itself, and is no member yet; its place.
    pub(crate) fn add(&mut self) -> usize {
        let [client, peer] = <[String; 2]>::try_from(free_addresses(2)).expect("as many as asked for");
        let name = format!("n{}", self.nodes.len() + 1);
        let first = &self.nodes[0];
        let mut node = Node {
            dir: self.dir.path().join(&name),
            log_file: self.dir.path().join(format!("{name}.log")),
            join: format!("{},{peer}", first.join),
            flags: first.flags.clone(),
            child: None,
            name,
            client,
            peer,
        };
        node.start();
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// A folder beside those of the nodes, gone with the test.
    pub(crate) fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// A client that knows all nodes.
    pub(crate) fn client(&self) -> Client {
        client(self.nodes.iter().map(|node| node.client.as_str()))
    }

    /// Waits for a leader that has applied an entry of its term; its place among the nodes.
    pub(crate) async fn leader(&self) -> usize {
        eventually("a leader", async || {
            let mut leaders = Vec::new();
            for (at, node) in self.nodes.iter().enumerate() {
                match node.status().await {
                    Some(status) if status.role == Role::Leader => leaders.push((status.term, at)),
                    _ => {}
                }
            }
            let (_, at) = leaders.into_iter().max()?;
            let client = self.nodes[at].own_client();
            client.get(b"?", ReadOptions::default()).await.is_ok().then_some(at)
        })
        .await
    }

    /// A node that does not lead.
    pub(crate) async fn follower(&self) -> usize {
        (self.leader().await + 1) % self.nodes.len()
    }

    /// Waits until all running nodes have applied what the furthest had when this began, and returns the hash of
    /// their states, which must be one.
    pub(crate) async fn settle(&self) -> String {
        let running: Vec<_> = self.nodes.iter().filter(|node| node.child.is_some()).collect();
        eventually("equal states", async || {
            let mut hashes = Vec::new();
            for node in &running {
                hashes.push(node.status().await?.store.state_hash);
            }
            let index = hashes[0].index;
            let settled = index > 0 && hashes.iter().all(|hash| hash.index == index);
            settled.then(|| {
                assert!(hashes.iter().all(|hash| hash.hash == hashes[0].hash), "states differ: {hashes:?}");
                hashes[0].hash.clone()
            })
        })
        .await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            if node.child.is_some() {
                node.kill();
            }
        }
        if std::thread::panicking() {
            self.nodes.iter().for_each(Node::show_log);
        }
    }
}

impl Node {
    /// The command that runs it.
    pub(crate) fn command(&self) -> Command {
        let mut command = kvd();
        command.args(["run", "--name", &self.name, "--client", &self.client, "--peer", &self.peer]);
        command.args(["--join", &self.join, "--log-segment", "1MiB", "--dir"]).arg(&self.dir);
        command.args(&self.flags);
        command
    }

    /// Runs with exactly these flags from now on, besides the data folder.
    pub(crate) fn run_instead(&mut self, command_line: &str) {
        let words: Vec<_> = command_line.split(' ').collect();
        let told = |flag: &str| words[words.iter().position(|word| *word == flag).expect("the flag") + 1];
        assert_eq!(
            (told("--name"), told("--client"), told("--peer")),
            (&*self.name, &*self.client, &*self.peer)
        );
        self.join = told("--join").to_owned();
        self.flags
            .extend(words.iter().filter(|word| **word == "--join-existing").map(|&flag| flag.to_owned()));
    }

    /// Gives it other addresses, which its list, of the other members, does not name.
    pub(crate) fn move_away(&mut self) {
        [self.client, self.peer] = <[String; 2]>::try_from(free_addresses(2)).expect("as many as asked for");
        self.flags.push("--join-existing".to_owned());
    }

    /// Gives it another list.
    pub(crate) fn join_instead(&mut self, join: &str) {
        self.join = join.to_owned();
    }

    pub(crate) fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// SIGKILL, and its data folder is gone.
    pub(crate) fn wipe(&mut self) {
        self.kill();
        fs::remove_dir_all(&self.dir).expect("a folder of the test");
    }

    /// Starts it.
    pub(crate) fn start(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let log = OpenOptions::new().create(true).append(true).open(&self.log_file).expect("a log file");
        let output = log.try_clone().expect("a log file");
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(output).stderr(log);
        self.child = Some(command.spawn().expect("kvd starts"));
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap_or_else(|| panic!("{} does not run", self.name));
        child.kill().expect("a child can be killed");
        child.wait().expect("a killed child ends");
    }

    /// SIGTERM; how it ended.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended().await
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let child = self.child.as_mut().unwrap_or_else(|| panic!("{} does not run", self.name));
        let status = eventually("its end", async || child.try_wait().expect("a child of this test")).await;
        self.child = None;
        status
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().unwrap_or_else(|| panic!("{} does not run", self.name));
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("pids are small")).expect("pids are not 0");
        kill_process(pid, signal).expect("a child can be signalled");
    }

    /// A client that knows this node alone (until it learns of others).
    pub(crate) fn own_client(&self) -> Client {
        client([self.client.as_str()])
    }

    /// How it is, if it answers.
    pub(crate) async fn status(&self) -> Option<NodeStatus> {
        self.own_client().status(&self.client).await.ok()
    }

    /// Waits until it answers.
    pub(crate) async fn serves(&self) -> NodeStatus {
        eventually("its status", async || self.status().await).await
    }

    /// What this very node has applied for `key`.
    pub(crate) async fn applied(&self, key: &str) -> Option<Vec<u8>> {
        let read = ReadOptions { consistency: Consistency::Serializable, ..ReadOptions::default() };
        let found = self.own_client().get(key.as_bytes(), read).await.ok()?;
        found.value.map(|value| value.bytes.to_vec())
    }

    /// Waits until it has applied `value` for `key`.
    pub(crate) async fn has_applied(&self, key: &str, value: &[u8]) {
        let what = format!("{key} applied on {}", self.name);
        eventually(&what, async || (self.applied(key).await? == value).then_some(())).await;
    }

    /// Its log so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log_file).unwrap_or_default()
    }

    /// Waits until its log says `text`.
    pub(crate) async fn says(&self, text: &str) {
        eventually(&format!("{text:?} in the log of {}", self.name), async || {
            self.log().contains(text).then_some(())
        })
        .await;
    }

    /// Fails if it leads or follows anybody at any moment of the next `time`.
    pub(crate) async fn stays_leaderless(&self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let status = self.serves().await;
            assert_eq!(status.leader_id, None, "{} found a leader in term {}", self.name, status.term);
            tokio::time::sleep(POLL).await;
        }
    }

    fn show_log(&self) {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
        eprintln!("--- last lines of {}:\n{}", self.log_file.display(), shown.join("\n"));
    }
}

/// `kvd`, without variables of the environment that it would listen to.
pub(crate) fn kvd() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvd"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("KV_")) {
        command.env_remove(name);
    }
    command
}

/// The program `kvctl`, built beside `kvd` or named by `KVCTL`.
pub(crate) fn kvctl() -> Command {
    let beside = || Path::new(env!("CARGO_BIN_EXE_kvd")).with_file_name("kvctl");
    let kvctl = std::env::var_os("KVCTL").map_or_else(beside, PathBuf::from);
    assert!(kvctl.exists(), "{} is not built: cargo build -p kv-client, or set KVCTL", kvctl.display());
    let mut command = Command::new(kvctl);
    command.env_remove("KV_ENDPOINTS");
    command
}

/// A client of these nodes with the patience of a test.
pub(crate) fn client<'a>(endpoints: impl IntoIterator<Item = &'a str>) -> Client {
    let client = Client::new(endpoints, Options::default()).expect("there are endpoints");
    client.with_deadline(Duration::from_secs(10))
}

/// Asks until there is an answer; fails after [`PATIENCE`].
pub(crate) async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = attempt().await {
            return found;
        }
        assert!(Instant::now() < end, "waited for {what} in vain");
        tokio::time::sleep(POLL).await;
    }
}

/// Addresses that nobody listens on, on a loopback address of their own: a port that is free now stays free while
/// its node is down, for outgoing connections of other tests do not take it.
fn free_addresses(count: usize) -> Vec<String> {
    static TAKEN: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let host = Ipv4Addr::new(127, high, low, TAKEN.fetch_add(1, Ordering::Relaxed));
    let bind = |_| TcpListener::bind((host, 0)).or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let ports: Vec<_> = (0..count).map(|at| bind(at).expect("a free port")).collect();
    ports.iter().map(|port| port.local_addr().expect("it is bound").to_string()).collect()
}

/// An empty file.
pub(crate) fn touch(path: &Path) {
    File::create(path).expect("a file in the test's folder");
}
