use super::*;

fn sample() -> Block {
    let mut builder = BlockBuilder::new();
    builder.push(EntryKind::NoOp, &[]);
    builder.push(EntryKind::Normal, &[b"he", b"llo"]);
    builder.push(EntryKind::Normal, &[b"world"]);
    builder.push(EntryKind::Configuration, &[b"c"]);
    builder.finish(LogIndex(10), Term(3)).unwrap()
}

fn two_terms() -> Block {
    let block = sample();
    let mut header = block.header();
    header.runs.push(TermRun { first: LogIndex(12), term: Term(5) });
    Block::from_parts(header, block.table().clone(), block.payload().clone()).unwrap()
}

#[test]
fn a_block_gives_back_what_was_pushed() {
    let block = sample();
    let got: Vec<_> = block.entries().map(|e| (e.id.index.0, e.id.term.0, e.kind, e.payload)).collect();
    assert_eq!(
        got,
        [
            (10, 3, EntryKind::NoOp, &b""[..]),
            (11, 3, EntryKind::Normal, b"hello"),
            (12, 3, EntryKind::Normal, b"world"),
            (13, 3, EntryKind::Configuration, b"c"),
        ]
    );
    assert_eq!(
        (block.first_index(), block.last_index(), block.entry_count()),
        (LogIndex(10), LogIndex(13), 4)
    );
    block.verify().unwrap();
}

#[test]
fn every_slice_holds_the_same_entries_as_the_block() {
    let block = two_terms();
    for from in 10..=13 {
        for through in from..=13 {
            let slice = block.slice(LogIndex(from), LogIndex(through));
            let want: Vec<_> = block.entries().filter(|e| (from..=through).contains(&e.id.index.0)).collect();
            assert_eq!(slice.entries().collect::<Vec<_>>(), want);
            let again = Block::from_parts(slice.header(), slice.table().clone(), slice.payload().clone());
            assert_eq!(again, Ok(slice));
        }
    }
}

#[test]
fn a_header_round_trips_and_every_truncation_is_refused() {
    let header = two_terms().header();
    let mut bytes = Vec::new();
    header.encode(&mut bytes);
    assert_eq!(BlockHeader::decode(&bytes), Ok((header.clone(), bytes.len())));
    assert_eq!(bytes.len(), header.encoded_len());
    for len in 0..bytes.len() {
        assert!(matches!(BlockHeader::decode(&bytes[..len]), Err(BlockError::TruncatedHeader { .. })));
    }
}

#[test]
fn a_block_that_breaks_the_invariant_is_refused_with_the_place() {
    let block = two_terms();
    let rebuild = |header: BlockHeader, table: &[u8]| {
        Block::from_parts(header, Bytes::copy_from_slice(table), block.payload().clone())
    };
    let with = |change: &dyn Fn(&mut BlockHeader)| {
        let mut header = block.header();
        change(&mut header);
        rebuild(header, block.table()).unwrap_err()
    };
    assert!(matches!(with(&|h| h.entries = 0), BlockError::Shape { .. }));
    assert!(matches!(with(&|h| h.runs.clear()), BlockError::Shape { .. }));
    assert!(matches!(with(&|h| h.first = LogIndex(u64::MAX)), BlockError::Shape { .. }));
    assert!(matches!(with(&|h| h.runs[1].term = Term(3)), BlockError::Runs { .. }));
    assert!(matches!(with(&|h| h.runs[1].first = LogIndex(14)), BlockError::Runs { .. }));
    assert!(matches!(with(&|h| h.runs[0].first = LogIndex(9)), BlockError::Runs { .. }));
    assert!(matches!(with(&|h| h.entries = 3), BlockError::Length { part: "table", .. }));
    assert!(matches!(with(&|h| h.payload_bytes = 1), BlockError::Length { part: "payload", .. }));
    let mut table = block.table().to_vec();
    table[ROW_BYTES] = 4;
    assert!(matches!(rebuild(block.header(), &table), Err(BlockError::Length { .. })));
    table[ROW_BYTES] = 5;
    table[8] = 7;
    assert_eq!(rebuild(block.header(), &table), Err(BlockError::Row { index: LogIndex(10), kind: 7 }));
}

#[test]
fn verify_names_the_entry_whose_payload_rotted() {
    let block = two_terms();
    let mut payload = block.payload().to_vec();
    payload[7] ^= 1;
    let rotten = Block::from_parts(block.header(), block.table().clone(), payload.into()).unwrap();
    let Err(BlockError::PayloadChecksum { id, .. }) = rotten.verify() else { panic!("rot went unseen") };
    assert_eq!(id, EntryId::new(Term(5), LogIndex(12)));
}
