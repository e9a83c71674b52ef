//! Nodes are alike: a state in which two of them have changed places leads to the same states with these places changed.
//! Of such a family one member is explored.
//!
//! The choice is by fingerprint: the smallest one under all renamings of the first voters. That is sound because no rule of
//! [`Raft`](crate::Raft) asks which id is greater, but for the order in which it does the same to all peers.

use crate::fingerprint::Naming;
use crate::options::Options;
use crate::raft::Raft;
use crate::snapshot::SnapshotMeta;
use crate::storage::Recovered;
use crate::time::Time;
use crate::types::NodeId;

/// Other ids for the nodes.
pub(super) struct Renaming {
    /// By id, from 0, which is nobody's.
    ids: Vec<u64>,
    /// The first name for a request for reads of each node and life: names tell lives apart, not nodes.
    first_requests: Vec<(u64, u64)>,
}

impl Naming for Renaming {
    fn node(&self, id: NodeId) -> u64 {
        let place = usize::try_from(id.get()).expect("nodes are numbered from 1");
        self.ids[place]
    }

    fn request(&self, request: u64) -> u64 {
        let since = |(life, first): &(u64, u64)| {
            let age = request.wrapping_sub(*first);
            (age < 1 << 20).then_some((life << 20) | age)
        };
        self.first_requests.iter().find_map(since).unwrap_or(request)
    }
}

/// All renamings of the nodes 1 to `voters`, which leave the others up to `nodes` alone; the true names first.
pub(super) fn renamings(voters: u64, nodes: u64, lives: u64, is_wanted: bool) -> Vec<Renaming> {
    let mut orders = vec![vec![]];
    for id in 1..=voters {
        orders = orders.iter().flat_map(|order| insertions(order, id)).collect();
    }
    if !is_wanted {
        orders = vec![(1..=voters).collect()];
    }
    orders.sort_unstable();
    let first_requests = first_requests(nodes, lives);
    let renaming = |order: Vec<u64>| Renaming {
        ids: [0].into_iter().chain(order).chain(voters + 1..=nodes).collect(),
        first_requests: first_requests.clone(),
    };
    orders.into_iter().map(renaming).collect()
}

fn insertions(order: &[u64], id: u64) -> Vec<Vec<u64>> {
    let at = |place: usize| [&order[..place], &[id], &order[place..]].concat();
    (0..=order.len()).map(at).collect()
}

fn first_requests(nodes: u64, lives: u64) -> Vec<(u64, u64)> {
    let of = |id: u64, life: u64| {
        let id = NodeId::new(id).expect("nodes are numbered from 1");
        let (options, recovered) = (Options::default(), Recovered::default());
        let raft = Raft::new(id, options, life, Time::ZERO, recovered, SnapshotMeta::NONE);
        (life, raft.expect("a node starts on an empty disk").next_request())
    };
    (0..lives).flat_map(|life| (1..=nodes).map(move |id| of(id, life))).collect()
}
