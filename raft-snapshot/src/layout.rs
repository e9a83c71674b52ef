//! Where the parts of one file lie, and reading any range of it with proof.

use bytes::Bytes;
use raft_core::fs::File;

use crate::flaw::Flaw;
use crate::format::{PREAMBLE_BYTES, Preamble, TRAILER_BYTES, Trailer, check};
use crate::page::{self, Pages};

/// Where the parts of one file lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The pages; the trailer follows them and ends the file.
    pub(crate) pages: Pages,
    /// Bytes of their content before the body.
    pub(crate) header_bytes: u32,
}

impl Layout {
    /// The layout of a file of `length` bytes, by its preamble.
    pub(crate) fn read(file: &impl File, length: u64, newest_state: u32) -> Result<Self, Flaw> {
        let least = (PREAMBLE_BYTES + page::CHECKSUM_BYTES + TRAILER_BYTES) as u64;
        if length < least {
            return Err(Flaw::Length { found: length, expected: least });
        }
        let mut preamble = [0; PREAMBLE_BYTES];
        page::read(file, &mut preamble, 0)?;
        let Preamble { page_bytes, header_bytes, last, .. } = Preamble::decode(&preamble, newest_state)?;
        let pages = Pages::new(last, page_bytes, length - TRAILER_BYTES as u64)?;
        if pages.content_bytes() < u64::from(header_bytes) {
            let missing = u64::from(header_bytes) - pages.content_bytes();
            return Err(Flaw::Length { found: length, expected: length + missing });
        }
        Ok(Self { pages, header_bytes })
    }

    /// The trailer, and its bytes.
    pub(crate) fn read_trailer(&self, file: &impl File) -> Result<(Trailer, [u8; TRAILER_BYTES]), Flaw> {
        let mut bytes = [0; TRAILER_BYTES];
        page::read(file, &mut bytes, self.pages.end())?;
        let trailer = Trailer::decode(&bytes, &self.pages)?;
        let body_bytes = self.pages.content_bytes() - u64::from(self.header_bytes);
        check("body length", self.pages.end(), trailer.body_bytes, body_bytes)?;
        Ok((trailer, bytes))
    }
}

/// Bytes of a file with these pages.
pub(crate) const fn file_bytes(pages: &Pages) -> u64 {
    pages.end() + TRAILER_BYTES as u64
}

/// The bytes `offset..offset + length` of a file with these pages, which must lie inside it.
///
/// Every page they touch is read whole and verified, and so is the trailer.
pub(crate) fn read_range(file: &impl File, pages: &Pages, offset: u64, length: usize) -> Result<Bytes, Flaw> {
    let end = offset + length as u64;
    let touched = pages.touched(offset, end);
    let start_of = |number| pages.range(number).map_or(pages.end(), |(start, _)| start);
    let start = start_of(touched.start);
    let stop = if end > pages.end() { file_bytes(pages) } else { start_of(touched.end) };
    let mut bytes = vec![0; usize::try_from(stop - start).expect("chunks fit into memory")];
    page::read(file, &mut bytes, start)?;
    let mut rest = &bytes[..];
    for number in touched {
        let (_, length) = pages.range(number).expect("a page of this file");
        let (page, behind) = rest.split_at(length);
        pages.open(number, page)?;
        rest = behind;
    }
    if let Some(trailer) = rest.first_chunk() {
        Trailer::decode(trailer, pages)?;
    }
    let from = usize::try_from(offset - start).expect("inside the bytes read");
    Ok(Bytes::from(bytes).slice(from..from + length))
}
