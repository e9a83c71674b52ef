//! The example of the README does what it says.

use std::path::Path;
use std::process::Command;

#[test]
fn a_replicated_state_machine_of_ones_own_fits_120_lines_and_works() {
    let source = include_str!("../../examples/replicated_counter.rs");
    assert!(source.lines().count() <= 120);
    // cargo builds examples before it runs tests, unless it is told which tests to build.
    let kvd = Path::new(env!("CARGO_BIN_EXE_kvd"));
    let example = kvd.parent().unwrap().join("examples/replicated_counter");
    assert!(example.is_file(), "build it first: cargo test -p kv-service --no-run");
    let ran = Command::new(example).output().unwrap();
    let output = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{output}{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(output.matches("5050").count(), 4, "{output}");
}
