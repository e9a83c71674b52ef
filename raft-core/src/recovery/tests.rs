use super::*;
use crate::block::TermRun;
use crate::types::Term;

const NEW: ClusterId = ClusterId(99);

fn id(number: u64) -> NodeId {
    NodeId::new(number).unwrap()
}

fn entry(term: u64, index: u64) -> EntryId {
    EntryId::new(Term(term), LogIndex(index))
}

fn member(number: u64, role: MemberRole) -> Member {
    Member {
        id: id(number),
        role,
        newest_version: 1,
        name: format!("n{number}"),
        peer_address: format!("127.0.0.1:72{number:02}"),
        client_address: format!("127.0.0.1:71{number:02}"),
    }
}

fn of_three(role_of_1: MemberRole) -> Configuration {
    let members = vec![member(1, role_of_1), member(2, MemberRole::Voter), member(3, MemberRole::Voter)];
    Configuration::new(1, members).unwrap()
}

/// A member of three whose log ends at entry 7 of term 3, and which has heard of term 5.
fn recovered() -> Recovered {
    Recovered {
        hard_state: HardState {
            cluster_id: Some(ClusterId(7)),
            current_term: Term(5),
            voted_for: Some(id(2)),
        },
        last: entry(3, 7),
        runs: vec![
            TermRun { first: LogIndex(1), term: Term(1) },
            TermRun { first: LogIndex(6), term: Term(3) },
        ],
        configurations: vec![(LogIndex(1), of_three(MemberRole::Voter))],
        ..Recovered::default()
    }
}

fn snapshot(last: EntryId) -> SnapshotMeta {
    let configuration = Some(of_three(MemberRole::Voter).into());
    SnapshotMeta { last, configuration_index: LogIndex(1), configuration }
}

fn alone(recovered: &Recovered) -> Result<Recovery, RecoveryError> {
    go_on_alone(id(1), recovered, &SnapshotMeta::NONE, NEW)
}

#[test]
fn the_survivor_becomes_the_only_voter_of_a_new_cluster_in_a_term_after_any_it_has_seen() {
    let Recovery { write, report } = alone(&recovered()).unwrap();
    let state = HardState { cluster_id: Some(NEW), current_term: Term(6), voted_for: Some(id(1)) };
    assert_eq!((write.id, write.hard_state), (WriteId(1), Some(state)));
    assert_eq!((write.truncate_from, write.reset), (None, None), "nothing that is there goes");
    let [block] = &write.append[..] else { panic!("{write:?}") };
    let written = block.entries().next().unwrap();
    assert_eq!((written.id, written.kind), (entry(6, 8), EntryKind::Configuration));
    let configuration = Configuration::decode(written.payload).unwrap();
    assert_eq!(configuration.members(), [member(1, MemberRole::Voter)]);
    assert_eq!(report.configuration, entry(6, 8));
    assert_eq!(report.dropped.iter().map(|member| member.id).collect::<Vec<_>>(), [id(2), id(3)]);
    assert_eq!((report.old_cluster, report.new_cluster), (Some(ClusterId(7)), NEW));
}

#[test]
fn only_what_a_snapshot_holds_is_known_to_be_committed() {
    let report = alone(&recovered()).unwrap().report;
    assert_eq!((report.known_committed, report.undecided()), (EntryId::ZERO, 7));
    let mut recovered = recovered();
    recovered.configurations.clear();
    let report = go_on_alone(id(1), &recovered, &snapshot(entry(1, 5)), NEW).unwrap().report;
    assert_eq!((report.known_committed, report.last, report.undecided()), (entry(1, 5), entry(3, 7), 2));
}

#[test]
fn a_learner_that_survives_becomes_the_voter_and_a_change_half_done_ends() {
    for role in [MemberRole::Learner, MemberRole::Promotable, MemberRole::Incoming, MemberRole::Outgoing] {
        let configurations = vec![(LogIndex(2), of_three(role))];
        let report = alone(&Recovered { configurations, ..recovered() }).unwrap().report;
        assert_eq!(report.survivor.role, MemberRole::Voter, "{role:?}");
    }
}

#[test]
fn whom_an_uncommitted_change_removes_is_dropped_as_well() {
    let of_two = Configuration::new(1, vec![member(1, MemberRole::Voter), member(3, MemberRole::Voter)]);
    let configurations = vec![(LogIndex(1), of_three(MemberRole::Voter)), (LogIndex(7), of_two.unwrap())];
    let report = alone(&Recovered { configurations, ..recovered() }).unwrap().report;
    assert_eq!(report.dropped.iter().map(|member| member.id).collect::<Vec<_>>(), [id(3), id(2)]);
}

#[test]
fn a_survivor_that_an_undecided_change_removes_goes_on_and_is_told_so() {
    let without = |voters: &[u64]| {
        let voters = voters.iter().map(|number| member(*number, MemberRole::Voter)).collect();
        Configuration::new(1, voters).unwrap()
    };
    let configurations = vec![
        (LogIndex(1), of_three(MemberRole::Voter)),
        (LogIndex(6), without(&[2, 3])),
        (LogIndex(7), without(&[2, 3, 4])),
    ];
    let removed = Recovered { configurations, ..recovered() };
    let report = alone(&removed).unwrap().report;
    assert_eq!(report.removed_by, Some(LogIndex(6)));
    assert_eq!(report.dropped.iter().map(|member| member.id).collect::<Vec<_>>(), [id(2), id(3), id(4)]);
    assert_eq!(alone(&recovered()).unwrap().report.removed_by, None);
    // A snapshot holds only what is committed.
    let configuration_index = LogIndex(6);
    let configuration = Some(without(&[2, 3]).into());
    let committed = SnapshotMeta { last: entry(3, 6), configuration_index, configuration };
    let refused = go_on_alone(id(1), &removed, &committed, NEW);
    assert_eq!(refused, Err(RecoveryError::NoMember { id: id(1), index: LogIndex(6) }));
}

#[test]
fn done_again_after_only_the_hard_state_became_durable_it_has_the_same_effect() {
    let hard_state = alone(&recovered()).unwrap().write.hard_state.unwrap();
    let newer = ClusterId(100);
    let half_done = Recovered { hard_state, ..recovered() };
    let again = go_on_alone(id(1), &half_done, &SnapshotMeta::NONE, newer).unwrap();
    assert_eq!(again.report.configuration, entry(7, 8));
    assert_eq!(again.write.hard_state.unwrap().cluster_id, Some(newer));
}

#[test]
fn who_is_no_member_or_alone_or_damaged_is_refused() {
    assert_eq!(alone(&Recovered::default()), Err(RecoveryError::NoCluster { id: id(1) }));
    let stranger = go_on_alone(id(4), &recovered(), &SnapshotMeta::NONE, NEW);
    assert_eq!(stranger, Err(RecoveryError::NoMember { id: id(4), index: LogIndex(1) }));
    let lone = Configuration::new(1, vec![member(1, MemberRole::Voter), member(2, MemberRole::Learner)]);
    let configurations = vec![(LogIndex(1), lone.unwrap())];
    let done = alone(&Recovered { configurations, ..recovered() });
    assert_eq!(done, Err(RecoveryError::Alone { id: id(1) }));
    let hole = Recovered { damaged: vec![LogIndex(4), LogIndex(6)], ..recovered() };
    assert_eq!(alone(&hole), Err(RecoveryError::Damaged { index: LogIndex(4) }));
    for floor in [VoteFloor::Entry(entry(3, 9)), VoteFloor::Unknown] {
        let cut = Recovered { floor, ..recovered() };
        assert_eq!(alone(&cut), Err(RecoveryError::Damaged { index: LogIndex(8) }));
    }
}
