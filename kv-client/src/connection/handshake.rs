//! Preambles and hellos.

use bytes::BytesMut;
use raft_net::frame::{FrameDecoder, WriteBuffer};
use raft_net::preamble::{PREAMBLE_BYTES, Preamble};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::FRAME_LIMITS;
use super::driver::Incoming;
use crate::connector::BoxStream;
use crate::error::Problem;
use crate::protocol::{
    ClientHello, PREAMBLE, ProtocolRange, ServerHello, Token, Welcome, decode_head, encode_head,
};

/// Introduces the client; gives the node's introduction, and the reading side as it stands after it.
pub(super) async fn greet(
    stream: &mut BoxStream,
    credentials: Option<Token>,
) -> Result<(Welcome, Incoming), Problem> {
    let hello = ClientHello { protocol: ProtocolRange::OURS, credentials };
    let mut out = WriteBuffer::new(FRAME_LIMITS);
    out.push_raw(&PREAMBLE);
    out.push(&encode_head(&hello), []).expect("a hello is far below the limits");
    stream.write_all_buf(&mut out).await.map_err(Problem::broken)?;
    stream.flush().await.map_err(Problem::broken)?;

    let mut preamble = [0; PREAMBLE_BYTES];
    stream.read_exact(&mut preamble).await.map_err(Problem::ended)?;
    Preamble::Client.check(preamble).map_err(Problem::Preamble)?;
    let mut incoming = Incoming { decoder: FrameDecoder::new(FRAME_LIMITS), buffer: BytesMut::new() };
    loop {
        if let Some(frame) = incoming.next_frame()? {
            return match decode_head(&frame.head).map_err(Problem::Head)? {
                ServerHello::Welcome(welcome) => Ok((welcome, incoming)),
                ServerHello::Refused(refusal) => Err(Problem::HelloRefused(refusal)),
            };
        }
        incoming.make_room();
        if stream.read_buf(&mut incoming.buffer).await.map_err(Problem::broken)? == 0 {
            return Err(Problem::Closed);
        }
    }
}
