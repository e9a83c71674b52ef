use std::process::{Child, Command};

use super::*;

fn sleeper() -> Child {
    Command::new("sleep").arg("60").spawn().unwrap()
}

#[test]
fn stat_is_read_after_the_last_parenthesis_of_the_name() {
    let text = "4101 (a b) (c)) S 1 4101 4101 0 -1 4194560 900 0 0 0 150 25 0 0 20 0 6 0 88123 1 2 3";
    assert_eq!(Stat::parse(text), Some(Stat { state: 'S', cpu_ticks: 175, start_time: 88123 }));
    assert_eq!(Stat::parse("4101 (kvd) S 1"), None);
}

#[test]
fn a_process_with_another_start_time_is_somebody_else_and_gets_no_signal() {
    let mut child = sleeper();
    let process = Process::of(child.id()).unwrap();
    let namesake = Process { start_time: process.start_time + 1, ..process };
    assert!(process.is_running());
    assert!(!namesake.is_running());
    assert!(!namesake.signal(Signal::KILL).unwrap());
    assert_eq!(namesake.end(Duration::ZERO).unwrap(), Ending::AlreadyGone);
    assert!(process.is_running());
    assert!(process.kill().unwrap());
    child.wait().unwrap();
}

#[test]
fn a_dead_process_that_nobody_collected_does_not_run() {
    let mut child = sleeper();
    let process = Process::of(child.id()).unwrap();
    child.kill().unwrap();
    assert!(process.wait_gone(Duration::from_secs(10)));
    child.wait().unwrap();
}

#[test]
fn a_frozen_process_is_told_apart_and_still_ends_on_request() {
    let mut child = sleeper();
    let process = Process::of(child.id()).unwrap();
    assert!(process.signal(Signal::STOP).unwrap());
    let end = Instant::now() + Duration::from_secs(10);
    while !process.is_frozen() && Instant::now() < end {
        thread::yield_now();
    }
    assert!(process.is_frozen());
    assert_eq!(process.end(Duration::from_secs(10)).unwrap(), Ending::Terminated);
    child.wait().unwrap();
}

#[test]
fn a_process_that_ignores_the_request_is_killed() {
    let script = "trap '' TERM; echo ready; while :; do sleep 0.1; done";
    let mut child =
        Command::new("sh").args(["-c", script]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut ready = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut ready)
        .unwrap();
    let process = Process::of(child.id()).unwrap();
    assert_eq!(process.end(Duration::from_millis(200)).unwrap(), Ending::Killed);
    child.wait().unwrap();
}

#[test]
fn the_time_this_process_used_grows() {
    let own = Process::of(std::process::id()).unwrap();
    let before = own.cpu_time().unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while own.cpu_time().unwrap() == before {
        assert!(Instant::now() < end, "no CPU time in 20 s of work");
    }
}
