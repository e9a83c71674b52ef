//! The conformance suite of [`StateMachine`]: each sentence of its contract, put to the test.
//!
//! An implementer calls [`check_state_machine`] with a way to make fresh machines and commands that mean something to them.
//! The suite feeds logs of commands, no-ops and configurations to several machines, cut into batches in different ways, and
//! compares replies and states; a state is compared by the snapshot that is written of it.

use std::fmt;
use std::io;

use super::draw::draw_below;
use super::suite::SuiteFailure;
use crate::block::{Block, BlockBuilder, EntryKind};
use crate::configuration::{Configuration, Member, MemberRole};
use crate::state_machine::StateMachine;
use crate::types::{LogIndex, NodeId, Term};

/// Entries of the suite's log.
const ENTRIES: u64 = 240;

/// A sentence of the contract of [`StateMachine`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum MachineSentence {
    /// Replies are pushed, one for each entry of whatever kind.
    OneReply,
    /// Nothing but the entries enters state or replies.
    Deterministic,
    /// Batches are no part of the entries.
    BatchesDoNotMatter,
    /// A frozen copy.
    Frozen,
    /// What restoring gives.
    Restored,
    /// What applying after restoring gives.
    GoesOn,
    /// What the suite sends is sound.
    NoError,
}

impl fmt::Display for MachineSentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneReply => {
                "apply pushes exactly one reply per entry, no-ops and configurations included, behind those that are there"
            }
            Self::Deterministic => "state and replies are a function of the entries alone",
            Self::BatchesDoNotMatter => "how entries are cut into blocks and batches changes nothing",
            Self::Frozen => "freeze gives a frozen copy: what is applied later does not show in it",
            Self::Restored => "restore replaces the state by the one in the snapshot, whatever it was before",
            Self::GoesOn => "after restore, applying goes on with the entry after the snapshot as if nothing had been",
            Self::NoError => "an entry that the application refuses is a reply, and its own snapshot can be loaded",
        })
    }
}

/// What the suite found wrong.
pub type MachineFailure = SuiteFailure<MachineSentence>;

type Checked<T = ()> = Result<T, MachineFailure>;

/// Runs the whole suite. `fresh` makes a machine to which nothing was applied; `command` makes the payload of the n-th
/// command: they should change the state in many ways and get different replies.
///
/// # Errors
/// The first sentence that the machine breaks, and how.
pub fn check_state_machine<M>(
    fresh: impl FnMut() -> M,
    command: impl FnMut(u64) -> Vec<u8>,
) -> Result<(), MachineFailure>
where
    M: StateMachine<Reply: fmt::Debug + PartialEq>,
{
    let mut suite = Suite { log: log(command), fresh };
    let straight = suite.applied("one entry at a time", |_| 1)?;
    suite.deterministic(&straight)?;
    suite.batches(&straight)?;
    suite.frozen(&straight)?;
    suite.restored(&straight)
}

/// One machine after the whole log.
struct Run<M: StateMachine> {
    replies: Vec<M::Reply>,
    state: Vec<u8>,
}

struct Suite<F> {
    log: Vec<Vec<u8>>,
    fresh: F,
}

impl<M, F> Suite<F>
where
    M: StateMachine<Reply: fmt::Debug + PartialEq>,
    F: FnMut() -> M,
{
    /// Applies the log from entry `from` on through `through`, in batches of `size(first index)` entries.
    fn apply(
        &self,
        check: &str,
        machine: &mut M,
        (from, through): (u64, u64),
        size: impl Fn(u64) -> u64,
    ) -> Checked<Vec<M::Reply>> {
        let mut replies = Vec::new();
        let mut next = from;
        while next <= through {
            let last = through.min(next + size(next).max(1) - 1);
            let batch = batch(&self.log, next, last);
            machine.apply(&batch, &mut replies).map_err(|error| {
                let found = format!("applying entries {next} to {last} fails: {error}");
                failure(MachineSentence::NoError, check, found)
            })?;
            let expected = last + 1 - from;
            if replies.len() as u64 != expected {
                let found = format!(
                    "after entries {from} to {last} there are {} replies, not {expected}",
                    replies.len()
                );
                return Err(failure(MachineSentence::OneReply, check, found));
            }
            next = last + 1;
        }
        Ok(replies)
    }

    /// A fresh machine after the whole log.
    fn applied(&mut self, check: &str, size: impl Fn(u64) -> u64) -> Checked<Run<M>> {
        let mut machine = (self.fresh)();
        let replies = self.apply(check, &mut machine, (1, ENTRIES), size)?;
        Ok(Run { replies, state: written(check, &machine)? })
    }

    fn deterministic(&mut self, straight: &Run<M>) -> Checked {
        let check = "the same entries again";
        // Others were made and used meanwhile, as on another node.
        drop((self.fresh)());
        let again = self.applied(check, |_| 1)?;
        compare(MachineSentence::Deterministic, check, straight, &again)
    }

    fn batches(&mut self, straight: &Run<M>) -> Checked {
        for shape in 0..8 {
            let check = format!("batches of shape {shape}");
            let size = |first: u64| if shape == 0 { ENTRIES } else { 1 + draw_below(shape, 8, first, 40) };
            let other = self.applied(&check, size)?;
            compare(MachineSentence::BatchesDoNotMatter, &check, straight, &other)?;
        }
        Ok(())
    }

    /// Writes each frozen copy at once and again after the rest of the log.
    fn frozen(&mut self, straight: &Run<M>) -> Checked {
        for at in [0, 1, ENTRIES / 3, ENTRIES - 1] {
            let check = format!("freezing after entry {at}");
            let mut machine = (self.fresh)();
            self.apply(&check, &mut machine, (1, at), |_| 7)?;
            let at_once = written(&check, &machine)?;
            let view = machine.freeze();
            self.apply(&check, &mut machine, (at + 1, ENTRIES), |_| 11)?;
            for attempt in 0..2 {
                let mut bytes = Vec::new();
                let later = view.write_to(&mut bytes).map(|()| bytes);
                if later.ok().as_ref() != Some(&at_once) {
                    let found =
                        format!("written later (attempt {attempt}) it gives other bytes than at once");
                    return Err(failure(MachineSentence::Frozen, &check, found));
                }
            }
            if written(&check, &machine)? != straight.state {
                let found = "applying goes wrong while a frozen copy exists";
                return Err(failure(MachineSentence::Frozen, &check, found));
            }
        }
        Ok(())
    }

    /// Restores into fresh and into used machines, and lets both go on.
    fn restored(&mut self, straight: &Run<M>) -> Checked {
        for at in [1, ENTRIES / 3, ENTRIES / 2, ENTRIES - 1] {
            let mut origin = (self.fresh)();
            self.apply("a machine to freeze", &mut origin, (1, at), |_| 5)?;
            let snapshot = written("a machine to freeze", &origin)?;
            for used in [0, at / 2, ENTRIES] {
                let check =
                    format!("restoring the state after entry {at} into a machine that applied {used}");
                let mut machine = (self.fresh)();
                self.apply(&check, &mut machine, (1, used), |_| 3)?;
                restore(&check, &mut machine, &snapshot)?;
                if written(&check, &machine)? != snapshot {
                    let found = "a snapshot of the restored state has other bytes";
                    return Err(failure(MachineSentence::Restored, &check, found));
                }
                let replies = self.apply(&check, &mut machine, (at + 1, ENTRIES), |first| 1 + first % 9)?;
                let expected = &straight.replies[at as usize..];
                if let Some(after) = replies.iter().zip(expected).position(|(found, wanted)| found != wanted)
                {
                    let index = at as usize + after + 1;
                    let found =
                        format!("entry {index} is answered {:?}, not {:?}", replies[after], expected[after]);
                    return Err(failure(MachineSentence::GoesOn, &check, found));
                }
                if written(&check, &machine)? != straight.state {
                    let found = "the rest of the log leads to another state than it does without restoring";
                    return Err(failure(MachineSentence::GoesOn, &check, found));
                }
            }
        }
        Ok(())
    }
}

fn failure(sentence: MachineSentence, check: &str, found: impl Into<String>) -> MachineFailure {
    MachineFailure { sentence, check: check.to_owned(), found: found.into() }
}

fn compare<M>(sentence: MachineSentence, check: &str, one: &Run<M>, other: &Run<M>) -> Checked
where
    M: StateMachine<Reply: fmt::Debug + PartialEq>,
{
    let differs = one.replies.iter().zip(&other.replies).position(|(one, other)| one != other);
    if let Some(at) = differs {
        let found = format!("entry {} is answered {:?} and {:?}", at + 1, one.replies[at], other.replies[at]);
        return Err(failure(sentence, check, found));
    }
    if one.state != other.state {
        return Err(failure(sentence, check, "all replies are the same, but the states differ"));
    }
    Ok(())
}

/// A snapshot of the machine as it is.
fn written(check: &str, machine: &impl StateMachine) -> Checked<Vec<u8>> {
    let mut bytes = Vec::new();
    machine.freeze().write_to(&mut bytes).map_err(|error| {
        failure(MachineSentence::NoError, check, format!("writing the state to memory fails: {error}"))
    })?;
    Ok(bytes)
}

/// Through a reader that gives a few bytes at a time, as files and sockets may.
fn restore(check: &str, machine: &mut impl StateMachine, snapshot: &[u8]) -> Checked {
    machine.restore(&mut Trickle(snapshot)).map_err(|error| {
        failure(MachineSentence::NoError, check, format!("the machine's own snapshot is refused: {error}"))
    })
}

struct Trickle<'a>(&'a [u8]);

impl io::Read for Trickle<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = out.len().min(self.0.len()).min(7);
        out[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

/// The payloads of the log: the founding configuration first, then commands, with no-ops and configurations in between.
fn log(mut command: impl FnMut(u64) -> Vec<u8>) -> Vec<Vec<u8>> {
    (1..=ENTRIES)
        .map(|index| match kind(index) {
            EntryKind::Normal => command(index),
            EntryKind::NoOp => Vec::new(),
            EntryKind::Configuration => configuration(),
        })
        .collect()
}

/// A term opens with a no-op; every other term changes the members.
const fn kind(index: u64) -> EntryKind {
    match index {
        1 => EntryKind::Configuration,
        _ if index % 20 == 2 => EntryKind::NoOp,
        _ if index % 40 == 23 => EntryKind::Configuration,
        _ => EntryKind::Normal,
    }
}

const fn term(index: u64) -> u64 {
    1 + (index + 18) / 20
}

fn configuration() -> Vec<u8> {
    let member = Member {
        id: NodeId::new(1).expect("not zero"),
        role: MemberRole::Voter,
        newest_version: 1,
        name: "n1".to_owned(),
        peer_address: "10.0.0.1:1".to_owned(),
        client_address: "10.0.0.1:2".to_owned(),
    };
    let mut bytes = Vec::new();
    Configuration::new(1, vec![member]).expect("one voter").encode(&mut bytes);
    bytes
}

/// Entries `from..=through`, in blocks of up to four that end where terms do.
fn batch(log: &[Vec<u8>], from: u64, through: u64) -> Vec<Block> {
    let indexes: Vec<u64> = (from..=through).collect();
    let blocks = indexes.chunk_by(|one, next| term(*one) == term(*next) && next % 4 != 0).map(|block| {
        let mut builder = BlockBuilder::new();
        for &index in block {
            builder.push(kind(index), &[&log[index as usize - 1]]);
        }
        builder.finish(LogIndex(block[0]), Term(term(block[0]))).expect("a chunk is not empty")
    });
    blocks.collect()
}
