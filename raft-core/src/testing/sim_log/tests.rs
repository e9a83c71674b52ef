use super::*;
use crate::block::{Block, BlockBuilder, EntryKind};
use crate::storage::{ReadFailure, VoteFloor};
use crate::types::{EntryId, HardState, Term};

fn block(term: u64, from: u64, through: u64) -> Block {
    let mut builder = BlockBuilder::new();
    (from..=through).for_each(|index| builder.push(EntryKind::Normal, &[&index.to_le_bytes()]));
    builder.finish(LogIndex(from), Term(term)).unwrap()
}

fn write(id: u64, term: u64, append: Vec<Block>) -> Write {
    let hard_state = Some(HardState { current_term: Term(term), ..HardState::default() });
    Write { id: WriteId(id), hard_state, append: append.into(), ..Write::default() }
}

/// A log with two writes queued: entries 1 to 3 of term 1, 4 to 6 of term 2.
fn with_two_writes() -> (SimLog, Arc<Mutex<Vec<LogEvent>>>) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&events);
    let (mut log, _) =
        SimLog::open(LogImage::default(), Arc::new(move |event| sink.lock().unwrap().push(event)));
    log.submit(write(1, 1, vec![block(1, 1, 3)]));
    log.submit(write(2, 2, vec![block(2, 4, 6)]));
    (log, events)
}

fn last_and_term(image: &LogImage) -> (u64, u64) {
    (image.last().index.0, image.hard_state.current_term.0)
}

#[test]
fn nothing_is_durable_until_the_world_says_so() {
    let (log, events) = with_two_writes();
    assert_eq!(log.with_durable(last_and_term), (0, 0));
    assert_eq!(log.complete_writes(1), Some(WriteId(1)));
    assert_eq!(log.with_durable(last_and_term), (3, 1));
    assert_eq!((log.complete_writes(9), log.complete_writes(1)), (Some(WriteId(2)), None));
    assert_eq!(log.with_durable(last_and_term), (6, 2));
    let reported: Vec<_> = events
        .lock()
        .unwrap()
        .iter()
        .map(|event| match event {
            LogEvent::Durable(id) => id.0,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(reported, [1, 2]);
}

#[test]
fn a_crash_spares_as_many_writes_and_as_much_of_the_next_as_it_is_told() {
    let after = |writes, part| last_and_term(&with_two_writes().0.crash(Survivors { writes, part }));
    assert_eq!(after(0, Part::Nothing), (0, 0));
    assert_eq!(after(0, Part::HardState), (0, 1));
    assert_eq!(after(0, Part::Entries(2)), (2, 1));
    assert_eq!(after(1, Part::Nothing), (3, 1));
    assert_eq!(after(1, Part::HardState), (3, 2));
    assert_eq!(after(1, Part::Entries(0)), (3, 2));
    assert_eq!(after(1, Part::Entries(9)), (6, 2));
    assert_eq!(after(9, Part::Entries(9)), (6, 2));
}

#[test]
fn every_outcome_of_a_crash_is_chosen_by_some_seed() {
    let outcomes: std::collections::BTreeSet<_> =
        (0..200).map(|seed| last_and_term(&with_two_writes().0.crash(Survivors::choose(2, seed)))).collect();
    let all = [(0, 0), (0, 1), (1, 1), (2, 1), (3, 1), (3, 2), (4, 2), (5, 2), (6, 2)];
    assert_eq!(outcomes, all.into());
}

#[test]
fn a_dead_log_takes_no_more_writes() {
    let (mut log, events) = with_two_writes();
    let image = log.crash(Survivors::default());
    log.submit(write(3, 3, vec![block(3, 1, 1)]));
    log.run();
    assert_eq!(events.lock().unwrap().len(), 0);
    assert_eq!(image, LogImage::default());
}

#[test]
fn compaction_drops_entries_inside_a_block_and_keeps_the_term_before_the_log() {
    let (mut log, _) = with_two_writes();
    log.run();
    log.compact(LogIndex(5));
    log.with_durable(|image| {
        assert_eq!(image.base(), EntryId::new(Term(2), LogIndex(5)));
        assert_eq!(image.term_at(LogIndex(5)), Some(Term(2)));
        assert_eq!((image.term_at(LogIndex(4)), image.term_at(LogIndex(7))), (None, None));
        let request = ReadRequest { id: 1, from: LogIndex(5), through: LogIndex(6), max_bytes: 0 };
        assert!(matches!(image.read(&request), Err(ReadFailure::Compacted { first: LogIndex(6) })));
    });
}

#[test]
fn a_lost_tail_is_the_floor_until_the_log_is_as_late_again() {
    let (log, _) = with_two_writes();
    let mut image = log.crash(Survivors { writes: 2, part: Part::Nothing });
    assert!(image.lose_tail(2, true) && image.lose_tail(2, true) && !LogImage::default().lose_tail(1, true));
    let floor = EntryId::new(Term(2), LogIndex(6));
    let told = |image: &LogImage| (image.recovered().last.index.0, image.recovered().floor);
    assert_eq!(told(&image), (2, VoteFloor::Entry(floor)));
    assert_eq!(image.first_damaged(LogIndex::ZERO), Some(LogIndex(3)));
    assert!(image.has_lost(floor) && image.has_lost(EntryId::new(Term(1), LogIndex(3))));
    image.apply(&write(3, 2, vec![block(1, 3, 3), block(2, 4, 5)]));
    assert_eq!(told(&image), (5, VoteFloor::Entry(floor)));
    image.apply(&Write { truncate_from: Some(LogIndex(4)), ..write(4, 3, vec![block(3, 4, 4)]) });
    assert_eq!(told(&image), (4, VoteFloor::LastEntry), "a later term makes up for it");
    assert_eq!((image.first_damaged(LogIndex::ZERO), image.has_lost(floor)), (None, false));
}

#[test]
fn a_floor_that_nobody_knows_stays_unknown() {
    let (log, _) = with_two_writes();
    let mut image = log.crash(Survivors { writes: 2, part: Part::Nothing });
    assert!(image.lose_tail(1, false));
    image.apply(&write(3, 3, vec![block(3, 6, 9)]));
    assert_eq!(image.recovered().floor, VoteFloor::Unknown);
    assert!(image.lose_tail(1, true));
    assert_eq!(image.recovered().floor, VoteFloor::Unknown, "nor by what is lost later");
}
