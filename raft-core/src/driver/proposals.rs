//! Proposals on their way: each waits for the entry that is committed at its index.
//!
//! Whatever is committed there decides: the proposal's own entry was applied, any other means that it never will be; and
//! so does an entry of a later term before it, because terms never fall along a log. A node that no longer leads keeps
//! waiting until then, because the next leader may well commit what it proposed.
//!
//! Bounded by the core's admission, per term: what waits here was in the log and uncommitted when it was proposed. The
//! first commit of a later term decides all that earlier terms have left behind it.

use std::collections::VecDeque;

use crate::input::Ticket;
use crate::types::{EntryId, LogIndex};

/// Waiting proposals by index; several terms may have one at the same index.
#[derive(Debug, Default)]
pub(super) struct Proposals(VecDeque<(EntryId, Ticket)>);

/// What became of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its entry is the committed one.
    Committed(Ticket),
    /// Another one is.
    Displaced(EntryId, Ticket),
}

impl Proposals {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The batch's entries have their places from `first` on.
    pub(super) fn appended(&mut self, first: EntryId, tickets: impl Iterator<Item = Ticket>) {
        // A leader that was deposed and elected again may propose below what it had proposed before.
        let at = self.0.partition_point(|(id, _)| id.index < first.index);
        let ids = (first.index.0..).map(|index| EntryId::new(first.term, LogIndex(index)));
        let new = ids.zip(tickets);
        if at == self.0.len() {
            self.0.extend(new);
        } else {
            self.0.extend(new);
            self.0.make_contiguous().sort_by_key(|(id, _)| (id.index, id.term));
        }
    }

    /// The next proposal that the committed entry `id` decides.
    pub(super) fn decided_by(&mut self, id: EntryId) -> Option<Fate> {
        let (proposed, ticket) =
            self.0.pop_front_if(|(proposed, _)| proposed.index <= id.index || proposed.term < id.term)?;
        let is_taken_for_another = mutant!(ProposalTakenForAnother) && proposed.index == id.index;
        Some(if proposed == id || is_taken_for_another {
            Fate::Committed(ticket)
        } else {
            Fate::Displaced(proposed, ticket)
        })
    }

    /// Proposals whose fate a snapshot through `index` hides.
    pub(super) fn hidden_by(&mut self, index: LogIndex) -> impl Iterator<Item = Ticket> {
        let hidden = self.0.partition_point(|(id, _)| id.index <= index);
        self.0.drain(..hidden).map(|(_, ticket)| ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Term;

    fn id(term: u64, index: u64) -> EntryId {
        EntryId::new(Term(term), LogIndex(index))
    }

    fn fates(proposals: &mut Proposals, committed: EntryId) -> Vec<Fate> {
        std::iter::from_fn(|| proposals.decided_by(committed)).collect()
    }

    #[test]
    fn a_committed_entry_decides_every_proposal_at_its_index_and_those_of_earlier_terms_behind_it() {
        let mut proposals = Proposals::default();
        proposals.appended(id(3, 10), [Ticket(1), Ticket(2), Ticket(3)].into_iter());
        proposals.appended(id(5, 9), [Ticket(4), Ticket(5)].into_iter());
        let at_nine = [Fate::Committed(Ticket(4)), Fate::Displaced(id(3, 10), Ticket(1))];
        assert_eq!(fates(&mut proposals, id(5, 9)), at_nine);
        assert_eq!(proposals.hidden_by(LogIndex(10)).collect::<Vec<_>>(), [Ticket(5)]);
        assert_eq!(fates(&mut proposals, id(3, 11)), [Fate::Committed(Ticket(2))]);
        assert_eq!(fates(&mut proposals, id(4, 11)), [Fate::Displaced(id(3, 12), Ticket(3))]);
        assert!(proposals.is_empty());
    }
}
