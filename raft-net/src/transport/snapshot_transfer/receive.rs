//! Receiving a snapshot.

use std::io;
use std::sync::Arc;

use raft_core::snapshot::{ChunkSink, SnapshotOffer};
use raft_core::transport::TransportEvent;
use raft_core::types::NodeId;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{Decision, TransferError, say, unexpected};
use crate::transport::codec::SnapshotMessage;
use crate::transport::error::ConnectionError;
use crate::transport::framed_stream::FramedStream;
use crate::transport::shared::Shared;
use crate::transport::tether::Leash;

/// `Working` is said this many times before the sender would take silence for a stall.
const WORKING_PER_STALL: u32 = 4;

/// Takes an offer from `from`, asks the node, and receives what it accepts. An error is one of the connection
/// before anything was accepted.
pub(crate) async fn receive_snapshot(
    shared: &Arc<Shared>,
    from: NodeId,
    mut stream: FramedStream,
    leash: &mut Leash,
) -> Result<(), ConnectionError> {
    let frame = leash.run(stream.expect_frame()).await.ok_or(ConnectionError::Superseded)??;
    let SnapshotMessage::Offer(offer) = SnapshotMessage::decode(frame)? else {
        return Err(ConnectionError::Unexpected { found: "snapshot message", expected: "offer" });
    };
    let (transfer, mut decided) = shared.state().transfers.offered(from, &offer);
    shared.report(TransportEvent::SnapshotOffered { from, transfer, offer: offer.clone() }).await?;
    let decision = leash.run(wait_for_decision(&mut stream, &mut decided)).await;
    match decision.unwrap_or(Err(ConnectionError::Superseded)) {
        Ok(None) => refuse(stream).await,
        Ok(Some(sink)) => {
            let mut receiving = Receiving { shared, leash, stream, sink: Some(sink), said_last_word: false };
            let outcome = receiving.run().await;
            report_end(shared, from, offer, outcome).await?;
            receiving.linger().await;
            Ok(())
        }
        // The node may have accepted at this very moment: then it is owed an event.
        Err(error) => {
            decided.close();
            match decided.try_recv() {
                Ok(Some(sink)) => {
                    drop(sink);
                    report_end(shared, from, offer, Err(error.into())).await
                }
                _ => Err(error),
            }
        }
    }
}

async fn wait_for_decision(
    stream: &mut FramedStream,
    decided: &mut oneshot::Receiver<Decision>,
) -> Result<Decision, ConnectionError> {
    tokio::select! {
        biased;
        decision = decided => Ok(decision.unwrap_or(None)),
        error = stream.ended() => Err(error),
    }
}

async fn refuse(mut stream: FramedStream) -> Result<(), ConnectionError> {
    stream.push(|encoder, out| encoder.snapshot(&SnapshotMessage::Refuse, out))?;
    stream.flush().await?;
    Ok(())
}

async fn report_end(
    shared: &Shared,
    from: NodeId,
    offer: SnapshotOffer,
    outcome: Result<u64, TransferError>,
) -> Result<(), ConnectionError> {
    let (last, bytes, complete) = (offer.info.meta.last, offer.info.length, outcome.is_ok());
    match outcome {
        Ok(received) => tracing::info!(peer = %from, snapshot = %last, bytes, received, "snapshot received"),
        Err(error) => tracing::warn!(peer = %from, snapshot = %last, bytes, %error, "snapshot not received"),
    }
    shared.report(TransportEvent::SnapshotReceived { from, offer, complete }).await
}

/// An accepted transfer.
struct Receiving<'a> {
    shared: &'a Shared,
    /// Cut between two calls of the sink, never during one: a sink that still writes must not meet its successor.
    leash: &'a mut Leash,
    stream: FramedStream,
    /// Absent only while a call of it runs on a background thread, or after one that panicked.
    sink: Option<Box<dyn ChunkSink>>,
    said_last_word: bool,
}

impl Receiving<'_> {
    /// The answer is the number of bytes received. The sink is dropped by then, the sender has been told.
    async fn run(&mut self) -> Result<u64, TransferError> {
        let outcome = self.receive().await;
        if let Some(sink) = self.sink.take() {
            let dropped = spawn_blocking(move || drop(sink)).await;
            dropped.map_err(|panicked| sink_failed("drop", panicked.into()))?;
        }
        if !matches!(outcome, Err(TransferError::Connection(_))) {
            let last_word = SnapshotMessage::Finished { complete: outcome.is_ok() };
            match say(&mut self.stream, &last_word).await {
                Ok(()) => self.said_last_word = true,
                Err(error) => tracing::debug!(%error, "the sender of a snapshot left before the last word"),
            }
        }
        outcome
    }

    /// Reads on until the sender has hung up: to close a connection while bytes arrive would take back the last
    /// word.
    async fn linger(mut self) {
        if !self.said_last_word {
            return;
        }
        let sender_left = self.leash.run(self.stream.drain());
        if timeout(self.shared.options.stall_timeout, sender_left).await.is_err() {
            tracing::debug!("the sender of a snapshot stays after the last word; closing");
        }
    }

    async fn receive(&mut self) -> Result<u64, TransferError> {
        let chunks = self.on_sink("check", |sink| sink.have()).await?;
        let credit = self.shared.options.snapshot_window;
        say(&mut self.stream, &SnapshotMessage::Have { chunks, credit }).await?;
        let mut received = 0;
        loop {
            let frame = self.leash.run(self.stream.expect_frame()).await;
            let frame = frame.unwrap_or(Err(ConnectionError::Superseded))?;
            match SnapshotMessage::decode(frame)? {
                SnapshotMessage::Chunk { number, bytes } => {
                    received += bytes.len() as u64;
                    self.shared.statistics.bytes_received.add(bytes.len());
                    self.on_sink("write", move |sink| sink.write_chunk(number, &bytes)).await?;
                    say(&mut self.stream, &SnapshotMessage::Credit { chunks: 1 }).await?;
                }
                SnapshotMessage::Done => break,
                _ => return Err(unexpected("chunk or done")),
            }
        }
        self.on_sink("finish", |sink| sink.finish()).await?;
        Ok(received)
    }

    /// Calls the sink on a background thread, and tells the sender now and then that it goes on.
    async fn on_sink<T: Send + 'static>(
        &mut self,
        doing: &'static str,
        call: impl FnOnce(&mut dyn ChunkSink) -> io::Result<T> + Send + 'static,
    ) -> Result<T, TransferError> {
        let mut sink =
            self.sink.take().expect("a call that took the sink and did not bring it back ended the transfer");
        let mut call = spawn_blocking(move || (call(&mut *sink), sink));
        let mut sender_listens = Ok(());
        let ended = loop {
            match timeout(self.shared.options.stall_timeout / WORKING_PER_STALL, &mut call).await {
                Ok(ended) => break ended,
                Err(_elapsed) if sender_listens.is_err() => {}
                Err(_elapsed) => sender_listens = say(&mut self.stream, &SnapshotMessage::Working).await,
            }
        };
        let (done, sink) = ended.map_err(|panicked| sink_failed(doing, panicked.into()))?;
        self.sink = Some(sink);
        sender_listens?;
        done.map_err(|source| sink_failed(doing, source))
    }
}

const fn sink_failed(doing: &'static str, source: io::Error) -> TransferError {
    TransferError::Sink { doing, source }
}
