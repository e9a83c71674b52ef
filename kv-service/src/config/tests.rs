use clap::CommandFactory;

use super::*;

fn parse(flags: &[&str]) -> Result<Config, String> {
    let base = ["kvd", "run", "--name", "n1", "--dir", "d"];
    let cli = Cli::try_parse_from(base.iter().chain(flags)).map_err(|error| error.to_string())?;
    let Command::Run(args) = cli.command else { panic!("another command") };
    Config::try_from(*args).map_err(|error| error.to_string())
}

fn refused(flags: &[&str]) -> String {
    parse(flags).expect_err("the flags cannot work")
}

const ADDRESSES: [&str; 4] = ["--client", "127.0.0.1:7101", "--peer", "127.0.0.1:7201"];

fn with(flags: &[&'static str]) -> Vec<&'static str> {
    ADDRESSES.iter().chain(flags).copied().collect()
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn a_join_list_is_sorted_and_the_advertised_addresses_default_to_the_ports() {
    let config = parse(&with(&["--join", "127.0.0.1:7203,127.0.0.1:7201,127.0.0.1:7202"])).unwrap();
    let join: Vec<_> = config.join.iter().map(Address::as_str).collect();
    assert_eq!(join, ["127.0.0.1:7201", "127.0.0.1:7202", "127.0.0.1:7203"]);
    assert_eq!(config.client_address, config.client_listen);
    assert_eq!(config.peer_address, config.peer_listen);
    assert_eq!(config.raft.election_timeout, Duration::from_millis(500));
    assert_eq!(config.snapshots.every_bytes, 64 << 20);
}

#[test]
fn a_list_that_leaves_the_node_out_or_names_one_twice_is_refused() {
    let text = refused(&with(&["--join", "127.0.0.1:7202"]));
    assert!(text.contains("127.0.0.1:7202") && text.contains("127.0.0.1:7201"), "{text}");
    let text = refused(&with(&["--join", "127.0.0.1:7201,127.0.0.1:7202,127.0.0.1:7202"]));
    assert!(text.contains("127.0.0.1:7202 twice"), "{text}");
}

#[test]
fn a_node_that_is_to_join_a_cluster_lists_others_and_never_itself() {
    let (own, other) = ("127.0.0.1:7201", "127.0.0.1:7202");
    for list in [other.to_owned(), format!("{own},{other}")] {
        let base = [&ADDRESSES[..], &["--join", &list, "--join-existing"]].concat();
        let join: Vec<_> = parse(&base).unwrap().join;
        assert_eq!(join.iter().map(Address::as_str).collect::<Vec<_>>(), [other]);
    }
    let text = refused(&with(&["--join", own, "--join-existing"]));
    assert!(text.contains(own) && text.contains("alone"), "{text}");
}

#[test]
fn an_address_that_nobody_can_reach_must_be_advertised_by_another_one() {
    let any = ["--client", "0.0.0.0:7101", "--peer", "127.0.0.1:7201", "--join", "127.0.0.1:7201"];
    let text = refused(&any);
    assert!(text.contains("--advertise-client"), "{text}");
    let config = parse(&[&any[..], &["--advertise-client", "node1:7101"]].concat()).unwrap();
    assert_eq!(config.client_address.as_str(), "node1:7101");
    assert_eq!(config.client_listen.as_str(), "0.0.0.0:7101");
}

#[test]
fn numbers_that_cannot_work_are_refused_by_name() {
    let own = ["--join", "127.0.0.1:7201"];
    for (flags, names) in [
        (["--heartbeat", "400ms"], "heartbeat"),
        (["--snapshot-every", "0"], "--snapshot-every"),
        (["--snapshot-bytes", "64 parsecs"], "64 parsecs"),
        (["--election-timeout", "soon"], "--election-timeout"),
        (["--request-memory", "1MiB"], "--request-memory"),
        (["--advertise-client", "nowhere"], "nowhere"),
    ] {
        let text = refused(&with(&[&own[..], &flags].concat()));
        assert!(text.contains(names), "{flags:?}: {text}");
    }
}

#[test]
fn addresses_are_host_and_port() {
    for good in ["127.0.0.1:0", "localhost:7101", "[::1]:65535", "n1.example:1"] {
        assert_eq!(good.parse::<Address>().unwrap().to_string(), good);
    }
    for bad in ["", "7101", "localhost", ":7101", "::1:7101", "a b:1", "h:65536", "h:-1", "h:+1", "h:"] {
        assert!(bad.parse::<Address>().is_err(), "{bad}");
    }
    for (address, unspecified) in [
        ("0.0.0.0:1", true),
        ("[::]:1", true),
        ("127.0.0.1:0", true),
        ("127.0.0.1:1", false),
        ("n1:1", false),
    ] {
        assert_eq!(address.parse::<Address>().unwrap().is_unspecified(), unspecified, "{address}");
    }
}

#[test]
fn sizes_have_units() {
    for (text, bytes) in [("0", 0), ("17", 17), ("64MiB", 64 << 20), ("1 GiB", 1 << 30), ("5kB", 5000)] {
        assert_eq!(text.parse::<ByteSize>().unwrap().bytes(), bytes, "{text}");
    }
    for bad in ["", "MiB", "-1", "1.5GiB", "64mib", "99999999999GiB"] {
        assert!(bad.parse::<ByteSize>().is_err(), "{bad}");
    }
}
