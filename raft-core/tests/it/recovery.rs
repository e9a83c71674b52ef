//! What a node finds at its start: stores that contradict each other, or have lost something, are refused.

use raft_core::snapshot::SnapshotMeta;
use raft_core::storage::Recovered;
use raft_core::testing::sim_log::SimLog;
use raft_core::{LogIndex, Raft, StartError, Term, Time};

use std::sync::Arc;

use crate::support::{Disk, entry, id, options, voters};

/// A start on a log of these terms, with a stored term and a snapshot.
fn start(terms: &[u64], current_term: u64, snapshot: SnapshotMeta) -> Result<Raft, StartError> {
    let mut log = Disk::with_log(&voters(1..=3), terms).log;
    log.hard_state.current_term = Term(current_term);
    let (_, recovered) = SimLog::open(log, Arc::new(|_| {}));
    start_on(recovered, snapshot)
}

fn start_on(recovered: Recovered, snapshot: SnapshotMeta) -> Result<Raft, StartError> {
    Raft::new(id(1), options(), 1, Time::ZERO, recovered, snapshot)
}

fn snapshot(term: u64, index: u64) -> SnapshotMeta {
    let configuration = Some(Arc::new(voters(1..=3)));
    SnapshotMeta { last: entry(term, index), configuration_index: LogIndex(1), configuration }
}

/// The snapshot's last entry lies anywhere in the log, its end included.
#[test]
fn a_log_that_holds_the_snapshots_last_entry_is_accepted() {
    for (term, index) in [(1, 1), (1, 2), (3, 3), (3, 4)] {
        let raft = start(&[1, 1, 3, 3], 3, snapshot(term, index)).expect("they meet");
        assert_eq!((raft.commit_index(), raft.last_entry()), (LogIndex(index), entry(3, 4)));
    }
}

/// A log behind the snapshot, before it, or of another history: what lies between is gone, or one of them is not ours.
#[test]
fn a_log_without_the_snapshots_last_entry_is_refused() {
    for (at, found) in [(entry(3, 5), None), (entry(2, 3), Some(Term(3))), (entry(3, 2), Some(Term(1)))] {
        let refused = start(&[1, 1, 3, 3], 3, snapshot(at.term.0, at.index.0)).expect_err("they do not meet");
        let StartError::SnapshotNotInLog { snapshot, found: seen, .. } = refused else { panic!("{refused}") };
        assert_eq!((snapshot, seen), (at, found));
    }
    let after = Recovered { base: entry(3, 9), last: entry(3, 9), ..Recovered::default() };
    assert!(matches!(start_on(after, snapshot(3, 7)), Err(StartError::SnapshotNotInLog { found: None, .. })));
}

/// A3 (openraft, io_ordering.md): a term behind the log's own entries means that term and vote were lost. Such a node
/// could vote a second time.
#[test]
fn a_term_behind_the_log_is_refused() {
    let refused = start(&[1, 1, 3, 3], 2, SnapshotMeta::NONE).expect_err("the term was lost");
    let StartError::TermLost { current_term, entry: last } = refused else { panic!("{refused}") };
    assert_eq!((current_term, last), (Term(2), entry(3, 4)));
    let empty = Recovered { base: entry(3, 7), last: entry(3, 7), ..Recovered::default() };
    assert!(
        matches!(start_on(empty, snapshot(3, 7)), Err(StartError::TermLost { .. })),
        "nor behind a snapshot"
    );
}
