use std::io::IoSlice;

use bytes::{Buf, BufMut, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const LIMITS: FrameLimits = FrameLimits { head_bytes: 1 << 16, tail_bytes: 1 << 20 };

fn frame(head: &[u8], tail: &[u8]) -> Frame {
    Frame { head: Bytes::copy_from_slice(head), tail: Bytes::copy_from_slice(tail) }
}

fn encoded(frames: &[Frame]) -> BytesMut {
    let mut out = WriteBuffer::new(LIMITS);
    for frame in frames {
        out.push(&frame.head, [&frame.tail]).unwrap();
    }
    let mut bytes = BytesMut::new();
    bytes.put(out);
    bytes
}

fn decoded(decoder: &mut FrameDecoder, buffer: &mut BytesMut) -> Result<Vec<Frame>, FrameError> {
    std::iter::from_fn(|| decoder.decode(buffer).transpose()).collect()
}

#[test]
fn a_frame_has_these_bytes() {
    let bytes = encoded(&[frame(b"hd", b"tail")]);
    let golden = [2, 0, 0, 0, 4, 0, 0, 0, 0xb3, 0xbe, 0x15, 0x9b, b'h', b'd', b't', b'a', b'i', b'l'];
    assert_eq!(bytes[..], golden, "{bytes:02x?}");
}

#[test]
fn a_large_payload_is_neither_copied_on_its_way_out_nor_on_its_way_in() {
    let payload = Bytes::from(vec![7; 4096]);
    let mut out = WriteBuffer::new(LIMITS);
    out.push(b"head", [&Bytes::from_static(b"small"), &payload]).unwrap();
    out.push(b"next", []).unwrap();
    let mut slices = [IoSlice::new(&[]); 8];
    assert_eq!(out.chunks_vectored(&mut slices), 3, "gathered, payload, gathered");
    assert_eq!(slices[1].as_ptr(), payload.as_ptr());

    let mut buffer = encoded(&[frame(b"head", &payload)]);
    let start = buffer.as_ptr();
    let got = FrameDecoder::new(LIMITS).decode(&mut buffer).unwrap().unwrap();
    assert_eq!(got.tail.as_ptr(), start.wrapping_add(HEADER_BYTES + 4));
}

#[test]
fn lengths_over_the_limit_are_refused_before_any_of_it_is_waited_for() {
    for (lengths, part, allowed) in [
        ([u32::MAX, 0], FramePart::Head, LIMITS.head_bytes),
        ([0, u32::MAX], FramePart::Tail, LIMITS.tail_bytes),
    ] {
        let mut buffer = BytesMut::new();
        for length in lengths {
            buffer.put_u32_le(length);
        }
        buffer.put_u32_le(0);
        let capacity = buffer.capacity();
        let error = FrameDecoder::new(LIMITS).decode(&mut buffer).unwrap_err();
        let too_long = TooLong { part, found: u64::from(u32::MAX), allowed };
        assert_eq!(error, FrameError::TooLong { offset: 4, too_long });
        assert_eq!(buffer.capacity(), capacity);
    }
}

#[test]
fn a_frame_over_the_limit_is_not_written_at_all() {
    let mut out = WriteBuffer::new(FrameLimits { head_bytes: 3, tail_bytes: 3 });
    let error = out.push(b"head", []).unwrap_err();
    assert_eq!(error, TooLong { part: FramePart::Head, found: 4, allowed: 3 });
    let (two, three) = (Bytes::from_static(b"12"), Bytes::from_static(b"345"));
    let error = out.push(b"", [&two, &three]).unwrap_err();
    assert_eq!(error, TooLong { part: FramePart::Tail, found: 5, allowed: 3 });
    assert!(!out.has_remaining());
    out.push(b"abc", [&three]).unwrap();
}

#[test]
fn every_flipped_bit_of_lengths_checksum_or_head_is_noticed_and_its_offset_named() {
    let first = encoded(&[frame(b"one", b"1")]);
    let both = encoded(&[frame(b"one", b"1"), frame(b"two", b"")]);
    for bit in first.len() * 8..both.len() * 8 {
        let mut buffer = both.clone();
        buffer[bit / 8] ^= 1 << (bit % 8);
        let mut decoder = FrameDecoder::new(LIMITS);
        assert!(decoder.decode(&mut buffer).unwrap().is_some());
        // A longer head is only noticed when enough bytes for it are there.
        buffer.put_bytes(0, LIMITS.head_bytes as usize);
        let error = decoder.decode(&mut buffer).unwrap_err();
        let want = 4 + first.len() as u64;
        let (FrameError::TooLong { offset, .. } | FrameError::Checksum { offset, .. }) = error else {
            panic!("bit {bit}: {error}")
        };
        assert_eq!(offset, want);
    }
}

#[test]
fn a_stream_that_ends_inside_a_frame_is_told_from_one_that_ends_between_frames() {
    let whole = encoded(&[frame(b"head", b"tail")]);
    for length in 1..whole.len() {
        let mut buffer = BytesMut::from(&whole[..length]);
        let mut decoder = FrameDecoder::new(LIMITS);
        assert_eq!(decoder.decode(&mut buffer), Ok(None));
        assert_eq!(decoder.finish(&buffer), Err(FrameError::Truncated { offset: 4, found: length }));
    }
    let (mut buffer, mut decoder) = (whole, FrameDecoder::new(LIMITS));
    assert!(decoder.decode(&mut buffer).unwrap().is_some());
    assert_eq!(decoder.finish(&buffer), Ok(()));
}

proptest! {
    #[test]
    fn any_split_of_the_stream_gives_the_same_frames(
        contents in vec((vec(any::<u8>(), 0..40), vec(any::<u8>(), 0..3000)), 0..12),
        cuts in vec(1usize..900, 1..40),
    ) {
        let frames: Vec<_> = contents.iter().map(|(head, tail)| frame(head, tail)).collect();
        let mut stream = encoded(&frames);
        let (mut decoder, mut buffer, mut got) = (FrameDecoder::new(LIMITS), BytesMut::new(), Vec::new());
        for cut in cuts.into_iter().cycle() {
            if stream.is_empty() {
                break;
            }
            buffer.put(stream.split_to(cut.min(stream.len())));
            got.extend(decoded(&mut decoder, &mut buffer).unwrap());
        }
        prop_assert_eq!(got, frames);
        prop_assert_eq!(decoder.finish(&buffer), Ok(()));
    }

    #[test]
    fn any_pattern_of_short_writes_sends_the_same_bytes(
        contents in vec((vec(any::<u8>(), 0..40), vec(0usize..4000, 0..4)), 0..8),
        written in vec(1usize..2500, 1..40),
    ) {
        let mut out = WriteBuffer::new(LIMITS);
        let mut want = Vec::new();
        for (head, tail) in &contents {
            let tail: Vec<_> = tail.iter().map(|&length| Bytes::from(vec![length as u8; length])).collect();
            out.push(head, &tail).unwrap();
            want.extend_from_slice(&encoded(&[frame(head, &tail.concat())]));
        }
        let mut got = Vec::new();
        for most in written.into_iter().cycle() {
            if !out.has_remaining() {
                break;
            }
            let mut slices = [IoSlice::new(&[]); 3];
            let filled = out.chunks_vectored(&mut slices);
            let offered: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect();
            let taken = most.min(offered.len());
            got.extend_from_slice(&offered[..taken]);
            out.advance(taken);
        }
        prop_assert_eq!(got, want);
    }

    #[test]
    fn noise_never_panics_and_never_makes_the_decoder_reserve_memory(noise in vec(any::<u8>(), 0..400)) {
        let mut buffer = BytesMut::from(&noise[..]);
        let capacity = buffer.capacity();
        let _frames_or_error = decoded(&mut FrameDecoder::new(LIMITS), &mut buffer);
        prop_assert!(buffer.capacity() <= capacity);
    }
}
