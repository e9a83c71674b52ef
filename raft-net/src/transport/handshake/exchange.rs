//! Carrying the handshake over a stream, from both sides.

use std::time::Duration;

use raft_core::types::NodeId;
use tokio::time::timeout;

use super::{Answer, AnswerBody, HELLO_LIMITS, Hello, HelloBody, Opening, Refusal, Refused, decode_body};
use crate::preamble::Preamble;
use crate::transport::connector::{BoxStream, Connector};
use crate::transport::error::ConnectionError;
use crate::transport::framed_stream::FramedStream;

/// A connection that this side asked for and the other side welcomed.
pub(crate) struct Dialed {
    /// The connection.
    pub stream: FramedStream,
    /// The other side's hello.
    pub answer: Hello,
    /// On the greeting lane: why this side would be refused on any other.
    pub objection: Option<Refused>,
}

/// How long a side waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For name lookup, connection and handshake together.
    pub handshake: Duration,
    /// For a byte to move, in the middle of something.
    pub stall: Duration,
}

/// Connects to `address` and says `hello`.
pub(crate) async fn dial(
    connector: &dyn Connector,
    address: &str,
    hello: &Hello,
    patience: Patience,
) -> Result<Dialed, ConnectionError> {
    let dialing = async {
        let stream = connector.connect(address).await;
        let stream =
            stream.map_err(|source| ConnectionError::Connect { address: address.to_owned(), source })?;
        introduce(FramedStream::new(stream, HELLO_LIMITS, patience.stall), hello).await
    };
    timeout(patience.handshake, dialing)
        .await
        .unwrap_or(Err(ConnectionError::HandshakeTimeout(patience.handshake)))
}

async fn introduce(mut stream: FramedStream, hello: &Hello) -> Result<Dialed, ConnectionError> {
    stream.push_preamble(Preamble::Peer);
    stream.push(|_, out| hello.encode(out))?;
    stream.flush().await?;
    stream.read_preamble(Preamble::Peer).await?;
    let frame = stream.next_frame().await?;
    let (opening, body) = Opening::decode(&frame.head)?;
    let judged = match check_protocol(&hello.opening, &opening) {
        Err(refusal) => Err(refusal),
        Ok(()) => match decode_body(body)? {
            AnswerBody::Refused(refusal) => Err(refusal),
            AnswerBody::Welcome { hello: body, objection } => {
                check_answer(&hello.body, opening.node.id, &body).map(|()| (body, objection))
            }
        },
    };
    let (sender, receiver) = (hello.opening.node.clone(), opening.node.clone());
    let refused = |refusal| Refused { sender, receiver, refusal };
    match judged {
        Ok((body, objection)) => {
            Ok(Dialed { stream, answer: Hello { opening, body }, objection: objection.map(refused) })
        }
        Err(refusal) => Err(Box::new(refused(refusal)).into()),
    }
}

/// What an answering side makes of a hello that it welcomes.
pub(crate) struct Welcome<T> {
    /// What it keeps for the connection.
    pub admitted: T,
    /// Its own hello.
    pub hello: HelloBody,
    /// On the greeting lane: why it would refuse the caller on any other.
    pub objection: Option<Refusal>,
}

/// A connection that the other side asked for and this side welcomed.
pub(crate) struct Answered<T> {
    /// The connection.
    pub stream: FramedStream,
    /// The other side's hello.
    pub caller: Hello,
    /// What `judge` keeps for the connection.
    pub admitted: T,
    /// On the greeting lane: why the caller would be refused on any other.
    pub objection: Option<Refused>,
}

/// Waits for a caller's hello and answers as `judge` says. `own` is this side's opening.
pub(crate) async fn answer<T>(
    stream: BoxStream,
    own: Opening,
    patience: Patience,
    judge: impl FnOnce(&Hello) -> Result<Welcome<T>, Refusal>,
) -> Result<Answered<T>, ConnectionError> {
    let stream = FramedStream::new(stream, HELLO_LIMITS, patience.stall);
    timeout(patience.handshake, receive(stream, own, judge))
        .await
        .unwrap_or(Err(ConnectionError::HandshakeTimeout(patience.handshake)))
}

async fn receive<T>(
    mut stream: FramedStream,
    own: Opening,
    judge: impl FnOnce(&Hello) -> Result<Welcome<T>, Refusal>,
) -> Result<Answered<T>, ConnectionError> {
    stream.read_preamble(Preamble::Peer).await?;
    let frame = stream.next_frame().await?;
    let (opening, body) = Opening::decode(&frame.head)?;
    let (sender, receiver) = (opening.node.clone(), own.node.clone());
    let refused = |refusal| Refused { sender, receiver, refusal };
    let judged = match check_protocol(&opening, &own) {
        Err(refusal) => Err(refusal),
        Ok(()) => {
            let caller = Hello { body: decode_body(body)?, opening };
            judge(&caller).map(|welcome| (caller, welcome))
        }
    };
    let body = match &judged {
        Ok((_, Welcome { hello, objection, .. })) => {
            AnswerBody::Welcome { hello: hello.clone(), objection: objection.clone() }
        }
        Err(refusal) => AnswerBody::Refused(refusal.clone()),
    };
    stream.push_preamble(Preamble::Peer);
    stream.push(|_, out| Answer { opening: own, body }.encode(out))?;
    stream.flush().await?;
    match judged {
        Ok((caller, Welcome { admitted, objection, .. })) => {
            Ok(Answered { stream, caller, admitted, objection: objection.map(refused) })
        }
        Err(refusal) => Err(Box::new(refused(refusal)).into()),
    }
}

fn check_protocol(sender: &Opening, receiver: &Opening) -> Result<(), Refusal> {
    let (sender, receiver) = (sender.protocol, receiver.protocol);
    match sender.common(receiver) {
        Some(_) => Ok(()),
        None => Err(Refusal::Protocol { sender, receiver }),
    }
}

/// The receiver's rules seen from the caller's side, in case the receiver does not keep them.
fn check_answer(hello: &HelloBody, answering: NodeId, answer: &HelloBody) -> Result<(), Refusal> {
    let Some(meant) = hello.receiver else { return Ok(()) };
    if meant != answering {
        return Err(Refusal::WrongReceiver { meant: Some(meant) });
    }
    match (hello.cluster_id, answer.cluster_id) {
        (Some(sender), Some(receiver)) if sender != receiver => {
            Err(Refusal::WrongCluster { sender, receiver })
        }
        _ => Ok(()),
    }
}
