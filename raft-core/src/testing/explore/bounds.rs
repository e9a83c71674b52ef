//! How far to look.

/// What may happen, and how often. Within the bounds everything that can happen is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Voters at the start; with `changes`, one more node waits to join. At most 4, or 5 without changes.
    pub nodes: u8,
    /// Terms after the first, in which the cluster was founded.
    pub terms: u8,
    /// Commands in any one log.
    pub entries: u8,
    /// Messages in flight, at most 6; what is sent beyond that is lost.
    pub messages: u8,
    /// Crashes, in all.
    pub crashes: u8,
    /// Configurations in any one log, after the first.
    pub changes: u8,
    /// Reads, in all.
    pub reads: u8,
    /// Messages that arrive and stay in flight, in all.
    pub repeats: u8,
    /// Disks take their time: a write is durable when it suits the search. Else it is at once.
    pub slow_disks: bool,
    /// Timers are late: whatever happens may find one overdue, which then fires even if a write has only just begun. Else
    /// election timers fire where the disk has nothing to do.
    pub late_timers: bool,
    /// Leaders send heartbeats.
    pub heartbeats: bool,
    /// Pre-votes travel like other messages. Else they are asked and answered at once, since nobody is bound by them.
    pub questions: bool,
    /// Of states that differ only in who is who, one is looked at.
    pub symmetry: bool,
    /// Where to begin: the log of each voter, as the terms of its entries; all of them have seen the last of these terms. None:
    /// the cluster has just been founded, and everybody's log is `[1]`. It must be a state that a cluster can come to, with
    /// nothing but the first entry committed.
    pub logs: Vec<Vec<u64>>,
    /// States to look at, at most.
    pub states: u64,
}

impl Default for Bounds {
    /// Small: a second or so.
    fn default() -> Self {
        Self {
            nodes: 3,
            terms: 1,
            entries: 1,
            messages: 4,
            crashes: 0,
            changes: 0,
            reads: 0,
            repeats: 0,
            slow_disks: true,
            late_timers: false,
            heartbeats: true,
            questions: false,
            symmetry: true,
            logs: Vec::new(),
            states: u64::MAX,
        }
    }
}
