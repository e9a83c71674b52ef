//! Whether what a store recovered is something that the contract allows, and if not, which sentence it breaks.

use super::model::Model;
use super::session::Session;
use super::{Checked, LogFailure, LogHarness, LogSentence};
use crate::storage::Recovered;

impl<H: LogHarness> Session<H> {
    /// After closing in good order: all that is durable, and nothing else.
    pub(super) fn expect_recovered(&self, recovered: &Recovered) -> Checked {
        match self.matching(&self.durable, recovered) {
            Some(_) => Ok(()),
            None => {
                let expected = self.durable.recovered();
                let found = format!("{}, expected {}", describe(recovered), describe(&expected));
                Err(self.failure(LogSentence::Recovered, found))
            }
        }
    }

    /// After a crash: the log that the store recovered, if it is one of those that the contract allows.
    pub(super) fn judge(&self, recovered: &Recovered) -> Result<Model, LogFailure> {
        let mut allowed = vec![self.durable.clone()];
        for write in &self.queued {
            let log = allowed.last().expect("starts with one");
            allowed.extend(log.stages(write));
        }
        match allowed.iter().find_map(|log| self.matching(log, recovered)) {
            Some(log) => Ok(log),
            None => Err(self.convict(recovered, &allowed)),
        }
    }

    /// `log`, less what may be compacted, if that is what was recovered.
    fn matching(&self, log: &Model, recovered: &Recovered) -> Option<Model> {
        let candidates = [Some(log.clone()), log.reset_to(self.floor.last)];
        candidates.into_iter().flatten().find_map(|log| {
            let base = recovered.base.index;
            let log = log.without(base).filter(|_| base <= self.may_drop.max(log.base.index))?;
            (log.recovered() == *recovered).then_some(log)
        })
    }

    /// Which sentence a store breaks that recovered none of the `allowed` logs.
    fn convict(&self, recovered: &Recovered, allowed: &[Model]) -> LogFailure {
        let with_other_vote = |log: &Model| {
            let recovered = Recovered { hard_state: log.hard_state, ..recovered.clone() };
            self.matching(log, &recovered).is_some()
        };
        let is_past = self.history.iter().any(|log| self.matching(log, recovered).is_some());
        let is_short = recovered.last.index < self.durable.last().index
            && allowed.iter().all(|log| log.last().index > recovered.last.index);
        let vote_is_allowed = allowed.iter().any(|log| log.hard_state == recovered.hard_state);
        let sentence = match allowed.iter().any(with_other_vote) {
            true if vote_is_allowed => LogSentence::HardStateFirst,
            true => LogSentence::Durable,
            false if is_past || is_short => LogSentence::Durable,
            false => LogSentence::Prefix,
        };
        let (durable, submitted) = (self.durable.recovered(), self.submitted.recovered());
        let found = format!(
            "a crash leaves {}, where {} was durable and {} submitted",
            describe(recovered),
            describe(&durable),
            describe(&submitted)
        );
        self.failure(sentence, found)
    }
}

fn describe(recovered: &Recovered) -> String {
    let Recovered { hard_state, base, last, runs, configurations, damaged, floor } = recovered;
    let vote = hard_state.voted_for.map_or_else(|| "nobody".to_owned(), |id| id.to_string());
    let runs: Vec<_> = runs.iter().map(|run| format!("{}@{}", run.first, run.term)).collect();
    let configurations: Vec<_> = configurations.iter().map(|(index, _)| index.0).collect();
    format!(
        "[term {}, vote for {vote}, entries after {base} through {last}, runs {runs:?}, configurations at \
         {configurations:?}, damaged {damaged:?}, floor {floor:?}]",
        hard_state.current_term
    )
}
