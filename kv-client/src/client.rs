//! The network client.

mod cluster;
mod members;
mod node;
mod perform;
mod session;
mod sessions;
mod trial;
mod view;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use self::cluster::Cluster;
use self::perform::Route;
use self::sessions::Sessions;
use self::trial::Trial;
use crate::command::{Command, Outcome};
use crate::connection::Answered;
use crate::connector::{Connector, TcpConnector};
use crate::error::{Cause, Error, NoEndpoints, NodeError, Problem};
use crate::options::Options;
use crate::protocol::{Answer, Body, Consistency, Member, NodeStatus, Query, RangeQuery};
use crate::store::{KvStore, Page, ReadOptions, Response, Versioned};

/// A client of a cluster. Clones are the same client: they share connections and session.
///
/// There is one connection to each node that is asked anything, made when it is needed, with many requests in
/// flight on it. More connections are more clients.
///
/// * **Linearizable reads and writes** go to the leader, found through any one node and followed by the hints of
///   those that are not it; without a hint each node is asked in turn. They are tried again until the call's
///   deadline.
/// * **Serializable reads** are answered by the first endpoint and no other: what that node has applied.
/// * **Writes** belong to a session, opened with the first of them. All attempts at one carry the same tag, hence
///   it is applied once. A write that finds the session gone goes into a new one, if it is certain that no attempt
///   was applied, else fails with [`Cause::SessionLost`].
///
/// [`close`](Self::close) when done: the cluster bounds the number of sessions, and one too many takes the place
/// of the one that was idle longest. Needs a tokio runtime with I/O and time.
#[derive(Clone, Debug)]
pub struct Client {
    cluster: Arc<Cluster>,
    sessions: Arc<Sessions>,
    deadline: Duration,
}

impl Client {
    /// A client that begins with these nodes (`host:port` of their client ports). One that is up is enough: it
    /// names the others. Nothing is connected yet.
    ///
    /// # Errors
    /// [`NoEndpoints`] if there is none.
    pub fn new(
        endpoints: impl IntoIterator<Item = impl AsRef<str>>,
        options: Options,
    ) -> Result<Self, NoEndpoints> {
        Self::with_connector(endpoints, options, TcpConnector)
    }

    /// The same over other streams than TCP.
    ///
    /// # Errors
    /// [`NoEndpoints`] if there is none.
    pub fn with_connector(
        endpoints: impl IntoIterator<Item = impl AsRef<str>>,
        options: Options,
        connector: impl Connector,
    ) -> Result<Self, NoEndpoints> {
        let deadline = options.deadline;
        let cluster = Arc::new(Cluster::new(endpoints, options, connector)?);
        Ok(Self { cluster, sessions: Arc::default(), deadline })
    }

    /// This client with another time limit for the calls through this handle.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How the node at `address` (`host:port` of its client port) is. Asks once, and only that node.
    ///
    /// # Errors
    /// What is wrong with the node.
    pub async fn status(&self, address: &str) -> Result<NodeStatus, NodeError> {
        let deadline = Instant::now() + self.deadline;
        let node = self.cluster.at(address);
        let answered = self.send(&node, &Body::Status, &Bytes::new(), deadline).await;
        let status = answered.map_err(|failed| failed.problem).and_then(|Answered { reply, tail }| {
            let answer = reply.result.map_err(Problem::Refused)?;
            view::status(answer, tail)
        });
        status.map_err(|problem| NodeError { address: address.to_owned(), problem })
    }

    /// The members of the cluster, as the first node that answers knows them.
    ///
    /// # Errors
    /// [`Error::NotApplied`]: no node answered in time.
    pub async fn members(&self) -> Result<Vec<Member>, Error> {
        let response = self.ask(&mut self.trial(), &Route::Any, &Body::Members, view::members).await?;
        Ok(response.value)
    }

    /// Waits until the writes in flight have ended and closes the session. Later writes fail with
    /// [`Cause::Closed`]; reads go on.
    ///
    /// # Errors
    /// No node served it in time: the session stays open until its place is needed for another.
    pub async fn close(&self) -> Result<(), Error> {
        self.close_session(self.trial()).await
    }

    fn trial(&self) -> Trial {
        Trial::new(self.deadline)
    }

    async fn read<T>(
        &self,
        query: Query,
        options: ReadOptions,
        view: impl Fn(Answer, Bytes) -> Result<T, Problem>,
    ) -> Result<Response<T>, Error> {
        query.check().map_err(|error| Error::NotApplied(Cause::Invalid(error)))?;
        let ReadOptions { consistency, min_revision } = options;
        let route = match consistency {
            Consistency::Linearizable | Consistency::Lease => Route::Leader,
            Consistency::Serializable => Route::Node(self.cluster.first()),
        };
        let body = Body::Read { consistency, min_revision, query };
        self.ask(&mut self.trial(), &route, &body, view).await
    }
}

#[async_trait]
impl KvStore for Client {
    async fn write(&self, command: Command<'_>) -> Result<Response<Outcome>, Error> {
        self.write_in_session(command).await
    }

    async fn get(&self, key: &[u8], options: ReadOptions) -> Result<Response<Option<Versioned>>, Error> {
        self.read(Query::Get { key: key.to_vec() }, options, view::value).await
    }

    async fn range(&self, query: RangeQuery, options: ReadOptions) -> Result<Response<Page>, Error> {
        self.read(Query::Range(query), options, view::page).await
    }
}
