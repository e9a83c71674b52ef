use raft_core::BlockBuilder;

use super::*;
use crate::page::PAGE;

const PLACE: Place = Place { node_id: NodeId::new(7).unwrap(), segment: 3, offset: 8192 };

fn block(first: u64, payloads: &[&[u8]]) -> Block {
    let mut builder = BlockBuilder::new();
    payloads.iter().for_each(|payload| builder.push(EntryKind::Normal, &[payload]));
    builder.finish(LogIndex(first), Term(2)).unwrap()
}

fn draft() -> Draft {
    let blocks = vec![block(5, &[b"one", b"", b"three"]), block(8, &[&[9; 5000]])];
    Draft { kind: BatchKind::Truncate, sealed: false, base: EntryId::new(Term(1), LogIndex(4)), blocks }
}

fn encoded() -> (BatchHeader, Vec<u8>) {
    let mut bytes = vec![0xEE; PAGE];
    let header = draft().encode(PLACE, Link { sequence: 12, previous: 0xABCD }, 11, &mut bytes);
    (header, bytes.split_off(PAGE))
}

fn read(bytes: &[u8], place: Place) -> Result<(BatchHeader, Vec<BatchBlock>), BatchFault> {
    let header = BatchHeader::read(bytes.first_chunk().unwrap(), place, bytes.len() as u64)?;
    let blocks = header.blocks(&bytes[HEADER..][..header.table_bytes as usize])?;
    Ok((header, blocks))
}

#[test]
fn a_batch_is_whole_pages_and_gives_back_its_blocks() {
    let (header, bytes) = encoded();
    assert_eq!((bytes.len(), header.disk_bytes()), (2 * PAGE, 2 * PAGE as u64));
    assert_eq!(draft().disk_bytes(), header.disk_bytes());
    let (again, blocks) = read(&bytes, PLACE).unwrap();
    assert_eq!(again, header);
    assert_eq!((again.sequence, again.durable, again.previous), (12, 11, 0xABCD));
    for (found, block) in blocks.iter().zip(draft().blocks) {
        assert_eq!((&found.header, found.last_id()), (&block.header(), block.last_id()));
        let table = &bytes[HEADER..][found.table.clone()];
        assert_eq!(table, &block.table()[..]);
        let start = header.payload_offset() as usize;
        let payload = &bytes[start + found.payload.start as usize..start + found.payload.end as usize];
        assert_eq!(payload, &block.payload()[..]);
    }
}

#[test]
fn every_flipped_bit_of_header_and_table_is_found_and_no_payload_is_looked_at() {
    let (header, bytes) = encoded();
    let covered = header.payload_offset() as usize;
    for bit in 0..covered * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let fault = read(&bytes, PLACE).unwrap_err();
        assert!(!fault.is_whole(), "bit {bit}: {fault}");
    }
    let mut bytes = bytes;
    bytes[covered..].fill(0x55);
    assert_eq!(read(&bytes, PLACE).unwrap().0, header, "identities outlive payloads");
}

#[test]
fn a_batch_is_none_at_another_place() {
    let (_, bytes) = encoded();
    let elsewhere = [
        Place { node_id: NodeId::new(8).unwrap(), ..PLACE },
        Place { segment: 4, ..PLACE },
        Place { offset: 4096, ..PLACE },
    ];
    for place in elsewhere {
        assert!(matches!(read(&bytes, place), Err(BatchFault::HeaderChecksum { .. })), "{place:?}");
    }
}

#[test]
fn a_batch_links_to_the_one_before_it() {
    let (header, _) = encoded();
    header.check_link(Link { sequence: 12, previous: 0xABCD }).unwrap();
    let other = header.check_link(Link { sequence: 13, previous: 0xABCD });
    assert_eq!(other, Err(BatchFault::Sequence { found: 12, expected: 13 }));
    let other = header.check_link(Link { sequence: 12, previous: 1 });
    assert_eq!(other, Err(BatchFault::Previous { found: 0xABCD, expected: 1 }));
    assert_eq!(header.next_link(), Link { sequence: 13, previous: header.crc });
}

#[test]
fn zeros_are_blank_and_anything_else_is_not() {
    let mut bytes = [0; HEADER];
    assert_eq!(BatchHeader::read(&bytes, PLACE, 4096), Err(BatchFault::Blank));
    bytes[HEADER - 1] = 1;
    assert!(matches!(BatchHeader::read(&bytes, PLACE, 4096), Err(BatchFault::Magic { found: 0, .. })));
}

#[test]
fn a_batch_longer_than_its_segment_is_refused() {
    let (_, bytes) = encoded();
    let read = |room| BatchHeader::read(bytes.first_chunk().unwrap(), PLACE, room);
    let used = HEADER as u64 + draft().table_bytes() as u64 + draft().payload_bytes() as u64;
    assert!(read(used).is_ok());
    assert_eq!(read(used - 1), Err(BatchFault::Length { found: used, room: used - 1 }));
}

#[test]
fn kinds_of_a_newer_program_are_no_torn_write() {
    let (header, _) = encoded();
    for (at, kind, flags) in [(64, 6, 0), (64, 0, 0), (65, BatchKind::Truncate as u8, 2)] {
        let mut bytes = [0; HEADER];
        header.write(PLACE, &mut bytes);
        bytes[at] = if at == 64 { kind } else { flags };
        let crc = PLACE.header_crc(&bytes);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        let fault = BatchHeader::read(&bytes, PLACE, 1 << 20).unwrap_err();
        assert_eq!(fault, BatchFault::Kind { kind, flags });
        assert!(fault.is_whole());
    }
}
