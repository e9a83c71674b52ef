//! Where callers wait until they have introduced themselves.
//!
//! Anybody can connect and say nothing. So a caller that is not known yet takes a place here, and not one of those
//! that peers need: when all are taken, the caller that has waited longest goes. A caller that introduces itself at
//! once stays for a moment only, and is the newest when it comes.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::transport::tether::{Leash, Tether, tether};

/// The places. Clones are of one lobby.
#[derive(Clone, Debug)]
pub(crate) struct Lobby(Arc<Mutex<Places>>);

#[derive(Debug)]
struct Places {
    allowed: usize,
    given: u64,
    /// By number, so the oldest first.
    taken: BTreeMap<u64, Tether>,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    lobby: Lobby,
    number: u64,
    leash: Leash,
}

impl Lobby {
    pub(crate) fn new(allowed: usize) -> Self {
        Self(Arc::new(Mutex::new(Places { allowed, given: 0, taken: BTreeMap::new() })))
    }

    /// Takes a place; the newcomer always gets one.
    pub(crate) fn enter(&self) -> Place {
        let mut places = self.places();
        while places.taken.len() >= places.allowed.max(1) {
            places.taken.pop_first();
        }
        places.given += 1;
        let (number, (tether, leash)) = (places.given, tether());
        places.taken.insert(number, tether);
        Place { lobby: self.clone(), number, leash }
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.lock().expect("nothing panics while it holds the lock")
    }
}

impl Place {
    /// Runs `work` to its end; `None` if the place had to go to somebody else before.
    pub(crate) async fn keep<F: Future>(&mut self, work: F) -> Option<F::Output> {
        self.leash.run(work).await
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.lobby.places().taken.remove(&self.number);
    }
}
