use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[test]
fn the_window_moves_when_its_oldest_write_ends_past_all_that_ended_before() {
    let mut window = Window::default();
    assert_eq!([window.begin(), window.begin(), window.begin()], [(0, 0), (1, 0), (2, 0)]);
    assert!(!window.end(1), "0 has not ended");
    assert!(window.end(0));
    assert_eq!(window.begin(), (3, 2));
}

proptest! {
    #[test]
    fn the_lowest_sequence_is_always_that_of_the_oldest_write_in_flight(
        steps in prop::collection::vec(any::<Option<prop::sample::Index>>(), 0..200),
    ) {
        let mut window = Window::default();
        let mut in_flight = BTreeSet::new();
        let mut next = 0;
        for step in steps {
            match step {
                Some(index) if !in_flight.is_empty() => {
                    let sequence = *in_flight.iter().nth(index.index(in_flight.len())).unwrap();
                    let was_oldest = in_flight.first() == Some(&sequence);
                    in_flight.remove(&sequence);
                    prop_assert_eq!(window.end(sequence), was_oldest);
                }
                _ => {
                    in_flight.insert(next);
                    let oldest = *in_flight.first().unwrap();
                    prop_assert_eq!(window.begin(), (next, oldest));
                    next += 1;
                }
            }
            prop_assert_eq!(window.ended.len() as u64, next - in_flight.first().unwrap_or(&next));
        }
    }
}
