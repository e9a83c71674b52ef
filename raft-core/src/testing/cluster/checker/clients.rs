//! What clients are told, against what is true.

use super::{Checker, Violation};
use crate::driver::Applied;
use crate::error::{ProposeError, ReadError};
use crate::input::Ticket;
use crate::time::Time;
use crate::types::{LogIndex, NodeId};

/// Reads under way: what each must see, by ticket.
///
/// A read must see every entry that was committed *anywhere* when it began. That is more than linearizability asks for
/// (only what was acknowledged), and the protocol delivers it: an old leader cannot confirm its round once a quorum has
/// left its term, and a new one waits for a commit of its own term.
#[derive(Debug, Default)]
pub(super) struct Reads(Vec<Option<LogIndex>>);

impl Reads {
    fn take(&mut self, ticket: Ticket) -> Option<LogIndex> {
        let place = usize::try_from(ticket.0).ok()?;
        self.0.get_mut(place)?.take()
    }
}

impl Checker {
    pub(in crate::testing::cluster) fn read_begun(&mut self, ticket: Ticket) {
        let place = usize::try_from(ticket.0).expect("simulated clients read little");
        self.reads.0.resize(self.reads.0.len().max(place + 1), None);
        self.reads.0[place] = Some(LogIndex(self.committed()));
    }

    pub(in crate::testing::cluster) fn read_ended(
        &mut self,
        at: Time,
        node: NodeId,
        ticket: Ticket,
        result: Result<LogIndex, ReadError>,
        applied: LogIndex,
    ) -> Result<(), Violation> {
        let misled = |truth: String| {
            let answer = match &result {
                Ok(index) => format!("what it reads is as of entry {index}"),
                Err(error) => error.to_string(),
            };
            Err(Violation::ClientMisled { at, node, ticket, answer, truth })
        };
        let Some(floor) = self.reads.take(ticket) else {
            return misled("it had been answered before".to_owned());
        };
        match result {
            Ok(index) if index < floor => misled(format!("entry {floor} was committed before it began")),
            Ok(index) if index > applied => misled(format!("only {applied} entries are applied there")),
            _ => Ok(()),
        }
    }

    pub(in crate::testing::cluster) fn proposal_ended(
        &mut self,
        at: Time,
        node: NodeId,
        ticket: Ticket,
        result: Result<Applied<u64>, ProposeError>,
    ) -> Result<(), Violation> {
        let mut history = self.history();
        let (first_answer, fate) = (history.answered(ticket), history.fate(ticket));
        let truth = match result {
            _ if !first_answer => "it had been answered before".to_owned(),
            Ok(Applied { id, reply }) if fate == Some((id, reply)) => {
                drop(history);
                self.acknowledged_through = self.acknowledged_through.max(id.index);
                return Ok(());
            }
            Err(ProposeError::Unknown) => return Ok(()),
            Err(_) if fate.is_none() => {
                history.refused(ticket);
                return Ok(());
            }
            Ok(_) | Err(_) => match fate {
                Some((id, reply)) => format!("it was applied at {id} with reply {reply}"),
                None => "it was not applied".to_owned(),
            },
        };
        let answer = match result {
            Ok(Applied { id, reply }) => format!("applied at {id} with reply {reply}"),
            Err(error) => error.to_string(),
        };
        Err(Violation::ClientMisled { at, node, ticket, answer, truth })
    }
}
