//! The words of the protocol: ids, terms, indexes, and what a node must remember across a crash.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

/// One member, for ever: 64 random bits minted together with the data folder, never zero.
///
/// A wiped folder is a new id and hence a stranger, so that a node that forgot its vote cannot vote again.
/// Shown and parsed as 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NodeId(NonZeroU64);

impl NodeId {
    /// `None` if `bits` is zero, which stands for "nobody" in every format.
    #[must_use]
    pub const fn new(bits: u64) -> Option<Self> {
        match NonZeroU64::new(bits) {
            Some(bits) => Some(Self(bits)),
            None => None,
        }
    }

    /// The 64 bits.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.get())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

/// A text that is not 16 hex digits of a non-zero number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node id {found:?}: expected 16 hex digits, not all zero")]
pub struct ParseNodeIdError {
    /// The text.
    pub found: String,
}

impl FromStr for NodeId {
    type Err = ParseNodeIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bits = if hex { u64::from_str_radix(text, 16).ok() } else { None };
        bits.and_then(Self::new).ok_or_else(|| ParseNodeIdError { found: text.to_owned() })
    }
}

/// Which cluster: a hash of its first configuration, or random bits if it is what a [recovery](crate::recovery) made of
/// another one. Fences off messages and folders of other clusters.
/// Shown as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ClusterId(pub u128);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterId({self})")
    }
}

/// Logical time: at most one leader per term. `[Raft §5.1]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Term(pub u64);

impl Term {
    /// No honest node comes here: with an election every millisecond it would take 146 million years. Nobody believes a
    /// message that claims this or more, so that no peer gone wrong can push a cluster to where counting ends.
    pub const LIMIT: Self = Self(1 << 62);

    /// A node that has a term believes no message that is more than this ahead of it. Else a single number gone wrong,
    /// taken over by everybody, would leave a cluster just below [`LIMIT`](Self::LIMIT), where it can elect nobody any more.
    ///
    /// No honest history gets there: elections follow each other by an election timeout, and even one every 100 ms would
    /// have to go on for 13 years while the node is away. Should it be so, replace the node by a fresh one: a blank node,
    /// in term 0, may meet a cluster of any age and believes every term below the limit.
    pub const MAX_LEAP: u64 = 1 << 32;

    /// The term after this one.
    ///
    /// # Panics
    /// After 2⁶⁴ terms, which [`Term::LIMIT`] keeps out of reach.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("terms stay below their limit"))
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Position in the log. The first entry is 1; 0 means "before the log".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LogIndex(pub u64);

impl LogIndex {
    /// Before the first entry.
    pub const ZERO: Self = Self(0);

    /// The index after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The index before this one; 0 stays 0.
    #[must_use]
    pub const fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The index `count` entries further on.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// How many entries lie in `earlier..self` (end exclusive); 0 if `earlier` is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for LogIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which entry. Two entries with equal ids are the same entry (Log Matching, `[Raft §5.3]`).
///
/// The order (term first, then index) is the paper's "at least as up-to-date". `[Raft §5.4.1]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct EntryId {
    /// Term of the leader that created the entry.
    pub term: Term,
    /// Position in the log.
    pub index: LogIndex,
}

impl EntryId {
    /// Before the first entry of every log.
    pub const ZERO: Self = Self { term: Term(0), index: LogIndex(0) };

    /// The entry of `term` at `index`.
    #[must_use]
    pub const fn new(term: Term, index: LogIndex) -> Self {
        Self { term, index }
    }
}

impl fmt::Display for EntryId {
    /// `index@term`, as in `812@7`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}

/// What must be durable before a node answers for it: `currentTerm` and `votedFor` of `[Raft Figure 2]`, and the
/// cluster the node belongs to (durable before its first vote).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HardState {
    /// `None` until the node has founded a cluster or been greeted by a member of one.
    pub cluster_id: Option<ClusterId>,
    /// Latest term the node has seen.
    pub current_term: Term,
    /// The candidate that got this node's vote in `current_term`.
    pub voted_for: Option<NodeId>,
}

/// Names one write effect. Process-local, counts up from 1, first in first out: the completion of a write implies that
/// of all earlier ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

impl WriteId {
    /// The write after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_ids_order_by_term_then_index() {
        let longer_log = EntryId::new(Term(2), LogIndex(90));
        let later_term = EntryId::new(Term(3), LogIndex(4));
        assert!(later_term > longer_log);
        assert!(EntryId::new(Term(3), LogIndex(5)) > later_term);
    }

    #[test]
    fn node_id_round_trips_as_16_hex_digits_and_is_never_zero() {
        let id = NodeId::new(0xab).unwrap();
        assert_eq!(id.to_string(), "00000000000000ab");
        assert_eq!("00000000000000ab".parse(), Ok(id));
        for bad in ["ab", "0000000000000000", "00000000000000zz", "+0000000000000ab"] {
            assert!(bad.parse::<NodeId>().is_err(), "{bad}");
        }
    }
}
