//! The commands of a script.

use raft_core::configuration::MemberChange;
use raft_core::configuration::MemberRole::{self, Learner, Promotable, Voter};

use crate::support::{id, member};

/// One line behind `> `; the sentence that stands for each is in [`Command::parse`].
#[derive(Debug, PartialEq)]
pub(super) enum Command {
    /// The nodes: the logs of the voters, and how many blank nodes there are besides.
    Nodes {
        logs: Vec<Vec<u64>>,
        spare: u64,
    },
    /// Messages hold one entry each, so that they can be told apart.
    OneEntryAMessage,
    /// The same without a word about messages.
    Quietly(Box<Self>),
    Node {
        number: u64,
        deed: Deed,
    },
    Crash(u64),
    Restart(u64),
    TimePasses,
    Deliver(Route),
    Lose(Route),
    Cut {
        from: u64,
        to: u64,
    },
    Isolate(u64),
    Heal,
    /// The leader's timer fires until nothing changes any more, and everything arrives.
    Settle(u64),
}

/// Which messages.
#[derive(Debug, PartialEq)]
pub(super) enum Route {
    /// Those on their way, and all that follow from them.
    Everything,
    /// Those on their way between these nodes, link by link; or the oldest on each link only.
    Links { from: Vec<u64>, to: Vec<u64>, only_first: bool },
}

/// What a node does, or what happens to it.
#[derive(Debug, PartialEq)]
pub(super) enum Deed {
    TimesOut,
    Heartbeats,
    Proposes(Vec<String>),
    IsAskedToRead,
    HandsOver(Option<u64>),
    Changes(Vec<MemberChange>),
    TakesSnapshot,
    SendsSnapshot(u64),
    DiskStalls,
    DiskWrites,
    DiskRecovers,
    EntryRots(u64),
}

impl Command {
    /// Reads one line; `None` if it means nothing.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        Some(match &words[..] {
            ["quietly", ..] => Self::Quietly(Box::new(Self::parse(line.strip_prefix("quietly")?)?)),
            ["one", "entry", "a", "message"] => Self::OneEntryAMessage,
            ["nodes", "with", "logs", logs @ ..] => {
                let logs = logs.split(|word| *word == "/").map(numbers).collect::<Option<_>>()?;
                Self::Nodes { logs, spare: 0 }
            }
            [count, "node" | "nodes"] => Self::Nodes { logs: fresh(count)?, spare: 0 },
            [count, "nodes", "and", spare, "more"] => {
                Self::Nodes { logs: fresh(count)?, spare: spare.parse().ok()? }
            }
            ["node", number, deed @ ..] => {
                Self::Node { number: number.parse().ok()?, deed: Deed::parse(deed)? }
            }
            ["crash", number] => Self::Crash(number.parse().ok()?),
            ["restart", number] => Self::Restart(number.parse().ok()?),
            ["an", "election", "timeout", "passes"] => Self::TimePasses,
            ["deliver", route @ ..] => Self::Deliver(Route::parse(route)?),
            ["lose", route @ ..] => Self::Lose(Route::parse(route)?),
            ["cut", from, "→", to] => Self::Cut { from: from.parse().ok()?, to: to.parse().ok()? },
            ["isolate", number] => Self::Isolate(number.parse().ok()?),
            ["heal"] => Self::Heal,
            ["settle", "under", number] => Self::Settle(number.parse().ok()?),
            _ => return None,
        })
    }
}

impl Route {
    fn parse(words: &[&str]) -> Option<Self> {
        if words == ["everything"] {
            return Some(Self::Everything);
        }
        let (words, only_first) = match words {
            [words @ .., "once"] => (words, true),
            words => (words, false),
        };
        let arrow = words.iter().position(|word| *word == "→")?;
        let (from, to) = (numbers(&words[..arrow])?, numbers(&words[arrow + 1..])?);
        Some(Self::Links { from, to, only_first })
    }
}

impl Deed {
    fn parse(words: &[&str]) -> Option<Self> {
        Some(match words {
            ["times", "out"] => Self::TimesOut,
            ["sends", "heartbeats"] => Self::Heartbeats,
            ["proposes", commands @ ..] => Self::Proposes(commands.iter().map(|&word| word.into()).collect()),
            ["is", "asked", "to", "read"] => Self::IsAskedToRead,
            ["hands", "over"] => Self::HandsOver(None),
            ["hands", "over", "to", to] => Self::HandsOver(Some(to.parse().ok()?)),
            ["changes", "the", "members:", wishes @ ..] => Self::Changes(changes(wishes)?),
            ["takes", "a", "snapshot"] => Self::TakesSnapshot,
            ["sends", "its", "snapshot", "to", to] => Self::SendsSnapshot(to.parse().ok()?),
            ["disk", "stalls"] => Self::DiskStalls,
            ["disk", "completes", "a", "write"] => Self::DiskWrites,
            ["disk", "recovers"] => Self::DiskRecovers,
            ["entry", index, "rots"] => Self::EntryRots(index.parse().ok()?),
            _ => return None,
        })
    }
}

/// `add 4, remove 2, learner 5, promotable 6`.
fn changes(words: &[&str]) -> Option<Vec<MemberChange>> {
    let put = |number: &str, role: MemberRole| Some(MemberChange::Put(member(number.parse().ok()?, role)));
    let wish = |words: &[&str]| {
        let number = words.get(1)?.trim_end_matches(',');
        match words[0] {
            "add" => put(number, Voter),
            "learner" => put(number, Learner),
            "promotable" => put(number, Promotable),
            "remove" => Some(MemberChange::Remove(id(number.parse().ok()?))),
            _ => None,
        }
    };
    words.chunks(2).map(wish).collect()
}

fn fresh(count: &str) -> Option<Vec<Vec<u64>>> {
    Some(vec![vec![1]; count.parse().ok()?])
}

fn numbers(words: &[&str]) -> Option<Vec<u64>> {
    words.iter().map(|word| word.trim_end_matches(',').parse().ok()).collect()
}
