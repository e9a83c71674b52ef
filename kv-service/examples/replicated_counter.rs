//! Raft as a library: a durable counter, replicated over TCP by three nodes that live in one process for once.
//!
//! `cargo run -p kv-service --example replicated_counter`

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use raft_core::configuration::{Member, MemberRole};
use raft_core::driver::{Parts, SnapshotPolicy};
use raft_core::fs::StdFs;
use raft_core::node::{self, Consistency, NodeHandle};
use raft_core::snapshot::{SnapshotMeta, SnapshotView};
use raft_core::state_machine::{ApplyError, StateMachine};
use raft_core::{Block, Configuration, EntryKind, NodeId, Options};
use raft_log::{LogOptions, LogThread};
use raft_net::connector::{TcpConnector, TcpListener};
use raft_net::{Local, NetTransport};
use raft_snapshot::{SnapshotFiles, SnapshotThread};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// The application: every command is a number to add.
#[derive(Clone, Copy, Debug, Default)]
struct Counter(i64);

impl StateMachine for Counter {
    type Reply = i64;

    fn apply(&mut self, batch: &[Block], replies: &mut Vec<i64>) -> Result<(), ApplyError> {
        for entry in batch.iter().flat_map(Block::entries) {
            if entry.kind == EntryKind::Normal {
                self.0 += i64::from_le_bytes(entry.payload.try_into()?);
            }
            replies.push(self.0);
        }
        Ok(())
    }

    fn freeze(&self) -> Box<dyn SnapshotView> {
        Box::new(*self)
    }

    fn restore(&mut self, reader: &mut dyn Read) -> Result<(), ApplyError> {
        let mut bytes = [0; 8];
        reader.read_exact(&mut bytes)?;
        self.0 = i64::from_le_bytes(bytes);
        Ok(())
    }
}

impl SnapshotView for Counter {
    fn write_to(&self, out: &mut dyn Write) -> std::io::Result<()> {
        out.write_all(&self.0.to_le_bytes())
    }
}

/// Starts one node: snapshots, log, network, and consensus over the three.
fn start(member: &Member, dir: &Path, listener: TcpListener) -> Result<NodeHandle<Counter>, AnyError> {
    let (sinks, events) = node::channels();
    let (files, found) =
        SnapshotFiles::open(&dir.join("snap"), StdFs, raft_snapshot::Options::default(), sinks.snapshots)?;
    let floor = found.latest.map_or(SnapshotMeta::NONE, |info| info.meta);
    let (log_dir, log_options) = (dir.join("log"), LogOptions::default());
    raft_log::create(&log_dir, StdFs, &log_options, member.id)?;
    let (log, opened) = raft_log::open(&log_dir, StdFs, &log_options, &floor, sinks.log)?;
    let local = Local {
        node_id: member.id,
        name: member.name.clone(),
        peer_address: member.peer_address.clone(),
        client_address: String::new(),
        cluster_id: opened.recovered.hard_state.cluster_id,
        join: Vec::new(),
    };
    let (options, dialer) = (raft_net::Options::default(), Arc::new(TcpConnector));
    let parts = Parts {
        id: member.id,
        options: Options::default(),
        policy: SnapshotPolicy::default(),
        seed: member.id.get(),
        recovered: opened.recovered,
        log: LogThread::spawn(log)?,
        transport: NetTransport::start(local, options, dialer, Box::new(listener), sinks.transport),
        snapshots: SnapshotThread::spawn(files)?,
        state_machine: Counter::default(),
    };
    let (node, _task) = node::start(parts, events)?;
    Ok(node)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AnyError> {
    let dir = tempfile::tempdir()?;
    let (mut members, mut listeners) = (Vec::new(), Vec::new());
    for id in 1..=3 {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (id, name) = (NodeId::new(id).ok_or("0 is no id")?, format!("n{id}"));
        let peer_address = listener.local_addr()?.to_string();
        let (role, client_address) = (MemberRole::Voter, String::new());
        members.push(Member { id, role, newest_version: 1, name, peer_address, client_address });
        listeners.push(listener);
    }
    let mut nodes = Vec::new();
    for (member, listener) in members.iter().zip(listeners) {
        nodes.push(start(member, &dir.path().join(&member.name), listener)?);
    }
    nodes[0].initialize(Configuration::new(1, members)?).await?;

    let commands = (1..=100_i64).map(|number| Bytes::copy_from_slice(&number.to_le_bytes()).into());
    let mut outcomes = nodes[0].propose_batch(commands.collect()).await;
    let last = outcomes.pop().ok_or("nothing was proposed")??;
    println!("1 + 2 + … + 100 = {}, committed as entry {}", last.reply, last.id);
    for (number, node) in (1..).zip(&nodes) {
        node.wait_applied(last.id.index).await?;
        let sum = node.read(Consistency::Serializable, |counter| counter.0).await?;
        println!("node {number} has applied {sum}");
    }
    Ok(())
}
