//! Random walks: long sequences of legal writes, reads, reopenings and crashes.

use super::script::{block, configuration_block, hard_state, snapshot, write};
use super::session::Session;
use super::{Checked, LogHarness};
use crate::rng::Rng;
use crate::storage::Write;
use crate::testing::suite::{Crash, Leaves};
use crate::types::{EntryId, LogIndex, Term};

const WALKS: u64 = 20;
const STEPS: u64 = 60;

pub(super) fn check<H: LogHarness>(fresh: &mut impl FnMut() -> H, can_crash: bool) -> Checked {
    for seed in 0..WALKS {
        let session = Session::open(format!("random walk {seed}"), fresh())?;
        Walk { session, rng: Rng::new(seed), can_crash }.run()?;
    }
    Ok(())
}

struct Walk<H: LogHarness> {
    session: Session<H>,
    rng: Rng,
    can_crash: bool,
}

impl<H: LogHarness> Walk<H> {
    fn run(mut self) -> Checked {
        self.vote();
        for _ in 0..STEPS {
            match self.rng.below(16) {
                0..=4 => self.append(),
                5..=6 => self.vote(),
                7..=8 => self.overwrite(),
                9..=10 => self.session.settle()?,
                11 => self.read()?,
                12 => self.compact()?,
                13 => self.reset()?,
                14 => self.reopen()?,
                _ => self.crash()?,
            }
        }
        self.reopen()
    }

    fn term(&self) -> u64 {
        self.session.submitted.hard_state.current_term.0
    }

    fn last(&self) -> u64 {
        self.session.submitted.last().index.0
    }

    /// A new term, or a vote in this one.
    fn vote(&mut self) {
        let (term, vote) = (self.term() + 1, self.rng.below(4));
        self.session.submit(Write { hard_state: Some(hard_state(term, vote)), ..write() });
    }

    fn append(&mut self) {
        let (term, first) = (self.term(), self.last() + 1);
        let middle = first + self.rng.below(4);
        let append = match self.rng.below(8) {
            0 => vec![configuration_block(term, first, 1 + self.rng.below(5))],
            1 => vec![block(term, first, middle)],
            _ => vec![block(term, first, middle), block(term, middle + 1, middle + 1 + self.rng.below(9))],
        };
        self.session.submit(Write { append: append.into(), ..write() });
    }

    /// Entries of a new leader replace some of an old one.
    fn overwrite(&mut self) {
        let held = self.session.submitted.base.index.max(self.session.may_drop).0;
        if self.last() == held {
            return;
        }
        let from = self.last() - self.rng.below((self.last() - held).min(12));
        let term = self.term() + 1;
        let append = match self.rng.below(3) {
            0 => Vec::new(),
            _ => vec![block(term, from, from + self.rng.below(6))],
        };
        let hard_state = Some(hard_state(term, 0));
        self.session.submit(Write {
            hard_state,
            truncate_from: Some(LogIndex(from)),
            append: append.into(),
            ..write()
        });
    }

    fn read(&mut self) -> Checked {
        self.session.settle()?;
        self.session.expect_contents()?;
        let log = &self.session.durable;
        let (base, count) = (log.base.index.0, log.entries.len() as u64);
        if count == 0 {
            return Ok(());
        }
        let from = base + 1 + self.rng.below(count);
        let through = from + self.rng.below(20);
        let max_bytes = [0, 500, 5000, usize::MAX][self.rng.below(4) as usize];
        self.session.expect_read(from, through, max_bytes)
    }

    /// A snapshot of a durable entry is published, and the log before it may go.
    fn compact(&mut self) -> Checked {
        self.session.settle()?;
        let entries = &self.session.durable.entries;
        let at = self.rng.below(entries.len() as u64 + 1) as usize;
        match entries.get(at).map(|entry| entry.id) {
            Some(through) if through.index > self.session.may_drop => {
                self.session.compact(through, snapshot(through));
                self.session.settle()?;
                self.session.expect_contents()
            }
            _ => Ok(()),
        }
    }

    /// A received snapshot replaces the log.
    fn reset(&mut self) -> Checked {
        self.session.settle()?;
        let base = EntryId::new(Term(self.term()), LogIndex(self.last() + 1 + self.rng.below(30)));
        self.session.floor = snapshot(base);
        self.session.submit(Write { reset: Some(base), ..write() });
        Ok(())
    }

    fn reopen(&mut self) -> Checked {
        self.session.settle()?;
        self.session.reopen()
    }

    fn crash(&mut self) -> Checked {
        if self.can_crash {
            let outcomes = Leaves::all(self.rng.next_u64());
            let leaves = outcomes[self.rng.below(outcomes.len() as u64) as usize];
            let after = self.rng.below(12);
            self.session.crash(Crash { after, leaves })?;
        }
        Ok(())
    }
}
