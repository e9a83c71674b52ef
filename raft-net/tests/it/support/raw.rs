use bytes::{Buf, BytesMut};
use raft_core::message::Message;
use raft_net::codec::{CodecError, Encoder, SnapshotMessage, decode_message};
use raft_net::connector::{BoxStream, Connector, Listener};
use raft_net::frame::{Frame, FrameDecoder, WriteBuffer};
use raft_net::handshake::{Answer, AnswerBody, Hello, HelloBody, Opening, decode_body};
use raft_net::preamble::Preamble;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::{LIMITS, PATIENCE};

/// One end of a connection, spoken by hand.
pub(crate) struct Raw {
    pub stream: BoxStream,
    inbox: BytesMut,
    decoder: FrameDecoder,
}

impl Raw {
    pub(crate) fn new(stream: BoxStream) -> Self {
        Self { stream, inbox: BytesMut::new(), decoder: FrameDecoder::new(LIMITS) }
    }

    /// Connects and says nothing.
    pub(crate) async fn connect(connector: &dyn Connector, address: &str) -> Self {
        Self::new(connector.connect(address).await.unwrap())
    }

    /// Connects, says `hello` and takes the answer.
    pub(crate) async fn call(connector: &dyn Connector, address: &str, hello: &Hello) -> (Self, AnswerBody) {
        let mut raw = Self::connect(connector, address).await;
        raw.write(&Preamble::Peer.bytes()).await;
        raw.send(|_, out| hello.encode(out)).await;
        let answer = raw.take_answer().await;
        (raw, answer)
    }

    /// The other side's answer to a hello.
    pub(crate) async fn take_answer(&mut self) -> AnswerBody {
        self.read_preamble().await;
        let frame = self.frame().await.expect("an answer");
        let (_, body) = Opening::decode(&frame.head).unwrap();
        decode_body(body).unwrap()
    }

    /// Accepts a connection and takes the caller's hello.
    pub(crate) async fn accept(listener: &mut dyn Listener) -> (Self, Hello) {
        let (stream, _) = timeout(PATIENCE, listener.accept()).await.expect("a caller in time").unwrap();
        let mut raw = Self::new(stream);
        raw.read_preamble().await;
        let frame = raw.frame().await.expect("a hello");
        let (opening, body) = Opening::decode(&frame.head).unwrap();
        let body: HelloBody = decode_body(body).unwrap();
        (raw, Hello { opening, body })
    }

    /// Answers a hello.
    pub(crate) async fn answer(&mut self, answer: Answer) {
        self.write(&Preamble::Peer.bytes()).await;
        self.send(|_, out| answer.encode(out)).await;
    }

    pub(crate) async fn welcome(&mut self, hello: Hello) {
        let Hello { opening, body } = hello;
        self.answer(Answer { opening, body: AnswerBody::Welcome { hello: body, objection: None } }).await;
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn send(
        &mut self,
        encode: impl FnOnce(&mut Encoder, &mut WriteBuffer) -> Result<(), CodecError>,
    ) {
        let mut out = WriteBuffer::new(LIMITS);
        encode(&mut Encoder::default(), &mut out).unwrap();
        while out.has_remaining() {
            self.stream.write_buf(&mut out).await.unwrap();
        }
    }

    /// Sends with the last bit flipped.
    pub(crate) async fn send_damaged(
        &mut self,
        encode: impl FnOnce(&mut Encoder, &mut WriteBuffer) -> Result<(), CodecError>,
    ) {
        let mut out = WriteBuffer::new(LIMITS);
        encode(&mut Encoder::default(), &mut out).unwrap();
        let mut bytes = out.copy_to_bytes(out.remaining()).to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        self.write(&bytes).await;
    }

    pub(crate) async fn say(&mut self, message: &SnapshotMessage) {
        self.send(|encoder, out| encoder.snapshot(message, out)).await;
    }

    /// The next frame; `None` at the end of the stream.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.decode(&mut self.inbox).unwrap() {
                return Some(frame);
            }
            if self.read_some().await == 0 {
                return None;
            }
        }
    }

    pub(crate) async fn message(&mut self) -> Message {
        decode_message(self.frame().await.expect("a message")).unwrap()
    }

    pub(crate) async fn hear(&mut self) -> SnapshotMessage {
        SnapshotMessage::decode(self.frame().await.expect("a snapshot message")).unwrap()
    }

    /// Waits for the other side to close the connection.
    pub(crate) async fn closed(&mut self) {
        while self.read_some().await != 0 {}
    }

    async fn read_preamble(&mut self) {
        while self.inbox.len() < 4 {
            assert_ne!(self.read_some().await, 0, "closed before the preamble");
        }
        assert_eq!(self.inbox.split_to(4)[..], Preamble::Peer.bytes());
    }

    /// Zero at the end of the stream, and when it was reset.
    async fn read_some(&mut self) -> usize {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.inbox)).await;
        read.expect("bytes or the end in time").unwrap_or(0)
    }
}
