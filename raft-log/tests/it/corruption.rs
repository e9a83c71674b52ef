//! Rot, zeros, truncation, misplaced pages, missing files: named, or without effect on what was durable; never
//! served.

use std::collections::BTreeMap;
use std::path::Path;

use raft_core::storage::{ReadFailure, ReadRequest};
use raft_core::testing::SimFs;
use raft_core::{EntryId, LogIndex};
use raft_log::{LogOptions, OpenError, Verify};

use crate::support::{DIR, SMALL, open_log};
use crate::world::{Entry, State, Step, World, entries_of, snapshot};

type Image = BTreeMap<String, Vec<u8>>;

/// A log of three segments, closed by a crash or with a mark.
struct Subject {
    fs: SimFs,
    image: Image,
    state: State,
    /// Entries through this one lie below the watermark.
    safe: LogIndex,
}

fn subject(marked: bool) -> Subject {
    use Step::*;
    let mut script =
        vec![Vote, Append(3, 30), Settle, Configure, Overwrite(1), Settle, Append(9, 300), Settle];
    script.extend([Append(2, 300), Settle]);
    let mut world = World::new(SimFs::new(3));
    world.run(&script).unwrap();
    let safe = world.recovered().last().index;
    world.run_on(&[Append(2, 100), Settle]).unwrap();
    if marked {
        world.run_on(&[Mark]).unwrap();
    }
    let state = world.recovered().clone();
    world.close();
    let safe = if marked { state.last().index } else { safe };
    let image = world.fs.image(DIR).unwrap();
    assert_eq!(image.keys().filter(|name| name.ends_with(".seg")).count(), 3, "{:?}", image.keys());
    Subject { fs: world.fs, image, state, safe }
}

/// What came of an open.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Refused,
    Harmless,
    DamagedReads,
    CutUnsafe,
}

impl Subject {
    /// Opens a changed folder. It must refuse and change nothing, or serve nothing but what was written,
    /// everything below the watermark included.
    fn open(&self, changed: &Image, options: &LogOptions, what: &str) -> (Outcome, String) {
        let fs = self.disk(changed);
        let opening = match open_log(&fs, Path::new(DIR), options, &snapshot(EntryId::ZERO)) {
            Ok(opening) => opening,
            Err(error) => {
                assert_eq!(
                    fs.image(DIR).unwrap(),
                    *changed,
                    "{what}: refused ({error}) and changed the folder"
                );
                return (Outcome::Refused, error.to_string());
            }
        };
        let recovered = &opening.opened.recovered;
        assert_eq!(recovered.hard_state, self.state.hard_state, "{what}");
        assert!(recovered.last.index >= self.safe, "{what}: cut below the watermark, at {}", recovered.last);
        let cut = recovered.last != self.state.last();
        let mut outcome = if cut { Outcome::CutUnsafe } else { Outcome::Harmless };
        for (index, entry) in (1..=recovered.last.index.0).zip(&self.state.entries) {
            let (from, through) = (LogIndex(index), LogIndex(index));
            match opening.log.reader().read(ReadRequest { id: 0, from, through, max_bytes: 0 }) {
                Ok(blocks) => assert_eq!(entries_of(&blocks), [Entry::clone(entry)], "{what}"),
                Err(ReadFailure::Damaged { index: named, reason }) => {
                    assert_eq!(named, from, "{what}: {reason}");
                    outcome = Outcome::DamagedReads;
                }
                Err(failure) => panic!("{what}: {failure:?}"),
            }
        }
        (outcome, String::new())
    }

    fn disk(&self, changed: &Image) -> SimFs {
        let fs = self.fs.kill();
        for (name, bytes) in changed {
            let path = Path::new(DIR).join(name);
            if self.image.get(name) != Some(bytes) {
                if !self.image.contains_key(name) {
                    raft_core::fs::Fs::create_new(&fs, &path).unwrap();
                }
                fs.set_contents(path, bytes.clone()).unwrap();
            }
        }
        for name in self.image.keys().filter(|name| !changed.contains_key(*name)) {
            raft_core::fs::Fs::remove_file(&fs, &Path::new(DIR).join(name)).unwrap();
        }
        fs
    }

    /// Changes the bytes of one file; the error, if there is one, must name it.
    fn change(
        &self,
        name: &str,
        options: &LogOptions,
        what: &str,
        change: impl FnOnce(&mut Vec<u8>),
    ) -> Outcome {
        let mut changed = self.image.clone();
        change(changed.get_mut(name).unwrap());
        let what = format!("{name}: {what}");
        let (outcome, error) = self.open(&changed, options, &what);
        assert!(outcome != Outcome::Refused || error.contains(name), "{what}: {error}");
        outcome
    }

    fn files(&self) -> impl Iterator<Item = (&String, &Vec<u8>)> {
        self.image.iter().filter(|(name, _)| *name != "lock")
    }
}

const ALL: LogOptions = LogOptions { verify: Verify::All, ..SMALL };

/// Every bit of the first bytes of each page, where headers and tables are, and some of the rest.
#[test]
fn a_flipped_bit_is_named_or_harmless() {
    for marked in [true, false] {
        let subject = subject(marked);
        let mut outcomes = BTreeMap::<Outcome, usize>::new();
        for (name, bytes) in subject.files() {
            for at in (0..bytes.len()).filter(|at| at % 4096 < 112 || at % 13 == 0) {
                let (bit, options) = (1 << (at % 8), if at % 2 == 0 { SMALL } else { ALL });
                let outcome = subject
                    .change(name, &options, &format!("bit {bit} of byte {at}"), |bytes| bytes[at] ^= bit);
                *outcomes.entry(outcome).or_default() += 1;
            }
        }
        let of = |outcome| outcomes.get(&outcome).copied().unwrap_or(0);
        assert!(of(Outcome::Refused) > 500 && of(Outcome::Harmless) > 100, "{outcomes:?}");
        assert!(of(Outcome::DamagedReads) > 0, "old payloads are found at the first read: {outcomes:?}");
        assert_eq!(of(Outcome::CutUnsafe) > 0, !marked, "only an unmarked end can be cut: {outcomes:?}");
    }
}

#[test]
fn sectors_of_zeros_or_ones_are_named_or_harmless() {
    for marked in [true, false] {
        let subject = subject(marked);
        for (name, bytes) in subject.files() {
            for start in (0..bytes.len()).step_by(512) {
                // Rot over two batches at once may take the only witness of the first with it: pages one by one.
                let lengths = if start % 4096 == 0 { &[512, 4096][..] } else { &[512] };
                for (&length, value) in lengths.iter().flat_map(|length| [(length, 0), (length, 0xFF)]) {
                    let end = start + length;
                    let what = format!("bytes {start}..{end} are {value:#x}");
                    subject.change(name, &ALL, &what, |bytes| bytes[start..end].fill(value));
                }
            }
        }
    }
}

#[test]
fn a_file_cut_short_or_extended_is_refused() {
    let subject = subject(false);
    for (name, bytes) in subject.files() {
        for length in (0..bytes.len()).step_by(509) {
            let outcome =
                subject.change(name, &SMALL, &format!("{length} bytes"), |bytes| bytes.truncate(length));
            assert_eq!(outcome, Outcome::Refused);
        }
        let outcome = subject.change(name, &SMALL, "a page more", |bytes| bytes.extend([0; 4096]));
        assert_eq!(outcome, Outcome::Refused);
    }
}

/// As after a misdirected write: a page of the log where another one belongs.
#[test]
fn a_misplaced_page_is_named_or_harmless() {
    for marked in [true, false] {
        let subject = subject(marked);
        let pages =
            |name: &str| subject.image[name].chunks_exact(4096).map(<[u8]>::to_vec).collect::<Vec<_>>();
        let all: Vec<_> = subject.files().flat_map(|(name, _)| pages(name)).collect();
        for (name, bytes) in subject.files() {
            for start in (0..bytes.len()).step_by(4096) {
                for (number, page) in all.iter().enumerate() {
                    let what = format!("page {number} at {start}");
                    subject
                        .change(name, &ALL, &what, |bytes| bytes[start..start + 4096].copy_from_slice(page));
                }
            }
        }
    }
}

#[test]
fn a_missing_or_copied_file_is_refused_by_name() {
    let subject = subject(true);
    let names: Vec<_> = subject.files().map(|(name, _)| name.clone()).collect();
    for name in &names {
        let mut changed = subject.image.clone();
        changed.remove(name);
        let (outcome, error) = subject.open(&changed, &SMALL, &format!("without {name}"));
        assert_eq!(outcome, Outcome::Refused, "without {name}");
        // Without the oldest segment the log starts too late, whatever the file was called.
        assert!(error.contains(name) || name.starts_with("0000000000000001"), "without {name}: {error}");
    }
    for (from, to) in names.iter().flat_map(|from| names.iter().map(move |to| (from, to))) {
        if from != to {
            let copy = subject.image[from].clone();
            let outcome = subject.change(to, &SMALL, &format!("a copy of {from}"), |bytes| *bytes = copy);
            assert_eq!(outcome, Outcome::Refused);
        }
    }
    let mut changed = subject.image.clone();
    changed.insert("0000000000000004.seg".into(), subject.image["0000000000000003.seg"].clone());
    assert_eq!(subject.open(&changed, &SMALL, "a copy behind the end").0, Outcome::Refused);
}

#[test]
fn files_of_other_programs_are_left_alone() {
    let subject = subject(true);
    let mut changed = subject.image.clone();
    for name in ["notes.txt", "1.seg", "00000000000000FF.seg", "meta.bak"] {
        changed.insert(name.into(), b"mine".to_vec());
    }
    let fs = subject.disk(&changed);
    let opening = open_log(&fs, Path::new(DIR), &SMALL, &snapshot(EntryId::ZERO)).unwrap();
    assert_eq!(opening.opened.recovered.last, subject.state.last());
    assert_eq!(fs.contents(Path::new(DIR).join("notes.txt")).unwrap(), b"mine");
}

#[test]
fn damage_names_segment_offset_index_expected_and_found() {
    let subject = subject(true);
    let mut changed = subject.image.clone();
    let name = "0000000000000001.seg";
    changed.get_mut(name).unwrap()[4096 + 9] ^= 1;
    let fs = subject.disk(&changed);
    let error = open_log(&fs, Path::new(DIR), &SMALL, &snapshot(EntryId::ZERO)).map(drop).unwrap_err();
    let OpenError::Damaged(damage) = &error else { panic!("{error}") };
    assert_eq!(damage.path, Path::new(DIR).join(name));
    assert_eq!((damage.offset, damage.index), (4096, LogIndex(1)));
    let text = error.to_string();
    for part in [name, "offset 4096", "entry 1", "checksum is 0x", "expected 0x"] {
        assert!(text.contains(part), "{text}");
    }
}
