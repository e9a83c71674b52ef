//! Everything that can happen to a simulated cluster, one value each, with all the randomness it needs inside.
//!
//! So a list of actions with their times *is* a run: it can be recorded, replayed, taken apart and drawn. Nodes are named
//! by their place in the cluster, links by the places of both ends, and messages by what they say, so that an action
//! still means something after others were taken out of the list.

use std::fmt;
use std::time::Duration;

use super::Sent;
use super::messages::{MessageKind, content};
use crate::configuration::MemberRole;
use crate::testing::sim_log::Survivors;

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A message arrives.
    Deliver(Delivery),
    /// The node's timer fires.
    Tick {
        /// The node.
        node: usize,
    },
    /// A sync ends: the oldest so many writes are durable.
    Sync {
        /// The node.
        node: usize,
        /// How many.
        writes: usize,
    },
    /// The log answers what it was asked for.
    AnswerReads {
        /// The node.
        node: usize,
    },
    /// A write or sync of the log fails: the node has to stop.
    FailDisk {
        /// The node.
        node: usize,
        /// What survives of what was not durable.
        loss: Loss,
    },
    /// The oldest job of the snapshot store ends.
    Snapshot {
        /// The node.
        node: usize,
        /// Whether in vain.
        fails: bool,
    },
    /// A received snapshot is in the state machine.
    Restore {
        /// The node.
        node: usize,
    },
    /// A snapshot transfer goes on.
    Transfer {
        /// The leader that sends it.
        from: usize,
        /// The receiver.
        to: usize,
        /// How.
        step: TransferStep,
    },
    /// The transport tells a node that messages to a peer may be lost.
    Unreachable {
        /// The node.
        node: usize,
        /// The peer.
        peer: usize,
    },
    /// An operator founds the cluster here.
    Initialize {
        /// The node.
        node: usize,
    },
    /// A client proposes.
    Propose {
        /// The node asked.
        node: usize,
        /// What.
        command: Command,
    },
    /// A client asks for a linearizable read.
    Read {
        /// The node asked.
        node: usize,
        /// Whether a lease will do.
        lease: bool,
    },
    /// An operator changes the members.
    ChangeMembers {
        /// The node asked.
        node: usize,
        /// What is wished.
        wishes: Vec<Wish>,
    },
    /// An operator moves leadership.
    TransferLeadership {
        /// The node asked.
        node: usize,
        /// To whom; `None`: to whoever is closest behind.
        to: Option<usize>,
    },
    /// An operator asks for a snapshot.
    TriggerSnapshot {
        /// The node.
        node: usize,
    },
    /// Power cut.
    Crash {
        /// The node.
        node: usize,
        /// What survives of what was not durable.
        loss: Loss,
    },
    /// Power cut in the middle of what the node does next.
    CrashAfter {
        /// The node.
        node: usize,
        /// So many effects leave it yet.
        effects: u32,
        /// What survives of what was not durable.
        loss: Loss,
    },
    /// The node starts again on what its disks hold.
    Restart {
        /// The node.
        node: usize,
        /// Feeds the jitter of its election timeouts.
        seed: u64,
    },
    /// The node's folder is gone, and with it the node.
    Wipe {
        /// The node.
        node: usize,
    },
    /// A node without folder starts, in the next free place.
    Join {
        /// Feeds the jitter of its election timeouts.
        seed: u64,
    },
    /// An entry in the node's log rots.
    Damage {
        /// The node.
        node: usize,
        /// Which entry: so many before the last.
        back: u64,
    },
    /// Power cut, after which the end of the node's log is gone, durable though it was.
    LoseTail {
        /// The node.
        node: usize,
        /// So many entries.
        count: u64,
        /// Whether the log still knows which the last one was.
        known: bool,
    },
    /// The node's disk is full, or is not any more.
    DiskFull {
        /// The node.
        node: usize,
        /// Which.
        full: bool,
    },
    /// The process stands still; what arrives waits.
    Pause {
        /// The node.
        node: usize,
    },
    /// And goes on, with all that has arrived in one batch.
    Resume {
        /// The node.
        node: usize,
    },
    /// The node's clock runs at this rate from now on.
    ClockRate {
        /// The node.
        node: usize,
        /// Thousandths of true time.
        permille: u32,
    },
    /// The node's clock jumps forward.
    ClockJump {
        /// The node.
        node: usize,
        /// How far.
        by: Duration,
    },
}

/// Which message arrives where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The sender.
    pub from: usize,
    /// The receiver.
    pub to: usize,
    /// Which remote call, or answer.
    pub kind: MessageKind,
    /// Hash over what it says, clocks and rounds aside.
    pub content: u64,
    /// Hash over all that it says.
    pub digest: u64,
}

/// How a snapshot transfer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferStep {
    /// The offer arrives.
    Offer,
    /// So many missing chunks arrive; with the last one the file is complete.
    Chunks(u64),
    /// The connection breaks.
    Break,
    /// The sender learns how it ended.
    Report,
}

/// What a power cut spares of what was not durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// In the log's queue.
    pub log: Survivors,
    /// Whether the snapshot job under way had just taken effect.
    pub snapshot: bool,
}

/// A client's command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// The client; 0 is nobody, whose commands are not told apart.
    pub client: u16,
    /// Number of this client's request. Sent again under the same number, it must not be executed again.
    pub seq: u32,
    /// So many bytes that mean nothing.
    pub padding: u16,
    /// So many more like it at once; a client that is told apart asks for one thing at a time.
    pub more: u8,
}

/// What one member is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The node.
    pub node: usize,
    /// Its role; `None`: it leaves.
    pub role: Option<MemberRole>,
}

impl Delivery {
    /// The arrival of `sent`.
    #[must_use]
    pub fn of(sent: &Sent) -> Self {
        let Sent { from, to, digest, ref message } = *sent;
        Self { from, to, kind: MessageKind::of(message), content: content(message), digest }
    }
}

impl Action {
    /// The node where it happens, if there is one yet.
    #[must_use]
    pub const fn node(&self) -> Option<usize> {
        let node = match *self {
            Self::Deliver(Delivery { to, .. }) => to,
            Self::Transfer { from, step: TransferStep::Report, .. } => from,
            Self::Transfer { to, .. } => to,
            Self::Tick { node }
            | Self::Sync { node, .. }
            | Self::AnswerReads { node }
            | Self::FailDisk { node, .. }
            | Self::Snapshot { node, .. }
            | Self::Restore { node }
            | Self::Unreachable { node, .. }
            | Self::Initialize { node }
            | Self::Propose { node, .. }
            | Self::Read { node, .. }
            | Self::ChangeMembers { node, .. }
            | Self::TransferLeadership { node, .. }
            | Self::Wipe { node }
            | Self::Damage { node, .. }
            | Self::LoseTail { node, .. }
            | Self::DiskFull { node, .. }
            | Self::TriggerSnapshot { node }
            | Self::Crash { node, .. }
            | Self::CrashAfter { node, .. }
            | Self::Restart { node, .. }
            | Self::Pause { node }
            | Self::Resume { node }
            | Self::ClockRate { node, .. }
            | Self::ClockJump { node, .. } => node,
            Self::Join { .. } => return None,
        };
        Some(node)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deliver(Delivery { from, to, kind, .. }) => {
                write!(f, "n{} gets {kind} from n{}", to + 1, from + 1)
            }
            Self::Tick { node } => write!(f, "n{}'s timer fires", node + 1),
            Self::Sync { node, writes } => write!(f, "n{}'s disk has synced {writes} writes", node + 1),
            Self::AnswerReads { node } => write!(f, "n{}'s log answers reads", node + 1),
            Self::FailDisk { node, loss } => write!(f, "n{}'s disk fails ({loss})", node + 1),
            Self::Snapshot { node, fails: false } => write!(f, "n{}'s snapshot store ends a job", node + 1),
            Self::Snapshot { node, fails: true } => write!(f, "n{}'s snapshot store fails", node + 1),
            Self::Restore { node } => write!(f, "n{} has loaded a snapshot", node + 1),
            Self::Transfer { from, to, step } => write!(f, "snapshot n{} to n{}: {step}", from + 1, to + 1),
            Self::Unreachable { node, peer } => write!(f, "n{} cannot reach n{}", node + 1, peer + 1),
            Self::Initialize { node } => write!(f, "n{} founds the cluster", node + 1),
            Self::Propose { node, command } => write!(f, "n{} is asked for {command}", node + 1),
            Self::Read { node, lease: false } => write!(f, "n{} is asked for a read", node + 1),
            Self::Read { node, lease: true } => write!(f, "n{} is asked for a read by lease", node + 1),
            Self::ChangeMembers { node, wishes } => {
                write!(f, "n{} is asked to change members:", node + 1)?;
                wishes.iter().try_for_each(|wish| write!(f, " {wish}"))
            }
            Self::TransferLeadership { node, to: Some(to) } => {
                write!(f, "n{} is asked to hand over to n{}", node + 1, to + 1)
            }
            Self::TransferLeadership { node, to: None } => write!(f, "n{} is asked to hand over", node + 1),
            Self::Wipe { node } => write!(f, "n{}'s folder is gone", node + 1),
            Self::Join { .. } => f.write_str("a fresh node starts"),
            Self::Damage { node, back: 0 } => write!(f, "n{}'s last entry rots", node + 1),
            Self::Damage { node, back } => write!(f, "n{}'s entry {back} before the last rots", node + 1),
            Self::LoseTail { node, count, known } => {
                let memory = if *known { "and knows it" } else { "and does not know what it was" };
                write!(f, "n{} crashes; its disk has lost the last {count} entries, {memory}", node + 1)
            }
            Self::DiskFull { node, full: true } => write!(f, "n{}'s disk is full", node + 1),
            Self::DiskFull { node, full: false } => write!(f, "n{}'s disk has room again", node + 1),
            Self::TriggerSnapshot { node } => write!(f, "n{} is told to take a snapshot", node + 1),
            Self::Crash { node, loss } => write!(f, "n{} crashes ({loss})", node + 1),
            Self::CrashAfter { node, effects, loss } => {
                write!(f, "n{} will crash after {effects} more effects ({loss})", node + 1)
            }
            Self::Restart { node, .. } => write!(f, "n{} starts", node + 1),
            Self::Pause { node } => write!(f, "n{} stands still", node + 1),
            Self::Resume { node } => write!(f, "n{} goes on", node + 1),
            Self::ClockRate { node, permille } => {
                write!(f, "n{}'s clock runs at {permille} thousandths", node + 1)
            }
            Self::ClockJump { node, by } => write!(f, "n{}'s clock jumps by {by:?}", node + 1),
        }
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.role {
            Some(role) => write!(f, "n{} {role:?}", self.node + 1),
            None => write!(f, "n{} leaves", self.node + 1),
        }
    }
}

impl fmt::Display for TransferStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offer => f.write_str("the offer arrives"),
            Self::Chunks(count) => write!(f, "{count} chunks arrive"),
            Self::Break => f.write_str("the connection breaks"),
            Self::Report => f.write_str("the sender learns how it ended"),
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Survivors { writes, part } = self.log;
        write!(f, "{writes} pending writes survive, of the next one {part:?}")
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.client, self.more) {
            (0, 0) => f.write_str("a command"),
            (0, more) => write!(f, "{} commands", u16::from(more) + 1),
            (client, _) => write!(f, "command {} of client {client}", self.seq),
        }
    }
}
