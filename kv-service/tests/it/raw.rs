//! The client protocol by hand, for saying what no proper client would.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kv_client::FRAME_LIMITS;
use kv_client::command::{Command, Expect};
use kv_client::protocol::{
    Answer, Body, ClientHello, PREAMBLE, ProtocolRange, Refusal, Reply, Request, ServerHello, decode_head,
    encode_head,
};
use raft_net::frame::{Frame, FrameDecoder, FrameLimits, WriteBuffer};

/// Longer than anything a test waits for.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What was sent in frames by nobody in particular.
const ANY: FrameLimits = FrameLimits { head_bytes: u32::MAX, tail_bytes: u32::MAX };

/// A connection that has been let in.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    decoder: FrameDecoder,
    inbox: BytesMut,
    last_id: u64,
}

/// Connects without a word.
pub(crate) fn dial(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the port is open");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a time limit");
    stream.set_write_timeout(Some(TIMEOUT)).expect("a time limit");
    stream
}

/// A frame as bytes, whatever its length.
pub(crate) fn frame(head: &[u8], tail: &[u8]) -> Vec<u8> {
    let mut out = WriteBuffer::new(ANY);
    out.push(head, [&Bytes::copy_from_slice(tail)]).expect("there is no limit");
    out.copy_to_bytes(out.remaining()).to_vec()
}

impl Client {
    pub(crate) fn connect(address: &str) -> Self {
        let (client, hello) = Self::introduce(address, ProtocolRange::OURS);
        assert!(matches!(hello, ServerHello::Welcome(_)), "{hello:?}");
        client
    }

    /// Introduces a client that speaks these versions.
    pub(crate) fn introduce(address: &str, protocol: ProtocolRange) -> (Self, ServerHello) {
        let stream = dial(address);
        let mut client =
            Self { stream, decoder: FrameDecoder::new(FRAME_LIMITS), inbox: BytesMut::new(), last_id: 0 };
        let hello = frame(&encode_head(&ClientHello { protocol, credentials: None }), &[]);
        client.send(&[&PREAMBLE[..], &hello].concat());
        let mut preamble = [0; PREAMBLE.len()];
        client.stream.read_exact(&mut preamble).expect("an answer");
        assert_eq!(preamble, PREAMBLE);
        let hello = decode_head(&client.next_frame().expect("an answer").head).expect("a hello");
        (client, hello)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the node reads");
    }

    /// The next frame; `None` if the node has closed the connection.
    pub(crate) fn next_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.decode(&mut self.inbox).expect("frames") {
                return Some(frame);
            }
            let mut bytes = [0; 64 << 10];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.inbox.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no frame: {error}"),
            }
        }
    }

    /// The next reply and its tail.
    pub(crate) fn reply(&mut self) -> (Reply, Bytes) {
        let frame = self.next_frame().expect("a reply");
        (decode_head(&frame.head).expect("a reply"), frame.tail)
    }

    /// Sends a request with this tail; its id.
    pub(crate) fn request(&mut self, body: Body, tail: &[u8], deadline_ms: u32) -> u64 {
        self.last_id += 1;
        let id = self.last_id;
        let bytes = frame(&encode_head(&Request { id, deadline_ms, body }), tail);
        self.send(&bytes);
        id
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn ask(&mut self, body: Body, deadline_ms: u32) -> Result<(Answer, Vec<u8>), Refusal> {
        self.ask_with(body, &[], deadline_ms)
    }

    pub(crate) fn ask_with(
        &mut self,
        body: Body,
        tail: &[u8],
        deadline_ms: u32,
    ) -> Result<(Answer, Vec<u8>), Refusal> {
        let id = self.request(body, tail, deadline_ms);
        let (reply, tail) = self.reply();
        assert_eq!(reply.id, id);
        reply.result.map(|answer| (answer, tail.to_vec()))
    }

    pub(crate) fn put(
        &mut self,
        key: &[u8],
        value: &[u8],
        deadline_ms: u32,
    ) -> Result<(Answer, Vec<u8>), Refusal> {
        self.ask_with(Body::Write { tag: None }, &put(key, value), deadline_ms)
    }
}

/// A put as it stands in the tail.
pub(crate) fn put(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut command = Vec::new();
    let put = Command::Put { key, value, lease: 0, expect: Expect::Anything };
    put.encode(&mut command).expect("a put within the limits");
    command
}
