//! Sending a snapshot.

use std::io;
use std::sync::Arc;

use raft_core::snapshot::{ChunkSource, SnapshotOffer};
use raft_core::transport::{TransferId, TransportEvent};
use raft_core::types::NodeId;
use tokio::task::spawn_blocking;

use super::{TransferError, say, unexpected};
use crate::transport::codec::SnapshotMessage;
use crate::transport::error::ConnectionError;
use crate::transport::framed_stream::FramedStream;
use crate::transport::handshake::Lane;
use crate::transport::handshake::exchange::dial;
use crate::transport::shared::Shared;
use crate::transport::tether::Leash;

/// Offers a snapshot to `to` at `address`, sends what the receiver lacks, and reports how it went.
pub(crate) async fn send_snapshot(
    shared: Arc<Shared>,
    (id, mut leash): (TransferId, Leash),
    (to, address): (NodeId, String),
    offer: SnapshotOffer,
    source: Box<dyn ChunkSource>,
) {
    let transfer = async {
        let hello = shared.hello(Lane::Snapshot, Some(to));
        let mut stream = dial(&*shared.connector, &address, &hello, shared.options.patience()).await?.stream;
        stream.set_limits(shared.options.limits);
        transfer(&shared, &mut stream, &offer, source).await
    };
    let outcome = leash.run(transfer).await.unwrap_or(Err(ConnectionError::Superseded.into()));
    let (last, bytes, complete) = (offer.info.meta.last, offer.info.length, outcome.is_ok());
    match outcome {
        Ok(sent) => tracing::info!(peer = %to, snapshot = %last, bytes, sent, "snapshot sent"),
        Err(error) => tracing::warn!(peer = %to, snapshot = %last, bytes, %error, "snapshot not sent"),
    }
    shared.state().transfers.end_sending(to, id);
    let event = TransportEvent::SnapshotSent { to, info: offer.info, complete };
    if let Err(error) = shared.report(event).await {
        tracing::debug!(%error, "event dropped");
    }
}

/// The answer is the number of bytes sent.
async fn transfer(
    shared: &Shared,
    stream: &mut FramedStream,
    offer: &SnapshotOffer,
    mut source: Box<dyn ChunkSource>,
) -> Result<u64, TransferError> {
    say(stream, &SnapshotMessage::Offer(offer.clone())).await?;
    let (have, mut credit) = match hear(stream).await? {
        SnapshotMessage::Have { chunks, credit } => (chunks, credit),
        SnapshotMessage::Refuse => return Err(TransferError::Refused),
        _ => return Err(unexpected("have or refuse")),
    };
    let mut sent = 0;
    for number in (0..offer.info.chunk_count()).filter(|&number| !have.contains(number)) {
        while credit == 0 {
            match hear(stream).await? {
                SnapshotMessage::Credit { chunks } => credit = chunks,
                _ => return Err(unexpected("credit")),
            }
        }
        let read = spawn_blocking(move || (source.read_chunk(number), source)).await;
        let failed = |source| TransferError::Source { number, source };
        let (chunk, again) = read.map_err(|panicked| failed(io::Error::other(panicked)))?;
        source = again;
        let bytes = chunk.map_err(failed)?;
        let length = bytes.len();
        say(stream, &SnapshotMessage::Chunk { number, bytes }).await?;
        shared.statistics.bytes_sent.add(length);
        sent += length as u64;
        credit -= 1;
    }
    say(stream, &SnapshotMessage::Done).await?;
    loop {
        match hear(stream).await? {
            SnapshotMessage::Finished { .. } => return Ok(sent),
            SnapshotMessage::Credit { .. } => {}
            _ => return Err(unexpected("finished")),
        }
    }
}

/// The receiver's next word of weight.
async fn hear(stream: &mut FramedStream) -> Result<SnapshotMessage, TransferError> {
    loop {
        match SnapshotMessage::decode(stream.expect_frame().await?)? {
            SnapshotMessage::Working => {}
            SnapshotMessage::Finished { complete: false } => return Err(TransferError::GivenUp),
            message => return Ok(message),
        }
    }
}
