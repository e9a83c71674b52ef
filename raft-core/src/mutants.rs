//! Seeded bugs, one at a time: the test of the tests. Each breaks one rule in the place where the rule is kept; a simulation
//! that does not notice one of them would not notice the real thing either.
//!
//! They exist with the feature `mutants` alone, which nothing but the simulator's mutation runs may enable. Without it
//! `mutant!` is the constant `false`, and nothing of this is compiled in.

/// Whether the named bug is planted here.
#[cfg(feature = "mutants")]
macro_rules! mutant {
    ($name:ident) => {
        $crate::mutants::is_planted($crate::mutants::Mutant::$name)
    };
}

/// No bug is planted here.
#[cfg(not(feature = "mutants"))]
macro_rules! mutant {
    ($name:ident) => {
        false
    };
}

/// The catalogue: a name, and the rule that the bug breaks.
#[cfg(feature = "mutants")]
macro_rules! catalogue {
    ($($name:ident: $breaks:literal,)*) => {
        /// One seeded bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant {
            $(#[doc = $breaks] $name,)*
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What it does.
            #[must_use]
            pub const fn breaks(self) -> &'static str {
                match self {
                    $(Self::$name => $breaks,)*
                }
            }
        }
    };
}

#[cfg(feature = "mutants")]
mod planted {
    use std::cell::Cell;
    use std::fmt;
    use std::str::FromStr;

    thread_local! {
        static PLANTED: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    catalogue! {
        // Votes.
        VoteWithoutLogCheck: "a vote for a candidate whose log is behind [Raft §5.4.1]",
        VoteByLength: "logs are compared by length alone [Raft §5.4.1]",
        VoteTwice: "a second vote in one term [Raft §5.2]",
        VoteForgottenAtRestart: "a restart forgets the vote [Raft Figure 2]",
        VoteBeforeDurable: "a vote is granted before it is durable [Raft Figure 2]",
        CandidacyBeforeDurable: "a candidate asks for votes before its own is durable",
        OwnVoteBeforeDurable: "a candidate counts its own vote before it is durable",
        PreVoteCountsAsVote: "the answer to a question counts as a vote [Ongaro §9.6]",
        TermCountsAsVote: "an answer of a later term counts as a vote",
        TermWithoutStepDown: "a leader enters a later term and goes on leading [Raft §5.1]",
        ForcedVoteRefused: "a voter that hears its leader refuses whom that leader sends [Ongaro §4.2.3]",
        QuestionDisturbs: "a voter that hears its leader would vote for another [Ongaro §9.6]",
        PromiseIgnored: "a vote although a leader was heard from [Ongaro §4.2.3]",
        PromiseForgottenAtRestart: "a restart forgets that a leader was heard from [Ongaro §6.4.1]",
        // Replication.
        PreviousTermUnchecked: "entries are accepted after another entry than the leader's [Raft §5.3]",
        TruncateAlways: "a message that holds a prefix of the log cuts off the rest [Raft §5.3]",
        ConflictKept: "a conflicting entry stays [Raft Figure 2]",
        AckBeforeDurable: "entries are acknowledged before they are durable",
        AckBeforeTermDurable: "entries are acknowledged before their leader's term is durable",
        StaleAnswerCounts: "an acknowledgement of an earlier term counts",
        HintRaisesMatch: "what a refusal hints at counts as acknowledged",
        CachedAfterTruncation: "entries that were cut off are still sent",
        // An answer of the disk is also forgotten when the log that it is about is replaced: either rule alone does.
        ReadBackUnchecked: "entries that were read from a log that was replaced since are taken for this log's",
        LateCompletionCounts: "the completion of an overwritten write vouches for what overwrote it",
        // Commits.
        CommitEarlierTerm: "an entry of an earlier term commits by counting [Raft §5.4.2]",
        CommitOwnBeforeDurable: "a leader counts its own copy before it is durable",
        CommitAsToldByAppend: "a follower commits what it was told of beyond what matches [Raft Figure 2]",
        CommitAsToldByHeartbeat: "the same, told by a heartbeat",
        OwnHoleCounts: "a leader counts its own copy though it cannot be read",
        CommitMinority: "one voter less than a majority commits",
        // Applying.
        ApplyBeforeDurable: "an entry is applied before it is durable here",
        ApplyAgainAtRestart: "the last entry of a snapshot is applied again",
        RestoreForgotten: "a received snapshot replaces the log and not the state",
        ProposalTakenForAnother: "a proposal is answered with the reply to the entry that took its place",
        // Reads.
        ReadWithoutQuorum: "a leader serves reads without asking anybody [Ongaro §6.4]",
        ReadBeforeOwnCommit: "a leader serves reads before it has committed in its term [Raft §8]",
        ReadBeforeApplied: "a read is served before what it must see is applied",
        // Three rules hold this up: what a follower echoes, what a leader takes for an answer, and that it believes in no round
        // which it has not begun. Without one of them harm needs rounds of two terms that have come to the same number.
        EchoOfEarlierTerm: "the echo of a read round of an earlier term counts",
        RequestNameReused: "a restarted follower reuses the names of its requests for reads",
        LeaseIgnoresDrift: "a lease lasts longer than the voters' promise on a faster clock [Ongaro §6.4.1]",
        LeaseFromReceipt: "a lease begins when the answer arrives, not when the question left",
        OrderOfEarlierTermObeyed: "who is asked to campaign does so however late the request is [Ongaro §3.10]",
        LeaseAfterTransfer: "a lease goes on after somebody was asked to campaign",
        // Members.
        ConfigurationIgnored: "followers do not bring configurations into force [Raft §6]",
        ConfigurationNotRolledBack: "a configuration that was cut off stays in force [Raft §6]",
        JointCommitsByNew: "while joint, the new majority alone commits [Raft §6]",
        JointElectsByNew: "while joint, the new majority alone elects [Raft §6]",
        ChangeBeforeOwnCommit: "members change before the leader has committed in its term (Ongaro 2015)",
        ChangeDuringChange: "members change while the change before is not committed",
        LearnerCounts: "learners count for majorities",
        SnapshotForgetsMembers: "a snapshot lists the members of the log's start",
        // Snapshots and damage.
        HalfFoundingKept: "a founding that a crash has cut short is neither repeated nor forgotten",
        PublishBeforeTermDurable: "a snapshot is published before its leader's term is durable",
        AckOverHole: "an entry behind a damaged one is acknowledged",
        CampaignWithHole: "a node that has lost entries campaigns",
        HoleForgottenByVote: "a vote goes by what is left of the log",
        LostTailForgottenByVote: "a vote goes by what is left of a log that has lost its end",
        UnknownFloorVotes: "a vote although nobody knows how far the log went",
        // Liveness.
        JointNeverLeft: "nobody leaves a joint configuration",
        LearnerNeverPromoted: "a learner that has caught up stays one",
        WindowNeverFreed: "acknowledged messages stay in the window",
        AdmissionNeverFreed: "committed entries still count as uncommitted",
        ProbeNeverRepeated: "a lost probe is not repeated",
        // A leader that went back to probing would hear from the follower itself that it is behind.
        SnapshotNeverRepeated: "a failed transfer is not repeated",
        QuorumNeverMissed: "a leader that hears nobody goes on leading [Ongaro §6.2]",
        StuckDiskKept: "a leader whose disk is stuck goes on leading",
        RemovedLeaderStays: "a leader that was removed goes on leading",
        OperatorLeftWaiting: "who asks for another leader is never answered",
        ReaderLeftWaiting: "one read in sixteen is never answered",
    }

    /// Plants `mutant` on this thread, or none.
    pub fn plant(mutant: Option<Mutant>) {
        PLANTED.set(mutant);
    }

    /// Whether `mutant` is planted on this thread.
    pub(crate) fn is_planted(mutant: Mutant) -> bool {
        PLANTED.get() == Some(mutant)
    }

    impl fmt::Display for Mutant {
        /// In kebab case.
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let camel = format!("{self:?}");
            for (at, letter) in camel.char_indices() {
                if at > 0 && letter.is_uppercase() {
                    f.write_str("-")?;
                }
                write!(f, "{}", letter.to_ascii_lowercase())?;
            }
            Ok(())
        }
    }

    /// Not a name of the catalogue.
    #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
    #[error("no mutant is called {found:?}")]
    pub struct UnknownMutant {
        /// The name.
        pub found: String,
    }

    impl FromStr for Mutant {
        type Err = UnknownMutant;

        fn from_str(name: &str) -> Result<Self, UnknownMutant> {
            let found = Self::ALL.iter().find(|mutant| mutant.to_string() == name);
            found.copied().ok_or_else(|| UnknownMutant { found: name.to_owned() })
        }
    }
}

#[cfg(feature = "mutants")]
pub(crate) use planted::is_planted;
#[cfg(feature = "mutants")]
pub use planted::{Mutant, UnknownMutant, plant};
