//! [`Raft::fingerprint`](raft_core::Raft::fingerprint): equal for states that will do the same, and for no others.

use std::collections::BTreeMap;

use raft_core::configuration::{MemberChange, MemberRole};
use raft_core::snapshot::SnapshotMeta;
use raft_core::transport::TransferId;
use raft_core::{Input, LogIndex};

use crate::support::{
    ELECTION_TIMEOUT, HEARTBEAT, Peer, append, append_blocks, blocks, entry, heartbeat, heartbeat_answer, id,
    matched, member, offer, request_vote, vote,
};

/// What stands for time passing until the node hears of it: an input that says nothing new.
fn notices(peer: &mut Peer) {
    peer.step(Input::DiskFull(false));
}

#[test]
fn what_the_clock_shows_does_not_matter() {
    let early = Peer::with_log(&[1, 1]).elected();
    let mut late = Peer::with_log(&[1, 1]);
    late.time_passes(ELECTION_TIMEOUT * 1_000);
    let late = late.elected();
    assert_ne!(early.now, late.now);
    assert_eq!(early.raft.fingerprint(), late.raft.fingerprint());
}

#[test]
fn how_many_writes_and_elections_it_took_does_not_matter_once_they_are_durable() {
    let mut at_once = Peer::with_log(&[1]);
    at_once.receives(2, heartbeat(5, 0));
    at_once.receives(2, append_blocks(5, entry(1, 1), [blocks(2, &[5]), blocks(3, &[5])].concat(), 0));
    let mut step_by_step = Peer::with_log(&[1]);
    for term in 2..=5 {
        step_by_step.receives(2, heartbeat(term, 0));
    }
    step_by_step.receives(2, append(5, entry(1, 1), &[5], 0));
    step_by_step.receives(2, append(5, entry(5, 2), &[5], 0));
    assert_eq!(at_once.raft.fingerprint(), step_by_step.raft.fingerprint());
}

#[test]
fn a_message_that_says_nothing_new_changes_nothing() {
    let mut peer = Peer::with_log(&[1]).following_2_in(2);
    peer.receives(2, append(2, entry(1, 1), &[2], 1));
    let before = peer.raft.fingerprint();
    peer.time_passes(HEARTBEAT);
    peer.receives(2, append(2, entry(1, 1), &[2], 1));
    peer.receives(3, vote(1, true));
    assert_eq!(peer.raft.fingerprint(), before);
}

#[test]
fn a_promise_that_lapses_is_a_change_and_one_that_is_renewed_is_none() {
    let mut peer = Peer::with_log(&[1]).following_2_in(2);
    let bound = peer.raft.fingerprint();
    peer.time_passes(ELECTION_TIMEOUT - HEARTBEAT);
    notices(&mut peer);
    assert_eq!(peer.raft.fingerprint(), bound);
    peer.time_passes(HEARTBEAT);
    notices(&mut peer);
    assert_ne!(peer.raft.fingerprint(), bound, "it may vote for others now");
    peer.receives(2, heartbeat(2, 0));
    assert_eq!(peer.raft.fingerprint(), bound);
}

#[test]
fn a_probe_that_may_be_repeated_is_a_change() {
    let mut peer = Peer::with_log(&[1]).elected();
    for follower in [2, 3] {
        peer.receives(follower, heartbeat_answer(2, 0));
    }
    let waiting = peer.raft.fingerprint();
    peer.time_passes(ELECTION_TIMEOUT);
    peer.takes(Input::DiskFull(false));
    assert_ne!(peer.raft.fingerprint(), waiting);
}

/// A node, and what happened to it.
type Case = (&'static str, fn() -> Peer);

fn following() -> Peer {
    Peer::with_log(&[1, 1]).following_2_in(2)
}

fn leading() -> Peer {
    let mut peer = Peer::with_log(&[1, 1]).elected();
    peer.receives(2, matched(2, 3));
    peer
}

fn with(mut peer: Peer, change: impl FnOnce(&mut Peer)) -> Peer {
    change(&mut peer);
    peer
}

const CASES: [Case; 24] = [
    ("starts", || Peer::with_log(&[1, 1])),
    ("has one more entry", || Peer::with_log(&[1, 1, 1])),
    ("has a later term", || Peer::with_log(&[1, 1]).in_term(2)),
    ("has voted", || with(Peer::with_log(&[1, 1]), |peer| peer.receives(3, request_vote(2, entry(1, 2))))),
    ("is about to vote", || {
        with(Peer::with_log(&[1, 1]), |peer| {
            peer.disk_stalls();
            peer.receives(3, request_vote(2, entry(1, 2)));
        })
    }),
    ("follows", following),
    ("matches", || with(following(), |peer| peer.receives(2, append(2, entry(1, 2), &[], 0)))),
    ("has appended", || with(following(), |peer| peer.receives(2, append(2, entry(1, 2), &[2], 0)))),
    ("has appended and not synced", || {
        with(following(), |peer| {
            peer.disk_stalls();
            peer.receives(2, append(2, entry(1, 2), &[2], 0));
        })
    }),
    ("has committed", || with(following(), |peer| peer.receives(2, append(2, entry(1, 2), &[2], 3)))),
    ("has committed and not applied", || {
        with(following(), |peer| {
            peer.applying_stalls();
            peer.receives(2, append(2, entry(1, 2), &[2], 3));
        })
    }),
    ("waits for its leader's word", || {
        with(following(), |peer| {
            peer.is_asked_to_read();
        })
    }),
    ("is offered a snapshot", || with(following(), offered)),
    ("has a full disk", || with(following(), |peer| peer.step(Input::DiskFull(true)))),
    ("asks", || with(Peer::with_log(&[1, 1]), Peer::times_out)),
    ("campaigns", || Peer::with_log(&[1, 1]).campaigning()),
    ("leads", || Peer::with_log(&[1, 1]).elected()),
    ("has committed in its term", leading),
    ("knows that the other matches", || with(leading(), |peer| peer.receives(3, matched(2, 3)))),
    ("has proposed", || {
        with(leading(), |peer| {
            peer.proposes("x").unwrap();
        })
    }),
    ("confirms a read", || {
        with(leading(), |peer| {
            peer.is_asked_to_read();
        })
    }),
    ("hands over", || {
        with(leading(), |peer| {
            peer.hands_over_to(Some(3)).unwrap();
        })
    }),
    ("adds a member", || {
        with(leading(), |peer| {
            peer.changes_members(&[MemberChange::Put(member(4, MemberRole::Learner))]).unwrap();
        })
    }),
    ("has a snapshot", || {
        with(leading(), |peer| {
            let last = entry(2, 3);
            let configuration = peer.raft.configuration().cloned();
            let meta = SnapshotMeta { last, configuration_index: LogIndex(1), configuration };
            peer.step(Input::SnapshotCreated(meta));
        })
    }),
];

#[test]
fn whatever_changes_what_a_node_will_do_changes_its_fingerprint() {
    let mut seen = BTreeMap::new();
    for (name, case) in CASES {
        let print = case().raft.fingerprint();
        assert_eq!(print, case().raft.fingerprint(), "{name}: a fingerprint is a function of the state");
        if let Some(other) = seen.insert(print, name) {
            panic!("a node that {name} looks like one that {other}");
        }
    }
}

fn offered(peer: &mut Peer) {
    let configuration = peer.raft.configuration().cloned();
    let meta = SnapshotMeta { last: entry(2, 9), configuration_index: LogIndex(1), configuration };
    peer.takes(Input::SnapshotOffered { from: id(2), transfer: TransferId(1), offer: offer(2, meta) });
    peer.raft.drain(&mut Vec::new());
}
