//! The writes that the suite submits, all such as a core could submit.

use std::sync::Arc;

use crate::block::{Block, BlockBuilder, EntryKind};
use crate::configuration::{Configuration, Member, MemberRole};
use crate::snapshot::SnapshotMeta;
use crate::storage::Write;
use crate::testing::draw::{draw, draw_below};
use crate::types::{ClusterId, EntryId, HardState, LogIndex, NodeId, Term, WriteId};

/// A write that does nothing yet. The session gives it its id.
pub(super) fn write() -> Write {
    Write { id: WriteId(0), ..Write::default() }
}

pub(super) fn hard_state(term: u64, vote: u64) -> HardState {
    HardState { cluster_id: Some(ClusterId(0xC1)), current_term: Term(term), voted_for: NodeId::new(vote) }
}

/// Entries of `term` at `from..=through`, in one block. Payloads of all lengths up to more than a page; no two
/// alike.
pub(super) fn block(term: u64, from: u64, through: u64) -> Block {
    let mut builder = BlockBuilder::new();
    for index in from..=through {
        if index % 7 == 3 {
            builder.push(EntryKind::NoOp, &[]);
        } else {
            builder.push(EntryKind::Normal, &[&payload(term, index)]);
        }
    }
    builder.finish(LogIndex(from), Term(term)).expect("a range of at least one entry")
}

/// One block of two terms: `first` up to before `split`, `second` from there on.
pub(super) fn two_term_block(first: u64, second: u64, from: u64, split: u64, through: u64) -> Block {
    let (head, tail) = (block(first, from, split - 1), block(second, split, through));
    let mut header = head.header();
    header.entries += tail.header().entries;
    header.payload_bytes += tail.header().payload_bytes;
    header.runs.push(tail.runs()[0]);
    let table = [&head.table()[..], tail.table()].concat();
    let payload = [&head.payload()[..], tail.payload()].concat();
    Block::from_parts(header, table.into(), payload.into()).expect("two contiguous blocks make one")
}

/// The payload of a normal entry in [`block`].
pub(super) fn payload(term: u64, index: u64) -> Vec<u8> {
    let length = match draw(term, index, 0) % 8 {
        0 => 4096 + draw_below(term, index, 1, 2000),
        _ => 16 + draw_below(term, index, 2, 200),
    };
    let words = (0..length.div_ceil(8)).flat_map(|word| draw(term, index, 3 + word).to_le_bytes());
    words.take(length as usize).collect()
}

/// A configuration entry of `term` at `index`.
pub(super) fn configuration_block(term: u64, index: u64, members: u64) -> Block {
    let mut bytes = Vec::new();
    configuration(members).encode(&mut bytes);
    let mut builder = BlockBuilder::new();
    builder.push(EntryKind::Configuration, &[&bytes]);
    builder.finish(LogIndex(index), Term(term)).expect("one entry")
}

fn configuration(members: u64) -> Configuration {
    let member = |number| Member {
        id: NodeId::new(number).expect("numbers start at 1"),
        role: MemberRole::Voter,
        newest_version: 1,
        name: format!("n{number}"),
        peer_address: format!("10.0.0.{number}:1"),
        client_address: format!("10.0.0.{number}:2"),
    };
    Configuration::new(1, (1..=members).map(member).collect()).expect("distinct members")
}

/// A published snapshot that ends with `last`.
pub(super) fn snapshot(last: EntryId) -> SnapshotMeta {
    SnapshotMeta { last, configuration_index: LogIndex(1), configuration: Some(Arc::new(configuration(3))) }
}
