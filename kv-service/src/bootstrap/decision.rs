//! Who founds the cluster, and when: one function of what a fresh node knows.
//!
//! Invariant (one-founder): of all nodes that were given one list, only the one whose listed address sorts first
//! writes a first configuration; and only once every listed node has told it, on a connection that still stands,
//! an id, the same list, and that it belongs to no cluster. If any listed node knows a cluster, nobody founds one.
//!
//! Two nodes with different lists could found two clusters; the founder of either waits for a node that names the
//! other's list, so it writes nothing.
//!
//! Whoever is to join a cluster that exists lists others, but not itself. Nobody who lists it can have the same list: so
//! it founds nothing, and nobody founds with it.

use std::collections::BTreeMap;
use std::fmt;

use raft_core::configuration::{Configuration, ConfigurationError, Member, MemberRole};
use raft_core::types::{ClusterId, NodeId};

use crate::CLUSTER_VERSION;
use crate::advice::{PUT_BACK, REPLACE};

/// What a node says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Introduction {
    pub(crate) id: NodeId,
    pub(crate) name: String,
    pub(crate) peer_address: String,
    pub(crate) client_address: String,
    /// The peer addresses that it was told to found a cluster with, its own among them; or, without its own, those of the
    /// cluster that it is to join.
    pub(crate) join: Vec<String>,
    pub(crate) cluster_id: Option<ClusterId>,
}

/// How things stand with one listed node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Contact {
    /// It is being asked, for the first time or because the connection on which it had answered broke.
    Dialing,
    /// It does not answer.
    Silent {
        /// Why, as far as can be told.
        why: String,
    },
    /// It answered, and the connection stands.
    Met {
        /// What it says about itself.
        introduction: Introduction,
        /// Why it would not let this node take part, in its words.
        objection: Option<String>,
    },
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Write this first configuration.
    Found(Configuration),
    /// Nothing, for now.
    Wait(Reason),
}

/// Why a fresh node does not found a cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Reason {
    /// There is a cluster, and this node is no member.
    #[error(
        "node {peer} at {address} belongs to cluster {cluster_id}, in which this node has no part: this node \
         founds nothing, serves nothing, and waits to be let in: with kvctl member add if it is new. If it is a member \
         that lost its data folder, {PUT_BACK}, {REPLACE}. In that node's words: {objection}"
    )]
    Stranger { peer: Label, address: String, cluster_id: ClusterId, objection: String },
    /// There is a cluster, and this node is listed in it.
    #[error(
        "node {peer} at {address} belongs to cluster {cluster_id}, which expects this node: it waits for a call of \
         the leader"
    )]
    Expected { peer: Label, address: String, cluster_id: ClusterId },
    /// A listed node is being asked.
    #[error("the node listed as {address} has not answered yet")]
    Asking { address: String },
    /// A listed node cannot be asked.
    #[error(
        "the node listed as {address} does not answer ({why}): start it, or correct --join on every node"
    )]
    Silent { address: String, why: String },
    /// It does not list itself.
    #[error(
        "none of the listed nodes that answer belongs to a cluster, and this node was started with --join-existing: it \
         founds nothing, serves nothing, and waits to be let in with kvctl member add"
    )]
    JoinsExisting,
    /// Two lists.
    #[error(
        "node {peer} at {address} was given another list: {} (here: {}): give every node the same --join",
        .found.join(", "), .expected.join(", ")
    )]
    OtherList { peer: Label, address: String, found: Vec<String>, expected: Vec<String> },
    /// The address leads to a node that calls itself otherwise.
    #[error(
        "node {peer}, which answers at {address}, says that its address is {found}: correct its --peer or \
         --advertise-peer, or --join on every node"
    )]
    OtherAddress { peer: Label, address: String, found: String },
    /// Two addresses, one node.
    #[error("{first} and {second} lead to the same node, {id}: correct --join on every node")]
    SameNode { id: NodeId, first: String, second: String },
    /// The answers make no configuration: two nodes have one name, say.
    #[error("the listed nodes cannot form a cluster: {source}; correct their --name")]
    Members { source: ConfigurationError },
    /// All is well, but it is another node's task.
    #[error(
        "the node at {founder}, whose address sorts first, founds the cluster; this one waits for its call"
    )]
    Founder { founder: String },
}

impl Reason {
    /// Whether the wait ends only when somebody does something.
    pub(crate) const fn wants_an_operator(&self) -> bool {
        !matches!(
            self,
            Self::Expected { .. } | Self::Asking { .. } | Self::Silent { .. } | Self::Founder { .. }
        )
    }
}

/// A node as it is shown to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    name: String,
    id: NodeId,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.id)
    }
}

impl Introduction {
    fn label(&self) -> Label {
        Label { name: self.name.clone(), id: self.id }
    }

    fn member(&self) -> Member {
        Member {
            id: self.id,
            role: MemberRole::Voter,
            newest_version: CLUSTER_VERSION,
            name: self.name.clone(),
            peer_address: self.peer_address.clone(),
            client_address: self.client_address.clone(),
        }
    }
}

/// Decides for the node that calls itself `own`, whose list is ascending. `contacts` has the other listed addresses.
pub(crate) fn decide(own: &Introduction, contacts: &BTreeMap<String, Contact>) -> Decision {
    match why_not(own, contacts) {
        Some(reason) => Decision::Wait(reason),
        None => found(own, contacts),
    }
}

fn found(own: &Introduction, contacts: &BTreeMap<String, Contact>) -> Decision {
    let members = met(contacts).map(|(_, peer, _)| peer).chain([own]).map(Introduction::member).collect();
    match Configuration::new(CLUSTER_VERSION, members) {
        Ok(configuration) => Decision::Found(configuration),
        Err(source) => Decision::Wait(Reason::Members { source }),
    }
}

fn why_not(own: &Introduction, contacts: &BTreeMap<String, Contact>) -> Option<Reason> {
    cluster_there(contacts)
        .or_else(|| (!own.join.contains(&own.peer_address)).then_some(Reason::JoinsExisting))
        .or_else(|| met(contacts).find_map(|(address, peer, _)| mismatch(own, address, peer)))
        .or_else(|| same_node(own, contacts))
        .or_else(|| out_of_reach(own, contacts))
        .or_else(|| other_founder(own))
}

fn met(
    contacts: &BTreeMap<String, Contact>,
) -> impl Iterator<Item = (&String, &Introduction, Option<&String>)> {
    contacts.iter().filter_map(|(address, contact)| match contact {
        Contact::Met { introduction, objection } => Some((address, introduction, objection.as_ref())),
        Contact::Dialing | Contact::Silent { .. } => None,
    })
}

/// A cluster that some listed node knows. One that does not know this node is worth more than one that does: its
/// operator has something to do.
fn cluster_there(contacts: &BTreeMap<String, Contact>) -> Option<Reason> {
    let mut expected = None;
    for (address, peer, objection) in met(contacts) {
        let Some(cluster_id) = peer.cluster_id else { continue };
        let (address, peer) = (address.clone(), peer.label());
        match objection {
            Some(objection) => {
                let objection = objection.clone();
                return Some(Reason::Stranger { peer, address, cluster_id, objection });
            }
            None => expected = Some(Reason::Expected { peer, address, cluster_id }),
        }
    }
    expected
}

fn mismatch(own: &Introduction, address: &str, peer: &Introduction) -> Option<Reason> {
    let mut found = peer.join.clone();
    found.sort();
    if found != own.join {
        let (peer, address, expected) = (peer.label(), address.to_owned(), own.join.clone());
        return Some(Reason::OtherList { peer, address, found, expected });
    }
    (peer.peer_address != address).then(|| Reason::OtherAddress {
        peer: peer.label(),
        address: address.to_owned(),
        found: peer.peer_address.clone(),
    })
}

fn same_node(own: &Introduction, contacts: &BTreeMap<String, Contact>) -> Option<Reason> {
    let mut seen = BTreeMap::from([(own.id, &own.peer_address)]);
    met(contacts).find_map(|(address, peer, _)| {
        let first = seen.insert(peer.id, address)?;
        Some(Reason::SameNode { id: peer.id, first: first.clone(), second: address.clone() })
    })
}

/// A listed node that does not answer: for the founder any of them, for the others the founder.
fn out_of_reach(own: &Introduction, contacts: &BTreeMap<String, Contact>) -> Option<Reason> {
    let founder = founder(own);
    let founds = *founder == own.peer_address;
    let needed =
        own.join.iter().filter(|address| **address != own.peer_address && (founds || *address == founder));
    needed.into_iter().find_map(|address| match contacts.get(address) {
        Some(Contact::Met { .. }) => None,
        Some(Contact::Silent { why }) => Some(Reason::Silent { address: address.clone(), why: why.clone() }),
        Some(Contact::Dialing) | None => Some(Reason::Asking { address: address.clone() }),
    })
}

fn other_founder(own: &Introduction) -> Option<Reason> {
    let founder = founder(own);
    (*founder != own.peer_address).then(|| Reason::Founder { founder: founder.clone() })
}

fn founder(own: &Introduction) -> &String {
    own.join.iter().min().unwrap_or(&own.peer_address)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: [&str; 3] = ["a:1", "b:1", "c:1"];

    fn node(number: u64) -> Introduction {
        let at = usize::try_from(number - 1).unwrap();
        Introduction {
            id: NodeId::new(number).unwrap(),
            name: format!("n{number}"),
            peer_address: LIST[at].to_owned(),
            client_address: format!("client-{number}:1"),
            join: LIST.map(str::to_owned).to_vec(),
            cluster_id: None,
        }
    }

    fn met(introduction: Introduction) -> Contact {
        Contact::Met { introduction, objection: None }
    }

    fn silent() -> Contact {
        Contact::Silent { why: "connection refused".to_owned() }
    }

    /// What node `own` decides when it sees `others` at the other two addresses of the list.
    fn decision(own: u64, others: [Contact; 2]) -> Decision {
        let own = node(own);
        let addresses = LIST.iter().filter(|address| **address != own.peer_address);
        decide(&own, &addresses.map(|address| (*address).to_owned()).zip(others).collect())
    }

    fn reason(own: u64, others: [Contact; 2]) -> Reason {
        match decision(own, others) {
            Decision::Wait(reason) => reason,
            Decision::Found(configuration) => panic!("founds {configuration:?}"),
        }
    }

    #[test]
    fn the_first_of_the_list_founds_once_all_have_told_it_who_they_are() {
        let Decision::Found(configuration) = decision(1, [met(node(2)), met(node(3))]) else {
            panic!("does not found");
        };
        let members: Vec<_> = configuration.members().iter().map(|member| &member.client_address).collect();
        assert_eq!(members, ["client-1:1", "client-2:1", "client-3:1"]);
        assert!(configuration.members().iter().all(|member| member.role == MemberRole::Voter));
        assert_eq!(configuration.cluster_version(), CLUSTER_VERSION);
    }

    #[test]
    fn a_list_of_one_is_founded_at_once() {
        let own = Introduction { join: vec!["a:1".to_owned()], ..node(1) };
        assert!(matches!(decide(&own, &BTreeMap::new()), Decision::Found(_)));
    }

    #[test]
    fn a_node_that_does_not_list_itself_founds_nothing_and_nobody_founds_with_it() {
        let others = || LIST[1..].iter().map(|address| (*address).to_owned()).collect();
        let joining = Introduction { join: others(), ..node(1) };
        let alike = |number| Introduction { join: others(), ..node(number) };
        let contacts = BTreeMap::from([("b:1".to_owned(), met(alike(2))), ("c:1".to_owned(), met(alike(3)))]);
        assert_eq!(decide(&joining, &contacts), Decision::Wait(Reason::JoinsExisting));
        let joining = Introduction { join: vec!["a:1".to_owned(), "b:1".to_owned()], ..node(3) };
        let found = reason(1, [met(node(2)), met(joining)]);
        assert!(matches!(found, Reason::OtherList { .. }), "{found}");
    }

    #[test]
    fn nobody_but_the_first_of_the_list_founds() {
        for (own, others) in [(2, [met(node(1)), met(node(3))]), (3, [met(node(1)), met(node(2))])] {
            assert_eq!(reason(own, others), Reason::Founder { founder: "a:1".to_owned() });
        }
    }

    #[test]
    fn a_listed_node_that_does_not_answer_holds_the_founding_up() {
        let waiting = reason(1, [met(node(2)), silent()]);
        assert!(matches!(&waiting, Reason::Silent { address, .. } if address == "c:1"), "{waiting}");
        let waiting = reason(1, [met(node(2)), Contact::Dialing]);
        assert_eq!(waiting, Reason::Asking { address: "c:1".to_owned() });
        let waiting = reason(2, [silent(), met(node(3))]);
        assert!(matches!(&waiting, Reason::Silent { address, .. } if address == "a:1"), "{waiting}");
        let waiting = reason(2, [met(node(1)), silent()]);
        assert_eq!(waiting, Reason::Founder { founder: "a:1".to_owned() }, "only the founder must answer");
    }

    #[test]
    fn a_cluster_that_any_listed_node_knows_forbids_founding_whatever_else_holds() {
        let member = Introduction { cluster_id: Some(ClusterId(7)), ..node(3) };
        for (own, other) in [(1, met(node(2))), (1, silent()), (2, silent()), (2, met(node(1)))] {
            let found = reason(own, [other, met(member.clone())]);
            assert!(matches!(found, Reason::Expected { cluster_id: ClusterId(7), .. }), "{found}");
        }
        let objection = "it is a stranger: replace the member".to_owned();
        let objecting = Contact::Met { introduction: member, objection: Some(objection.clone()) };
        let expecting = met(Introduction { cluster_id: Some(ClusterId(7)), ..node(2) });
        let found = reason(1, [expecting, objecting]);
        assert!(matches!(&found, Reason::Stranger { objection: told, .. } if *told == objection), "{found}");
    }

    #[test]
    fn lists_that_differ_hold_the_founding_up_on_every_node() {
        let other = Introduction { join: vec!["a:1".to_owned(), "b:1".to_owned()], ..node(2) };
        for own in [1, 3] {
            let others = if own == 1 {
                [met(other.clone()), met(node(3))]
            } else {
                [met(node(1)), met(other.clone())]
            };
            assert!(matches!(reason(own, others), Reason::OtherList { .. }));
        }
        let reversed = Introduction { join: node(2).join.into_iter().rev().collect(), ..node(2) };
        assert!(
            matches!(decision(1, [met(reversed), met(node(3))]), Decision::Found(_)),
            "order is no matter"
        );
    }

    #[test]
    fn a_node_that_answers_at_anothers_address_holds_the_founding_up() {
        let found = reason(1, [met(node(3)), met(node(3))]);
        assert!(matches!(found, Reason::OtherAddress { .. }), "{found}");
        let copy = Introduction { id: node(2).id, ..node(3) };
        let found = reason(1, [met(node(2)), met(copy)]);
        assert!(matches!(found, Reason::SameNode { .. }), "{found}");
        let own_copy = Introduction { id: node(1).id, ..node(3) };
        let found = reason(1, [met(node(2)), met(own_copy)]);
        assert!(matches!(found, Reason::SameNode { .. }), "{found}");
    }

    #[test]
    fn two_nodes_of_one_name_hold_the_founding_up() {
        let namesake = Introduction { name: "n2".to_owned(), ..node(3) };
        let found = reason(1, [met(node(2)), met(namesake)]);
        assert!(matches!(found, Reason::Members { source: ConfigurationError::Name { .. } }), "{found}");
    }
}
