//! The client's session over time: opened with the first write, replaced when it is lost, closed at the end.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::time::timeout_at;

use super::Client;
use super::perform::Route;
use super::session::Session;
use super::trial::Trial;
use super::view;
use crate::command::{Command, CommandError, Outcome, SESSION_WINDOW, SessionTag};
use crate::error::{Cause, Error};
use crate::protocol::Body;
use crate::store::Response;

/// The present session.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    present: Mutex<Present>,
    /// Held while a session is opened or closed.
    changing: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug, Default)]
enum Present {
    /// None yet, or it was lost.
    #[default]
    None,
    Open(Arc<Session>),
    /// Nothing is written any more.
    Closed,
}

impl Sessions {
    fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().expect("no thread panics while it holds the lock")
    }

    /// The open session, if any.
    fn open(&self) -> Result<Option<Arc<Session>>, Error> {
        match &*self.present() {
            Present::None => Ok(None),
            Present::Open(session) => Ok(Some(Arc::clone(session))),
            Present::Closed => Err(Error::NotApplied(Cause::Closed)),
        }
    }

    /// `lost` is gone; a later write opens another one.
    fn forget(&self, lost: &Arc<Session>) {
        let mut present = self.present();
        if matches!(&*present, Present::Open(session) if Arc::ptr_eq(session, lost)) {
            *present = Present::None;
        }
    }
}

impl Client {
    /// Applies a command exactly once.
    pub(super) async fn write_in_session(&self, command: Command<'_>) -> Result<Response<Outcome>, Error> {
        let mut trial = self.trial();
        let bytes = encode(&command).map_err(|error| trial.fail(Cause::Invalid(error)))?;
        loop {
            let session = self.session(&trial).await?;
            let begun = timeout_at(trial.deadline(), session.begin()).await;
            let write = begun.map_err(|_elapsed| trial.overdue())?;
            let response = self.apply(&mut trial, Some(write.tag()), &bytes).await?;
            match response.value {
                // No earlier attempt can have been applied, nor can this one: the next session may have it.
                Outcome::SessionUnknown { .. } if !trial.maybe_applied() => self.sessions.forget(&session),
                Outcome::SessionUnknown { session: id } => {
                    self.sessions.forget(&session);
                    return Err(trial.fail(Cause::SessionLost { session: id }));
                }
                found @ (Outcome::SequenceStale { .. } | Outcome::Malformed) => {
                    return Err(trial.fail(Cause::UnexpectedOutcome { found }));
                }
                _ => return Ok(response),
            }
        }
    }

    /// The session to write in; opens it if there is none.
    async fn session(&self, write: &Trial) -> Result<Arc<Session>, Error> {
        if let Some(session) = self.sessions.open()? {
            return Ok(session);
        }
        let changing = timeout_at(write.deadline(), self.sessions.changing.lock()).await;
        let _changing = changing.map_err(|_elapsed| write.overdue())?;
        if let Some(session) = self.sessions.open()? {
            return Ok(session);
        }
        // Whatever became of opening a session, the write was not sent in it.
        let opened = self.open_session(write.nested()).await.map_err(|error| match error {
            Error::NotApplied(cause) | Error::Unknown(cause) => write.fail(cause),
            rejected @ Error::Rejected(_) => rejected,
        })?;
        *self.sessions.present() = Present::Open(Arc::clone(&opened));
        Ok(opened)
    }

    /// Attempts that are not known to have failed may leave sessions behind that nobody uses. The store gives
    /// their places away when it needs them.
    async fn open_session(&self, mut trial: Trial) -> Result<Arc<Session>, Error> {
        let command = encode(&Command::OpenSession).expect("it has no limits");
        match self.apply(&mut trial, None, &command).await?.value {
            Outcome::SessionOpened { session } => {
                let window = self.cluster.options().writes_in_flight.clamp(1, SESSION_WINDOW);
                Ok(Session::new(session, window))
            }
            found => Err(trial.fail(Cause::UnexpectedOutcome { found })),
        }
    }

    /// Lets no further write begin, waits for those in flight, and closes the session.
    pub(super) async fn close_session(&self, mut trial: Trial) -> Result<(), Error> {
        let changing = timeout_at(trial.deadline(), self.sessions.changing.lock()).await;
        let _changing = changing.map_err(|_elapsed| trial.overdue())?;
        let open = self.sessions.open();
        let Ok(Some(session)) = open else {
            *self.sessions.present() = Present::Closed;
            return Ok(());
        };
        *self.sessions.present() = Present::Closed;
        timeout_at(trial.deadline(), session.idle()).await.map_err(|_elapsed| trial.overdue())?;
        let command = encode(&Command::CloseSession { session: session.id() }).expect("it has no limits");
        match self.apply(&mut trial, None, &command).await?.value {
            Outcome::Done | Outcome::SessionUnknown { .. } => Ok(()),
            found => Err(trial.fail(Cause::UnexpectedOutcome { found })),
        }
    }

    async fn apply(
        &self,
        trial: &mut Trial,
        tag: Option<SessionTag>,
        command: &Bytes,
    ) -> Result<Response<Outcome>, Error> {
        self.perform(trial, &Route::Leader, &Body::Write { tag }, command, view::outcome).await
    }
}

fn encode(command: &Command<'_>) -> Result<Bytes, CommandError> {
    let mut bytes = Vec::new();
    command.encode(&mut bytes)?;
    Ok(bytes.into())
}
