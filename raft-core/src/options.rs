//! The numbers that shape one node's behaviour. All members should run with the same election timeout.

use std::time::Duration;

/// See each field; [`Options::default`] suits a local network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Shortest time without a leader before a node campaigns; the time drawn lies in `election_timeout..2 ×`. A node
    /// that heard from a leader within it grants nobody else a vote. `[Ongaro §4.2.3]`
    ///
    /// Members with different ones get along, but for [`lease`](Self::lease): a leader's lease is reckoned from its own,
    /// what the others promise from theirs. To change it while leases are on, first turn them off on all members.
    pub election_timeout: Duration,
    /// A leader is heard from at least this often. Several must fit into `election_timeout`.
    pub heartbeat_interval: Duration,
    /// Lets a leader serve reads by its lease, without asking anybody. `None` (the default): it always asks. Needs the same
    /// [`election_timeout`](Self::election_timeout) on all members, at every moment.
    pub lease: Option<Lease>,
    /// An AppendEntries carries blocks up to about this many encoded bytes (always at least one block).
    pub max_message_bytes: usize,
    /// The longest command or configuration, in bytes; a longer one is refused before it enters a log. The transport must
    /// carry messages of `max_message_bytes + max_entry_bytes`.
    pub max_entry_bytes: usize,
    /// AppendEntries on their way to one peer: at most so many,
    pub max_inflight_messages: usize,
    /// and at most so many bytes (one message is always allowed).
    pub max_inflight_bytes: usize,
    /// A leader turns proposals away while its uncommitted entries take more than this (one batch is always allowed).
    pub max_uncommitted_bytes: usize,
    /// Recent entries kept in memory for slow peers and for applying. Entries that are not durable stay regardless.
    pub cache_bytes: usize,
    /// Entries handed out for applying and not yet applied: at most about so many bytes.
    pub max_applying_bytes: usize,
    /// Entries before the newest snapshot that stay in the log, so that a peer a little behind needs no snapshot.
    pub retained_entries: u64,
}

/// What lease reads rest on, besides the protocol: clocks that run at nearly the same rate, and one election timeout on all
/// members ([`Options::election_timeout`]). A member with a shorter one votes for somebody else while the leader still
/// relies on its lease, which makes lease reads stale: changing it member by member is unsafe while leases are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// How much faster than any other a member's clock may run, in thousandths; below 1000. Clocks that drift further
    /// apart, or jump, make lease reads stale; nothing else depends on it.
    pub max_drift_permille: u32,
}

impl Lease {
    /// How long after sending a message that a quorum has answered a leader may rely on being the only one.
    pub(crate) fn lasts(self, election_timeout: Duration) -> Duration {
        if mutant!(LeaseIgnoresDrift) {
            return election_timeout * (1000 + self.max_drift_permille) / 1000;
        }
        election_timeout * 1000u32.saturating_sub(self.max_drift_permille) / 1000
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            election_timeout: Duration::from_millis(500),
            heartbeat_interval: Duration::from_millis(100),
            lease: None,
            max_message_bytes: 1 << 20,
            max_entry_bytes: 8 << 20,
            max_inflight_messages: 64,
            max_inflight_bytes: 8 << 20,
            max_uncommitted_bytes: 32 << 20,
            cache_bytes: 32 << 20,
            max_applying_bytes: 8 << 20,
            retained_entries: 8192,
        }
    }
}

/// Options that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// A limit of zero.
    #[error("option {option} is 0 (expected at least 1)")]
    Zero {
        /// The option.
        option: &'static str,
    },
    /// A lease that never begins.
    #[error("option lease: a drift of {found} thousandths (expected below 1000)")]
    Lease {
        /// `max_drift_permille`.
        found: u32,
    },
    /// Followers would campaign against a healthy leader.
    #[error("heartbeat_interval is {heartbeat:?} (expected at most half of election_timeout, {election:?})")]
    Heartbeat {
        /// `heartbeat_interval`.
        heartbeat: Duration,
        /// `election_timeout`.
        election: Duration,
    },
}

impl Options {
    /// Checks that the numbers can work together.
    ///
    /// # Errors
    /// [`OptionsError`] names the option to change.
    pub fn validate(&self) -> Result<(), OptionsError> {
        let limits = [
            ("max_message_bytes", self.max_message_bytes),
            ("max_entry_bytes", self.max_entry_bytes),
            ("max_inflight_messages", self.max_inflight_messages),
            ("max_inflight_bytes", self.max_inflight_bytes),
            ("max_uncommitted_bytes", self.max_uncommitted_bytes),
            ("max_applying_bytes", self.max_applying_bytes),
        ];
        if let Some(&(option, _)) = limits.iter().find(|(_, limit)| *limit == 0) {
            return Err(OptionsError::Zero { option });
        }
        let (heartbeat, election) = (self.heartbeat_interval, self.election_timeout);
        if heartbeat.is_zero() || heartbeat.saturating_mul(2) > election {
            return Err(OptionsError::Heartbeat { heartbeat, election });
        }
        match self.lease {
            Some(Lease { max_drift_permille: found @ 1000.. }) => Err(OptionsError::Lease { found }),
            _ => Ok(()),
        }
    }
}
