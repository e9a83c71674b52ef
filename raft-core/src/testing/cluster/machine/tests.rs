use std::sync::{Arc, Mutex};

use super::super::action::Command;
use super::{History, SimMachine, encode};
use crate::testing::state_machine_suite::check_state_machine;

/// Commands of three clients, now and then sent twice.
fn command(number: u64) -> Vec<u8> {
    let client = 1 + number % 3;
    let seq = if number.is_multiple_of(7) { number / 2 } else { number };
    let command = Command {
        client: u16::try_from(client).expect("small"),
        seq: u32::try_from(seq).expect("small"),
        padding: u16::try_from(number % 50).expect("small"),
        more: 0,
    };
    let (head, padding) = encode(number, command);
    [&head, padding].concat()
}

#[test]
fn the_simulated_application_keeps_every_sentence_of_the_contract() {
    // All nodes of a cluster share the history, which objects as soon as one of them applies something else.
    let history = Arc::new(Mutex::new(History::default()));
    let fresh = || SimMachine::new(Arc::clone(&history));
    check_state_machine(fresh, command).unwrap_or_else(|failure| panic!("{failure}"));
}
