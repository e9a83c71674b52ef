use raft_core::testing::state_machine_suite::check_state_machine;

use super::*;

/// Commands of every kind on a few keys, with and without sessions, some of them sent twice, some of them no commands.
fn command(number: u64) -> Vec<u8> {
    let key = [b'a' + (number % 5) as u8];
    let value = number.to_le_bytes();
    // The log opens a session with entry 3; there is no session 99.
    let tag = |session| SessionTag { session, sequence: number / 2, lowest_unacknowledged: number / 3 };
    let tag = [None, Some(tag(3)), Some(tag(3)), Some(tag(99))][(number % 4) as usize];
    let command = match number {
        3 => return Entry::command(None, number, &Command::OpenSession).payload,
        _ if number.is_multiple_of(11) => {
            return Entry::command(tag, number, &put(&key, &value)).payload[..9].to_vec();
        }
        _ if number.is_multiple_of(3) => Command::Delete { key: &key, expect: Expect::Anything },
        _ => put(&key, &value),
    };
    Entry::command(tag, number * 1_000, &command).payload
}

#[test]
fn the_store_keeps_every_sentence_of_the_contract() {
    check_state_machine(Store::new, command).unwrap_or_else(|failure| panic!("{failure}"));
}
