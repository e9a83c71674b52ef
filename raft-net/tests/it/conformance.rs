//! `NetTransport` keeps every sentence of the contract of `Transport`.

use std::collections::BTreeMap;
use std::time::Duration;

use raft_core::testing::transport_suite::{TransportHarness, check_transport};
use raft_core::transport::TransportEvent;
use raft_core::types::ClusterId;
use raft_net::{Local, NetTransport, Options};
use tokio::runtime::{Builder, Runtime};

use crate::support::{Node, Wires, local, options};

/// Room for whatever a node is told between two looks.
const EVENTS: usize = 1 << 16;

/// Longer than any pause between dials and any handshake.
const RUN: Duration = Duration::from_secs(6);

/// Longer than the suite takes to answer an offer: it runs in between.
const STALL: Duration = Duration::from_secs(600);

/// Nodes on one thread, whose time passes only while the suite lets them run.
struct NetHarness<'a> {
    runtime: &'a Runtime,
    wires: Wires,
    nodes: BTreeMap<u64, Node>,
}

impl TransportHarness for NetHarness<'_> {
    type Transport = NetTransport;

    fn start(&mut self, number: u64, cluster_id: Option<ClusterId>) {
        let local = Local { cluster_id, ..local(number) };
        let options = Options { stall_timeout: STALL, ..options() };
        self.nodes.insert(number, Node::start_with_events(&self.wires, local, options, EVENTS));
    }

    fn addresses(&self, number: u64) -> [String; 3] {
        let local = local(number);
        [local.name, local.peer_address, local.client_address]
    }

    fn transport(&mut self, number: u64) -> &mut NetTransport {
        &mut self.nodes.get_mut(&number).unwrap().transport
    }

    fn run(&mut self) {
        self.runtime.block_on(tokio::time::sleep(RUN));
    }

    fn events(&mut self, number: u64) -> Vec<TransportEvent> {
        let Some(node) = self.nodes.get_mut(&number) else { return Vec::new() };
        std::iter::from_fn(|| node.events.try_recv().ok()).collect()
    }

    /// By the addresses that connections are made to, as there are but two nodes on the link.
    fn set_link(&mut self, one: u64, other: u64, whole: bool) {
        for number in [one, other] {
            match whole {
                true => self.wires.mend(&format!("n{number}:1")),
                false => self.wires.cut(&format!("n{number}:1")),
            }
        }
    }
}

#[test]
fn the_transport_over_streams_keeps_every_sentence_of_the_contract() {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    // Transports start tasks.
    let _inside = runtime.enter();
    let fresh = || NetHarness { runtime: &runtime, wires: Wires::default(), nodes: BTreeMap::new() };
    check_transport(fresh).unwrap_or_else(|failure| panic!("{failure}"));
}
