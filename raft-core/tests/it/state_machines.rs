//! The tests' own state machine passes the suite, and the suite rejects machines with a planted bug.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use raft_core::snapshot::SnapshotView;
use raft_core::state_machine::{ApplyError, StateMachine};
use raft_core::testing::state_machine_suite::{MachineSentence, check_state_machine};
use raft_core::{Block, EntryKind};

use crate::support::ledger::Ledger;

fn command(number: u64) -> Vec<u8> {
    format!("command {number}").into_bytes()
}

#[test]
fn the_ledger_keeps_every_sentence_of_the_contract() {
    check_state_machine(Ledger::default, command).unwrap_or_else(|failure| panic!("{failure}"));
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    SkipsNoOps,
    ClearsReplies,
    CountsBatches,
    KnowsItsNumber,
    FreezesNothing,
    AddsToTheState,
    ForgetsTheSum,
    ReadsOnce,
    RefusesByError,
}

/// Counts and sums the bytes of commands; right but for one bug.
struct Broken {
    bug: Bug,
    /// Which one of all machines this is.
    number: u64,
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    count: u64,
    sum: u64,
}

impl Broken {
    fn new(bug: Bug) -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        Self { bug, number: MADE.fetch_add(1, Ordering::Relaxed), state: Arc::default() }
    }
}

impl StateMachine for Broken {
    type Reply = u64;

    fn apply(&mut self, batch: &[Block], replies: &mut Vec<u64>) -> Result<(), ApplyError> {
        let mut state = self.state.lock().unwrap();
        if self.bug == Bug::ClearsReplies {
            replies.clear();
        }
        state.sum += u64::from(self.bug == Bug::CountsBatches);
        for entry in batch.iter().flat_map(Block::entries) {
            if entry.kind != EntryKind::Normal && self.bug == Bug::SkipsNoOps {
                continue;
            }
            if entry.payload.ends_with(b"3") && self.bug == Bug::RefusesByError {
                return Err("threes are not for us".into());
            }
            state.count += 1;
            state.sum += entry.payload.iter().map(|byte| u64::from(*byte)).sum::<u64>();
            state.sum += if self.bug == Bug::KnowsItsNumber { self.number } else { 0 };
            replies.push(state.sum);
        }
        Ok(())
    }

    fn freeze(&self) -> Box<dyn SnapshotView> {
        match self.bug {
            Bug::FreezesNothing => Box::new(View(Arc::clone(&self.state))),
            _ => Box::new(View(Arc::new(Mutex::new(*self.state.lock().unwrap())))),
        }
    }

    fn restore(&mut self, reader: &mut dyn Read) -> Result<(), ApplyError> {
        let mut bytes = [0; 16];
        match self.bug {
            Bug::ReadsOnce => drop(reader.read(&mut bytes)?),
            _ => reader.read_exact(&mut bytes)?,
        }
        let mut state = self.state.lock().unwrap();
        let before = if self.bug == Bug::AddsToTheState { *state } else { State::default() };
        let [count, sum] = [0, 8].map(|at| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()));
        let sum = if self.bug == Bug::ForgetsTheSum { 0 } else { sum };
        *state = State { count: before.count + count, sum: before.sum + sum };
        Ok(())
    }
}

struct View(Arc<Mutex<State>>);

impl SnapshotView for View {
    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let State { count, sum } = *self.0.lock().unwrap();
        out.write_all(&[count.to_le_bytes(), sum.to_le_bytes()].concat())
    }
}

#[track_caller]
fn rejected(bug: Bug, sentence: MachineSentence) {
    let failure = check_state_machine(|| Broken::new(bug), command).unwrap_err();
    assert_eq!(failure.sentence, sentence, "{failure}");
}

#[test]
fn a_machine_without_replies_to_no_ops_is_rejected() {
    rejected(Bug::SkipsNoOps, MachineSentence::OneReply);
}

#[test]
fn a_machine_that_throws_earlier_replies_away_is_rejected() {
    rejected(Bug::ClearsReplies, MachineSentence::OneReply);
}

#[test]
fn a_machine_whose_state_depends_on_batches_is_rejected() {
    rejected(Bug::CountsBatches, MachineSentence::BatchesDoNotMatter);
}

#[test]
fn a_machine_that_lets_itself_into_its_state_is_rejected() {
    rejected(Bug::KnowsItsNumber, MachineSentence::Deterministic);
}

#[test]
fn a_machine_whose_frozen_copy_moves_is_rejected() {
    rejected(Bug::FreezesNothing, MachineSentence::Frozen);
}

#[test]
fn a_machine_that_restores_on_top_of_what_it_has_is_rejected() {
    rejected(Bug::AddsToTheState, MachineSentence::Restored);
}

#[test]
fn a_machine_that_loses_a_part_in_its_snapshot_is_rejected() {
    rejected(Bug::ForgetsTheSum, MachineSentence::Restored);
}

#[test]
fn a_machine_that_expects_its_snapshot_in_one_piece_is_rejected() {
    rejected(Bug::ReadsOnce, MachineSentence::Restored);
}

#[test]
fn a_machine_that_refuses_by_an_error_is_rejected() {
    rejected(Bug::RefusesByError, MachineSentence::NoError);
}
