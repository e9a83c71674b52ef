//! Snapshot files: created from a frozen view, verified, published atomically, moved by chunks, read with proof.
//!
//! Implements [`SnapshotStore`](raft_core::storage::SnapshotStore) over any [`Fs`](raft_core::fs::Fs).
//! [`SnapshotFiles`] is the store as a plain value that works when it is stepped; [`SnapshotThread`] steps it on
//! a thread.
//!
//! # Files
//!
//! A folder holds the newest two snapshots (`<index>-<term>.snap`), partial files (`.part`) that an opening
//! never takes for snapshots, perhaps damaged ones that were set aside (`.damaged`), and a lock file.
//!
//! ```text
//! file      pages | trailer
//! page n    content | CRC-32 of (last index u64, last term u64, n u64, content) u32
//!           all of `page bytes`, the last perhaps shorter
//! content   preamble | header | body, cut into pages as they come
//!
//! preamble  magic "RAFTSNAP" | format version u32 = 1 | features u32 = 0 | page bytes u32 | header bytes u32
//!           | last index u64 | last term u64 | state version u32 | CRC-32 of the 44 bytes before u32
//!           48 bytes, of which the first 16 and the checksum are the same in every version
//! header    configuration index u64 | configuration (none: no bytes)
//!           `header bytes` counts the preamble as well
//! body      what the state machine's view wrote
//! trailer   body bytes u64 | pages u64 | BLAKE3 of all bytes before the trailer [32]
//!           | CRC-32 of the 48 bytes before u32 | magic "SNAPEND\n"
//!           60 bytes
//! ```
//! All numbers are little-endian. A newer format, an unknown feature and a newer state version are refused as
//! newer, never taken for damage. The layout has golden files in the tests: it outlives the code.
//!
//! A file's identity, the digest in [`SnapshotInfo`](raft_core::snapshot::SnapshotInfo), is BLAKE3 of all its
//! bytes. No clock, node, cluster or randomness is in them: the same state at the same entry gives the same
//! file everywhere. Chunks are ranges of the file.
//!
//! # Guarantees
//!
//! * **An opening that fails changes nothing**, also if what fails is something else that is opened with it:
//!   [`SnapshotFiles::look`] first, [`Findings::mend`] when all is well.
//! * **Publication is atomic**, and told only when the file and its name are durable and the file, read back
//!   from the medium, is what was written. See `worker`.
//! * **Nothing is believed unverified**: at opening, before publication, while a state is restored and chunk by
//!   chunk while a file is sent. Errors name file, offset, expected and found.
//! * **A published snapshot is never lost** to a crash or an error. Two are kept, in case the newer one rots.
//! * **What is being read stays readable**: sources and readers hold the file open when its name is retired.
//! * **Transfers resume**: a partial file is gone on with by any later sink of the same digest, also after a
//!   restart, from the chunks that prove themselves.
//!
//! Not yet: rate limits for writing, sending and receiving.
//!
//! # Example
//!
//! ```
//! use std::io::{Read, Write};
//! use std::sync::{Arc, mpsc};
//!
//! use raft_core::fs::StdFs;
//! use raft_core::snapshot::{SnapshotMeta, SnapshotView};
//! use raft_core::storage::{SnapshotEvent, SnapshotStore};
//! use raft_core::types::{EntryId, LogIndex, Term};
//! use raft_snapshot::{Options, SnapshotFiles, SnapshotThread};
//!
//! struct Frozen(String);
//!
//! impl SnapshotView for Frozen {
//!     fn write_to(&self, out: &mut dyn Write) -> std::io::Result<()> {
//!         out.write_all(self.0.as_bytes())
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let (sender, events) = mpsc::sync_channel(16);
//! let sink = Arc::new(move |event| sender.send(event).expect("the receiver lives as long as the store"));
//! let (files, report) = SnapshotFiles::open(folder.path(), StdFs, Options::default(), sink)?;
//! for damaged in &report.damaged {
//!     eprintln!("{damaged}");
//! }
//! let mut store = SnapshotThread::spawn(files)?;
//! let last = EntryId::new(Term(3), LogIndex(812));
//! store.create(SnapshotMeta { last, ..SnapshotMeta::NONE }, Box::new(Frozen("all there is".into())));
//! assert!(matches!(events.recv()?, SnapshotEvent::Created(info) if info.meta.last == last));
//!
//! let (_, mut reader) = store.reader().expect("just created");
//! let mut state = String::new();
//! reader.read_to_string(&mut state)?;
//! assert_eq!(state, "all there is");
//! # Ok(())
//! # }
//! ```

mod error;
mod flaw;
mod folder;
mod format;
mod inbox;
mod layout;
mod name;
mod options;
mod page;
mod reader;
mod recovery;
mod scan;
mod shared;
mod sink;
mod source;
mod store;
mod thread;
mod worker;
mod writer;

pub use error::{FsError, JobError, OpenError, OptionsError, SyncFailedBefore, TransferError};
pub use flaw::{FileError, Flaw, Part};
pub use options::{MAX_CHUNK_BYTES, Options};
pub use recovery::{Damaged, Findings, OpenReport};
pub use store::SnapshotFiles;
pub use thread::SnapshotThread;
