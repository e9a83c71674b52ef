use std::sync::Arc;

use bytes::{Buf, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use raft_core::ReadProof;
use raft_core::block::{BlockBuilder, EntryKind, TermRun};
use raft_core::configuration::{Configuration, Member, MemberRole};
use raft_core::message::AppendOutcome;
use raft_core::snapshot::{ChunkSet, SnapshotInfo, SnapshotMeta, SnapshotOffer};
use raft_core::types::NodeId;

use super::*;
use crate::frame::{FrameDecoder, FrameLimits};

const LIMITS: FrameLimits = FrameLimits { head_bytes: 1 << 20, tail_bytes: 1 << 20 };

fn block(first: u64, term: u64, payloads: &[&[u8]]) -> Block {
    let mut builder = BlockBuilder::new();
    for payload in payloads {
        builder.push(EntryKind::Normal, &[payload]);
    }
    builder.finish(LogIndex(first), Term(term)).unwrap()
}

fn two_terms() -> Block {
    let block = block(11, 4, &[b"a", b"bc"]);
    let mut header = block.header();
    header.runs.push(TermRun { first: LogIndex(12), term: Term(6) });
    Block::from_parts(header, block.table().clone(), block.payload().clone()).unwrap()
}

fn append(blocks: Vec<Block>) -> Message {
    Message::AppendEntries(AppendEntries {
        term: Term(7),
        prev_entry: EntryId::new(Term(3), LogIndex(10)),
        blocks: blocks.into(),
        leader_commit: LogIndex(9),
        read_seq: 300,
        sent_at: Time::from_nanos(5),
    })
}

fn response(outcome: AppendOutcome, hole: Option<LogIndex>) -> Message {
    let (term, read_seq, sent_at) = (Term(7), 1, Time::from_nanos(2));
    Message::AppendEntriesResponse(AppendEntriesResponse { term, outcome, hole, read_seq, sent_at })
}

/// One of each kind, two where there are two shapes, with its bytes: head, then tail.
fn messages() -> Vec<(Message, &'static str)> {
    let last_entry = EntryId::new(Term(6), LogIndex(200));
    let (read_seq, sent_at) = (1, Time::from_nanos(2));
    let hint = EntryId::new(Term(2), LogIndex(4));
    vec![
        (
            Message::RequestVote(RequestVote { term: Term(7), last_entry, pre: false, forced: true }),
            "00 07 06c801 00 01 |",
        ),
        (
            Message::RequestVoteResponse(RequestVoteResponse { term: Term(7), granted: true, pre: false }),
            "01 07 01 00 |",
        ),
        (append(Vec::new()), "02 07 030a 09 ac02 05 00 |"),
        (
            append(vec![two_terms(), block(13, 6, &[b"z"])]),
            "02 07 030a 09 ac02 05 02 \
             0b00000000000000 02000000 03000000 02000000 \
             0b00000000000000 0400000000000000 0c00000000000000 0600000000000000 \
             01000000 43beb7e8 00 000000 02000000 382ba9c2 00 000000 \
             0d00000000000000 01000000 01000000 01000000 0d00000000000000 0600000000000000 \
             01000000 af77d262 00 000000 | 616263 7a",
        ),
        (
            response(AppendOutcome::Matched { match_index: LogIndex(128) }, Some(LogIndex(9))),
            "03 07 00 8001 01 09 01 02 |",
        ),
        (
            response(AppendOutcome::Conflict { prev_index: LogIndex(10), hint }, None),
            "03 07 01 0a 0204 00 01 02 |",
        ),
        (
            Message::Heartbeat(Heartbeat { term: Term(7), leader_commit: LogIndex(9), read_seq, sent_at }),
            "04 07 09 01 02 |",
        ),
        (Message::HeartbeatResponse(HeartbeatResponse { term: Term(7), read_seq, sent_at }), "05 07 01 02 |"),
        (Message::TimeoutNow(TimeoutNow { term: Term(300) }), "06 ac02 |"),
        (
            Message::ReadIndex(ReadIndex { term: Term(7), request: 9, proof: ReadProof::Lease }),
            "07 07 09 01 |",
        ),
        (
            Message::ReadIndexResponse(ReadIndexResponse {
                term: Term(7),
                request: 9,
                index: Some(LogIndex(5)),
            }),
            "08 07 09 01 05 |",
        ),
        (
            Message::ReadIndexResponse(ReadIndexResponse { term: Term(7), request: 9, index: None }),
            "08 07 09 00 |",
        ),
    ]
}

fn offer(configuration: Option<Arc<Configuration>>) -> SnapshotOffer {
    let (last, configuration_index) = (EntryId::new(Term(3), LogIndex(40)), LogIndex(1));
    let meta = SnapshotMeta { last, configuration_index, configuration };
    let info = SnapshotInfo { meta, length: 1000, chunk_bytes: 512, digest: [0xdd; 32] };
    SnapshotOffer { term: Term(7), info }
}

fn configuration() -> Arc<Configuration> {
    let member = Member {
        id: NodeId::new(0xab).unwrap(),
        role: MemberRole::Voter,
        newest_version: 1,
        name: "n1".into(),
        peer_address: "a:1".into(),
        client_address: "a:2".into(),
    };
    Arc::new(Configuration::new(1, vec![member]).unwrap())
}

fn snapshot_messages() -> Vec<(SnapshotMessage, &'static str)> {
    let mut chunks = ChunkSet::default();
    chunks.insert(1);
    chunks.insert(8);
    vec![
        (
            SnapshotMessage::Offer(offer(None)),
            "00 07 0328 01 00 e807 8004 \
             dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd |",
        ),
        (
            SnapshotMessage::Offer(offer(Some(configuration()))),
            "00 07 0328 01 01 22 \
             01 01000000 0100 ab00000000000000 00 01000000 0200 6e31 0300 613a31 0300 613a32 e807 8004 \
             dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd |",
        ),
        (SnapshotMessage::Have { chunks, credit: 4 }, "01 02 0201 04 |"),
        (SnapshotMessage::Refuse, "02 |"),
        (
            SnapshotMessage::Chunk { number: 5, bytes: Bytes::from_static(b"abc") },
            "03 05 c28391a903 | 616263",
        ),
        (SnapshotMessage::Credit { chunks: 1 }, "04 01 |"),
        (SnapshotMessage::Done, "05 |"),
        (SnapshotMessage::Working, "06 |"),
        (SnapshotMessage::Finished { complete: true }, "07 01 |"),
    ]
}

fn encode(encode: impl FnOnce(&mut Encoder, &mut WriteBuffer) -> Result<(), CodecError>) -> Frame {
    let mut out = WriteBuffer::new(LIMITS);
    encode(&mut Encoder::default(), &mut out).unwrap();
    let mut bytes = BytesMut::from(&out.copy_to_bytes(out.remaining())[..]);
    FrameDecoder::new(LIMITS).decode(&mut bytes).unwrap().unwrap()
}

fn frame_of(message: &Message) -> Frame {
    encode(|encoder, out| encoder.message(message, out))
}

fn snapshot_frame_of(message: &SnapshotMessage) -> Frame {
    encode(|encoder, out| encoder.snapshot(message, out))
}

fn bytes_of(golden: &str) -> Frame {
    let (head, tail) = golden.split_once('|').unwrap();
    let bytes = |text: &str| {
        let digits: Vec<_> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect::<Bytes>()
    };
    Frame { head: bytes(head), tail: bytes(tail) }
}

#[test]
fn each_message_has_these_bytes_and_is_read_back_from_them() {
    for (message, golden) in messages() {
        let golden = bytes_of(golden);
        let frame = frame_of(&message);
        assert_eq!(
            frame,
            golden,
            "{message:?}\n  head {:02x?}\n  tail {:02x?}",
            &frame.head[..],
            &frame.tail[..]
        );
        assert_eq!(decode_message(golden), Ok(message));
    }
}

#[test]
fn each_snapshot_message_has_these_bytes_and_is_read_back_from_them() {
    for (message, golden) in snapshot_messages() {
        let golden = bytes_of(golden);
        let frame = snapshot_frame_of(&message);
        assert_eq!(
            frame,
            golden,
            "{message:?}\n  head {:02x?}\n  tail {:02x?}",
            &frame.head[..],
            &frame.tail[..]
        );
        assert_eq!(SnapshotMessage::decode(golden), Ok(message));
    }
}

#[test]
fn every_truncation_and_every_extra_byte_of_head_or_tail_is_refused() {
    let cut = |frame: &Frame, decodes: &dyn Fn(Frame) -> bool| {
        for head in 0..frame.head.len() {
            assert!(
                !decodes(Frame { head: frame.head.slice(..head), tail: frame.tail.clone() }),
                "{frame:?} {head}"
            );
        }
        for tail in 0..frame.tail.len() {
            assert!(
                !decodes(Frame { head: frame.head.clone(), tail: frame.tail.slice(..tail) }),
                "{frame:?} {tail}"
            );
        }
        let longer = |bytes: &Bytes| [bytes, &b"\0"[..]].concat().into();
        assert!(!decodes(Frame { head: longer(&frame.head), tail: frame.tail.clone() }), "{frame:?}");
        assert!(!decodes(Frame { head: frame.head.clone(), tail: longer(&frame.tail) }), "{frame:?}");
    };
    for (message, _) in messages() {
        cut(&frame_of(&message), &|frame| decode_message(frame).is_ok());
    }
    for (message, _) in snapshot_messages() {
        cut(&snapshot_frame_of(&message), &|frame| SnapshotMessage::decode(frame).is_ok());
    }
}

#[test]
fn a_flipped_bit_in_a_payload_or_chunk_is_never_delivered() {
    let message = append(vec![two_terms(), block(13, 6, &[b"z"])]);
    let frame = frame_of(&message);
    let chunk = SnapshotMessage::Chunk { number: 5, bytes: Bytes::from_static(b"abcd") };
    let chunk_frame = snapshot_frame_of(&chunk);
    for bit in 0..frame.tail.len() * 8 {
        let flip = |bytes: &Bytes| {
            let mut bytes = bytes.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            Bytes::from(bytes)
        };
        let error = decode_message(Frame { head: frame.head.clone(), tail: flip(&frame.tail) }).unwrap_err();
        assert!(matches!(error, CodecError::Block(BlockError::PayloadChecksum { .. })), "{error}");
        let (head, tail) = (chunk_frame.head.clone(), flip(&chunk_frame.tail));
        let error = SnapshotMessage::decode(Frame { head, tail }).unwrap_err();
        assert!(matches!(error, CodecError::Chunk { number: 5, .. }), "{error}");
    }
}

#[test]
fn blocks_that_leave_a_gap_or_overlap_are_refused() {
    for (blocks, found, expected) in [
        (vec![block(12, 4, &[b"a"])], 12, 11),
        (vec![block(10, 4, &[b"a"])], 10, 11),
        (vec![block(11, 4, &[b"a"]), block(13, 4, &[b"b"])], 13, 12),
    ] {
        let error = decode_message(frame_of(&append(blocks))).unwrap_err();
        assert_eq!(error, CodecError::Gap { found: LogIndex(found), expected: LogIndex(expected) });
    }
}

#[test]
fn an_offer_with_chunks_of_no_bytes_is_refused() {
    let mut offer = offer(None);
    offer.info.chunk_bytes = 0;
    let error = SnapshotMessage::decode(snapshot_frame_of(&SnapshotMessage::Offer(offer))).unwrap_err();
    assert!(matches!(error, CodecError::Field { what: "snapshot offer", .. }), "{error}");
}

#[test]
fn payloads_are_shared_with_the_frame_and_not_copied() {
    let frame = frame_of(&append(vec![block(11, 4, &[b"payload"])]));
    let start = frame.tail.as_ptr();
    let Message::AppendEntries(message) = decode_message(frame).unwrap() else { panic!("another message") };
    assert_eq!(message.blocks[0].payload().as_ptr(), start);
}

#[test]
fn a_message_over_the_frame_limits_is_refused_before_it_is_sent() {
    let mut out = WriteBuffer::new(FrameLimits { head_bytes: 1 << 10, tail_bytes: 3 });
    let error = Encoder::default().message(&append(vec![block(11, 4, &[b"four"])]), &mut out).unwrap_err();
    assert!(matches!(error, CodecError::TooLong(TooLong { part: FramePart::Tail, found: 4, allowed: 3 })));
    assert!(!out.has_remaining());
}

proptest! {
    #[test]
    fn noise_never_panics_and_never_passes_for_entries(
        variant in 0u8..9,
        head in vec(any::<u8>(), 0..200),
        tail in vec(any::<u8>(), 0..50),
    ) {
        let head: Bytes = [&[variant][..], &head].concat().into();
        let frame = Frame { head, tail: tail.into() };
        if let Ok(Message::AppendEntries(message)) = decode_message(frame.clone()) {
            prop_assert!(message.blocks.is_empty(), "a checksum of noise is right once in 2^32");
        }
        let _message_or_error = SnapshotMessage::decode(frame);
    }

    #[test]
    fn a_damaged_head_never_panics(at in 0usize..1000, byte in any::<u8>()) {
        for (message, _) in messages() {
            let Frame { head, tail } = frame_of(&message);
            let mut head = head.to_vec();
            let at = at % head.len();
            head[at] = byte;
            let _message_or_error = decode_message(Frame { head: head.into(), tail });
        }
    }

    #[test]
    fn any_entries_round_trip(payloads in vec(vec(vec(any::<u8>(), 0..2000), 1..5), 0..4)) {
        let mut first = 11;
        let mut blocks = Vec::new();
        for entries in &payloads {
            blocks.push(block(first, 4, &entries.iter().map(|entry| &entry[..]).collect::<Vec<_>>()));
            first += entries.len() as u64;
        }
        let message = append(blocks);
        prop_assert_eq!(decode_message(frame_of(&message)), Ok(message));
    }
}
