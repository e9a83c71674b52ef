use super::*;
use crate::block::{BlockBuilder, EntryKind};
use crate::rng::Rng;
use crate::types::{NodeId, Term};

fn block(first: u64, count: u64, term: u64) -> Block {
    let mut builder = BlockBuilder::new();
    (0..count).for_each(|_| builder.push(EntryKind::NoOp, &[]));
    builder.finish(LogIndex(first), Term(term)).unwrap()
}

/// A disk that carries out writes one by one, and the log in memory: both as plain lists of terms.
#[derive(Clone, Default)]
struct Disk(Vec<u64>, u64);

impl Disk {
    fn apply(&mut self, write: &Write) {
        if let Some(hard_state) = write.hard_state {
            self.1 = hard_state.current_term.0;
        }
        if let Some(base) = write.reset {
            self.0 = vec![base.term.0; usize::try_from(base.index.0).unwrap()];
        }
        if let Some(from) = write.truncate_from {
            self.0.truncate(usize::try_from(from.0).unwrap() - 1);
        }
        for block in &write.append {
            assert_eq!(block.first_index().0, self.0.len() as u64 + 1);
            self.0.extend(block.entries().map(|entry| entry.id.term.0));
        }
    }
}

#[test]
fn what_is_called_durable_is_on_disk_as_in_memory_and_all_of_it_once_nothing_is_pending() {
    for seed in 0..2_000 {
        let mut rng = Rng::new(seed);
        let mut writes = Writes::new(HardState::default(), LogIndex(0));
        let (mut memory, mut disk, mut term, mut base) = (Vec::<u64>::new(), Disk::default(), 1, 0);
        let mut queue = VecDeque::new();
        for _ in 0..40 {
            match rng.below(7) {
                0 | 1 => {
                    let count = 1 + rng.below(3);
                    writes.append(block(memory.len() as u64 + 1, count, term));
                    memory.extend((0..count).map(|_| term));
                }
                2 if memory.len() as u64 > base => {
                    let from = base + 1 + rng.below(memory.len() as u64 - base);
                    writes.truncate(LogIndex(from));
                    memory.truncate(usize::try_from(from).unwrap() - 1);
                    term += 1;
                }
                3 if rng.below(4) == 0 => {
                    let at = EntryId::new(Term(term), LogIndex(rng.below(9)));
                    writes.reset(at);
                    memory = vec![term; usize::try_from(at.index.0).unwrap()];
                    base = at.index.0;
                }
                4 => writes.set_hard_state(HardState { current_term: Term(term), ..HardState::default() }),
                5 => queue.extend(writes.take(LogIndex(memory.len() as u64), Time::ZERO)),
                _ => {
                    let done: Vec<_> =
                        queue.drain(..usize::try_from(rng.below(queue.len() as u64 + 1)).unwrap()).collect();
                    done.iter().for_each(|write| disk.apply(write));
                    if let Some(last) = done.last() {
                        assert!(writes.complete(last.id));
                    }
                }
            }
            let durable = usize::try_from(writes.durable_last().0).unwrap();
            assert_eq!(disk.0.get(..durable), memory.get(..durable), "seed {seed}");
            assert_eq!(writes.durable_hard_state().current_term.0, disk.1);
        }
        queue.extend(writes.take(LogIndex(memory.len() as u64), Time::ZERO));
        if let Some(last) = queue.back() {
            writes.complete(last.id);
        }
        assert_eq!(writes.durable_last().0, memory.len() as u64, "seed {seed}");
    }
}

#[test]
fn a_late_completion_of_an_overwritten_append_marks_nothing_newer_durable() {
    let mut writes = Writes::new(HardState::default(), LogIndex(0));
    writes.append(block(1, 3, 1));
    let first = writes.take(LogIndex(3), Time::ZERO).unwrap();
    writes.truncate(LogIndex(2));
    writes.append(block(2, 2, 2));
    let second = writes.take(LogIndex(3), Time::ZERO).unwrap();
    writes.complete(first.id);
    assert_eq!(writes.durable_last(), LogIndex(1));
    writes.complete(second.id);
    assert_eq!(writes.durable_last(), LogIndex(3));
}

#[test]
fn one_write_takes_in_a_whole_batch_and_completions_are_cumulative() {
    let mut writes = Writes::new(HardState::default(), LogIndex(0));
    let voted_for = NodeId::new(9);
    writes.set_hard_state(HardState { voted_for, ..HardState::default() });
    writes.append(block(1, 1, 1));
    writes.append(block(2, 2, 1));
    writes.truncate(LogIndex(3));
    let write = writes.take(LogIndex(2), Time::ZERO).unwrap();
    assert_eq!((write.id, write.append.len(), write.truncate_from), (WriteId(1), 2, None));
    assert!(writes.take(LogIndex(2), Time::ZERO).is_none());
    writes.append(block(3, 1, 1));
    let second = writes.take(LogIndex(3), Time::ZERO).unwrap();
    assert!(writes.complete(second.id) && writes.is_durable(write.id));
    assert!(!writes.complete(write.id), "an older completion is no news");
    assert_eq!(writes.durable_hard_state().voted_for, voted_for);
}
