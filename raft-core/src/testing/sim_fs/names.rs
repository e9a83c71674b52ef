//! Folders: which names there are, and which of them a power cut leaves.

use std::collections::{BTreeMap, BTreeSet};

/// A file or folder on the disk, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Node(pub(super) u64);

/// The folder that is always there.
pub(super) const ROOT: Node = Node(0);

/// One name in one folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The folder.
    pub(super) folder: Node,
    /// The name in it.
    pub(super) name: String,
}

/// An entry made, moved (both) or removed: one effect, kept or lost as a whole.
#[derive(Clone)]
pub(super) struct Change {
    /// What is named.
    pub(super) node: Node,
    /// The name it loses.
    pub(super) removed: Option<Place>,
    /// The name it gets.
    pub(super) added: Option<Place>,
    /// Folders of the change that were not synced since.
    waits_for: BTreeSet<Node>,
}

type Entries = BTreeMap<Node, BTreeMap<String, Node>>;

/// All folders of a disk.
///
/// Invariant (names): `cached` is `durable` with the changes of `pending` made in order, unless a folder sync
/// failed.
#[derive(Clone)]
pub(super) struct Names {
    cached: Entries,
    durable: Entries,
    pending: Vec<Change>,
}

impl Names {
    /// A root folder with nothing in it.
    pub(super) fn new() -> Self {
        let root = Entries::from([(ROOT, BTreeMap::new())]);
        Self { cached: root.clone(), durable: root, pending: Vec::new() }
    }

    /// A new folder, nameless yet.
    pub(super) fn add_folder(&mut self, folder: Node) {
        self.cached.insert(folder, BTreeMap::new());
        self.durable.insert(folder, BTreeMap::new());
    }

    /// The entries of `node`; `None` if it is a file.
    pub(super) fn entries(&self, node: Node) -> Option<&BTreeMap<String, Node>> {
        self.cached.get(&node)
    }

    /// What has this name.
    pub(super) fn find(&self, place: &Place) -> Option<Node> {
        self.entries(place.folder)?.get(&place.name).copied()
    }

    /// Changes names in the cache; durable once each folder of the change is synced.
    pub(super) fn change(&mut self, node: Node, removed: Option<Place>, added: Option<Place>) {
        let waits_for = removed.iter().chain(&added).map(|place| place.folder).collect();
        let change = Change { node, removed, added, waits_for };
        apply(&mut self.cached, &change);
        self.pending.push(change);
    }

    /// Changes that a power cut may undo, oldest first.
    pub(super) fn pending(&self) -> &[Change] {
        &self.pending
    }

    /// Makes the names of `folder` durable. A move to another folder is durable once both are synced.
    pub(super) fn sync(&mut self, folder: Node) {
        for change in &mut self.pending {
            change.waits_for.remove(&folder);
            if change.waits_for.is_empty() {
                apply(&mut self.durable, change);
            }
        }
        self.pending.retain(|change| !change.waits_for.is_empty());
    }

    /// A sync that fails as on Linux: nothing becomes durable, and no later sync makes it so.
    pub(super) fn fail_sync(&mut self, folder: Node) {
        self.pending.retain(|change| !change.waits_for.contains(&folder));
    }

    /// Makes all names durable.
    pub(super) fn settle(&mut self) {
        self.pending.clear();
        self.durable.clone_from(&self.cached);
    }

    /// The folders after a power cut that leaves the pending changes of which `survives` (called in order) says
    /// so.
    pub(super) fn after_power_cut(&self, mut survives: impl FnMut() -> bool) -> Self {
        let mut durable = self.durable.clone();
        for change in &self.pending {
            if survives() {
                apply(&mut durable, change);
            }
        }
        Self { cached: durable.clone(), durable, pending: Vec::new() }
    }

    /// Everything that has a name now, or may have one after a power cut.
    pub(super) fn named(&self) -> BTreeSet<Node> {
        let folders = self.cached.values().chain(self.durable.values());
        let entries = folders.flat_map(BTreeMap::values).copied();
        entries.chain(self.pending.iter().map(|change| change.node)).collect()
    }

    /// A path that leads to `node`, for messages.
    pub(super) fn path_of(&self, node: Node) -> Option<String> {
        if node == ROOT {
            return Some(String::new());
        }
        let tables = self.cached.iter().chain(&self.durable);
        let mut names = tables.flat_map(|(folder, names)| names.iter().map(move |entry| (folder, entry)));
        let (folder, (name, _)) = names.find(|(_, (_, at))| **at == node)?;
        Some(format!("{}/{name}", self.path_of(*folder)?))
    }
}

fn apply(entries: &mut Entries, change: &Change) {
    if let Some(Place { folder, name }) = &change.removed {
        let names = entries.get_mut(folder).expect("folders are never removed");
        if names.get(name) == Some(&change.node) {
            names.remove(name);
        }
    }
    if let Some(Place { folder, name }) = &change.added {
        let names = entries.get_mut(folder).expect("folders are never removed");
        names.insert(name.clone(), change.node);
    }
}
