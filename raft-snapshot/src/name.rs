//! File names. Numbers are written in 16 hex digits, so that names sort as indexes do.
//!
//! | name | what it is |
//! |---|---|
//! | `<index>-<term>.snap` | a published snapshot; `(index, term)` is its last entry |
//! | `<index>-<term>.part` | one being created: of no use after a restart |
//! | `<index>-<term>-<digest>.part` | one being received: another transfer of the same file goes on with it |
//! | `<index>-<term>.snap.damaged` | set aside at an opening, never touched again |
//! | `lock` | held while a store is open |

use std::fmt;
use std::str::FromStr;

use raft_core::types::{EntryId, LogIndex, Term};

/// The lock file.
pub(crate) const LOCK: &str = "lock";
/// Added to the name of a damaged snapshot.
pub(crate) const DAMAGED: &str = ".damaged";

/// A name that this crate gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// Published.
    Snapshot(EntryId),
    /// Being created.
    Creating(EntryId),
    /// Being received; the digest of the whole file tells two offers of one index apart.
    Receiving(EntryId, [u8; 32]),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Snapshot(last) | Self::Creating(last) | Self::Receiving(last, _)) = self;
        write!(f, "{:016x}-{:016x}", last.index.0, last.term.0)?;
        match self {
            Self::Snapshot(_) => f.write_str(".snap"),
            Self::Creating(_) => f.write_str(".part"),
            Self::Receiving(_, digest) => write!(f, "-{}.part", blake3::Hash::from_bytes(*digest)),
        }
    }
}

/// Not a name of this crate: somebody else's file, or one set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Foreign;

impl FromStr for Name {
    type Err = Foreign;

    fn from_str(text: &str) -> Result<Self, Foreign> {
        let (stem, kind) = text.rsplit_once('.').ok_or(Foreign)?;
        let mut numbers = stem.splitn(3, '-');
        let mut number = || {
            let digits = numbers.next().ok_or(Foreign)?;
            u64::from_str_radix(digits, 16).map_err(|_| Foreign)
        };
        let (index, term) = (number()?, number()?);
        let last = EntryId::new(Term(term), LogIndex(index));
        let name = match (kind, numbers.next()) {
            ("snap", None) => Self::Snapshot(last),
            ("part", None) => Self::Creating(last),
            ("part", Some(digest)) => {
                let digest = blake3::Hash::from_hex(digest).map_err(|_| Foreign)?;
                Self::Receiving(last, *digest.as_bytes())
            }
            _ => return Err(Foreign),
        };
        // Signs, capitals and missing zeros parse as well, but are not ours.
        if name.to_string() == text { Ok(name) } else { Err(Foreign) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_sort_by_index() {
        let last = |index, term| EntryId::new(Term(term), LogIndex(index));
        let names = [Name::Snapshot(last(9, 7)), Name::Snapshot(last(0x10, 2)), Name::Creating(last(3, 1))];
        for name in names.into_iter().chain([Name::Receiving(last(3, 1), [0xab; 32])]) {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        assert_eq!(names[1].to_string(), "0000000000000010-0000000000000002.snap");
        assert!(names[0].to_string() < names[1].to_string());
    }

    #[test]
    fn foreign_names_are_left_alone() {
        let snapshot = "00000000000000AB-0000000000000001.snap";
        assert_eq!(
            snapshot.to_lowercase().parse(),
            Ok(Name::Snapshot(EntryId::new(Term(1), LogIndex(0xab))))
        );
        let damaged = format!("{}{DAMAGED}", snapshot.to_lowercase());
        let foreign = [
            "lock",
            "1-2.snap",
            snapshot,
            &damaged,
            "+000000000000001-0000000000000001.snap",
            ".snap",
            "-.part",
        ];
        for text in foreign {
            assert_eq!(text.parse::<Name>(), Err(Foreign), "{text}");
        }
    }
}
