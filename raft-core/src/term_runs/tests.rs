use super::*;
use crate::block::{BlockBuilder, BlockHeader, EntryKind};
use crate::rng::Rng;

/// A log of one entry per given term, after `base`.
fn naive(base: EntryId, terms: &[u64]) -> LogTerms {
    let mut log = LogTerms::new(base, &[], base.index);
    for &term in terms {
        log.append(&block(log.last.index.next(), &[term]));
    }
    log
}

fn block(first: LogIndex, terms: &[u64]) -> Block {
    let mut builder = BlockBuilder::new();
    terms.iter().for_each(|_| builder.push(EntryKind::NoOp, &[]));
    let plain = builder.finish(first, Term(terms[0])).unwrap();
    let runs = (first.0..).zip(terms).filter(|&(index, &term)| {
        index == first.0 || terms[usize::try_from(index - first.0).unwrap() - 1] != term
    });
    let runs = runs.map(|(index, &term)| TermRun { first: LogIndex(index), term: Term(term) }).collect();
    let header = BlockHeader { runs, ..plain.header() };
    Block::from_parts(header, plain.table().clone(), plain.payload().clone()).unwrap()
}

fn ascending(rng: &mut Rng, mut term: u64) -> Vec<u64> {
    let mut terms = Vec::new();
    for _ in 0..1 + rng.below(8) {
        term += u64::from(rng.below(3) == 0);
        terms.push(term);
    }
    terms
}

#[test]
fn runs_answer_like_a_plain_list_of_terms() {
    let mut rng = Rng::new(1);
    for _ in 0..5_000 {
        let base = EntryId::new(Term(1 + rng.below(3)), LogIndex(rng.below(4)));
        let mut terms = ascending(&mut rng, base.term.0);
        let mut log = naive(base, &terms);
        if rng.below(2) == 0 {
            let keep = rng.below(terms.len() as u64 + 1);
            terms.truncate(usize::try_from(keep).unwrap());
            log.truncate(base.index.plus(keep).next());
        }
        let mut base = base;
        if rng.below(2) == 0 && !terms.is_empty() {
            let drop = rng.below(terms.len() as u64 + 1);
            if drop > 0 {
                base = EntryId::new(Term(terms[usize::try_from(drop).unwrap() - 1]), base.index.plus(drop));
            }
            terms.drain(..usize::try_from(drop).unwrap());
            log.compact(base.index);
        }
        check(&log, base, &terms, &mut rng);
    }
}

fn check(log: &LogTerms, base: EntryId, terms: &[u64], rng: &mut Rng) {
    let ids: Vec<EntryId> = std::iter::once(base)
        .chain(
            terms
                .iter()
                .zip(base.index.0 + 1..)
                .map(|(&term, index)| EntryId::new(Term(term), LogIndex(index))),
        )
        .collect();
    assert_eq!((log.base(), log.last()), (base, *ids.last().unwrap()));
    for index in 0..base.index.0 + 12 {
        let want = ids.iter().find(|id| id.index.0 == index).map(|id| id.term);
        assert_eq!(log.term_at(LogIndex(index)), want);
        let other = EntryId::new(Term(rng.below(6)), LogIndex(index));
        let want = ids.iter().rev().find(|id| id.index <= other.index && id.term <= other.term);
        assert_eq!(log.last_not_after(other), *want.unwrap_or(&base), "{log:?} {other}");
    }
    let first = LogIndex(1 + rng.below(base.index.0 + 4));
    let incoming = ascending(rng, 1);
    let mismatch = (first.0..)
        .zip(&incoming)
        .find(|&(index, &term)| index >= base.index.0 && log.term_at(LogIndex(index)) != Some(Term(term)));
    let block = block(first, &incoming);
    assert_eq!(log.first_mismatch(&block), mismatch.map(|(index, _)| LogIndex(index)), "{log:?} {block:?}");
}
