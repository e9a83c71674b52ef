use raft_core::Term;

use super::*;

fn id(index: u64, term: u64) -> EntryId {
    EntryId::new(Term(term), LogIndex(index))
}

fn run(first: u64, term: u64) -> TermRun {
    TermRun { first: LogIndex(first), term: Term(term) }
}

/// 10@2 | 11@3 12@3 13@5 14@5 15@5
fn span() -> Span {
    let mut span = Span::new(id(10, 2));
    span.append(&[run(11, 3)], id(12, 3));
    span.append(&[run(13, 5)], id(14, 5));
    span.append(&[run(15, 5)], id(15, 5));
    span
}

#[test]
fn runs_of_one_term_join() {
    assert_eq!(span().runs(), [run(11, 3), run(13, 5)]);
    assert_eq!((span().base(), span().last()), (id(10, 2), id(15, 5)));
}

#[test]
fn entries_are_found_by_index_from_the_base_to_the_last() {
    let found: Vec<_> =
        (8..18).map(|index| span().entry(LogIndex(index)).map(|entry| entry.term.0)).collect();
    let (none, two, three, five) = (None, Some(2), Some(3), Some(5));
    assert_eq!(found, [none, none, two, three, three, five, five, five, none, none]);
}

#[test]
fn only_the_next_index_of_no_lower_term_follows() {
    assert!(span().is_followed_by(id(16, 5)) && span().is_followed_by(id(16, 9)));
    assert!(!span().is_followed_by(id(16, 4)) && !span().is_followed_by(id(17, 5)));
}

#[test]
fn truncation_and_compaction_at_any_index_leave_a_span() {
    for index in 10..=15 {
        let entry = span().entry(LogIndex(index)).unwrap();
        let mut front = span();
        front.truncate_after(entry);
        let mut back = span();
        back.forget_through(entry);
        assert_eq!((front.base(), front.last()), (id(10, 2), entry));
        assert_eq!((back.base(), back.last()), (entry, id(15, 5)));
        for other in 10..=15 {
            let whole = span().entry(LogIndex(other));
            assert_eq!(front.entry(LogIndex(other)), whole.filter(|_| other <= index));
            assert_eq!(back.entry(LogIndex(other)), whole.filter(|_| other >= index));
        }
        for part in [front, back] {
            assert_eq!(part.runs().is_empty(), part.base() == part.last());
            assert!(part.runs().first().is_none_or(|run| run.first == part.base().index.next()));
        }
    }
}
