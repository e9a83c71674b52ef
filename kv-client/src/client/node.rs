//! One node: its address, and the connection to it, made when it is needed.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;
use tokio::time::timeout;

use super::cluster::Cluster;
use crate::connection::Connection;
use crate::error::Problem;

/// A node, and at most one connection to it.
#[derive(Debug)]
pub(super) struct Node {
    address: String,
    link: Mutex<Link>,
}

type Dialed = Result<Arc<Connection>, Problem>;

#[derive(Debug)]
enum Link {
    Idle,
    /// Whoever needs the connection waits for the same attempt.
    Dialing(watch::Receiver<Option<Dialed>>),
    /// It may have failed since.
    Open(Arc<Connection>),
}

impl Node {
    pub(super) fn new(address: &str) -> Arc<Self> {
        Arc::new(Self { address: address.to_owned(), link: Mutex::new(Link::Idle) })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Whether this is node `id`, as far as an open connection tells.
    pub(super) fn has_id(&self, id: u64) -> bool {
        matches!(&*self.link(), Link::Open(open) if open.is_open() && open.welcome().node_id == id)
    }

    /// An open connection; a new one if there is none. Ends within the connect timeout; giving up earlier does not
    /// end the attempt, which others may be waiting for.
    pub(super) async fn connection(self: &Arc<Self>, cluster: &Arc<Cluster>) -> Dialed {
        let mut dialing = match &mut *self.link() {
            Link::Open(open) if open.is_open() => return Ok(Arc::clone(open)),
            Link::Dialing(dialing) => dialing.clone(),
            idle => {
                let (sender, receiver) = watch::channel(None);
                *idle = Link::Dialing(receiver.clone());
                tokio::spawn(dial(Arc::clone(self), Arc::clone(cluster), sender));
                receiver
            }
        };
        let dialed = dialing.wait_for(Option::is_some).await.map_err(|_runtime_gone| Problem::Closed)?;
        dialed.clone().unwrap_or(Err(Problem::Closed))
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().expect("no thread panics while it holds the lock")
    }
}

/// Makes a connection, tells those who wait for it, and then asks the node who the other nodes are.
async fn dial(node: Arc<Node>, cluster: Arc<Cluster>, result: watch::Sender<Option<Dialed>>) {
    let dialed = connect(&node, &cluster).await;
    *node.link() = match &dialed {
        Ok(connection) => Link::Open(Arc::clone(connection)),
        Err(_told_below) => Link::Idle,
    };
    result.send_replace(Some(dialed.clone()));
    if let Ok(connection) = dialed {
        cluster.discover(&connection).await;
    }
}

async fn connect(node: &Node, cluster: &Cluster) -> Dialed {
    let options = cluster.options();
    let limit = options.connect_timeout;
    let open = async {
        let stream = cluster.connector().connect(node.address()).await;
        let stream = stream.map_err(|error| Problem::Unreachable(Arc::new(error)))?;
        Connection::open(stream, options.credentials.clone(), options.attempt_timeout / 2).await
    };
    let connection = timeout(limit, open).await.map_err(|_elapsed| Problem::ConnectTimeout(limit))??;
    cluster.admit(connection.welcome())?;
    Ok(Arc::new(connection))
}
