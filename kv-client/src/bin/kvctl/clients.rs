//! The clients of one run of the program, closed together at its end, whatever ends it.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::Result;
use kv_client::{Client, Options};
use tokio::task::JoinSet;

use crate::cli::Global;

/// A session that is not closed costs little, and gives its place to another when there are too many: closing it
/// is not worth a longer wait.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct Clients<'a> {
    global: &'a Global,
    open: RefCell<Vec<Client>>,
}

impl<'a> Clients<'a> {
    pub(crate) const fn new(global: &'a Global) -> Self {
        Self { global, open: RefCell::new(Vec::new()) }
    }

    /// One more client of the cluster that the command line names.
    pub(crate) fn connect(&self) -> Result<Client> {
        let options = Options { deadline: self.global.timeout, ..Options::default() };
        let client = Client::new(&self.global.endpoints, options)?;
        self.open.borrow_mut().push(client.clone());
        Ok(client)
    }

    /// Closes the sessions of all of them, those that have one.
    pub(crate) async fn close(&self) {
        let within = CLOSE_WITHIN.min(self.global.timeout);
        let open = self.open.take().into_iter().map(|client| client.with_deadline(within));
        let mut closing: JoinSet<_> = open.map(|client| async move { client.close().await }).collect();
        while let Some(joined) = closing.join_next().await {
            if let Err(error) = joined.expect("closing neither panics nor is aborted") {
                eprintln!("warning: a session stays open until the cluster needs its place: {error}");
            }
        }
    }
}
