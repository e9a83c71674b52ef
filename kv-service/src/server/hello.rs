//! The start of a connection: which protocol it speaks, and who is there.

use bytes::{Buf, BytesMut};
use kv_client::protocol::{
    ClientHello, HelloRefusal, PREAMBLE, ProtocolRange, ServerHello, Welcome, decode_head, encode_head,
};
use raft_net::connector::BoxStream;
use raft_net::frame::{Frame, FrameDecoder, WriteBuffer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::error::ConnectionError;
use super::limits::{
    FAREWELL_TIMEOUT, HELLO_LIMITS, HELLO_TIMEOUT, READ_BYTES, REPLY_LIMITS, REQUEST_LIMITS,
};
use super::service::Service;

/// A protocol that this port serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    /// `kv_client::protocol`.
    Native,
}

/// The one place that tells protocols apart, by their first bytes. A further protocol gets a variant here.
fn recognise(first: [u8; PREAMBLE.len()]) -> Option<Protocol> {
    (first == PREAMBLE).then_some(Protocol::Native)
}

/// Whether there is room for one more connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// There is.
    Free,
    /// There is none: say so, and close.
    None,
}

/// A stream, and what has been read from it.
pub(crate) struct Introduced {
    pub(crate) stream: BoxStream,
    pub(crate) inbox: BytesMut,
    pub(crate) decoder: FrameDecoder,
}

/// Takes the client's introduction and answers it.
///
/// # Errors
/// The connection is closed; whoever can be talked to was told why.
pub(crate) async fn introduce(
    stream: BoxStream,
    service: &Service,
    room: Room,
) -> Result<Introduced, ConnectionError> {
    let decoder = FrameDecoder::new(HELLO_LIMITS);
    let mut caller = Introduced { stream, inbox: BytesMut::new(), decoder };
    match timeout(HELLO_TIMEOUT, caller.exchange(service, room)).await {
        Ok(Ok(())) => Ok(caller),
        Ok(Err(error)) => {
            if let Err(farewell) = timeout(FAREWELL_TIMEOUT, take_leave(caller.stream)).await {
                tracing::debug!(%farewell, "the client does not take leave");
            }
            Err(error)
        }
        Err(_) => Err(ConnectionError::NoHello(HELLO_TIMEOUT)),
    }
}

impl Introduced {
    async fn exchange(&mut self, service: &Service, room: Room) -> Result<(), ConnectionError> {
        let first = self.first_bytes().await?;
        match recognise(first) {
            Some(Protocol::Native) => {}
            None => return Err(ConnectionError::OtherProtocol { found: first }),
        }
        let hello: ClientHello = decode_head(&self.frame().await?.head)?;
        let judged = judge(&hello, service, room);
        let answer = match &judged {
            Ok(welcome) => ServerHello::Welcome(welcome.clone()),
            Err(refusal) => ServerHello::Refused(refusal.clone()),
        };
        let mut out = WriteBuffer::new(REPLY_LIMITS);
        out.push_raw(&PREAMBLE);
        out.push(&encode_head(&answer), [])?;
        self.stream.write_all_buf(&mut out).await?;
        self.stream.flush().await?;
        judged?;
        self.decoder.set_limits(REQUEST_LIMITS);
        Ok(())
    }

    async fn first_bytes(&mut self) -> Result<[u8; PREAMBLE.len()], ConnectionError> {
        loop {
            if let Some(&first) = self.inbox.first_chunk() {
                self.inbox.advance(PREAMBLE.len());
                return Ok(first);
            }
            self.read().await?;
        }
    }

    async fn frame(&mut self) -> Result<Frame, ConnectionError> {
        loop {
            if let Some(frame) = self.decoder.decode(&mut self.inbox)? {
                return Ok(frame);
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<(), ConnectionError> {
        self.inbox.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.inbox).await? {
            0 => Err(ConnectionError::Left),
            _ => Ok(()),
        }
    }
}

fn judge(hello: &ClientHello, service: &Service, room: Room) -> Result<Welcome, HelloRefusal> {
    let name = service.name().to_owned();
    if room == Room::None {
        return Err(HelloRefusal::TooManyConnections { name, most: service.max_clients });
    }
    let (client, node) = (hello.protocol, ProtocolRange::OURS);
    match node.common(client) {
        Some(protocol) => Ok(service.welcome(protocol)),
        None => Err(HelloRefusal::Protocol { name, client, node }),
    }
}

/// Says that nothing more will come and lets the client read what it was told: closed at once with bytes unread,
/// the connection would be reset, and the reason lost.
async fn take_leave(mut stream: BoxStream) {
    let mut ignored = vec![0; 4096];
    if stream.shutdown().await.is_ok() {
        while matches!(stream.read(&mut ignored).await, Ok(1..)) {}
    }
}
