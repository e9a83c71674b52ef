//! Marks: rare states that a batch of simulations must reach. A rule that is never put to the test is not tested.
//!
//! `mark!(Name)` counts, on the present thread; without the feature `testing` it is nothing. Most marks are set by the
//! simulated cluster, from outside; the core sets those that cannot be seen from there.

/// Counts that this place was reached.
#[cfg(feature = "testing")]
macro_rules! mark {
    ($name:ident) => {
        $crate::marks::hit($crate::marks::Mark::$name)
    };
}

/// Nothing.
#[cfg(not(feature = "testing"))]
macro_rules! mark {
    ($name:ident) => {};
}

#[cfg(feature = "testing")]
mod counters {
    use std::cell::Cell;

    macro_rules! marks {
        ($($name:ident: $what:literal,)*) => {
            /// A state worth reaching.
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
            pub enum Mark {
                $(#[doc = $what] $name,)*
            }

            impl Mark {
                /// All of them.
                pub const ALL: &[Self] = &[$(Self::$name,)*];

                /// What it stands for.
                #[must_use]
                pub const fn what(self) -> &'static str {
                    match self {
                        $(Self::$name => $what,)*
                    }
                }
            }
        };
    }

    marks! {
        // Elections.
        PreVoteRefused: "a voter would not vote for whoever asks",
        VoteRefused: "a voter refuses a candidate its vote",
        VoteForced: "a candidate campaigns because its leader asked it to",
        TwoLeadersAlive: "two nodes take themselves for the leader, in different terms",
        LeaderMissesQuorum: "a leader steps down within its term",
        LeaderDeposed: "a leader learns of a later term",
        EarlierEntryOnMajority: "a new leader finds an entry of an earlier term on a majority, not committed [Raft Figure 8]",
        LeaderOutsideMembers: "a node leads that has no vote itself",
        // Replication.
        ConflictReported: "a follower refuses entries that do not follow its log",
        ConflictSkipsEntries: "one refusal skips many entries",
        ProbeSent: "a leader asks where the logs meet",
        ManyBlocksAtOnce: "one message carries many blocks",
        EntriesTruncated: "entries that were not committed are cut off",
        ManyEntriesTruncated: "ten such entries or more at once",
        ConfigurationTruncated: "a configuration that was not committed is cut off",
        // Snapshots.
        SnapshotOffered: "a leader offers a snapshot",
        SnapshotRefused: "a follower turns a snapshot down",
        SnapshotAccepted: "a follower takes a snapshot",
        TransferBroken: "a transfer breaks after it was accepted",
        TransferResumed: "a transfer goes on where an earlier one had stopped",
        SnapshotFailed: "the store cannot write a snapshot",
        LogResetBySnapshot: "a snapshot replaces a whole log",
        StateRestored: "a snapshot is loaded into a state machine that runs",
        // Crashes.
        CrashBetweenEffects: "power fails in the middle of what a node does at once",
        CrashLosesWrites: "a crash loses writes that were not durable",
        CrashTearsWrite: "a crash leaves the first entries of a write",
        CrashLosesVote: "a crash loses a vote that was not durable",
        RestartsWithinTerm: "a node starts five times within one term",
        // Disks.
        DiskFailed: "a log's disk fails",
        DiskFull: "a disk takes no more",
        EntryRotted: "an entry rots",
        HoleReported: "a follower tells its leader of an entry that it has lost",
        HoleMended: "an entry that was lost is written again",
        TailLost: "a disk loses the end of its log, and knows it",
        TailForgotten: "a disk loses the end of its log, and not even knows what it was",
        VoteBelowFloorRefused: "a node refuses its vote for the sake of what it has lost",
        TailMadeGood: "a log that had lost its end has caught up with what it was",
        FolderLost: "a node loses its folder",
        NodeGreeted: "a fresh node learns which cluster it belongs to",
        // Members.
        JointAppended: "a joint configuration is appended",
        VoterAdded: "somebody becomes a voter",
        LearnerPromoted: "a learner becomes a voter",
        VoterDemoted: "a voter becomes a learner",
        MemberRemoved: "somebody leaves",
        LeaderRemovesItself: "a leader appends a configuration in which it has no vote",
        ChangeRefused: "a change of members is not begun",
        TimeoutNowSent: "a leader asks its successor to campaign",
        HandingOverRefused: "a proposal is refused because leadership is being handed over",
        // Clients.
        DuplicateServed: "a command that was sent again is answered, not executed again",
        ProposalDisplaced: "a proposal loses its place to a later leader's",
        ProposalForgotten: "nobody knows what became of a proposal",
        ProposalBusy: "a proposal is refused because too much waits",
        ReadAtFollower: "a follower serves a linearizable read",
        ReadForwardRefused: "a leader does not confirm a follower's read",
        ReadUnconfirmed: "a follower gives up waiting for its leader's word on a read",
        // Clocks and pauses.
        LeaderWakesUp: "a leader goes on after a pause, while another leads a later term",
        BatchAfterPause: "ten inputs or more are stepped before anything leaves",
    }

    thread_local! {
        static COUNTS: [Cell<u64>; Mark::ALL.len()] = const { [const { Cell::new(0) }; Mark::ALL.len()] };
    }

    /// Counts a mark on this thread.
    pub(crate) fn hit(mark: Mark) {
        COUNTS.with(|counts| counts[mark as usize].update(|count| count + 1));
    }

    /// How often each mark was reached on this thread since the last call.
    #[must_use]
    pub fn take() -> Vec<(Mark, u64)> {
        COUNTS.with(|counts| Mark::ALL.iter().map(|mark| (*mark, counts[*mark as usize].take())).collect())
    }
}

#[cfg(feature = "testing")]
pub(crate) use counters::hit;
#[cfg(feature = "testing")]
pub use counters::{Mark, take};
