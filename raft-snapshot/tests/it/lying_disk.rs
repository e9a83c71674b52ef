//! A medium that does not hold what was written, though every sync succeeded: reading back finds it out.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use raft_core::fs::{File, Fs};
use raft_core::storage::{SnapshotEvent, SnapshotStore};
use raft_core::testing::SimFs;
use raft_core::testing::sim_fs::{SimFile, SimLock};

use crate::support::*;

/// What really is on the medium in place of a partial file.
type Lie = fn(Vec<u8>) -> Vec<u8>;

/// A disk whose partial files turn out to be something else once their cached pages are dropped.
#[derive(Clone)]
struct LyingDisk {
    fs: SimFs,
    lie: Lie,
}

struct LyingFile {
    file: SimFile,
    path: PathBuf,
    disk: LyingDisk,
}

impl LyingDisk {
    fn file(&self, path: &Path, file: SimFile) -> LyingFile {
        LyingFile { file, path: path.to_owned(), disk: self.clone() }
    }
}

impl Fs for LyingDisk {
    type File = LyingFile;
    type Lock = SimLock;

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.fs.create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        self.fs.read_dir(path)
    }

    fn create_new(&self, path: &Path) -> io::Result<LyingFile> {
        Ok(self.file(path, self.fs.create_new(path)?))
    }

    fn open(&self, path: &Path, writable: bool) -> io::Result<LyingFile> {
        Ok(self.file(path, self.fs.open(path, writable)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.fs.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.fs.remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.fs.sync_dir(path)
    }

    fn lock(&self, path: &Path) -> io::Result<SimLock> {
        self.fs.lock(path)
    }
}

impl File for LyingFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn drop_cache(&self) -> io::Result<()> {
        let bytes = self.disk.fs.contents(&self.path)?;
        if self.path.extension().is_some_and(|extension| extension == "part") {
            self.disk.fs.set_contents(&self.path, (self.disk.lie)(bytes))?;
        }
        Ok(())
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

fn flip_a_bit(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[400] ^= 1;
    bytes
}

/// Another state of the same entry: a whole file, but not the one that was written.
fn another_state(_: Vec<u8>) -> Vec<u8> {
    let fs = disk();
    let mut store = Store::open(&fs);
    store.files.create(meta_at(20), Box::new(State(b"another state".to_vec())));
    store.run();
    fs.contents(format!("{DIR}/{}", file_name(20))).unwrap()
}

#[test]
fn what_was_created_but_is_not_on_the_medium_is_not_published() {
    let lies: [(Lie, &str); 2] = [(flip_a_bit, "checksum of page 3"), (another_state, "BLAKE3")];
    for (lie, found) in lies {
        let fs = disk();
        Store::open(&fs).create(10);
        let mut store = Store::open_in(DIR, LyingDisk { fs: fs.clone(), lie });
        let event = store.try_create(20);
        assert!(reason(&event).contains(found), "{}", reason(&event));
        assert_eq!((store.latest_index(), store.read().unwrap()), (10, state_at(10)));
        let names: Vec<_> = fs.image(DIR).unwrap().into_keys().collect();
        assert_eq!(names, [file_name(10), "lock".into()]);
    }
}

#[test]
fn what_was_received_but_is_not_on_the_medium_is_not_finished() {
    let mut store = Store::open_in(DIR, LyingDisk { fs: disk(), lie: another_state });
    let (info, mut source) = elsewhere(20);
    let error = transfer(&info, &mut *source, &mut *store.sink(&info)).unwrap_err();
    assert!(error.to_string().contains("BLAKE3"), "{error}");
    assert!(matches!(store.publish(&info), SnapshotEvent::Failed { received: true, .. }));
}
