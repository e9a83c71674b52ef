//! Clients: each asks for one thing at a time, follows hints, loses patience, and asks again under the same number.

use super::plan::ClientsPlan;
use crate::input::Ticket;
use crate::testing::cluster::{Answer, Command, place_of};
use crate::testing::draw::Dice;

const STREAM: u64 = 2 << 32;

/// What a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Propose(Command),
    Read { lease: bool },
}

/// See the module.
pub(super) struct Client {
    pub(super) dice: Dice,
    /// Its number; from 1.
    number: u16,
    seq: u32,
    /// The node it believes in.
    pub(super) target: usize,
    /// What it is waiting for.
    pub(super) request: Option<Request>,
    ticket: Option<Ticket>,
    /// Counts what it has sent.
    pub(super) attempt: u32,
}

/// What a client does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Nothing,
    Think,
    Retry,
}

impl Client {
    pub(super) fn new(seed: u64, number: u16) -> Self {
        let dice = Dice::new(seed, STREAM + u64::from(number));
        Self { dice, number, seq: 0, target: 0, request: None, ticket: None, attempt: 0 }
    }

    /// Thinks of the next thing to ask for, unless it still wants the last one.
    pub(super) fn request(&mut self, plan: &ClientsPlan) -> Request {
        if let Some(request) = self.request {
            return request;
        }
        let request = if self.dice.chance(plan.read_permille) {
            Request::Read { lease: plan.lease_permille > 0 && self.dice.chance(plan.lease_permille) }
        } else {
            let padding = u16::try_from(self.dice.below(plan.max_padding + 1)).unwrap_or(u16::MAX);
            if plan.burst_permille > 0 && self.dice.chance(plan.burst_permille) {
                let more = self.dice.pick(&[0, 1, 3, 8]);
                return Request::Propose(Command { client: 0, seq: 0, padding, more });
            }
            self.seq += 1;
            Request::Propose(Command { client: self.number, seq: self.seq, padding, more: 0 })
        };
        self.request = Some(request);
        request
    }

    /// It has sent what it wants; the answer carries `ticket`.
    pub(super) const fn sent(&mut self, ticket: Option<Ticket>) {
        self.attempt += 1;
        self.ticket = ticket;
    }

    pub(super) fn is_waiting_for(&self, ticket: Ticket) -> bool {
        self.ticket == Some(ticket)
    }

    /// Takes an answer.
    pub(super) fn answered(&mut self, answer: Answer, nodes: &[usize]) -> Next {
        self.ticket = None;
        match answer {
            Answer::Done(_) => {
                self.request = None;
                return Next::Think;
            }
            Answer::Elsewhere(Some(leader)) => self.target = place_of(leader),
            Answer::Elsewhere(None) | Answer::Unknown => self.look_elsewhere(nodes),
            Answer::Refused if self.dice.chance(500) => self.look_elsewhere(nodes),
            Answer::Refused => {}
        }
        Next::Retry
    }

    /// It has waited for its attempt number `attempt` long enough.
    pub(super) fn impatient(&mut self, attempt: u32, nodes: &[usize]) -> Next {
        if self.attempt != attempt || self.ticket.is_none() {
            return Next::Nothing;
        }
        self.ticket = None;
        self.look_elsewhere(nodes);
        if self.dice.chance(100) {
            // It gives up. What it has sent may come late, after what it asks for next.
            self.request = None;
            return Next::Think;
        }
        Next::Retry
    }

    pub(super) fn look_elsewhere(&mut self, nodes: &[usize]) {
        self.target = self.dice.pick(nodes);
    }
}
