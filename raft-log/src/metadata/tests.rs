use std::path::Path;

use super::*;

fn slot(generation: u64, term: u64) -> Slot {
    let hard_state = HardState { current_term: Term(term), ..HardState::default() };
    Slot { generation, node_id: NodeId::new(1).unwrap(), hard_state }
}

const TORN: Result<Slot, PageFault> = Err(PageFault::Checksum { found: 1, expected: 2 });

/// The newest term and the slots to repair, by what the four slots hold.
fn verdict(slots: [Result<Slot, PageFault>; 4]) -> Result<(u64, Vec<usize>), [usize; 2]> {
    match judge(&slots, Path::new("meta")) {
        Ok((newest, repairs)) => {
            Ok((newest.hard_state.current_term.0, repairs.0.iter().map(|(number, _)| *number).collect()))
        }
        Err(OpenError::MetadataDamaged { slots, .. }) => Err(slots),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_slot_round_trips_with_and_without_vote_and_cluster() {
    let hard_states = [
        HardState::default(),
        HardState {
            cluster_id: Some(ClusterId(u128::MAX - 1)),
            current_term: Term(9),
            voted_for: NodeId::new(4),
        },
        HardState { cluster_id: Some(ClusterId(0)), current_term: Term(u64::MAX), voted_for: None },
    ];
    for hard_state in hard_states {
        for number in 0..SLOTS {
            let slot = Slot { hard_state, ..slot(4 + number as u64 % 2, 0) };
            assert_eq!(Slot::decode(slot.encode(number), number), Ok(slot));
        }
    }
}

#[test]
fn a_slot_is_none_in_another_place_and_every_flipped_bit_is_found() {
    let bytes = slot(6, 3).encode(2);
    for number in [0, 1, 3] {
        assert!(Slot::decode(bytes, number).is_err(), "{number}");
    }
    for bit in 0..PAGE * 8 {
        let mut bytes = bytes;
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(Slot::decode(bytes, 2).is_err(), "{bit}");
    }
}

/// Slots are listed by number: the pairs are 0 with 2, and 1 with 3.
#[test]
fn a_crash_anywhere_in_an_update_leaves_the_old_generation_or_the_new_one() {
    let (oldest, old, new) = (Ok(slot(4, 4)), Ok(slot(5, 5)), Ok(slot(6, 6)));
    assert_eq!(verdict([oldest, old, oldest, old]), Ok((5, vec![])));
    assert_eq!(verdict([TORN, old, oldest, old]), Ok((5, vec![0])));
    assert_eq!(verdict([new, old, oldest, old]), Ok((6, vec![2])));
    assert_eq!(verdict([new, old, TORN, old]), Ok((6, vec![2])));
    assert_eq!(verdict([new, old, new, old]), Ok((6, vec![])));
}

#[test]
fn a_durable_generation_outlives_either_of_its_copies_and_not_both() {
    let (old, new) = (Ok(slot(5, 5)), Ok(slot(6, 6)));
    assert_eq!(verdict([TORN, old, new, old]), Ok((6, vec![0])));
    assert_eq!(verdict([new, old, TORN, old]), Ok((6, vec![2])));
    assert_eq!(verdict([Ok(slot(4, 4)), old, new, old]), Ok((6, vec![0])), "a write that the disk lost");
    assert_eq!(verdict([TORN, old, TORN, old]), Err([0, 2]));
    assert_eq!(verdict([new, TORN, new, TORN]), Err([1, 3]), "it may have held a newer one");
    assert_eq!(verdict([new, TORN, TORN, old]), Ok((6, vec![2, 1])));
}

#[test]
fn slots_of_two_nodes_are_refused() {
    let other = Slot { node_id: NodeId::new(2).unwrap(), ..slot(5, 5) };
    let (mine, other) = (Ok(slot(6, 6)), Ok(other));
    let error = judge(&[mine, other, mine, other], Path::new("meta")).map(drop).unwrap_err();
    assert!(matches!(error, OpenError::MetadataMixed { .. }), "{error}");
}
