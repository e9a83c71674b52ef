//! Where exploration finds the seeded bugs of [`mutants`](crate::mutants): the smallest bounds, or nearly, in which each of
//! them does harm.
//!
//! Missing are those that harm only what is left out here (leases, snapshots, damage, transfers, learners, liveness), those
//! whose harm lies deeper than a minute of search, and a candidate that counts its own vote too early: nobody has heard of
//! it yet, so that no other leader can come of it.

use super::bounds::Bounds;
use crate::mutants::Mutant;

/// The bounds in which `mutant` is found, if there are any.
#[must_use]
pub fn hunt(mutant: Mutant) -> Option<Bounds> {
    let lean = Bounds { entries: 0, messages: 2, heartbeats: false, ..Bounds::default() };
    let fast = Bounds { slow_disks: false, ..lean.clone() };
    let apart = |bounds: Bounds, terms, logs: &[&[u64]]| Bounds {
        terms,
        logs: logs.iter().map(|log| log.to_vec()).collect(),
        ..bounds
    };
    // `[Raft Figure 8 (b)]`: node 1 led term 2, node 3 leads term 3; neither has told anybody.
    let figure_8 = |bounds, terms| apart(bounds, terms, &[&[1, 2], &[1], &[1, 3]]);
    Some(match mutant {
        Mutant::VoteTwice
        | Mutant::VoteBeforeDurable
        | Mutant::CandidacyBeforeDurable
        | Mutant::AckBeforeDurable
        | Mutant::AckBeforeTermDurable
        | Mutant::CommitOwnBeforeDurable
        | Mutant::CommitMinority
        | Mutant::ApplyBeforeDurable => lean,
        Mutant::VoteForgottenAtRestart => Bounds { messages: 3, crashes: 1, ..fast },
        Mutant::PreVoteCountsAsVote => Bounds { messages: 4, questions: true, ..fast },
        Mutant::TermCountsAsVote | Mutant::TermWithoutStepDown | Mutant::VoteWithoutLogCheck => {
            Bounds { terms: 2, messages: 3, ..fast }
        }
        Mutant::VoteByLength => apart(Bounds { messages: 3, ..fast }, 4, &[&[1, 2, 2], &[1], &[1, 3]]),
        Mutant::PreviousTermUnchecked | Mutant::ConflictKept => figure_8(fast, 3),
        Mutant::CommitAsToldByHeartbeat => figure_8(Bounds { heartbeats: true, ..fast }, 3),
        Mutant::CommitEarlierTerm => figure_8(lean, 4),
        Mutant::TruncateAlways => Bounds { entries: 2, repeats: 1, ..fast },
        Mutant::LateCompletionCounts => Bounds { terms: 2, ..lean },
        Mutant::CachedAfterTruncation => Bounds { terms: 3, ..fast },
        Mutant::StaleAnswerCounts => Bounds { terms: 2, messages: 3, crashes: 1, ..lean },
        Mutant::ReadWithoutQuorum | Mutant::ReadBeforeOwnCommit => {
            Bounds { terms: 2, reads: 1, messages: 3, ..fast }
        }
        Mutant::RequestNameReused => Bounds { entries: 1, reads: 2, crashes: 1, messages: 3, ..fast },
        Mutant::JointCommitsByNew => Bounds { changes: 2, messages: 3, ..fast },
        Mutant::ConfigurationIgnored => Bounds { terms: 2, changes: 1, messages: 3, ..fast },
        Mutant::JointElectsByNew | Mutant::ChangeDuringChange => {
            Bounds { terms: 2, changes: 2, messages: 3, ..fast }
        }
        _ => return None,
    })
}
