//! Term, vote and cluster: what peers cannot give back, kept in four slots.
//!
//! ```text
//! file  slot 0 | slot 1 | slot 2 | slot 3           one stamped page each (see `page`)
//! slot  12 slot number u32 | 16 generation u64 | 24 node id u64 | 32 current term u64
//!       40 voted for u64 (0: nobody) | 48 cluster id known u64 (0 or 1) | 56 cluster id u128 | zeros
//! ```
//! Generation `g` is stored twice, in slots `g % 2` and `g % 2 + 2`, one after the other, each made durable before
//! the next step. So a crash leaves at least one whole copy in each pair of slots, and an acknowledged generation
//! survives the loss of either of its copies.
//!
//! Invariant (two copies): a generation is reported durable when both its copies are. A pair without a readable
//! copy is therefore rot, not a crash, and may have held the newest vote: refuse. (Term and vote that go back let
//! a node vote twice, `[Raft §5.4.1]`.)

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use raft_core::fs::{File, Fs};
use raft_core::{ClusterId, HardState, NodeId, Term};

use crate::error::{Action, IoFailure, OpenError};
use crate::folder::Folder;
use crate::page::{Magic, PAGE, Page, PageFault};

const MAGIC: Magic = Magic(*b"RAFTMETA");
const SLOTS: usize = 4;

/// What one slot says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    generation: u64,
    node_id: NodeId,
    hard_state: HardState,
}

impl Slot {
    /// The slots of this generation, in the order in which they are written.
    const fn numbers(&self) -> [usize; 2] {
        let first = (self.generation % 2) as usize;
        [first, first + 2]
    }

    fn encode(&self, number: usize) -> [u8; PAGE] {
        let state = self.hard_state;
        let mut page = Page::new(MAGIC);
        page.put_u32(12, number as u32);
        page.put_u64(16, self.generation);
        page.put_u64(24, self.node_id.get());
        page.put_u64(32, state.current_term.0);
        page.put_u64(40, state.voted_for.map_or(0, NodeId::get));
        page.put_u64(48, u64::from(state.cluster_id.is_some()));
        page.put_u128(56, state.cluster_id.map_or(0, |id| id.0));
        page.stamp()
    }

    fn decode(bytes: [u8; PAGE], number: usize) -> Result<Self, PageFault> {
        let page = Page::check(bytes, MAGIC)?;
        let field = |field, found, expected| Err(PageFault::Field { field, found, expected });
        if page.u32(12) as usize != number {
            return field("slot number", u64::from(page.u32(12)), number as u64);
        }
        let generation = page.u64(16);
        if generation % 2 != number as u64 % 2 {
            return field("generation, modulo 2,", generation % 2, number as u64 % 2);
        }
        let Some(node_id) = NodeId::new(page.u64(24)) else { return field("node id", 0, 1) };
        let hard_state = HardState {
            current_term: Term(page.u64(32)),
            voted_for: NodeId::new(page.u64(40)),
            cluster_id: (page.u64(48) != 0).then(|| ClusterId(page.u128(56))),
        };
        Ok(Self { generation, node_id, hard_state })
    }
}

/// The metadata file, open.
pub(crate) struct Metadata<F: Fs> {
    file: F::File,
    path: PathBuf,
    newest: Slot,
}

impl<F: Fs> Metadata<F> {
    /// Makes the file of a new node. Its name is the commit point of initialising a folder.
    pub(crate) fn create(folder: &Folder<F>, node_id: NodeId) -> Result<(), IoFailure> {
        let slot = |number: usize| {
            let generation = number as u64 % 2;
            Slot { generation, node_id, hard_state: HardState::default() }.encode(number)
        };
        let bytes: Vec<u8> = (0..SLOTS).flat_map(slot).collect();
        let file = folder.begin(folder.metadata_path())?;
        file.write(&bytes, 0)?;
        file.sync()?;
        folder.publish(file)?;
        Ok(())
    }

    /// Reads the file, from the medium: what the cache holds may never have reached it. Changes nothing; the
    /// second part of the answer is what [`repair`](Self::repair) must write.
    pub(crate) fn load(folder: &Folder<F>) -> Result<(Self, Repairs), OpenError> {
        let path = folder.metadata_path();
        let file = folder.open(&path)?;
        file.sync_data().map_err(IoFailure::on(Action::Sync, &path))?;
        file.drop_cache().map_err(IoFailure::on(Action::DropCache, &path))?;
        let found = file.len().map_err(IoFailure::on(Action::Read, &path))?;
        if found != (SLOTS * PAGE) as u64 {
            return Err(OpenError::FileLength { path, found, expected: (SLOTS * PAGE) as u64 });
        }
        let mut slots = Vec::with_capacity(SLOTS);
        for number in 0..SLOTS {
            let mut bytes = [0; PAGE];
            let offset = (number * PAGE) as u64;
            file.read_exact_at(&mut bytes, offset).map_err(IoFailure::on(Action::Read, &path))?;
            match Slot::decode(bytes, number) {
                Err(PageFault::NewerFormat { found, newest }) => {
                    return Err(OpenError::NewerFormat { path, found, newest });
                }
                slot => slots.push(slot),
            }
        }
        let (newest, repairs) = judge(&slots, &path)?;
        Ok((Self { file, path, newest }, repairs))
    }

    pub(crate) const fn node_id(&self) -> NodeId {
        self.newest.node_id
    }

    pub(crate) const fn hard_state(&self) -> HardState {
        self.newest.hard_state
    }

    /// Brings the worse copy of each pair up to the better one; says whether there was any.
    pub(crate) fn repair(&self, repairs: &Repairs) -> Result<bool, IoFailure> {
        for (number, slot) in &repairs.0 {
            self.write(*number, slot)?;
        }
        Ok(!repairs.0.is_empty())
    }

    /// Makes `hard_state` durable. How many syncs that took is fixed: [`SYNCS_PER_STORE`].
    pub(crate) fn store(&mut self, hard_state: HardState) -> Result<(), IoFailure> {
        let next = Slot { generation: self.newest.generation + 1, hard_state, ..self.newest };
        let [first, second] = next.numbers();
        self.write(first, &next)?;
        self.write(second, &next)?;
        self.newest = next;
        Ok(())
    }

    #[track_caller]
    fn write(&self, number: usize, slot: &Slot) -> Result<(), IoFailure> {
        let written = self.file.write_all_at(&slot.encode(number), (number * PAGE) as u64);
        written.map_err(IoFailure::on(Action::Write, &self.path))?;
        self.file.sync_data().map_err(IoFailure::on(Action::Sync, &self.path))
    }
}

/// Syncs of one [`Metadata::store`].
pub(crate) const SYNCS_PER_STORE: u64 = 2;

/// Slots that are not what their pair's better copy says, with what they should say.
#[derive(Debug, Default)]
pub(crate) struct Repairs(Vec<(usize, Slot)>);

/// The newest generation, and what must be repaired before it can be believed to have two copies.
fn judge(slots: &[Result<Slot, PageFault>], path: &std::path::Path) -> Result<(Slot, Repairs), OpenError> {
    let mut better = Vec::with_capacity(2);
    let mut repairs = Repairs::default();
    for pair in [[0, 2], [1, 3]] {
        let slot = match pair.map(|number| &slots[number]) {
            [Ok(first), Ok(second)] if first.generation >= second.generation => first,
            [_, Ok(second)] => second,
            [Ok(first), Err(_)] => first,
            [Err(first), Err(second)] => {
                let (path, first, second) = (path.to_owned(), *first, *second);
                return Err(OpenError::MetadataDamaged { path, slots: pair, first, second });
            }
        };
        better.push(*slot);
        let worse = pair.into_iter().filter(|&number| slots[number] != Ok(*slot));
        repairs.0.extend(worse.map(|number| (number, *slot)));
    }
    let (first, second) = (better[0], better[1]);
    if first.node_id != second.node_id {
        let (first, second) = (first.node_id, second.node_id);
        return Err(OpenError::MetadataMixed { path: path.to_owned(), first, second });
    }
    Ok((if first.generation > second.generation { first } else { second }, repairs))
}
