//! What a client asks.

use serde::{Deserialize, Serialize};

use super::MemberChange;
use crate::command::{CommandError, Field, MAX_KEY_BYTES, SessionTag};

/// Most keys in one page of a range.
pub const MAX_PAGE_KEYS: u32 = 10_000;

/// A page ends before the record that would make its tail longer than this; but it holds at least one.
pub const MAX_PAGE_BYTES: usize = 1 << 20;

/// One request. The client chooses ids; two requests in flight on one connection never share one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Echoed in the reply.
    pub id: u64,
    /// How long the client waits, in milliseconds from arrival; after that the node answers with a refusal that
    /// says whether the request may still be applied. 0: as long as the node is set up to wait.
    pub deadline_ms: u32,
    /// What is asked.
    pub body: Body,
}

/// What a [`Request`] asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Propose the command in the tail.
    Write {
        /// Which request of which session; `None`: a copy of it would be applied again.
        tag: Option<SessionTag>,
    },
    /// Look something up.
    Read {
        /// How recent the answer has to be.
        consistency: Consistency,
        /// The answering node must have applied at least this revision; 0 for any. With the revision of an earlier
        /// reply, a client never sees the store go back, whatever node it asks.
        min_revision: u64,
        /// What is looked up.
        query: Query,
    },
    /// How the asked node is.
    Status,
    /// Who the members are.
    Members,
    /// Change the members: all of it, or nothing.
    ChangeMembers {
        /// What is wished.
        changes: Vec<MemberChange>,
        /// Even if too few of the voters that there would be can be reached.
        force: bool,
    },
    /// Let another node lead.
    MoveLeader {
        /// Which; `None`: whichever lacks the least.
        to: Option<u64>,
    },
}

impl Body {
    /// Whether it changes anything: then it matters whether an attempt that failed may have had an effect.
    #[must_use]
    pub const fn is_write(&self) -> bool {
        matches!(self, Self::Write { .. } | Self::ChangeMembers { .. } | Self::MoveLeader { .. })
    }
}

/// How recent the answer to a read has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Consistency {
    /// Reflects every write that was acknowledged before the read was sent. `[Raft §8]`
    #[default]
    Linearizable,
    /// The state that the asked node has applied, however old.
    Serializable,
    /// As linearizable, but where the nodes are set up for it the leader relies on its lease instead of asking a
    /// quorum: right as long as no member's clock runs faster than any other's by more than they are set up for.
    Lease,
}

/// What is looked up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// One key.
    Get {
        /// The key.
        #[serde(with = "serde_bytes")]
        key: Vec<u8>,
    },
    /// A page of a range.
    Range(RangeQuery),
}

/// A page of the keys from `start` to `end`, ascending.
///
/// Pages are cut by [`MAX_PAGE_BYTES`] and by `limit`; [`Answer::Page`](super::Answer::Page) says whether more
/// follows. The next page is the same query with `after` set to the last key of this one. Each page shows the
/// store at the revision of its reply: two pages may differ in that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeQuery {
    /// First key; empty: from the first of all.
    #[serde(with = "serde_bytes")]
    pub start: Vec<u8>,
    /// Where the range ends (exclusive); empty: after the last of all.
    #[serde(with = "serde_bytes")]
    pub end: Vec<u8>,
    /// Continue after this key (exclusive); empty: from `start`.
    #[serde(with = "serde_bytes")]
    pub after: Vec<u8>,
    /// Most keys wanted in this page; 0 or more than [`MAX_PAGE_KEYS`] is taken for that.
    pub limit: u32,
    /// Leave the values out (they come as empty).
    pub keys_only: bool,
}

impl Query {
    /// Checks that every key can be one.
    ///
    /// # Errors
    /// [`CommandError::Limit`]: refuse the request.
    pub fn check(&self) -> Result<(), CommandError> {
        let key = |field, key: &[u8], least: usize| match key.len() {
            found if (least..=MAX_KEY_BYTES).contains(&found) => Ok(()),
            found => {
                let (least, most) = (least as u64, MAX_KEY_BYTES as u64);
                Err(CommandError::Limit { field, found: found as u64, least, most })
            }
        };
        match self {
            Self::Get { key: wanted } => key(Field::Key, wanted, 1),
            Self::Range(range) => {
                key(Field::Start, &range.start, 0)?;
                key(Field::End, &range.end, 0)?;
                key(Field::After, &range.after, 0)
            }
        }
    }
}
