use super::*;

fn position(first: u64, last: u64, segment: u64) -> Position {
    Position { first: LogIndex(first), last: LogIndex(last), segment, offset: first * 4096, table_bytes: 0 }
}

fn change(kind: BatchKind, base: u64, position: Option<Position>) -> Change {
    Change { kind, base: LogIndex(base), position }
}

/// 1..=4 and 5..=5 in segment 1, 6..=9 in segment 2.
fn index() -> Index {
    let mut index = Index::new(LogIndex::ZERO);
    for (position, base) in [(position(1, 4, 1), 0), (position(5, 5, 1), 4), (position(6, 9, 2), 5)] {
        index.apply(change(BatchKind::Append, base, Some(position)));
    }
    index
}

/// First entry of the batch of each entry 1..=12; 0 for none.
fn batches(index: &Index) -> Vec<u64> {
    (1..=12).map(|entry| index.find(LogIndex(entry)).map_or(0, |found| found.first.0)).collect()
}

#[test]
fn each_entry_is_found_in_its_batch() {
    assert_eq!(batches(&index()), [1, 1, 1, 1, 5, 6, 6, 6, 6, 0, 0, 0]);
    assert_eq!(index().find(LogIndex::ZERO), None);
}

#[test]
fn a_truncation_shortens_the_batch_it_cuts() {
    let mut index = index();
    index.apply(change(BatchKind::Truncate, 7, Some(position(8, 11, 2))));
    assert_eq!(batches(&index), [1, 1, 1, 1, 5, 6, 6, 8, 8, 8, 8, 0]);
    index.apply(change(BatchKind::Truncate, 3, None));
    assert_eq!(batches(&index), [1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    index.apply(change(BatchKind::Truncate, 0, None));
    assert_eq!(batches(&index), [0; 12]);
}

#[test]
fn a_reset_forgets_everything() {
    let mut index = index();
    index.apply(change(BatchKind::Reset, 10, Some(position(11, 12, 2))));
    assert_eq!(batches(&index), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11, 11]);
    assert_eq!(index.base(), LogIndex(10));
}

#[test]
fn marks_change_nothing() {
    let mut index = index();
    index.apply(change(BatchKind::Mark, 9, None));
    assert_eq!(batches(&index), batches(&self::index()));
}

#[test]
fn forgetting_the_oldest_segment_moves_the_base_to_its_last_entry() {
    let mut index = index();
    assert_eq!(index.last_in_oldest(1), Some(LogIndex(5)));
    assert_eq!(index.forget_oldest(1), LogIndex(5));
    assert_eq!(batches(&index), [0, 0, 0, 0, 0, 6, 6, 6, 6, 0, 0, 0]);
    index.apply(change(BatchKind::Reset, 20, Some(position(21, 22, 3))));
    assert_eq!(index.last_in_oldest(2), None);
    assert_eq!(index.forget_oldest(2), LogIndex(20), "a segment without entries moves nothing");
}
