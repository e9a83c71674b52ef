//! What has gone wrong elsewhere and fits no chapter of the paper.

use raft_core::testing::sim_log::Part;
use raft_core::{HardState, Input, LogIndex, Options, RoleName, Term};

use crate::support::{
    Disk, ELECTION_TIMEOUT, HEARTBEAT, Network, Peer, append, entry, heartbeat_answer, id, matched, options,
    request_vote, timeout_now, vote, voters,
};

/// A2 (hashicorp#661, where they were two writes): term and vote change together. A crash at any moment finds the old pair or
/// the new one.
#[test]
fn term_and_vote_are_stored_together_or_not_at_all() {
    let before = |node: &Peer| node.disk.log.hard_state;
    let mut node = Peer::with_log(&[1]).in_term(3).having_voted_for(3);
    let old = before(&node);
    node.disk_stalls();
    node.receives(2, request_vote(7, entry(1, 1)));
    let new = HardState { current_term: Term(7), voted_for: Some(id(2)), ..old };
    let writes = node.pending_writes();
    for stored in 0..=writes.len() {
        for part in [Part::Nothing, Part::HardState] {
            let mut image = node.disk.log.clone();
            writes[..stored].iter().for_each(|write| image.apply(write));
            writes.get(stored).into_iter().for_each(|write| image.apply_part(write, part));
            assert!([old, new].contains(&image.hard_state), "{:?}", image.hard_state);
        }
    }
    node.disk_recovers();
    assert_eq!(before(&node), new);
}

/// B20 and C22 for the whole way: a candidate that crashes at any moment of its campaign leads no term twice.
#[test]
fn a_candidate_that_crashes_on_its_way_leads_no_term_twice() {
    for writes in 0..4 {
        let mut node = Peer::with_log(&[1]);
        node.disk_stalls();
        node.times_out();
        node.receives(2, crate::support::pre_vote_answer(2, true));
        node.receives(2, vote(2, true));
        for _ in 0..writes.min(node.pending_writes().len()) {
            node.disk_completes_one();
        }
        let led = (node.role() == RoleName::Leader).then(|| node.term());
        let asked = !node.sent_to(3).is_empty();
        node.restarts();
        node.time_passes(ELECTION_TIMEOUT);
        node.receives(3, request_vote(2, entry(1, 1)));
        let granted = node.sent_to(3) == [vote(2, true)];
        assert!(
            !(granted && led.is_some()),
            "after {writes} writes it led term 2, and voted for another in it"
        );
        assert!(asked || !granted || writes == 0, "{writes}");
    }
}

/// C18 (openraft#1810), F8 (openraft#808): one peer that needs a snapshot and cannot be reached keeps nobody waiting.
#[test]
fn a_peer_that_cannot_be_reached_holds_nobody_up() {
    let mut net = Network::of(3);
    net.elect(1);
    net.isolate(3);
    net.node(1).proposes_all(&["a", "b"]).unwrap();
    net.heartbeats(1, 2);
    net.node(1).takes_snapshot();
    net.node(1).effects();
    net.heal();
    net.heartbeats(1, 1);
    net.isolate(3);
    let mut offers = 0;
    for round in 0..20 {
        net.node(1).proposes("x").unwrap();
        net.heartbeats(1, 1);
        assert_eq!(net.node(1).commit(), 5 + round);
        for to in net.node(1).wants_to_send_snapshots_to() {
            offers += 1;
            net.node(1).step(Input::SnapshotSent { to: id(to), complete: false });
        }
    }
    assert!((2..=5).contains(&offers), "{offers} offers in 20 heartbeats, one an election timeout");
}

/// C19 (openraft#1723): whoever answers again is fed at full speed at once, however long it was away.
#[test]
fn a_peer_that_comes_back_is_fed_at_full_speed() {
    let mut node = Peer::with_log(&[1]).with_options(Options { max_message_bytes: 1, ..options() }).elected();
    for follower in [2, 3] {
        node.receives(follower, matched(2, 2));
    }
    for _ in 0..50 {
        node.step(Input::Unreachable(id(2)));
        node.time_passes(HEARTBEAT);
        node.heartbeats();
        node.receives(3, heartbeat_answer(2, 0));
    }
    for _ in 0..10 {
        node.proposes("x").unwrap();
    }
    node.sent();
    node.receives(2, matched(2, 2));
    assert_eq!(node.progress(2).state, "replicate");
    assert_eq!(node.appends_to(2).len(), 10, "all that it lacks, without waiting for an answer");
}

/// B15 (openraft#607): a restarted single node and a restarted leader that was removed: one leads, one never does.
#[test]
fn restarts_of_the_last_voter_and_of_a_removed_leader_end_well() {
    let mut alone = Peer::member_of(&voters([1]), &[1]);
    for round in 0..3 {
        alone.times_out();
        alone.proposes("x").unwrap();
        assert_eq!(alone.commit(), 3 + 2 * round);
        alone.restarts();
    }
    let mut net = Network::of(3);
    net.elect(1);
    net.heartbeats(1, 1);
    net.node(1).changes_members(&[raft_core::configuration::MemberChange::Remove(id(1))]).unwrap();
    net.deliver();
    net.restart(1);
    for _ in 0..5 {
        net.node(1).times_out();
        net.deliver();
        assert_ne!(net.node(1).role(), RoleName::Leader);
    }
}

/// B14 (hashicorp#695): the term of an entry is the one in which it was proposed, whatever arrives in the same turn.
#[test]
fn a_proposal_and_a_later_term_in_one_turn_do_not_mix() {
    let mut node = Peer::with_log(&[1]).elected();
    let mut entries = raft_core::BlockBuilder::new();
    entries.push(raft_core::EntryKind::Normal, &[b"x"]);
    node.takes(Input::Propose { ticket: raft_core::Ticket(77), entries });
    node.takes(Input::Message { from: id(3), message: heartbeat_answer(9, 0) });
    node.settles();
    assert_eq!((node.role(), node.term(), node.log()), (RoleName::Follower, 9, vec![1, 2, 2]));
    assert_eq!(node.appends_to(2), [], "nothing of a leadership that is over leaves");
}

/// C15 (etcd/raft#11): what a snapshot replaces is not counted as waiting any more.
#[test]
fn a_snapshot_frees_what_waited_to_be_committed() {
    let small = Options { max_uncommitted_bytes: 200, ..options() };
    let mut node = Peer::with_log(&[1]).with_options(small).elected();
    while node.proposes("some twenty bytes or so").is_ok() {}
    let meta = node.snapshot_of(entry(3, 40));
    node.installs(2, &crate::support::offer(3, meta));
    assert_eq!((node.role(), node.log()), (RoleName::Follower, vec![]));
    node.time_passes(ELECTION_TIMEOUT);
    let mut node = node.elected();
    assert!(node.proposes("some twenty bytes or so").is_ok());
}

/// A14, B17: nor does a node whose writes hang follow its leader's wish and campaign; it would only lose the lead again.
#[test]
fn a_full_disk_declines_every_kind_of_campaign() {
    let mut node = Peer::with_log(&[1]).following_2_in(2);
    node.step(Input::DiskFull(true));
    node.receives(2, timeout_now(2));
    node.times_out();
    assert_eq!((node.role(), node.sent()), (RoleName::Follower, vec![]));
    node.receives(2, append(2, entry(1, 1), &[], 0));
    assert_eq!(node.leader(), Some(2), "it follows all the same");
}

/// E13 (openraft, dynamic membership): an old folder that is put back may list this node as the only voter. It campaigns for a
/// term of long ago at most; with the others it has no majority, and what it says of old terms moves nobody.
#[test]
fn an_old_folder_that_is_put_back_moves_nobody_else() {
    let founded = voters([3]);
    let grown: Vec<_> = vec![
        crate::support::configuration_block(entry(1, 1), &founded),
        crate::support::configuration_block(entry(4, 2), &voters(1..=3)),
    ];
    let whole = Disk::with_blocks(&founded, grown);
    let old = Disk::with_log(&founded, &[1]);
    let mut net = Network::with_disks(&options(), [whole.clone(), whole, old]);
    net.elect(1);
    net.node(1).proposes("x").unwrap();
    net.deliver();
    net.node(3).timer_fires();
    net.deliver();
    net.heartbeats(1, 3);
    assert_eq!((net.node(1).role(), net.node(1).commit()), (RoleName::Leader, LogIndex(4).0));
    assert_eq!(net.node(3).log(), net.node(1).log());
}
