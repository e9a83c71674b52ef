//! The session that makes writes apply exactly once, seen from the client. `[Ongaro §6.3]`
//!
//! Invariant (window): a sequence is begun only while it is less than the window above the lowest one that has not
//! ended. Hence no tag is ever refused for its distance, however replies are reordered.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use crate::command::SessionTag;

/// An open session.
#[derive(Debug)]
pub(super) struct Session {
    id: u64,
    /// Length of the window.
    most: usize,
    window: Mutex<Window>,
    moved: Notify,
}

/// The sequences from the lowest unacknowledged one on.
#[derive(Debug, Default)]
struct Window {
    lowest: u64,
    /// Whether each has ended; the first has not.
    ended: VecDeque<bool>,
}

/// A write of a session, from its first attempt until its caller no longer waits for it: given up, too, it ends,
/// and with a later write the store hears that its copies are stale.
#[derive(Debug)]
pub(super) struct SessionWrite {
    session: Arc<Session>,
    tag: SessionTag,
}

impl Session {
    /// Session `id`, with a window of `most` sequences.
    pub(super) fn new(id: u64, most: u64) -> Arc<Self> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Arc::new(Self { id, most, window: Mutex::default(), moved: Notify::new() })
    }

    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    /// Begins a write, when the window has room for it. Cancel-safe.
    pub(super) async fn begin(self: &Arc<Self>) -> SessionWrite {
        let sequence = self.when(|window| (window.ended.len() < self.most).then(|| window.begin())).await;
        let (sequence, lowest_unacknowledged) = sequence;
        let tag = SessionTag { session: self.id, sequence, lowest_unacknowledged };
        SessionWrite { session: Arc::clone(self), tag }
    }

    /// Waits until every write has ended.
    pub(super) async fn idle(&self) {
        self.when(|window| window.ended.is_empty().then_some(())).await;
    }

    /// Waits until the window satisfies `look`.
    async fn when<T>(&self, mut look: impl FnMut(&mut Window) -> Option<T>) -> T {
        loop {
            // Whoever moves the window after the look wakes this.
            let moved = self.moved.notified();
            let found = look(&mut self.window());
            match found {
                Some(found) => return found,
                None => moved.await,
            }
        }
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().expect("no thread panics while it holds the lock")
    }
}

impl Window {
    /// The next sequence, and the lowest that has not ended.
    fn begin(&mut self) -> (u64, u64) {
        self.ended.push_back(false);
        (self.lowest + self.ended.len() as u64 - 1, self.lowest)
    }

    /// Tells whether the window moved.
    fn end(&mut self, sequence: u64) -> bool {
        let before = self.lowest;
        let at = usize::try_from(sequence - self.lowest).expect("a window fits memory");
        self.ended[at] = true;
        while self.ended.front() == Some(&true) {
            self.ended.pop_front();
            self.lowest += 1;
        }
        self.lowest > before
    }
}

impl SessionWrite {
    pub(super) const fn tag(&self) -> SessionTag {
        self.tag
    }
}

impl Drop for SessionWrite {
    fn drop(&mut self) {
        if self.session.window().end(self.tag.sequence) {
            self.session.moved.notify_waiters();
        }
    }
}
