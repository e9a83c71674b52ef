//! What can happen next.

use std::fmt;

/// One thing that happens. Nodes and messages in flight go by their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// A message arrives; `again`: and may arrive once more.
    Deliver { place: u8, again: bool },
    /// A message is lost.
    Lose { place: u8 },
    /// A node has waited for its leader, or for its quorum, for too long.
    Timeout { slot: u8 },
    /// The time for that comes, but the timer is late.
    Overdue { slot: u8 },
    /// A leader's heartbeat is due.
    Heartbeat { slot: u8 },
    /// A disk completes its oldest write.
    Sync { slot: u8 },
    /// A node loses power; so many writes that it has not heard of are on its disk, and part of one more.
    Crash { slot: u8, keeps: u8, part: bool },
    /// It starts again.
    Restart { slot: u8 },
    /// A command is proposed.
    Propose { slot: u8 },
    /// A read is asked for.
    Read { slot: u8 },
    /// Other members are wished for.
    Change { slot: u8, wish: u8 },
}

impl fmt::Display for Action {
    /// Without what only the state at hand can tell.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Deliver { again: false, .. } => f.write_str("deliver"),
            Self::Deliver { again: true, .. } => f.write_str("deliver, and keep a copy in flight,"),
            Self::Lose { .. } => f.write_str("lose"),
            Self::Timeout { slot } => write!(f, "node {}: election timeout", slot + 1),
            Self::Overdue { slot } => write!(f, "node {}: election timeout is due, but late", slot + 1),
            Self::Heartbeat { slot } => write!(f, "node {}: heartbeat is due", slot + 1),
            Self::Sync { slot } => write!(f, "node {}: the oldest write is durable", slot + 1),
            Self::Crash { slot, keeps, part } => {
                let part = if part { " and the next one's term and vote" } else { "" };
                write!(f, "node {}: power fails; {keeps} waiting writes{part} are on the disk", slot + 1)
            }
            Self::Restart { slot } => write!(f, "node {}: starts again", slot + 1),
            Self::Propose { slot } => write!(f, "node {}: a command is proposed", slot + 1),
            Self::Read { slot } => write!(f, "node {}: a read is asked for", slot + 1),
            Self::Change { slot, .. } => write!(f, "node {}: asked to", slot + 1),
        }
    }
}
