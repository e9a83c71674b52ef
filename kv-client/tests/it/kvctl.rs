//! The program `kvctl`, run against a fake cluster on loopback.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use kv_client::protocol::Refusal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::fake::{Action, Fake};

/// Three nodes on loopback, and a folder for files.
struct Bed {
    fake: Fake,
    addresses: Vec<String>,
    folder: TempDir,
    // Dropped last: it serves the nodes.
    runtime: Runtime,
}

/// What a run of `kvctl` came to.
#[derive(Debug)]
struct Run {
    code: i32,
    stdout: Vec<u8>,
    stderr: String,
}

impl Bed {
    fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listeners: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses: Vec<_> =
            listeners.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect();
        let fake = Fake::new(&addresses);
        for (node, listener) in listeners.into_iter().enumerate() {
            let fake = fake.clone();
            runtime.spawn(async move {
                listener.set_nonblocking(true).unwrap();
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    tokio::spawn(fake.clone().serve(node, stream));
                }
            });
        }
        Self { fake, addresses, folder: TempDir::new().unwrap(), runtime }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        fs::write(self.path(name), content).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Runs with all endpoints.
    fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(arguments, b"")
    }

    fn run_with(&self, arguments: &[&str], stdin: &[u8]) -> Run {
        let endpoints = self.addresses.join(",");
        run(Command::new(env!("CARGO_BIN_EXE_kvctl")).args(arguments).env("KV_ENDPOINTS", endpoints), stdin)
    }

    fn value(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.fake.state().store.value(key).map(<[u8]>::to_vec)
    }
}

fn run(command: &mut Command, stdin: &[u8]) -> Run {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    Run { code: output.status.code().unwrap(), stdout: output.stdout, stderr }
}

impl Run {
    #[track_caller]
    fn exits_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    #[track_caller]
    fn prints(self, expected: impl AsRef<[u8]>) -> Self {
        assert_eq!(self.stdout, expected.as_ref(), "{self:?}");
        self.exits_with(0)
    }

    #[track_caller]
    fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{self:?}");
        self
    }

    #[track_caller]
    fn json(self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

#[test]
fn what_is_put_is_got_byte_for_byte_and_the_session_is_closed() {
    let bed = Bed::new();
    bed.run(&["put", "hello", "world"]).prints("");
    bed.run(&["get", "hello"]).prints("world");
    let binary: Vec<u8> = (0..=255).collect();
    bed.run_with(&["put", "binary", "-"], &binary).exits_with(0);
    bed.run(&["get", "binary"]).prints(&binary);
    let file = bed.file("value", &binary[100..]);
    bed.run(&["put", "file", &format!("@{file}")]).exits_with(0);
    bed.run(&["get", "file"]).prints(&binary[100..]);
    let key = OsStr::from_bytes(b"\xff");
    let mut kvctl = Command::new(env!("CARGO_BIN_EXE_kvctl"));
    run(kvctl.arg("put").arg(key).arg("v").args(["-e", &bed.addresses[1]]), b"").exits_with(0);
    assert_eq!(bed.value(b"\xff").unwrap(), b"v");
    assert!(bed.fake.state().store.sessions.is_empty());
}

#[test]
fn writes_print_the_number_they_make() {
    let bed = Bed::new();
    bed.run(&["incr", "n"]).prints("1\n");
    bed.run(&["incr", "n", "41"]).prints("42\n");
    bed.run(&["incr", "n", "-2"]).prints("40\n");
    bed.run(&["append", "n", "00"]).prints("4\n");
    bed.run(&["cas", "n", "4000", "x"]).prints("");
    bed.run(&["cas", "--absent", "m", "y"]).prints("");
    bed.run(&["-o", "table", "put", "n", "z"]).prints("revision 8\n");
    let json = bed.run(&["-o", "json", "incr", "i", "5"]).exits_with(0).json();
    assert_eq!((&json["value"], &json["revision"], &json["term"]), (&5.into(), &9.into(), &1.into()));
    assert!(json["index"].is_u64());
    bed.run(&["del", "n"]).prints("");
    assert_eq!(bed.value(b"n"), None);
}

#[test]
fn an_increment_that_had_to_be_sent_again_counts_once() {
    let bed = Bed::new();
    let mut first = Some(Action::ServeAndClose);
    bed.fake.script(move |seen| match seen.is_tagged() {
        true => first.take().unwrap_or(Action::Serve),
        false => Action::Serve,
    });
    bed.run(&["incr", "visits"]).prints("1\n");
    assert!(bed.fake.tags().len() > 1, "it was sent again");
    assert_eq!(bed.value(b"visits").unwrap(), b"1");
}

#[test]
fn the_exit_code_tells_why_a_command_failed() {
    let bed = Bed::new();
    bed.run(&["put", "k", "v"]).exits_with(0);
    bed.run(&["incr", "k"]).exits_with(1).says("error: the value is not a whole number");
    bed.run(&["put", "", "v"]).exits_with(1).says("error: not applied: key is 0 bytes (expected 1 to 4096)");
    bed.run(&["put", "k"]).exits_with(2);
    bed.run(&["get", "--nonsense"]).exits_with(2);
    bed.run(&["cas", "k", "v"]).exits_with(2);
    bed.run(&["cas", "--absent", "k", "v", "w"]).exits_with(2);
    bed.run(&["get", "missing"]).exits_with(3).says("error: key \"missing\" does not exist");
    bed.run(&["del", "missing"]).exits_with(3);
    let failed = ["error: condition failed: the key was last changed at revision 2", "hint: "];
    for arguments in [
        &["put", "k", "w", "--if-absent"][..],
        &["put", "k", "w", "--if-revision", "7"],
        &["del", "k", "--if-revision", "7"],
        &["cas", "k", "other", "w"],
    ] {
        failed.iter().fold(bed.run(arguments).exits_with(4), |run, text| run.says(text));
    }
    bed.run(&["put", "k", "w", "--if-revision", "2"]).exits_with(0);
    bed.fake.script(|_| Action::Refuse(Refusal::NoLeader));
    let late = |arguments: &[&str]| bed.run(&[&["--timeout", "300ms"], arguments].concat());
    late(&["put", "k", "v"])
        .exits_with(5)
        .says("error: not applied: no answer within 300ms")
        .says("hint: kvctl status");
    late(&["get", "k"]).exits_with(5);
    bed.fake.script(|seen| if seen.is_tagged() { Action::ServeSilently } else { Action::Serve });
    bed.run(&["--timeout", "1s", "put", "k", "v"])
        .exits_with(6)
        .says("error: outcome unknown: ")
        .says("hint: look before you repeat it, with kvctl get");
    let help = bed.run(&["--help"]).exits_with(0);
    assert!(String::from_utf8(help.stdout).unwrap().contains("6    outcome unknown"));
}

#[test]
fn a_flag_wins_over_the_environment() {
    let bed = Bed::new();
    let mut kvctl = Command::new(env!("CARGO_BIN_EXE_kvctl"));
    kvctl.env("KV_ENDPOINTS", "127.0.0.1:1").args(["-e", &bed.addresses[2], "put", "k", "v"]);
    run(&mut kvctl, b"").exits_with(0);
}

#[test]
fn a_prefix_lists_its_keys_in_order_with_limit_and_after() {
    let bed = Bed::new();
    for key in ["a/2", "a/1", "a/3", "b"] {
        bed.run(&["put", key, &key.to_uppercase()]).exits_with(0);
    }
    bed.run(&["get", "--prefix", "a/"]).prints("a/1\tA/1\na/2\tA/2\na/3\tA/3\n");
    bed.run(&["get", "--prefix", "a/", "--limit", "1", "--after", "a/1", "--keys-only"]).prints("a/2\n");
    bed.run(&["get", "--prefix", "none"]).prints("");
    let table = "KEY  VALUE  REVISION  VERSION\nb    B      5         1\n";
    bed.run(&["-o", "table", "get", "--prefix", "b"]).prints(table);
    let json = r#"{"key":"b","value":"B","create_revision":5,"mod_revision":5,"version":1,"lease":0}"#;
    bed.run(&["-o", "json", "get", "--prefix", "b"]).prints(format!("{json}\n"));
    bed.run(&["-o", "json", "get", "b"]).prints(format!("{json}\n"));
}

#[test]
fn status_shows_the_whole_cluster_from_one_endpoint() {
    let bed = Bed::new();
    bed.run(&["put", "k", "v"]).exits_with(0);
    let [n0, n1, n2] = &bed.addresses[..] else { panic!() };
    let status = bed.run(&["-o", "json", "-e", n1, "status"]).exits_with(0).json();
    let nodes = status["nodes"].as_array().unwrap();
    assert_eq!(status["cluster_id"], format!("{:032x}", crate::fake::CLUSTER_ID));
    let addresses: Vec<_> = nodes.iter().map(|node| node["client_address"].as_str().unwrap()).collect();
    assert_eq!(addresses, [n0, n1, n2]);
    let leader = &nodes[0];
    assert_eq!(
        (&leader["role"], &leader["name"], &leader["reachable"]),
        (&"leader".into(), &"n0".into(), &true.into())
    );
    assert_eq!((&leader["log"]["syncs"], &leader["log"]["entries"]), (&5.into(), &7.into()));
    for number in ["term", "commit_index", "applied_index", "last_index", "snapshot_index"] {
        assert!(leader[number].is_u64(), "{number}: {leader}");
    }
    for text in ["node_id", "peer_address", "state_hash"] {
        assert!(leader[text].is_string(), "{text}: {leader}");
    }
    bed.fake.state().nodes[2].note = Some("what to do about it".to_owned());
    let table = bed.run(&["-e", n1, "status"]).exits_with(0).stdout;
    let table = String::from_utf8(table).unwrap();
    assert_eq!(table.lines().count(), 5, "{table}");
    assert_eq!(table.lines().last(), Some("n2: what to do about it"));
    assert!(table.starts_with("NODE  ROLE") && table.contains("LEADER"), "{table}");
}

#[test]
fn status_shows_why_a_node_does_not_answer_and_fails_if_none_does() {
    let bed = Bed::new();
    // Nothing listens there: the port was the system's to give, and is given back.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    bed.fake.state().nodes[2].address.clone_from(&gone);
    let status = bed.run(&["-o", "json", "-e", &bed.addresses[0], "status"]).exits_with(0).json();
    let down = &status["nodes"][2];
    assert_eq!(
        (&down["name"], &down["client_address"], &down["reachable"]),
        (&"n2".into(), &gone.as_str().into(), &false.into())
    );
    assert!(down["error"].as_str().unwrap().contains("cannot connect"), "{down}");
    let run = bed.run(&["-e", &gone, "status"]).exits_with(5).says("error: no node answers");
    assert!(String::from_utf8(run.stdout).unwrap().contains("unreachable"));
}

#[test]
fn status_fails_without_a_leader_and_shows_the_nodes_all_the_same() {
    let bed = Bed::new();
    bed.fake.state().leader = None;
    let run = bed.run(&["status"]).exits_with(5).says("error: no leader");
    let table = String::from_utf8(run.stdout).unwrap();
    assert!(table.starts_with("NODE  ROLE") && table.lines().count() == 4, "{table}");
}

#[test]
fn status_raises_an_alarm_when_states_differ_at_one_index() {
    let bed = Bed::new();
    bed.fake.state().nodes[1].state_hash = "cd".repeat(16);
    let run = bed.run(&["status"]).exits_with(8);
    run.says("ALARM: states differ at index 1").says("abab").says("cdcd").says(" on n1");
    let json = bed.run(&["-o", "json", "status"]).exits_with(8).json();
    assert_eq!(json["hash_mismatches"][0]["index"], 1);
}

#[test]
fn what_is_imported_is_exported_byte_for_byte_in_the_order_of_keys() {
    let bed = Bed::new();
    let text = concat!(
        r#"{"key":"zebra","value":"line\nbreak \"quoted\" \u0000 é"}"#,
        "\n\n",
        r#"{"value_b64":"//8=","key":"apple"}"#,
        "\r\n",
        r#"{"key_b64":"/wA=","value":""}"#,
        "\n",
        r#"{"key_b64":"bWl4","value_b64":"ZWQ="}"#,
    );
    let file = bed.file("in.jsonl", text);
    let run = bed.run(&["import", &file]).exits_with(0);
    assert!(String::from_utf8(run.stdout).unwrap().starts_with("imported 4 keys"));
    assert_eq!(bed.value(b"apple").unwrap(), b"\xff\xff");
    assert_eq!(bed.value(b"\xff\x00").unwrap(), b"");
    let sorted = concat!(
        r#"{"key":"apple","value_b64":"//8="}"#,
        "\n",
        r#"{"key":"mix","value":"ed"}"#,
        "\n",
        r#"{"key":"zebra","value":"line\nbreak \"quoted\" \u0000 é"}"#,
        "\n",
        r#"{"key_b64":"/wA=","value":""}"#,
        "\n",
    );
    bed.run(&["export"]).prints(sorted);
    let out = bed.path("out.jsonl");
    bed.run(&["export", out.to_str().unwrap()]).prints("");
    assert_eq!(fs::read_to_string(&out).unwrap(), sorted);
    assert_eq!(fs::read_dir(bed.folder.path()).unwrap().count(), 2, "no temporary file is left");
    let pairs = bed.fake.state().store.pairs.len();
    bed.fake.state().store.pairs.clear();
    bed.run_with(&["import", "-"], &fs::read(&out).unwrap()).exits_with(0);
    assert_eq!(bed.fake.state().store.pairs.len(), pairs);
    bed.run(&["export", "--prefix", "m"]).prints("{\"key\":\"mix\",\"value\":\"ed\"}\n");
    for address in &bed.addresses {
        bed.run(&["-e", address, "export", "--consistency", "serializable"]).prints(sorted);
    }
    assert!(bed.fake.state().store.sessions.is_empty());
}

#[test]
fn a_large_import_goes_through_and_of_lines_with_one_key_the_last_one_wins() {
    let bed = Bed::new();
    let mut lines = String::new();
    for number in 0..5000 {
        lines += &format!("{{\"key\":\"k{:04}\",\"value\":\"{number}\"}}\n", number % 1700);
    }
    bed.run_with(&["import", "-"], lines.as_bytes()).exits_with(0);
    for key in 0..1700 {
        let last = (0..5000).rev().find(|number| number % 1700 == key).unwrap();
        assert_eq!(bed.value(format!("k{key:04}").as_bytes()).unwrap(), last.to_string().into_bytes());
    }
    assert_eq!(bed.run(&["export"]).exits_with(0).stdout.iter().filter(|&&byte| byte == b'\n').count(), 1700);
}

#[test]
fn a_line_waits_for_the_earlier_one_of_the_same_key_even_if_that_has_to_be_sent_again() {
    let bed = Bed::new();
    let mut puts = 0;
    bed.fake.script(move |seen| {
        puts += u32::from(seen.is_tagged());
        if puts == 1 && seen.is_tagged() { Action::Refuse(Refusal::Busy) } else { Action::Serve }
    });
    let lines = br#"{"key":"k","value":"1"}
{"key":"k","value":"2"}"#;
    bed.run_with(&["import", "-"], lines).exits_with(0);
    assert_eq!(bed.value(b"k").unwrap(), b"2");
}

#[test]
fn a_line_that_cannot_be_imported_is_named_with_what_is_wrong() {
    let bed = Bed::new();
    let good = r#"{"key":"k","value":"v"}"#;
    let long = format!(r#"{{"key":"k","value":"{}"}}"#, "x".repeat((1 << 20) + 1));
    for (bad, error) in [
        ("{\"key\":\"k\",\"value\"", "line 2: not a pair: EOF"),
        (r#"{"key":"k"}"#, "line 2: has neither value nor value_b64"),
        (r#"{"key":"k","key_b64":"aw==","value":""}"#, "line 2: has both key and key_b64"),
        (r#"{"key_b64":"!","value":""}"#, "line 2: key_b64 is not base64"),
        (r#"{"key":"k","value":"v","ttl":3}"#, "line 2: not a pair: unknown field `ttl`"),
        (r#"{"key":"","value":"v"}"#, "line 2: not applied: key is 0 bytes"),
        (&long, "line 2: not applied: value is 1048577 bytes (expected 0 to 1048576)"),
    ] {
        let run = bed.run_with(&["import", "-"], format!("{good}\n{bad}\n{good}\n").as_bytes());
        run.exits_with(1).says(error).says("imported ").says("run it again to go on");
    }
    bed.run(&["import", "/nonexistent/file"]).exits_with(1).says("error: /nonexistent/file: No such file");
}

#[test]
fn an_export_that_fails_leaves_the_older_file_as_it_was() {
    let bed = Bed::new();
    bed.run(&["put", "k", "v"]).exits_with(0);
    let out = bed.file("out.jsonl", "older");
    bed.fake.script(|_| Action::Refuse(Refusal::NoLeader));
    bed.run(&["--timeout", "200ms", "export", &out]).exits_with(5);
    assert_eq!(fs::read_to_string(&out).unwrap(), "older");
    assert_eq!(fs::read_dir(bed.folder.path()).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn bench_reports_rates_and_latencies() {
    let bed = Bed::new();
    for op in ["put", "get"] {
        let arguments = ["-o", "json", "bench", "--op", op, "--callers", "8", "--connections", "2"];
        let more = ["--seconds", "0.2", "--value-bytes", "16", "--keys", "10"];
        let report = bed.run(&[&arguments[..], &more].concat()).exits_with(0).json();
        assert_eq!(
            (&report["op"], &report["callers"], &report["connections"]),
            (&op.into(), &8.into(), &2.into())
        );
        assert_eq!(report["errors"], 0);
        let number = |name: &str| report[name].as_f64().unwrap();
        assert!(number("operations") > 0.0 && number("seconds") == 0.2);
        assert_eq!(number("ops_per_second"), number("operations") / 0.2);
        assert!(number("p50_us") <= number("p99_us") && number("p999_us") <= number("max_us"));
    }
    assert_eq!(bed.fake.state().store.pairs.len(), 10);
    assert!(bed.fake.state().store.sessions.is_empty());
}

#[test]
fn a_signal_closes_the_session() {
    for (signal, code, said) in [("-INT", 130, "interrupted"), ("-TERM", 143, "terminated")] {
        let bed = Bed::new();
        let mut kvctl = Command::new(env!("CARGO_BIN_EXE_kvctl"));
        kvctl.args(["-e", &bed.addresses[0], "import", "-"]);
        let mut child = kvctl.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"{\"key\":\"k\",\"value\":\"v\"}\n").unwrap();
        // When the put has arrived, the import waits for more input, which never comes.
        bed.runtime.block_on(bed.fake.wait_for(2));
        kill(&child, signal);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(said), "{output:?}");
        assert!(bed.fake.state().store.sessions.is_empty());
        drop(stdin);
    }
}

#[test]
fn a_signal_closes_every_session_of_a_benchmark() {
    let bed = Bed::new();
    let mut kvctl = Command::new(env!("CARGO_BIN_EXE_kvctl"));
    kvctl.args([
        "-e",
        &bed.addresses[0],
        "bench",
        "--callers",
        "4",
        "--connections",
        "4",
        "--seconds",
        "600",
    ]);
    let child = kvctl.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Until each of the sessions has been written in: then none is still being opened.
    let sessions = || bed.fake.tags().iter().map(|tag| tag.session).collect::<BTreeSet<_>>().len();
    let mut count = 0;
    while sessions() < 4 {
        count += 20;
        bed.runtime.block_on(bed.fake.wait_for(count));
    }
    kill(&child, "-TERM");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{output:?}");
    assert!(bed.fake.state().store.sessions.is_empty());
}

fn kill(child: &Child, signal: &str) {
    let killed = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(killed.expect("kill is there").success());
}
