use kv_client::command::SESSION_WINDOW;

use super::super::MAX_SESSIONS;
use super::*;

const APPEND: Command<'static> = Command::Append { key: b"k", value: b"x" };

fn open(store: &mut Store) -> u64 {
    match apply(store, &Command::OpenSession) {
        Outcome::SessionOpened { session } => session,
        other => panic!("{other:?}"),
    }
}

/// Appends one byte under the given tag.
fn append(store: &mut Store, session: u64, sequence: u64, lowest_unacknowledged: u64) -> Applied {
    let tag = SessionTag { session, sequence, lowest_unacknowledged };
    apply_entry(store, Entry::command(Some(tag), 0, &APPEND))
}

fn appended(length: u64, revision: u64) -> Applied {
    Applied { outcome: Outcome::Appended { length }, revision }
}

#[test]
fn a_session_is_named_after_the_entry_that_opened_it() {
    let mut store = Store::new();
    apply_all(&mut store, &[Entry::no_op(), Entry::no_op()]);
    assert_eq!(open(&mut store), 3);
    assert_eq!(store.stats().sessions, 1);
}

#[test]
fn a_copy_of_a_request_gets_the_first_reply_and_is_not_applied_again() {
    let mut store = Store::new();
    let session = open(&mut store);
    assert_eq!(append(&mut store, session, 1, 1), appended(1, 2));
    assert_eq!(append(&mut store, session, 2, 1), appended(2, 3));
    assert_eq!(append(&mut store, session, 1, 1), appended(1, 2));
    assert_eq!(append(&mut store, session, 2, 2), appended(2, 3));
    assert_eq!(value(&store, b"k").unwrap(), b"xx");
}

#[test]
fn requests_in_flight_may_arrive_in_any_order() {
    let mut store = Store::new();
    let session = open(&mut store);
    assert_eq!(append(&mut store, session, 9, 4), appended(1, 2));
    assert_eq!(append(&mut store, session, 4, 4), appended(2, 3));
    assert_eq!(append(&mut store, session, 6, 4), appended(3, 4));
    assert_eq!(append(&mut store, session, 9, 4), appended(1, 2));
}

#[test]
fn a_request_below_the_lowest_unacknowledged_is_refused_and_the_lowest_never_goes_back() {
    let mut store = Store::new();
    let session = open(&mut store);
    append(&mut store, session, 5, 5);
    let stale = Applied { outcome: Outcome::SequenceStale { lowest: 5 }, revision: 2 };
    assert_eq!(append(&mut store, session, 4, 1), stale);
    assert_eq!(append(&mut store, session, 6, 2), appended(2, 3));
    assert_eq!(append(&mut store, session, 4, 1).outcome, stale.outcome);
    assert_eq!(append(&mut store, session, 5, 1), appended(1, 2));
}

#[test]
fn replies_that_nobody_waits_for_are_forgotten() {
    let mut store = Store::new();
    let session = open(&mut store);
    for sequence in 0..SESSION_WINDOW {
        append(&mut store, session, sequence, 0);
    }
    let full = snapshot(&store).len();
    append(&mut store, session, SESSION_WINDOW, SESSION_WINDOW);
    let reply_bytes = 47;
    assert_eq!(snapshot(&store).len(), full + 1 - reply_bytes * (SESSION_WINDOW as usize - 1));
}

#[test]
fn a_refused_condition_is_remembered_too() {
    let mut store = Store::new();
    let session = open(&mut store);
    let tag = Some(SessionTag { session, sequence: 1, lowest_unacknowledged: 1 });
    let create = Command::Put { key: b"k", value: b"v", lease: 0, expect: Expect::ModRevision(9) };
    let entry = Entry::command(tag, 0, &create);
    let first = apply_entry(&mut store, entry.clone());
    assert_eq!(first, Applied { outcome: Outcome::ConditionFailed { mod_revision: 0 }, revision: 1 });
    apply(&mut store, &put(b"k", b"other"));
    assert_eq!(apply_entry(&mut store, entry), first);
}

#[test]
fn requests_of_unknown_and_closed_sessions_are_refused() {
    let mut store = Store::new();
    let unknown = |session| Outcome::SessionUnknown { session };
    assert_eq!(append(&mut store, 77, 1, 1).outcome, unknown(77));
    let session = open(&mut store);
    append(&mut store, session, 1, 1);
    assert_eq!(apply(&mut store, &Command::CloseSession { session }), Outcome::Done);
    assert_eq!(append(&mut store, session, 1, 1).outcome, unknown(session));
    assert_eq!(apply(&mut store, &Command::CloseSession { session }), unknown(session));
    assert_eq!(value(&store, b"k").unwrap(), b"x");
    assert_eq!(store.stats().sessions, 0);
}

#[test]
fn a_session_may_close_itself() {
    let mut store = Store::new();
    let session = open(&mut store);
    let tag = Some(SessionTag { session, sequence: 1, lowest_unacknowledged: 1 });
    let close = Entry::command(tag, 0, &Command::CloseSession { session });
    assert_eq!(apply_entry(&mut store, close.clone()).outcome, Outcome::Done);
    assert_eq!(apply_entry(&mut store, close).outcome, Outcome::SessionUnknown { session });
}

/// Opens a session at a cluster time.
fn open_at(store: &mut Store, time: u64) -> u64 {
    match apply_entry(store, Entry::command(None, time, &Command::OpenSession)).outcome {
        Outcome::SessionOpened { session } => session,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_session_too_many_takes_the_place_of_the_one_that_was_idle_longest() {
    let mut store = Store::new();
    let busy = open_at(&mut store, 10);
    let [first, second] = [20, 20].map(|time| open_at(&mut store, time));
    for _ in 3..MAX_SESSIONS {
        open_at(&mut store, 30);
    }
    let tag = |session, sequence| Some(SessionTag { session, sequence, lowest_unacknowledged: 1 });
    apply_entry(&mut store, Entry::command(tag(busy, 1), 40, &APPEND));
    assert_eq!(store.stats().sessions, MAX_SESSIONS);
    for (evicted, left) in [(first, second), (second, busy)] {
        open_at(&mut store, 50);
        assert_eq!(store.stats().sessions, MAX_SESSIONS);
        let ask = |session| Entry::command(tag(session, 1), 0, &APPEND);
        let mut copy = restored(&snapshot(&store));
        for store in [&mut copy, &mut store] {
            assert_eq!(
                apply_entry(store, ask(evicted)).outcome,
                Outcome::SessionUnknown { session: evicted },
                "neither applied nor answered as if it were new"
            );
        }
        assert!(matches!(apply_entry(&mut copy, ask(left)).outcome, Outcome::Appended { .. }));
        assert_eq!(store.checkpoint().hash, restored(&snapshot(&store)).checkpoint().hash);
    }
}
