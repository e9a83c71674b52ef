//! The tests' transport in memory passes the suite, and the suite rejects transports with a planted bug.

mod broken;

use std::collections::BTreeMap;

use broken::{BrokenHarness, Bug};
use raft_core::testing::transport_suite::{TransportHarness, TransportSentence, check_transport};
use raft_core::transport::{Transport, TransportEvent};
use raft_core::types::ClusterId;

use crate::support::wire::{Switchboard, Wire};

/// One switchboard and its nodes.
#[derive(Default)]
struct WireHarness {
    switchboard: Switchboard,
    wires: BTreeMap<u64, Wire>,
    events: BTreeMap<u64, Vec<TransportEvent>>,
}

impl TransportHarness for WireHarness {
    type Transport = Wire;

    fn start(&mut self, number: u64, cluster_id: Option<ClusterId>) {
        let mut wire = Wire::default();
        if let Some(cluster_id) = cluster_id {
            wire.set_cluster(cluster_id);
        }
        self.switchboard.join(number, &wire);
        self.wires.insert(number, wire);
    }

    fn addresses(&self, number: u64) -> [String; 3] {
        [format!("n{number}"), String::new(), String::new()]
    }

    fn transport(&mut self, number: u64) -> &mut Wire {
        self.wires.get_mut(&number).expect("it was started")
    }

    fn run(&mut self) {
        loop {
            let events = self.switchboard.carry();
            if events.is_empty() {
                return;
            }
            for (to, event) in events {
                self.events.entry(to).or_default().push(event);
            }
        }
    }

    fn events(&mut self, number: u64) -> Vec<TransportEvent> {
        self.events.remove(&number).unwrap_or_default()
    }

    fn set_link(&mut self, one: u64, other: u64, whole: bool) {
        self.switchboard.set_link(one, other, whole);
    }
}

#[test]
fn the_transport_in_memory_keeps_every_sentence_of_the_contract() {
    check_transport(WireHarness::default).unwrap_or_else(|failure| panic!("{failure}"));
}

#[track_caller]
fn rejected(bug: Bug, sentence: TransportSentence) {
    let failure = check_transport(|| BrokenHarness::new(bug)).unwrap_err();
    assert_eq!(failure.sentence, sentence, "{failure}");
}

#[test]
fn a_transport_that_mixes_senders_up_is_rejected() {
    rejected(Bug::WrongSender, TransportSentence::Sender);
}

#[test]
fn a_transport_that_drops_blocks_is_rejected() {
    rejected(Bug::DropsBlocks, TransportSentence::Unaltered);
}

#[test]
fn a_transport_that_carries_everything_but_entries_is_rejected() {
    rejected(Bug::LosesBulk, TransportSentence::Arrives);
}

#[test]
fn a_transport_that_lets_other_clusters_in_is_rejected() {
    rejected(Bug::AnyCluster, TransportSentence::OtherCluster);
}

#[test]
fn a_transport_that_greets_after_the_first_message_is_rejected() {
    rejected(Bug::GreetsLate, TransportSentence::Greeted);
}

#[test]
fn a_transport_that_claims_to_know_everybody_is_rejected() {
    rejected(Bug::KnowsEverybody, TransportSentence::UnknownPeer);
}

#[test]
fn a_transport_with_endless_queues_is_rejected() {
    rejected(Bug::NeverFull, TransportSentence::Bounded);
}

#[test]
fn a_transport_with_one_queue_for_all_is_rejected() {
    rejected(Bug::OneLane, TransportSentence::Lanes);
}

#[test]
fn a_transport_that_loses_without_a_word_is_rejected() {
    rejected(Bug::Silent, TransportSentence::Told);
}

#[test]
fn a_transport_that_tells_an_end_twice_is_rejected() {
    rejected(Bug::EndsTwice, TransportSentence::EndsOnce);
}

#[test]
fn a_transport_that_keeps_refusals_to_itself_is_rejected() {
    rejected(Bug::NeverFails, TransportSentence::EndsOnce);
}

#[test]
fn a_transport_that_calls_everything_complete_is_rejected() {
    rejected(Bug::AlwaysComplete, TransportSentence::TruthfulEnd);
}

#[test]
fn a_transport_that_sends_what_is_there_already_is_rejected() {
    rejected(Bug::StartsOver, TransportSentence::FileArrives);
}

#[test]
fn a_transport_that_lets_a_second_transfer_wait_is_rejected() {
    rejected(Bug::SecondWaits, TransportSentence::OneAtATime);
}
