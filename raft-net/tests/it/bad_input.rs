//! Callers that speak no peer protocol, or stop halfway: their connection ends with a typed error, nothing else
//! does.

use std::time::Duration;

use raft_core::rng::Rng;
use raft_core::transport::Transport;
use raft_net::Options;
use raft_net::handshake::{AnswerBody, Lane};
use raft_net::preamble::Preamble;
use tokio::io::AsyncWriteExt;

use crate::support::{
    LIMITS, Node, Raw, Traces, Wires, append, configuration, heartbeat, id, local, options,
};

/// Two connected nodes, of which the first is about to be called by somebody strange.
struct Scene {
    traces: Traces,
    wires: Wires,
    nodes: [Node; 2],
}

impl Scene {
    async fn start() -> Self {
        let (traces, wires) = (Traces::record(), Wires::default());
        let [mut one, mut two] = Node::start_cluster(&wires);
        two.reach(1, &mut one, heartbeat(0)).await;
        Self { traces, wires, nodes: [one, two] }
    }

    async fn caller(&self) -> Raw {
        Raw::connect(&self.wires, "n1:1").await
    }

    /// A caller that has introduced itself as node 3, for `lane`.
    async fn introduced(&self, lane: Lane) -> Raw {
        let (raw, answer) = Raw::call(&self.wires, "n1:1", &local(3).hello(lane, Some(id(1)))).await;
        assert!(matches!(answer, AnswerBody::Welcome { .. }), "{answer:?}");
        raw
    }

    /// The connection was closed with a traced line that has `parts`, and the two nodes never noticed.
    async fn check(mut self, mut caller: Raw, parts: &[&str]) {
        caller.closed().await;
        self.traces.assert_once(parts);
        let [one, two] = &mut self.nodes;
        for number in 1..4 {
            two.send(1, heartbeat(number));
            assert_eq!(one.message().await, (2, heartbeat(number)));
        }
        let mut warnings = self.traces.lines_with(&["WARN"]);
        // Where the caller said it could be reached, nobody listens.
        warnings.retain(|line| !line.contains("cannot connect to n3:1"));
        assert_eq!(warnings.len(), 1, "{warnings:#?}");
        let statistics = two.transport.statistics();
        assert_eq!(statistics.connect_failures.get(), 0, "{statistics:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn random_bytes_on_the_port_are_refused() {
    let scene = Scene::start().await;
    let mut caller = scene.caller().await;
    let mut rng = Rng::new(1);
    let noise: Vec<u8> = (0..5000).map(|_| rng.next_u64() as u8).collect();
    // The node may close before it has read everything.
    let _whole_or_in_part = caller.stream.write_all(&noise).await;
    scene.check(caller, &["caller not let in", "stream opens with", "expected \"RFT\\x01\""]).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_on_the_peer_port_is_told_from_a_peer() {
    let scene = Scene::start().await;
    let mut caller = scene.caller().await;
    caller.write(b"\0kv\x01").await;
    scene.check(caller, &["caller not let in", "kv\\x01", "check which port"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_absurd_length_before_the_handshake_is_refused_at_once() {
    let scene = Scene::start().await;
    let mut caller = scene.caller().await;
    caller.write(b"RFT\x01\xff\xff\xff\xff\0\0\0\0\0\0\0\0").await;
    scene
        .check(caller, &["caller not let in", "byte 4", "frame head of 4294967295 bytes (allowed 65536)"])
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_endless_frame_is_refused_as_soon_as_its_announced_length_is_there() {
    let scene = Scene::start().await;
    let mut caller = scene.caller().await;
    caller.write(b"RFT\x01\0\xff\0\0\0\0\0\0\0\0\0\0").await;
    while caller.stream.write_all(&[0; 1000]).await.is_ok() {}
    scene.check(caller, &["caller not let in", "byte 4", "frame crc is"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_sends_one_byte_a_second_for_ever_is_given_up() {
    let scene = Scene::start().await;
    let mut caller = scene.caller().await;
    caller.write(b"RFT\x01").await;
    let mut sent = 0;
    while caller.stream.write_all(b"\0").await.is_ok() {
        sent += 1;
        assert!(sent < 30, "still listened to");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    scene.check(caller, &["caller not let in", "no handshake within 3s"]).await;
}

#[tokio::test(start_paused = true)]
async fn half_a_hello_and_then_silence_is_given_up() {
    let scene = Scene::start().await;
    let mut caller = scene.caller().await;
    caller.write(b"RFT\x01\x40\0\0\0\0").await;
    scene.check(caller, &["caller not let in", "no handshake within 3s"]).await;
}

#[tokio::test(start_paused = true)]
async fn half_a_hello_and_then_the_end_is_named_with_its_offset() {
    let scene = Scene::start().await;
    let mut caller = scene.caller().await;
    caller.write(b"RFT\x01\x40\0\0\0\0").await;
    caller.stream.shutdown().await.unwrap();
    scene
        .check(caller, &["caller not let in", "byte 4 of the stream: the stream ends 5 bytes into a frame"])
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_hello_of_noise_in_a_sound_frame_is_refused() {
    let scene = Scene::start().await;
    let mut caller = scene.caller().await;
    caller.write(b"RFT\x01").await;
    caller.send(|_, out| Ok(out.push(b"\x01\0\x01\0", [])?)).await;
    scene.check(caller, &["caller not let in", "hello: bad node id"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_absurd_length_from_a_known_peer_ends_its_connection_only() {
    let scene = Scene::start().await;
    let mut caller = scene.introduced(Lane::Append).await;
    let over = (LIMITS.tail_bytes + 1).to_le_bytes();
    caller.write(&[&[0; 4], &over[..], &[0; 4]].concat()).await;
    scene
        .check(caller, &["incoming connection dropped", "n3", "append", "frame tail of 1048577 bytes"])
        .await;
}

#[tokio::test(start_paused = true)]
async fn noise_between_messages_ends_the_connection_after_what_came_before_was_delivered() {
    let mut scene = Scene::start().await;
    let mut caller = scene.introduced(Lane::Control).await;
    caller.send(|encoder, out| encoder.message(&heartbeat(9), out)).await;
    caller.write(&[1; 100]).await;
    assert_eq!(scene.nodes[0].message().await, (3, heartbeat(9)));
    scene.check(caller, &["incoming connection dropped", "n3", "frame head of"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_rotted_on_the_way_is_never_delivered() {
    let mut scene = Scene::start().await;
    let mut caller = scene.introduced(Lane::Append).await;
    caller.send(|encoder, out| encoder.message(&append(1, b"sound"), out)).await;
    caller.send_damaged(|encoder, out| encoder.message(&append(2, b"rotten"), out)).await;
    assert_eq!(scene.nodes[0].message().await, (3, append(1, b"sound")));
    scene.check(caller, &["incoming connection dropped", "n3", "block entry 7@1: payload crc is"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_on_the_greeting_lane_ends_the_greeting() {
    let scene = Scene::start().await;
    let mut caller = scene.introduced(Lane::Greeting).await;
    caller.send(|encoder, out| encoder.message(&heartbeat(1), out)).await;
    scene.check(caller, &["incoming connection dropped", "n3", "greeting", "unexpected bytes"]).await;
}

/// Silent callers that nobody gives up for the next day do not lock the peers out, however many they are.
#[tokio::test(start_paused = true)]
async fn peers_find_room_while_a_flood_of_silent_callers_stays() {
    let wires = Wires::default();
    let patient = Options { handshake_timeout: Duration::from_secs(86_400), ..options() };
    let mut one = Node::start(&wires, local(1), patient);
    let mut callers = Vec::new();
    for _ in 0..600 {
        callers.push(Raw::connect(&wires.network, "n1:1").await);
    }
    let mut two = Node::start(&wires, local(2), options());
    one.transport.set_configuration(&configuration(&[local(1), local(2)]));
    two.transport.set_configuration(&configuration(&[local(1), local(2)]));
    two.reach(1, &mut one, heartbeat(5)).await;
    let statistics = one.transport.statistics();
    assert!(statistics.callers_refused.get() >= 500, "{statistics:?}");
}

#[tokio::test(start_paused = true)]
async fn the_caller_that_has_been_silent_longest_makes_room_for_a_newer_one() {
    let (traces, wires) = (Traces::record(), Wires::default());
    let mut one = Node::start(&wires, local(1), Options { max_unintroduced: 2, ..options() });
    let connect = || Raw::connect(&wires.network, "n1:1");
    let (mut oldest, mut older) = (connect().await, connect().await);
    let (mut introduced, _) =
        Raw::call(&wires.network, "n1:1", &local(3).hello(Lane::Control, Some(id(1)))).await;
    oldest.closed().await;
    traces.assert_once(&["caller not let in", "allowed 2 at a time"]);
    // The one that has introduced itself takes no place there, so one more fits.
    let _newer = connect().await;
    older.write(&Preamble::Peer.bytes()).await;
    older.send(|_, out| local(4).hello(Lane::Control, Some(id(1))).encode(out)).await;
    assert!(matches!(older.take_answer().await, AnswerBody::Welcome { .. }));
    introduced.send(|encoder, out| encoder.message(&heartbeat(1), out)).await;
    assert_eq!(one.message().await, (3, heartbeat(1)));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_silent_callers_is_bounded_and_passes() {
    let scene = Scene::start().await;
    let mut callers = Vec::new();
    for _ in 0..600 {
        let stream = scene.wires.network.clone();
        callers.push(tokio::spawn(async move { Raw::connect(&stream, "n1:1").await.closed().await }));
    }
    for caller in callers {
        caller.await.unwrap();
    }
    let mut late = scene.caller().await;
    late.write(b"????").await;
    late.closed().await;
    let [mut one, mut two] = scene.nodes;
    two.reach(1, &mut one, heartbeat(5)).await;
}
