//! One simulated disk under one process: files, names, locks, and the plan of faults.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Component, Path};

use super::faults::{Fate, Faults, OperationKind};
use super::file_data::FileData;
use super::names::{Names, Node, Place, ROOT};
use super::power::{PowerLoss, Unsynced};

/// Everything behind the handles of one [`SimFs`](super::SimFs).
#[derive(Clone)]
pub(super) struct Disk {
    pub(super) seed: u64,
    pub(super) faults: Faults,
    files: BTreeMap<Node, FileData>,
    names: Names,
    next_node: u64,
    locked: BTreeSet<Node>,
}

impl Disk {
    pub(super) fn new(seed: u64) -> Self {
        let (faults, names) = (Faults::default(), Names::new());
        Self { seed, faults, files: BTreeMap::new(), names, next_node: 1, locked: BTreeSet::new() }
    }

    // Names.

    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        self.faults.check_alive()?;
        let mut folder = ROOT;
        let mut begun = false;
        for name in components(path)? {
            let place = Place { folder, name };
            if let Some(found) = self.names.find(&place) {
                self.names.entries(found).ok_or(ErrorKind::NotADirectory)?;
                folder = found;
                continue;
            }
            if !begun {
                self.begin(OperationKind::CreateDir, path)?;
                begun = true;
            }
            let made = self.new_node();
            self.names.add_folder(made);
            self.names.change(made, None, Some(place));
            folder = made;
        }
        Ok(())
    }

    pub(super) fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        self.faults.check_alive()?;
        let entries = self.names.entries(self.find(path)?).ok_or(ErrorKind::NotADirectory)?;
        Ok(entries.keys().cloned().collect())
    }

    pub(super) fn create_new(&mut self, path: &Path) -> io::Result<Node> {
        self.faults.check_alive()?;
        let place = self.place(path)?;
        if self.names.find(&place).is_some() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.begin(OperationKind::CreateFile, path)?;
        let node = self.new_node();
        self.files.insert(node, FileData::default());
        self.names.change(node, None, Some(place));
        Ok(node)
    }

    pub(super) fn open(&self, path: &Path) -> io::Result<Node> {
        self.faults.check_alive()?;
        self.find_file(path)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.faults.check_alive()?;
        let node = self.find_file(from)?;
        let (removed, added) = (self.place(from)?, self.place(to)?);
        if self.names.find(&added).is_some_and(|there| self.names.entries(there).is_some()) {
            return Err(ErrorKind::IsADirectory.into());
        }
        self.begin(OperationKind::Rename, from)?;
        self.names.change(node, Some(removed), Some(added));
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        self.faults.check_alive()?;
        let node = self.find_file(path)?;
        let removed = self.place(path)?;
        self.begin(OperationKind::RemoveFile, path)?;
        self.names.change(node, Some(removed), None);
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, path: &Path, suppressed: bool) -> io::Result<()> {
        self.faults.check_alive()?;
        let folder = self.find(path)?;
        match self.faults.begin(OperationKind::SyncDir, path.to_owned())? {
            Fate::Broken(error) => {
                self.names.fail_sync(folder);
                return Err(error);
            }
            Fate::Whole if suppressed => {}
            Fate::Whole => self.names.sync(folder),
        }
        Ok(())
    }

    pub(super) fn lock(&mut self, path: &Path) -> io::Result<Node> {
        let node = match self.open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => self.create_new(path)?,
            found => found?,
        };
        if self.locked.insert(node) { Ok(node) } else { Err(ErrorKind::WouldBlock.into()) }
    }

    pub(super) fn unlock(&mut self, node: Node) {
        self.locked.remove(&node);
    }

    // Files.

    pub(super) fn cached(&self, node: Node) -> io::Result<&[u8]> {
        self.faults.check_alive()?;
        Ok(self.files[&node].cached())
    }

    pub(super) fn write(&mut self, node: Node, path: &Path, bytes: &[u8], offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(|_| ErrorKind::FileTooLarge)?;
        let (bytes, outcome) = match self.faults.begin(OperationKind::Write, path.to_owned())? {
            Fate::Whole => (bytes, Ok(())),
            Fate::Broken(error) => {
                let kept = self.faults.broken_write(self.seed, bytes.len());
                (&bytes[..kept], Err(error))
            }
        };
        let room = self.room_for(node).saturating_sub(offset);
        let file = self.file(node);
        file.write(&bytes[..bytes.len().min(room)], offset);
        if bytes.len() > room { Err(ErrorKind::StorageFull.into()) } else { outcome }
    }

    pub(super) fn set_len(&mut self, node: Node, path: &Path, length: u64) -> io::Result<()> {
        self.begin(OperationKind::SetLen, path)?;
        let length = usize::try_from(length).map_err(|_| ErrorKind::FileTooLarge)?;
        if length > self.room_for(node).max(self.files[&node].cached().len()) {
            return Err(ErrorKind::StorageFull.into());
        }
        self.file(node).set_len(length);
        Ok(())
    }

    pub(super) fn sync_data(&mut self, node: Node, path: &Path, suppressed: bool) -> io::Result<()> {
        let fate = self.faults.begin(OperationKind::SyncData, path.to_owned())?;
        let file = self.file(node);
        match fate {
            Fate::Broken(error) => {
                file.fail_sync();
                return Err(error);
            }
            Fate::Whole if suppressed => {}
            Fate::Whole => file.sync(),
        }
        Ok(())
    }

    pub(super) fn drop_cache(&mut self, node: Node) -> io::Result<()> {
        self.faults.check_alive()?;
        self.file(node).drop_cache();
        Ok(())
    }

    // What a test does to the disk behind the program's back.

    pub(super) fn settle(&mut self) {
        self.files.values_mut().for_each(FileData::sync);
        self.names.settle();
    }

    pub(super) fn contents(&self, path: &Path) -> io::Result<&[u8]> {
        Ok(self.files[&self.find_file(path)?].cached())
    }

    /// Gives an existing file these bytes, durably.
    pub(super) fn set_contents(&mut self, path: &Path, bytes: Vec<u8>) -> io::Result<()> {
        let node = self.find_file(path)?;
        self.files.insert(node, FileData::durable(bytes));
        Ok(())
    }

    /// Flips a bit in every copy of `pattern`.
    pub(super) fn damage(&mut self, pattern: &[u8]) -> usize {
        self.files.values_mut().map(|file| file.damage(pattern)).sum()
    }

    /// All files below a folder, by path relative to it.
    pub(super) fn image(&self, path: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
        let mut image = BTreeMap::new();
        let mut folders = vec![(String::new(), self.find(path)?)];
        while let Some((prefix, folder)) = folders.pop() {
            for (name, &node) in self.names.entries(folder).ok_or(ErrorKind::NotADirectory)? {
                match self.files.get(&node) {
                    Some(file) => _ = image.insert(format!("{prefix}{name}"), file.cached().to_vec()),
                    None => folders.push((format!("{prefix}{name}/"), node)),
                }
            }
        }
        Ok(image)
    }

    /// What a power cut now may undo: by file its length, then its sectors; then names, oldest first.
    pub(super) fn unsynced(&self) -> Vec<Unsynced> {
        let path_of = |node| self.names.path_of(node).unwrap_or_else(|| "a removed file".into());
        let mut effects = Vec::new();
        for (node, file) in self.named_files() {
            if file.length_is_unsynced() {
                effects.push(Unsynced::Length { path: path_of(node) });
            }
            let sectors = file.dirty_sectors().iter();
            effects.extend(sectors.map(|&sector| Unsynced::Sector { path: path_of(node), sector }));
        }
        let place = |place: &Place| format!("{}/{}", path_of(place.folder), place.name);
        effects.extend(self.names.pending().iter().map(|change| Unsynced::Name {
            from: change.removed.as_ref().map(place),
            to: change.added.as_ref().map(place),
        }));
        effects
    }

    /// The disk after a power cut, as the next process finds it.
    pub(super) fn after_power_cut(&self, choice: PowerLoss) -> Self {
        let mut number = 0;
        let mut next = || {
            number += 1;
            number - 1
        };
        let mut files = BTreeMap::new();
        for (node, file) in self.named_files() {
            let keep_length = file.length_is_unsynced() && choice.keeps(self.seed, next());
            let image = file.after_power_cut(keep_length, |_| choice.sector(self.seed, next()));
            files.insert(node, FileData::durable(image));
        }
        let names = self.names.after_power_cut(|| choice.keeps(self.seed, next()));
        let named = names.named();
        files.retain(|node, _| named.contains(node));
        Self { files, names, ..self.after_kill() }
    }

    /// The disk after the process died, as the next process finds it: the cache lives on, and so does what is
    /// unsynced.
    pub(super) fn after_kill(&self) -> Self {
        Self { faults: self.faults.for_next_process(), locked: BTreeSet::new(), ..self.clone() }
    }

    // Helpers.

    /// Begins an operation of which a fault leaves nothing.
    fn begin(&mut self, kind: OperationKind, path: &Path) -> io::Result<()> {
        match self.faults.begin(kind, path.to_owned())? {
            Fate::Whole => Ok(()),
            Fate::Broken(error) => Err(error),
        }
    }

    const fn new_node(&mut self) -> Node {
        self.next_node += 1;
        Node(self.next_node - 1)
    }

    fn file(&mut self, node: Node) -> &mut FileData {
        self.files.get_mut(&node).expect("a file lives as long as its disk")
    }

    /// The files that have a name, or may have one after a power cut.
    fn named_files(&self) -> impl Iterator<Item = (Node, &FileData)> {
        let named = self.names.named();
        self.files.iter().filter(move |(node, _)| named.contains(node)).map(|(&node, file)| (node, file))
    }

    /// How long `node` may become.
    fn room_for(&self, node: Node) -> usize {
        let Some(capacity) = self.faults.capacity else { return usize::MAX };
        let others = self.named_files().filter(|(other, _)| *other != node);
        capacity.saturating_sub(others.map(|(_, file)| file.cached().len()).sum())
    }

    fn find(&self, path: &Path) -> io::Result<Node> {
        let mut node = ROOT;
        for name in components(path)? {
            let entries = self.names.entries(node).ok_or(ErrorKind::NotADirectory)?;
            node = *entries.get(&name).ok_or(ErrorKind::NotFound)?;
        }
        Ok(node)
    }

    fn find_file(&self, path: &Path) -> io::Result<Node> {
        let node = self.find(path)?;
        if self.files.contains_key(&node) { Ok(node) } else { Err(ErrorKind::IsADirectory.into()) }
    }

    fn place(&self, path: &Path) -> io::Result<Place> {
        let mut names = components(path)?;
        let name = names.pop().ok_or(ErrorKind::IsADirectory)?;
        let folder = self.find(&names.iter().collect::<std::path::PathBuf>())?;
        self.names.entries(folder).ok_or(ErrorKind::NotADirectory)?;
        Ok(Place { folder, name })
    }
}

/// The names on the way from the root. A relative path starts at the root as well; an empty one leads nowhere.
fn components(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_str().ok_or(ErrorKind::InvalidInput)?.to_owned()),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return Err(ErrorKind::Unsupported.into()),
        }
    }
    Ok(names)
}
