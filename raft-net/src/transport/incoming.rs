//! Incoming connections: who is let in, and handing over what they say.
//!
//! A caller's connection only receives; this node's own messages to it leave on a connection that this node made.
//! So a connection has one writer and one direction, and each side decides alone when to give one up.
//!
//! Callers that have not introduced themselves have places of their own, in the `lobby`: however many there are, those
//! that have, and those that are about to, find room.
//!
//! Invariant (greeted-first): while this node has no cluster, each connection reports the caller's before anything
//! else, so that the node can store it before it acts on a message.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use raft_core::transport::TransportEvent;
use raft_core::types::NodeId;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::transport::codec::decode_message;
use crate::transport::connector::{BoxStream, Listener};
use crate::transport::error::ConnectionError;
use crate::transport::framed_stream::FramedStream;
use crate::transport::handshake::exchange::{Answered, answer};
use crate::transport::handshake::{Hello, Lane, Refused};
use crate::transport::lobby::{Lobby, Place};
use crate::transport::shared::{Guest, Shared};
use crate::transport::snapshot_transfer::receive_snapshot;

/// Pause after the operating system could not hand over a connection (too many open files, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections for ever. Dropped, it ends all of them.
pub(crate) async fn accept_callers(shared: Arc<Shared>, mut listener: Box<dyn Listener>) {
    let mut connections = JoinSet::new();
    let lobby = Lobby::new(shared.options.max_unintroduced);
    loop {
        let has_room = connections.len() < shared.options.max_incoming;
        tokio::select! {
            biased;
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, remote)) => {
                    connections.spawn(serve(Arc::clone(&shared), stream, remote, lobby.enter()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection; trying again");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection's task failed");
                }
            }
        }
    }
}

async fn serve(shared: Arc<Shared>, stream: BoxStream, remote: String, mut place: Place) {
    let own = shared.state().directory.local().opening();
    let answering = answer(stream, own, shared.options.patience(), |caller| shared.admit(caller));
    let crowded = ConnectionError::Crowded { allowed: shared.options.max_unintroduced };
    let answered = place.keep(answering).await.unwrap_or(Err(crowded));
    drop(place);
    let Answered { stream, caller, admitted: guest, objection } = match answered {
        Ok(answered) => answered,
        Err(error) => return note_refused(&shared, &remote, &error),
    };
    if let Some(objection) = objection {
        note_objection(&shared, &remote, &objection);
    }
    let (peer, lane) = (&caller.opening.node, caller.body.lane);
    let Err(error) = converse(&shared, stream, &caller, guest).await else { return };
    match error {
        ConnectionError::Frame(_) | ConnectionError::Codec(_) | ConnectionError::Unexpected { .. } => {
            tracing::warn!(%peer, %lane, %remote, %error, "incoming connection dropped");
        }
        _ => tracing::debug!(%peer, %lane, %remote, %error, "incoming connection ended"),
    }
}

/// Until the connection ends; `Ok` if it did what it was made for.
async fn converse(
    shared: &Arc<Shared>,
    mut stream: FramedStream,
    caller: &Hello,
    mut guest: Guest,
) -> Result<(), ConnectionError> {
    if let Some(cluster_id) = guest.greeted {
        shared.report(TransportEvent::Greeted { cluster_id }).await?;
    }
    let from = caller.opening.node.id;
    let ended = match caller.body.lane {
        Lane::Greeting => guest.leash.run(stream.ended()).await,
        Lane::Control | Lane::Append => {
            stream.set_limits(shared.options.limits);
            let read = guest.leash.run(read_messages(shared, from, &mut stream)).await;
            read.map(|Err(error)| error)
        }
        Lane::Snapshot => {
            stream.set_limits(shared.options.limits);
            receive_snapshot(shared, from, stream, &mut guest.leash).await?;
            return Ok(());
        }
    };
    Err(ended.unwrap_or(ConnectionError::Superseded))
}

/// Hands over what a peer says. One read brings many messages; while the node has no room for events nothing is
/// read, and the peer's own bounded queue fills up.
async fn read_messages(
    shared: &Shared,
    from: NodeId,
    stream: &mut FramedStream,
) -> Result<Infallible, ConnectionError> {
    let statistics = &shared.statistics;
    loop {
        let frame = stream.next_frame().await?;
        statistics.bytes_received.add(frame.encoded_len());
        let message = decode_message(frame)?;
        statistics.messages_received.add(1);
        shared.report(TransportEvent::Message { from, message }).await?;
    }
}

/// Says once that a caller was not let in, until something else is to be said about it.
fn note_refused(shared: &Shared, remote: &str, error: &ConnectionError) {
    shared.statistics.callers_refused.add(1);
    let subject = match error {
        ConnectionError::Refused(refused) => refused.sender.id.to_string(),
        // The port differs at each attempt.
        _ => remote.rsplit_once(':').map_or(remote, |(host, _port)| host).to_owned(),
    };
    match shared.is_news(&subject, error.to_string()) {
        true => tracing::warn!(%remote, %error, "caller not let in"),
        false => tracing::trace!(%remote, %error, "caller not let in, again"),
    }
}

/// The same for a caller whose greeting is answered, though it would be refused otherwise.
fn note_objection(shared: &Shared, remote: &str, objection: &Refused) {
    match shared.is_news(&objection.sender.id.to_string(), objection.to_string()) {
        true => tracing::warn!(%remote, %objection, "greeted by a node that may only greet"),
        false => tracing::trace!(%remote, %objection, "greeted again"),
    }
}
