//! Every state of small clusters. Larger ones: the example `explore`.

use raft_core::testing::explore::{Bounds, explore};

/// Few messages, no heartbeats: small enough to come to an end.
fn small() -> Bounds {
    Bounds { messages: 2, entries: 0, heartbeats: false, ..Bounds::default() }
}

/// Looks at everything within `bounds`, which is so much at least.
fn holds_within(bounds: &Bounds, least: u64) {
    let report = explore(bounds, |_| {}).unwrap_or_else(|found| panic!("{found}"));
    assert!(report.is_complete, "{report:?}");
    assert!(report.states > least, "{report:?}");
}

#[test]
fn no_order_of_messages_syncs_and_a_crash_breaks_a_promise() {
    holds_within(&Bounds { crashes: 1, ..small() }, 50_000);
}

#[test]
fn no_timer_that_is_late_breaks_a_promise() {
    holds_within(&Bounds { late_timers: true, ..small() }, 5_000);
}

#[test]
fn no_order_of_three_elections_breaks_a_promise() {
    holds_within(&Bounds { terms: 3, slow_disks: false, ..small() }, 200_000);
}

#[test]
fn no_order_of_elections_and_reads_breaks_a_promise() {
    holds_within(&Bounds { entries: 1, reads: 1, slow_disks: false, ..small() }, 20_000);
}

#[test]
fn no_order_of_changes_of_members_breaks_a_promise() {
    holds_within(&Bounds { changes: 1, messages: 3, slow_disks: false, ..small() }, 200_000);
}

#[test]
fn repeated_messages_heartbeats_and_wandering_questions_break_no_promise() {
    holds_within(&Bounds { heartbeats: true, repeats: 1, slow_disks: false, ..small() }, 2_000);
    holds_within(&Bounds { questions: true, slow_disks: false, ..small() }, 500);
}

#[test]
fn a_limit_of_states_ends_the_search_and_is_told() {
    let report = explore(&Bounds { states: 1_000, ..Bounds::default() }, |_| {}).unwrap();
    assert!(!report.is_complete);
    assert!((1_000..1_100).contains(&report.states), "{report:?}");
}

#[cfg(feature = "mutants")]
mod with_seeded_bugs {
    use raft_core::mutants::{Mutant, plant};
    use raft_core::testing::explore::{Counterexample, Violation, explore, hunt};

    fn find(mutant: Mutant) -> Counterexample {
        plant(Some(mutant));
        let result = explore(&hunt(mutant).unwrap(), |_| {});
        plant(None);
        match result {
            Ok(report) => panic!("{mutant} is not found: {report:?}"),
            Err(found) => *found,
        }
    }

    #[test]
    fn the_first_counterexample_is_a_shortest_one_and_tells_what_happens() {
        let found = find(Mutant::VoteTwice);
        assert!(matches!(found.violation, Violation::TwoLeaders { .. }), "{found}");
        // Two campaigns, two requests and two grants, a sync for each of these four votes but the last one's; two losses make room.
        assert_eq!(found.steps.len(), 13, "{found}");
        let last = found.steps.last().unwrap();
        assert!(
            last.starts_with("deliver ") && last.contains("RequestVoteResponse (term 2, granted)"),
            "{last}"
        );
    }

    #[test]
    fn what_each_rule_is_for_is_found() {
        for mutant in Mutant::ALL.iter().copied().filter(|mutant| is_quick(*mutant)) {
            find(mutant);
        }
    }

    /// Those that take a second at most; the example `explore` finds the others.
    fn is_quick(mutant: Mutant) -> bool {
        let slow = [
            Mutant::CommitEarlierTerm,
            Mutant::StaleAnswerCounts,
            Mutant::RequestNameReused,
            Mutant::JointElectsByNew,
            Mutant::ConfigurationIgnored,
        ];
        hunt(mutant).is_some() && !slow.contains(&mutant)
    }
}
