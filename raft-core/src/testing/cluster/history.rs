//! What was ever applied, and what clients were told about it: one history for all nodes.
//!
//! * **State machine safety**: every node applies the same entry at an index, in order.
//! * **Exactly once**: a client's command is executed once, whatever was sent again; and each reply a client gets is the
//!   one that the execution gave.
//! * **Truthful refusals**: a proposal that was called not applied is never applied.

use std::collections::BTreeMap;

use super::machine::STALE;
use crate::input::Ticket;
use crate::types::{EntryId, LogIndex};

/// What the first node to apply an entry applied: all others must apply the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AppliedEntry {
    pub(super) id: EntryId,
    pub(super) kind: u8,
    /// Of the proposal; 0 for what is no command.
    pub(super) ticket: u64,
    pub(super) client: u16,
    pub(super) seq: u32,
    pub(super) reply: u64,
    /// Whether the command took effect here, and not earlier.
    pub(super) executed: bool,
    /// Hash of the state after it.
    pub(super) state: u64,
}

/// What became of a proposal so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Proposal {
    applied_at: Option<EntryId>,
    reply: u64,
    answered: bool,
    refused: bool,
}

/// A broken promise about what is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Untrue {
    #[error("applied {found:?} after {after}, but elsewhere, or in order, {expected:?}")]
    Diverged { after: LogIndex, found: AppliedEntry, expected: Option<AppliedEntry> },
    #[error("proposal {ticket} is applied at {second}, and was at {first}")]
    AppliedTwice { ticket: u64, first: EntryId, second: EntryId },
    #[error("command {seq} of client {client} is executed at {second}, and was at {first}")]
    ExecutedTwice { client: u16, seq: u32, first: EntryId, second: EntryId },
    #[error("proposal {ticket} is applied at {id}, but its client was told that it never would be")]
    AppliedAfterRefusal { ticket: u64, id: EntryId },
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct History {
    entries: Vec<AppliedEntry>,
    /// By ticket, from 1.
    proposals: Vec<Proposal>,
    executed: BTreeMap<(u16, u32), EntryId>,
}

impl History {
    /// A node that has applied everything through `after` applies `entry`.
    pub(super) fn applied(&mut self, after: LogIndex, entry: AppliedEntry) -> Result<(), Untrue> {
        let at = usize::try_from(after.0).expect("simulated logs are short");
        if entry.id.index == after.next() {
            match self.entries.get(at) {
                Some(known) if *known == entry => return Ok(()),
                None if at == self.entries.len() => return self.first_applied(entry),
                _ => {}
            }
        }
        Err(Untrue::Diverged { after, found: entry, expected: self.entries.get(at).copied() })
    }

    fn first_applied(&mut self, entry: AppliedEntry) -> Result<(), Untrue> {
        let AppliedEntry { id, ticket, client, seq, .. } = entry;
        self.entries.push(entry);
        if client > 0 && !entry.executed && entry.reply != STALE {
            mark!(DuplicateServed);
        }
        if ticket == 0 {
            return Ok(());
        }
        let proposal = self.proposal(Ticket(ticket));
        if let Some(first) = proposal.applied_at {
            return Err(Untrue::AppliedTwice { ticket, first, second: id });
        }
        if proposal.refused {
            return Err(Untrue::AppliedAfterRefusal { ticket, id });
        }
        (proposal.applied_at, proposal.reply) = (Some(id), entry.reply);
        if client > 0
            && entry.executed
            && let Some(first) = self.executed.insert((client, seq), id)
        {
            return Err(Untrue::ExecutedTwice { client, seq, first, second: id });
        }
        Ok(())
    }

    fn proposal(&mut self, ticket: Ticket) -> &mut Proposal {
        let at = usize::try_from(ticket.0).expect("simulated clients propose little");
        if self.proposals.len() <= at {
            self.proposals.resize(at + 1, Proposal::default());
        }
        &mut self.proposals[at]
    }

    /// Whether `ticket` is answered for the first time.
    pub(super) fn answered(&mut self, ticket: Ticket) -> bool {
        !std::mem::replace(&mut self.proposal(ticket).answered, true)
    }

    /// Where the proposal was applied, and the reply it had there.
    pub(super) fn fate(&mut self, ticket: Ticket) -> Option<(EntryId, u64)> {
        let proposal = self.proposal(ticket);
        proposal.applied_at.map(|id| (id, proposal.reply))
    }

    /// The client was told that the proposal was not applied and never will be.
    pub(super) fn refused(&mut self, ticket: Ticket) {
        self.proposal(ticket).refused = true;
    }

    /// Last entry that any node has applied, and the hash of the state there.
    pub(super) fn head(&self) -> (LogIndex, u64) {
        self.entries.last().map_or((LogIndex::ZERO, 0), |entry| (entry.id.index, entry.state))
    }
}
